"""Intervals of which only parts count: facts of the parts, joined to facts of the intervals."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from query.aggregates.bounds import bare, is_interpolated
from query.expression.spans import Spans
from query.facts.bounds import BoundFacts
from query.facts.extremes import ExtremeFacts
from query.facts.ranges import spread
from query.facts.rules import Rules
from query.scan import join_facts, part_of
from query.summarised import Answered
from storage_engine.sample import BAD, BoolArray, Int64Array


@dataclass(frozen=True, slots=True)
class Parts:
    """Parts [start, end) of intervals, those of one together and in order of time.

    Attributes
    ----------
    owner : int64, shape (n,)
        Number of the interval, ascending.
    start_ns, end_ns : int64, shape (n,)
    """

    owner: Int64Array
    start_ns: Int64Array
    end_ns: Int64Array

    def __len__(self) -> int:
        return len(self.owner)

    def time(self, count: int) -> Int64Array:
        """Time in the parts of each of ``count`` intervals."""
        total = np.zeros(count, np.int64)
        np.add.at(total, self.owner, self.end_ns - self.start_ns)
        return total

    def hold(self, time_ns: Int64Array) -> BoolArray:
        """Whether times lie in any part."""
        begun = np.searchsorted(np.sort(self.start_ns), time_ns, side="right")
        over = np.searchsorted(np.sort(self.end_ns), time_ns, side="right")
        return np.asarray(begun > over)


def parts_in(spans: Spans, state: int, windows: tuple[Int64Array, Int64Array]) -> Parts:
    """What intervals share with the spans in one state."""
    start, end = windows
    from_ns, until_ns = spans.of(state)
    first = np.searchsorted(until_ns, start, side="right")
    behind = np.maximum(np.searchsorted(from_ns, end), first)
    owner, rows = spread(first, behind)
    return Parts(
        owner.astype(np.int64),
        np.maximum(from_ns[rows], start[owner]),
        np.minimum(until_ns[rows], end[owner]),
    )


def joined(
    found: Answered, parts: Parts, rules: Rules, resolution_ns: int, *, first_ns: int
) -> Answered:
    """Facts of intervals from facts of their parts; every interval has one at least.

    ``first_ns`` is the time of the tag's first sample.
    """
    firsts = np.flatnonzero(np.append(True, parts.owner[1:] != parts.owner[:-1]))
    facts = found.facts
    if facts.usable_extremes is not None and facts.bounds is not None:
        inside = (parts.end_ns > first_ns) & (parts.start_ns < rules.data_end_ns) & ~found.blind
        inner = _inner_bounds(facts.bounds, parts, rules, resolution_ns, inside=inside)
        facts = replace(facts, usable_extremes=_with(facts.usable_extremes, inner))
    return Answered(
        join_facts([part_of(parts.owner, facts)], len(firsts)),
        np.maximum.reduceat(found.summary_ns, firsts),
        np.logical_and.reduceat(found.blind, firsts),
    )


_Values = npt.NDArray[Any]
_Bound = tuple[BoolArray, _Values, Int64Array]


def _inner_bounds(
    bounds: BoundFacts, parts: Parts, rules: Rules, resolution_ns: int, *, inside: BoolArray
) -> tuple[_Bound, _Bound]:
    """Bounds at edges between parts; those at the ends of an interval are judged with it.

    A part that is not ``inside`` the tag's data has none.
    """
    same = parts.owner[1:] == parts.owner[:-1]
    starts = inside & np.append(False, same) & is_interpolated(bounds.start_status)
    ends = inside & np.append(same, False) & (not rules.stepped)
    last_ns = np.minimum(parts.end_ns, rules.data_end_ns) - resolution_ns
    return (
        (starts & (bare(bounds.start_status) < BAD), bounds.start, parts.start_ns),
        (ends & (bare(bounds.end_status) < BAD), bounds.end, last_ns),
    )


def _with(extremes: ExtremeFacts, inner: tuple[_Bound, _Bound]) -> ExtremeFacts:
    """Extremes among the samples and the bounds of each part."""
    low = (extremes.minimum, extremes.minimum_ties, extremes.minimum_ns)
    high = (extremes.maximum, extremes.maximum_ties, extremes.maximum_ns)
    for bound in inner:
        low, high = _further(low, bound, np.less), _further(high, bound, np.greater)
    return ExtremeFacts(*low, *high)


def _further(
    found: tuple[_Values, Int64Array, Int64Array], inner: _Bound, beyond: np.ufunc
) -> tuple[_Values, Int64Array, Int64Array]:
    """Values, how often each occurs and when first, with one bound of each part."""
    value, ties, when = found
    there, bound, time_ns = inner
    better = there & ((ties == 0) | beyond(bound, value))
    again = there & ~better & (bound == value)
    first_ns = np.where(again, np.minimum(when, time_ns), when)
    return (
        np.where(better, bound, value).astype(value.dtype),
        np.where(better, 1, ties + again),
        np.where(better, time_ns, first_ns),
    )
