"""Functions of time in pieces: lines and constants, texts, truths; and where lines cross.

Pieces tile a stretch of time: each begins at its ``start_ns`` and ends where the next begins, the
last at ``behind_ns``.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from storage_engine.sample import AnyArray, BoolArray, Int64Array

Int8Array = npt.NDArray[np.int8]
Numbers = npt.NDArray[Any]  # int64, uint64 or float64
Float64Array = npt.NDArray[np.float64]
# A crossing nearer to a whole nanosecond than this stands there: computed lines are not exact.
_NEAR_NS = 2.0**-20
_NEAR_SHARE = 2.0**-50  # of a length, what doubles may err by


@dataclass(frozen=True, slots=True)
class Pieces:
    """Where pieces begin, ascending, the first at the start of the stretch; int64, shape (n,)."""

    start_ns: Int64Array
    behind_ns: int

    @property
    def end_ns(self) -> Int64Array:
        """Where pieces end."""
        return np.append(self.start_ns[1:], np.int64(self.behind_ns))


@dataclass(frozen=True, slots=True)
class Lines(Pieces):
    """Numbers.

    Attributes
    ----------
    known : bool, shape (n,)
        The others mean nothing where it is False.
    from_ns, until_ns : int64, shape (n,)
        Times that a line is drawn between; the piece lies within.
    first, last : array, shape (n,)
        Values at these times, whole numbers as such; ``last`` is None when no piece is sloped.
    """

    known: BoolArray
    from_ns: Int64Array
    until_ns: Int64Array
    first: Numbers
    last: Numbers | None

    def take(self, rows: npt.NDArray[np.intp], start_ns: Int64Array) -> "Lines":
        """Pieces by number, cut anew."""
        return Lines(
            start_ns,
            self.behind_ns,
            self.known[rows],
            self.from_ns[rows],
            self.until_ns[rows],
            self.first[rows],
            None if self.last is None else self.last[rows],
        )

    def at(self, time_ns: Int64Array) -> Float64Array:
        """Value at a time of each piece."""
        first = self.first.astype(np.float64)
        if self.last is None:
            return first
        last = self.last.astype(np.float64)
        span = np.maximum(self.until_ns - self.from_ns, 1).astype(np.float64)
        with np.errstate(all="ignore"):
            inside = first + (last - first) * (time_ns - self.from_ns) / span
        flat = first == last
        inside = np.where((time_ns == self.from_ns) | flat, first, inside)
        return np.where((time_ns == self.until_ns) & ~flat, last, inside)


@dataclass(frozen=True, slots=True)
class Texts(Pieces):
    """Strings; ``value`` means nothing where not ``known``."""

    known: BoolArray
    value: AnyArray

    def take(self, rows: npt.NDArray[np.intp], start_ns: Int64Array) -> "Texts":
        """Pieces by number, cut anew."""
        return Texts(start_ns, self.behind_ns, self.known[rows], self.value[rows])


@dataclass(frozen=True, slots=True)
class Truths(Pieces):
    """``state`` is 1 where true, -1 where false, 0 where not known; int8, shape (n,)."""

    state: Int8Array

    def take(self, rows: npt.NDArray[np.intp], start_ns: Int64Array) -> "Truths":
        """Pieces by number, cut anew."""
        return Truths(start_ns, self.behind_ns, self.state[rows])

    def joined(self) -> "Truths":
        """Neighbours of one state as one piece."""
        kept = np.append(True, self.state[1:] != self.state[:-1])
        return Truths(self.start_ns[kept], self.behind_ns, self.state[kept])


_P = TypeVar("_P", Lines, Texts, Truths)


def together(*functions: _P) -> list[_P]:
    """Functions over the same pieces."""
    start = functions[0].start_ns
    if all(np.array_equal(start, one.start_ns) for one in functions[1:]):
        return list(functions)
    start = np.concatenate([one.start_ns for one in functions])
    start.sort(kind="stable")  # runs that ascend: merged
    start = start[np.append(True, start[1:] != start[:-1])]
    return [
        one.take(np.searchsorted(one.start_ns, start, side="right") - 1, start) for one in functions
    ]


def _rows_at(own_ns: Int64Array, start_ns: Int64Array) -> npt.NDArray[np.intp]:
    """Piece of a function that each of more pieces lies in; all its own beginnings are there."""
    place = np.searchsorted(start_ns, own_ns)
    begins = np.zeros(len(start_ns), np.intp)
    begins[place] = 1
    return np.asarray(np.cumsum(begins) - 1)


def on_same_lines(left: Lines, right: Lines) -> tuple[Lines, Lines]:
    """Over the same pieces, and drawn between the same times wherever both slope."""
    left, right = together(left, right)
    if left.last is None or right.last is None:
        sloped = right if left.last is None else left
        return _drawn(left, sloped.from_ns, sloped.until_ns), _drawn(
            right, sloped.from_ns, sloped.until_ns
        )
    from_ns = np.maximum(left.from_ns, right.from_ns)
    until_ns = np.minimum(left.until_ns, right.until_ns)
    return _drawn(left, from_ns, until_ns), _drawn(right, from_ns, until_ns)


def _drawn(line: Lines, from_ns: Int64Array, until_ns: Int64Array) -> Lines:
    first, last = line.first, line.last
    if last is not None and not (
        np.array_equal(from_ns, line.from_ns) and np.array_equal(until_ns, line.until_ns)
    ):
        first, last = line.at(from_ns), line.at(until_ns)
    return Lines(line.start_ns, line.behind_ns, line.known, from_ns, until_ns, first, last)


def meeting(left: Lines, right: Lines) -> tuple[Lines, Lines, Int8Array]:
    """Two functions cut where they cross, and per piece the sign of left less right.

    A line that crosses another is equal to it at most at one nanosecond: where the crossing is a
    whole one. Else the sign changes with the first nanosecond behind the crossing.
    """
    left, right = on_same_lines(left, right)
    before = signs(left.first, right.first)
    if left.last is None and right.last is None:
        return left, right, before
    left_last = left.first if left.last is None else left.last
    right_last = right.first if right.last is None else right.last
    after = signs(left_last, right_last)
    turning = left.known & right.known & (before != after) & (after != 0)
    turns = np.flatnonzero(turning)
    if len(turns) == 0:
        return left, right, before
    equal, behind = _crossing(
        (left.from_ns[turns], left.until_ns[turns]),
        (left.first[turns], right.first[turns]),
        (left_last[turns], right_last[turns]),
    )
    start, end = left.start_ns[turns], left.end_ns[turns]
    cuts = np.stack([start, np.clip(equal, start, end), np.clip(behind, start, end), end], axis=1)
    states = np.stack([before[turns], np.zeros(len(turns), np.int8), after[turns]], axis=1)
    there = cuts[:, 1:] > cuts[:, :-1]
    counts = np.ones(len(before), np.intp)
    counts[turns] = there.sum(axis=1)
    rows = np.repeat(np.arange(len(before)), counts)
    cut, sign = left.start_ns[rows], before[rows]
    cut[turning[rows]], sign[turning[rows]] = cuts[:, :-1][there], states[there]
    return left.take(rows, cut), right.take(rows, cut), sign


def _crossing(
    times: tuple[Int64Array, Int64Array],
    first: tuple[Numbers, Numbers],
    last: tuple[Numbers, Numbers],
) -> tuple[Int64Array, Int64Array]:
    """First time at which two lines are equal, or first one behind; and first one behind.

    ``first`` and ``last`` are the values of both at the two times.
    """
    from_ns, until_ns = times
    gap, gap_after = _gap(*first), _gap(*last)
    length = until_ns - from_ns
    with np.errstate(all="ignore"):
        place = np.clip(np.nan_to_num(length * (gap / (gap - gap_after))), 0.0, length)
    whole = np.rint(place)
    there = np.zeros(len(place), np.bool_)
    offset = np.floor(place).astype(np.int64) + 1
    begins = signs(*first) == 0
    close = np.abs(place - whole) <= _NEAR_NS + place * _NEAR_SHARE
    for row in np.flatnonzero(close & ~begins).tolist():
        values = [side[row].item() for side in (*first, *last)]
        offset[row], there[row] = _exactly(int(length[row]), *map(Fraction, values))
    # Values at the two times are told, not found: a crossing lies strictly between them.
    there &= (offset >= 1) & (offset < length)
    equal = from_ns + np.clip(offset, 1, length)
    behind = np.where(there, equal + 1, equal)
    return np.where(begins, from_ns, equal), np.where(begins, from_ns + 1, behind)


def _exactly(
    length: int, left: Fraction, right: Fraction, left_last: Fraction, right_last: Fraction
) -> tuple[int, bool]:
    """Where lines cross that doubles cannot tell, and whether they are equal there."""
    gap, gap_after = left - right, left_last - right_last
    place = length * gap / (gap - gap_after)
    whole = round(place)
    there = abs(place - whole) <= _NEAR_NS
    return (whole if there else floor(place) + 1), there


def signs(left: Numbers, right: Numbers) -> Int8Array:
    """Sign of left less right, exact also between whole numbers and doubles."""
    if left.dtype.kind == "f" and right.dtype.kind in "iu":
        return np.asarray(-signs(right, left))
    if left.dtype.kind in "iu" and right.dtype.kind == "f":
        limits = np.iinfo(left.dtype)
        floor = np.floor(right)
        inside = (floor >= float(limits.min)) & (floor < float(limits.max))
        whole = np.where(inside, floor, 0.0).astype(left.dtype)
        found = (left > whole).astype(np.int8) - (left < whole).astype(np.int8)
        found = np.where((found == 0) & (right != floor), -1, found)
        return np.where(inside, found, np.where(right < 0, 1, -1)).astype(np.int8)
    return np.asarray((left > right).astype(np.int8) - (left < right).astype(np.int8))


def _gap(left: Numbers, right: Numbers) -> Float64Array:
    """How far left is above right; of whole numbers of one type without rounding first."""
    if left.dtype == right.dtype and left.dtype.kind in "iu":
        gap = left.astype(np.uint64) - right.astype(np.uint64)
        under = left < right
        gap[under] = -gap[under]
        return np.where(under, -gap.astype(np.float64), gap.astype(np.float64))
    with np.errstate(all="ignore"):
        return np.asarray(left.astype(np.float64) - right.astype(np.float64))
