"""aggregates.py, facts.py, scan.py: the fast path equals a plain reading of the rules."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from query.aggregates.registry import AGGREGATES
from query.engine import Query
from query.errors import BadRequest, LimitExceeded, UnknownTag
from query.ports import Tag
from query.request import AggregateRequest, QueryLimits
from query.testing import MemoryReader, MemoryResolver
from storage_engine.sample import BAD, GOOD, UNCERTAIN, ValueType

sys.path.insert(0, str(Path(__file__).parent))
from folding import FoldingReader
from plain import Plain
from plain_rules import LEVEL, MULTI

PERCENTILES = ("Percentile(0)", "Percentile(37.5)", "Percentile(50)", "Percentile(100)")
NAMES = (*AGGREGATES, *PERCENTILES)
EXACT = (
    "Count",
    "Minimum",
    "Maximum",
    "MinimumActualTime",
    "MaximumActualTime",
    "Start",
    "End",
    "NumberOfTransitions",
    "AnnotationCount",
    "WorstQuality",
    "WorstQuality2",
)


VALUES = st.one_of(
    st.none(), st.integers(-3, 3).map(float), st.floats(-1e6, 1e6).map(lambda x: round(x, 3))
)
ROWS = st.lists(
    st.tuples(st.integers(0, 60), VALUES, st.sampled_from([GOOD, GOOD, GOOD, UNCERTAIN, BAD])),
    max_size=24,
)
REQUESTS = st.builds(
    AggregateRequest,
    tag=st.just("t"),
    start_ns=st.integers(-10, 75),
    end_ns=st.integers(-10, 75),
    interval_ns=st.sampled_from([0, 1, 3, 7, 16, 50]),
    aggregates=st.just(NAMES),
    treat_uncertain_as_bad=st.booleans(),
    percent_data_bad=st.sampled_from([100.0, 50.0]),
    percent_data_good=st.sampled_from([100.0, 50.0]),
    use_sloped_extrapolation=st.booleans(),
    hold_last=st.booleans(),
).filter(lambda r: r.start_ns != r.end_ns and r.percent_data_good + r.percent_data_bad >= 100)


def _newest(rows, scale):
    """The newest revision per time, with severity; a null counts as bad."""
    newest = {}
    for t, v, q in rows:
        code = BAD if v is None and q != BAD else q
        newest[t * scale] = (t * scale, v, LEVEL[code], code)
    return [newest[t] for t in sorted(newest)]


@settings(max_examples=600, deadline=None)
@given(
    rows=ROWS,
    request_=REQUESTS,
    stepped=st.booleans(),
    scale=st.sampled_from([1, 1_000_000_007]),
    held=st.tuples(
        st.sampled_from([1, 2, 5, 1000]),
        st.sampled_from([1, 2]),
        st.sampled_from([MemoryReader, FoldingReader]),
    ),
)
def test_every_aggregate_equals_the_plain_reading(rows, request_, stepped, scale, held):
    """Bad, uncertain, null, late and rewritten samples, any window, any size of a piece, folds."""
    chunk_rows, types, holder = held
    scaled = {f: getattr(request_, f) * scale for f in ("start_ns", "end_ns", "interval_ns")}
    asked, now = replace(request_, **scaled), 65 * scale
    reader = holder()
    for i, (t, v, q) in enumerate(rows):
        reader.add(1 + i * types // (len(rows) + 1), ValueType.FLOAT64, [(t * scale, v, q)])
    annotations = tuple(scale * t for t in (7, 7, 20, 41))
    for time in annotations:
        reader.annotate(1, time)
    tag = Tag("t", tuple(range(1, types + 1)), ValueType.FLOAT64, stepped=stepped)
    limits = QueryLimits(chunk_rows=chunk_rows)

    result = Query(reader, MemoryResolver(tag), lambda: now, limits).aggregate(asked)

    plain = Plain(_newest(rows, scale), asked, stepped, now, annotations)
    for i, (a, b) in enumerate(zip(result.start_ns.tolist(), result.end_ns.tolist(), strict=True)):
        assert len(plain.inside(a, b)) == result.samples_used[i]
        for name, (value, status, time) in plain.interval(a, b).items():
            column = result.columns[name]
            assert hex(status) == hex(column.status[i]), (name, a, b)
            assert (value is not None) == column.valid[i], (name, a, b)
            assert time == (a if column.time_ns is None else column.time_ns[i]), (name, a, b)
            if name in EXACT and value is not None:
                assert value == column.value[i], (name, a, b)
            elif value is not None:
                near = max(1e-6, plain.slope_near(a, b) if name == "Slope" else 0.0)
                assert float(value) == pytest.approx(column.value[i], rel=1e-9, abs=near), name


@given(request_=REQUESTS)
def test_intervals_tile_the_window_in_the_order_asked(request_):
    """No time is counted twice or left out, also backwards and with a shorter last interval."""
    query = Query(
        MemoryReader(), MemoryResolver(Tag("t", (1,), ValueType.FLOAT64, stepped=True)), lambda: 0
    )

    result = query.aggregate(request_)

    starts, ends = result.start_ns.tolist(), result.end_ns.tolist()
    if request_.end_ns < request_.start_ns:
        starts, ends = starts[::-1], ends[::-1]
    low, high = sorted((request_.start_ns, request_.end_ns))
    assert [low, *ends] == [*starts, high]
    assert all(e > s for s, e in zip(starts, ends, strict=True))
    whole = request_.interval_ns or high - low
    assert all(e - s == whole for s, e in zip(starts[1:-1], ends[1:-1], strict=True))
    assert not any(column.valid.any() for column in result.columns.values())


def _query(type_, rows, **limits):
    reader = MemoryReader()
    reader.add(1, type_, rows)
    resolver = MemoryResolver(Tag("t", (1,), type_, stepped=True))
    return Query(reader, resolver, lambda: 100, QueryLimits(**limits))


@pytest.mark.parametrize("type_", [ValueType.SYMBOL, ValueType.TEXT])
def test_text_tags_have_counts_and_percent_good_but_no_average(type_):
    """A state is no number: say so, and say what can be asked."""
    query = _query(type_, [(0, "run"), (10, None, BAD), (20, "stop")])

    result = query.aggregate(AggregateRequest("t", 0, 20, 0, ("Count", "PercentGood")))

    assert 1 == result.columns["Count"].value[0]
    assert 50.0 == result.columns["PercentGood"].value[0]
    with pytest.raises(BadRequest, match="Count, NumberOfTransitions") as refused:
        query.aggregate(AggregateRequest("t", 0, 20, 0, ("TimeAverage",)))
    assert "TimeAverage" == refused.value.got


@pytest.mark.parametrize(
    ("type_", "low", "high"),
    [
        (ValueType.INT64, -(2**63), 2**63 - 1),
        (ValueType.UINT64, 3, 2**64 - 1),
        (ValueType.BOOL, False, True),
        (ValueType.FLOAT32, -0.5, 1.5),
    ],
)
def test_extremes_keep_the_type_and_every_digit(type_, low, high):
    """A 64-bit counter does not fit a double."""
    query = _query(type_, [(0, low), (5, high), (9, low)], chunk_rows=1)

    result = query.aggregate(AggregateRequest("t", 0, 10, 0, ("Minimum", "Maximum")))

    assert [low, high] == [result.columns[n].value[0].item() for n in ("Minimum", "Maximum")]
    assert {type_} == {column.type for column in result.columns.values()}
    assert result.columns["Minimum"].status[0] == GOOD | MULTI


@pytest.mark.parametrize(
    ("type_", "first", "last", "wanted"),
    [
        (ValueType.INT64, 2**60, 2**60 + 7, 7),
        (ValueType.INT64, 2**62, -(2**62) + 1, -(2**63) + 1),
        (ValueType.INT64, -(2**63), 2**63 - 1, None),
        (ValueType.INT64, 2**63 - 1, -2, None),
        (ValueType.UINT64, 2**64 - 1, 2**64 - 10, -9),
        (ValueType.UINT64, 2**64 - 1, 0, None),
        (ValueType.BOOL, True, False, -1),
        (ValueType.FLOAT32, 0.5, 0.75, 0.25),
    ],
)
def test_differences_are_exact_or_out_of_range(type_, first, last, wanted):
    """A counter of 64 bits counts on; what no int64 can say is Bad_OutOfRange, never a wrap."""
    query = _query(type_, [(0, first), (5, last)])

    result = query.aggregate(AggregateRequest("t", 0, 5, 0, ("DeltaBounds",)))
    whole = query.aggregate(AggregateRequest("t", 0, 6, 0, ("Delta", "Range")))

    for name, column in (result.columns | whole.columns).items():
        expected = abs(wanted) if wanted is not None and name == "Range" else wanted
        assert (expected is not None) == column.valid[0], name
        if expected is None:
            assert 0x803C_0000 == column.status[0] & 0xFFFF_0000, name
        else:
            assert expected == column.value[0].item(), name
        numbers = ValueType.FLOAT32 if type_ is ValueType.FLOAT32 else ValueType.INT64
        assert numbers is column.type, name


def test_bounds_keep_the_type_and_round_whole_numbers():
    """Between 4 and 9 a whole number is rounded; a truth holds."""
    for type_, rows, wanted in (
        (ValueType.INT64, [(0, 4), (10, 9)], (6, 7)),
        (ValueType.BOOL, [(0, False), (10, True)], (False, False)),
        (ValueType.FLOAT32, [(0, 4.0), (10, 9.0)], (6.0, 7.0)),
    ):
        query = _query(type_, rows)
        asked = AggregateRequest("t", 4, 6, 0, ("StartBound", "EndBound"), stepped=False)
        result = query.aggregate(asked)
        assert wanted == tuple(column.value[0].item() for column in result.columns.values())
        assert {type_} == {column.type for column in result.columns.values()}


def test_text_tags_tell_their_edges_and_changes():
    """States have a first, a last, a bound, and transitions, of null ones none."""
    rows = [(0, "run"), (4, "stop"), (6, None, BAD), (8, "stop"), (9, "run")]
    query = _query(ValueType.SYMBOL, rows)
    names = ("Start", "End", "StartBound", "NumberOfTransitions", "Interpolative", "WorstQuality")

    result = query.aggregate(AggregateRequest("t", 2, 9, 0, names))

    found = [c.value[0] if c.valid[0] else None for c in result.columns.values()]
    assert ["stop", "stop", "run", 1, "run", BAD] == found


def test_a_numeric_tag_reads_across_an_older_series_of_text():
    """What was no number counts as bad; it does not spoil what came later."""
    reader = MemoryReader()
    reader.add(1, ValueType.TEXT, [(0, "n/a")])
    reader.add(2, ValueType.INT64, [(10, 4), (20, 6)])
    query = Query(
        reader, MemoryResolver(Tag("t", (1, 2), ValueType.INT64, stepped=True)), lambda: 0
    )

    result = query.aggregate(AggregateRequest("t", 0, 20, 10, ("Maximum", "PercentGood")))

    assert [False, True] == result.columns["Maximum"].valid.tolist()
    assert 4 == result.columns["Maximum"].value[1]
    assert [0.0, 100.0] == result.percent_good.tolist()


@pytest.mark.parametrize(
    ("changes", "error", "where"),
    [
        ({"tag": "nobody"}, UnknownTag, "tag"),
        ({"aggregates": ()}, BadRequest, "aggregates"),
        ({"aggregates": ("Mean",)}, BadRequest, "aggregates"),
        ({"end_ns": 0}, BadRequest, "end_ns"),
        ({"interval_ns": -1}, BadRequest, "interval_ns"),
        ({"interval_ns": 1}, LimitExceeded, "interval_ns"),
        ({"percent_data_good": 20.0}, BadRequest, "percent_data_good, percent_data_bad"),
        ({"resolution_ns": 0}, BadRequest, "resolution_ns"),
        ({"start_ns": -(2**63)}, BadRequest, "start_ns, end_ns"),
        ({}, LimitExceeded, "tag 't'"),
    ],
)
def test_a_wrong_question_is_refused_by_name(changes, error, where):
    """The caller learns which field to change."""
    query = _query(
        ValueType.FLOAT64, [(i, 1.0) for i in range(9)], intervals_max=10, scan_rows_max=5
    )
    good = AggregateRequest("t", 0, 100, 10, ("Count",), percent_data_bad=50.0)

    with pytest.raises(error) as refused:
        query.aggregate(replace(good, **changes))

    assert where == refused.value.where
