"""Which rows may be stored: vectorised checks of a section, pure. Good input costs a few passes.

Codes are ``ingest_receipts.Why`` as uint8, one per row; None means that every row passes.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from historian.ingest_receipts import Why
from storage_engine.sample import DTYPES, ColumnData, Int64Array, UInt32Array, ValueType

Codes = npt.NDArray[np.uint8]
_FLOATS = frozenset({ValueType.FLOAT64, ValueType.FLOAT32})
_EXACT_BITS = {ValueType.FLOAT64: 53, ValueType.FLOAT32: 24}


@dataclass(frozen=True, slots=True)
class TimeRange:
    """Times that are accepted: both ends included, nanoseconds UTC."""

    min_ns: int
    max_ns: int

    def holds(self, low_ns: int, high_ns: int) -> bool:
        """Whether everything from ``low_ns`` to ``high_ns`` is accepted."""
        return self.min_ns <= low_ns and high_ns <= self.max_ns


def check_slots(slot: UInt32Array, types: Codes, type_: ValueType) -> Codes | None:
    """Whether each row's slot is bound to a series of the section's type.

    Parameters
    ----------
    slot : uint32, shape (n,)
        Slots of the rows.
    types : uint8, shape (slots,)
        ValueType per bound slot; 0 not declared, 255 declared but without a tag.
    type_ : ValueType
        Type of the section.
    """
    if int(slot.max()) < len(types):
        bound = types[slot]
    else:
        bound = np.where(slot < len(types), types[np.minimum(slot, len(types) - 1)], 0)
    if (bound == type_).all():
        return None
    codes = np.full(len(slot), Why.WRONG_TYPE, np.uint8)
    codes[bound == type_] = Why.STORED
    codes[bound == 0] = Why.UNKNOWN_SLOT
    codes[bound == 255] = Why.NO_TAG
    return codes


def check_times(timestamp_ns: Int64Array, accepted: TimeRange) -> Codes | None:
    """Whether each time is plausible."""
    early = timestamp_ns < accepted.min_ns
    late = timestamp_ns > accepted.max_ns
    if not (early.any() or late.any()):
        return None
    codes = np.zeros(len(timestamp_ns), np.uint8)
    codes[early] = Why.TIME_TOO_OLD
    codes[late] = Why.TIME_AHEAD
    return codes


def check_values(value: ColumnData, quality: UInt32Array) -> Codes | None:
    """Whether what is called good has a value that is a number.

    Parameters
    ----------
    value : ColumnData
        n rows.
    quality : uint32, shape (n,)
        OPC UA status codes.
    """
    codes: Codes | None = None
    if value.type in _FLOATS:
        nan = np.isnan(value.value)
        if nan.any():
            nan &= quality < 0x4000_0000
            if value.valid is not None:
                nan &= value.valid
            if nan.any():
                codes = np.where(nan, np.uint8(Why.NAN_BUT_GOOD), np.uint8(0))
    if value.valid is not None:
        empty = ~value.valid & (quality < 0x4000_0000)
        if empty.any():
            nulls = np.where(empty, np.uint8(Why.NULL_BUT_GOOD), np.uint8(0))
            codes = merge(codes, nulls)
    return codes


def merge(first: Codes | None, second: Codes | None) -> Codes | None:
    """Join two verdicts over the same rows; the first that rejects a row is kept."""
    if first is None or second is None:
        return second if first is None else first
    return np.where(first != 0, first, second)


def fit(value: ColumnData, type_: ValueType) -> tuple[ColumnData, Codes | None] | None:
    """Bring a column into a tag's type without changing what it says.

    Integers become floats where that is exact; float64 is rounded to float32, because the tag
    says so; text becomes symbols; a column without any value takes every type.

    Parameters
    ----------
    value : ColumnData
        n rows.
    type_ : ValueType
        Type of the tag.

    Returns
    -------
    (ColumnData, codes) or None
        The column in the tag's type with a verdict per row; None when the types do not fit.
    """
    if value.type is type_:
        return value, None
    if value.valid is not None and not value.valid.any():
        return _nulls(len(value), type_), None
    pair = (value.type, type_)
    integers = value.type in {ValueType.INT64, ValueType.UINT64}
    if pair == (ValueType.TEXT, ValueType.SYMBOL):
        return ColumnData(type_, value.value, value.valid), None
    if integers and type_ in _FLOATS:
        limit = 1 << _EXACT_BITS[type_]
        numbers = value.value
        outside = numbers > limit  # type: ignore[operator]
        if value.type is ValueType.INT64:
            outside |= numbers < -limit  # type: ignore[operator]
        return _cast(value, type_, np.asarray(outside, np.bool_))
    if pair == (ValueType.INT64, ValueType.UINT64):
        return _cast(value, type_, np.asarray(value.value < 0, np.bool_))  # type: ignore[operator]
    if pair == (ValueType.UINT64, ValueType.INT64):
        outside = np.asarray(value.value > np.uint64((1 << 63) - 1), np.bool_)
        return _cast(value, type_, outside)
    if value.type in _FLOATS and type_ in _FLOATS:
        with np.errstate(over="ignore"):
            cast = value.value.astype(np.float32 if type_ is ValueType.FLOAT32 else np.float64)
        overflow = np.isinf(cast) & ~np.isinf(value.value)
        return _cast(value, type_, overflow)
    return None


def _cast(
    value: ColumnData, type_: ValueType, outside: npt.NDArray[np.bool_]
) -> tuple[ColumnData, Codes | None]:
    dtype = DTYPES[type_]
    if value.valid is not None:
        outside = outside & value.valid
    codes = None
    if outside.any():
        codes = np.where(outside, np.uint8(Why.INEXACT), np.uint8(0))
    with np.errstate(over="ignore"):
        return ColumnData(type_, value.value.astype(dtype), value.valid), codes


def _nulls(count: int, type_: ValueType) -> ColumnData:
    """Return a column without any value."""
    dtype = DTYPES[type_]
    empty = np.empty(count, dtype) if dtype == np.object_ else np.zeros(count, dtype)
    if dtype == np.object_:
        empty[:] = b"" if type_ is ValueType.BYTES else ""
    return ColumnData(type_, empty, np.zeros(count, np.bool_))
