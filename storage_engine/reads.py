"""Reads over all places that hold rows of a stream: segments, a frozen head, the front head.

Rows are decoded in time order and only as far as the answer needs: a bounded read stops as soon
as no place left can hold a row before the last one it gives.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from storage_engine.columns import Rows, join_rows, null_column, sort_by_time
from storage_engine.errors import InvalidArgument
from storage_engine.events import event_rule, sort_events
from storage_engine.revisions import one_per_time, revisions
from storage_engine.sample import (
    EVENT_ID_DTYPE,
    SERIES_VALUE,
    Column,
    ColumnData,
    Damage,
    EventColumns,
    SampleColumns,
)
from storage_engine.segment.layout import SegmentInfo
from storage_engine.segment.reader import Directory, SegmentReader
from storage_engine.state import View
from storage_engine.streams import Duplicates, StreamInfo
from storage_engine.tombstones import Tombstone, deleted, without_erased


@dataclass(frozen=True, slots=True)
class Window:
    """What is asked of a stream: start <= time < end, and how many rows from which end."""

    start_ns: int
    end_ns: int
    known_at_lsn: int | None = None
    max_count: int | None = None
    backward: bool = False

    def cut(self, rows: Rows) -> Rows:
        """Rows inside, of rows in time order."""
        begin = int(np.searchsorted(rows.timestamp_ns, self.start_ns, "left"))
        end = int(np.searchsorted(rows.timestamp_ns, self.end_ns, "left"))
        rows = rows.take(slice(begin, end))
        if self.known_at_lsn is None:
            return rows
        known = rows.stamp >> np.uint64(1) <= np.uint64(max(self.known_at_lsn, 0))
        return rows if known.all() else rows.take(known)


@dataclass(frozen=True, slots=True)
class _Run:
    directory: Directory
    index: int


class _Places:
    """Segments and runs of a stream, opened in time order from the side the read starts at."""

    def __init__(self, reader: SegmentReader, view: View, window: Window) -> None:
        self._reader = reader
        self._stream_id = view.info.id
        self._window = window
        self._heap: list[tuple[int, int, SegmentInfo | _Run]] = []
        self._count = 0
        touching = (t for t in view.tombstones if t.touches(window.start_ns, window.end_ns - 1, -1))
        self.tombstones = tuple(touching)
        self.damage: list[Damage] = []
        for info in view.segments:
            self._push(info.first, info.last, info.lsn_min, info)

    def _push(self, first: int, last: int, lsn_min: int, place: SegmentInfo | _Run) -> None:
        window = self._window
        if first >= window.end_ns or last < window.start_ns:
            return
        if window.known_at_lsn is not None and lsn_min > window.known_at_lsn:
            return
        self._count += 1
        key = (-last, -self._count) if window.backward else (first, self._count)
        heapq.heappush(self._heap, (*key, place))

    def frontier(self) -> int | None:
        """First (backward: last) time that an unopened place may hold; None when all are open."""
        if not self._heap:
            return None
        key = self._heap[0][0]
        return -key if self._window.backward else key

    def open_next(self) -> Rows | None:
        """Open the next place: a segment gives its runs, a run gives rows."""
        place = heapq.heappop(self._heap)[2]
        if isinstance(place, SegmentInfo):
            directory = self._reader.directory_for_reads(place)
            if directory is None or directory.rows_missing:
                missing = place.rows if directory is None else directory.rows_missing
                what = f"segment set aside; {missing} rows miss, perhaps of this stream"
                self.damage.append(Damage(place.path, place.first, place.last, what))
            if directory is not None:
                table, runs = directory.table, directory.runs_of(self._stream_id)
                for index in range(runs.start, runs.stop):
                    first, last = int(table["run_first"][index]), int(table["run_last"][index])
                    lsn_min = int(table["run_stamp_min"][index]) >> 1
                    self._push(first, last, lsn_min, _Run(directory, index))
            return None
        table = place.directory.table
        number = int(table["run_block"][place.index])
        block = self._reader.block(place.directory, number)
        if block is None:
            first, last = int(table["run_first"][place.index]), int(table["run_last"][place.index])
            path = place.directory.info.path
            self.damage.append(Damage(path, first, last, f"block {number} cannot be read"))
            return None
        start = int(table["run_start"][place.index])
        stop = start + int(table["run_rows"][place.index])
        rows = self._window.cut(block.take(slice(start, stop)))
        return without_erased(rows, self.tombstones)


def _beyond(parts: Sequence[Rows], frontier: int | None, *, backward: bool) -> list[Rows]:
    """Rows that no unopened place can come before (backward: after)."""
    if frontier is None:
        return list(parts)
    if backward:
        return [
            p.take(slice(int(np.searchsorted(p.timestamp_ns, frontier, "right")), None))
            for p in parts
        ]
    return [p.take(slice(0, int(np.searchsorted(p.timestamp_ns, frontier, "left")))) for p in parts]


def _resolve(parts: Sequence[Rows], view: View, window: Window, rule: Duplicates) -> Rows | None:
    # Rows of one frame at one time may lie in two blocks: their order is that of the blocks.
    in_order = reversed(parts) if window.backward else parts
    held = [part for part in in_order if len(part)]
    if not held:
        return None
    rows = revisions(sort_by_time(join_rows(held)), _known(view.tombstones, window))
    return one_per_time(rows, rule)


def _known(tombstones: Sequence[Tombstone], window: Window) -> Sequence[Tombstone]:
    """Tombstones that hold for a read as known at its lsn."""
    if window.known_at_lsn is None:
        return tombstones
    return [entry for entry in tombstones if entry.lsn <= window.known_at_lsn]


def read_samples(
    reader: SegmentReader, view: View, window: Window, rule: Duplicates = Duplicates.LAST
) -> SampleColumns:
    """Samples of a series.

    Parameters
    ----------
    reader : SegmentReader
    view : View
    window : Window
    rule : Duplicates
        Which of the kept revisions of a time.

    Returns
    -------
    SampleColumns
        Ascending, or descending for a backward window.
    """
    info = view.info
    parts: list[Rows] = []
    for captured in view.heads:
        rows = captured.head.samples(captured, info.value_type)
        if rows is not None:
            parts.append(without_erased(window.cut(rows), view.tombstones))
    places = _Places(reader, view, window)
    want = window.max_count
    tried = 0
    while (frontier := places.frontier()) is not None:
        if want is not None:
            ready = _beyond(parts, frontier, backward=window.backward)
            count = sum(map(len, ready))
            if count >= max(want, 2 * tried):
                found = _resolve(ready, view, window, rule)
                if found is not None and len(found) >= want:
                    return _samples(_limited(found, window), info, places.damage)
                tried = max(count, 1)
        opened = places.open_next()
        if opened is not None:
            parts.append(opened)
    found = _resolve(parts, view, window, rule)
    if found is None:
        return _samples(empty_rows(info), info, places.damage)
    return _samples(_limited(found, window), info, places.damage)


def _limited(rows: Rows, window: Window) -> Rows:
    if window.backward:
        rows = rows.take(slice(None, None, -1))
    return rows if window.max_count is None else rows.take(slice(0, window.max_count))


def _samples(rows: Rows, info: StreamInfo, damage: Sequence[Damage]) -> SampleColumns:
    quality = rows.quality
    if quality is None:
        raise InvalidArgument(f"cannot read samples: got event stream {info.id}, want a series")
    lsn = rows.stamp >> np.uint64(1)
    return SampleColumns(rows.timestamp_ns, quality, rows.data[0], lsn, tuple(damage))


def empty_rows(info: StreamInfo) -> Rows:
    """No rows, with the columns of a stream.

    Parameters
    ----------
    info : StreamInfo

    Returns
    -------
    Rows
    """
    series = [column.name for column in info.columns] == [SERIES_VALUE]
    columns = tuple(
        ColumnData(column.type, null_column(column.type, 0).value) for column in info.columns
    )
    return Rows(
        np.empty(0, np.int64),
        np.empty(0, np.uint64),
        np.empty(0, np.uint32) if series else None,
        np.empty(0, EVENT_ID_DTYPE),
        columns,
    )


def gather_events(
    reader: SegmentReader, view: View, window: Window, damage: list[Damage] | None = None
) -> Rows | None:
    """All event rows of a window, every delivery, in (time, id, stamp) order.

    Parameters
    ----------
    reader : SegmentReader
    view : View
    window : Window
    damage : list of Damage, optional
        Takes what could not be read.

    Returns
    -------
    Rows or None
        Deleted rows are in it, erased ones are not.
    """
    parts: list[Rows] = []
    places = _Places(reader, view, window)
    while places.frontier() is not None:
        opened = places.open_next()
        if opened is not None:
            parts.append(opened)
    for captured in view.heads:
        cuts = (window.cut(sort_by_time(chunk)) for chunk in captured.events)
        parts += [without_erased(rows, view.tombstones) for rows in cuts]
    if damage is not None:
        damage += places.damage
    held = [part for part in parts if len(part)]
    return sort_events(join_rows(held)) if held else None


def newest_event(reader: SegmentReader, view: View) -> int:
    """Time of the newest event of a stream, from directories alone; the least time if none.

    Parameters
    ----------
    reader : SegmentReader
    view : View

    Returns
    -------
    int
        Nanoseconds.
    """
    chunks = [chunk for captured in view.heads for chunk in captured.events]
    newest = max((int(chunk.timestamp_ns.max()) for chunk in chunks), default=-(2**63))
    for info in sorted(view.segments, key=lambda segment: -segment.last):
        if info.last <= newest:
            break
        directory = reader.directory_for_reads(info)
        if directory is not None:
            last = directory.table["run_last"][directory.runs_of(view.info.id)]
            newest = max(newest, int(last.max(initial=newest)))
    return newest


def read_events(
    reader: SegmentReader,
    view: View,
    window: Window,
    *,
    columns: Sequence[str] | None,
    conflicts: bool,
) -> EventColumns:
    """Events of a stream in (time, id) order, one per key.

    Parameters
    ----------
    reader : SegmentReader
    view : View
    window : Window
    columns : sequence of str, optional
        Names to give; all by default.
    conflicts : bool
        Also give later events of a known key with other content, behind the first.

    Returns
    -------
    EventColumns
    """
    info = view.info
    names = {column.name: place for place, column in enumerate(info.columns)}
    chosen = list(names) if columns is None else list(columns)
    unknown = [name for name in chosen if name not in names]
    if unknown:
        raise InvalidArgument(
            f"cannot read events: got columns {unknown}, want some of {list(names)}",
            stream_id=info.id,
        )
    damage: list[Damage] = []
    found = gather_events(reader, view, window, damage)
    deletes = _known(view.tombstones, window)
    rows = (
        empty_rows(info) if found is None else visible_events(found, deletes, conflicts=conflicts)
    )
    assert rows.event_id is not None, "event rows have an id"
    data = {name: _column(rows, names[name], info.columns[names[name]]) for name in chosen}
    lsn = rows.stamp >> np.uint64(1)
    return EventColumns(rows.timestamp_ns, rows.event_id, data, lsn, tuple(damage))


def visible_events(rows: Rows, deletes: Sequence[Tombstone], *, conflicts: bool = False) -> Rows:
    """Event rows less the deleted ones, one per key or with conflicts.

    Parameters
    ----------
    rows : Rows
        In (time, id, stamp) order, erased ones left out.
    deletes : sequence of Tombstone
        That hold for this read.
    conflicts : bool

    Returns
    -------
    Rows

    Notes
    -----
    A content seen before stays deleted when it is delivered again; another content of the key
    takes its place.
    """
    hidden = deleted(rows, deletes) if deletes else None
    if hidden is None:
        return event_rule(rows, conflicts=conflicts)
    once = event_rule(rows, conflicts=True)
    hidden = deleted(once, deletes)
    left = once if hidden is None else once.take(~hidden)
    return left if conflicts else event_rule(left)


def _column(rows: Rows, place: int, column: Column) -> ColumnData:
    if place < len(rows.data):
        return rows.data[place]
    return null_column(column.type, len(rows))
