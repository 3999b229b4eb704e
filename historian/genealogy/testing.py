"""For tests of what is derived from events: streams in memory, and events written in one line."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from historian.events import EVENT_KINDS
from historian.genealogy.genealogy import Genealogy
from historian.ingest_events import build_events
from storage_engine.sample import EventBatch, EventColumns, source_event_id

SECOND = 1_000_000_000
History = list[tuple[str, int, dict[str, Any]]]
Row = tuple[int, bytes, Mapping[str, object]]


@dataclass(frozen=True)
class Event:
    """One event: kind, time in ns, its columns, and the number its source gave it."""

    kind: str
    time_ns: int
    facts: Mapping[str, object] = field(default_factory=dict)
    number: int = 0
    lsn: int = 1

    @property
    def id(self) -> bytes:
        """16 bytes; differs between kinds and numbers."""
        return source_event_id(self.kind, self.number)

    def batch(self) -> EventBatch:
        """The event alone, as ingest hands it on."""
        return build_events(self.kind, [(self.time_ns, self.id, self.facts)])


def numbered(events: Iterable[tuple[str, int, Mapping[str, object]]]) -> list[Event]:
    """Events from (kind, time, columns), each with a number and an lsn of its own."""
    return [
        Event(kind, time_ns, facts, number, number + 1)
        for number, (kind, time_ns, facts) in enumerate(events)
    ]


class MemoryEventReader:
    """Event streams in memory; fulfils ``EventReader`` as the engine does: the first of a key."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._rows: dict[str, dict[tuple[int, bytes], Event]] = {}
        for event in events:
            self.add(event)

    def add(self, event: Event) -> None:
        """Store an event; a known key keeps its first content."""
        self._rows.setdefault(event.kind, {}).setdefault((event.time_ns, event.id), event)

    def read_events(self, kind: str, start_ns: int, end_ns: int) -> EventColumns:
        """Events of a kind with start <= time < end, in (time, id) order."""
        held = self._rows.get(kind, {})
        found = [held[key] for key in sorted(held) if start_ns <= key[0] < end_ns]
        batch = build_events(kind, [(e.time_ns, e.id, e.facts) for e in found])
        names = [c.name for c in EVENT_KINDS[kind]]
        return EventColumns(
            batch.timestamp_ns,
            batch.event_id,
            dict(zip(names, batch.data, strict=True)),
            np.array([e.lsn for e in found], dtype=np.uint64),
        )


def traced(history: History, **options: Any) -> Genealogy:
    """Genealogy rebuilt from (kind, time, columns)."""
    made = Genealogy(MemoryEventReader(numbered(history)), **options)
    made.rebuild()
    return made


def stay(unit: str, station: str, start_s: int, **facts: Any) -> History:
    """Reports of a whole visit of eight seconds, work from the second to the sixth."""
    at = {"unit": unit, "station": station, **facts}
    return [
        ("unit_arrived", start_s * SECOND, at),
        ("work_started", (start_s + 2) * SECOND, at),
        ("work_completed", (start_s + 6) * SECOND, {**at, "verdict": "PASS"}),
        ("unit_departed", (start_s + 8) * SECOND, at),
    ]
