"""What tests of the engine stand on: a clock one sets, frames from plain rows, and a plain model.

The model holds rows in lists and states every rule as a loop over them; it shares no code with the
engine, so that the two can only agree by both being right.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from storage_engine.changes import Change, Verb
from storage_engine.frame import (
    FLAG_OBSERVED,
    EventSection,
    Frame,
    SampleSection,
    decode_frame,
    encode_frame,
)
from storage_engine.sample import (
    DTYPES,
    EVENT_ID_DTYPE,
    Column,
    ColumnData,
    EventColumns,
    SampleColumns,
    ValueType,
)
from storage_engine.streams import Duplicates

SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS
Value = float | int | str | bytes | bool | None
Kept = tuple[int, int, Value, int]  # time, quality, value as bits, lsn


@dataclass
class SetClock:
    """A clock that stands where it was set."""

    time_ns: int = 1_750_000_000 * SECOND_NS

    def now_ns(self) -> int:
        """Time as set."""
        return self.time_ns


@dataclass(frozen=True)
class SampleRow:
    """One sample for a slot; ``value`` None is null."""

    slot: int
    type: ValueType
    time_ns: int
    value: Value
    quality: int = 0


@dataclass(frozen=True)
class EventRow:
    """One event for a slot, with its columns' values."""

    slot: int
    time_ns: int
    event_id: bytes
    values: tuple[Value, ...]


def column_of(value_type: ValueType, values: Sequence[Value]) -> ColumnData:
    """Column of plain values, None where null.

    Parameters
    ----------
    value_type : ValueType
    values : sequence

    Returns
    -------
    ColumnData
    """
    valid = np.array([value is not None for value in values], np.bool_)
    texts: dict[ValueType, Value] = {ValueType.BYTES: b"", ValueType.TEXT: "", ValueType.SYMBOL: ""}
    blank: Value = texts.get(value_type, 0)
    held = np.empty(len(values), DTYPES[value_type])
    for row, value in enumerate(values):
        held[row] = blank if value is None else value
    return ColumnData(value_type, held, None if valid.all() else valid)


@dataclass
class Producer:
    """Makes the frames of one producer, numbered and chained."""

    producer_id: bytes
    epoch: int = 1
    sequence: int = 0
    previous_crc: int = 0
    flags: int = FLAG_OBSERVED

    def frame(
        self,
        samples: Sequence[SampleRow] = (),
        events: Sequence[EventRow] = (),
        columns: Sequence[Column] = (),
        *,
        flags: int | None = None,
    ) -> Frame:
        """Make the next frame: one section per value type, then one per event slot.

        Parameters
        ----------
        samples : sequence of SampleRow
        events : sequence of EventRow
        columns : sequence of Column
            Of every event.
        flags : int, optional
            Instead of the producer's.

        Returns
        -------
        Frame
        """
        sections = []
        for value_type in dict.fromkeys(row.type for row in samples):
            rows = [row for row in samples if row.type is value_type]
            sections.append(
                SampleSection(
                    np.array([row.slot for row in rows], np.uint32),
                    np.array([row.time_ns for row in rows], np.int64),
                    np.array([row.quality for row in rows], np.uint32),
                    column_of(value_type, [row.value for row in rows]),
                )
            )
        parts = []
        for slot in dict.fromkeys(row.slot for row in events):
            mine = [row for row in events if row.slot == slot]
            data = tuple(
                column_of(column.type, [row.values[place] for row in mine])
                for place, column in enumerate(columns)
            )
            times = np.array([row.time_ns for row in mine], np.int64)
            ids = np.array([row.event_id for row in mine], EVENT_ID_DTYPE)
            parts.append(EventSection(slot, times, ids, data))
        self.sequence += 1
        raw = encode_frame(
            incarnation=bytes(16),
            producer_id=self.producer_id,
            epoch=self.epoch,
            sequence=self.sequence,
            previous_crc=self.previous_crc,
            flags=self.flags if flags is None else flags,
            declarations=(),
            samples=sections,
            events=parts,
            notices=(),
        )
        frame = decode_frame(raw)
        self.previous_crc = frame.envelope.crc
        return frame


def bits(value: object) -> Value:
    """Value as equality sees it: floats as their bytes.

    Parameters
    ----------
    value : object

    Returns
    -------
    object
    """
    if isinstance(value, float):
        return struct.pack("<d", value)
    return value  # type: ignore[return-value]


@dataclass
class Model:
    """The engine as lists.

    Attributes
    ----------
    samples : dict of int to list
        Stream -> (time, lsn, observed, quality, value) in order of arrival.
    events : dict of int to list
        Stream -> (time, id, lsn, values).
    removed : list of tuple
        Deleted and erased ranges: (lsn, stream, start, end, erase).
    duplicates : dict of int to Duplicates
        Stream -> rule of a plain read; the last revision when there is none.
    """

    samples: dict[int, list[tuple[int, int, bool, int, Value]]] = field(default_factory=dict)
    events: dict[int, list[tuple[int, bytes, int, tuple[Value, ...]]]] = field(default_factory=dict)
    removed: list[tuple[int, int, int, int, bool]] = field(default_factory=list)
    duplicates: dict[int, Duplicates] = field(default_factory=dict)

    def change(self, lsn: int, change: Change, into: int) -> None:
        """Take a change: its row, and the range it removes.

        Parameters
        ----------
        lsn : int
        change : Change
        into : int
            Stream that the change's row goes to; not modelled.
        """
        assert change.stream_id != into, "changes are never changed"
        if change.verb in {Verb.DELETE, Verb.ERASE}:
            erase = change.verb is Verb.ERASE
            entry = (lsn, change.stream_id, change.start_ns, change.end_ns, erase)
            self.removed.append(entry)

    def _gone(self, stream_id: int, time: int, lsn: int, known_at: int | None) -> bool:
        """Whether a row is deleted as known at an lsn, or (None) erased."""
        return any(
            stream == stream_id and start <= time < end and lsn < at
            for at, stream, start, end, erase in self.removed
            if (erase if known_at is None else not erase and at <= known_at)
        )

    def _deleted_at(self, stream_id: int, time: int, known_at: int) -> list[int]:
        return [
            at
            for at, stream, start, end, erase in self.removed
            if not erase and stream == stream_id and start <= time < end and at <= known_at
        ]

    def append(
        self,
        lsn: int,
        samples: Sequence[SampleRow],
        events: Sequence[EventRow],
        *,
        slots: dict[int, int],
        observed: bool,
    ) -> None:
        """Take the rows of a frame."""
        for row in samples:
            entry = (row.time_ns, lsn, observed, row.quality, bits(row.value))
            self.samples.setdefault(slots[row.slot], []).append(entry)
        for event in events:
            values = tuple(bits(value) for value in event.values)
            stream = self.events.setdefault(slots[event.slot], [])
            stream.append((event.time_ns, event.event_id, lsn, values))

    def forget_after(self, lsn: int) -> None:
        """Drop what was written behind an lsn."""
        for stream_id, rows in self.samples.items():
            self.samples[stream_id] = [row for row in rows if row[1] <= lsn]
        for stream_id, events in self.events.items():
            self.events[stream_id] = [row for row in events if row[2] <= lsn]
        self.removed = [entry for entry in self.removed if entry[0] <= lsn]

    def read(
        self, stream_id: int, start_ns: int, end_ns: int, known_at: int, *, every: bool = False
    ) -> list[Kept]:
        """Samples of a window as (time, quality, value bits, lsn), by the rule of revisions."""
        kept: dict[int, list[tuple[int, Value, int]]] = {}
        for time, lsn, observed, quality, value in self.samples.get(stream_id, []):
            if lsn > known_at or not start_ns <= time < end_ns:
                continue
            if self._gone(stream_id, time, lsn, None):
                continue
            revisions = kept.setdefault(time, [])
            facts = [(q, v) for q, v, _ in revisions]
            if facts and facts[-1] == (quality, value):
                before = revisions[-1][2]
                if not any(before < at < lsn for at in self._deleted_at(stream_id, time, known_at)):
                    continue
            if observed and (quality, value) in facts:
                continue
            revisions.append((quality, value, lsn))
        rule = Duplicates.ALL if every else self.duplicates.get(stream_id, Duplicates.LAST)
        chosen = {Duplicates.LAST: slice(-1, None), Duplicates.FIRST: slice(0, 1)}.get(rule)
        rows: list[Kept] = []
        for time in sorted(kept):
            left = [r for r in kept[time] if not self._gone(stream_id, time, r[2], known_at)]
            rows += [(time, *row) for row in left[chosen or slice(None)]]
        return rows

    def read_events(
        self, stream_id: int, start_ns: int, end_ns: int, known_at: int, *, conflicts: bool = False
    ) -> list[tuple[int, bytes, tuple[Value, ...], int]]:
        """Events of a window as (time, id, values, lsn), the first per key first."""
        kept: dict[tuple[int, bytes], list[tuple[tuple[Value, ...], int]]] = {}
        for time, event_id, lsn, values in self.events.get(stream_id, []):
            if lsn > known_at or not start_ns <= time < end_ns:
                continue
            if self._gone(stream_id, time, lsn, None):
                continue
            entries = kept.setdefault((time, event_id), [])
            if values not in [entry[0] for entry in entries]:
                entries.append((values, lsn))
        found = []
        for (time, event_id), entries in sorted(kept.items()):
            left = [e for e in entries if not self._gone(stream_id, time, e[1], known_at)]
            found += [(time, event_id, *entry) for entry in (left if conflicts else left[:1])]
        return found


def plain_samples(columns: SampleColumns) -> list[Kept]:
    """What a read gave, in the model's form.

    Parameters
    ----------
    columns : SampleColumns

    Returns
    -------
    list of tuple
    """
    values = _plain_column(columns.value)
    return list(
        zip(
            columns.timestamp_ns.tolist(),
            columns.quality.tolist(),
            values,
            columns.lsn.tolist(),
            strict=True,
        )
    )


def _plain_column(column: ColumnData) -> list[Value]:
    held = [bits(value) for value in column.value.tolist()]
    if column.valid is None:
        return held
    return [value if ok else None for value, ok in zip(held, column.valid.tolist(), strict=True)]


def plain_events(columns: EventColumns) -> list[tuple[int, bytes, tuple[Value, ...], int]]:
    """What a read of events gave, in the model's form.

    Parameters
    ----------
    columns : EventColumns

    Returns
    -------
    list of tuple
    """
    ids = [bytes(one) for one in columns.event_id]
    held = [_plain_column(column) for column in columns.data.values()]
    values = list(zip(*held, strict=True)) if held else [()] * len(ids)
    return list(zip(columns.timestamp_ns.tolist(), ids, values, columns.lsn.tolist(), strict=True))
