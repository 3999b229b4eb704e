"""Moving windows: each answers as it would alone, folded or scanned, and overlaps have a bound."""

import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from query.aggregates.registry import AGGREGATES
from query.engine import Query
from query.errors import BadRequest, LimitExceeded
from query.ports import Tag
from query.request import AggregateRequest, QueryLimits
from query.testing import MemoryReader, MemoryResolver
from storage_engine.sample import BAD, GOOD, UNCERTAIN, ValueType

sys.path.insert(0, str(Path(__file__).parent))
from folding import FoldingReader

F64 = ValueType.FLOAT64
NAMES = (*AGGREGATES, "Percentile(50)")
ROWS = st.lists(
    st.tuples(
        st.integers(0, 60),
        st.one_of(st.none(), st.integers(-3, 3).map(float)),
        st.sampled_from([GOOD, GOOD, GOOD, GOOD, UNCERTAIN, BAD]),
    ),
    max_size=20,
    unique_by=lambda row: row[0],
)


@settings(max_examples=60, deadline=None)
@given(
    ROWS,
    st.tuples(st.integers(-5, 60), st.integers(1, 50), st.sampled_from([0, 1, 3, 7])),
    st.sampled_from([1, 2, 5, 40]),
    st.tuples(st.booleans(), st.booleans(), st.booleans()),
    st.sampled_from([(MemoryReader, 1_000), (MemoryReader, 2), (FoldingReader, 1_000)]),
)
def test_each_window_answers_as_it_would_alone(rows, window, moving, rules, holder):
    stepped, hold, backward = rules
    start, length, interval = window
    edges = (start + length, start) if backward else (start, start + length)
    reader = holder[0]()
    reader.add(1, F64, rows)
    resolver = MemoryResolver(Tag("t", (1,), F64, stepped=stepped))
    query = Query(reader, resolver, lambda: 70, QueryLimits(chunk_rows=holder[1]))
    asked = AggregateRequest("t", *edges, interval, NAMES, hold_last=hold, moving_ns=moving)

    found = query.aggregate(asked)

    plain = query.aggregate(AggregateRequest("t", *edges, interval, ("Count",)))
    assert plain.end_ns.tolist() == found.end_ns.tolist()
    for row, (a, b) in enumerate(zip(found.start_ns.tolist(), found.end_ns.tolist(), strict=True)):
        assert b - a == moving
        alone = query.aggregate(AggregateRequest("t", a, b, 0, NAMES, hold_last=hold))
        assert found.samples_used[row] == alone.samples_used[0]
        assert found.percent_good[row] == pytest.approx(alone.percent_good[0])
        for name in NAMES:
            ours, theirs = found.columns[name], alone.columns[name]
            assert hex(ours.status[row]) == hex(theirs.status[0]), name
            if theirs.valid[0]:
                assert ours.value[row] == pytest.approx(theirs.value[0], rel=1e-9, abs=1e-6), name


def test_more_windows_over_one_moment_than_allowed_are_refused():
    reader = MemoryReader()
    reader.add(1, F64, [(0, 1.0)])
    resolver = MemoryResolver(Tag("t", (1,), F64, stepped=False))
    query = Query(reader, resolver, lambda: 0, QueryLimits(overlaps_max=10))
    ask = AggregateRequest("t", 0, 100, 1, ("Count",), moving_ns=10)
    assert len(query.aggregate(ask)) == 100
    with pytest.raises(LimitExceeded, match="11 windows over one moment, want at most 10"):
        query.aggregate(AggregateRequest("t", 0, 100, 1, ("Count",), moving_ns=11))
    with pytest.raises(BadRequest, match="moving_ns"):
        query.aggregate(AggregateRequest("t", 0, 100, 1, ("Count",), moving_ns=-1))
    with pytest.raises(BadRequest, match="nanoseconds between"):
        query.aggregate(AggregateRequest("t", 0, 100, 100, ("Count",), moving_ns=2**62 + 100))
