"""Windows of many series whose rows lie in heads alone, read at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from storage_engine.head_chains import Chains, HeadRows
from storage_engine.newest import values_of
from storage_engine.sample import BoolArray, ColumnData, Int64Array, SampleColumns, ValueType


@dataclass(frozen=True, slots=True)
class Asked:
    """Series and a window.

    Attributes
    ----------
    types : sequence of ValueType, n entries
    alone : bool, shape (n,)
        No other place than heads has rows of the series in the window, and nothing hides any.
    start_ns, end_ns : int
        start <= time < end.
    """

    types: Sequence[ValueType]
    alone: BoolArray
    start_ns: int
    end_ns: int


def read_recent(heads: Sequence[Chains], asked: Asked) -> list[SampleColumns | None]:
    """Samples of each series, ascending.

    Parameters
    ----------
    heads : sequence of Chains
        Of all series, oldest head first.
    asked : Asked

    Returns
    -------
    list
        None where only a read of the series itself can tell: it is not alone in the heads, or its
        rows came late or more than once.
    """
    parts = [head.rows_between(asked.start_ns, asked.end_ns) for head in heads]
    rows = _joined(parts)
    count = len(asked.types)
    first = np.searchsorted(rows.owner, np.arange(count + 1))
    told = asked.alone & ~_disordered(rows, count)
    lsn = rows.stamp >> np.uint64(1)
    found: list[SampleColumns | None] = [None] * count
    whole = not rows.missing.any()
    places = np.flatnonzero(told).tolist()
    values = {type_: values_of(type_, rows.cell, []) for type_ in {asked.types[p] for p in places}}
    edges = first.tolist()
    for place in places:
        cut = slice(edges[place], edges[place + 1])
        type_ = asked.types[place]
        valid = None if whole or not rows.missing[cut].any() else rows.missing[cut] == 0
        found[place] = SampleColumns(
            rows.time[cut],
            rows.quality[cut],
            ColumnData(type_, values[type_][cut], valid),
            lsn[cut],
        )
    return found


def _joined(parts: Sequence[HeadRows]) -> HeadRows:
    """Rows of all heads by series, in order of arrival."""
    filled = [part for part in parts if len(part.owner)] or parts[:1]
    if len(filled) == 1:
        return filled[0]
    columns = [np.concatenate(column) for column in zip(*filled, strict=True)]
    order = np.argsort(columns[0], kind="stable")
    return HeadRows(*(column[order] for column in columns))


def _disordered(rows: HeadRows, count: int) -> BoolArray:
    """Series of which a row is not later than the one that came before it."""
    wrong = np.zeros(count, np.bool_)
    behind = (rows.owner[1:] == rows.owner[:-1]) & (rows.time[1:] <= rows.time[:-1])
    wrong[rows.owner[1:][behind]] = True
    return wrong


def touched(first_ns: Int64Array, last_ns: Int64Array, start_ns: int, end_ns: int) -> bool:
    """Whether any of some runs reaches into [start, end)."""
    return bool(((first_ns < end_ns) & (last_ns >= start_ns)).any())
