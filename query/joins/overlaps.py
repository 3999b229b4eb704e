"""Overlap join: all pairs of two sets of intervals that share time."""

from dataclasses import dataclass

import numpy as np

from query.errors import BadRequest, LimitExceeded
from query.facts.ranges import spread
from query.request import QueryLimits
from storage_engine.sample import BoolArray, Int64Array

Intervals = tuple[Int64Array, Int64Array]


@dataclass(frozen=True, slots=True)
class Overlaps:
    """Pairs, by the left interval and then by the start of the right one.

    Attributes
    ----------
    left, right : int64, shape (pairs,)
        Rows of the two sets.
    start_ns, end_ns : int64, shape (pairs,)
        What the two share, [start, end); of a moment its time, twice.
    """

    left: Int64Array
    right: Int64Array
    start_ns: Int64Array
    end_ns: Int64Array

    def __len__(self) -> int:
        return len(self.left)


def overlaps(
    left: Intervals, right: Intervals, limits: QueryLimits, *, least_ns: int = 1
) -> Overlaps:
    """Find the pairs that overlap.

    Parameters
    ----------
    left : pair of int64, shape (n,)
        Starts and ends, start <= end, in any order; an interval that ends where it starts is a
        moment, which lies in whatever holds its time.
    right : pair of int64, shape (m,)
        Starts and ends, start < end, in any order.
    limits : QueryLimits
    least_ns : int
        Pairs that share less are left out, moments too unless this is 1 or less.

    Returns
    -------
    Overlaps

    Raises
    ------
    BadRequest
        For an interval that ends before it starts, a moment on the right, or columns of
        different length.
    LimitExceeded
        For more than ``limits.rows_max`` pairs.

    Notes
    -----
    In a pair either the right one begins inside the left, or the left begins inside the right;
    both are ranges of a sorted column: n log n, and the pairs.
    """
    _check(left, "left", least=0)
    _check(right, "right", least=1)
    order = np.argsort(right[0], kind="stable")
    starts, ends = right[0][order], right[1][order]
    first = np.searchsorted(starts, left[0], side="right")
    later = (first, np.maximum(np.searchsorted(starts, left[1], side="left"), first))
    mine = np.argsort(left[0], kind="stable")
    begins = left[0][mine]
    sooner = (np.searchsorted(begins, starts), np.searchsorted(begins, ends))
    pairs = sum(int((behind - begin).sum()) for begin, behind in (later, sooner))
    if pairs > limits.rows_max:
        got, want = f"{pairs} pairs", f"at most {limits.rows_max}"
        raise LimitExceeded("join intervals that overlap", got=got, want=want, where="left, right")
    of_left, held = spread(*later)
    holder, at = spread(*sooner)
    a, b = np.concatenate([of_left, mine[at]]), np.concatenate([held, holder])
    start, end = np.maximum(left[0][a], starts[b]), np.minimum(left[1][a], ends[b])
    enough = end - start >= least_ns
    if least_ns <= 1:
        enough |= left[0][a] == left[1][a]
    a, b, start, end = (column[enough] for column in (a, b, start, end))
    by = np.lexsort((order[b], starts[b], a))
    return Overlaps(a[by], order[b][by], start[by], end[by])


def _check(intervals: Intervals, side: str, *, least: int) -> None:
    what = "join intervals that overlap"
    start, end = intervals
    if start.shape != end.shape or start.ndim != 1:
        got = f"shapes {start.shape} and {end.shape}"
        raise BadRequest(what, got=got, want="one start and one end each", where=side)
    wrong: BoolArray = end < start if least == 0 else end <= start
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise BadRequest(
            what,
            got=f"[{start[row]}, {end[row]})",
            want="a start not behind the end" if least == 0 else "start before end",
            where=f"{side} {row}",
        )
