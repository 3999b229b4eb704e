"""Frames of the minimal schema: counts per label, and tracks that end when they are not seen."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from connectors.payload.conventions.vision import text
from connectors.payload.found import Found
from connectors.payload.values import Refused, shown
from connectors.settings import Table
from storage_engine.sample import source_event_id

_UNTRACKED = str((1 << 64) - 1)
_LABELS_MAX = 1_000  # of one frame
_SENSORS_MAX = 10_000
_ID_CHARACTERS_MAX = 200


@dataclass(slots=True)
class _Seen:
    """One object of one frame."""

    track: str
    label: str
    confidence: float | None


@dataclass(slots=True)
class _Track:
    label: str
    confidence: float | None
    first_ns: int
    last_ns: int
    heard_ns: int
    time_source: str


class Tracks:
    """Tracks that are seen now.

    Parameters
    ----------
    table : Table
        ``track_gap_s`` and ``tracks_max``.
    """

    def __init__(self, table: Table) -> None:
        self._gap_ns = int(table.number("track_gap_s", 5.0, 0.1, 3_600.0) * 1e9)
        self._tracks_max = table.integer("tracks_max", 100_000, 1, 10_000_000)
        self._tracks: OrderedDict[tuple[str, str], _Track] = OrderedDict()  # last heard, last
        self._sensors: OrderedDict[str, tuple[set[str], set[str]]] = OrderedDict()

    def frame(
        self, body: dict[str, Any], at: int, time_source: str, received_ns: int, found: Found
    ) -> None:
        """Take one frame."""
        sensor = text(body["sensorId"])
        if sensor is None:
            raise Refused(f"cannot read sensorId: got {shown(body['sensorId'])}, want text")
        objects = [_seen(raw) for raw in body["objects"]]
        labels, tracks = self._sensors.get(sensor, (set(), set()))
        counts = dict.fromkeys(sorted(labels), 0)  # a label that went away is at zero once
        for one in objects:
            counts[one.label] = counts.get(one.label, 0) + 1
        if len(counts) > _LABELS_MAX:
            raise Refused(f"cannot read objects: got {len(counts)} labels, want {_LABELS_MAX}")
        found.sample(f"{sensor}/objects", at, len(objects))
        for label, count in counts.items():
            found.sample(f"{sensor}/count/{label}", at, count)
        for one in objects:
            if one.track != _UNTRACKED:
                tracks.add(one.track)
                self._see(sensor, one, at, time_source, received_ns)
        self._sensors[sensor] = ({one.label for one in objects}, tracks)
        self._sensors.move_to_end(sensor)
        for track in sorted(tracks):
            if at - self._tracks[sensor, track].last_ns > self._gap_ns:
                self._end(sensor, track, found)

    def _see(self, sensor: str, one: _Seen, at: int, time_source: str, received_ns: int) -> None:
        known = self._tracks.get((sensor, one.track))
        if known is None:
            new = _Track(one.label, one.confidence, at, at, received_ns, time_source)
            self._tracks[sensor, one.track] = new
            return
        known.first_ns, known.last_ns = min(known.first_ns, at), max(known.last_ns, at)
        known.heard_ns = received_ns
        if one.confidence is not None and one.confidence > (known.confidence or 0.0):
            known.label, known.confidence = one.label, one.confidence
        self._tracks.move_to_end((sensor, one.track))

    def give_up(self, received_ns: int, found: Found) -> None:
        """End tracks of sensors that fell silent, and those that are too many."""
        while self._tracks:
            (sensor, track), oldest = next(iter(self._tracks.items()))
            silent = received_ns - oldest.heard_ns > self._gap_ns
            if not silent and len(self._tracks) <= self._tracks_max:
                break
            self._end(sensor, track, found)
        while len(self._sensors) > _SENSORS_MAX:
            sensor, (_, tracks) = next(iter(self._sensors.items()))
            for track in sorted(tracks):
                self._end(sensor, track, found)
            del self._sensors[sensor]

    def _end(self, sensor: str, track: str, found: Found) -> None:
        """Make the event; its id follows from the last sight, known even if the first is not."""
        ended = self._tracks.pop((sensor, track))
        self._sensors[sensor][1].discard(track)
        found.event(
            "vision_event",
            ended.last_ns,
            source_event_id(f"deepstream/{sensor}", f"{track}/{ended.last_ns}"),
            camera=sensor,
            source=sensor,
            event="presence",
            label=ended.label,
            confidence=ended.confidence,
            start_ns=ended.first_ns,
            end_ns=ended.last_ns,
            attributes={"type": "track", "object": track, "time_source": ended.time_source},
        )


def _seen(raw: object) -> _Seen:
    """Read ``id|left|top|right|bottom|label``, with ``|#|`` and attributes where there are any."""
    parts = raw.split("|") if isinstance(raw, str) else []
    if len(parts) < 6 or not 0 < len(parts[0]) < _ID_CHARACTERS_MAX or not parts[5]:
        want = "id|left|top|right|bottom|label"
        raise Refused(f"cannot read object: got {shown(raw)}, want {want}")
    confidence = None
    if "#" in parts[6:]:
        try:
            confidence = float(parts[-1])
        except ValueError:
            confidence = None
    if confidence is not None and not 0.0 <= confidence <= 1.0:
        confidence = None
    return _Seen(parts[0], parts[5], confidence)
