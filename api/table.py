"""Columns of one answer, before anybody chose a form."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from storage_engine.sample import AnyArray, BoolArray, ColumnData, Int64Array

TimeForm = Literal["ns", "iso"]


@dataclass(frozen=True, slots=True)
class Table:
    """Columns of one answer, and what is said about all of them.

    Attributes
    ----------
    facts : mapping
        Plain values: tag, window, what the answer stands on. In JSON beside the columns, in Arrow
        in the schema's metadata.
    times : mapping of str to int64, shape (n,)
        Columns of nanoseconds UTC.
    columns : mapping of str to array or ColumnData, n rows
        Everything else.
    heads : mapping of str to array or ColumnData, n rows
        Columns that stand before the times: of what each row is.
    present : bool, shape (n,), or None
        Which rows have times; None: all.
    """

    facts: Mapping[str, Any]
    times: Mapping[str, Int64Array]
    columns: Mapping[str, AnyArray | ColumnData] = field(default_factory=dict)
    heads: Mapping[str, AnyArray | ColumnData] = field(default_factory=dict)
    present: BoolArray | None = None

    def __len__(self) -> int:
        for column in (*self.times.values(), *self.columns.values(), *self.heads.values()):
            return len(column)
        return 0

    def names(self) -> Iterator[str]:
        """Names of all columns, in their order."""
        yield from (*self.heads, *self.times, *self.columns)
