"""query/joins: windows, times and intervals joined, against slow readings of the same rules."""

import math
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from query.engine import Query
from query.errors import BadRequest, LimitExceeded, UnknownTag
from query.joins import as_of
from query.joins.request import JoinTag, JoinTimesRequest, JoinWindowsRequest
from query.ports import Holes, Tag
from query.request import QueryLimits
from query.testing import MemoryReader, MemoryResolver
from storage_engine.sample import BAD, GOOD, UNCERTAIN, ValueType

sys.path.insert(0, str(Path(__file__).parent))
from test_gaps import _gaps

F64 = ValueType.FLOAT64
ROWS = st.lists(
    st.tuples(
        st.integers(0, 300),
        st.one_of(st.none(), st.integers(-5, 5).map(float)),
        st.sampled_from([GOOD, GOOD, GOOD, UNCERTAIN, BAD]),
    ),
    max_size=30,
    unique_by=lambda row: row[0],
)
WINDOWS = st.lists(st.tuples(st.integers(-20, 320), st.integers(1, 60)), max_size=12)
HOLES = st.lists(st.integers(-5, 320), max_size=4, unique=True).map(
    lambda edges: list(zip(sorted(edges)[::2], sorted(edges)[1::2], strict=False))
)


def _query(rows, *, stepped=False, hold_max=None, holes=(), **limits):
    reader = MemoryReader()
    reader.add(1, F64, rows)
    resolver = MemoryResolver(Tag("t", (1,), F64, stepped=stepped, hold_max_ns=hold_max))
    edges = np.array(list(holes), np.int64).reshape(-1, 2)
    resolver.holes["t"] = Holes(edges[:, 0], edges[:, 1])
    return Query(reader, resolver, lambda: 320, QueryLimits(**limits))


class PlainWindows:
    """What a window holds, nanosecond by nanosecond in thought: lines between samples."""

    def __init__(self, rows, made, *, stepped, data_end, worst):
        rank = {GOOD: 0, UNCERTAIN: 1}
        marked = [(t, v, q, True) for t, v, q in rows] + [(t, v, q, False) for t, v, q in made]
        self.rows = [
            (t, v, v is not None and rank.get(q, 2) <= worst, real)
            for t, v, q, real in sorted(marked, key=lambda row: row[0])
        ]
        self.stepped, self.data_end = stepped, data_end

    def lines(self, start, end):
        """Known lines inside a window: from, to, value there, value here."""
        for row, after in zip(self.rows, [*self.rows[1:], None], strict=False):
            time, value, usable, _ = row
            until = self.data_end if after is None else min(after[0], self.data_end)
            a, b = max(time, start), min(until, end)
            if not usable or a >= b:
                continue
            rise = Fraction(0)
            if not self.stepped and after is not None and after[2]:
                rise = (Fraction(after[1]) - Fraction(value)) / (after[0] - time)
            yield a, b, Fraction(value) + rise * (a - time), Fraction(value) + rise * (b - time)

    def window(self, start, end, low, high):
        inside = [r for r in self.rows if start <= r[0] < end and r[3]]
        used = [r for r in inside if r[2]]
        lines = list(self.lines(start, end))
        covered = sum(b - a for a, b, _, _ in lines)
        area = sum((b - a) * (p + q) / 2 for a, b, p, q in lines)
        mean = area / covered if covered else Fraction(0)
        square = sum(
            (b - a) * ((p - mean) ** 2 + (p - mean) * (q - mean) + (q - mean) ** 2) / 3
            for a, b, p, q in lines
        )
        band = sum((b - a) * self.share(p, q, low, high) for a, b, p, q in lines)
        at_start = [p for a, _, p, _ in lines if a == start]
        return {
            "rows": len(inside),
            "count": len(used),
            "first": used[0][1] if used else None,
            "last": used[-1][1] if used else None,
            "minimum": min((r[1] for r in used), default=None),
            "maximum": max((r[1] for r in used), default=None),
            "covered_ns": covered,
            "in_band_ns": band,
            "mean": mean,
            "deviation": float(square / covered) ** 0.5 if covered else 0.0,
            "integral": area / 10**9,
            "held": at_start[0] if at_start else None,
        }

    @staticmethod
    def share(p, q, low, high):
        if math.isinf(low):
            return 1
        if p == q:
            return int(low <= p <= high)
        edges = sorted([(Fraction(low) - p) / (q - p), (Fraction(high) - p) / (q - p)])
        return max(min(edges[1], 1) - max(edges[0], 0), 0)


@settings(max_examples=400, deadline=None)
@given(
    rows=ROWS,
    windows=WINDOWS,
    rules=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    held=st.tuples(st.sampled_from([None, 1, 20]), HOLES, st.sampled_from([2, 5, 1000])),
    more=st.tuples(st.sampled_from([0, 7, -30]), st.booleans()),
)
def test_windows_are_those_of_the_slow_reading(rows, windows, rules, held, more):
    """Of any samples in a band, and of good ones alone, which take a shorter way."""
    shift, plain = more
    if plain:
        rows = [(t, v, GOOD) for t, v, _ in rows if v is not None]
    (stepped, hold, uncertain), (hold_max, holes, chunk_rows) = rules, held
    start = np.array([a for a, _ in windows], np.int64)
    end = start + np.array([n for _, n in windows], np.int64)
    query = _query(rows, stepped=stepped, hold_max=hold_max, holes=holes, chunk_rows=chunk_rows)
    low, high = (-math.inf, math.inf) if plain else (-1.5, 2.0)

    found = query.join_windows(
        JoinWindowsRequest(
            (JoinTag("t", shift, low, high),),
            start,
            end,
            treat_uncertain_as_bad=uncertain,
            hold_last=hold,
        )
    ).columns[0]

    times = sorted(row[0] for row in rows)
    data_end = max(times[-1] + 1, 320) if hold and times else times[-1] + 1 if times else 0
    made = _gaps(rows, hold_max, holes, data_end, stepped)
    reading = PlainWindows(
        rows, made, stepped=stepped, data_end=data_end, worst=0 if uncertain else 1
    )
    for i, (a, b) in enumerate(zip(start.tolist(), end.tolist(), strict=True)):
        want = reading.window(a + shift, b + shift, low, high)
        for name in ("rows", "count", "covered_ns"):
            assert want[name] == getattr(found, name)[i], (name, a, b)
        for name in ("first", "last", "minimum", "maximum"):
            assert want[name] is None or want[name] == getattr(found, name)[i], (name, a, b)
        for name in ("mean", "deviation", "integral"):
            value = getattr(found, name)[i]
            assert float(want[name]) == pytest.approx(value, rel=1e-9, abs=1e-7), (name, a, b)
        assert float(want["in_band_ns"]) == pytest.approx(found.in_band_ns[i], abs=len(rows) + 1)
        assert (want["held"] is not None) == found.has_held[i], (a, b)
        if found.has_held[i]:
            assert float(want["held"]) == pytest.approx(found.held[i], abs=1e-9), (a, b)


@settings(max_examples=300, deadline=None)
@given(
    rows=ROWS,
    times=st.lists(st.integers(-20, 320), max_size=20),
    direction=st.sampled_from(["backward", "forward", "nearest"]),
    rules=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    more=st.tuples(st.sampled_from([None, 0, 7, 50]), st.sampled_from([0, 5]), st.booleans()),
)
def test_as_of_is_the_sample_of_the_slow_reading(rows, times, direction, rules, more):
    """Few moments are looked up, many are met in one pass; the answer is the same."""
    (strict, usable, uncertain), (max_age, shift, passed) = rules, more
    query = _query(rows, chunk_rows=3)
    request = JoinTimesRequest(
        (JoinTag("t", shift),), np.array(times, np.int64), direction, strict, max_age, usable,
        uncertain,
    )  # fmt: skip
    held, as_of.LOOKUPS_MAX = as_of.LOOKUPS_MAX, 0 if passed else 1024
    try:
        found = query.join_times(request).columns[0]
    finally:
        as_of.LOOKUPS_MAX = held

    good = {GOOD} if uncertain else {GOOD, UNCERTAIN}
    kept = {t: (v, q) for t, v, q in rows if not usable or (v is not None and q in good)}
    for i, moment in enumerate(times):
        at = moment + shift
        before = [t for t in kept if t < at or (t == at and not strict)]
        after = [t for t in kept if t > at or (t == at and not strict)]
        sides = {
            "backward": [max(before)] if before else [],
            "forward": [min(after)] if after else [],
        }
        near = sides.get(direction, sides["backward"] + sides["forward"])
        near = [t for t in near if max_age is None or abs(t - at) <= max_age]
        assert bool(near) == found.present[i], moment
        if near:
            best = min(near, key=lambda t, at=at: (abs(t - at), t))
            assert best == found.columns.timestamp_ns[i]
            assert kept[best] == (found.columns.value.objects()[i], found.columns.quality[i])


SPANS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 9)), max_size=12)


@given(left=SPANS, right=SPANS, least=st.sampled_from([1, 3]))
def test_overlaps_are_those_of_all_pairs(left, right, least):
    right = [(a, n + 1) for a, n in right]
    columns = [
        (np.array([a for a, _ in side], np.int64), np.array([a + n for a, n in side], np.int64))
        for side in (left, right)
    ]

    found = _query([]).join_overlaps(*columns, least_ns=least)

    wanted = []
    for i, (a, n) in enumerate(left):
        for j, (b, m) in enumerate(right):
            shared = (max(a, b), min(a + n, b + m))
            held = b <= a < b + m if n == 0 else shared[1] - shared[0] >= 1
            if held and (shared[1] - shared[0] >= least or (n == 0 and least == 1)):
                wanted.append((i, (b, j), *shared))
    got = zip(found.left, found.right, found.start_ns, found.end_ns, strict=True)
    assert [(i, j, a, b) for i, (_, j), a, b in sorted(wanted)] == [tuple(map(int, p)) for p in got]


def test_what_is_wrong_is_refused_and_named():
    query = _query([(i, 1.0, GOOD) for i in range(50)], intervals_max=3, values_max=4, rows_max=2)
    one, two = np.array([0]), np.array([0, 5])
    t = (JoinTag("t"),)
    for error, where, asked in (
        (UnknownTag, "tag", JoinWindowsRequest((JoinTag("u"),), one, one + 1)),
        (BadRequest, "tags", JoinWindowsRequest((), one, one + 1)),
        (BadRequest, "window 0", JoinWindowsRequest(t, one, one)),
        (BadRequest, "starts_ns, ends_ns", JoinWindowsRequest(t, one, two)),
        (BadRequest, "tag 't'", JoinWindowsRequest((JoinTag("t", 0, 2.0, 1.0),), one, one + 1)),
        (BadRequest, "shift_ns", JoinWindowsRequest((JoinTag("t", 2**63),), one, one + 1)),
        (LimitExceeded, "starts_ns", JoinWindowsRequest(t, np.arange(4), np.arange(4) + 1)),
        (LimitExceeded, "tags", JoinWindowsRequest(t * 3, two, two + 1)),
    ):
        with pytest.raises(error) as refused:
            query.join_windows(asked)
        assert where == refused.value.where
    for error, where, asked in (
        (BadRequest, "direction", JoinTimesRequest(t, one, "sideways")),
        (BadRequest, "max_age_ns", JoinTimesRequest(t, one, max_age_ns=-1)),
        (LimitExceeded, "time_ns", JoinTimesRequest(t, np.arange(4))),
    ):
        with pytest.raises(error) as refused:
            query.join_times(asked)
        assert where == refused.value.where
    with pytest.raises(BadRequest, match="start before end, at right 0"):
        query.join_overlaps((one, one), (one, one))
    with pytest.raises(LimitExceeded, match="3 pairs"):
        query.join_overlaps((np.zeros(3, np.int64), np.arange(3) + 1), (one, one + 1))


def test_reads_no_more_than_allowed_and_nothing_between_windows():
    query = _query([(i, 1.0, GOOD) for i in range(50)], scan_rows_max=10, chunk_rows=4)
    with pytest.raises(LimitExceeded, match="more than 10 samples"):
        query.join_windows(JoinWindowsRequest((JoinTag("t"),), np.array([0]), np.array([50])))
    with pytest.raises(LimitExceeded, match="more than 10 samples"):
        query.join_times(JoinTimesRequest((JoinTag("t"),), np.arange(2_000)))
    assert (
        query.join_times(JoinTimesRequest((JoinTag("t"),), np.arange(49))).columns[0].present.all()
    )
