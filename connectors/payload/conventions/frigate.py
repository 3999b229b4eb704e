"""Frigate: tracked objects and reviews become one event each at their end; counts are tags."""

from typing import Any

import orjson

from connectors.payload.conventions.vision import Pairs, Started, checked, number, text
from connectors.payload.found import Found, Message
from connectors.payload.times import time_ns
from connectors.payload.values import Refused, shown
from connectors.settings import Table
from storage_engine.sample import source_event_id

_WORDS = {"ON": True, "OFF": False, "online": True, "offline": False, "stopped": False}
_PICTURES = {"snapshot", "thumbnail", "latest"}
_KEPT = (
    "sub_label",
    "current_zones",
    "entered_zones",
    "box",
    "area",
    "region",
    "stationary",
    "motionless_count",
    "position_changes",
    "attributes",
    "average_estimated_speed",
    "velocity_angle",
    "recognized_license_plate",
    "recognized_license_plate_score",
    "false_positive",
    "has_snapshot",
)


class Frigate:
    """Pairs what Frigate tells of an object from ``new`` to ``end``.

    Parameters
    ----------
    table : Table
        ``prefix``: of Frigate's topics, default ``frigate``; and the bounds of ``Pairs``.
    """

    timed = False  # events have a time; counts and states have none

    def __init__(self, table: Table) -> None:
        self._prefix = table.text("prefix", "frigate")
        self._pairs = Pairs(table)

    def map(self, message: Message, found: Found) -> None:
        """Map by what stands behind the prefix."""
        if not message.topic.startswith(self._prefix + "/"):
            got, want = shown(message.topic), f"one under {self._prefix}/"
            raise Refused(f"cannot map topic: got {got}, want {want}")
        rest = message.topic.removeprefix(self._prefix + "/").split("/")
        if rest == ["events"]:
            self._lifecycle(message, _tracked, "event", found)
        elif rest == ["reviews"]:
            self._lifecycle(message, _review, "review", found)
        elif rest == ["stats"]:
            found.fields(message.topic, message.object(), message.received_ns)
        elif rest[-1] in _PICTURES:
            found.counts["vision_pictures"] += 1  # frames are no history of values
        else:
            self._value(message, rest, found)
        self._pairs.give_up(message.received_ns, found)

    def _value(self, message: Message, rest: list[str], found: Found) -> None:
        address = f"{self._prefix}/online" if rest == ["available"] else message.topic
        body = message.text()
        try:
            value: object = _WORDS[body] if body in _WORDS else orjson.loads(body)
        except orjson.JSONDecodeError:
            value = body
        if rest[-1] == "set" or not isinstance(value, bool | int | float):
            got = f"{shown(message.topic)} with {shown(value)}"
            want = "events, reviews, stats, a count or ON/OFF"
            raise Refused(f"cannot map message: got {got}, want {want}")
        found.sample(address, message.received_ns, value)

    def _lifecycle(self, message: Message, read: Any, what: str, found: Found) -> None:
        body = message.object()
        phase, after = body.get("type"), body.get("after")
        if phase not in ("new", "update", "end") or not isinstance(after, dict):
            got = f"type {shown(phase)} with after {shown(after)}"
            raise Refused(f"cannot read {what}: got {got}, want new, update or end with an object")
        id_, camera = text(after.get("id")), text(after.get("camera"))
        if id_ is None or camera is None:
            got = f"id {shown(id_)}, camera {shown(camera)}"
            raise Refused(f"cannot read {what}: got {got}, want texts")
        start_ns = _seconds(after.get("start_time"))
        columns = checked({"camera": camera, "source": self._prefix, **read(after)})
        source = f"{self._prefix}/{what}"
        if phase != "end":
            started = Started(source, id_, start_ns, message.received_ns, columns)
            self._pairs.start((what, id_), started)
            found.counts["vision_updates"] += 1
            return
        end_ns = _seconds(after.get("end_time"))
        event_id = source_event_id(source, f"{id_}/end")
        _, voids = self._pairs.end((what, id_))
        found.event(
            "vision_event",
            end_ns,
            event_id,
            start_ns=start_ns,
            end_ns=end_ns,
            voids=voids,
            **columns,
        )


def _seconds(raw: object) -> int:
    try:
        return time_ns(raw, "s")
    except ValueError as error:
        raise Refused(str(error)) from None


def _tracked(after: dict[str, Any]) -> dict[str, Any]:
    confidence = number(after.get("top_score"))
    return {
        "event": "presence",
        "label": text(after.get("label")),
        "confidence": number(after.get("score")) if confidence is None else confidence,
        "clip": after["id"] if after.get("has_clip") is True else None,
        "attributes": {
            "frigate_id": after["id"],
            **{key: after[key] for key in _KEPT if key in after},
        },
    }


def _review(after: dict[str, Any]) -> dict[str, Any]:
    data = after.get("data")
    return {
        "event": "presence",
        "label": text(after.get("severity")),
        "clip": after["id"],
        "attributes": {"frigate_review": after["id"], "data": data},
    }
