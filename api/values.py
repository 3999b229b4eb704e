"""JSON values to typed, nullable columns: strict by row, so that one wrong value spoils no other.

JSON has no NaN, no infinities and, for many readers, no integers beyond 2**53. In both directions
we write what OPC 10000-6 writes: ``"NaN"``, ``"Infinity"``, ``"-Infinity"``, and such integers as
strings of digits.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from api.errors import ApiError
from storage_engine.sample import DTYPES, BoolArray, ColumnData, Int64Array, ValueType

SPECIAL_FLOATS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
EXACT_INTEGER_MAX = 2**53
# Tuples: a member is found by identity, while a set would hash the enum in Python.
FLOATS = (ValueType.FLOAT64, ValueType.FLOAT32)
INTEGERS = (ValueType.INT64, ValueType.UINT64)
STRINGS = (ValueType.SYMBOL, ValueType.TEXT)
_BOUNDS = {ValueType.INT64: (-(2**63), 2**63 - 1), ValueType.UINT64: (0, 2**64 - 1)}
_DIGITS = re.compile(r"-?\d{1,20}", re.ASCII)
_SCALARS = (int, float, bool, str, type(None))


@dataclass(frozen=True, slots=True)
class Typed:
    """Part of a column that has one type.

    Attributes
    ----------
    rows : int64, shape (n,), or None
        Which rows of the sent list these are; None: all, in order.
    data : ColumnData, n rows
        Their values.
    """

    rows: Int64Array | None
    data: ColumnData


def column_parts(values: Sequence[object], wanted: ValueType | None, where: str) -> list[Typed]:
    """Values of one column, in the wanted type where they fit and in their own where not.

    Parameters
    ----------
    values : sequence, n items
        Scalars of a JSON list.
    wanted : ValueType or None
        Type of the tag or column; None when it is not known: the values' own type.
    where : str
        Path of the list in the body, for the error.

    Returns
    -------
    list of Typed
        One item when every value fits. Rows that do not fit follow in parts of their own type, so
        that ingest can reject and count them beside their stored neighbours.

    Raises
    ------
    ApiError
        ``invalid_value`` (400) for a list or an object where a scalar belongs.
    """
    kinds = set(map(type, values))
    if not kinds <= set(_SCALARS):
        row = next(i for i, v in enumerate(values) if type(v) not in _SCALARS)
        raise ApiError(
            400,
            "invalid_value",
            "cannot take value",
            got=type(values[row]).__name__,
            want="number, string, true, false or null",
            where=f"{where}[{row}]",
        )
    if wanted is None:
        wanted = natural_type(kinds)
    whole = plain_column(values, kinds, wanted)
    if whole is not None:
        return [Typed(None, whole)]
    return _by_row(values, wanted)


def natural_type(kinds: set[type]) -> ValueType:
    """Type of a column of which nothing but the Python types of its values is known."""
    for kind, type_ in (
        (str, ValueType.SYMBOL),
        (float, ValueType.FLOAT64),
        (int, ValueType.INT64),
    ):
        if kind in kinds:
            return type_
    return ValueType.BOOL if bool in kinds else ValueType.FLOAT64


def plain_column(
    values: Sequence[object], kinds: set[type], wanted: ValueType
) -> ColumnData | None:
    """Convert a column of which every value or null fits by its Python type; else None.

    Parameters
    ----------
    values : sequence, n items
        Scalars.
    kinds : set of type
        Their Python types.
    wanted : ValueType
        Type of the result.

    Returns
    -------
    ColumnData or None
    """
    valid: BoolArray | None = None
    if type(None) in kinds:
        valid = np.array([v is not None for v in values], dtype=np.bool_)
        kinds = kinds - {type(None)}
        empty: object = "" if wanted in STRINGS else 0
        values = [empty if v is None else v for v in values]
    allowed: set[type] = (
        {int, float}
        if wanted in FLOATS
        else {int}
        if wanted in INTEGERS
        else {bool}
        if wanted == ValueType.BOOL
        else {str}
        if wanted in STRINGS
        else set()
    )
    if not kinds <= allowed:
        return None
    # A 32-bit tag is given what was sent; ingest rounds it, or rejects what overflows.
    type_ = ValueType.FLOAT64 if wanted in FLOATS else wanted
    try:
        column = np.array(values, dtype=DTYPES[type_])
    except OverflowError:
        return None  # beyond the bounds of an integer type: row by row tells which
    if wanted in FLOATS and _rounds(values, column):
        return None
    return ColumnData(type_, column, valid)


def _rounds(values: Sequence[object], column: npt.NDArray[np.float64]) -> bool:
    """Whether an integer among the values may not be held exactly by a double."""
    large = np.flatnonzero(np.abs(column) >= EXACT_INTEGER_MAX)
    return any(type(values[row]) is int for row in large.tolist())


def _fits(wanted: ValueType) -> Callable[[object], object]:
    """Return the conversion of one value; it raises ValueError for a value that does not fit."""

    def as_float(value: object) -> object:
        if type(value) is float or (type(value) is int and abs(value) <= EXACT_INTEGER_MAX):
            return value
        if isinstance(value, str) and value in SPECIAL_FLOATS:
            return SPECIAL_FLOATS[value]
        raise ValueError

    def as_integer(value: object) -> object:
        if isinstance(value, str) and _DIGITS.fullmatch(value):
            value = int(value)
        low, high = _BOUNDS[wanted]
        if type(value) is int and low <= value <= high:
            return value
        raise ValueError

    def as_kind(kind: type) -> Callable[[object], object]:
        def convert(value: object) -> object:
            if type(value) is kind:
                return value
            raise ValueError

        return convert

    if wanted in FLOATS:
        return as_float
    if wanted in INTEGERS:
        return as_integer
    return as_kind(bool if wanted == ValueType.BOOL else str)


def _by_row(values: Sequence[object], wanted: ValueType) -> list[Typed]:
    convert = _fits(wanted)
    good_rows: list[int] = []
    good: list[object] = []
    other: dict[ValueType, list[int]] = {}
    for row, value in enumerate(values):
        try:
            good.append(None if value is None else convert(value))
            good_rows.append(row)
        except ValueError:
            other.setdefault(_own_type(value), []).append(row)
    parts = []
    if good:
        data = nullable(good, ValueType.FLOAT64 if wanted in FLOATS else wanted)
        parts.append(Typed(np.array(good_rows, dtype=np.int64) if other else None, data))
    for type_, rows in other.items():
        data = nullable([values[row] for row in rows], type_)
        parts.append(Typed(np.array(rows, dtype=np.int64), data))
    return parts


def _own_type(value: object) -> ValueType:
    if type(value) is int:
        return ValueType.INT64 if value < 2**63 else ValueType.UINT64
    return natural_type({type(value)})


def nullable(values: Sequence[object], type_: ValueType) -> ColumnData:
    """Build a column of values that are known to fit; None becomes null.

    Parameters
    ----------
    values : sequence, n items
        Python values of the type, or None.
    type_ : ValueType
        Type of the result.

    Returns
    -------
    ColumnData
    """
    empty: object = {ValueType.BYTES: b""}.get(type_, "" if type_ in STRINGS else 0)
    filled = [empty if v is None else v for v in values]
    valid = np.array([v is not None for v in values], dtype=np.bool_)
    data = np.array(filled, dtype=DTYPES[type_])
    return ColumnData(type_, data, None if bool(valid.all()) else valid)
