"""Aggregates where raw samples have gone: facts of whole intervals, and of the time between them.

Between the last sample of one summary and the first of the next the skeleton is the whole truth,
so the kernels that work on samples work there too. What lies inside a summary is taken from it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from query.aggregates.registry import AGGREGATES
from query.errors import BadRequest
from query.facts.area import AreaFacts
from query.facts.counts import CountFacts
from query.facts.extremes import ExtremeFacts
from query.facts.moments import SumFacts
from query.facts.ranges import first_of_each, fold_ranges, spread, sum_ranges
from query.facts.regions import RegionFacts
from query.facts.registry import Facts
from query.facts.rules import Rules
from query.request import QueryLimits
from query.scan import Part, join_facts, part_of, scan
from query.series import TagSamples
from query.summaries import SkeletonSamples, SummaryRows, Windows
from storage_engine.sample import BoolArray, Int64Array

_EXTREMES = ("extremes", "usable_extremes")
_AT_EDGES = ("edges", "bounds", "interpolated")
TOLD = (*_EXTREMES, *_AT_EDGES, "area", "sums")  # what summaries tell beside counts and regions


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
    for holder, chosen in ((usual, ~touches), (samples, touches & ~whole)):
        place = np.flatnonzero(chosen)
        if len(place):
            facts = scan(holder, (start[place], end[place]), rules, limits, wanted)
            parts.append(part_of(place, facts))
    place = np.flatnonzero(whole)
    if len(place):
        span = (inside[0][place], inside[1][place])
        made = _Whole(samples, joined, rows, rules, limits).parts(
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
    what = "aggregate what only summaries are left of"
    where = f"tag {samples.tag.name!r}"
    untold = [name for name in wanted if name not in TOLD]
    if untold:
        names = {name for name, one in AGGREGATES.items() if not set(one.facts) <= set(TOLD)}
        raise BadRequest(
            what,
            got=f"an aggregate that needs {' and '.join(untold)} of the samples",
            want=f"none of {', '.join(n for n in AGGREGATES if n in names)}",
            where=where,
        )
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

    def parts(
        self, windows: Windows, inside: tuple[Int64Array, Int64Array], wanted: tuple[str, ...]
    ) -> list[Part]:
        """Facts that join into those of the windows, each with the windows it belongs to."""
        every = np.arange(len(windows[0]))
        table = self.rows.columns
        ranges = [sum_ranges(table[name], *inside) for name in ("good", "uncertain", "bad")]
        found: dict[str, Any] = {"counts": CountFacts(*ranges), "regions": self._regions(inside)}
        for name in wanted:
            if name in _EXTREMES:
                found[name] = self._extremes(inside)
        if "sums" in wanted:
            found["sums"] = SumFacts(fold_ranges(np.add, table["sum"], *inside))
        if "area" in wanted:
            found["area"] = self._areas(inside)
        at_edges = [name for name in wanted if name in _AT_EDGES]
        if at_edges:
            # The samples nearest to the edges are in the skeleton, inside and outside.
            facts = scan(self.joined, windows, self.rules, self.limits, at_edges)
            found |= {name: getattr(facts, name) for name in at_edges}
        return [
            (every, found, self.rows.type),
            *self._between(windows, area="area" in wanted),
            *self._outside(windows, wanted),
        ]

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

    def _extremes(self, inside: tuple[Int64Array, Int64Array]) -> ExtremeFacts:
        table = self.rows.columns
        place = np.flatnonzero(table["good"] > 0)
        low, high = (np.searchsorted(place, edge) for edge in inside)
        window, rows = spread(low, high)
        found: list[Any] = []
        for name, fold in (("minimum", np.minimum), ("maximum", np.maximum)):
            value = table[name][place]
            best = fold_ranges(fold, value, low, high)
            same = value[rows] == best[window]
            ties = np.zeros(len(low), np.int64)
            np.add.at(ties, window[same], table[f"{name}_count"][place][rows[same]])
            first = first_of_each(window, same, len(low))
            when = np.zeros(len(low), np.int64)
            when[first >= 0] = table[f"{name}_time"][place][rows[first[first >= 0]]]
            found += [best, ties, when]
        return ExtremeFacts(*found)

    def _between(self, windows: Windows, *, area: bool) -> list[Part]:
        """Facts of the time that lies in no summary; its samples are counted elsewhere."""
        table = self.rows.columns
        every = np.arange(len(self.rows))
        owner, cut = self._cuts(windows, every, ("first_time", "last_time"))
        made = scan(self.joined, cut, self.rules, self.limits)
        found: list[Part] = [(owner, {"regions": made.regions}, None)]
        if area:
            good = np.flatnonzero(table["good"] > 0)
            owner, cut = self._cuts(windows, good, ("first_good_time", "last_good_time"))
            made = scan(self.joined, cut, self.rules, self.limits, ("area",))
            found.append((owner, {"area": made.area}, None))
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

    def _outside(self, windows: Windows, wanted: tuple[str, ...]) -> list[Part]:
        """Raw samples of windows that reach beyond the summaries: what counts and adds them."""
        start, end = windows
        low, high = self.joined.from_ns, self.joined.until_ns
        kinds = [name for name in wanted if name in (*_EXTREMES, "sums")]
        found: list[Part] = []
        for begin, stop in ((start, np.minimum(end, low)), (np.maximum(start, high), end)):
            place = np.flatnonzero(begin < stop)
            if len(place) == 0:
                continue
            cut = (begin[place], stop[place])
            made = scan(self.raw, cut, self.rules, self.limits, kinds)
            facts = {name: getattr(made, name) for name in ("counts", *kinds)}
            counted = made.counts.good + made.counts.uncertain + made.counts.bad
            found.append((place, facts, made.number_type if counted.any() else None))
        return found
