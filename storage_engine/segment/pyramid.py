"""Summaries of the vectors of a segment: gathered block by block, and found again by run."""

from typing import Any

import numpy as np
import numpy.typing as npt

from storage_engine.errors import InvalidArgument
from storage_engine.fold import FoldColumns
from storage_engine.fold_codes import held, hold
from storage_engine.fold_state import CODE, DURATIONS, STATE, SUMS
from storage_engine.sample import BoolArray, Int64Array
from storage_engine.segment.pyramid_chunk import PyramidIdentity, encode_pyramid
from storage_engine.segment.summary import VECTOR_ROWS, BlockSummary

_FAN = 32
_DEEPEST = 64


class Pyramid:
    """Vectors of a stream in one segment, under a tree of summaries of 32 each.

    Parameters
    ----------
    vectors : FoldColumns
        Of all its runs, in order.

    Attributes
    ----------
    levels : tuple of FoldColumns
        The vectors first; a row above is merged of 32 below it that are next to each other.
    """

    def __init__(self, vectors: FoldColumns) -> None:
        levels = [vectors]
        while len(levels[-1]) > _FAN:
            below = levels[-1]
            levels.append(below.merge(np.arange(0, len(below), _FAN)))
        self.levels = tuple(levels)

    def __len__(self) -> int:
        return len(self.levels[0])

    @property
    def table(self) -> npt.NDArray[Any]:
        """States of the vectors; as long as this object lives they lie where they are."""
        return self.levels[0].table

    @property
    def nbytes(self) -> int:
        """Memory of all levels."""
        return sum(level.table.nbytes + held(level)[1].nbytes for level in self.levels)

    def fold(self, first: Int64Array, behind: Int64Array) -> FoldColumns:
        """States of ranges of vectors, to the bit those of a fold over their rows.

        Parameters
        ----------
        first, behind : int64, shape (m,)
            first <= vector < behind; their runs must follow each other in time.

        Returns
        -------
        FoldColumns
            m rows; of each, at most 62 summaries a level are merged.

        Raises
        ------
        InvalidArgument
            When vectors are not there.
        """
        low, high = np.asarray(first, np.int64), np.asarray(behind, np.int64)
        if len(low) and (low.min() < 0 or high.max() > len(self) or (low > high).any()):
            raise InvalidArgument(f"cannot fold vectors: got others than 0 to {len(self)}")
        owner = np.arange(len(low))
        pieces: list[tuple[Int64Array, Int64Array, Int64Array, int, int]] = []
        for level in range(len(self.levels)):
            up, down = -(-low // _FAN), high // _FAN
            deeper = (up < down) if level + 1 < len(self.levels) else np.zeros(len(low), np.bool_)
            flat = ~deeper
            pieces.append((owner[flat], low[flat], high[flat], level, 0))
            owner, low, high, up, down = (x[deeper] for x in (owner, low, high, up, down))
            pieces.append((owner, low, up * _FAN, level, level - _DEEPEST))
            pieces.append((owner, down * _FAN, high, level, _DEEPEST - level))
            low, high = up, down
        return self._merged(pieces, len(np.asarray(first)))

    def _merged(
        self, pieces: list[tuple[Int64Array, Int64Array, Int64Array, int, int]], count: int
    ) -> FoldColumns:
        owner, begin, end = (np.concatenate([piece[i] for piece in pieces]) for i in range(3))
        level = np.concatenate([np.full(len(piece[0]), piece[3]) for piece in pieces])
        place = np.concatenate([np.full(len(piece[0]), piece[4]) for piece in pieces])
        order = np.lexsort((place, owner))
        owner, begin, end, level = owner[order], begin[order], end[order], level[order]
        size = end - begin
        group = np.repeat(owner, size)
        row = np.arange(len(group)) - np.repeat(np.cumsum(size) - size, size)
        starts = np.searchsorted(group, np.arange(count))
        kind, source = self.levels[0].kind, np.repeat(level, size)
        row += np.repeat(begin, size)
        return FoldColumns.gather(kind, self.levels, source, row, starts)


class PyramidBuilder:
    """Vectors of the streams of a segment in the making.

    Parameters
    ----------
    incarnation : bytes
        16 bytes of the store.
    segment_id : int
    """

    def __init__(self, incarnation: bytes, segment_id: int) -> None:
        self._identity = (incarnation, segment_id)
        self._blocks: list[tuple[npt.NDArray[np.uint32], BlockSummary]] = []
        self._deep: set[int] = set()

    def add(self, streams: npt.NDArray[np.uint32], summary: BlockSummary) -> None:
        """Take the vectors of one block.

        Parameters
        ----------
        streams : uint32, shape (r,)
            Of its runs.
        summary : BlockSummary
        """
        if not len(summary.vectors):
            return
        self._blocks.append((streams, summary))
        begins = np.searchsorted(summary.owner, np.arange(len(streams)))
        rows = np.add.reduceat(summary.vectors.table["rows"], begins)
        self._deep.update(streams[rows > VECTOR_ROWS].tolist())

    def finish(self) -> dict[int, bytes]:
        """Chunks of the streams with a run of more than 1,024 rows.

        Returns
        -------
        dict of int to bytes
            Of each such stream, ascending: all its vectors, in the order of the directory's runs.
        """
        chunks = {}
        held = self._parts()
        for stream in sorted(self._deep):
            parts = sorted(held[stream], key=lambda part: part[0])
            kind = parts[0][1].vectors.kind
            if any(part.vectors.kind != kind for _, part, _ in parts):
                continue
            identity = PyramidIdentity(*self._identity, stream)
            chunks[stream] = encode_pyramid(_joined(kind, parts), identity)
        return chunks

    def _parts(self) -> dict[int, list[tuple[int, BlockSummary, slice]]]:
        """First time and vectors of each run of the streams that get a chunk."""
        parts: dict[int, list[tuple[int, BlockSummary, slice]]] = {s: [] for s in self._deep}
        deep = np.array(sorted(self._deep), np.uint32)
        for streams, summary in self._blocks:
            bounds = np.searchsorted(summary.owner, np.arange(len(streams) + 1))
            for run in np.flatnonzero(np.isin(streams, deep)).tolist():
                where = slice(int(bounds[run]), int(bounds[run + 1]))
                first = int(summary.bounds["run_first"][run])
                parts[int(streams[run])].append((first, summary, where))
        return parts


def _joined(kind: int, parts: list[tuple[int, BlockSummary, slice]]) -> FoldColumns:
    """Vectors of some blocks in one, with the values they held."""
    joined = FoldColumns(
        kind, np.concatenate([part.vectors.table[where] for _, part, where in parts])
    )
    known = np.concatenate([part.vectors.known[where] for _, part, where in parts])
    found = [held(part.vectors, where.start, where.stop) for _, part, where in parts]
    sizes = np.concatenate([np.diff(starts) for starts, _ in found])
    starts = np.append(0, np.cumsum(sizes)).astype(np.int64)
    values = np.concatenate([values for _, values in found])
    hold(joined, (known & DURATIONS).astype(np.bool_), starts, values)
    return joined


def vector_rows(start: npt.NDArray[np.uint32], rows: npt.NDArray[np.uint32]) -> Int64Array:
    """Rows of each vector of some runs, run by run.

    Parameters
    ----------
    start, rows : uint32, shape (r,)
        First row of each run in its block, and how many it has.

    Returns
    -------
    int64, shape (v,)
        A vector is rows 1024 k and on of the block, cut where a run begins or ends.
    """
    begin = start.astype(np.int64)
    end = begin + rows
    first, last = begin // VECTOR_ROWS, (end - 1) // VECTOR_ROWS
    count = last - first + 1
    owner = np.repeat(np.arange(len(begin)), count)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count) + first[owner]
    low = np.maximum(begin[owner], place * VECTOR_ROWS)
    found: Int64Array = np.minimum(end[owner], (place + 1) * VECTOR_ROWS) - low
    return found


def same_states(left: FoldColumns, right: FoldColumns) -> bool:
    """Whether two hold the same, where both know it.

    Parameters
    ----------
    left, right : FoldColumns

    Returns
    -------
    bool
    """
    if len(left) != len(right) or left.kind != right.kind:
        return False
    both = left.known & right.known
    for name in STATE.names or ():
        a, b = left.table[name], right.table[name]
        if name in SUMS:
            mask = (both >> SUMS.index(name) & 1).astype(np.bool_)
            a, b = a[mask], b[mask]
        elif name in {"resets", "transitions"} and left.kind < CODE:
            mask = (both >> SUMS.index("increase") & 1).astype(np.bool_)
            a, b = a[mask], b[mask]
        if name not in {"wide", "codes", "rest", "exact"} and a.tobytes() != b.tobytes():
            return False
    return _same_durations(left, right, (both & DURATIONS).astype(np.bool_))


def _same_durations(left: FoldColumns, right: FoldColumns, both: BoolArray) -> bool:
    found = []
    for columns in (left, right):
        starts, values = held(columns)
        owner = np.repeat(np.arange(len(columns)), np.diff(starts))
        found.append((owner[both[owner]].tobytes(), values[both[owner]].tobytes()))
    return found[0] == found[1]
