"""triangles.py, drawing.py: LTTB against a plain loop, MinMaxLTTB, M4, and what they keep."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from query.engine import Query
from query.errors import BadRequest, LimitExceeded
from query.ports import Tag
from query.request import PlotRequest, QueryLimits
from query.testing import MemoryReader, MemoryResolver
from query.triangles import largest_triangles
from storage_engine.sample import BAD, ValueType


def plain(times, values, count):
    """One bucket after the other, in exact fractions."""
    rows = len(times)
    if rows <= count:
        return list(range(rows))
    edges = [1 + k * (rows - 2) // max(count - 2, 1) for k in range(count - 1)]
    buckets = [range(a, b) for a, b in pairwise(edges)] + [[rows - 1]]
    found = [0]
    for mine, behind in pairwise(buckets):
        x = Fraction(sum(times[i] for i in behind), len(behind))
        y = Fraction(sum(values[i] for i in behind), len(behind))
        last = found[-1]
        areas = [
            abs(
                (times[last] - x) * (values[i] - values[last])
                - (times[last] - times[i]) * (y - values[last])
            )
            for i in mine
        ]
        found.append(mine[areas.index(max(areas))])
    return [*found, rows - 1]


@given(
    steps=st.lists(st.integers(1, 9), min_size=1, max_size=60),
    values=st.lists(st.integers(-50, 50), min_size=60, max_size=60),
    count=st.integers(2, 20),
)
def test_triangles_are_those_of_a_plain_loop(steps, values, count):
    """Small whole numbers: every area is exact, so the choice is the same."""
    times, values = np.cumsum(steps).tolist(), values[: len(steps)]
    # Means of buckets of 3 are no doubles; scaled by every size they are.
    values = [v * 360_360 for v in values]
    times = [t * 360_360 for t in times]

    found = largest_triangles(np.array(times), np.array(values, dtype=np.float64), count)

    assert plain(times, values, count) == found.tolist()


def _query(rows, type_=ValueType.FLOAT64, **limits):
    reader = MemoryReader()
    reader.add(1, type_, rows)
    resolver = MemoryResolver(Tag("t", (1,), type_, stepped=False))
    return Query(reader, resolver, lambda: 0, QueryLimits(**limits))


def _wave(count):
    rng = np.random.default_rng(5)
    values = np.sin(np.arange(count) / 90) + rng.normal(scale=0.1, size=count)
    values[count // 3] = 25.0
    return [(t * 10, float(v)) for t, v in enumerate(values)]


@pytest.mark.parametrize("method", ["lttb", "minmaxlttb"])
def test_triangles_draw_few_real_samples_and_every_spike(method):
    """However the samples are read; the first, the last and the lonely spike are drawn."""
    rows = _wave(6_000)
    drawn = [
        _query(rows, chunk_rows=chunk_rows).plot(PlotRequest("t", 0, 60_000, 200, method=method))
        for chunk_rows in (100_000, 777)
    ]

    times, values = drawn[0].columns.timestamp_ns.tolist(), drawn[0].columns.value.value.tolist()
    assert times == drawn[1].columns.timestamp_ns.tolist()
    assert set(zip(times, values, strict=True)) <= set(rows)
    assert 200 == len(times)
    assert (0, 59_990) == (times[0], times[-1])
    assert 25.0 in values
    assert 6_000 == drawn[0].samples_used


def test_minmaxlttb_of_few_samples_is_lttb():
    """Where every sample is an extreme of its column nothing is left out before."""
    rows = _wave(600)
    drawn = [
        _query(rows)
        .plot(PlotRequest("t", 0, 6_000, 150, method=method))
        .columns.timestamp_ns.tolist()
        for method in ("lttb", "minmaxlttb")
    ]
    assert drawn[0] == drawn[1]


def test_lines_break_where_there_is_no_value():
    """Triangles keep the first mark of a column, M4 none."""
    rows = [(t, float(t % 7)) if not 40 <= t < 60 else (t, None, BAD) for t in range(100)]
    marks = {
        method: int(_query(rows).plot(PlotRequest("t", 0, 100, 10, method=method)).mark.sum())
        for method in ("pi", "m4", "lttb", "minmaxlttb")
    }
    assert {"pi": 2, "m4": 0, "lttb": 2, "minmaxlttb": 2} == marks


def test_m4_keeps_first_lowest_highest_and_last_of_each_column():
    rows = [(t, float(v)) for t, v in enumerate([3, 1, 4, 1, 5, 9, 2, 6, 5, 3])]
    drawn = _query(rows).plot(PlotRequest("t", 0, 10, 2, method="m4"))
    assert [0, 1, 4, 5, 6, 9] == drawn.columns.timestamp_ns.tolist()


@pytest.mark.parametrize(
    ("type_", "method", "error", "where"),
    [
        (ValueType.FLOAT64, "average", BadRequest, "method"),
        (ValueType.SYMBOL, "lttb", BadRequest, "method"),
        (ValueType.FLOAT64, "lttb", LimitExceeded, "tag 't'"),
    ],
)
def test_a_wrong_question_is_refused_by_name(type_, method, error, where):
    value = "run" if type_ is ValueType.SYMBOL else 1.0
    query = _query([(t, value) for t in range(50)], type_, rows_max=20)
    assert len(query.plot(PlotRequest("t", 0, 50, 4, method="m4")))
    with pytest.raises(error) as refused:
        query.plot(PlotRequest("t", 0, 50, 4, method=method))
    assert where == refused.value.where
