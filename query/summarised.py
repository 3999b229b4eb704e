"""Aggregates where raw samples have gone and summaries are left of them."""

from dataclasses import dataclass

import numpy as np

from query.aggregates.registry import AGGREGATES
from query.errors import BadRequest
from query.facts.ranges import fold_ranges
from query.facts.registry import Facts
from query.facts.rules import Rules
from query.folded import found_in
from query.request import QueryLimits
from query.scan import Part, join_facts, part_of
from query.series import TagSamples
from query.summaries import SkeletonSamples, SummaryRows, Windows
from query.whole import AT_EDGES, EXTREMES, Whole
from storage_engine.sample import BoolArray, Int64Array

TOLD = (
    *EXTREMES,
    *AT_EDGES,
    "area",
    "sums",
    "gaps",
)  # what summaries tell beside counts and regions


@dataclass(frozen=True, slots=True)
class Answered:
    """Facts of windows, and what each stands on.

    Attributes
    ----------
    facts : Facts
    summary_ns : int64, shape (n,)
        Length of the summaries that a window stands on; 0: raw samples alone.
    blind : bool, shape (n,)
        Nothing is left that could answer: the window cuts a summary, and no raw sample is in it.
    """

    facts: Facts
    summary_ns: Int64Array
    blind: BoolArray


def answer(
    samples: TagSamples,
    rows: SummaryRows,
    windows: Windows,
    rules: Rules,
    limits: QueryLimits,
    *,
    wanted: tuple[str, ...] = (),
) -> Answered:
    """Facts of windows over summaries and raw samples.

    Parameters
    ----------
    samples : TagSamples
        Raw.
    rows : SummaryRows
    windows : pair of int64, shape (n,)
    rules : Rules
    limits : QueryLimits
    wanted : tuple of str
        Which kinds of facts beside those that are always there.

    Returns
    -------
    Answered

    Raises
    ------
    BadRequest
        For rules that summaries were not made by, and facts that they do not tell.
    LimitExceeded
    """
    start, end = windows
    joined = SkeletonSamples(samples, rows)
    inside = (np.searchsorted(rows.start, start), np.searchsorted(rows.start, end))
    touches = (start < joined.until_ns) & (end > joined.from_ns)
    whole = touches & _is_whole(rows, windows, inside)
    if whole.any():
        check_told(samples, rows, rules, wanted)
    uncertain = not rules.treat_uncertain_as_bad and bool(rows.columns["uncertain"].any())
    usual = samples if uncertain or rules.use_sloped_extrapolation else joined
    parts: list[Part] = []
    # A fold asks the raw samples alone: no call may reach across what only summaries tell of.
    earlier, later = ~touches & (end <= joined.from_ns), ~touches & (end > joined.from_ns)
    for holder, chosen in ((usual, earlier), (usual, later), (samples, touches & ~whole)):
        place = np.flatnonzero(chosen)
        if len(place):
            facts = found_in(holder, (start[place], end[place]), rules, limits, wanted)
            parts.append(part_of(place, facts))
    place = np.flatnonzero(whole)
    if len(place):
        span = (inside[0][place], inside[1][place])
        made = Whole(samples, joined, rows, rules, limits).parts(
            (start[place], end[place]), span, wanted
        )
        parts += [(place[own], found, type_) for own, found, type_ in made]
    facts = join_facts(parts, len(start))
    length = np.append(rows.end - rows.start, 0)[np.minimum(inside[0], max(len(rows) - 1, 0))]
    longest = fold_ranges(np.maximum, rows.end - rows.start, *inside)
    counted = facts.counts.good + facts.counts.uncertain + facts.counts.bad
    return Answered(
        facts,
        np.where(whole, np.where(inside[1] > inside[0], longest, length), 0),
        touches & ~whole & (counted == 0),
    )


def _is_whole(
    rows: SummaryRows, windows: Windows, inside: tuple[Int64Array, Int64Array]
) -> BoolArray:
    """Whether windows cut no summary and touch no hole."""
    start, end = windows
    last = len(rows) - 1
    if last < 0:
        return np.zeros(len(start), np.bool_)
    before, behind = inside
    cut = (before > 0) & (rows.end[np.clip(before - 1, 0, last)] > start)
    cut |= (behind > 0) & (rows.end[np.clip(behind - 1, 0, last)] > end)
    for low, high in zip(rows.hole_start.tolist(), rows.hole_end.tolist(), strict=True):
        cut |= (start < high) & (end > low)
    return ~cut


def check_told(
    samples: TagSamples, rows: SummaryRows, rules: Rules, wanted: tuple[str, ...] = ()
) -> None:
    """Refuse rules that summaries were not made by, and facts that they do not tell.

    Raises
    ------
    BadRequest
    """
    missing = [name for name in wanted if name not in TOLD]
    if missing:
        names = (name for name, one in AGGREGATES.items() if not set(one.facts) <= set(TOLD))
        got = f"an aggregate that needs {' and '.join(missing)} of the samples"
        raise untold(samples, got, f"none of {', '.join(names)}, Percentile")
    if rules.use_sloped_extrapolation:
        raise untold(samples, "sloped extrapolation", "use_sloped_extrapolation false")
    if not rules.treat_uncertain_as_bad and rows.columns["uncertain"].any():
        want = "treat_uncertain_as_bad, as the summaries were made"
        raise untold(samples, "uncertain samples to be used", want)


def untold(samples: TagSamples, got: str, want: str) -> BadRequest:
    """What to raise where summaries, which alone are left, do not tell what is asked."""
    what, where = "aggregate what only summaries are left of", f"tag {samples.tag.name!r}"
    return BadRequest(what, got=got, want=want, where=where)
