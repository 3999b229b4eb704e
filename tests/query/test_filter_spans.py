"""Query.spans: when a filter is true, against a plain reference and by hand."""

import sys
from fractions import Fraction
from math import ceil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from query.engine import Query
from query.errors import BadRequest, LimitExceeded, UnknownTag
from query.expression.tree import Arithmetic, Call, Negative, Number, TagValue, Text
from query.ports import Holes, Tag
from query.request import QueryLimits, SpansRequest
from query.testing import MemoryReader, MemoryResolver
from storage_engine.sample import BAD, GOOD, UNCERTAIN, ValueType

sys.path.insert(0, str(Path(__file__).parent))
import plain_filter
from filters import conditions

F64, I64 = ValueType.FLOAT64, ValueType.INT64
# Every line through such values, between times up to 16, has whole values at whole times.
SCALE = 720720**2
QUALITIES = st.sampled_from([GOOD, GOOD, GOOD, UNCERTAIN, BAD])


def _rows(values):
    row = st.tuples(st.integers(0, 16), st.one_of(values, values, st.none()), QUALITIES)
    return st.lists(row, max_size=8, unique_by=lambda one: one[0])


HIGH = st.integers(-3, 3).map(lambda n: float(n * SCALE))
SERIES = st.fixed_dictionaries(
    {
        "a": _rows(HIGH),
        "b": _rows(HIGH),
        "i": _rows(st.integers(-3, 3).map(lambda n: n * SCALE)),
        "small": _rows(st.sampled_from([0.0, 0.5, 1.0, -2.0])),
        "s": _rows(st.sampled_from(["run", "idle"])),
        "on": _rows(st.booleans()),
    }
)
TYPES = {"a": F64, "b": F64, "i": I64, "small": F64, "s": ValueType.SYMBOL, "on": ValueType.BOOL}


def _numbers():
    line = st.builds(TagValue, st.sampled_from("abi"))
    held = st.builds(TagValue, st.just("small"))
    high = st.builds(Number, st.integers(0, 6).map(lambda n: n * SCALE // 2))
    factor = st.one_of(held, st.builds(Number, st.sampled_from([0, 0.5, 2, 4])))
    plain = st.one_of(line, line, high)
    pair = st.tuples(plain, plain)
    less = st.builds(Arithmetic, st.just("-"), line, plain)
    return st.one_of(
        plain,
        st.builds(Negative, plain),
        st.builds(Arithmetic, st.sampled_from("+-"), plain, plain),
        st.builds(Arithmetic, st.sampled_from("*/"), line, factor),
        st.builds(Call, st.just("abs"), st.tuples(st.one_of(line, less))),
        st.builds(Call, st.sampled_from(["min", "max"]), pair),
    )


TEXTS = st.one_of(
    st.builds(TagValue, st.just("s")), st.builds(Text, st.sampled_from(["run", "off"]))
)
TREES = conditions(_numbers(), TEXTS, st.just("on"), st.sampled_from(sorted(TYPES)), depth=2)


def _ask(series, request, *, sloped=(), hold_max=None, chunk_rows=1_000, now=30):
    reader, tags = MemoryReader(), []
    for number, (name, rows) in enumerate(series.items()):
        reader.add(number, TYPES[name], rows)
        stepped = name not in sloped
        hold = hold_max if name == "a" else None
        tags.append(Tag(name, (number,), TYPES[name], stepped=stepped, hold_max_ns=hold))
    limits = QueryLimits(chunk_rows=chunk_rows)
    query = Query(reader, MemoryResolver(*tags), lambda: now, limits)
    found = query.spans(request)
    columns = [found.start_ns, found.end_ns, found.state]
    return list(zip(*(column.tolist() for column in columns), strict=True)), found


@settings(max_examples=600, deadline=None)
@given(
    SERIES,
    TREES,
    st.sets(st.sampled_from("abi")),
    st.tuples(st.integers(-4, 16), st.integers(1, 24)),
    st.tuples(
        st.booleans(),
        st.booleans(),
        st.one_of(st.none(), st.integers(1, 8)),
        st.sampled_from([1, 2, 3, 7, 1_000]),
    ),
)
def test_against_plain(series, tree, sloped, window, rules):
    uncertain, hold, hold_max, chunk = rules
    start, end = window[0], window[0] + window[1]
    request = SpansRequest(str(tree), start, end, treat_uncertain_as_bad=uncertain, hold_last=hold)
    found, result = _ask(series, request, sloped=sloped, hold_max=hold_max, chunk_rows=chunk)
    plain = {
        name: plain_filter.PlainTag(
            rows,
            stepped=name not in sloped,
            uncertain_is_bad=uncertain,
            end=30 if hold else None,
            hold_max=hold_max if name == "a" else None,
        )
        for name, rows in series.items()
    }
    assert found == plain_filter.spans(tree, plain, start, end)
    times = [sum(b - a for a, b, s in found if s == state) for state in (1, -1, 0)]
    assert [result.true_ns, result.false_ns, result.unknown_ns] == times


def _one(rows, where, start, end, *, type_=F64, stepped=False, **more):
    reader = MemoryReader()
    reader.add(1, type_, rows)
    query = Query(reader, MemoryResolver(Tag("x", (1,), type_, stepped=stepped)), lambda: 0)
    found = query.spans(SpansRequest(where, start, end, **more))
    chosen = found.state == 1
    return list(zip(found.start_ns[chosen].tolist(), found.end_ns[chosen].tolist(), strict=True))


def test_whole_numbers_are_compared_exactly():
    big = 2**63 - 1
    rows = [(0, big - 1), (10, big), (20, -(2**63)), (30, 0)]
    for stepped in (True, False):
        asked = {"type_": I64, "stepped": stepped}
        assert _one(rows, f"{{x}} = {big}", 0, 30, **asked) == [(10, 20 if stepped else 11)]
        assert _one(rows, f"{{x}} = {big}.0", 0, 30, **asked) == []
        lowest = [(20, 30 if stepped else 21)]
        assert _one(rows, f"{{x}} = -{2**63}", 0, 30, **asked) == lowest
    assert _one([(0, 2**64 - 1), (5, 0)], f"{{x}} > {2**64 - 2}", 0, 9, type_=ValueType.UINT64,
                stepped=True) == [(0, 5)]  # fmt: skip


def test_crossings_of_long_lines_are_exact():
    hour = 3_600 * 10**9
    rows = [(0, 0.0), (3 * hour, 3.0)]
    assert _one(rows, "{x} >= 1", 0, 3 * hour) == [(hour, 3 * hour)]
    assert _one(rows, "{x} > 1", 0, 3 * hour) == [(hour + 1, 3 * hour)]
    assert _one(rows, "{x} = 2", 0, 3 * hour) == [(2 * hour, 2 * hour + 1)]
    # A third of an hour and a bit: from the first nanosecond behind the crossing.
    assert _one([(0, 0.0), (10, 3.0)], "{x} >= 1", 0, 10) == [(4, 10)]
    assert _one([(0, 0.0), (10, 3.0)], "{x} = 1", 0, 10) == []


def test_times_of_today_are_exact():
    """Nanoseconds since 1970 do not fit in a double."""
    now = 1_790_000_000_123_456_789
    rows = [(now, True), (now + 1, False), (now + 101, True)]
    asked = {"type_": ValueType.BOOL, "stepped": True}
    assert _one(rows, "{x}", now - 5, now + 200, **asked) == [
        (now, now + 1),
        (now + 101, now + 102),
    ]
    line = [(now, 0.0), (now + 100, 100.0)]
    assert _one(line, "{x} between 7 and 11.5", now, now + 90) == [(now + 7, now + 12)]


@settings(max_examples=300, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from([10, 10**6, 10**12, 2**58]))
def test_one_line_crosses_exactly_however_long_it_is(random, longest):
    length = random.randint(longest // 2, longest)
    numbers = random.choice([lambda: random.uniform(-1e9, 1e9), lambda: random.randint(-5, 5)])
    low, level, high = sorted(float(numbers()) for _ in range(3))
    found = _one([(0, low), (length, high)], f"{{x}} >= {level!r}", 0, length)
    if not low < level < high:
        assert found == ([(0, length)] if level <= low else [])
        return
    place = length * (Fraction(level) - Fraction(low)) / (Fraction(high) - Fraction(low))
    begin = max(ceil(place - Fraction(1, 2**20)), 1)
    assert found == ([(begin, length)] if begin < length else [])


def test_short_spans_are_left_out_and_their_neighbours_joined():
    rows = [(0, 1.0), (10, 0.0), (20, 1.0), (25, 0.0), (40, 1.0), (60, 0.0)]
    assert _one(rows, "{x} = 1", 0, 60, stepped=True) == [(0, 10), (20, 25), (40, 60)]
    short = _one(rows, "{x} = 1", 0, 60, stepped=True, min_length_ns=10)
    assert short == [(0, 10), (40, 60)]
    assert _one(rows, "{x} = 1", 0, 60, stepped=True, min_length_ns=21) == []


def test_not_collected_is_not_known():
    reader = MemoryReader()
    reader.add(1, F64, [(0, 1.0), (100, 1.0)])
    resolver = MemoryResolver(Tag("x", (1,), F64, stepped=True))
    resolver.holes["x"] = Holes(np.array([40], np.int64), np.array([60], np.int64))
    query = Query(reader, resolver, lambda: 0)
    found = query.spans(SpansRequest("{x} = 1", 0, 100))
    assert found.start_ns.tolist() == [0, 40, 60]
    assert found.state.tolist() == [1, 0, 1]
    assert len(query.spans(SpansRequest("{x} = 1", 0, 100, gaps=False))) == 1


def test_values_that_are_no_number_are_not_known():
    rows = [(0, 1.0), (10, float("nan")), (20, float("inf")), (30, 2.0)]
    assert _one(rows, "{x} > 0", 0, 40, stepped=True) == [(0, 10), (20, 31)]
    assert _one(rows, "{x} > 0", 0, 40) == [(0, 10), (30, 31)]
    assert _one(rows, "1 / ({x} - 1) > 0 or {x} is null", 0, 30, stepped=True) == [(10, 20)]


def test_types_that_changed():
    reader = MemoryReader()
    reader.add(1, I64, [(0, 5), (10, 6)])
    reader.add(2, ValueType.TEXT, [(20, "6"), (30, "x")])
    texts = Tag("x", (1, 2), ValueType.TEXT, stepped=True)
    numbers = Tag("y", (2, 1), I64, stepped=True)
    query = Query(reader, MemoryResolver(texts, numbers), lambda: 0)
    for chunk in (1, 2, 100):
        query = Query(
            reader, MemoryResolver(texts, numbers), lambda: 0, QueryLimits(chunk_rows=chunk)
        )
        found = query.spans(SpansRequest("{x} = '6'", 0, 31))
        assert found.start_ns.tolist() == [0, 10, 30]
        assert found.state.tolist() == [-1, 1, -1]
        found = query.spans(SpansRequest("{y} = 6", 0, 31))
        assert (found.start_ns.tolist(), found.state.tolist()) == ([0, 10, 20], [-1, 1, 0])


def test_known_at():
    reader = MemoryReader()
    early = reader.add(1, F64, [(0, 1.0)])
    reader.add(1, F64, [(0, 5.0)])
    query = Query(reader, MemoryResolver(Tag("x", (1,), F64, stepped=True)), lambda: 0)
    assert query.spans(SpansRequest("{x} > 2", 0, 1)).state.tolist() == [1]
    asked = SpansRequest("{x} > 2", 0, 1, known_at_lsn=early)
    assert query.spans(asked).state.tolist() == [-1]


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (SpansRequest("{x} > 1", 5, 5), "at end_ns"),
        (SpansRequest("{x} > 1", 5, 9, min_length_ns=-1), "at min_length_ns"),
        (SpansRequest("{x} > 1", 5, 9, resolution_ns=0), "at resolution_ns"),
        (SpansRequest("{x} > 1", 5, 2**62), "start_ns, end_ns"),
        (SpansRequest("{x} * {x} > 1", 5, 9), "character 4"),
        (SpansRequest("1 / {x} > 1", 5, 9), "character 2"),
        (SpansRequest("{x} > 'a'", 5, 9), "character 6"),
    ],
)
def test_refused(request_, says):
    query = Query(MemoryReader(), MemoryResolver(Tag("x", (1,), F64, stepped=False)), lambda: 0)
    with pytest.raises(BadRequest, match=says):
        query.spans(request_)


def test_limits_and_unknown_tags():
    reader = MemoryReader()
    reader.add(1, F64, [(t, float(t % 2)) for t in range(100)])
    resolver = MemoryResolver(Tag("x", (1,), F64, stepped=True))
    for limits in (QueryLimits(scan_rows_max=50, chunk_rows=10), QueryLimits(rows_max=50)):
        with pytest.raises(LimitExceeded):
            Query(reader, resolver, lambda: 0, limits).spans(SpansRequest("{x} = 1", 0, 100))
    with pytest.raises(UnknownTag):
        Query(reader, resolver, lambda: 0).spans(SpansRequest("{y} = 1", 0, 100))
