"""One store and the plain model of it, written side by side through the engine's public API."""

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from storage_engine.bulk import BulkRows
from storage_engine.changes import Change, Verb
from storage_engine.config import EngineConfig
from storage_engine.engine import Engine
from storage_engine.filesystem import FileSystem
from storage_engine.frame import FLAG_OBSERVED, FLAG_ONE_SHOT, Frame, SlotKind
from storage_engine.sample import EVENT_ID_DTYPE, Column, ValueType
from storage_engine.streams import Duplicates
from storage_engine.testing import (
    EventRow,
    Model,
    Producer,
    SampleRow,
    SetClock,
    column_of,
)

# Small files: a golden store is part of the history.
CONFIG = EngineConfig(
    head_bytes_max=65536,
    wal_file_bytes=8192,
    wal_pending_bytes_max=1 << 20,
    block_rows=64,
    free_bytes_min=0,
    record_time_step_ms=0,
)
ALL_TIME = (-(2**63), 2**63 - 1)


class Story:
    """Does everything twice: to the engine, and to the model that expected.json is made from."""

    def __init__(self, fs: FileSystem, config: EngineConfig = CONFIG) -> None:
        self.fs, self.config = fs, config
        self.clock = SetClock()
        self.engine = Engine.open(fs, config, self.clock)
        self.model = Model()
        self.columns: dict[int, tuple[Column, ...]] = {}
        self.kinds: dict[int, SlotKind] = {}
        self.slots: dict[int, int] = {}
        self.producers: dict[bytes, Producer] = {}
        self.last: dict[bytes, Frame] = {}
        self.lsns: list[int] = []

    def series(self, slot: int, value_type: ValueType, name: str = "default") -> int:
        """A series behind a slot."""
        uuid = b"series" + slot.to_bytes(10, "big")
        return self._stream(slot, uuid, SlotKind.SERIES, (Column("value", value_type),), name)

    def event_stream(self, slot: int, columns: Sequence[Column], name: str = "default") -> int:
        """An event stream behind a slot."""
        return self._stream(
            slot, b"events" + slot.to_bytes(10, "big"), SlotKind.EVENTS, tuple(columns), name
        )

    def _stream(
        self, slot: int, uuid: bytes, kind: SlotKind, columns: tuple[Column, ...], name: str
    ) -> int:
        stream = self.engine.create_stream(uuid, kind, columns, name)
        self.columns[stream], self.kinds[stream], self.slots[slot] = columns, kind, stream
        return stream

    def grow(self, slot: int, columns: Sequence[Column]) -> None:
        """More columns at the end of an event stream; what is there has nulls in them."""
        stream = self.slots[slot]
        self.engine.grow_stream(stream, columns)
        self.columns[stream] = tuple(columns)
        self.model.events[stream] = [
            (time, event_id, lsn, values + (None,) * (len(columns) - len(values)))
            for time, event_id, lsn, values in self.model.events.get(stream, [])
        ]

    def producer(self, name: bytes, flags: int = FLAG_OBSERVED) -> Producer:
        """A producer with every slot bound, also those of streams that came later."""
        known = self.producers.setdefault(name, Producer(name, flags=flags))
        self.engine.bind(name, known.epoch, self.slots)
        return known

    def append(
        self,
        samples: Sequence[SampleRow] = (),
        events: Sequence[EventRow] = (),
        columns: Sequence[Column] = (),
        *,
        observed: bool = True,
        name: bytes = b"p" * 16,
        rejected: Sequence[int] = (),
        one_shot: bool = False,
    ) -> int:
        """One frame; rows are numbered by value type first, as the frame's sections are."""
        producer = self.producer(name)
        flags = (FLAG_OBSERVED if observed else 0) | (FLAG_ONE_SHOT if one_shot else 0)
        frame = producer.frame(samples, events, columns, flags=flags)
        kinds = list(dict.fromkeys(row.type for row in samples))
        ordered = sorted(samples, key=lambda row: kinds.index(row.type))
        slots = list(dict.fromkeys(row.slot for row in events))
        in_order = sorted(events, key=lambda row: slots.index(row.slot))
        mask = np.zeros(len(ordered) + len(in_order), np.bool_)
        mask[list(rejected)] = True
        appended = self.engine.append(frame, mask if rejected else None)
        assert self.engine.wait_durable(appended.lsn)
        self.last[name] = frame
        self.model.append(
            appended.lsn,
            [row for i, row in enumerate(ordered) if i not in rejected],
            [
                self._padded(row)
                for i, row in enumerate(in_order, len(ordered))
                if i not in rejected
            ],
            slots=self.slots,
            observed=observed,
        )
        return self._done(appended.lsn)

    def _padded(self, row: EventRow) -> EventRow:
        width = len(self.columns[self.slots[row.slot]])
        values = row.values + (None,) * (width - len(row.values))
        return EventRow(row.slot, row.time_ns, row.event_id, values)

    def bulk(
        self,
        samples: Sequence[SampleRow] = (),
        events: Sequence[EventRow] = (),
        *,
        authoritative: bool = False,
    ) -> int:
        """Rows straight into segments, past the log."""
        parts = []
        for slot in dict.fromkeys(row.slot for row in samples):
            mine = [row for row in samples if row.slot == slot]
            times = np.array([row.time_ns for row in mine], np.int64)
            qualities = np.array([row.quality for row in mine], np.uint32)
            column = column_of(mine[0].type, [row.value for row in mine])
            parts.append(BulkRows(self.slots[slot], times, qualities, None, (column,)))
        for slot in dict.fromkeys(row.slot for row in events):
            held = [row for row in events if row.slot == slot]
            times = np.array([row.time_ns for row in held], np.int64)
            ids = np.array([row.event_id for row in held], EVENT_ID_DTYPE)
            width = min(len(row.values) for row in held)
            data = tuple(
                column_of(column.type, [row.values[place] for row in held])
                for place, column in enumerate(self.columns[self.slots[slot]][:width])
            )
            parts.append(BulkRows(self.slots[slot], times, None, ids, data))
        lsn = self.engine.bulk_import("job", 1, parts, authoritative=authoritative)
        padded = [self._padded(row) for row in events]
        if lsn:
            observed = not authoritative
            self.model.append(lsn, samples, padded, slots=self.slots, observed=observed)
        return self._done(lsn) if lsn else 0

    def deliver_again(self, name: bytes = b"p" * 16) -> None:
        """The last frame once more: a duplicate that changes nothing."""
        assert self.engine.append(self.last[name]).duplicate

    def change(self, verb: Verb, slot: int, start: int, end: int, comment: str = "") -> int:
        """A change, and its row in the stream of changes."""
        one = Change(verb, self.slots[slot], start, end, "Änne", "weil \U0001f600", comment)
        lsn = self.engine.change(one)
        assert self.engine.wait_durable(lsn)
        into = self.engine.changes_stream()
        info = self.engine.streams()[into]
        self.columns[into], self.kinds[into] = info.columns, info.kind
        self.model.change(lsn, one, into)
        values = (str(verb), one.stream_id, start, end, one.principal, one.reason, comment)
        row = (self.clock.time_ns, lsn.to_bytes(16, "big"), lsn, values)
        self.model.events.setdefault(into, []).append(row)
        return self._done(lsn)

    def set_stream(
        self, slot: int, *, name: str | None = None, duplicates: Duplicates | None = None
    ) -> None:
        """Another class or another rule for several samples of one time."""
        stream = self.slots[slot]
        self.engine.set_stream(stream, retention_class=name, duplicates=duplicates)
        if duplicates is not None:
            self.model.duplicates[stream] = duplicates

    def wait(self, seconds: int) -> None:
        """Let the clock run."""
        self.clock.time_ns += seconds * 1_000_000_000

    def reopen(self) -> None:
        """Close, and open again."""
        self.engine.close()
        self.engine = Engine.open(self.fs, self.config, self.clock)
        assert self.engine.findings() == []

    def _done(self, lsn: int) -> int:
        self.lsns.append(lsn)
        return lsn

    def expected(self, lsns: Sequence[int]) -> dict[str, Any]:
        """What reads must give as known at each of the lsns, from the model alone.

        Returns
        -------
        dict
            uuid (hex) -> kind, columns, duplicates, known_at -> lsn -> plain and full.
        """
        found: dict[str, Any] = {}
        for stream, columns in sorted(self.columns.items()):
            types = [column.type for column in columns]
            known_at = {
                str(lsn): {
                    "plain": self._rows(stream, types, lsn, full=False),
                    "full": self._rows(stream, types, lsn, full=True),
                }
                for lsn in lsns
            }
            found[self.engine.streams()[stream].uuid.hex()] = {
                "kind": int(self.kinds[stream]),
                "columns": [[column.name, int(column.type)] for column in columns],
                "duplicates": int(self.model.duplicates.get(stream, Duplicates.LAST)),
                "known_at": known_at,
            }
        return found

    def _rows(
        self, stream: int, types: Sequence[ValueType], lsn: int, *, full: bool
    ) -> list[list[Any]]:
        if self.kinds[stream] is SlotKind.EVENTS:
            return [
                [time, lsn_, event_id.hex(), [plain(*p) for p in zip(types, values, strict=True)]]
                for time, event_id, values, lsn_ in self.model.read_events(
                    stream, *ALL_TIME, lsn, conflicts=full
                )
            ]
        return [
            [time, lsn_, quality, [plain(types[0], value)]]
            for time, quality, value, lsn_ in self.model.read(stream, *ALL_TIME, lsn, every=full)
        ]


def plain(value_type: ValueType, value: Any) -> Any:
    """A cell of the model as JSON holds it: floats are the hex of their bits, bytes are hex."""
    if value is None or not isinstance(value, bytes):
        return value
    if value_type is ValueType.FLOAT32:
        return struct.pack("<f", struct.unpack("<d", value)[0]).hex()
    return value.hex()
