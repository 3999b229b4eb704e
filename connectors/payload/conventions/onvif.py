"""ONVIF events over MQTT, and the same from Axis' event bridge.

A property that becomes true and false again is one event. Its state is kept as a tag too: it is
the one thing that still tells the end when the start was heard by a run before.
"""

from typing import Any

from connectors.payload.conventions.vision import Pairs, Started, checked
from connectors.payload.found import Found, Message
from connectors.payload.times import is_set, time_ns
from connectors.payload.values import Refused, canonical, shown
from connectors.settings import Table
from storage_engine.sample import content_event_id, source_event_id

_STATES = ("State", "LogicalState", "Value", "Active", "active", "Motion", "Alarm")
_TRUTH = {True: True, False: False, "true": True, "false": False, "1": True, "0": False}
_CAMERA = ("VideoSource", "VideoSourceToken", "VideoSourceConfigurationToken", "Source")
_Happening = tuple[str, str, dict[str, Any], dict[str, Any], dict[str, Any]]


class Onvif:
    """Topics ``<prefix>/onvif-ej/<topic>/&<source values>``.

    Parameters
    ----------
    table : Table
        The bounds of ``Pairs``.
    """

    timed = True

    def __init__(self, table: Table) -> None:
        self._pairs = Pairs(table)

    def map(self, message: Message, found: Found) -> None:
        """Map one event; an empty message says that a property is gone."""
        device, topic = _split(message.levels)
        if not message.payload:
            found.counts["onvif_properties_deleted"] += 1
        else:
            body = message.object()
            at = _time(body.get("UtcTime"), "iso", message.received_ns, found)
            source, key, data = (_part(body, name) for name in ("Source", "Key", "Data"))
            self._happening((device, topic, source, key, data), at, message.received_ns, found)
        self._pairs.give_up(message.received_ns, found)

    def _happening(self, what: _Happening, at: int, received_ns: int, found: Found) -> None:
        device, topic, source, key, data = what
        identity = canonical([device, topic, source, key])
        item = _state_of(data)
        columns = checked(_columns(what))
        if item is None:
            event_id = content_event_id(canonical([*what, at]))
            found.event("vision_event", at, event_id, start_ns=at, end_ns=at, **columns)
            return
        state = _TRUTH[data[item]]
        values = [str(value) for value in (*source.values(), *key.values())]
        found.sample("/".join([part for part in (device, topic, *values) if part]), at, state)
        if state:
            if self._pairs.started(identity) is None:  # told again is no new start
                sequence = f"{identity.hex()}/{at}"
                started = Started(f"onvif/{device}", sequence, at, received_ns, columns)
                self._pairs.start(identity, started)
            found.counts["vision_updates"] += 1
            return
        start, voids = self._pairs.end(identity)
        if start is None:
            found.counts["vision_starts_missing"] += 1  # mostly the state when we came
            return
        event_id = source_event_id(f"onvif/{device}", f"{identity.hex()}/{at}")
        found.event(
            "vision_event",
            at,
            event_id,
            start_ns=start.start_ns,
            end_ns=at,
            voids=voids,
            **start.columns,
        )


class Axis(Onvif):
    """Topics ``<prefix>/event/..`` of Axis devices, with the topic in the payload."""

    def map(self, message: Message, found: Found) -> None:
        """Map one event."""
        body = message.object()
        topic, inner = body.get("topic"), body.get("message")
        if not isinstance(topic, str) or not isinstance(inner, dict):
            got = f"topic {shown(topic)}, message {shown(inner)}"
            raise Refused(f"cannot read event: got {got}, want text and an object")
        at = _time(body.get("timestamp"), "ms", message.received_ns, found)
        source, key, data = (_part(inner, name) for name in ("source", "key", "data"))
        device = body.get("serial", message.topic.split("/")[0])
        if not isinstance(device, str):
            raise Refused(f"cannot read serial: got {shown(device)}, want text")
        plain = "/".join(level.split(":")[-1] for level in topic.split("/"))
        self._happening((device, plain, source, key, data), at, message.received_ns, found)
        self._pairs.give_up(message.received_ns, found)


def _split(levels: list[str]) -> tuple[str, str]:
    if "onvif-ej" not in levels:
        raise Refused(f"cannot map topic: got {shown('/'.join(levels))}, want onvif-ej in it")
    position = levels.index("onvif-ej")
    behind = levels[position + 1 :]
    end = next((i for i, level in enumerate(behind) if level.startswith("&")), len(behind))
    if not end:
        raise Refused("cannot map topic: got nothing behind onvif-ej, want the event's topic")
    return "/".join(levels[:position]), "/".join(behind[:end])


def _part(body: dict[str, Any], name: str) -> dict[str, Any]:
    found = body.get(name) or {}
    if not isinstance(found, dict):
        raise Refused(f"cannot read {name}: got {shown(found)}, want an object")
    return found


def _time(raw: object, unit: str, received_ns: int, found: Found) -> int:
    try:
        at = time_ns(raw, unit)
    except ValueError as error:
        raise Refused(str(error)) from None
    if is_set(at):
        return at
    found.counts["clock_not_set"] += 1
    return received_ns


def _state_of(data: dict[str, Any]) -> str | None:
    """Name of the item that makes it a property with a state: true or false by its name or word."""
    named = [k for k in data if k in _STATES or k.startswith("Is")]
    for name in named:
        if isinstance(data[name], bool | str) and data[name] in _TRUTH:
            return name
    words = [k for k, value in data.items() if value in (True, False, "true", "false")]
    words = [k for k in words if isinstance(data[k], bool | str)]
    return words[0] if len(words) == 1 else None


def _columns(what: _Happening) -> dict[str, Any]:
    device, topic, source, key, data = what
    token = next((source[name] for name in _CAMERA if name in source), "")
    camera = "/".join(part for part in (device, str(token)) if part)
    return {
        "camera": camera or topic,
        "source": device or None,
        "event": "count" if "Count" in topic else "presence",
        "label": topic,
        "attributes": {"source": source or None, "key": key or None, "data": data or None},
    }
