"""Raw samples and aggregates where a filter is true, against the same reads of each span."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from query.aggregates.registry import AGGREGATES
from query.engine import Query
from query.errors import BadRequest, LimitExceeded
from query.ports import Tag
from query.request import AggregateRequest, QueryLimits, RawRequest, SpansRequest
from query.testing import MemoryReader, MemoryResolver
from storage_engine.sample import BAD, BAD_NO_DATA, GOOD, UNCERTAIN, ValueType

sys.path.insert(0, str(Path(__file__).parent))
from folding import FoldingReader

F64 = ValueType.FLOAT64
S = 1_000_000_000
ANNOTATIONS = (3 * S, 17 * S)
ADDED = ("Count", "NumberOfTransitions", "Total", "Total2", "DurationGood", "DurationBad",
         "DurationInStateZero", "DurationInStateNonZero")  # fmt: skip
LOWEST = ("Minimum", "Minimum2")
HIGHEST = ("Maximum", "Maximum2")
FIRST = ("Start", "StartBound", "Interpolative")
LAST = ("End", "EndBound")
NAMES = ("AnnotationCount", *ADDED, *LOWEST, *HIGHEST, *FIRST, *LAST)

ROWS = st.lists(
    st.tuples(
        st.integers(0, 30).map(lambda t: t * S),
        st.one_of(st.integers(-3, 3).map(float), st.integers(-3, 3).map(float), st.none()),
        st.sampled_from([GOOD, GOOD, GOOD, UNCERTAIN, BAD]),
    ),
    max_size=12,
    unique_by=lambda row: row[0],
)
FILTERS = st.sampled_from(
    ["{on}", "not {on}", "{x} > 0.5", "{other} <= 1 and {on}", "{other} is null", "true", "false"]
)


def _query(rows, other, on, *, stepped=False, chunk_rows=1_000, reader=None, **more):
    reader = MemoryReader() if reader is None else reader
    reader.add(1, F64, rows)
    reader.add(2, F64, other)
    reader.add(3, ValueType.BOOL, on)
    for time in ANNOTATIONS:
        reader.annotate(1, time)
    tags = (
        Tag("x", (1,), F64, stepped=stepped),
        Tag("other", (2,), F64, stepped=False),
        Tag("on", (3,), ValueType.BOOL, stepped=True),
    )
    limits = QueryLimits(chunk_rows=chunk_rows, **more)
    return Query(reader, MemoryResolver(*tags), lambda: 40 * S, limits)


ON = st.lists(
    st.tuples(st.integers(0, 30).map(lambda t: t * S), st.booleans()),
    max_size=8,
    unique_by=lambda row: row[0],
)


def _value(found, name):
    column = found.columns[name]
    return column.value[0].item() if column.valid[0] else None


def _fold(name, parts):
    """What the spans of an interval come to together; ``parts`` in order of time."""
    values = [_value(part, name) for part in parts]
    if name in FIRST:
        return values[0] if name != "Start" else next((v for v in values if v is not None), None)
    if name in LAST:
        return values[-1] if name != "End" else None
    known = [value for value in values if value is not None]
    if not known or (name in ADDED and None in values):
        return None  # a span outside the data is null by itself, not in its interval
    return sum(known) if name in ADDED else min(known) if name in LOWEST else max(known)


@settings(max_examples=250, deadline=None)
@given(
    ROWS,
    ROWS,
    ON,
    FILTERS,
    st.tuples(
        st.integers(-2, 30),
        st.integers(1, 20),
        st.sampled_from([0, 3, 7]),
        st.booleans(),
        st.booleans(),
        st.sampled_from([1, 3, 1_000]),
        st.booleans(),
    ),
)
def test_aggregates_are_those_of_the_true_spans(rows, other, on, where, rules):
    start, length, interval, stepped, hold, chunk, backward = rules
    reader = FoldingReader() if chunk == 3 else MemoryReader()
    query = _query(rows, other, on, stepped=stepped, chunk_rows=chunk, reader=reader)
    window = [start * S, (start + length) * S]
    window = window[::-1] if backward else window
    # A share of bad time never spoils a value here: sums of spans are compared, not statuses.
    same = {"hold_last": hold, "percent_data_good": 100.0, "percent_data_bad": 100.0}
    asked = AggregateRequest("x", *window, interval * S, NAMES, where=where, **same)
    found = query.aggregate(asked)
    spans = query.spans(SpansRequest(where, min(window), max(window), hold_last=hold))
    unfiltered = query.aggregate(AggregateRequest("x", *window, interval * S, ("Count",)))
    assert found.start_ns.tolist() == unfiltered.start_ns.tolist()
    for row, (low, high) in enumerate(zip(found.start_ns, found.end_ns, strict=True)):
        inside = [
            (max(a, low), min(b, high), state)
            for a, b, state in zip(spans.start_ns, spans.end_ns, spans.state, strict=True)
            if a < high and b > low
        ]
        true = [(int(a), int(b)) for a, b, state in inside if state == 1]
        assert found.true_ns[row] == sum(b - a for a, b in true)
        assert found.unknown_ns[row] == sum(b - a for a, b, state in inside if state == 0)
        parts = [query.aggregate(AggregateRequest("x", a, b, 0, NAMES, **same)) for a, b in true]
        assert found.samples_used[row] == sum(part.samples_used[0] for part in parts)
        for name in NAMES:
            if not parts:
                assert found.columns[name].status[row] == BAD_NO_DATA
                assert not found.columns[name].valid[row]
            elif found.columns[name].valid[row]:
                want = _fold(name, parts)
                if name == "AnnotationCount":
                    want = sum(a <= time < b for a, b in true for time in ANNOTATIONS)
                if want is not None:
                    assert found.columns[name].value[row] == pytest.approx(want), name


@settings(max_examples=200, deadline=None)
@given(
    ROWS,
    ROWS,
    ON,
    FILTERS,
    st.tuples(
        st.one_of(st.none(), st.integers(1, 5)),
        st.booleans(),
        st.booleans(),
        st.booleans(),
        st.sampled_from([1, 2, 5, 1_000]),
    ),
)
def test_raw_samples_are_those_at_true_times(rows, other, on, where, rules):
    count, backward, hold, again, chunk = rules
    query = _query(rows, other, on, chunk_rows=chunk)
    query._reader.add(1, F64, [(time, 9.0) for time, _, _ in rows[:2]])
    asked = RawRequest(
        "x", 0, 31 * S, max_count=count, backward=backward, where=where, hold_last=hold,
        all_revisions=again,
    )  # fmt: skip
    spans = query.spans(SpansRequest(where, 0, 31 * S, hold_last=hold))
    plain = query.raw(RawRequest("x", 0, 31 * S, backward=backward, all_revisions=again)).columns
    kept = spans.state[np.searchsorted(spans.start_ns, plain.timestamp_ns, side="right") - 1] == 1
    want = list(zip(plain.timestamp_ns[kept].tolist(), plain.lsn[kept].tolist(), strict=True))
    got, pages, continuation = [], 0, None
    while pages == 0 or continuation is not None:
        page = query.raw(replace(asked, continuation=continuation))
        assert count is None or len(page) <= count
        got += zip(page.columns.timestamp_ns.tolist(), page.columns.lsn.tolist(), strict=True)
        continuation, pages = page.continuation, pages + 1
        assert pages < 40
    assert got == want


@pytest.mark.parametrize("name", AGGREGATES)
def test_true_everywhere_changes_no_value(name):
    rows = [(0, 1.0), (4 * S, 3.0), (8 * S, 0.0), (12 * S, None, BAD), (16 * S, 2.0), (20 * S, 2.0)]
    query = _query(rows, [], [])
    more = {"percent_data_good": 50.0}
    plain = query.aggregate(AggregateRequest("x", 0, 20 * S, 5 * S, (name,), **more))
    found = query.aggregate(AggregateRequest("x", 0, 20 * S, 5 * S, (name,), where="true", **more))
    for one in ("value", "valid", "status"):
        ours, theirs = getattr(found.columns[name], one), getattr(plain.columns[name], one)
        assert (
            ours[plain.columns[name].valid].tolist() == theirs[plain.columns[name].valid].tolist()
        )
    assert found.percent_good.tolist() == plain.percent_good.tolist()


def test_an_extreme_at_the_edge_of_an_inner_span_counts():
    query = _query([(0, 0.0), (10 * S, 10.0), (20 * S, 0.0)], [],
                   [(0, True), (6 * S, False), (12 * S, True), (20 * S, True)])  # fmt: skip
    found = query.aggregate(
        AggregateRequest("x", 0, 18 * S, 0, ("Maximum2", "MaximumActualTime2"), where="{on}")
    )
    # At 12 s the line is at 8; its top at 10 s lies where the filter is false.
    assert found.columns["Maximum2"].value.tolist() == [8.0]
    assert found.columns["MaximumActualTime2"].time_ns.tolist() == [12 * S]


def test_text_tags_are_filtered():
    reader = MemoryReader()
    reader.add(1, ValueType.SYMBOL, [(0, "a"), (5, "b"), (10, "a"), (15, "c")])
    tag = Tag("x", (1,), ValueType.SYMBOL, stepped=True)
    query = Query(reader, MemoryResolver(tag), lambda: 0)
    found = query.raw(RawRequest("x", 0, 20, where="{x} = 'a'"))
    assert found.columns.timestamp_ns.tolist() == [0, 10]
    names = ("Count", "Start", "End", "DurationGood")
    found = query.aggregate(AggregateRequest("x", 0, 20, 10, names, where="{x} in ('b', 'c')"))
    values = {name: found.columns[name].value.tolist() for name in names}
    assert values["Count"] == [1, 1]
    assert values["Start"] == values["End"] == ["b", "c"]
    assert found.true_ns.tolist() == [5, 1]


def test_refusals_and_limits():
    query = _query([(t * S, 1.0) for t in range(30)], [], [(0, True)], rows_max=5)
    with pytest.raises(BadRequest, match="bounds"):
        query.raw(RawRequest("x", 0, S, where="true", bounds="outside"))
    with pytest.raises(LimitExceeded):
        query.raw(RawRequest("x", 0, 30 * S, where="true"))
    assert len(query.raw(RawRequest("x", 0, 5 * S, where="true"))) == 5
    page = query.raw(RawRequest("x", 0, 30 * S, where="true", max_count=3))
    with pytest.raises(BadRequest, match="continuation"):
        query.raw(
            RawRequest("x", 0, 30 * S, where="{on}", max_count=3, continuation=page.continuation)
        )
    few = _query([(t * S, 1.0) for t in range(30)], [], [(0, True)], scan_rows_max=9, chunk_rows=2)
    with pytest.raises(LimitExceeded):
        few.raw(RawRequest("x", 0, 30 * S, where="false", max_count=3))
