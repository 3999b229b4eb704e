"""The head: rows that are not in a segment yet. Bounded in bytes; memory grows with rows.

One thread at a time appends and captures (the engine's lock); what was captured is then read
without it, because rows once written never change.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from storage_engine.columns import STRINGS, IndexArray, Rows, join_rows, seal, sort_by_time
from storage_engine.events import sort_events
from storage_engine.head_chains import Chains, captured
from storage_engine.head_rows import RowLog
from storage_engine.head_spread import Spread
from storage_engine.log_scan import plain_frames
from storage_engine.newest import Newest, cells_of, values_of
from storage_engine.sample import (
    AnyArray,
    BoolArray,
    ColumnData,
    Int64Array,
    UInt32Array,
    UInt64Array,
    ValueType,
)
from storage_engine.wal_record import Frames

# time, cell, chain, stream of one row; quality and missing, which most rows do without.
ROW_BYTES = 8 + 8 + 4 + 4 + 4 + 1
_NOWHERE = 2**32 - 1
_TEXT_BYTES = 120  # an interned string beside its characters: object, list and dict entries
_EVENT_BYTES = 64
_PASS_PIECES = 8
_ONES = np.ones(4096, np.bool_)
_ONES.setflags(write=False)


@dataclass(frozen=True, slots=True)
class SampleRows:
    """Samples of one value type bound for streams: what one section of a frame becomes."""

    type: ValueType
    stream: UInt32Array
    timestamp_ns: Int64Array
    quality: UInt32Array
    value: ColumnData


@dataclass(frozen=True, slots=True)
class EventRows:
    """Events bound for a stream."""

    stream_id: int
    rows: Rows


@dataclass(frozen=True, slots=True)
class Captured:
    """A stream's part of a head at one moment: read it later with :meth:`Head.samples`."""

    head: "Head"
    last: int
    count: int
    events: tuple[Rows, ...]


@dataclass(frozen=True, slots=True)
class AppendedFrames:
    """How many frames joined a head, the last of each producer, and their rows.

    ``last``: producer, epoch, sequence, crc, lsn, in order of lsn.
    """

    count: int
    last: list[tuple[bytes, int, int, int, int]]
    stream: UInt32Array
    timestamp_ns: Int64Array


class Head:
    """Rows in memory.

    Parameters
    ----------
    bytes_max : int
        Bound in bytes, over rows, strings and events.
    rows_min : int
        Rows that must fit whatever the bound says (one frame).
    streams : int
        Stream ids known so far.
    """

    def __init__(self, bytes_max: int, rows_min: int, streams: int) -> None:
        self.bytes_max = bytes_max
        self._log = RowLog(max(bytes_max // ROW_BYTES, rows_min, 1), max(streams, 1))
        self.texts: list[object] = [""]
        self._codes: dict[object, int] = {"": 0}
        self._text_bytes = 0
        self._events: dict[int, list[Rows]] = {}
        self._event_bytes = 0
        self.last_lsn = 0
        self.oldest_ns: int | None = None  # record time of the first row

    @property
    def rows(self) -> int:
        """Samples held."""
        return self._log.used

    @property
    def empty(self) -> bool:
        """Whether it holds neither samples nor events."""
        return self._log.used == 0 and not self._events

    @property
    def size_bytes(self) -> int:
        """Bytes in use."""
        return self._log.used * ROW_BYTES + self._text_bytes + self._event_bytes

    def has_room(self, rows: int, size_bytes: int) -> bool:
        """Whether so many more samples and bytes of strings and events fit."""
        if self.empty:
            return rows <= self._log.capacity
        total = self.size_bytes + rows * ROW_BYTES + size_bytes
        return rows <= self._log.capacity - self._log.used and total <= self.bytes_max

    def intern(self, text: object) -> int:
        """Code of a string in this head."""
        code = self._codes.get(text)
        if code is None:
            code = self._codes[text] = len(self.texts)
            self.texts.append(text)
            self._text_bytes += len(text) + _TEXT_BYTES  # type: ignore[arg-type]
        return code

    def text(self, code: int) -> object:
        """Look up the string of a code."""
        return self.texts[code]

    def append_samples(self, part: SampleRows, stamp: int, newest: Newest, streams: int) -> None:
        """Append samples and keep the table of newest ones.

        Parameters
        ----------
        part : SampleRows
        stamp : int
            lsn * 2 + observed.
        newest : Newest
            Changed in place.
        streams : int
            Every stream id is below it.
        """
        rows = len(part.timestamp_ns)
        valid = _ones(rows) if part.value.valid is None else part.value.valid
        if part.type in STRINGS:
            texts = part.value.value.tolist()
            if part.value.valid is not None:
                texts = [t if ok else "" for t, ok in zip(texts, valid.tolist(), strict=True)]
            cell = np.fromiter(map(self.intern, texts), np.uint64, rows)
        else:
            cell = cells_of(part.type, part.value.value)
        self._log.append(
            part.stream,
            np.ascontiguousarray(part.timestamp_ns),
            cell,
            np.ascontiguousarray(part.quality),
            np.ascontiguousarray(valid).view(np.uint8),
            stamp,
            newest,
            streams,
        )

    def append_plain(
        self,
        frames: Frames,
        types: npt.NDArray[np.uint8],
        newest: Newest,
        streams: int,
        slots: Callable[[bytes, int], UInt32Array | None],
    ) -> "AppendedFrames":
        """Append frames of plain samples from the log, until one is not plain or does not fit.

        Parameters
        ----------
        frames : Frames
        types : uint8, shape (streams,)
            Value type per stream.
        newest : Newest
            Changed in place.
        streams : int
            Every stream id is below it.
        slots : callable
            Gives the streams by slot of a producer and epoch, or None.

        Returns
        -------
        AppendedFrames
        """
        log, base = self._log, self._log.used
        room = min(log.capacity - base, (self.bytes_max - self.size_bytes) // ROW_BYTES)
        columns = (frames.data, frames.body, frames.body_bytes, frames.lsn)
        count, last = plain_frames(log, *columns, types, newest, streams, room, slots)
        return AppendedFrames(count, last, log.stream[base : log.used], log.time[base : log.used])

    def append_events(self, part: EventRows) -> None:
        """Append events; small pieces are joined as they come, so that a stream has few."""
        chunks = self._events.setdefault(part.stream_id, [])
        chunks.append(part.rows)
        self._event_bytes += event_bytes(part.rows)
        while len(chunks) > 1 and len(chunks[-1]) >= len(chunks[-2]):
            chunks[-2:] = [join_rows(chunks[-2:])]
        seal(chunks[-1])

    def capture(self, stream_id: int) -> Captured:
        """What the head holds of a stream now; call under the engine's lock."""
        log = self._log
        known = stream_id < len(log.last)
        return Captured(
            self,
            int(log.last[stream_id]) if known else 0,
            int(log.count[stream_id]) if known else 0,
            tuple(self._events.get(stream_id, ())),
        )

    def capture_many(self, stream_ids: Int64Array) -> Chains:
        """What the head holds of samples of streams now; call under the engine's lock."""
        return captured(self._log, stream_ids)

    def holds(self, stream_ids: Int64Array) -> BoolArray:
        """Mask of series that have rows here; call under the engine's lock."""
        count = self._log.count
        out: BoolArray = count[np.minimum(stream_ids, len(count) - 1)] > 0
        return out & (stream_ids < len(count))

    def samples(self, captured: Captured, value_type: ValueType) -> Rows | None:
        """Rows of a captured series in (time, stamp) order, or None when there are none."""
        if captured.count == 0:
            return None
        one = np.zeros(1, np.uint32)
        order = self._log.order(
            np.array([captured.last], np.uint32), np.array([captured.count], np.uint32), one
        )
        log, where = self._log, order.astype(np.intp)
        columns = _Columns(
            log.time[where],
            log.stamps(order),
            log.quality[where],
            log.cell[where],
            log.missing[where],
        )
        return sort_by_time(columns.rows(value_type, self.texts))

    def event_streams(self) -> list[int]:
        """Event streams with rows, ascending."""
        return sorted(self._events)

    def events_of(self, stream_id: int) -> Rows:
        """All events of a stream, in (time, id, stamp) order."""
        return sort_events(join_rows(self._events[stream_id]))

    def series_pieces(
        self, types: npt.NDArray[np.uint8], rows_max: int
    ) -> Iterator[tuple[UInt32Array, Rows]]:
        """All samples in pieces, by value type, then (stream, time, stamp).

        Parameters
        ----------
        types : uint8, shape (streams,)
            Value type of each stream.
        rows_max : int
            A piece has about so many rows; a stream is never cut.

        Yields
        ------
        stream : uint32, shape (n,)
        rows : Rows

        Notes
        -----
        For a frozen head. Each piece is its own short stretch of Python.
        """
        count = self._log.count
        present = np.flatnonzero(count).astype(np.uint32)
        for value_type in np.unique(types[present]).tolist():
            # Strings are Python objects, so their pieces hold the GIL: they are kept short.
            wanted = max(rows_max // 16, 1) if value_type in STRINGS else rows_max
            chosen = present[types[present] == value_type]
            ends = np.cumsum(count[chosen], dtype=np.int64)
            begin = 0
            while begin < len(chosen):
                # One pass over the head brings the rows of many pieces together.
                end = _upto(ends, begin, _PASS_PIECES * wanted)
                spread = self._spread(chosen[begin:end])
                base = int(ends[begin - 1]) if begin else 0
                while begin < end:
                    stop = _upto(ends[:end], begin, wanted)
                    rows = slice(
                        int(ends[begin - 1]) - base if begin else 0, int(ends[stop - 1]) - base
                    )
                    yield self._piece(spread, rows, ValueType(value_type))
                    begin = stop

    def _spread(self, streams: UInt32Array) -> Spread:
        counts = self._log.count[streams].astype(np.int64)
        place = np.full(len(self._log.count), _NOWHERE, np.uint32)
        place[streams] = np.cumsum(counts) - counts
        return Spread(self._log, place, np.repeat(streams, counts))

    def _piece(
        self, spread: Spread, part: slice, value_type: ValueType
    ) -> tuple[UInt32Array, Rows]:
        stream, time, stamp = spread.stream[part], spread.time[part], spread.stamp[part]
        ahead = (stream[1:] == stream[:-1]) & (
            (time[1:] < time[:-1]) | ((time[1:] == time[:-1]) & (stamp[1:] < stamp[:-1]))
        )
        columns = _Columns(
            time, stamp, spread.quality[part], spread.cell[part], spread.missing[part]
        )
        if not ahead.any():
            return stream, columns.rows(value_type, self.texts)
        where = np.flatnonzero(np.isin(stream, np.unique(stream[1:][ahead])))
        order = np.arange(len(stream))
        order[where] = where[np.lexsort((stamp[where], time[where], stream[where]))]
        return stream, columns.take(order).rows(value_type, self.texts)


def _upto(ends: Int64Array, begin: int, rows: int) -> int:
    """Behind the last stream from ``begin`` on with which there are at most so many rows."""
    done = int(ends[begin - 1]) if begin else 0
    return max(int(np.searchsorted(ends, done + rows, "right")), begin + 1)


def _ones(rows: int) -> BoolArray:
    return _ONES[:rows] if rows <= len(_ONES) else np.ones(rows, np.bool_)


@dataclass(frozen=True, slots=True)
class _Columns:
    """Rows as the head holds them."""

    time: Int64Array
    stamp: UInt64Array
    quality: UInt32Array
    cell: UInt64Array
    missing: npt.NDArray[np.uint8]

    def take(self, order: IndexArray) -> "_Columns":
        return _Columns(
            self.time[order],
            self.stamp[order],
            self.quality[order],
            self.cell[order],
            self.missing[order],
        )

    def rows(self, value_type: ValueType, texts: list[object]) -> Rows:
        value: AnyArray = values_of(value_type, self.cell, texts)
        valid = np.equal(self.missing, 0) if self.missing.any() else None
        column = ColumnData(value_type, value, valid)
        return Rows(self.time, self.stamp, self.quality, None, (column,))


def event_bytes(rows: Rows) -> int:
    """Estimate of the memory that events take.

    Parameters
    ----------
    rows : Rows

    Returns
    -------
    int
    """
    return len(rows) * (_EVENT_BYTES + 9 * len(rows.data)) + string_bytes(rows.data)


def string_bytes(columns: Sequence[ColumnData]) -> int:
    """Estimate of the memory that the strings of columns take.

    Parameters
    ----------
    columns : sequence of ColumnData

    Returns
    -------
    int
    """
    total = 0
    for column in columns:
        if column.type in STRINGS:
            total += sum(map(len, filter(None, column.value.tolist()))) + 60 * len(column)
    return total
