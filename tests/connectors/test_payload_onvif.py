"""ONVIF over MQTT and Axis' event bridge: properties paired, happenings as they are."""

import json

import pytest

from connectors.payload.testing import RECEIVED_NS, map_messages, new_mapper, send

ONVIF = {"topic": "#", "kind": "onvif"}
AXIS = {"topic": "#", "kind": "axis"}
TOPIC = "cam7/onvif-ej/RuleEngine/FieldDetector/ObjectsInside/&1/Fence1"
AT = 1_795_348_376_000_000_000
SECOND_NS = 1_000_000_000


def state(inside, second=0, topic=TOPIC, **more):
    """A property event."""
    body = {
        "UtcTime": f"2026-11-22T11:52:{56 + second:02}Z",
        "Source": {"VideoSource": "1", "Rule": "Fence1"},
        "Key": {"ObjectId": "15"},
        "Data": {"IsInside": inside},
        **more,
    }
    return topic, body


@pytest.mark.parametrize(("true", "false"), [(True, False), ("true", "false"), ("1", "0")])
def test_a_property_is_one_event_from_true_to_false(true, false):
    """Paired by topic, source and key; its state is a tag besides."""
    mapped = map_messages(ONVIF, state(true), state(true, 1), state(false, 3))

    (event,) = mapped.events
    attributes = json.loads(event.pop("attributes"))
    event.pop("event_id")
    assert {
        "timestamp_ns": AT + 3 * SECOND_NS,
        "camera": "cam7/1",
        "source": "cam7",
        "event": "presence",
        "label": "RuleEngine/FieldDetector/ObjectsInside",
        "start_ns": AT,
        "end_ns": AT + 3 * SECOND_NS,
    } == event
    assert attributes["key"] == {"ObjectId": "15"}
    tag = "cam7/RuleEngine/FieldDetector/ObjectsInside/1/Fence1/15"
    assert [(tag, True), (tag, True), (tag, False)] == [
        (address, value) for address, _, _, value in mapped.sink.rows()
    ]


def test_the_same_messages_give_the_same_event_after_a_restart():
    """A false that nobody knows the start of is a state, not an event."""
    pair = state(True), state(False, 3)

    assert map_messages(ONVIF, *pair).events == map_messages(ONVIF, *pair).events
    alone = map_messages(ONVIF, pair[1])
    assert alone.events == []
    assert [False] == list(alone.values.values())
    assert {"vision_starts_missing": 1} == alone.counts


def test_objects_and_sources_are_paired_each_for_itself():
    """Two objects in one field overlap."""
    mapped = map_messages(
        ONVIF,
        state(True, 0),
        state(True, 1, Key={"ObjectId": "16"}),
        state(False, 2),
        state(False, 3, Key={"ObjectId": "16"}),
    )

    assert [(0, 2), (1, 3)] == [
        ((e["start_ns"] - AT) // SECOND_NS, (e["end_ns"] - AT) // SECOND_NS) for e in mapped.events
    ]


def test_a_property_without_an_end_is_given_up_and_voided_by_the_whole():
    """An hour of motion, if the configuration says so, is told before it ends."""
    mapper = new_mapper({**ONVIF, "open_max_s": 60})
    send(mapper, [state(True)])

    open_ = send(mapper, [state(True, 1, topic=TOPIC + "2")], RECEIVED_NS + 61 * SECOND_NS)
    end = send(mapper, [state(False, 3)], RECEIVED_NS + 62 * SECOND_NS)

    assert open_.events == [] or open_.events[0].get("end_ns") is None
    assert 1 == open_.counts["vision_ends_missing"] == len(open_.events)
    assert end.events[0]["voids"] == open_.events[0]["event_id"]


def test_a_happening_without_a_state_is_an_event_of_one_moment():
    """A line was crossed; a counter has a new value."""
    topic = "cam7/onvif-ej/RuleEngine/LineDetector/Crossed/&1/Fence1"
    crossed = state(None, topic=topic, Data={"ObjectId": "15"})
    counted = state(None, topic=topic.replace("Crossed", "CountAggregation"), Data={"Count": 7})

    first, second = map_messages(ONVIF, crossed, counted).events

    assert (AT, AT) == (first["start_ns"], first["end_ns"])
    assert ("presence", "count") == (first["event"], second["event"])
    assert json.loads(second["attributes"])["data"] == {"Count": 7}
    assert map_messages(ONVIF, crossed).events == [first]


def test_a_deleted_property_is_counted():
    """An empty retained message takes it away."""
    mapped = map_messages(ONVIF, (TOPIC, b""))

    assert {"onvif_properties_deleted": 1} == mapped.counts
    assert mapped.rejects == ()


def test_axis_bridges_the_same_with_the_topic_in_the_payload():
    """Namespaces go, texts of 1 and 0 are states."""

    def body(active, second):
        return {
            "topic": "tns1:Device/tnsaxis:IO/VirtualInput",
            "timestamp": 1795348376000 + second * 1000,
            "serial": "ACCC8E123456",
            "message": {"source": {"port": "3"}, "key": {}, "data": {"active": active}},
        }

    mapped = map_messages(AXIS, ("axis/event/x", body("1", 0)), ("axis/event/x", body("0", 2)))

    (event,) = mapped.events
    assert ("ACCC8E123456", "Device/IO/VirtualInput") == (event["camera"], event["label"])
    assert (AT, AT + 2 * SECOND_NS) == (event["start_ns"], event["end_ns"])


@pytest.mark.parametrize(
    ("mapping", "topic", "body", "word"),
    [
        (ONVIF, "cam7/events/x", {}, "onvif-ej"),
        (ONVIF, "cam7/onvif-ej/&1", {}, "event's topic"),
        (ONVIF, TOPIC, {"Source": {}}, "cannot read time"),
        (ONVIF, TOPIC, {"UtcTime": "2026-11-22T11:52:56Z", "Data": [1]}, "want an object"),
        (ONVIF, TOPIC, b"\xff", "no JSON"),
        (AXIS, "a", {"topic": "x"}, "want text and an object"),
        (AXIS, "a", {"topic": "x", "message": {}, "timestamp": "now"}, "cannot read time"),
    ],
)
def test_what_does_not_fit_is_refused(mapping, topic, body, word):
    """With its reason."""
    mapped = map_messages(mapping, (topic, body))

    assert word in mapped.rejects[0].reason
    assert mapped.sink.batches == []
