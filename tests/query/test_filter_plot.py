"""Plots where a filter is true, and filters that many tags of one question have in common."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from query.engine import Query
from query.errors import LimitExceeded
from query.plan import plan_plot
from query.ports import Tag
from query.request import (
    AggregateRequest,
    MomentsRequest,
    PlotRequest,
    QueryLimits,
    RawRequest,
    SpansRequest,
)
from query.testing import MemoryResolver
from query.work import Work, at_work
from storage_engine.sample import BAD_NO_DATA, ValueType

sys.path.insert(0, str(Path(__file__).parent))
from counting import CountingReader
from test_filter_reads import FILTERS, ON, ROWS, S, _query

F64 = ValueType.FLOAT64
METHODS = ("pi", "m4", "minmaxlttb", "lttb")


@settings(max_examples=400, deadline=None)
@given(
    st.tuples(ROWS, ROWS, ON),
    FILTERS,
    st.sampled_from(METHODS),
    st.tuples(st.integers(1, 12), st.integers(13, 35)),
    st.tuples(st.booleans(), st.sampled_from([1, 3, 1_000]), st.sampled_from([3, 40])),
)
def test_a_plot_draws_true_time_alone(tags, where, method, window, rules):
    """Every row is a sample at a true time or a break, and no line crosses what is not true."""
    hold, chunk, pixels = rules
    query = _query(*tags, chunk_rows=chunk)
    start, end = window[0] * S, window[1] * S
    asked = PlotRequest("x", start, end, pixels, method=method, where=where, hold_last=hold)
    found = query.plot(asked)
    spans = query.spans(SpansRequest(where, start, end, hold_last=hold))
    assert (found.true_ns, found.unknown_ns) == (spans.true_ns, spans.unknown_ns)
    written = query.raw(RawRequest("x", start, end, where=where, hold_last=hold)).columns
    times, lsn = found.columns.timestamp_ns, found.columns.lsn
    assert (np.diff(times) > 0).all()
    assert found.samples_used == len(written)
    inside = ~found.bound
    real = inside & (lsn != 0)
    assert set(times[real].tolist()) <= set(written.timestamp_ns.tolist())
    assert (found.columns.quality[inside & (lsn == 0)] == BAD_NO_DATA).all()
    assert found.mark[inside & (lsn == 0)].all()
    # A line between two drawn samples in different columns has no false time under it.
    edges = plan_plot(asked, query._resolver.resolve("x"), query.limits)
    column = np.searchsorted(edges, times, side="right")
    for row in range(len(times) - 1):
        low, high = max(int(times[row]), start), min(int(times[row + 1]), end)
        if found.mark[row] or found.mark[row + 1] or column[row] == column[row + 1]:
            continue
        under = (spans.start_ns < high) & (spans.end_ns > low)
        assert (spans.state[under] == 1).all(), (row, times.tolist())


@pytest.mark.parametrize("method", METHODS)
def test_true_everywhere_changes_no_plot(method):
    rows = [(t * S, float(t * 7 % 11)) for t in range(30)]
    query = _query(rows, [], [(0, True), (40 * S, True)])
    plain = query.plot(PlotRequest("x", 2 * S, 25 * S, 5, method=method))
    found = query.plot(PlotRequest("x", 2 * S, 25 * S, 5, method=method, where="{on}"))
    assert plain.columns.timestamp_ns.tolist() == found.columns.timestamp_ns.tolist()
    assert plain.bound.tolist() == found.bound.tolist()
    assert (plain.true_ns, found.true_ns) == (None, 23 * S)


def _many(rows, count=6, **limits):
    reader = CountingReader()
    reader.add(1, F64, rows)
    for i in range(count):
        reader.add(10 + i, F64, [(t, v + i) for t, v in rows[i:]])
    operand = Tag("x", (1,), F64, stepped=True)
    tags = [Tag(f"t{i}", (10 + i,), F64, stepped=True) for i in range(count)]
    query = Query(reader, MemoryResolver(operand, *tags), lambda: 99 * S, QueryLimits(**limits))
    return reader, query, [tag.name for tag in tags]


ASKED = {
    "raw": lambda query, tag: query.raw(RawRequest(tag, 0, 60 * S, where="{x} > 3")),
    "backward": lambda query, tag: query.raw(
        RawRequest(tag, 0, 60 * S, where="{x} > 3", backward=True)
    ),
    "plot": lambda query, tag: query.plot(PlotRequest(tag, 0, 60 * S, 20, where="{x} > 3")),
    "aggregate": lambda query, tag: query.aggregate(
        AggregateRequest(tag, 0, 60 * S, 10 * S, ("Count",), where="{x} > 3")
    ),
}


@pytest.mark.parametrize("read", ASKED)
@pytest.mark.parametrize("limits", [{}, {"chunk_rows": 7}])
def test_a_filter_of_many_tags_is_evaluated_once(read, limits):
    """The operand is read as often for six tags as for one, and the answers are the same."""
    rows = [(t * S, float(t % 7)) for t in range(60)]
    reader, query, names = _many(rows, **limits)
    ask = ASKED[read]
    reader.reset()
    apart = [ask(query, name) for name in names]
    read_apart = reader.rows[1]
    together = query.question()
    reader.reset()
    found = together.many(names, lambda name: ask(together, name), len)
    times = "timestamp_ns"
    for one, other in zip(found, apart, strict=True):
        if read == "aggregate":
            assert one.columns["Count"].value.tolist() == other.columns["Count"].value.tolist()
        else:
            assert getattr(one.columns, times).tolist() == getattr(other.columns, times).tolist()
    # Beside each stretch that is read lie samples that are looked at once more.
    assert reader.rows[1] <= (read_apart if limits else read_apart / 3)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-3, 70), st.integers(1, 40)), min_size=1, max_size=8),
    st.sampled_from([1_000, 40]),
)
def test_what_is_remembered_is_what_is_read(windows, rows_max):
    """In any order and overlap, also when the oldest is forgotten."""
    rows = [(t * S, float(t % 7)) for t in range(60)]
    _, query, _ = _many(rows, rows_max=rows_max)
    together = query.question()
    for start, length in windows:
        asked = SpansRequest("{x} > 3", start * S, (start + length) * S)
        ours, theirs = together.spans(asked), query.spans(asked)
        assert ours.start_ns.tolist() == theirs.start_ns.tolist()
        assert ours.end_ns.tolist() == theirs.end_ns.tolist()
        assert ours.state.tolist() == theirs.state.tolist()


def test_the_deadline_of_a_question_holds_for_its_filter():
    """Every read with a filter stops when its time is over."""
    rows = [(t * S, float(t % 7)) for t in range(60)]
    _, query, names = _many(rows)
    moments = MomentsRequest((names[0],), (S, 2 * S), where="{x} > 3")
    reads = [lambda ask=ask: ask(query.question(), names[0]) for ask in ASKED.values()]
    reads += [lambda: query.at(moments), lambda: query.spans(SpansRequest("{x} > 3", 0, S))]
    for read in reads:
        seconds = iter(range(1_000))
        work = Work(lambda seconds=seconds: float(next(seconds)), 0.5)
        with at_work(work), pytest.raises(LimitExceeded, match="in time"):
            read()
