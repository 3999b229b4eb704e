"""Columns of samples put together: rows of several parts, values of several types."""

from collections.abc import Sequence

import numpy as np

from storage_engine.sample import (
    DTYPES,
    AnyArray,
    BoolArray,
    ColumnData,
    Int64Array,
    SampleColumns,
    ValueType,
)

NUMERIC = frozenset(
    {ValueType.FLOAT64, ValueType.FLOAT32, ValueType.INT64, ValueType.UINT64, ValueType.BOOL}
)


def join_columns(
    parts: Sequence[SampleColumns], order: Int64Array | None = None, *, numeric: bool = False
) -> SampleColumns:
    """Rows of all parts, one behind the other, or in ``order`` (row numbers over all parts)."""
    rows: Int64Array | slice = slice(None) if order is None else order
    value = join_values([part.value for part in parts], numeric=numeric)
    return SampleColumns(
        np.concatenate([part.timestamp_ns for part in parts])[rows],
        np.concatenate([part.quality for part in parts])[rows],
        ColumnData(
            value.type, value.value[rows], None if value.valid is None else value.valid[rows]
        ),
        np.concatenate([part.lsn for part in parts])[rows],
    )


def take_columns(columns: SampleColumns, rows: Int64Array | BoolArray | slice) -> SampleColumns:
    """Rows of ``columns``: by number, by mask, or a slice."""
    value = columns.value
    return SampleColumns(
        columns.timestamp_ns[rows],
        columns.quality[rows],
        ColumnData(
            value.type, value.value[rows], None if value.valid is None else value.valid[rows]
        ),
        columns.lsn[rows],
    )


def join_values(parts: Sequence[ColumnData], *, numeric: bool = False) -> ColumnData:
    """Columns of perhaps several types as one.

    One type stays. Numbers of several types become float64 where that is exact; anything else
    becomes text, so that no value is returned that was not written. With ``numeric``, for
    aggregates and drawings, several types always become float64, and what is no number null.
    """
    filled = [part for part in parts if len(part)] or [parts[0]]
    valid: BoolArray | None = None
    if any(part.valid is not None for part in filled):
        valid = np.concatenate([valid_of(part) for part in filled])
    # A part of nulls has no say in the type.
    types = {part.type for part in filled if valid_of(part).any()} or {filled[0].type}
    if len(types) == 1:
        type_ = types.pop()
        values = [
            part.value if part.type == type_ else np.zeros(len(part), dtype=DTYPES[type_])
            for part in filled
        ]
        return ColumnData(type_, np.concatenate(values), valid)
    if numeric and not types <= NUMERIC:
        valid = np.concatenate([valid_of(part) & (part.type in NUMERIC) for part in filled])
    if numeric or (types <= NUMERIC and all(_is_exact(part) for part in filled)):
        numbers = [
            part.value.astype(np.float64) if part.type in NUMERIC else np.zeros(len(part))
            for part in filled
        ]
        return ColumnData(ValueType.FLOAT64, np.concatenate(numbers), valid)
    texts = np.array([_text(v) for part in filled for v in part.objects()], dtype=np.object_)
    return ColumnData(ValueType.TEXT, texts, valid)


def as_doubles(part: ColumnData) -> ColumnData:
    """Give a column as float64, with nulls where its values are no numbers."""
    if part.type in NUMERIC:
        return ColumnData(ValueType.FLOAT64, part.value.astype(np.float64), part.valid)
    rows = len(part)
    return ColumnData(ValueType.FLOAT64, np.zeros(rows), np.zeros(rows, np.bool_))


def common_type(types: set[ValueType], default: ValueType) -> ValueType:
    """Type that values of several types have together: float64 for numbers, else text."""
    if len(types) <= 1:
        return next(iter(types), default)
    return ValueType.FLOAT64 if types <= NUMERIC else ValueType.TEXT


def as_values(values: AnyArray, type_: ValueType) -> AnyArray:
    """Values of perhaps several types as one type; text where it is one."""
    if type_ == ValueType.TEXT:
        return np.array([_text(v) for v in values.tolist()], dtype=np.object_)
    return values.astype(DTYPES[type_], copy=False)


def valid_of(column: ColumnData) -> BoolArray:
    """Mask of the rows that have a value."""
    return np.ones(len(column), dtype=np.bool_) if column.valid is None else column.valid


def _is_exact(part: ColumnData) -> bool:
    if part.type not in (ValueType.INT64, ValueType.UINT64):
        return True
    values = part.value[valid_of(part)].tolist()
    return not values or (max(values) <= 2**53 and min(values) >= -(2**53))


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value.hex()
    return str(value)
