"""United Manufacturing Hub: the classic schema and UMH Core, as their documents show them."""

import pytest

from connectors.payload.testing import RECEIVED_NS, map_messages, new_mapper, send

UMH = {"topic": "umh/v1/#", "kind": "umh"}
CORE = {"topic": "umh/v1/#", "kind": "umh_core"}
AT = 1_795_348_376_174_000_000
BODY = {"timestamp_ms": 1795348376174, "temperature": 50.0, "collision": False}


def test_every_key_but_the_time_is_a_tag_and_groups_are_joined():
    """Objects and levels behind the schema are groups of one name."""
    topic = "umh/v1/acme/aachen/packing/line1/robot/_historian/head"

    mapped = map_messages(UMH, (topic, {**BODY, "pos": {"x": 12.5, "y": 7.3}, "state": "RUN"}))

    base = "acme/aachen/packing/line1/robot"
    assert {
        f"{base}/head$temperature": 50.0,
        f"{base}/head$collision": False,
        f"{base}/head$pos$x": 12.5,
        f"{base}/head$pos$y": 7.3,
        f"{base}/head$state": "RUN",
    } == mapped.values
    assert {AT} == {at for _, at, _, _ in mapped.sink.rows()}


def test_the_location_is_told_as_an_asset_once():
    """The server may put the tags on its tree of assets."""
    mapper = new_mapper(UMH)
    message = ("umh/v1/acme/aachen/_historian", BODY)

    first, second = send(mapper, [message]), send(mapper, [message])

    asset = {"asset": "acme/aachen"}
    assert [("acme/aachen/temperature", asset), ("acme/aachen/collision", asset)] == sorted(
        ((item.address, item.facts) for item in first.items), reverse=True
    )
    assert second.items == ()


@pytest.mark.parametrize(
    ("topic", "body", "word"),
    [
        ("umh/v1/acme/_analytics", BODY, "_historian"),
        ("umh/v1/acme/site", BODY, "behind the location"),
        ("umh/v2/acme/_historian", BODY, "umh/v1"),
        ("umh/v1/_historian", BODY, "behind the location"),
        ("umh/v1/acme/_historian", {"timestamp_ms": 1795348376174}, "want tags"),
        ("umh/v1/acme/_historian", {"temperature": 1}, "cannot read time"),
        ("umh/v1/acme/_historian", {**BODY, "list": [1]}, "a list"),
        ("umh/v1/acme/_historian", [BODY], "an object"),
        ("umh/v1/acme/_historian", b"{", "no JSON"),
    ],
)
def test_classic_messages_that_do_not_fit_are_refused_whole(topic, body, word):
    """One bad key refuses its message: a redelivery would else map differently."""
    mapped = map_messages({**UMH, "topic": "#"}, (topic, body))

    assert word in mapped.rejects[0].reason
    assert mapped.sink.rows() == []


@pytest.mark.parametrize(
    "topic",
    ["umh/v1/acme/aachen/line1/_pump/motor/speed", "umh.v1.acme.aachen.line1._pump.motor.speed"],
)
@pytest.mark.parametrize("value", [42.5, True, "RUN"])
def test_core_has_one_value_per_topic_with_slashes_or_dots(topic, value):
    """Contract and virtual path belong to the name: two contracts are two tags."""
    mapped = map_messages(
        {**CORE, "topic": "#"}, (topic, {"timestamp_ms": 1795348376174, "value": value})
    )

    assert [("acme/aachen/line1/_pump/motor/speed", AT, 0, value)] == mapped.sink.rows()
    assert [{"asset": "acme/aachen/line1"}] == [item.facts for item in mapped.items]


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"timestamp_ms": 1795348376174, "value": 1, "unit": "C"}, "relational"),
        ({"order": "4711", "quantity": 5}, "relational"),
        ({"timestamp_ms": 1795348376174, "value": None}, "want number"),
        ({"timestamp_ms": 1795348376174, "value": {"a": 1}}, "want number"),
        ({"timestamp_ms": "soon", "value": 1}, "cannot read time"),
    ],
)
def test_core_payloads_of_other_shapes_are_refused(body, word):
    """Relational payloads are for the quarantine, or for a mapping of their own."""
    mapped = map_messages(CORE, ("umh/v1/acme/_raw/x", body))

    assert word in mapped.rejects[0].reason
    assert RECEIVED_NS == mapped.rejects[0].timestamp_ns
