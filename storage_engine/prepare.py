"""A frame into rows bound for streams, and the body of its log record. Pure but for lookups."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from storage_engine.columns import Rows, take_column
from storage_engine.errors import CorruptData, InvalidArgument
from storage_engine.frame import (
    FLAG_OBSERVED,
    Envelope,
    EventSection,
    Frame,
    SampleSection,
    SlotKind,
)
from storage_engine.frame_scan import bound_streams
from storage_engine.head import ROW_BYTES, EventRows, SampleRows, event_bytes, string_bytes
from storage_engine.producers import Bindings
from storage_engine.sample import BoolArray, ColumnData
from storage_engine.streams import StreamInfo, StreamTable, schema_of

# rows, bytes of the mask; the mask of rejected rows follows, padded to 8, then the frame.
_PREFIX = struct.Struct("<II")


@dataclass(frozen=True, slots=True)
class Prepared:
    """Rows of one frame, bound and masked.

    ``size_bytes`` bounds the memory of strings and events; ``rows`` counts samples.
    """

    envelope: Envelope
    samples: tuple[SampleRows, ...]
    events: tuple[EventRows, ...]
    event_rows: tuple[tuple[int, ...], ...]  # row numbers in the frame, per entry of events
    rows: int
    size_bytes: int

    @property
    def observed(self) -> bool:
        """Whether the source may deliver these rows again."""
        return bool(self.envelope.flags & FLAG_OBSERVED)

    @property
    def memory_bytes(self) -> int:
        """Bound of what it takes in a head."""
        return self.rows * ROW_BYTES + self.size_bytes


def record_prefix(rejected: BoolArray | None) -> bytes:
    """What stands before a frame in its log record.

    Parameters
    ----------
    rejected : bool, shape (rows,), or None

    Returns
    -------
    bytes
    """
    if rejected is None or not rejected.any():
        return _PREFIX.pack(0, 0)
    mask = np.packbits(rejected, bitorder="little").tobytes()
    return _PREFIX.pack(len(rejected), len(mask)) + mask + bytes(-len(mask) % 8)


def split_record(body: bytes) -> tuple[BoolArray | None, memoryview]:
    """Take a FRAME record apart into the mask and the frame's bytes.

    Raises
    ------
    CorruptData
        When it is too short.
    """
    if len(body) < _PREFIX.size:
        raise CorruptData(f"cannot read frame record: got {len(body)} bytes, want >= 8")
    rows, size = _PREFIX.unpack_from(body)
    end = _PREFIX.size + size + (-size % 8)
    if len(body) < end or size != (rows + 7) // 8:
        raise CorruptData(f"cannot read frame record: got a mask of {size} bytes for {rows} rows")
    if not rows:
        return None, memoryview(body)[end:]
    packed = np.frombuffer(body, np.uint8, size, _PREFIX.size)
    mask = np.unpackbits(packed, count=rows, bitorder="little").astype(np.bool_)
    return mask, memoryview(body)[end:]


def prepare(
    frame: Frame, rejected: BoolArray | None, streams: StreamTable, bindings: Bindings
) -> Prepared:
    """Bind the rows of a frame to streams and leave out the rejected ones.

    Parameters
    ----------
    frame : Frame
    rejected : bool, shape (rows,), or None
        Rows to leave out, numbered over the frame's sections.
    streams : StreamTable
    bindings : Bindings
        Of the frame's producer and epoch.

    Returns
    -------
    Prepared

    Raises
    ------
    InvalidArgument
        When the mask has another length, or a row that is not masked belongs to no stream or to
        one of another type.
    """
    if rejected is not None:
        total = sum(map(len, frame.samples)) + sum(map(len, frame.events))
        if len(rejected) != total:
            raise InvalidArgument(
                f"cannot append frame: got a mask of {len(rejected)} rows, want {total}"
            )
    samples: list[SampleRows] = []
    events: list[EventRows] = []
    numbers: list[tuple[int, ...]] = []
    begin = 0
    for section in frame.samples:
        mask = None if rejected is None else rejected[begin : begin + len(section)]
        begin += len(section)
        if mask is None or not mask.all():
            samples.append(_samples(section, mask, streams, bindings))
    for part in frame.events:
        mask = None if rejected is None else rejected[begin : begin + len(part)]
        kept = np.arange(len(part)) if mask is None else np.flatnonzero(~mask)
        if len(kept):
            info = _event_stream(part, streams.by_id, bindings)
            events.append(EventRows(info.id, _event_rows(part, kept, info)))
            numbers.append(tuple((kept + begin).tolist()))
        begin += len(part)
    size = sum(string_bytes((part.value,)) for part in samples)
    size += sum(event_bytes(part.rows) for part in events)
    rows = sum(len(part.timestamp_ns) for part in samples)
    return Prepared(frame.envelope, tuple(samples), tuple(events), tuple(numbers), rows, size)


def _samples(
    section: SampleSection, mask: BoolArray | None, streams: StreamTable, bindings: Bindings
) -> SampleRows:
    slot, time, quality = section.slot, section.timestamp_ns, section.quality
    value = section.value
    if mask is not None and mask.any():
        keep = ~mask
        slot, time, quality = slot[keep], time[keep], quality[keep]
        value = take_column(value, keep)
    if not bindings.sparse:
        bound = bound_streams(slot, bindings.streams, streams.types, int(value.type))
        if bound is not None:
            return SampleRows(value.type, bound, time, quality, value)
    stream = bindings.lookup(slot)
    wrong = streams.types[stream] != int(value.type)
    if np.count_nonzero(wrong):
        row = int(np.flatnonzero(wrong)[0])
        other = int(stream[row])
        have = int(streams.types[other])
        got = "no stream" if not other else f"stream {other} of type {have}"
        raise InvalidArgument(
            f"cannot append frame: got slot {int(slot[row])} bound to {got}, "
            f"want a series of type {int(value.type)}, at row {row} of its section",
            slot=int(slot[row]),
        )
    return SampleRows(value.type, stream, time, quality, value)


def _event_stream(
    part: EventSection, streams: Mapping[int, StreamInfo], bindings: Bindings
) -> StreamInfo:
    info = streams.get(bindings.get(part.slot))
    if info is None or info.kind is not SlotKind.EVENTS:
        raise InvalidArgument(
            f"cannot append frame: got slot {part.slot} bound to no event stream", slot=part.slot
        )
    types = [column.type for column in info.columns[: len(part.data)]]
    if types != [column.type for column in part.data]:
        raise InvalidArgument(
            f"cannot append frame: got event columns {[c.type.name for c in part.data]}, "
            f"want the first of {schema_of(info.columns)}, at slot {part.slot}",
            slot=part.slot,
        )
    return info


def _event_rows(
    part: EventSection, kept: np.ndarray[tuple[int], np.dtype[np.intp]], info: StreamInfo
) -> Rows:
    # Taking by position copies, so that a few events do not keep a whole frame in memory.
    data = tuple(_zeroed(take_column(column, kept)) for column in part.data)
    assert len(data) <= len(info.columns), "checked before"
    stamp = np.zeros(len(kept), np.uint64)
    return Rows(part.timestamp_ns[kept], stamp, None, part.event_id[kept], data)


def _zeroed(column: ColumnData) -> ColumnData:
    """Drop a mask that masks nothing, so that equal columns look equal."""
    if column.valid is None or not column.valid.all():
        return column
    return ColumnData(column.type, column.value)


def stamped(part: EventRows, stamp: int) -> EventRows:
    """Events with the stamp of their record."""
    rows = part.rows
    stamps = np.full(len(rows), stamp, np.uint64)
    return EventRows(
        part.stream_id, Rows(rows.timestamp_ns, stamps, None, rows.event_id, rows.data)
    )
