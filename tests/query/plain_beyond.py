"""Aggregates that the standard lacks, one sample at a time, in exact fractions."""

from fractions import Fraction

from plain_rules import CALC, DOUBT, NO_DATA, PlainRules

from storage_engine.sample import BAD, GOOD

INVALID_INPUTS = 0x80D6_0000
HOUR = 3_600


class PlainBeyond(PlainRules):
    """What counters and trends are; ``good`` and ``by_samples`` come from who has all rules."""

    counter = (None, None, False, ())  # modulus, rate_max_per_s, resets, (time, old, new)s

    def integral(self, a, b):
        value, status = self.total_2(a, b)
        return (None if value is None else value / HOUR), status

    def slope(self, a, b):
        rows, status = self.good(a, b), self.by_samples(a, b)
        if len(rows) < 2 or status == BAD:
            return None, (NO_DATA if len(rows) < 2 else BAD)
        mean_t = Fraction(sum(r[0] for r in rows), len(rows))
        mean_v = sum(Fraction(r[1]) for r in rows) / len(rows)
        squares = sum((r[0] - mean_t) ** 2 for r in rows)
        products = sum((r[0] - mean_t) * (Fraction(r[1]) - mean_v) for r in rows)
        return products / squares * 10**9, status | CALC

    def slope_near(self, a, b):
        """How far rounding may carry the slope."""
        rows = self.good(a, b)
        if len(rows) < 2:
            return 0.0
        most = max(abs(r[1]) for r in rows)
        return 1e-9 * float(most) / ((rows[-1][0] - rows[0][0]) * 1e-9)

    def rate_of_change(self, a, b):
        rows, status = self.good(a, b), self.by_samples(a, b)
        if len(rows) < 2 or status == BAD:
            return None, (NO_DATA if len(rows) < 2 else BAD)
        rise = Fraction(rows[-1][1]) - Fraction(rows[0][1])
        return rise / (rows[-1][0] - rows[0][0]) * 10**9, status | CALC

    def percentile(self, a, b, share):
        values, status = sorted(Fraction(r[1]) for r in self.good(a, b)), self.by_samples(a, b)
        if not values or status == BAD:
            return None, (NO_DATA if not values else BAD)
        rank = Fraction(share) / 100 * (len(values) - 1)
        low = values[int(rank)]
        high = values[min(int(rank) + 1, len(values) - 1)]
        return low + (high - low) * (rank - int(rank)), status | CALC

    def steps(self):
        """(from, until, rise or None) between usable samples, one behind the other."""
        declared = self.counter[3]
        for one, two in zip(self.usable, self.usable[1:], strict=False):
            marks = [d for d in declared if one[0] < d[0] < two[0]]
            points = [(one[0], one[1])]
            for time, old, new in marks:
                points += [(time, old), (time, new)]
            points.append((two[0], two[1]))
            for (t, r), (u, s) in zip(points[::2], points[1::2], strict=True):
                yield t, u, self.rise(r, s, u - t)

    def rise(self, r, s, span_ns):
        """What a register rose by from r to s; None where nobody can tell."""
        modulus, rate, resets, _ = self.counter
        limit = None if rate is None else Fraction(rate) * span_ns / 10**9
        if r < 0 or s < 0 or (modulus is not None and (r >= modulus or s >= modulus)):
            return None
        rise = Fraction(s) - Fraction(r)
        if rise < 0 and modulus is not None and rate is not None:
            rise += Fraction(modulus)
            if rise > limit:
                rise = Fraction(s) if resets and s <= limit else None
        elif rise < 0:
            rise = Fraction(s) if resets and (limit is None or s <= limit) else None
        elif limit is not None and rise > limit:
            rise = None
        turns = modulus is not None and rate is not None and rise is not None
        return None if turns and rise + Fraction(modulus) <= limit else rise

    def register(self, a, b):
        """(rise or None, covered time, doubt) from a to b; None before the first usable."""
        if not self.usable or self.usable[0][0] >= b:
            return None
        first, last = self.usable[0][0], self.usable[-1]
        reach = self.end if self.request.hold_last and last is self.rows[-1] else last[0]
        a, b = (min(max(x, first), max(reach, first)) for x in (a, b))
        rise = Fraction(0)
        for t, u, step in self.steps():
            if self.stepped:
                share = Fraction(int(a < u <= b))
            else:
                share = Fraction(max(min(b, u) - max(a, t), 0), u - t)
            if share and rise is not None:
                rise = None if step is None else rise + step * share
        return rise, b - a, self.unsure(a) or self.unsure(b)

    def unsure(self, x):
        """Whether the register at x is told by an uncertain sample, or over one not usable."""
        before = [r for r in self.usable if r[0] <= x]
        after = [r for r in self.usable if r[0] > x]
        if not before or before[-1][2] > 0:
            return True
        if before[-1][0] == x:
            return False
        until = after[0][0] if after else self.rows[-1][0] + 1
        skipped = [r for r in self.rows if before[-1][0] < r[0] < until]
        return bool(skipped) or (bool(after) and after[0][2] > 0)

    def counter_increase(self, a, b):
        found = self.register(a, b)
        if found is None or found[0] is None:
            return None, (NO_DATA if found is None else INVALID_INPUTS)
        return found[0], (DOUBT if found[2] else GOOD) | CALC

    def counter_rate(self, a, b):
        value, status = self.counter_increase(a, b)
        covered = self.register(a, b)[1] if self.register(a, b) else 0
        if covered == 0:
            return None, NO_DATA
        return (None if value is None else value / covered * 10**9), status
