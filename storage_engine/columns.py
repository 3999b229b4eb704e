"""Rows as columns: cut, join, order, and the rule of revisions. Pure functions over numpy arrays.

A stamp is ``lsn * 2 + observed``, so that stamps order like lsns and carry the one bit that the
rule needs (docs/decisions/0003-revisions.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from storage_engine.sample import (
    DTYPES,
    AnyArray,
    BoolArray,
    ColumnData,
    Int64Array,
    UInt32Array,
    UInt64Array,
    ValueType,
)

IndexArray = npt.NDArray[np.intp]
Selection = slice | BoolArray | IndexArray

STRINGS = (ValueType.SYMBOL, ValueType.TEXT, ValueType.BYTES)


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one stream. A series has ``quality`` and one data column; events have ``event_id``.

    Attributes
    ----------
    timestamp_ns : int64, shape (n,)
    stamp : uint64, shape (n,)
        lsn * 2 + observed.
    quality : uint32, shape (n,), or None
    event_id : V16, shape (n,), or None
    data : tuple of ColumnData
    """

    timestamp_ns: Int64Array
    stamp: UInt64Array
    quality: UInt32Array | None
    event_id: npt.NDArray[np.void] | None
    data: tuple[ColumnData, ...]

    def __len__(self) -> int:
        return len(self.timestamp_ns)

    def take(self, where: Selection) -> "Rows":
        """Rows chosen by a slice, a mask or positions; a slice gives views.

        Parameters
        ----------
        where : slice, bool array or index array

        Returns
        -------
        Rows
        """
        return Rows(
            self.timestamp_ns[where],
            self.stamp[where],
            None if self.quality is None else self.quality[where],
            None if self.event_id is None else self.event_id[where],
            tuple(take_column(column, where) for column in self.data),
        )


def seal(rows: Rows) -> Rows:
    """Make the arrays read-only, because readers share them.

    Parameters
    ----------
    rows : Rows

    Returns
    -------
    Rows
        The same.
    """
    arrays: list[AnyArray | None] = [rows.timestamp_ns, rows.stamp, rows.quality, rows.event_id]
    for column in rows.data:
        arrays += [column.value, column.valid]
    for array in arrays:
        if array is not None:
            array.setflags(write=False)
    return rows


def take_column(column: ColumnData, where: Selection) -> ColumnData:
    """Rows of one column.

    Parameters
    ----------
    column : ColumnData
    where : slice, bool array or index array

    Returns
    -------
    ColumnData
    """
    valid = None if column.valid is None else column.valid[where]
    return ColumnData(column.type, column.value[where], valid)


def null_column(value_type: ValueType, rows: int) -> ColumnData:
    """Make a column without a value, for rows written before their stream grew it.

    Parameters
    ----------
    value_type : ValueType
    rows : int

    Returns
    -------
    ColumnData
    """
    fill: object = {ValueType.BYTES: b"", ValueType.TEXT: "", ValueType.SYMBOL: ""}.get(
        value_type, 0
    )
    value = np.full(rows, fill, DTYPES[value_type])
    return ColumnData(value_type, value, np.zeros(rows, np.bool_))


def join_columns(parts: Sequence[ColumnData]) -> ColumnData:
    """Concatenate columns of one type.

    Parameters
    ----------
    parts : sequence of ColumnData
        At least one.

    Returns
    -------
    ColumnData
    """
    if len(parts) == 1:
        return parts[0]
    value: AnyArray = np.concatenate([part.value for part in parts])
    if all(part.valid is None for part in parts):
        return ColumnData(parts[0].type, value)
    valid = np.concatenate(
        [np.ones(len(p), np.bool_) if p.valid is None else p.valid for p in parts]
    )
    return ColumnData(parts[0].type, value, valid)


def join_rows(parts: Sequence[Rows]) -> Rows:
    """Concatenate rows; columns missing at the end of a part read as null.

    Parameters
    ----------
    parts : sequence of Rows
        At least one, all series or all events.

    Returns
    -------
    Rows
    """
    if len(parts) == 1:
        return parts[0]
    widest = max(parts, key=lambda part: len(part.data)).data
    columns = [
        join_columns(
            [
                part.data[i] if i < len(part.data) else null_column(column.type, len(part))
                for part in parts
            ]
        )
        for i, column in enumerate(widest)
    ]
    qualities = [part.quality for part in parts if part.quality is not None]
    ids = [part.event_id for part in parts if part.event_id is not None]
    return Rows(
        np.concatenate([part.timestamp_ns for part in parts]),
        np.concatenate([part.stamp for part in parts]),
        np.concatenate(qualities) if qualities else None,
        np.concatenate(ids) if ids else None,
        tuple(columns),
    )


def bits_of(value: AnyArray) -> AnyArray:
    """Values as what equality must compare: floats as their bits, the rest as they are.

    Parameters
    ----------
    value : array, shape (n,)

    Returns
    -------
    array, shape (n,)
    """
    if value.dtype.kind == "f":
        return np.ascontiguousarray(value).view(f"u{value.dtype.itemsize}")
    return value


def sort_by_time(rows: Rows) -> Rows:
    """Rows in (time, stamp) order, stable, without copying what is in order already.

    Parameters
    ----------
    rows : Rows

    Returns
    -------
    Rows
    """
    time, stamp = rows.timestamp_ns, rows.stamp
    if len(rows) < 2:
        return rows
    rising = time[1:] > time[:-1]
    if rising.all() or bool((rising | ((time[1:] == time[:-1]) & (stamp[1:] >= stamp[:-1]))).all()):
        return rows
    return rows.take(np.lexsort((stamp, time)))
