"""Functions of time in pieces: lines and constants, texts, truths; and where lines cross.

Pieces tile a stretch of time: each begins at its ``start_ns`` and ends where the next begins, the
last at ``behind_ns``.
"""

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from storage_engine.sample import AnyArray, BoolArray, Int64Array

Int8Array = npt.NDArray[np.int8]
Numbers = npt.NDArray[Any]  # int64, uint64 or float64
Float64Array = npt.NDArray[np.float64]
# A crossing nearer to a whole nanosecond than this, or than doubles can tell, stands there.
_NEAR_NS = 2.0**-20
_NEAR_SHARE = 2.0**-50


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
    start = np.unique(np.concatenate([one.start_ns for one in functions]))
    return [
        one.take(np.searchsorted(one.start_ns, start, side="right") - 1, start) for one in functions
    ]


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
    equal, behind = _crossing(
        (left.from_ns, left.until_ns),
        (before, _gap(left.first, right.first)),
        (after, _gap(left_last, right_last)),
    )
    start, end = left.start_ns, left.end_ns
    cuts = np.stack([start, np.clip(equal, start, end), np.clip(behind, start, end), end], axis=1)
    states = np.stack([before, np.zeros(len(start), np.int8), after], axis=1)
    rows, part = np.nonzero(cuts[:, 1:] > cuts[:, :-1])
    cut = cuts[rows, part]
    return left.take(rows, cut), right.take(rows, cut), states[rows, part]


def _crossing(
    times: tuple[Int64Array, Int64Array],
    first: tuple[Int8Array, Float64Array],
    last: tuple[Int8Array, Float64Array],
) -> tuple[Int64Array, Int64Array]:
    """First time of equality, and first behind it; the end where there is none."""
    from_ns, until_ns = times
    (before, gap), (after, gap_after) = first, last
    length = (until_ns - from_ns).astype(np.float64)
    with np.errstate(all="ignore"):
        place = length * (gap / (gap - gap_after))
    place = np.clip(np.nan_to_num(place), 0.0, length)
    whole = np.rint(place)
    there = np.abs(place - whole) <= np.maximum(_NEAR_NS, place * _NEAR_SHARE)
    offset = np.where(there, whole, np.floor(place) + 1)
    # Values at the ends are told, not found: a crossing is strictly between them.
    at_edge = there & ((whole < 1) | (whole >= length))
    offset = np.maximum(offset, 1)
    crosses = before * after < 0
    equal = np.where(crosses, from_ns + offset.astype(np.int64), until_ns)
    equal = np.minimum(equal, until_ns)
    behind = np.where(crosses & there & ~at_edge, equal + 1, equal)
    begins = (before == 0) & (after != 0)
    equal = np.where(begins, from_ns, np.where((before == 0) & (after == 0), from_ns, equal))
    behind = np.where(begins, from_ns + 1, behind)
    return equal, behind


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
