"""joins/aggregates.py: the aggregates of the standard over many windows at once."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from query.aggregates.registry import AGGREGATES
from query.engine import Query
from query.errors import BadRequest, LimitExceeded
from query.joins.aggregates import window_aggregates
from query.ports import Tag
from query.request import AggregateRequest, QueryLimits
from query.testing import MemoryReader, MemoryResolver
from storage_engine.sample import BAD, GOOD, UNCERTAIN, ValueType

F64 = ValueType.FLOAT64
NAMES = tuple(AGGREGATES)
ROWS = st.lists(
    st.tuples(
        st.integers(0, 300),
        st.one_of(st.none(), st.integers(-5, 5).map(float)),
        st.sampled_from([GOOD, GOOD, UNCERTAIN, BAD]),
    ),
    max_size=30,
)
WINDOWS = st.lists(st.tuples(st.integers(-20, 320), st.integers(1, 60)), max_size=12)


def _tag(*, stepped=False):
    return Tag("t", (1,), F64, stepped=stepped)


def _reader(rows):
    reader = MemoryReader()
    for row in rows:
        reader.add(1, F64, [row])
    return reader


@settings(max_examples=200, deadline=None)
@given(rows=ROWS, windows=WINDOWS, stepped=st.booleans(), chunk_rows=st.sampled_from([1, 4, 1000]))
def test_many_windows_at_once_equal_each_window_alone(rows, windows, stepped, chunk_rows):
    """Windows of a passport overlap, lie far apart and come in any order."""
    reader, tag = _reader(rows), _tag(stepped=stepped)
    starts, ends = [a for a, _ in windows], [a + n for a, n in windows]

    together = window_aggregates(
        reader, tag, starts, ends, NAMES, limits=QueryLimits(chunk_rows=chunk_rows)
    )

    query = Query(reader, MemoryResolver(tag), lambda: 0)
    assert (starts, ends) == (together.start_ns.tolist(), together.end_ns.tolist())
    for i, (a, b) in enumerate(zip(starts, ends, strict=True)):
        alone = query.aggregate(AggregateRequest("t", a, b, 0, NAMES))
        assert alone.percent_good[0] == together.percent_good[i]
        assert alone.samples_used[0] == together.samples_used[i]
        assert alone.partial[0] == together.partial[i]
        for name in NAMES:
            one, many = alone.columns[name], together.columns[name]
            assert (one.valid[0], one.status[0]) == (many.valid[i], many.status[i]), name
            if one.valid[0]:
                assert one.value[0] == pytest.approx(many.value[i], rel=1e-9, abs=1e-9), name


def test_a_value_that_is_known_to_hold_answers_after_its_last_change():
    """A setpoint that last changed before the visit was still the setpoint of the visit."""
    reader, tag = _reader([(0, 1.0), (10, 5.0)]), _tag(stepped=True)

    ended = window_aggregates(reader, tag, [20], [30], ("TimeAverage2",))
    held = window_aggregates(reader, tag, [20], [30], ("TimeAverage2",), hold_until_ns=25)

    assert not ended.columns["TimeAverage2"].valid[0]
    assert 5.0 == held.columns["TimeAverage2"].value[0]
    assert (100.0, True) == (held.percent_good[0], held.partial[0])


@pytest.mark.parametrize(
    ("starts", "ends", "names", "error", "where"),
    [
        ([0, 5], [1], ("Count",), BadRequest, "starts_ns, ends_ns"),
        ([0, 5], [1, 5], ("Count",), BadRequest, "window 1"),
        ([0], [1], ("Mean",), BadRequest, "aggregates"),
        ([0, 1, 2], [9, 9, 9], ("Count",), LimitExceeded, "starts_ns"),
    ],
)
def test_wrong_windows_are_refused_by_name(starts, ends, names, error, where):
    """The caller learns which window."""
    with pytest.raises(error) as refused:
        window_aggregates(
            _reader([]), _tag(), starts, ends, names, limits=QueryLimits(intervals_max=2)
        )

    assert where == refused.value.where
