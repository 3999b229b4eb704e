"""moments.py, intervals.py: values at times equal a plain reading, however they are read."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from query import moments
from query.engine import Query
from query.errors import BadRequest, LimitExceeded, UnknownTag
from query.ports import Tag
from query.request import AggregateRequest, MomentsRequest, QueryLimits
from query.testing import MemoryReader, MemoryResolver
from storage_engine.sample import BAD, GOOD, UNCERTAIN, ValueType

sys.path.insert(0, str(Path(__file__).parent))
from plain import Plain
from plain_rules import LEVEL

S = 1_000_000_000
VALUES = st.one_of(st.none(), st.integers(-3, 3).map(float), st.floats(-9, 9))
ROWS = st.lists(
    st.tuples(st.integers(0, 40), VALUES, st.sampled_from([GOOD, GOOD, GOOD, UNCERTAIN, BAD])),
    max_size=16,
)


def _query(rows, stepped=False, type_=ValueType.FLOAT64, series=1, **limits):
    reader = MemoryReader()
    for i, row in enumerate(rows):
        reader.add(1 + i * series // (len(rows) + 1), type_, [row])
    tag = Tag("t", tuple(range(1, series + 1)), type_, stepped=stepped)
    return Query(reader, MemoryResolver(tag), lambda: 45, QueryLimits(**limits))


@settings(max_examples=300, deadline=None)
@given(
    rows=ROWS,
    times=st.lists(st.integers(-5, 50), min_size=1, max_size=20),
    way=st.tuples(st.booleans(), st.booleans()),
    rules=st.fixed_dictionaries(
        {
            "treat_uncertain_as_bad": st.booleans(),
            "use_sloped_extrapolation": st.booleans(),
            "hold_last": st.booleans(),
        }
    ),
    reading=st.tuples(st.sampled_from([1, 2]), st.sampled_from([(1, 0), (3, 1), (1024, 16)])),
)
def test_values_at_times_equal_the_plain_reading(rows, times, way, rules, reading):
    """Bad, uncertain, null, rewritten samples; before, between and behind; in halves or at once."""
    (stepped, simple), (series, rows_at_once) = way, reading
    bounds = "simple" if simple else "interpolated"
    request = MomentsRequest(("t",), tuple(times), bounds=bounds, **rules)
    before = moments._ROWS_MIN, moments._ROWS_EACH
    moments._ROWS_MIN, moments._ROWS_EACH = rows_at_once
    try:
        (column,) = _query(rows, stepped, series=series).at(request).columns
    finally:
        moments._ROWS_MIN, moments._ROWS_EACH = before

    newest = {}
    for t, v, q in rows:
        code = BAD if v is None and q != BAD else q
        newest[t] = (t, v, LEVEL[code], code)
    asked = AggregateRequest("t", 0, 1, 0, ("Count",), **rules)
    plain = Plain([newest[t] for t in sorted(newest)], asked, stepped, 45)
    for i, t in enumerate(times):
        value, status = plain.bound(t)[:2] if simple else plain.interpolative(t, t)
        assert hex(status) == hex(column.status[i]), t
        assert (value is not None) == column.valid[i], t
        if value is not None:
            assert float(value) == pytest.approx(column.value[i], rel=1e-9, abs=1e-9), t


def test_few_times_in_many_samples_do_not_read_them_all():
    """A time a day in a year of seconds."""
    rows = [(t * S, float(t)) for t in range(50_000)]
    reader = MemoryReader()
    reader.add(1, ValueType.FLOAT64, rows)
    read = []
    tag = Tag("t", (1,), ValueType.FLOAT64, stepped=False)
    query = Query(reader, MemoryResolver(tag), lambda: 0)
    whole = reader.read

    def counted(*arguments, **more):
        found = whole(*arguments, **more)
        read.append(len(found))
        return found

    reader.read = counted

    (column,) = query.at(MomentsRequest(("t",), (S // 2, 49_000 * S + S // 2))).columns

    assert [0.5, 49_000.5] == column.value.tolist()
    assert sum(read) < 5_000


def test_types_stay_and_text_holds():
    query = _query([(0, "idle"), (15, "run"), (30, None, BAD)], True, ValueType.SYMBOL)
    (column,) = query.at(MomentsRequest(("t",), (-1, 0, 20, 35))).columns
    assert [None, "idle", "run", "run"] == [
        v if ok else None for v, ok in zip(column.value, column.valid, strict=True)
    ]
    query = _query([(0, 2**60), (10, 2**60 + 20)], False, ValueType.INT64)
    (column,) = query.at(MomentsRequest(("t",), (10, 0), bounds="simple")).columns
    assert [2**60 + 20, 2**60] == column.value.tolist(), "whole numbers to the last digit"


def test_beginnings_of_intervals_forward_backward_and_by_the_calendar():
    query = _query([(0, 0.0), (100, 100.0)])
    forward = query.at(MomentsRequest(("t",), start_ns=5, end_ns=36, interval_ns=10))
    assert [5, 15, 25, 35] == forward.time_ns.tolist() == forward.columns[0].value.tolist()
    backward = query.at(MomentsRequest(("t",), start_ns=36, end_ns=5, interval_ns=10))
    assert [26, 16, 6, 5] == backward.time_ns.tolist()
    hours = MomentsRequest(("t",), start_ns=1, end_ns=7200 * S, step="1h")
    assert [3600 * S] == query.at(hours).time_ns.tolist(), "midnight lies before the window"
    turned = replace(hours, start_ns=7200 * S, end_ns=0)
    assert [3600 * S, 0] == query.at(turned).time_ns.tolist()


def test_many_tags_have_the_same_times():
    reader = MemoryReader()
    tags = []
    for n in range(1, 51):
        reader.add(n, ValueType.FLOAT64, [(0, float(n)), (10, float(2 * n))])
        tags.append(Tag(f"t{n}", (n,), ValueType.FLOAT64, stepped=False))
    query = Query(reader, MemoryResolver(*tags), lambda: 0)

    found = query.at(MomentsRequest(tuple(t.name for t in tags), (5, 10)))

    assert [[1.5 * n, 2.0 * n] for n in range(1, 51)] == [c.value.tolist() for c in found.columns]
    assert [t.name for t in tags] == [c.tag.name for c in found.columns]


@pytest.mark.parametrize(
    ("changes", "error", "where"),
    [
        ({"tags": ("nobody",)}, UnknownTag, "tag"),
        ({"tags": ()}, BadRequest, "tags"),
        ({"tags": ("t",) * 6}, LimitExceeded, "tags"),
        ({"bounds": "outside"}, BadRequest, "bounds"),
        ({"times_ns": ()}, BadRequest, "times, interval"),
        ({"times_ns": (), "interval_ns": 1, "end_ns": 1000}, LimitExceeded, "interval_ns"),
        ({"times_ns": (), "interval_ns": 1}, BadRequest, "end_ns"),
        ({"times_ns": (), "interval_ns": -1, "end_ns": 9}, BadRequest, "interval_ns"),
        ({"times_ns": (), "step": "1 fortnight", "end_ns": 9}, BadRequest, "step"),
        ({"times_ns": tuple(range(200))}, LimitExceeded, "times"),
        ({"times_ns": tuple(range(9)), "tags": ("t",) * 5}, LimitExceeded, "times"),
        ({"times_ns": (2**63 - 1,)}, BadRequest, "start_ns, end_ns"),
    ],
)
def test_a_wrong_question_is_refused_by_name(changes, error, where):
    query = _query([(0, 1.0)], tags_max=5, intervals_max=100, rows_max=40)
    good = MomentsRequest(("t",), (1, 2))
    assert 2 == len(query.at(good).time_ns)

    with pytest.raises(error) as refused:
        query.at(replace(good, **changes))

    assert where == refused.value.where


def test_no_samples_and_no_times():
    (column,) = _query([]).at(MomentsRequest(("t",), (3, 3))).columns
    assert [0x809B_0000] * 2 == column.status.tolist()
    none = _query([(0, 1.0)]).at(MomentsRequest(("t",), start_ns=1, end_ns=9, step="1d"))
    assert (0, 0) == (len(none.time_ns), len(none.columns[0].value))
    assert none.columns[0].value.dtype == np.float64
