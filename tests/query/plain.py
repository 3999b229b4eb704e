"""The rules of docs/query.md for every aggregate, one sample at a time: slow and plain."""

import math
from fractions import Fraction
from itertools import pairwise

from plain_beyond import PlainBeyond
from plain_rules import CALC, DOUBT, INTERP, MULTI, NO_DATA, PART

from storage_engine.sample import BAD, GOOD, UNCERTAIN

NEVER_PARTIAL = ("Interpolative", "Average")
# A null of these says Partial, too.
BOUNDS = ("StartBound", "EndBound", "DeltaBounds")
TELLING = ("Start", "End", "MinimumActualTime2", "MaximumActualTime2", "Minimum2", "Maximum2")


class Plain(PlainBeyond):
    """Every aggregate: value or None, status, and where it is not the start, the time."""

    def interval(self, a, b):
        """Name -> (value or None, status, time of the value) of [a, b)."""
        names = self.request.aggregates
        if not self.rows or b <= self.first:
            return dict.fromkeys(names, (None, NO_DATA, a))
        partial = PART if a < self.first or b > self.end else 0
        answers = {}
        for name in names:
            if a >= self.end and name != "Interpolative":
                answers[name] = None, NO_DATA, a
                continue
            value, status, *time = self.answer(name, a, b)
            if name not in NEVER_PARTIAL and (value is not None or self.null_tells(name, status)):
                status |= partial
            answers[name] = (value, status, *(time or [a]))
        return answers

    def answer(self, name, a, b):
        if name.startswith("Percentile("):
            return self.percentile(a, b, name[len("Percentile(") : -1])
        return getattr(self, RULES[name])(a, b)

    def null_tells(self, name, status):
        """Whether a null says Partial: bounds, a sample without value, a bad share of time."""
        return name in BOUNDS or status & 0xFFFF or (name in TELLING and status == BAD)

    def total(self, a, b):
        value, status = self.time_average(a, b)
        if value is None:
            return value, status
        reach = min(b, self.end) if self.request.hold_last else b
        return value * (reach - max(a, self.usable[0][0])) / 10**9, status

    def total_2(self, a, b):
        value, status = self.time_average_2(a, b)
        used = sum(r[0] for r in self.regions(a, b) if r[1] < 2)
        return (None if value is None else value * used / 10**9), status

    def good(self, a, b):
        return [r for r in self.inside(a, b) if r[2] == 0]

    def by_samples(self, a, b):
        rows = self.inside(a, b)
        bad = sum(not self.can(r) for r in rows)
        return self.share(sum(r[2] == 0 for r in rows), bad, len(rows))

    def by_time(self, a, b):
        regions = list(self.regions(a, b))
        bad_from = 1 if self.request.treat_uncertain_as_bad else 2
        total, bad = sum(r[0] for r in regions), sum(r[0] for r in regions if r[1] >= bad_from)
        return self.share(total - bad, bad, total)

    def spread(self, a, b, fewer, root):
        values = [Fraction(r[1]) for r in self.good(a, b)]
        status = self.by_samples(a, b)
        if not values or status == BAD:
            return None, (NO_DATA if not values else BAD)
        mean = sum(values) / len(values)
        found = sum((v - mean) ** 2 for v in values) / max(len(values) - fewer, 1)
        return (math.sqrt(found) if root else found), status | CALC

    def variance_sample(self, a, b):
        return self.spread(a, b, 1, root=False)

    def variance_population(self, a, b):
        return self.spread(a, b, 0, root=False)

    def standard_deviation_sample(self, a, b):
        return self.spread(a, b, 1, root=True)

    def standard_deviation_population(self, a, b):
        return self.spread(a, b, 0, root=True)

    def average(self, a, b):
        values, status = [Fraction(r[1]) for r in self.good(a, b)], self.by_samples(a, b)
        if not values or status == BAD:
            return None, (NO_DATA if not values else BAD)
        return sum(values) / len(values), status | CALC

    def minimum(self, a, b):
        return self.extreme(a, b, min)

    def maximum(self, a, b):
        return self.extreme(a, b, max)

    def own_time(self, a, b, choose):
        value, status = self.extreme(a, b, choose)
        if value is None:
            return value, status
        when = next(r[0] for r in self.good(a, b) if r[1] == value)
        return value, status & ~1 if status & 0xFFFF != CALC else status & ~0xFFFF, when

    def minimum_actual_time(self, a, b):
        return self.own_time(a, b, min)

    def maximum_actual_time(self, a, b):
        return self.own_time(a, b, max)

    def range_(self, a, b):
        low, status = self.extreme(a, b, min)
        if low is None:
            return low, status
        return self.extreme(a, b, max)[0] - low, status & ~0xFFFF | CALC

    def start_bound(self, a, b):
        return self.bound(a)[:2]

    def end_bound(self, a, b):
        value, status, _ = self.bound(b)
        return (None, NO_DATA) if value is None else (value, status & ~0xFFFF | CALC)

    def delta_bounds(self, a, b):
        (first, early, _), (last, late, _) = self.bound(a), self.bound(b)
        if first is None or last is None:
            return None, NO_DATA
        return last - first, max(early & ~0xFFFF, late & ~0xFFFF) | CALC

    def interpolative(self, a, b):
        before = [r for r in self.usable if r[0] <= a]
        if not before:
            return None, NO_DATA
        left = before[-1]
        if left[0] == a:
            return left[1], UNCERTAIN if left[2] else GOOD
        if self.stepped:
            seen = [r for r in self.rows if r[0] <= a][-1]
            doubt = left[2] > 0 or seen is not left or a >= self.end
            return left[1], (DOUBT if doubt else GOOD) | INTERP
        after = [r for r in self.usable if r[0] > a]
        doubt = not after or self.doubtful(a)
        return self.at(a), (DOUBT if doubt else GOOD) | INTERP

    def extreme_2(self, a, b, choose):
        """Value, when, info bits, whether again; of equal ones the oldest."""
        found = []
        value, status, _ = self.bound(a)
        if value is not None and status & 0xFFFF == INTERP:
            found.append((value, a, INTERP, INTERP))
        rows = [r for r in self.inside(a, b) if self.can(r)]
        found += [(r[1], r[0], 0 if r[0] == a else CALC, 0) for r in rows]
        value, status, _ = self.bound(b)
        if value is not None and not self.stepped:
            bits = INTERP if status & 0xFFFF == INTERP else CALC
            found.append((value, min(b, self.end) - self.request.resolution_ns, bits, INTERP))
        if not found:
            return None
        best = choose(f[0] for f in found)
        same = [f for f in found if f[0] == best]
        return *same[0], MULTI if len(same) > 1 else 0

    def with_bounds(self, a, b, choose, own_time):
        found, status = self.extreme_2(a, b, choose), self.by_time(a, b)
        if found is None:
            return None, NO_DATA
        value, when, bits, own_bits, again = found
        status |= (own_bits if own_time else bits) | again
        return (None if status >= BAD else value), status, *([when] if own_time else [])

    def minimum_2(self, a, b):
        return self.with_bounds(a, b, min, own_time=False)

    def maximum_2(self, a, b):
        return self.with_bounds(a, b, max, own_time=False)

    def minimum_actual_time_2(self, a, b):
        return self.with_bounds(a, b, min, own_time=True)

    def maximum_actual_time_2(self, a, b):
        return self.with_bounds(a, b, max, own_time=True)

    def range_2(self, a, b):
        low, high = self.extreme_2(a, b, min), self.extreme_2(a, b, max)
        if low is None:
            return None, NO_DATA
        status = self.by_time(a, b) | CALC
        return (None if status >= BAD else high[0] - low[0]), status

    def annotation_count(self, a, b):
        return sum(a <= t < b for t in self.annotations), GOOD | CALC

    def number_of_transitions(self, a, b):
        status = self.by_samples(a, b)
        if status == BAD:
            return None, BAD
        before = [r[1] for r in self.usable if r[0] < a][-1:]
        values = before + [r[1] for r in self.usable if a <= r[0] < b]
        changes = sum(p != q for p, q in pairwise(values))
        return changes + (not before and len(values) > 0), status | CALC

    def start(self, a, b):
        return self.edge(self.inside(a, b)[:1])

    def end_(self, a, b):
        return self.edge(self.inside(a, b)[-1:])

    def edge(self, rows):
        if not rows:
            return None, NO_DATA
        time, value, level, code = rows[0]
        return (None if level == 2 else value), code, time

    def delta(self, a, b):
        rows, good = self.inside(a, b), self.good(a, b)
        if not good:
            return None, NO_DATA
        skipped = rows[0][2] > 0 or rows[-1][2] > 0
        return good[-1][1] - good[0][1], (DOUBT if skipped else GOOD) | CALC

    def duration(self, a, b, chosen):
        return Fraction(sum(r[0] for r in self.regions(a, b) if chosen(r)), 10**6)

    def state(self, a, b, chosen):
        value = self.duration(a, b, lambda r: r[2] == 0 and chosen(r[4]))
        status = self.by_time(a, b) | CALC
        return (None if status >= BAD else value), status

    def duration_in_state_zero(self, a, b):
        return self.state(a, b, lambda value: value == 0)

    def duration_in_state_non_zero(self, a, b):
        return self.state(a, b, lambda value: value != 0)

    def duration_good(self, a, b):
        return self.duration(a, b, lambda r: r[2] == 0), GOOD | CALC

    def duration_bad(self, a, b):
        return self.duration(a, b, lambda r: r[1] == 2), GOOD | CALC

    def percent_good(self, a, b):
        whole = sum(r[0] for r in self.regions(a, b))
        return self.duration_good(a, b)[0] * 10**8 / whole, GOOD | CALC

    def percent_bad(self, a, b):
        whole = sum(r[0] for r in self.regions(a, b))
        return self.duration_bad(a, b)[0] * 10**8 / whole, GOOD | CALC

    def worst(self, codes):
        if not codes:
            return None, NO_DATA
        top = max(code >> 30 for code in codes)
        ties = [code for code in codes if code >> 30 == top]
        return ties[0], GOOD | CALC | (MULTI if top and len(ties) > 1 else 0)

    def worst_quality(self, a, b):
        return self.worst([r[3] for r in self.inside(a, b)])

    def worst_quality_2(self, a, b):
        rows = self.inside(a, b)
        codes = [r[3] for r in rows]
        if not rows or rows[0][0] != a:
            codes.insert(0, self.bound(a)[1] & ~0xFFFF)
        _, status, held = self.bound(b)
        codes.append(held if self.stepped else status & ~0xFFFF)
        return self.worst(codes)


# Name -> method that has its rule.
RULES = {
    "Interpolative": "interpolative",
    "Average": "average",
    "TimeAverage": "time_average",
    "TimeAverage2": "time_average_2",
    "Total": "total",
    "Total2": "total_2",
    "Minimum": "minimum",
    "Maximum": "maximum",
    "MinimumActualTime": "minimum_actual_time",
    "MaximumActualTime": "maximum_actual_time",
    "Range": "range_",
    "Minimum2": "minimum_2",
    "Maximum2": "maximum_2",
    "MinimumActualTime2": "minimum_actual_time_2",
    "MaximumActualTime2": "maximum_actual_time_2",
    "Range2": "range_2",
    "AnnotationCount": "annotation_count",
    "Count": "count",
    "DurationInStateZero": "duration_in_state_zero",
    "DurationInStateNonZero": "duration_in_state_non_zero",
    "NumberOfTransitions": "number_of_transitions",
    "Start": "start",
    "End": "end_",
    "Delta": "delta",
    "StartBound": "start_bound",
    "EndBound": "end_bound",
    "DeltaBounds": "delta_bounds",
    "DurationGood": "duration_good",
    "DurationBad": "duration_bad",
    "PercentGood": "percent_good",
    "PercentBad": "percent_bad",
    "WorstQuality": "worst_quality",
    "WorstQuality2": "worst_quality_2",
    "StandardDeviationSample": "standard_deviation_sample",
    "StandardDeviationPopulation": "standard_deviation_population",
    "VarianceSample": "variance_sample",
    "VariancePopulation": "variance_population",
    "Integral": "integral",
    "CounterIncrease": "counter_increase",
    "CounterRate": "counter_rate",
    "RateOfChange": "rate_of_change",
    "Slope": "slope",
}
