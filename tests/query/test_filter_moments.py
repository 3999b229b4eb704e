"""Values at times where a filter is true, against spans and the plain reads."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from query.engine import Query
from query.errors import BadRequest, LimitExceeded, UnknownTag
from query.expression import condition as conditions
from query.ports import Tag
from query.request import MomentsRequest, QueryLimits, SpansRequest
from query.testing import MemoryResolver
from storage_engine.sample import BAD_NO_DATA, ValueType

sys.path.insert(0, str(Path(__file__).parent))
from counting import CountingReader
from test_filter_reads import FILTERS, ON, ROWS, S, _query

F64 = ValueType.FLOAT64


@settings(max_examples=300, deadline=None)
@given(
    st.tuples(ROWS, ROWS, ON),
    FILTERS,
    st.lists(st.integers(-20, 350).map(lambda t: t * S // 10), min_size=1, max_size=20),
    st.tuples(st.booleans(), st.booleans(), st.booleans(), st.sampled_from([(1, 0), (3, 1)])),
    st.sampled_from([1, 3, 1_000]),
)
def test_values_at_times_are_those_at_true_times(tags, where, times, rules, chunk):
    """Whatever lies between the times, and however little is read at once."""
    stepped, hold, simple, at_once = rules
    rows, other, on = tags
    query = _query(rows, other, on, stepped=stepped, chunk_rows=chunk)
    more = {"hold_last": hold, "bounds": "simple" if simple else "interpolated"}
    names = ("x", "on")
    plain = query.at(MomentsRequest(names, tuple(times), **more))
    before = conditions._ROWS_MIN, conditions._ROWS_EACH
    conditions._ROWS_MIN, conditions._ROWS_EACH = at_once
    try:
        found = query.at(MomentsRequest(names, tuple(times), **more, where=where))
    finally:
        conditions._ROWS_MIN, conditions._ROWS_EACH = before
    spans = query.spans(SpansRequest(where, min(times), max(times) + 1, hold_last=hold))
    want = spans.state[np.searchsorted(spans.start_ns, times, side="right") - 1]

    assert found.time_ns.tolist() == times
    assert found.state.tolist() == want.tolist()
    assert plain.state is None
    true = want == 1
    for ours, theirs in zip(found.columns, plain.columns, strict=True):
        assert ours.status[true].tolist() == theirs.status[true].tolist()
        assert ours.valid[true].tolist() == theirs.valid[true].tolist()
        held = true & theirs.valid
        assert ours.value[held].tolist() == theirs.value[held].tolist()
        assert set(ours.status[~true].tolist()) <= {BAD_NO_DATA}
        assert not ours.valid[~true].any()


def test_beginnings_of_intervals_keep_their_rows():
    query = _query([(0, 0.0), (20 * S, 20.0)], [], [(0, True), (5 * S, False), (15 * S, True)])
    asked = MomentsRequest(("x",), start_ns=0, end_ns=25 * S, interval_ns=5 * S, where="{on}")
    found = query.at(asked)
    assert found.time_ns.tolist() == [0, 5 * S, 10 * S, 15 * S, 20 * S]
    assert found.state.tolist() == [1, -1, -1, 1, 0]
    assert found.columns[0].valid.tolist() == [True, False, False, True, False]
    assert found.columns[0].value[[0, 3]].tolist() == pytest.approx([0.0, 15.0])


def test_few_times_do_not_read_the_filter_between_them():
    """Of a dense tag, at times far apart."""
    reader = CountingReader()
    rows = [(t * S, float(t % 7)) for t in range(40_000)]
    reader.add(1, F64, rows)
    query = Query(reader, MemoryResolver(Tag("x", (1,), F64, stepped=True)), lambda: 0)
    times = tuple(range(0, 39_000 * S, 9_000 * S))
    found = query.at(MomentsRequest(("x",), times, where="{x} > 2"))
    assert found.state.tolist() == [1 if t // S % 7 > 2 else -1 for t in times]
    assert reader.rows[1] < 12_000, "of 40,000"


def test_a_filter_of_values_at_times_is_refused_and_bounded():
    query = _query([(t * S, 1.0) for t in range(30)], [], [(0, True)])
    for where, error in (
        ("{x} >", BadRequest),
        ("{nobody}", UnknownTag),
        ("{x} = 'a'", BadRequest),
    ):
        with pytest.raises(error):
            query.at(MomentsRequest(("x",), (0,), where=where))
    few = _query([(t * S, 1.0) for t in range(30)], [], [(0, True)], scan_rows_max=9, chunk_rows=2)
    with pytest.raises(LimitExceeded):
        few.at(MomentsRequest(("x",), tuple(range(0, 30 * S, S)), where="{x} > 5"))


def test_an_operand_under_two_names_is_read_once():
    """A renamed tag is known by its former name, too."""
    reader = CountingReader()
    reader.add(1, F64, [(t, float(t)) for t in range(1_000)])
    tag = Tag("new", (1,), F64, stepped=True)

    class Renamed(MemoryResolver):
        def resolve(self, name):
            return super().resolve("new" if name == "old" else name)

    def rows(where):
        reader.reset()
        query = Query(reader, Renamed(tag), lambda: 0, QueryLimits())
        assert query.spans(SpansRequest(where, 0, 1_000)).state.tolist()[:2] == [-1, 1]
        return reader.rows[1]

    assert rows("{new} > 5 and {old} < 20") == rows("{new} > 5")
