"""Segments as one stream of rows in key order, with few blocks in memory.

The key of a series row is (stream, time, stamp), that of an event (stream, time, id, stamp). Rows
of one column set follow each other: series by value type, then event streams one by one. That is
the order in which a flush writes, so every segment is one sorted source; blocks that do not follow
each other (a segment of another writer) become sources of their own.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from storage_engine.columns import IndexArray, Rows, join_rows
from storage_engine.errors import CorruptData
from storage_engine.sample import AnyArray, Int64Array, UInt32Array
from storage_engine.segment.reader import Directory, SegmentReader

Pace = Callable[[int], None]
Key = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Block:
    """What the directory says of a block; ``first`` and ``last`` are (stream, time)."""

    number: int
    phase: int
    first: Key
    last: Key
    runs: IndexArray


def blocks_of(directory: Directory, phase_of: Int64Array) -> list[_Block]:
    """Outline of every block of a segment.

    Parameters
    ----------
    directory : Directory
    phase_of : int64, shape (streams,)
        Number of the column set of each stream; rows of one follow each other.

    Returns
    -------
    list of _Block

    Raises
    ------
    CorruptData
        A block holds rows of several column sets.
    """
    table = directory.table
    if len(table["run_block"]) == 0:
        return []
    order = np.lexsort((table["run_start"], table["run_block"]))
    number = table["run_block"][order]
    begin = np.concatenate(([0], np.flatnonzero(number[1:] != number[:-1]) + 1))
    end = np.append(begin[1:], len(order)) - 1
    phase = phase_of[table["run_stream"][order]]
    least, most = np.minimum.reduceat(phase, begin), np.maximum.reduceat(phase, begin)
    if (least != most).any():
        bad = int(number[begin][least != most][0])
        raise out_of_order(directory, bad, "rows of several column sets")
    columns = (
        number[begin],
        least,
        table["run_stream"][order[begin]],
        table["run_first"][order[begin]],
        table["run_stream"][order[end]],
        table["run_last"][order[end]],
    )
    return [
        _Block(one, which, (stream, time), (last_stream, last_time), runs)
        for one, which, stream, time, last_stream, last_time, runs in zip(
            *(column.tolist() for column in columns), np.split(order, begin[1:]), strict=True
        )
    ]


def out_of_order(directory: Directory, block: int, got: str) -> CorruptData:
    """Error of a block whose checksum holds and whose rows lie where they must not."""
    path = directory.info.path
    return CorruptData(
        f"cannot merge segment: got {got}, want rows in key order, at {path} block {block}",
        path=path,
        block=block,
    )


def sources_of(
    reader: SegmentReader, directory: Directory, phase_of: Int64Array, pace: Pace
) -> "list[Source]":
    """Sources of a segment: one, unless its blocks do not follow each other.

    Parameters
    ----------
    reader : SegmentReader
    directory : Directory
    phase_of : int64, shape (streams,)
    pace : callable
        Told the bytes read.

    Returns
    -------
    list of Source

    Raises
    ------
    CorruptData
    """
    chains: list[list[_Block]] = []
    blocks = blocks_of(directory, phase_of)
    for block in sorted(blocks, key=lambda one: (one.phase, one.first, one.number)):
        for chain in chains:
            if (chain[-1].phase, chain[-1].last) <= (block.phase, block.first):
                chain.append(block)
                break
        else:
            chains.append([block])
    return [Source(reader, directory, chain, pace) for chain in chains]


class Source:
    """Blocks in key order, of which at most one is in memory.

    Parameters
    ----------
    reader : SegmentReader
    directory : Directory
    blocks : sequence of _Block
        In key order.
    pace : callable
        Told the bytes read.
    """

    def __init__(
        self, reader: SegmentReader, directory: Directory, blocks: Sequence[_Block], pace: Pace
    ) -> None:
        self._reader = reader
        self._directory = directory
        self._todo = deque(blocks)
        self._pace = pace
        self._last: Key = ()
        self.stream: UInt32Array = np.empty(0, np.uint32)
        self.rows: Rows | None = None
        self._keys: tuple[AnyArray, ...] = ()

    @property
    def next_phase(self) -> int | None:
        """Column set of the next block; None when there is none."""
        return self._todo[0].phase if self._todo else None

    @property
    def next_key(self) -> Key:
        """Stream and time of the next block's first row; as a tuple it lies before their keys."""
        return self._todo[0].first

    @property
    def first_key(self) -> Key:
        """Key of the first row held."""
        return tuple(int(column[0]) for column in self._keys)

    @property
    def last_key(self) -> Key:
        """Key of the last row held."""
        return tuple(int(column[-1]) for column in self._keys)

    def load(self) -> None:
        """Decode the next block.

        Raises
        ------
        CorruptData
            It is damaged, or begins before the end of the one before it.
        """
        block = self._todo.popleft()
        table, directory = self._directory.table, self._directory
        rows = self._reader.load_block(directory, block.number, block.first[0])
        self._pace(int(table["block_length"][block.number]))
        counts = table["run_rows"][block.runs].astype(np.int64)
        starts = table["run_start"][block.runs].astype(np.int64)
        # Every row once: a directory that says otherwise would lose some or invent some.
        if len(rows) != counts.sum() or (starts != np.cumsum(counts) - counts).any():
            raise out_of_order(directory, block.number, "runs that are not the rows of the block")
        stream = np.repeat(table["run_stream"][block.runs], counts)
        keys = keys_of(stream, rows)
        if not _rising(keys):
            order = np.lexsort(keys[::-1])
            stream, rows = stream[order], rows.take(order)
            keys = keys_of(stream, rows)
        self.stream, self.rows, self._keys = stream, rows, keys
        if (block.phase, *self.first_key) < self._last:
            raise out_of_order(directory, block.number, "a row of the block before")
        self._last = (block.phase, *self.last_key)

    def take_upto(self, bound: Key | None) -> tuple[UInt32Array, Rows] | None:
        """Give away the rows held up to a key, all without one; None when there are none."""
        assert self.rows is not None, "something is held"
        end = len(self.rows) if bound is None else _count_upto(self._keys, bound)
        if end == 0:
            return None
        given = self.stream[:end], self.rows.take(slice(0, end))
        if end == len(self.rows):
            self.rows, self._keys = None, ()
        else:
            self.stream, self.rows = self.stream[end:], self.rows.take(slice(end, None))
            self._keys = tuple(column[end:] for column in self._keys)
        return given


def keys_of(stream: UInt32Array, rows: Rows) -> tuple[AnyArray, ...]:
    """Columns that rows are ordered by, the most significant first.

    Parameters
    ----------
    stream : uint32, shape (n,)
    rows : Rows
        n rows.

    Returns
    -------
    tuple of array, shape (n,)
    """
    if rows.event_id is None:
        return (stream, rows.timestamp_ns, rows.stamp)
    halves = np.ascontiguousarray(rows.event_id).view(">u8").reshape(-1, 2).astype(np.uint64)
    return (stream, rows.timestamp_ns, halves[:, 0], halves[:, 1], rows.stamp)


def _rising(keys: Sequence[AnyArray]) -> bool:
    """Whether rows lie in key order."""
    tied = np.ones(max(len(keys[0]) - 1, 0), np.bool_)
    for column in keys:
        if (tied & np.less(column[1:], column[:-1])).any():
            return False
        tied &= np.equal(column[1:], column[:-1])
    return True


def _count_upto(keys: Sequence[AnyArray], bound: Key) -> int:
    """Rows in key order that lie at or before a key; one that is shorter lies before its equals."""
    low, high = 0, len(keys[0])
    for column, value in zip(keys, bound, strict=False):
        part, one = column[low:high], np.array(value, column.dtype)
        low, high = (
            low + int(np.searchsorted(part, one, "left")),
            low + int(np.searchsorted(part, one, "right")),
        )
    return high if len(bound) == len(keys) else low


def merge(sources: Sequence[Source]) -> Iterator[tuple[int, UInt32Array, Rows]]:
    """All rows of sources in key order, in pieces.

    Parameters
    ----------
    sources : sequence of Source

    Yields
    ------
    phase : int
        Column set, ascending.
    stream : uint32, shape (n,)
    rows : Rows
        In key order; equal keys in the order of ``sources``.

    Raises
    ------
    CorruptData
        Naming path and block.

    Notes
    -----
    A source is opened when no row held lies before its next block: what is held at one time are
    blocks whose ranges overlap, at most one per source.
    """
    while True:
        phases = [source.next_phase for source in sources]
        phase = min((one for one in phases if one is not None), default=None)
        if phase is None:
            return
        chosen = [s for s, one in zip(sources, phases, strict=True) if one == phase]
        for stream, rows in _merge_phase(chosen, phase):
            yield phase, stream, rows


def _merge_phase(sources: Sequence[Source], phase: int) -> Iterator[tuple[UInt32Array, Rows]]:
    while True:
        held = [source for source in sources if source.rows is not None]
        closed = [s for s in sources if s.rows is None and s.next_phase == phase]
        opening = min(closed, key=lambda source: source.next_key, default=None)
        least = min((source.first_key for source in held), default=None)
        if opening is not None and (least is None or opening.next_key <= least):
            opening.load()
            continue
        if not held:
            return
        bounds = [source.last_key for source in held if source.next_phase == phase]
        if opening is not None:
            bounds.append(opening.next_key)
        bound = min(bounds, default=None)
        # No name for the parts: it would keep their blocks in memory while the next are loaded.
        yield _joined([part for s in held if (part := s.take_upto(bound)) is not None])


def _joined(parts: Sequence[tuple[UInt32Array, Rows]]) -> tuple[UInt32Array, Rows]:
    if len(parts) == 1:
        return parts[0]
    stream = np.concatenate([part[0] for part in parts])
    rows = join_rows([part[1] for part in parts])
    keys = keys_of(stream, rows)
    if _rising(keys):
        return stream, rows
    order = np.lexsort(keys[::-1])
    return stream[order], rows.take(order)
