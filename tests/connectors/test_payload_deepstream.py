"""DeepStream and Metropolis: entries and exits paired, tracks ended, frames counted."""

import json

import pytest

from connectors.payload.testing import RECEIVED_NS, map_messages, new_mapper, send

DEEPSTREAM = {"topic": "ds/#", "kind": "deepstream"}
AT = 1_795_348_376_000_000_000
SECOND_NS = 1_000_000_000


def told(what, second=0, number=1, **more):
    """A message of the full schema."""
    body = {
        "messageid": f"84a3a0ad-7eb8-49a2-9aa7-{number:012}",
        "mdsversion": "1.0",
        "@timestamp": f"2026-11-22T11:52:{56 + second:02}.000Z",
        "place": {"id": "1", "name": "hall 3", "type": "plant", "entrance": {"name": "gate"}},
        "sensor": {"id": "CAM_17", "type": "Camera", "description": "north"},
        "analyticsModule": {"id": "peoplenet", "version": "2.3", "confidence": 0.5},
        "object": {
            "id": "4711",
            "speed": 1.25,
            "direction": 90,
            "person": {"age": 0, "gender": "", "confidence": 0.87},
            "bbox": {"topleftx": 1, "toplefty": 2, "bottomrightx": 30, "bottomrighty": 40},
        },
        "event": {"id": "4b8436ab", "type": what},
        "videoPath": "s3://clips/17.mp4",
        **more,
    }
    return "ds/hall3", body


def test_entry_and_exit_are_one_event():
    """Paired by sensor and object; the event is of the time of the exit."""
    mapped = map_messages(DEEPSTREAM, told("entry"), told("exit", 3, 2))

    (event,) = mapped.events
    attributes = json.loads(event.pop("attributes"))
    event.pop("event_id")
    assert {
        "timestamp_ns": AT + 3 * SECOND_NS,
        "camera": "CAM_17",
        "source": "CAM_17",
        "event": "presence",
        "label": "person",
        "confidence": 0.87,
        "model": "peoplenet",
        "model_version": "2.3",
        "start_ns": AT,
        "end_ns": AT + 3 * SECOND_NS,
        "clip": "s3://clips/17.mp4",
    } == event
    assert ("exit", "payload", "hall 3") == tuple(
        attributes[name] for name in ("type", "time_source", "place")
    )


def test_the_same_messages_give_the_same_ids_after_a_restart():
    """And an exit alone has the id of the pair, so that it is never a second event."""
    pair = told("entry"), told("exit", 3, 2)

    first, again = map_messages(DEEPSTREAM, *pair), map_messages(DEEPSTREAM, *pair)
    alone = map_messages(DEEPSTREAM, pair[1])

    assert first.events == again.events
    assert alone.events[0]["event_id"] == first.events[0]["event_id"]
    assert "start_ns" not in alone.events[0]
    assert json.loads(alone.events[0]["attributes"])["pairing"] == "no start"
    assert {"vision_starts_missing": 1} == alone.counts


def test_an_entry_without_an_exit_is_given_up():
    """With its end unknown."""
    mapper = new_mapper({**DEEPSTREAM, "open_max_s": 10})
    send(mapper, [told("entry")])

    mapped = send(mapper, [told("moving", 3, 2)], RECEIVED_NS + 11 * SECOND_NS)

    assert [None, AT + 3 * SECOND_NS] == sorted(
        (event.get("end_ns") for event in mapped.events), key=lambda end: end or 0
    )
    assert {"vision_updates": 1, "vision_ends_missing": 1} == mapped.counts


def test_a_pipeline_without_a_clock_is_of_the_time_of_arrival_and_says_so():
    """Without NTP DeepStream counts from 1970."""
    topic, body = told("stopped")
    body["@timestamp"] = "1970-01-01T00:01:11.400Z"

    mapped = map_messages(DEEPSTREAM, (topic, body))

    assert RECEIVED_NS == mapped.events[0]["timestamp_ns"]
    assert json.loads(mapped.events[0]["attributes"])["time_source"] == "arrival"
    assert {"clock_not_set": 1} == mapped.counts


def frame(second, *objects, sensor="CAM_17"):
    """A message of the minimal schema."""
    stamp = f"2026-11-22T11:52:{second:02}.000Z"
    body = {"version": "4.0", "id": f"{second}", "@timestamp": stamp, "sensorId": sensor}
    return "ds/frames", {**body, "objects": list(objects)}


def test_frames_are_counts_per_label_and_a_label_that_went_is_at_zero():
    """Boxes per frame are no history; how many of what is."""
    mapped = map_messages(
        DEEPSTREAM,
        frame(1, "1|10|20|30|40|person|#|||0.9", "2|1|2|3|4|forklift", "3|1|2|3|4|person"),
        frame(2, "2|1|2|3|4|forklift"),
        frame(3),
    )

    rows = [(address, value) for address, _, _, value in mapped.sink.rows()]
    assert [("CAM_17/objects", 3.0), ("CAM_17/objects", 1.0), ("CAM_17/objects", 0.0)] == [
        row for row in rows if row[0].endswith("/objects")
    ]
    assert [2.0, 0.0] == [value for address, value in rows if address.endswith("/person")]
    assert [1.0, 1.0, 0.0] == [value for address, value in rows if address.endswith("/forklift")]


def test_a_track_is_one_event_when_it_was_not_seen_for_a_while():
    """From the first to the last sight, with the best it was taken for."""
    mapper = new_mapper(DEEPSTREAM)
    sent = [
        frame(1, "7|1|2|3|4|person|#|||0.5"),
        frame(2, "7|1|2|3|4|forklift|#|||0.9"),
        frame(4, "7|1|2|3|4|person|#|||0.6", "18446744073709551615|1|2|3|4|person"),
        frame(9),
        frame(10),
    ]

    mapped = send(mapper, sent)

    start = AT - 55 * SECOND_NS
    (event,) = mapped.events
    assert (start, start + 3 * SECOND_NS) == (event["start_ns"], event["end_ns"])
    assert ("forklift", 0.9) == (event["label"], event["confidence"])
    assert event["event_id"] == map_messages(DEEPSTREAM, *sent[2:]).events[0]["event_id"]


def test_tracks_of_a_silent_camera_end_and_tracks_are_bounded():
    """Its last frame will not come."""
    mapper = new_mapper({**DEEPSTREAM, "tracks_max": 2})
    send(mapper, [frame(1, "1|1|2|3|4|person")])

    other = send(
        mapper,
        [frame(20, *(f"{n}|1|2|3|4|pallet" for n in range(5)), sensor="CAM_18")],
        RECEIVED_NS + 19 * SECOND_NS,
    )

    assert [("CAM_17", "person")] + 3 * [("CAM_18", "pallet")] == [
        (event["camera"], event["label"]) for event in other.events
    ]


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (told("entry", sensor={})[1], "sensor.id"),
        (told("entry", event={})[1], "event.type"),
        (told("entry", object=[])[1], "want an object"),
        ({**told("entry")[1], "@timestamp": "now"}, "cannot read time"),
        (frame(1, "1|2|3")[1], "left|top"),
        (frame(1, 5)[1], "left|top"),
        (frame(1, "1|1|2|3|4|" + "x" * 1_200)[1], "1000 characters"),
        ({**frame(1)[1], "sensorId": None}, "sensorId"),
        ([], "want an object"),
    ],
)
def test_what_does_not_fit_is_refused_whole(body, word):
    """With its reason."""
    mapped = map_messages(DEEPSTREAM, ("ds/x", body))

    assert word in mapped.rejects[0].reason
    assert mapped.sink.batches == []
