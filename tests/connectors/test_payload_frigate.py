"""Frigate: one event per tracked object, from what it tells between new and end."""

import json

import pytest

from connectors.payload.testing import RECEIVED_NS, map_messages, new_mapper, send

FRIGATE = {"topic": "frigate/#", "kind": "frigate"}
START, END = 1_795_348_370_250_000_000, 1_795_348_375_500_000_000
MINUTE_NS = 60_000_000_000


def told(phase, **more):
    """A message of frigate/events, as 0.18 documents it."""
    after = {
        "id": "1795348370.25-k2nbhy",
        "camera": "dock",
        "frame_time": 1795348372.1,
        "snapshot": {"frame_time": 1795348371.0, "box": [1, 2, 3, 4], "score": 0.9},
        "label": "person",
        "sub_label": ["Ann", 0.83],
        "top_score": 0.958,
        "false_positive": False,
        "start_time": 1795348370.25,
        "end_time": None,
        "score": 0.79,
        "box": [424, 500, 536, 712],
        "area": 23744,
        "region": [264, 450, 667, 853],
        "current_zones": ["gate"],
        "entered_zones": ["yard", "gate"],
        "thumbnail": None,
        "has_snapshot": True,
        "has_clip": True,
        "stationary": False,
        "motionless_count": 0,
        "position_changes": 2,
        "attributes": {"face": 0.64},
        "recognized_license_plate": None,
        **more,
    }
    return "frigate/events", {"type": phase, "before": {**after}, "after": after}


NEW, UPDATE, LAST = told("new"), told("update", score=0.9), told("end", end_time=1795348375.5)


def test_an_object_is_one_event_with_start_and_end():
    """New and update are no rows: an event is never replaced."""
    mapped = map_messages(FRIGATE, NEW, UPDATE, LAST)

    (event,) = mapped.events
    attributes = json.loads(event.pop("attributes"))
    event.pop("event_id")
    assert {
        "timestamp_ns": END,
        "camera": "dock",
        "source": "frigate",
        "event": "presence",
        "label": "person",
        "confidence": 0.958,
        "start_ns": START,
        "end_ns": END,
        "clip": "1795348370.25-k2nbhy",
    } == event
    assert attributes["entered_zones"] == ["yard", "gate"]
    assert attributes["sub_label"] == ["Ann", 0.83]
    assert "recognized_license_plate" in json.loads(json.dumps(NEW[1]["after"]))
    assert {"vision_updates": 2} == mapped.counts
    assert mapped.rejects == ()


def test_after_a_restart_the_same_end_is_the_same_event():
    """The end says all there is, so a redelivery changes nothing without the start."""
    whole, end = map_messages(FRIGATE, NEW, UPDATE, LAST), map_messages(FRIGATE, LAST)

    assert whole.events == end.events


def test_an_object_without_an_end_is_given_up_and_voided_when_the_end_comes():
    """A Frigate that restarts never says end; a car may stay for days and then drive away."""
    mapper = new_mapper({**FRIGATE, "open_max_s": 60})
    send(mapper, [NEW])

    early = send(mapper, [("frigate/available", b"online")], RECEIVED_NS + MINUTE_NS)
    late = send(mapper, [("frigate/available", b"online")], RECEIVED_NS + MINUTE_NS + 1)
    again = send(mapper, [UPDATE], RECEIVED_NS + 2 * MINUTE_NS)
    twice = send(mapper, [("frigate/available", b"online")], RECEIVED_NS + 4 * MINUTE_NS)
    end = send(mapper, [LAST], RECEIVED_NS + 5 * MINUTE_NS)

    assert early.events == again.events == twice.events == []
    (open_,) = late.events
    assert open_["timestamp_ns"] == open_["start_ns"] == START
    assert "end_ns" not in open_
    assert json.loads(open_["attributes"])["pairing"] == "no end"
    assert late.counts["vision_ends_missing"] == 1
    assert end.events[0]["voids"] == open_["event_id"]
    assert end.events[0]["event_id"] == map_messages(FRIGATE, LAST).events[0]["event_id"]


def test_what_is_open_is_bounded():
    """The oldest is given up, not forgotten."""
    mapper = new_mapper({**FRIGATE, "open_max": 2})

    mapped = send(mapper, [told("new", id=f"{n}") for n in range(5)])

    assert ["0", "1", "2"] == [json.loads(e["attributes"])["frigate_id"] for e in mapped.events]


def test_a_review_is_one_event_too():
    """Its label is the severity; its data says which detections it sums up."""
    after = {
        "id": "1795348370.25-abc",
        "camera": "dock",
        "start_time": 1795348370.25,
        "end_time": 1795348375.5,
        "severity": "alert",
        "thumb_path": "/media/frigate/clips/review/x.webp",
        "data": {"detections": ["1795348370.25-k2nbhy"], "objects": ["person"], "zones": []},
    }

    (event,) = map_messages(FRIGATE, ("frigate/reviews", {"type": "end", "after": after})).events

    assert ("alert", START, END) == (event["label"], event["start_ns"], event["end_ns"])
    assert "k2nbhy" in event["attributes"]


def test_counts_and_states_are_tags():
    """Numbers per camera, zone and object; motion; whether Frigate is there."""
    mapped = map_messages(
        FRIGATE,
        ("frigate/dock/person", b"2"),
        ("frigate/dock/motion", b"ON"),
        ("frigate/dock/detect/state", b"OFF"),
        ("frigate/available", b"offline"),
        ("frigate/stats", {"cameras": {"dock": {"camera_fps": 5.1}}}),
        ("frigate/dock/person/snapshot", b"\xff\xd8\xff\xe0"),
    )

    assert {
        "frigate/dock/person": 2.0,
        "frigate/dock/motion": True,
        "frigate/dock/detect/state": False,
        "frigate/online": False,
        "frigate/stats/cameras.dock.camera_fps": 5.1,
    } == mapped.values
    assert {"vision_pictures": 1} == mapped.counts


def deep(levels):
    """Lists in lists."""
    return b"[" * levels + b"]" * levels


@pytest.mark.parametrize(
    ("topic", "body", "word"),
    [
        ("frigate/events", {"type": "gone", "after": {}}, "new, update or end"),
        ("frigate/events", {"type": "end", "after": {"camera": "a"}}, "want texts"),
        (*told("end"), "cannot read time"),
        (*told("new", start_time="soon"), "cannot read time"),
        (*told("new", box=["x" * 20_000]), "bytes"),
        (*told("new", camera="x" * 1_001), "1000"),
        ("frigate/tracked_object_update", {"type": "description", "id": "1"}, "events, reviews"),
        ("frigate/dock/detect/set", b"ON", "events, reviews"),
        ("cctv/events", {}, "under frigate/"),
        (
            "frigate/events",
            b'{"type":"new","after":{"id":"1","camera":"c","start_time":1,"box":'
            + deep(600)
            + b"}}",
            "cannot keep content",
        ),
    ],
)
def test_what_does_not_fit_is_refused_and_not_remembered(topic, body, word):
    """Nothing refused may come back as an event later."""
    mapper = new_mapper({**FRIGATE, "topic": "#", "open_max_s": 1})

    mapped = send(mapper, [(topic, body)])
    later = send(mapper, [("frigate/available", b"online")], RECEIVED_NS + MINUTE_NS)

    assert word in mapped.rejects[0].reason
    assert mapped.events == later.events == []
