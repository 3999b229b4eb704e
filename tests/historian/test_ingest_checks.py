"""ingest_checks.py: the fast checks say what a row-by-row reading of the rules says."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from historian.ingest_checks import TimeRange, check_slots, check_times, check_values, fit
from historian.ingest_receipts import Why
from storage_engine.sample import BAD, DTYPES, GOOD, UNCERTAIN, ColumnData, ValueType

F, N, U = ValueType.FLOAT64, ValueType.INT64, ValueType.UINT64
ROWS = st.lists(
    st.tuples(
        st.sampled_from([0.0, -0.0, 1.5, math.nan, math.inf]),
        st.sampled_from([GOOD, UNCERTAIN, BAD, 0x0000_0408, 0xC000_0000]),
        st.booleans(),
    ),
    min_size=1,
    max_size=20,
)


def value_rule(value: float, quality: int, valid: bool) -> Why:
    """Say it slowly."""
    good = quality >> 30 == 0
    if good and valid and math.isnan(value):
        return Why.NAN_BUT_GOOD
    return Why.NULL_BUT_GOOD if good and not valid else Why.STORED


@given(ROWS, st.booleans())
def test_values_are_judged_as_the_rule_says(
    rows: list[tuple[float, int, bool]], masked: bool
) -> None:
    """NaN and null need a quality that excuses them."""
    valid = np.array([row[2] or not masked for row in rows])
    column = ColumnData(F, np.array([row[0] for row in rows]), valid if masked else None)
    codes = check_values(column, np.array([row[1] for row in rows], np.uint32))

    want = [value_rule(v, q, ok or not masked) for v, q, ok in rows]
    assert want == ([Why.STORED] * len(rows) if codes is None else codes.tolist())


@given(st.lists(st.integers(0, 9), min_size=1, max_size=20))
def test_slots_are_judged_one_by_one(slots: list[int]) -> None:
    """Also those beyond the table."""
    types = np.array([F, N, 0, 255, 254], np.uint8)
    codes = check_slots(np.array(slots, np.uint32), types, F)

    rule = {0: Why.STORED, 1: Why.WRONG_TYPE, 3: Why.NO_TAG, 4: Why.WRONG_TYPE}
    want = [rule.get(slot, Why.UNKNOWN_SLOT) for slot in slots]
    assert want == ([Why.STORED] * len(slots) if codes is None else codes.tolist())


def test_both_ends_of_the_accepted_times_are_accepted() -> None:
    """A row exactly at ingest.time_min is not before it."""
    codes = check_times(np.array([9, 10, 20, 21], np.int64), TimeRange(10, 20))

    assert codes is not None
    assert [Why.TIME_TOO_OLD, 0, 0, Why.TIME_AHEAD] == codes.tolist()
    assert check_times(np.array([10, 20], np.int64), TimeRange(10, 20)) is None


NUMBERS = st.one_of(
    st.integers(-(2**63), 2**63 - 1).map(lambda v: (N, v)),
    st.integers(0, 2**64 - 1).map(lambda v: (U, v)),
    st.floats().map(lambda v: (F, v)),
    st.sampled_from([2**53, 2**53 + 1, -(2**53) - 1]).map(lambda v: (N, v)),
)


@given(NUMBERS, st.sampled_from([F, N, U]))
def test_a_number_is_brought_into_a_type_exactly_or_not_at_all(
    number: tuple[ValueType, Any], wanted: ValueType
) -> None:
    """Never return a value that was not written."""
    type_, value = number
    fitted = fit(ColumnData(type_, np.array([value], DTYPES[type_])), wanted)

    if fitted is None:
        assert type_ is F
        assert wanted in {N, U}
        return
    column, codes = fitted
    assert column.value.dtype == DTYPES[wanted]
    if codes is None or not codes[0]:
        got = column.value.tolist()[0]
        assert got == value or (math.isnan(got) and math.isnan(value))
    elif wanted is F:
        assert abs(value) > 2**53
    else:
        assert not (-(2**63) if wanted is N else 0) <= value < (2**63 if wanted is N else 2**64)


@pytest.mark.parametrize("wanted", [t for t in ValueType if t is not ValueType.BOOL])
def test_text_fits_only_where_text_is_held(wanted: ValueType) -> None:
    """Numbers in quotes are not numbers."""
    text = ColumnData(ValueType.TEXT, np.array(["1"], np.object_))

    assert (fit(text, wanted) is not None) == (wanted in {ValueType.TEXT, ValueType.SYMBOL})
