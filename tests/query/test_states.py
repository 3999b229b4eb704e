"""Time in each state, against the same counted moment by moment."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from query.engine import Query
from query.errors import BadRequest, LimitExceeded
from query.ports import Holes, Tag
from query.request import QueryLimits, StatesRequest
from query.testing import MemoryReader, MemoryResolver
from storage_engine.sample import BAD, GOOD, UNCERTAIN, ValueType

LEVEL = {GOOD: 0, UNCERTAIN: 1, BAD: 2}
ROWS = st.lists(
    st.tuples(
        st.integers(0, 40),
        st.one_of(st.none(), st.sampled_from(["a", "b", "c", ""])),
        st.sampled_from([GOOD, GOOD, GOOD, UNCERTAIN, BAD]),
    ),
    max_size=16,
    unique_by=lambda row: row[0],
)


def _moments(rows, request, hold_max, now, high):
    """State of each nanosecond (None: not known), and whether it was entered there."""
    ordered = sorted(rows)
    usable = 1 if request.treat_uncertain_as_bad else 2
    end = ordered[-1][0] + 1 if ordered else 0
    end = max(end, now) if request.hold_last and ordered else end
    by_time = {time: (value, code) for time, value, code in ordered}
    found, current, since, last_known = {}, None, 0, None
    for moment in range(-20, high):
        entered = False
        if moment in by_time:
            value, code = by_time[moment]
            good = value is not None and LEVEL[code] < usable
            current, since = (value if good else None), moment
            if good and value != last_known:
                entered, last_known = True, value
        if hold_max is not None and moment - since >= hold_max:
            current = None
        found[moment] = (current if moment < end else None, entered)
    return found


def _plain(moments, a, b):
    """State -> (duration, entries, longest stay, first entry or None) of [a, b)."""
    rows = {}
    stay = 0
    for moment in range(a, b):
        state, entered = moments[moment]
        went_on = moment > a and moments[moment - 1][0] == state
        stay = stay + 1 if went_on else 1
        duration, entries, longest, first = rows.get(state, (0, 0, 0, None))
        first = moment if entered and first is None else first
        rows[state] = (duration + 1, entries + entered, max(longest, stay), first)
    return rows


@settings(max_examples=500, deadline=None)
@given(
    ROWS,
    st.tuples(st.integers(-10, 45), st.integers(1, 40), st.sampled_from([0, 1, 7, 16])),
    st.tuples(st.booleans(), st.booleans(), st.booleans(), st.sampled_from([None, 1, 5])),
    st.sampled_from([1, 2, 5, 1_000]),
)
def test_time_in_states_is_that_of_each_moment(rows, window, rules, chunk_rows):
    uncertain, hold, backward, hold_max = rules
    start, length, interval = window
    reader = MemoryReader()
    reader.add(1, ValueType.SYMBOL, rows)
    tag = Tag("t", (1,), ValueType.SYMBOL, stepped=True, hold_max_ns=hold_max)
    query = Query(reader, MemoryResolver(tag), lambda: 50, QueryLimits(chunk_rows=chunk_rows))
    edges = (start + length, start) if backward else (start, start + length)
    asked = StatesRequest(
        "t", *edges, interval, treat_uncertain_as_bad=uncertain, hold_last=hold
    )  # fmt: skip

    found = query.states(asked)

    moments = _moments(rows, asked, hold_max, 50, start + length + 1)
    got = {}
    columns = (found.duration_ns, found.entries, found.longest_ns, found.first_ns, found.entered)
    for place, (a, b) in enumerate(
        zip(found.start_ns.tolist(), found.end_ns.tolist(), strict=True)
    ):
        duration, entries, longest, first, entered = (column[place] for column in columns)
        state = found.state.objects()[place]
        assert found.percent[place] == pytest.approx(100 * duration / (b - a))
        got.setdefault((a, b), {})[state] = (
            duration, entries, longest, first if entered else None
        )  # fmt: skip
    assert {edges: _plain(moments, *edges) for edges in got} == got
    step = interval or length
    assert len(got) == -(-length // step)
    assert sorted(got, reverse=backward) == list(got)


def _query(tag, rows, **limits):
    reader = MemoryReader()
    reader.add(1, tag.type, rows)
    return Query(reader, MemoryResolver(tag), lambda: 100, QueryLimits(**limits))


def test_states_are_values_of_the_tag_and_the_unknown_is_null():
    tag = Tag("t", (1,), ValueType.INT64, stepped=True)
    found = _query(tag, [(0, 2), (30, 7), (60, None, BAD)]).states(StatesRequest("t", 0, 100, 0))
    assert found.state.objects() == [2, 7, None]
    assert found.duration_ns.tolist() == [30, 30, 40]
    assert found.state.type is ValueType.INT64


def test_a_hole_of_collecting_is_not_known():
    import numpy as np

    tag = Tag("t", (1,), ValueType.BOOL, stepped=True)
    query = _query(tag, [(0, True), (90, False)])
    query._resolver.holes["t"] = Holes(np.array([20]), np.array([50]))
    found = query.states(StatesRequest("t", 0, 100, 0, hold_last=True))
    assert found.state.objects() == [False, True, None]
    assert found.duration_ns.tolist() == [10, 60, 30]
    assert found.entries.tolist() == [1, 1, 0]  # it went on with the same value


def test_what_slopes_has_no_states_and_too_many_rows_are_refused():
    sloped = Tag("t", (1,), ValueType.FLOAT64, stepped=False)
    rows = [(k, float(k)) for k in range(50)]
    with pytest.raises(BadRequest, match="sloped tag 't'"):
        _query(sloped, rows).states(StatesRequest("t", 0, 50))
    assert len(_query(sloped, rows).states(StatesRequest("t", 0, 49, stepped=True))) == 49
    with pytest.raises(LimitExceeded, match="more than 10 states"):
        _query(sloped, rows, rows_max=10).states(StatesRequest("t", 0, 50, stepped=True))
