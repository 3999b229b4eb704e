"""Correlation, against exact fractions over values at the same times."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from query.engine import Query
from query.errors import BadRequest, LimitExceeded
from query.ports import Tag
from query.request import CorrelationRequest, MomentsRequest, QueryLimits
from query.testing import MemoryReader, MemoryResolver
from storage_engine.sample import BAD, GOOD, UNCERTAIN, ValueType

F64 = ValueType.FLOAT64
ROWS = st.lists(
    st.tuples(
        st.integers(0, 40),
        st.one_of(st.none(), st.integers(-5, 5).map(float)),
        st.sampled_from([GOOD, GOOD, GOOD, GOOD, UNCERTAIN, BAD]),
    ),
    max_size=16,
    unique_by=lambda row: row[0],
)


def _query(x, y, *, stepped=(False, True), chunk_rows=1_000, **limits):
    reader = MemoryReader()
    reader.add(1, F64, x)
    reader.add(2, F64, y)
    reader.add(3, ValueType.SYMBOL, [(0, "a")])
    tags = (
        Tag("x", (1,), F64, stepped=stepped[0]),
        Tag("y", (2,), F64, stepped=stepped[1]),
        Tag("s", (3,), ValueType.SYMBOL, stepped=True),
    )
    limits = QueryLimits(chunk_rows=chunk_rows, **limits)
    return Query(reader, MemoryResolver(*tags), lambda: 60, limits)


def _good(query, name, times, hold):
    asked = MomentsRequest((name,), tuple(times), bounds="simple", hold_last=hold)
    column = query.at(asked).columns[0]
    return [
        Fraction(v) if ok and s < UNCERTAIN else None
        for v, ok, s in zip(column.value.tolist(), column.valid, column.status, strict=True)
    ]


@settings(max_examples=300, deadline=None)
@given(
    ROWS,
    ROWS,
    st.tuples(st.integers(-5, 40), st.integers(1, 50), st.sampled_from([0, 5, 16])),
    st.tuples(st.sampled_from([1, 2, 3]), st.booleans(), st.booleans(), st.booleans()),
    st.sampled_from([2, 1_000]),
)
def test_correlation_is_that_of_values_at_the_same_times(x, y, window, rules, chunk_rows):
    every, hold, sloped, backward = rules
    start, length, interval = window
    query = _query(x, y, stepped=(sloped, not sloped), chunk_rows=chunk_rows)
    edges = (start + length, start) if backward else (start, start + length)
    shifts = (0, -3, 7)
    asked = CorrelationRequest("x", "y", *edges, every, interval, shifts, hold_last=hold)

    found = query.correlation(asked)

    assert found.shift_ns.tolist() == list(shifts) * (len(found) // 3)
    grid = range(start, start + length, every)
    for row, (a, b) in enumerate(zip(found.start_ns.tolist(), found.end_ns.tolist(), strict=True)):
        times = [t for t in grid if a <= t < b]
        shift = int(found.shift_ns[row])
        xs = _good(query, "x", times, hold) if times else []
        ys = _good(query, "y", [t + shift for t in times], hold) if times else []
        pairs = [(p, q) for p, q in zip(xs, ys, strict=True) if None not in (p, q)]
        _compare(found, row, pairs)


def _compare(found, row, pairs):
    n = len(pairs)
    assert found.count[row] == n
    assert math.isnan(found.x_mean[row]) == (n == 0)
    if n < 2:
        assert math.isnan(found.r[row])
        assert math.isnan(found.covariance[row])
        return
    mean_x, mean_y = (sum(p[i] for p in pairs) / n for i in (0, 1))
    xx, yy, xy = (
        sum((p[i] - (mean_x, mean_y)[i]) * (p[j] - (mean_x, mean_y)[j]) for p in pairs)
        for i, j in ((0, 0), (1, 1), (0, 1))
    )
    near = {"rel": 1e-9, "abs": 1e-9}
    assert found.x_mean[row] == pytest.approx(float(mean_x), **near)
    assert found.covariance[row] == pytest.approx(float(xy / (n - 1)), **near)
    assert found.y_deviation[row] == pytest.approx(math.sqrt(yy / (n - 1)), rel=1e-6, abs=1e-6)
    if xx > Fraction(1, 10**9):
        slope = xy / xx
        assert found.slope[row] == pytest.approx(float(slope), rel=1e-6, abs=1e-6)
        assert found.intercept[row] == pytest.approx(float(mean_y - slope * mean_x), abs=1e-5)
        if yy > Fraction(1, 10**9):
            want = float(xy) / math.sqrt(xx * yy)
            assert found.r[row] == pytest.approx(want, rel=1e-6, abs=1e-6)


def test_the_delay_between_two_tags_is_the_best_shift():
    """Y follows x by 7; of the shifts the one by which y is taken later is marked."""
    noise = np.random.default_rng(3).normal(size=400).round(3).tolist()
    x = [(t, v) for t, v in enumerate(noise)]
    y = [(t + 7, -2 * v + 1) for t, v in enumerate(noise)]
    query = _query(x, y, stepped=(True, True))
    shifts = tuple(range(-10, 11))
    found = query.correlation(CorrelationRequest("x", "y", 20, 380, 1, 0, shifts))
    best = int(np.flatnonzero(found.best)[0])
    assert found.best.sum() == 1
    assert found.shift_ns[best] == 7
    assert found.r[best] == pytest.approx(-1)
    assert (found.slope[best], found.intercept[best]) == (pytest.approx(-2), pytest.approx(1))


def test_large_values_that_hardly_vary_lose_nothing():
    """A register near 1e9 that moves by thousandths: one pass over squares would see nothing."""
    steps = np.random.default_rng(4).integers(0, 9, 3_000).cumsum() / 1_024
    x = [(t, 1e9 + v) for t, v in enumerate(steps.tolist())]
    y = [(t, 5e8 - v) for t, v in enumerate(steps.tolist())]
    found = _query(x, y, stepped=(True, True), chunk_rows=100).correlation(
        CorrelationRequest("x", "y", 0, 3_000, 1)
    )
    assert found.r[0] == pytest.approx(-1, abs=1e-9)


def test_what_has_no_correlation_is_refused():
    query = _query([(0, 1.0)], [(0, 1.0)], values_max=100)
    for wrong, where in (
        (CorrelationRequest("x", "s", 0, 10, 1), "y"),
        (CorrelationRequest("x", "y", 0, 10, 0), "every_ns"),
        (CorrelationRequest("x", "y", 0, 10, 1, 0, ()), "shifts_ns"),
        (CorrelationRequest("x", "y", 0, 10, 1, 0, (2**62,)), "start_ns, end_ns"),
        (CorrelationRequest("x", "y", 5, 5, 1), "end_ns"),
    ):
        with pytest.raises(BadRequest) as caught:
            query.correlation(wrong)
        assert caught.value.where == where
    with pytest.raises(LimitExceeded, match="102 pairs, want at most 100"):
        query.correlation(CorrelationRequest("x", "y", 0, 51, 1, 0, (0, 1)))
    flat = _query([(0, 1.0), (9, 1.0)], [(0, 1.0), (9, 2.0)]).correlation(
        CorrelationRequest("x", "y", 0, 9, 1)
    )
    assert (flat.count[0], math.isnan(flat.r[0]), flat.best[0]) == (9, True, False)
