"""NVIDIA DeepStream and Metropolis: the full schema, one object per message, and the minimal one.

An object that enters and leaves is one event. Of the minimal schema, one frame per message, the
counts per label are tags, and a track is one event when it was not seen for ``track_gap_s``.
"""

from typing import Any

from connectors.payload.conventions.deepstream_tracks import Tracks
from connectors.payload.conventions.vision import Pairs, Started, checked, number, text
from connectors.payload.found import Found, Message
from connectors.payload.times import is_set, time_ns
from connectors.payload.values import Refused, canonical, shown
from connectors.settings import Table
from storage_engine.sample import content_event_id, source_event_id

_NO_CLASS = {"bbox", "location", "coordinate", "orientation", "signature", "embedding", "pose"}


class DeepStream:
    """Both schemas on any topic.

    Parameters
    ----------
    table : Table
        ``track_gap_s``: a track not seen for so long has ended, default 5; and the bounds of
        ``Pairs``.
    """

    timed = True

    def __init__(self, table: Table) -> None:
        self._pairs = Pairs(table)
        self._tracks = Tracks(table)

    def map(self, message: Message, found: Found) -> None:
        """Map one message of either schema."""
        body = message.object()
        at, time_source = _time(body, message.received_ns)
        if time_source == "arrival":
            found.counts["clock_not_set"] += 1
        if isinstance(body.get("objects"), list) and "sensorId" in body:
            self._tracks.frame(body, at, time_source, message.received_ns, found)
        else:
            self._object(body, at, time_source, message.received_ns, found)
        self._pairs.give_up(message.received_ns, found)
        self._tracks.give_up(message.received_ns, found)

    def _object(
        self, body: dict[str, Any], at: int, time_source: str, received_ns: int, found: Found
    ) -> None:
        sensor = text(_part(body, "sensor").get("id"))
        event = text(_part(body, "event").get("type"))
        if sensor is None or event is None:
            got = f"sensor {shown(body.get('sensor'))}, event {shown(body.get('event'))}"
            raise Refused(f"cannot read message: got {got}, want sensor.id and event.type")
        object_ = text(_part(body, "object").get("id"))
        columns = checked(_columns(body, sensor, event, time_source))
        source = f"deepstream/{sensor}"
        own = text(body.get("messageid"))
        key = (sensor, object_)
        if event == "entry" and object_ is not None:
            sequence = own or f"{object_}/{at}"
            self._pairs.start(key, Started(source, sequence, at, received_ns, columns))
            found.counts["vision_updates"] += 1
            return
        start_ns: int | None = at
        voids = None
        if event == "exit":
            started, voids = self._pairs.end(key)
            start_ns = None if started is None else started.start_ns
            if started is None:
                found.counts["vision_starts_missing"] += 1
                columns["attributes"]["pairing"] = "no start"
        event_id = content_event_id(canonical(body))
        if own is not None:
            event_id = source_event_id(source, own)
        found.event(
            "vision_event", at, event_id, start_ns=start_ns, end_ns=at, voids=voids, **columns
        )


def _time(body: dict[str, Any], received_ns: int) -> tuple[int, str]:
    """Time of the camera, or of arrival where the pipeline had no clock to follow."""
    try:
        at = time_ns(body.get("@timestamp"), "iso")
    except ValueError as error:
        raise Refused(str(error)) from None
    return (at, "payload") if is_set(at) else (received_ns, "arrival")


def _part(body: dict[str, Any], key: str) -> dict[str, Any]:
    found = body.get(key, {})
    if not isinstance(found, dict):
        raise Refused(f"cannot read {key!r}: got {shown(found)}, want an object")
    return found


def _columns(body: dict[str, Any], sensor: str, event: str, time_source: str) -> dict[str, Any]:
    object_, module = _part(body, "object"), _part(body, "analyticsModule")
    classes = {k: v for k, v in object_.items() if isinstance(v, dict) and k not in _NO_CLASS}
    label = next(iter(classes), None)
    details = {} if label is None else dict(classes[label])
    confidence = number(details.pop("confidence", None))
    attributes = {
        "type": event,
        "time_source": time_source,
        "object": text(object_.get("id")),
        "details": details or None,
        "bbox": object_.get("bbox"),
        "speed": object_.get("speed"),
        "direction": object_.get("direction"),
        "place": _part(body, "place").get("name"),
    }
    return {
        "camera": sensor,
        "source": sensor,
        "event": "presence",
        "label": label,
        "confidence": number(module.get("confidence")) if confidence is None else confidence,
        "model": text(module.get("id")),
        "model_version": text(module.get("version")),
        "clip": text(body.get("videoPath")),
        "attributes": attributes,
    }
