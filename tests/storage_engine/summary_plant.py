"""What a summary must say, as loops over samples, and the plant of expiry with odd samples."""

import math
from itertools import pairwise

import numpy as np
from expiry_plant import EVERYTHING, HOUR_NS, NOW, A, B, Plant

from storage_engine.sample import BAD, UNCERTAIN, ValueType
from storage_engine.summaries import companion_uuid, lengths_of
from storage_engine.testing import DAY_NS, SampleRow

F64 = ValueType.FLOAT64


def fill(plant, days=4, *, seed=5, per_day=40):
    """Days of samples at odd times: bad, uncertain, null, NaN, equal and corrected ones."""
    rng = np.random.default_rng(seed)
    for day in range(days, 0, -1):
        rows = []
        for slot in (A, B):
            for second in np.sort(rng.choice(86_400, per_day, replace=False)).tolist():
                value = float(rng.choice([0.1, 0.2, 3.7, -5.5, math.nan, 1e6]))
                quality = int(rng.choice([0, 0, 0, 0, UNCERTAIN, BAD]))
                kept = None if rng.random() < 0.1 else value
                at = NOW - day * DAY_NS + second * 10**9
                rows.append(SampleRow(slot, F64, at, kept, quality))
        plant.write(rows)
        plant.write([SampleRow(A, F64, r.time_ns, 9.25) for r in rows[3:9]], observed=False)
        plant.engine.flush()


def stored(plant, slot=A, engine=None):
    """Summaries of a series: start -> (length, facts by name)."""
    engine = engine or plant.engine
    found = engine.summaries(plant.slots[slot], *EVERYTHING)
    if found is None:
        return {}
    columns = {name: column.objects() for name, column in found.data.items()}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    lengths = lengths_of(found.event_id).tolist()
    times = found.timestamp_ns.tolist()
    assert len(set(times)) == len(times)
    return {t: (n, row) for t, n, row in zip(times, lengths, rows, strict=True)}


def samples(plant, slot=A, window=EVERYTHING):
    """Samples as (time, severity, value or None)."""
    found = plant.engine.read(plant.slots[slot], *window, distinct=True)
    rows = []
    for time, quality, value in zip(
        found.timestamp_ns.tolist(), found.quality.tolist(), found.value.objects(), strict=True
    ):
        missing = value is None or math.isnan(value)
        level = 2 if missing else min(quality >> 30, 2)
        rows.append((time, level, None if missing else value))
    return rows


def expected(rows, length_ns=HOUR_NS):
    """Facts per interval by plain loops, and the sizes that bound the errors of the sums."""
    groups = {}
    for row in rows:
        groups.setdefault(row[0] // length_ns * length_ns, []).append(row)
    return {start: _facts(group) for start, group in groups.items()}


def _facts(rows):
    good = [(t, v) for t, level, v in rows if level == 0]
    facts = {
        "good": len(good),
        "uncertain": sum(level == 1 for _, level, _ in rows),
        "bad": sum(level == 2 for _, level, _ in rows),
        "first": rows[0][2],
        "first_time": rows[0][0],
        "first_severity": rows[0][1],
        "last": rows[-1][2],
        "last_time": rows[-1][0],
        "last_severity": rows[-1][1],
    }
    for name, best in (("minimum", min), ("maximum", max)):
        value = best((v for _, v in good), default=None)
        at = [t for t, v in good if v == value]
        facts |= {name: value, f"{name}_time": min(at, default=None), f"{name}_count": len(at)}
    for name, place in (("first_good", 0), ("last_good", -1)):
        facts[f"{name}_time"], facts[name] = good[place] if good else (None, None)
    pairs = list(pairwise(rows))
    held = [(b[0] - a[0], a, b) for a, b in pairs if a[1] == 0]
    facts["good_ns"] = sum(span for span, _, _ in held)
    facts["line_ns"] = sum(span for span, _, b in held if b[1] == 0)
    sums = {
        "sum": [v for _, v in good],
        "stepped": [a[2] * span / 1e9 for span, a, _ in held],
        "sloped": [(a[2] + (b[2] if b[1] == 0 else a[2])) / 2 * span / 1e9 for span, a, b in held],
        "through": [(v + w) / 2 * (u - t) / 1e9 for (t, v), (u, w) in pairwise(good)],
    }
    return facts, sums


def check_rows(found, wanted):
    """Exact where exact, sums within n + 4 roundings of the sum of sizes."""
    assert set(wanted) == set(found)
    for start, (facts, sums) in wanted.items():
        _, row = found[start]
        assert facts == {name: row[name] for name in facts}, start
        for name, parts in sums.items():
            bound = (len(parts) + 4) * 2**-53 * math.fsum(map(abs, parts))
            assert abs(row[name] - math.fsum(parts)) <= bound, (start, name)


__all__ = ["Plant", "check_rows", "companion_uuid", "expected", "fill", "samples", "stored"]
