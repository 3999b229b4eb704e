"""CounterIncrease and CounterRate: wraps, resets, replacements, and falls nobody explains."""

import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from query.engine import Query
from query.ports import Tag
from query.registers import Declaration
from query.request import AggregateRequest, QueryLimits
from query.testing import MemoryReader, MemoryResolver
from storage_engine.sample import BAD, GOOD, UNCERTAIN, ValueType

sys.path.insert(0, str(Path(__file__).parent))
from plain import Plain

F64 = ValueType.FLOAT64
S = 1_000_000_000
BOTH = ("CounterIncrease", "CounterRate")
ROWS = st.lists(
    st.tuples(
        st.integers(0, 30).map(lambda t: 2 * t * S),
        st.integers(0, 110).map(float),
        st.sampled_from([GOOD, GOOD, GOOD, UNCERTAIN, BAD]),
    ),
    max_size=14,
    unique_by=lambda row: row[0],
)
DECLARED = st.lists(
    st.tuples(
        st.integers(0, 30).map(lambda t: (2 * t + 1) * S),
        st.integers(0, 100).map(float),
        st.integers(0, 100).map(float),
    ),
    max_size=2,
    unique_by=(lambda d: d[0], lambda d: d[1:]),
).map(sorted)


def _ask(rows, window, interval=0, *, stepped=False, declared=(), chunk_rows=1_000, **more):
    reader = MemoryReader()
    reader.add(1, F64, rows)
    hold = more.pop("hold_last", False)
    resolver = MemoryResolver(Tag("n", (1,), F64, stepped=stepped, eng_unit="kWh", **more))
    resolver.declared["n"] = [Declaration(*one) for one in declared]
    query = Query(reader, resolver, lambda: 70 * S, QueryLimits(chunk_rows=chunk_rows))
    return query.aggregate(
        AggregateRequest("n", *window, interval, BOTH, hold_last=hold, resolution_ns=1)
    )


@settings(max_examples=500, deadline=None)
@given(
    ROWS,
    DECLARED,
    st.tuples(
        st.sampled_from([None, 100.0]),
        st.sampled_from([None, 0.5, 5.0, 40.0]),
        st.booleans(),
        st.booleans(),
        st.booleans(),
    ),
    st.tuples(st.integers(-5, 65), st.integers(1, 70), st.sampled_from([0, 1, 7, 16])),
    st.sampled_from([1, 2, 5, 1_000]),
)
def test_a_counter_is_its_register_read_step_by_step(rows, declared, rules, window, chunk_rows):
    modulus, rate, resets, stepped, hold = rules
    start, length, interval = (x * S for x in window)
    found = _ask(
        rows, (start, start + length), interval, stepped=stepped, declared=declared,
        chunk_rows=chunk_rows, hold_last=hold, counter_modulus=modulus, counter_rate_max=rate,
        counter_resets=resets,
    )  # fmt: skip
    asked = AggregateRequest("n", 0, 1, 0, BOTH, hold_last=hold)
    level = {GOOD: 0, UNCERTAIN: 1, BAD: 2}
    plain = Plain([(t, v, level[q], q) for t, v, q in sorted(rows)], asked, stepped, 70 * S)
    plain.counter = (modulus, rate, resets, declared)
    for row, (a, b) in enumerate(zip(found.start_ns.tolist(), found.end_ns.tolist(), strict=True)):
        for name, (value, status, _) in plain.interval(a, b).items():
            column = found.columns[name]
            assert hex(status) == hex(column.status[row]), (name, a, b)
            assert (value is not None) == column.valid[row]
            if value is not None:
                assert float(value) == pytest.approx(column.value[row], rel=1e-9, abs=1e-9)


def _increase(rows, **more):
    column = _ask([(t * S, v) for t, v in rows], (0, 60 * S), **more).columns["CounterIncrease"]
    return (float(column.value[0]) if column.valid[0] else None), hex(column.status[0])


def test_a_fall_that_nobody_explains_is_null_and_never_a_guess():
    assert _increase([(0, 90.0), (60, 10.0)]) == (None, "0x80d60000")
    assert _increase([(0, 90.0), (60, 10.0)], counter_modulus=100.0) == (None, "0x80d60000")


def test_a_wrap_counts_on_where_it_is_plausible():
    known = {"counter_modulus": 10_000.0, "counter_rate_max": 5.0}
    assert _increase([(0, 9_900.0), (60, 100.0)], **known) == (200.0, "0x401")
    known["counter_rate_max"] = 3.0
    assert _increase([(0, 9_900.0), (60, 100.0)], **known) == (None, "0x80d60000")


def test_a_counter_that_is_known_to_start_anew_starts_anew():
    assert _increase([(0, 90.0), (60, 10.0)], counter_resets=True) == (10.0, "0x401")


def test_a_meter_that_was_replaced_goes_on_with_the_new_one():
    """15 on the old one since 90, 8 on the new one since 2."""
    found = _increase([(0, 90.0), (60, 10.0)], declared=[(30 * S, 105.0, 2.0)])
    assert found == (23.0, "0x401")


def test_intervals_add_up_to_the_window():
    rows = [(t * S, float(v)) for t, v in [(0, 0), (13, 40), (29, 95), (41, 12), (60, 30)]]
    known = {"counter_modulus": 100.0, "counter_rate_max": 4.0}
    whole = _ask(rows, (0, 60 * S), **known).columns["CounterIncrease"]
    for stepped in (False, True):
        parts = _ask(rows, (0, 60 * S), 7 * S, stepped=stepped, **known).columns["CounterIncrease"]
        assert parts.value.sum() == pytest.approx(whole.value[0]) == pytest.approx(130.0)


def test_the_rate_is_per_second_and_says_so():
    column = _ask([(0, 0.0), (60 * S, 30.0)], (0, 60 * S)).columns["CounterRate"]
    assert (pytest.approx(column.value[0]), column.eng_unit) == (0.5, "kWh/s")
