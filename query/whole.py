"""Facts of whole intervals that somebody has summed up, and of the time between them.

Between the last sample of one summary and the first of the next the skeleton is the whole truth,
so the kernels that work on samples work there too. What lies inside a summary is taken from it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from query.facts.area import AreaFacts
from query.facts.counts import CountFacts, WorstFacts
from query.facts.edges import TransitionFacts
from query.facts.extremes import ExtremeFacts
from query.facts.gaps import GapFacts
from query.facts.moments import MomentFacts, SumFacts
from query.facts.ranges import first_of_each, fold_ranges, spread, sum_ranges
from query.facts.regions import RegionFacts, StateFacts
from query.facts.rules import Rules
from query.request import QueryLimits
from query.scan import Part, scan
from query.series import TagSamples
from query.summaries import SkeletonSamples, SummaryRows, Windows
from storage_engine.sample import Int64Array

EXTREMES = ("extremes", "usable_extremes")
AT_EDGES = ("edges", "bounds", "interpolated")


@dataclass(frozen=True, slots=True)
class Whole:
    """Facts of windows that hold whole summaries, or are folds."""

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
            if name in EXTREMES:
                found[name] = self._extremes(inside)
        if "sums" in wanted:
            found["sums"] = SumFacts(fold_ranges(np.add, table["sum"], *inside))
        if "area" in wanted:
            found["area"] = self._areas(inside)
        found |= self._of_one(inside, wanted)
        at_edges = [name for name in wanted if name in AT_EDGES]
        if at_edges:
            # The samples nearest to the edges are in the skeleton, inside and outside.
            facts = scan(self.joined, windows, self.rules, self.limits, at_edges)
            found |= {name: getattr(facts, name) for name in at_edges}
        return [
            (every, found, self.rows.type),
            *self._between(windows, wanted),
            *self._firsts(inside, wanted),
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

    def _of_one(
        self, inside: tuple[Int64Array, Int64Array], wanted: tuple[str, ...]
    ) -> dict[str, Any]:
        """Facts that only folds tell, of which a window is one, or holds no sample; and no gaps."""
        table, found = self.rows.columns, dict[str, Any]()
        if "moments" in wanted:
            mean, squares = table["mean"], table["variance"] * table["good"]
            count = sum_ranges(table["good"], *inside)
            parts = [fold_ranges(np.add, values, *inside) for values in (mean, squares)]
            found["moments"] = MomentFacts(count, *parts)
        if "gaps" in wanted:
            found["gaps"] = GapFacts(np.zeros(len(inside[0]), np.int64))
        if "states" in wanted:
            found["states"] = StateFacts(sum_ranges(table["zero_ns"], *inside))
        if "transitions" in wanted:
            found["transitions"] = TransitionFacts(sum_ranges(table["transitions"], *inside))
        if "worst" in wanted:
            held = inside[1] > inside[0]
            code = fold_ranges(np.maximum, table["first_code"], *inside)
            ties = sum_ranges(table["good"], *inside)
            found["worst"] = WorstFacts(held.astype(np.int64) - 1, code, ties)
        return found

    def _firsts(self, inside: tuple[Int64Array, Int64Array], wanted: tuple[str, ...]) -> list[Part]:
        """Whether the first sample of a window differs from the one before it."""
        if "transitions" not in wanted:
            return []
        owner = np.flatnonzero(inside[1] > inside[0])
        first = self.rows.columns["first_time"][inside[0][owner]]
        made = scan(self.joined, (first, first + 1), self.rules, self.limits, ("transitions",))
        return [(owner, {"transitions": made.transitions}, None)]

    def _between(self, windows: Windows, wanted: tuple[str, ...]) -> list[Part]:
        """Facts of the time that lies in no summary; its samples are counted elsewhere."""
        table = self.rows.columns
        every = np.arange(len(self.rows))
        owner, cut = self._cuts(windows, every, ("first_time", "last_time"))
        kinds = [name for name in wanted if name in {"states", "gaps"}]
        made = scan(self.joined, cut, self.rules, self.limits, kinds)
        facts = {name: getattr(made, name) for name in ("regions", *kinds)}
        found: list[Part] = [(owner, facts, None)]
        if "area" in wanted:
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
        kinds = [name for name in wanted if name in (*EXTREMES, "sums")]
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
