"""Aggregates where raw samples have gone: facts of whole intervals, and of the time between them.

Between the last sample of one summary and the first of the next the skeleton is the whole truth,
so the kernels that work on samples work there too. What lies inside a summary is taken from it.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from query.errors import BadRequest
from query.facts import (
    AreaFacts,
    CountFacts,
    ExtremeFacts,
    RegionFacts,
    Rules,
    fold_ranges,
    sum_ranges,
)
from query.request import QueryLimits
from query.scan import Facts, join_facts, scan
from query.series import TagSamples
from query.summaries import SkeletonSamples, SummaryRows, Windows
from storage_engine.sample import DTYPES, BoolArray, Int64Array, ValueType


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
    extremes: bool,
    area: bool,
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
    extremes, area : bool
        Which facts are wanted.

    Returns
    -------
    Answered

    Raises
    ------
    BadRequest
        For rules that summaries were not made by.
    LimitExceeded
    """
    start, end = windows
    joined = SkeletonSamples(samples, rows)
    inside = (np.searchsorted(rows.start, start), np.searchsorted(rows.start, end))
    touches = (start < joined.until_ns) & (end > joined.from_ns)
    whole = touches & _is_whole(rows, windows, inside)
    if whole.any():
        _check_rules(samples, rows, rules)
    uncertain = not rules.treat_uncertain_as_bad and bool(rows.columns["uncertain"].any())
    usual = samples if uncertain or rules.use_sloped_extrapolation else joined
    parts: list[tuple[Int64Array, Facts]] = []
    for holder, chosen in ((usual, ~touches), (samples, touches & ~whole)):
        place = np.flatnonzero(chosen)
        if len(place):
            cut = (start[place], end[place])
            parts.append((place, scan(holder, cut, rules, limits, extremes=extremes, area=area)))
    place = np.flatnonzero(whole)
    if len(place):
        span = (inside[0][place], inside[1][place])
        made = _Whole(samples, joined, rows, rules, limits).facts(
            (start[place], end[place]), span, extremes=extremes, area=area
        )
        parts += [(place[own], facts) for own, facts in made]
    facts = join_facts(parts, len(start), extremes=extremes, area=area)
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


def _check_rules(samples: TagSamples, rows: SummaryRows, rules: Rules) -> None:
    what = "aggregate what only summaries are left of"
    where = f"tag {samples.tag.name!r}"
    if rules.use_sloped_extrapolation:
        raise BadRequest(
            what, got="sloped extrapolation", want="use_sloped_extrapolation false", where=where
        )
    if not rules.treat_uncertain_as_bad and rows.columns["uncertain"].any():
        raise BadRequest(
            what,
            got="uncertain samples to be used",
            want="treat_uncertain_as_bad, as the summaries were made",
            where=where,
        )


@dataclass(frozen=True, slots=True)
class _Whole:
    """Facts of windows that hold whole summaries."""

    raw: TagSamples
    joined: SkeletonSamples
    rows: SummaryRows
    rules: Rules
    limits: QueryLimits

    def facts(
        self,
        windows: Windows,
        inside: tuple[Int64Array, Int64Array],
        *,
        extremes: bool,
        area: bool,
    ) -> list[tuple[Int64Array, Facts]]:
        """Facts whose sums are those of the windows, each with the windows it belongs to."""
        count = len(windows[0])
        every = np.arange(count)
        table = self.rows.columns
        ranges = [sum_ranges(table[name], *inside) for name in ("good", "uncertain", "bad")]
        found = [
            (
                every,
                Facts(
                    CountFacts(*ranges),
                    self._regions(inside),
                    self._extremes(windows[0], inside) if extremes else None,
                    self._areas(inside) if area else None,
                    self.rows.type,
                ),
            )
        ]
        found += self._between(windows, extremes=extremes, area=area)
        found += self._outside(windows, extremes=extremes, area=area)
        return found

    def _regions(self, inside: tuple[Int64Array, Int64Array]) -> RegionFacts:
        table = self.rows.columns
        good = sum_ranges(table["good_ns"], *inside)
        line = good if self.rules.stepped else sum_ranges(table["line_ns"], *inside)
        all_ns = sum_ranges(table["last_time"] - table["first_time"], *inside)
        area = table["stepped" if self.rules.stepped else "sloped"]
        return RegionFacts(
            good, line, good - line, all_ns - good, fold_ranges(np.add, area, *inside)
        )

    def _areas(self, inside: tuple[Int64Array, Int64Array]) -> AreaFacts:
        table = self.rows.columns
        covered = np.where(table["good"] > 0, table["last_good_time"] - table["first_good_time"], 0)
        doubt = sum_ranges(table["uncertain"] + table["bad"], *inside) > 0
        area = fold_ranges(np.add, table["through"], *inside)
        return AreaFacts(area, sum_ranges(covered, *inside), doubt)

    def _extremes(self, start: Int64Array, inside: tuple[Int64Array, Int64Array]) -> ExtremeFacts:
        table = self.rows.columns
        place = np.flatnonzero(table["good"] > 0)
        if len(place) == 0:
            return _no_extremes(len(start), self.rows.type)
        low, high = (np.searchsorted(place, edge) for edge in inside)
        filled = high > low
        first = place[np.minimum(low, len(place) - 1)]
        found: list[Any] = []
        for name, fold in (("minimum", np.minimum), ("maximum", np.maximum)):
            value = table[name][place]
            best = fold_ranges(fold, value, low, high)
            window = np.repeat(np.arange(len(start)), high - low)
            rows = np.arange(len(window)) + np.repeat(
                low - np.cumsum(high - low) + (high - low), high - low
            )
            same = value[rows] == best[window]
            ties = np.zeros(len(start), np.int64)
            np.add.at(ties, window[same], table[f"{name}_count"][place][rows[same]])
            at_start = filled & (table["first_good_time"][first] == start)
            found += [best, ties, at_start & (table["first_good"][first] == best)]
        return ExtremeFacts(*found)

    def _between(
        self, windows: Windows, *, extremes: bool, area: bool
    ) -> list[tuple[Int64Array, Facts]]:
        """Facts of the time that lies in no summary; its samples are counted elsewhere."""
        table = self.rows.columns
        every = np.arange(len(self.rows))
        owner, cut = self._cuts(windows, every, ("first_time", "last_time"))
        made = scan(self.joined, cut, self.rules, self.limits, extremes=False, area=False)
        zero = np.zeros(len(owner), np.int64)
        nothing = CountFacts(zero, zero, zero)
        none = _no_extremes(len(owner), self.rows.type) if extremes else None
        blank = AreaFacts(zero.astype(np.float64), zero, zero > 0) if area else None
        found = [(owner, replace(made, counts=nothing, extremes=none, area=blank))]
        if area:
            good = np.flatnonzero(table["good"] > 0)
            owner, cut = self._cuts(windows, good, ("first_good_time", "last_good_time"))
            made = scan(self.joined, cut, self.rules, self.limits, extremes=False, area=True)
            zero = np.zeros(len(owner), np.int64)
            none = _no_extremes(len(owner), self.rows.type) if extremes else None
            regions = RegionFacts(zero, zero, zero, zero, zero.astype(np.float64))
            counts = CountFacts(zero, zero, zero)
            found.append((owner, replace(made, counts=counts, regions=regions, extremes=none)))
        return found

    def _cuts(
        self, windows: Windows, kept: Int64Array, names: tuple[str, str]
    ) -> tuple[Int64Array, Windows]:
        """Windows without what lies between two times of each row; whose they are, from, to."""
        start, end = windows
        begins = self.rows.start[kept]
        low, high = (self.rows.columns[name][kept] for name in names)
        first, behind = np.searchsorted(begins, start), np.searchsorted(begins, end)
        count = behind - first
        owner = np.repeat(np.arange(len(start)), count + 1)
        place = np.arange(len(owner)) - np.repeat(np.cumsum(count + 1) - count - 1, count + 1)
        row = first[owner] + place
        edge = np.zeros(1, np.int64)
        after = np.append(edge, high)[row]  # the row before this piece; not used for the first
        until = np.append(low, edge)[row]
        cut_from = np.where(place == 0, start[owner], after)
        cut_to = np.where(place == count[owner], end[owner], until)
        kept_rows = cut_from < cut_to
        return owner[kept_rows], (cut_from[kept_rows], cut_to[kept_rows])

    def _outside(
        self, windows: Windows, *, extremes: bool, area: bool
    ) -> list[tuple[Int64Array, Facts]]:
        """Raw samples of windows that reach beyond the summaries: counts and extremes."""
        start, end = windows
        low, high = self.joined.from_ns, self.joined.until_ns
        found = []
        for begin, stop, inner in (
            (start, np.minimum(end, low), False),
            (np.maximum(start, high), end, True),
        ):
            place = np.flatnonzero(begin < stop)
            if len(place) == 0:
                continue
            cut = (begin[place], stop[place])
            made = scan(self.raw, cut, self.rules, self.limits, extremes=extremes, area=False)
            zero = np.zeros(len(place), np.int64)
            regions = RegionFacts(zero, zero, zero, zero, zero.astype(np.float64))
            blank = AreaFacts(zero.astype(np.float64), zero, zero > 0) if area else None
            best = made.extremes
            if best is not None and inner:
                no = zero > 0
                best = replace(best, minimum_at_start=no, maximum_at_start=no)
            found.append((place, replace(made, regions=regions, extremes=best, area=blank)))
        return found


def _no_extremes(count: int, type_: ValueType) -> ExtremeFacts:
    value, ties = np.zeros(count, DTYPES[type_]), np.zeros(count, np.int64)
    return ExtremeFacts(value, ties, ties > 0, value, ties, ties > 0)
