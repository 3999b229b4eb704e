"""values.py: a value fits its tag exactly, or goes beside it in its own type to be rejected."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.encoding import decode, encode
from api.errors import ApiError
from api.serialize import values_json
from api.values import column_parts
from storage_engine.sample import ColumnData, ValueType

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=4),
    st.sampled_from(["NaN", "Infinity", "-Infinity", "12", "-7", "18446744073709551615"]),
)
WANTED = [
    ValueType.FLOAT64,
    ValueType.INT64,
    ValueType.UINT64,
    ValueType.BOOL,
    ValueType.SYMBOL,
    None,
]


def as_sent(value, type_):
    """The exact value that a JSON value stands for in a column of this type."""
    if type_ is ValueType.FLOAT64 and isinstance(value, str):
        return {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}[value]
    if type_ in (ValueType.INT64, ValueType.UINT64) and isinstance(value, str):
        return int(value)
    return value


def same(a, b):
    return repr(float(a)) == repr(float(b)) if isinstance(a, float) else a == b


@given(st.lists(SCALARS, max_size=12), st.sampled_from(WANTED))
def test_every_row_is_in_exactly_one_part_with_its_exact_value(values, wanted):
    """Nothing is rounded, cut or guessed; nothing disappears."""
    seen = {}
    for part in column_parts(values, wanted, "value"):
        rows = range(len(values)) if part.rows is None else part.rows.tolist()
        for row, value in zip(rows, part.data.objects(), strict=True):
            assert row not in seen
            seen[row] = value
            assert same(as_sent(values[row], part.data.type), value), (values[row], value)

    assert set(range(len(values))) == set(seen)


@given(st.lists(SCALARS, max_size=12), st.sampled_from(WANTED))
def test_the_first_part_has_the_wanted_type_when_any_row_fits(values, wanted):
    """A null fits every type."""
    parts = column_parts(values, wanted, "value")

    if wanted is not None and None in values:
        assert wanted == parts[0].data.type


def test_a_large_integer_among_floats_is_not_rounded():
    """2**53 + 1 has no double: it must not be stored as its neighbour."""
    floats, integers = column_parts([0.5, 2**53 + 1], ValueType.FLOAT64, "value")

    assert [0.5] == floats.data.objects()
    assert (ValueType.INT64, [2**53 + 1]) == (integers.data.type, integers.data.objects())
    assert [1] == integers.rows.tolist()


@pytest.mark.parametrize("value", [[1], {"a": 1}])
def test_structure_where_a_scalar_belongs_is_refused_with_its_place(value):
    """There is no type to reject it with."""
    with pytest.raises(ApiError) as refused:
        column_parts([1.0, value], ValueType.FLOAT64, "series[0].value")

    assert "series[0].value[1]" == refused.value.where


FLOATS = st.lists(st.one_of(st.none(), st.floats()), max_size=20)


@given(FLOATS)
def test_floats_go_out_and_come_back(values):
    """NaN, infinities, negative zero, null: JSON loses none of them."""
    valid = np.array([v is not None for v in values], dtype=bool)
    data = ColumnData(
        ValueType.FLOAT64, np.array([0.0 if v is None else v for v in values], dtype=float), valid
    )

    back = decode(encode(values_json(data)))

    for sent, got in zip(values, back, strict=True):
        if sent is None:
            assert got is None
        else:
            assert repr(as_sent(got, ValueType.FLOAT64)) == repr(sent)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20))
def test_integers_go_out_so_that_a_double_cannot_round_them(values):
    """Beyond 2**53 - 1 they are strings; a reader that knows only doubles loses nothing."""
    data = ColumnData(ValueType.INT64, np.array(values, dtype=np.int64))

    back = decode(encode(values_json(data)))

    assert values == [int(v) for v in back]
    assert all(isinstance(v, str) == (abs(int(v)) > 2**53 - 1) for v in back)


def test_a_32_bit_float_is_written_with_its_own_digits():
    """0.1 stays 0.1, with and without nulls beside it."""
    value = np.array([0.1, np.nan], dtype=np.float32)

    assert [0.1, "NaN"] == decode(encode(values_json(ColumnData(ValueType.FLOAT32, value))))
    assert [0.1] == decode(encode(values_json(ColumnData(ValueType.FLOAT32, value[:1]))))
