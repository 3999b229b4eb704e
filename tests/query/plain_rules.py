"""The rules of docs/query.md, one sample at a time, in exact fractions: what aggregates share."""

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from query.request import AggregateRequest
from storage_engine.sample import BAD, GOOD, UNCERTAIN

NO_DATA, DOUBT = 0x809B_0000, 0x40A4_0000
CALC, INTERP, PART, MULTI = 0x401, 0x402, 0x404, 0x410
LEVEL = {GOOD: 0, UNCERTAIN: 1, BAD: 2}


@dataclass
class PlainRules:
    """A signal, and what a request makes of it."""

    rows: list  # (time, value or None, severity, code), strictly ascending
    request: AggregateRequest
    stepped: bool
    now: int
    annotations: tuple = ()

    def __post_init__(self):
        hold = self.request.hold_last
        self.first = self.rows[0][0] if self.rows else None
        self.end = self.rows[-1][0] + 1 if self.rows else None
        if hold and self.rows:
            self.end = max(self.end, self.now)
        self.usable = [r for r in self.rows if self.can(r)]

    def can(self, row):
        return row[2] == 0 or (row[2] == 1 and not self.request.treat_uncertain_as_bad)

    def inside(self, a, b):
        return [r for r in self.rows if a <= r[0] < b]

    def share(self, good, bad, total):
        if total == 0 or Fraction(good, total) * 100 >= self.request.percent_data_good:
            return GOOD
        if Fraction(bad, total) * 100 >= self.request.percent_data_bad:
            return BAD
        return DOUBT

    def count(self, a, b):
        rows = self.inside(a, b)
        good = sum(r[2] == 0 for r in rows)
        status = self.share(good, sum(not self.can(r) for r in rows), len(rows))
        return (None, BAD) if status == BAD else (good, status | CALC)

    def extreme(self, a, b, choose):
        rows = self.inside(a, b)
        good = [r for r in rows if r[2] == 0]
        if not good:
            return None, NO_DATA
        value = choose(r[1] for r in good)
        ties = [r for r in good if r[1] == value]
        status = DOUBT if len(good) < len(rows) else GOOD
        status |= 0 if ties[0][0] == a else CALC
        return value, status | (MULTI if len(ties) > 1 else 0)

    def at(self, x):
        """Value of the line through the usable samples; None before the first of them."""
        before = [r for r in self.usable if r[0] <= x]
        after = [r for r in self.usable if r[0] > x]
        if not before:
            return None
        left, right = before[-1], (after[0] if after else None)
        if right is None and self.request.use_sloped_extrapolation and not self.request.hold_last:
            left, right = (before[-2], before[-1]) if len(before) > 1 else (left, None)
        if right is None:
            return Fraction(left[1])
        slope = Fraction(right[1] - left[1]) / (right[0] - left[0])
        return Fraction(left[1]) + slope * (x - left[0])

    def doubtful(self, x):
        """Whether the interpolated bound at x rests on anything but two good neighbours."""
        before = [r for r in self.usable if r[0] <= x]
        after = [r for r in self.usable if r[0] > x]
        if not before:
            return True
        if before[-1][0] == x:
            return before[-1][2] > 0
        if not after:
            held = self.request.hold_last and self.stepped and before[-1] is self.rows[-1]
            return not held or before[-1][2] > 0
        skipped = [r for r in self.rows if before[-1][0] < r[0] < after[0][0]]
        return bool(skipped) or before[-1][2] > 0 or after[0][2] > 0

    def time_average(self, a, b):
        reach = min(b, self.end) if self.request.hold_last else b
        if not self.usable or self.usable[0][0] >= reach:
            return None, NO_DATA
        start = max(a, self.usable[0][0])
        cuts = sorted({start, reach, *(r[0] for r in self.usable if start < r[0] < reach)})
        area = sum(self.at(Fraction(p + q, 2)) * (q - p) for p, q in pairwise(cuts))
        doubt = any(r[2] for r in self.inside(a, b)) or self.doubtful(a) or self.doubtful(b)
        return area / (reach - start), (DOUBT if doubt else GOOD) | CALC

    def regions(self, a, b):
        """(length, status, status at its start, mean value) of regions with simple bounds."""
        end = min(b, self.end)
        cuts = sorted({a, end, *(r[0] for r in self.rows if a < r[0] < end)})
        for p, q in pairwise(cuts):
            before = [r for r in self.rows if r[0] <= p]
            after = [r for r in self.rows if r[0] > p]
            if not before or not self.can(before[-1]):
                yield q - p, 2, 2, None, None
                continue
            left, right = before[-1], (after[0] if after else None)
            mean, status = Fraction(left[1]), left[2]
            if not self.stepped and right is not None and self.can(right):
                slope = Fraction(right[1] - left[1]) / (right[0] - left[0])
                mean, status = mean + slope * (Fraction(p + q, 2) - left[0]), max(left[2], right[2])
            elif not self.stepped and (right is not None or not self.request.hold_last):
                status = 1
            value = left[1] if left[0] == p else self.bound(p)[0]
            yield q - p, status, left[2] if left[0] == p else status, mean, value

    def time_average_2(self, a, b):
        regions = list(self.regions(a, b))
        used = sum(r[0] for r in regions if r[1] < 2)
        if used == 0:
            return None, NO_DATA
        bad_from = 1 if self.request.treat_uncertain_as_bad else 2
        total = sum(r[0] for r in regions)
        bad = sum(r[0] for r in regions if r[1] >= bad_from)
        status = self.share(total - bad, bad, total) | CALC
        value = sum(r[0] * r[3] for r in regions if r[1] < 2) / used
        return (None if status >= BAD else value), status

    def bound(self, x):
        """Simple bound at x: value, status, status code of the sample that holds there."""
        before = [r for r in self.rows if r[0] <= x]
        after = [r for r in self.rows if r[0] > x]
        if not before:
            return None, NO_DATA, NO_DATA
        left = before[-1]
        if not self.can(left):
            return None, NO_DATA, left[3]
        if left[0] == x:
            return left[1], (UNCERTAIN if left[2] else GOOD), left[3]
        if not after and not (self.request.hold_last and x <= self.end):
            return None, NO_DATA, left[3]
        value, doubt = left[1], left[2] > 0
        if not self.stepped and after:
            doubt = doubt or after[0][2] > 0 or not self.can(after[0])
            if self.can(after[0]):
                slope = (after[0][1] - left[1]) / (after[0][0] - left[0])
                value = left[1] + slope * (x - left[0])
        return value, (DOUBT if doubt else GOOD) | INTERP, left[3]
