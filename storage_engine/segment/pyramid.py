"""Summaries of the vectors of a segment: gathered block by block, and found again by run."""

import numpy as np
import numpy.typing as npt

from storage_engine.fold import FoldColumns
from storage_engine.fold_state import CODE, STATE, SUMS
from storage_engine.sample import Int64Array
from storage_engine.segment.pyramid_chunk import PyramidIdentity, encode_pyramid
from storage_engine.segment.summary import VECTOR_ROWS, BlockSummary


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
        self._parts: dict[int, list[tuple[int, BlockSummary, slice]]] = {}
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
        bounds = np.searchsorted(summary.owner, np.arange(len(streams) + 1)).tolist()
        first = summary.runs["run_first"].tolist()
        for run, stream in enumerate(streams.tolist()):
            where = slice(bounds[run], bounds[run + 1])
            self._parts.setdefault(stream, []).append((first[run], summary, where))
            if summary.vectors.table["rows"][where].sum() > VECTOR_ROWS:
                self._deep.add(stream)

    def finish(self) -> dict[int, bytes]:
        """Chunks of the streams with a run of more than 1,024 rows.

        Returns
        -------
        dict of int to bytes
            Of each such stream, ascending: all its vectors, in the order of the directory's runs.
        """
        chunks = {}
        for stream in sorted(self._deep):
            parts = sorted(self._parts[stream], key=lambda part: part[0])
            kind = parts[0][1].vectors.kind
            if any(part.vectors.kind != kind for _, part, _ in parts):
                continue
            states = np.concatenate([part.vectors.table[where] for _, part, where in parts])
            identity = PyramidIdentity(*self._identity, stream)
            chunks[stream] = encode_pyramid(FoldColumns(kind, states), identity)
        return chunks


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
        if name not in {"wide", "rest", "exact"} and a.tobytes() != b.tobytes():
            return False
    return True
