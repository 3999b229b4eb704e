"""Batches of many sources into frames of one producer: slots, sequence, chain."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from historian.collector.spool_files import Identity
from storage_engine.frame import (
    FLAG_OBSERVED,
    ZERO_ID,
    Declaration,
    EventSection,
    Notice,
    SampleSection,
    SlotKind,
    encode_frame,
    peek_envelope,
)
from storage_engine.sample import (
    Column,
    ColumnData,
    EventBatch,
    SampleBatch,
    UInt32Array,
    ValueType,
)

_SeriesKey = tuple[str, ValueType]
_EventKey = tuple[str, str, tuple[Column, ...]]
_UNDECLARED = 0xFFFF_FFFF
_ROW_BYTES = 16  # time, slot, quality
_TEXT_BYTES = 8


@dataclass(frozen=True, slots=True)
class Part:
    """What one call of a sink adds to a frame."""

    source: str
    batch: SampleBatch | EventBatch | None = None
    notices: tuple[Notice, ...] = ()
    stands_for: int = 0  # rows before thinning: a source at full rate waits for no linger

    @property
    def row_count(self) -> int:
        """Rows of the batch."""
        return 0 if self.batch is None else len(self.batch)

    def size_bytes(self) -> int:
        """Bytes it takes in a frame, about; for bounds."""
        size = sum(len(str(notice.facts)) for notice in self.notices)
        if isinstance(self.batch, SampleBatch):
            size += _ROW_BYTES * len(self.batch) + _column_bytes(self.batch.value)
        elif self.batch is not None:
            size += 24 * len(self.batch) + sum(map(_column_bytes, self.batch.data))
        return size


def _column_bytes(column: ColumnData) -> int:
    if column.value.dtype == np.object_:
        return sum(map(len, column.value.tolist())) + _TEXT_BYTES * len(column)
    return int(column.value.nbytes)


@dataclass(slots=True)
class _Samples:
    slots: list[UInt32Array] = field(default_factory=list)
    batches: list[SampleBatch] = field(default_factory=list)


class _Table:
    """Slots of a batch's addresses, kept for the next batch that has the same tuple."""

    __slots__ = ("addresses", "slots")

    def __init__(self, addresses: tuple[str, ...], known: dict[str, int]) -> None:
        self.addresses = addresses
        found = (known.get(address, _UNDECLARED) for address in addresses)
        self.slots = np.fromiter(found, dtype=np.uint32, count=len(addresses))


class FrameBuilder:
    """Builds one frame after the other; a frame counts once ``committed`` is called.

    Parameters
    ----------
    identity : Identity
        Producer and epoch.
    """

    def __init__(self, identity: Identity) -> None:
        self.incarnation = ZERO_ID
        self._previous_crc = 0
        self.renew(identity)

    def renew(self, identity: Identity) -> None:
        """Begin an epoch: nothing is declared, sequence starts at 1."""
        self._identity = identity
        self.sequence = 1
        self._series: dict[_SeriesKey, dict[str, int]] = {}
        self._tables: dict[_SeriesKey, _Table] = {}
        self._events: dict[_EventKey, int] = {}
        self._undeclared: list[Declaration] = []
        self._slots = 0

    def begin_chain(self) -> None:
        """Name no predecessor in the next frame: another store never had it."""
        self._previous_crc = 0

    @property
    def epoch(self) -> int:
        """Epoch of the frames built now."""
        return self._identity.epoch

    @property
    def undeclared(self) -> Sequence[Declaration]:
        """What the frame built last declares."""
        return self._undeclared

    def build(self, parts: Sequence[Part]) -> bytes:
        """Frame of the next sequence number with these parts, in order.

        One that is built again, of other parts, declares what these need alone.

        Raises
        ------
        InvalidArgument
            If a batch breaks the rules of ``storage_engine.sample``.
        LimitExceeded
            It would have more rows, bytes or declarations than a frame may have.
        """
        self._take_back()
        samples: dict[ValueType, _Samples] = {}
        events: list[EventSection] = []
        notices: list[Notice] = []
        for part in parts:
            batch = part.batch
            if isinstance(batch, SampleBatch) and len(batch):
                group = samples.setdefault(batch.value.type, _Samples())
                group.slots.append(self._sample_slots(part.source, batch))
                group.batches.append(batch)
            elif isinstance(batch, EventBatch) and len(batch):
                slot = self._event_slot(part.source, batch)
                events.append(EventSection(slot, batch.timestamp_ns, batch.event_id, batch.data))
            notices += part.notices
        return encode_frame(
            incarnation=self.incarnation,
            producer_id=self._identity.producer_id,
            epoch=self.epoch,
            sequence=self.sequence,
            previous_crc=self._previous_crc,
            flags=FLAG_OBSERVED,
            declarations=self._undeclared,
            samples=[_section(group) for group in samples.values()],
            events=events,
            notices=notices,
        )

    def committed(self, frame: bytes) -> None:
        """Count a frame that is on stable storage; what it declared need not be declared again."""
        self._previous_crc = peek_envelope(frame).crc
        self._undeclared = []
        self.sequence += 1

    def _take_back(self) -> None:
        """Forget what a frame declares that was not committed."""
        for one in self._undeclared:
            if one.kind is SlotKind.SERIES:
                key = one.source, one.columns[0].type
                del self._series[key][one.address]
                self._tables.pop(key, None)  # it holds the slot
            else:
                del self._events[one.source, one.address, one.columns]
        self._slots -= len(self._undeclared)
        self._undeclared = []

    def _sample_slots(self, source: str, batch: SampleBatch) -> UInt32Array:
        key = source, batch.value.type
        known = self._series.setdefault(key, {})
        table = self._tables.get(key)
        if table is None or table.addresses is not batch.addresses:
            table = self._tables[key] = _Table(batch.addresses, known)
        slots: UInt32Array = table.slots[batch.address_index]
        new = slots == _UNDECLARED
        if new.any():
            columns = (Column("value", batch.value.type),)
            for position in np.unique(batch.address_index[new]).tolist():
                address = batch.addresses[position]
                if address not in known:
                    known[address] = self._declare(SlotKind.SERIES, source, address, columns)
                table.slots[position] = known[address]
            slots = table.slots[batch.address_index]
        return slots

    def _event_slot(self, source: str, batch: EventBatch) -> int:
        key = (source, batch.kind, batch.columns)
        slot = self._events.get(key)
        if slot is None:
            slot = self._declare(SlotKind.EVENTS, source, batch.kind, batch.columns)
            self._events[key] = slot
        return slot

    def _declare(
        self, kind: SlotKind, source: str, address: str, columns: tuple[Column, ...]
    ) -> int:
        slot = self._slots
        self._slots += 1
        self._undeclared.append(Declaration(slot, kind, source, address, columns))
        return slot


def _section(group: _Samples) -> SampleSection:
    batches = group.batches
    if len(batches) == 1:
        one = batches[0]
        return SampleSection(group.slots[0], one.timestamp_ns, one.quality, one.value)
    valid = None
    if any(batch.value.valid is not None for batch in batches):
        valid = np.concatenate(
            [np.ones(len(b), np.bool_) if b.value.valid is None else b.value.valid for b in batches]
        )
    return SampleSection(
        np.concatenate(group.slots),
        np.concatenate([batch.timestamp_ns for batch in batches]),
        np.concatenate([batch.quality for batch in batches]),
        ColumnData(batches[0].value.type, np.concatenate([b.value.value for b in batches]), valid),
    )


def sliced(batch: SampleBatch | EventBatch, rows_max: int) -> list[SampleBatch | EventBatch]:
    """Cut a batch into pieces of at most ``rows_max`` rows, in order."""
    count = len(batch)
    if count <= rows_max:
        return [batch]
    return [_slice(batch, slice(at, at + rows_max)) for at in range(0, count, rows_max)]


def _slice(batch: SampleBatch | EventBatch, part: slice) -> SampleBatch | EventBatch:
    if isinstance(batch, SampleBatch):
        return SampleBatch(
            batch.addresses,  # whole: slots are looked up once for all pieces
            batch.address_index[part],
            batch.timestamp_ns[part],
            batch.quality[part],
            _column_slice(batch.value, part),
        )
    return EventBatch(
        batch.kind,
        batch.timestamp_ns[part],
        batch.event_id[part],
        batch.columns,
        tuple(_column_slice(column, part) for column in batch.data),
    )


def _column_slice(column: ColumnData, part: slice) -> ColumnData:
    valid = None if column.valid is None else column.valid[part]
    return ColumnData(column.type, column.value[part], valid)
