"""payload/: JSON becomes rows exactly as configured; what does not fit is named, never guessed."""

import json
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import connectors.payload
from connectors.connector import ConfigError
from connectors.payload.config import read_mappings
from connectors.payload.mapping import Mapper
from connectors.payload.path import topic_matches
from connectors.payload.registry import CONVENTIONS
from connectors.payload.times import time_ns
from connectors.settings import Table
from connectors.testing import RecordingSink
from storage_engine.sample import BAD_NO_DATA, SampleBatch, ValueType

SECOND = 1_000_000_000


def mapper_of(*mappings):
    return Mapper(read_mappings(Table({"mappings": list(mappings)}, "test").tables("mappings")))


def mapped(mapping, payload, topic="plant/press/meter/E1", received_ns=77):
    """(sink with what was mapped, rejects) of one message."""
    mapper = mapper_of(mapping)
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    mapper.add(topic, data, received_ns)
    batches, rejects = mapper.take()
    sink = RecordingSink()
    sink.batches += batches
    return sink, rejects


SAMPLES = {"topic": "plant/+/meter/+", "kind": "samples", "time": {"path": "ts", "unit": "s"}}


def test_every_leaf_of_an_object_is_a_sample_and_the_time_is_not():
    """The common shape of gateways: a time and values side by side, groups nested."""
    mapping = {**SAMPLES, "address": "{topic[1]}/{topic[3]}/{key}"}

    sink, rejects = mapped(mapping, {"ts": 5, "temp": 21.5, "pos": {"x": 1, "ok": True}, "s": "A"})

    assert rejects == ()
    assert {
        ("press/E1/temp", 5 * SECOND, 0, 21.5),
        ("press/E1/pos.x", 5 * SECOND, 0, 1.0),
        ("press/E1/pos.ok", 5 * SECOND, 0, True),
        ("press/E1/s", 5 * SECOND, 0, "A"),
    } == set(sink.rows())
    assert {batch.value.type for batch in sink.batches if isinstance(batch, SampleBatch)} == {
        ValueType.FLOAT64,
        ValueType.BOOL,
        ValueType.SYMBOL,
    }


def test_null_is_a_bad_sample_without_a_value():
    """A device that says null says that it does not know."""
    sink, _ = mapped({**SAMPLES, "value": "v", "type": "float64"}, {"ts": 1, "v": None})

    assert [("plant/press/meter/E1", SECOND, BAD_NO_DATA, None)] == sink.rows()


def test_lists_of_times_and_values_are_paired():
    """A hundred values in one message cost what one costs."""
    sink, _ = mapped({**SAMPLES, "value": "v"}, {"ts": [1, 2, 3], "v": [1.0, None, 3.0]})

    assert [1.0, None, 3.0] == [value for _, _, _, value in sink.rows()]
    _, rejects = mapped({**SAMPLES, "value": "v"}, {"ts": [1, 2], "v": [1.0]})
    assert "want 2" in rejects[0].reason


def test_items_have_their_own_values_and_may_use_the_whole_message():
    """A list of readings under one time, the path of which starts at the top."""
    mapping = {**SAMPLES, "items": "r", "time": {"path": "^ts", "unit": "ms"}, "value": "v"}

    sink, _ = mapped(mapping, {"ts": 2, "r": [{"v": 1}, {"v": 2}]})

    assert [(2_000_000, 1.0), (2_000_000, 2.0)] == [(t, v) for _, t, _, v in sink.rows()]


def test_without_a_configured_time_the_time_of_receipt_is_used():
    """It is the only time there is."""
    sink, _ = mapped({"topic": "#", "kind": "samples"}, 3.5)

    assert [("plant/press/meter/E1", 77, 0, 3.5)] == sink.rows()


def test_quality_words_and_codes():
    """Words are translated, codes are kept, anything else is refused."""
    mapping = {**SAMPLES, "value": "v", "quality": {"path": "q", "codes": {"DOUBT": 0x40000000}}}

    for given_, wanted in (("DOUBT", 0x40000000), (0x80340000, 0x80340000)):
        sink, _ = mapped(mapping, {"ts": 1, "v": 1, "q": given_})
        assert wanted == sink.rows()[0][2]
    _, rejects = mapped(mapping, {"ts": 1, "v": 1, "q": "WHAT"})
    assert "quality" in rejects[0].reason


@pytest.mark.parametrize(
    ("type_", "value", "wanted"),
    [
        ("int64", 2**63 - 1, 2**63 - 1),
        ("int64", 7.0, 7),
        ("uint64", 2**64 - 1, 2**64 - 1),
        ("float64", 2**53, float(2**53)),
        ("float32", 1.5, 1.5),
        ("symbol", "A", "A"),
        ("text", "a b", "a b"),
        ("bool", False, False),
        ("bytes", "é", "é".encode()),
    ],
)
def test_values_that_a_type_holds_exactly_are_taken(type_, value, wanted):
    """The configured type decides, not the way the number is written."""
    sink, rejects = mapped({**SAMPLES, "value": "v", "type": type_}, {"ts": 1, "v": [value]})

    assert rejects == ()
    assert [wanted] == [v for _, _, _, v in sink.rows()]


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("int64", 2**63),
        ("int64", 7.5),
        ("int64", True),
        ("int64", "7"),
        ("uint64", -1),
        ("float64", 2**53 + 1),
        ("float32", 1e300),
        ("symbol", 1),
        ("bool", 1),
    ],
)
def test_values_that_a_type_cannot_hold_are_refused(type_, value):
    """Never round, never guess."""
    sink, rejects = mapped({**SAMPLES, "value": "v", "type": type_}, {"ts": 1, "v": value})

    assert sink.rows() == []
    assert type_ in rejects[0].reason


@pytest.mark.parametrize(
    ("payload", "word"),
    [
        (b"{", "JSON"),
        (b"", "JSON"),
        (b"\xff\xfe", "JSON"),
        (b'{"ts": 1, "v": NaN}', "JSON"),
        (b'{"v": 1}', "time"),
        (b'{"ts": "yesterday", "v": 1}', "time"),
        (b'{"ts": true, "v": 1}', "time"),
        (b'{"ts": 1e300, "v": 1}', "time"),
        (b'{"ts": 1}', "value"),
        (b"[1, 2]", "time"),
        (b'{"ts": 1, "v": ' + b'{"a":' * 20 + b"1" + b"}" * 20 + b"}", "levels"),
    ],
)
def test_malformed_messages_are_named_with_topic_and_payload(payload, word):
    """A person must see what came, from where, and why it was not taken."""
    sink, rejects = mapped({**SAMPLES, "value": "v"}, payload)

    assert sink.rows() == []
    assert word in rejects[0].reason
    assert rejects[0].address == "plant/press/meter/E1"
    assert rejects[0].payload == payload


def test_an_object_is_text_only_where_it_is_the_rest():
    """A serial number that is an object is a mistake; attributes are one by nature."""
    mapping = {"topic": "#", "kind": "event", "event": "e", "rest": "attributes"}
    mapping["columns"] = {"unit": "text", "attributes": "text"}

    sink, _ = mapped(mapping, {"unit": "SN1", "attributes": {"b": 1, "a": [2]}})
    assert '{"a":[2],"b":1}' == sink.events("e")[0]["attributes"]

    sink, rejects = mapped(mapping, {"unit": {"serial": "SN1"}})
    assert [] == sink.events("e")
    assert "'unit'" in rejects[0].reason


def test_a_message_is_all_or_nothing():
    """Half a message would come again as a whole one."""
    sink, rejects = mapped({**SAMPLES, "type": "float64"}, {"ts": 1, "a": 1.0, "b": "x"})

    assert sink.rows() == []
    assert len(rejects) == 1


EVENTS = {
    "topic": "plant/+/meter/+",
    "kind": "event",
    "event_path": "kind",
    "time": {"path": "ts", "unit": "iso"},
    "id": {"source": "source", "sequence": "seq"},
    "columns": {"source": "symbol", "attributes": "text"},
    "rest": "attributes",
    "kinds": {
        "unit_arrived": {"unit": "text", "station": "symbol"},
        "test_result": {"unit": "text", "value": {"path": "result.value", "type": "float64"}},
    },
}
ARRIVED = {
    "kind": "unit_arrived",
    "ts": "2026-11-22T11:52:56.174000001+01:00",
    "source": "S1",
    "seq": 9,
    "unit": "U1",
    "station": "S1",
    "shift": "late",
}


def test_an_event_names_its_kind_and_fills_its_columns():
    """Columns of the kind first, shared ones behind, everything else in one of them."""
    sink, rejects = mapped(EVENTS, ARRIVED)

    assert rejects == ()
    (event,) = sink.events("unit_arrived")
    moment = datetime(2026, 11, 22, 10, 52, 56, tzinfo=UTC)
    assert event["timestamp_ns"] == int(moment.timestamp()) * SECOND + 174_000_001
    assert (event["unit"], event["station"], event["source"]) == ("U1", "S1", "S1")
    assert event["attributes"] == '{"shift":"late"}'
    assert [c.name for c in sink.batches[0].columns] == [
        "unit",
        "station",
        "source",
        "attributes",
    ]


def test_a_redelivered_event_has_the_same_id_and_another_one_has_not():
    """Identity survives redelivery: by source and sequence, else by content."""
    without_id = {key: value for key, value in EVENTS.items() if key != "id"}
    for mapping in (EVENTS, without_id):
        ids = [
            mapped(mapping, message)[0].events("unit_arrived")[0]["event_id"]
            for message in (ARRIVED, dict(reversed(ARRIVED.items())), {**ARRIVED, "seq": 10})
        ]
        assert ids[0] == ids[1]
        assert ids[0] != ids[2]


def test_unknown_kinds_and_missing_columns():
    """A kind nobody configured is refused; a column that is not there is null."""
    _, rejects = mapped(EVENTS, {**ARRIVED, "kind": "party"})
    assert "party" in rejects[0].reason

    sink, _ = mapped(EVENTS, {**ARRIVED, "kind": "test_result", "result": {"value": 4}})
    assert sink.events("test_result")[0]["value"] == 4.0
    sink, _ = mapped(EVENTS, {**ARRIVED, "kind": "test_result"})
    assert sink.events("test_result")[0]["value"] is None


def test_the_first_mapping_that_takes_a_message_is_used():
    """`when` tells messages of one topic apart."""
    first = {**SAMPLES, "value": "v", "address": "one", "when": {"path": "t", "equals": 1}}
    mapper = mapper_of(first, {**SAMPLES, "value": "v", "address": "two"})
    mapper.add("plant/a/meter/b", b'{"ts": 1, "t": 1, "v": 1}', 0)
    mapper.add("plant/a/meter/b", b'{"ts": 1, "t": 2, "v": 1}', 0)
    mapper.add("elsewhere", b"1", 0)
    batches, rejects = mapper.take()

    assert batches[0].addresses == ("one", "two")
    assert [reject.address for reject in rejects] == ["elsewhere"]


@pytest.mark.parametrize(
    ("topic_filter", "topic", "wanted"),
    [
        ("a/b", "a/b", True),
        ("a/+", "a/b", True),
        ("a/+", "a", False),
        ("a/+", "a/b/c", False),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("#", "a", True),
        ("#", "$SYS/x", False),
        ("+/x", "$SYS/x", False),
        ("$SYS/#", "$SYS/x", True),
        ("a/+/c", "a//c", True),
    ],
)
def test_topic_filters_follow_the_specification(topic_filter, topic, wanted):
    """MQTT 5.0, 4.7."""
    assert wanted is topic_matches(topic_filter, topic)


@given(st.integers(-(2**63), 2**63 - 1))
def test_nanoseconds_are_kept_exactly(value):
    """Written as a number or as text, whatever the size."""
    assert value == time_ns(value, "ns") == time_ns(str(value), "ns")


@given(st.integers(0, 2**41))
def test_decimal_seconds_are_kept_as_written(milliseconds):
    """A float is read as its shortest text: that is what the sender wrote."""
    assert milliseconds * 1_000_000 == time_ns(milliseconds / 1000, "s")
    assert milliseconds * 1_000_000 == time_ns(milliseconds, "ms")


@given(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)))  # noqa: DTZ001 - zone below
def test_iso_times_agree_with_the_standard_library(moment):
    """Microseconds and zones."""
    aware = moment.replace(tzinfo=UTC)
    since = aware - datetime(1970, 1, 1, tzinfo=UTC)
    expected = (since.days * 86_400 + since.seconds) * SECOND + since.microseconds * 1_000

    assert expected == time_ns(aware.isoformat(), "iso")
    assert expected == time_ns(moment.isoformat() + "Z", "iso")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(JSON | st.dictionaries(st.sampled_from(["ts", "kind", "source", "seq", "unit"]), JSON))
def test_any_json_is_mapped_or_rejected(message):
    """Nothing a device sends may end the connector."""
    for mapping in (SAMPLES, EVENTS, {**EVENTS, "kind": "events", "items": "ts"}):
        sink, rejects = mapped(mapping, json.dumps(message).encode())
        assert bool(sink.batches) + len(rejects) <= 4
        for batch in sink.batches:
            assert len(batch) > 0


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"topics": "x"}, "topics"),
        ({"topic": "a/#/b"}, "topic"),
        ({"kind": "sample"}, "kind"),
        ({"kind": "event"}, "event"),
        ({"kind": "events", "event": "x"}, "items"),
        ({"time": {"path": "ts", "unit": "h"}}, "unit"),
        ({"time": {"unit": "s"}}, "path"),
        ({"value": "a["}, "value"),
        ({"type": "double"}, "type"),
        ({"address": "{topik}"}, "address"),
        ({"quality": {"path": "q", "codes": {"A": -1}}}, "codes"),
        ({"columns": {"a": "int"}}, "columns"),
        ({"columns": {"a": {"type": "text", "from": "b"}}}, "from"),
    ],
)
def test_wrong_mappings_are_refused_by_name(wrong, word):
    """A person must find the line to mend."""
    with pytest.raises(ConfigError, match=word):
        mapper_of({**SAMPLES, **wrong})


def test_the_sample_file_is_a_valid_configuration():
    """It is the documentation of the settings."""
    path = Path(connectors.payload.__file__).parent / "sample.toml"
    tables = Table(tomllib.loads(path.read_text(encoding="utf-8")), "sample").tables("mappings")

    kinds = [mapping.kind for mapping in read_mappings(tables)]
    assert ["samples", "event", "event", *sorted(CONVENTIONS)] == [*kinds[:3], *sorted(kinds[3:])]
