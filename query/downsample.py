"""Few real samples that draw the same line as all of them; for screens, not for statistics.

Per pixel column: the first, the lowest, the highest and the last usable sample, and one mark
where the line breaks. What a column keeps of its pieces is what it keeps of the whole, so a
column may be read in pieces.
"""

from dataclasses import dataclass

import numpy as np

from query.series import Signal
from query.triangles import largest_triangles
from storage_engine.sample import BoolArray, Int64Array

_KEPT_MAX = 5


@dataclass(frozen=True, slots=True)
class _Columns:
    """Rows of each pixel column that holds any: [first, behind)."""

    of_row: Int64Array
    first: Int64Array
    behind: Int64Array


def columns_of(signal: Signal, edges_ns: Int64Array) -> _Columns:
    """Rows per pixel column, of columns that hold any.

    Parameters
    ----------
    signal : Signal
        Samples with edges[0] <= time < edges[-1].
    edges_ns : int64, shape (pixels + 1,)
        Not decreasing.
    """
    pixel = np.searchsorted(edges_ns, signal.timestamp_ns, side="right") - 1
    begins = np.append(True, pixel[1:] != pixel[:-1]) if len(pixel) else np.empty(0, np.bool_)
    first = np.flatnonzero(begins)
    of_row = (np.cumsum(begins) - 1).astype(np.int64)
    return _Columns(of_row, first, np.append(first[1:], len(pixel)).astype(np.int64))


def candidates(signal: Signal, edges_ns: Int64Array, *, numeric: bool) -> Int64Array:
    """Rows worth keeping while a column is read in pieces; at most six per column, ascending.

    Parameters
    ----------
    signal : Signal
        A piece of the window.
    edges_ns : int64, shape (pixels + 1,)
        Edges of the pixel columns.
    numeric : bool
        There is a lowest and a highest.
    """
    return np.flatnonzero(_kept(signal, columns_of(signal, edges_ns), numeric=numeric))


def select(signal: Signal, edges_ns: Int64Array, *, numeric: bool) -> Int64Array:
    """Rows to draw, at most five per column, ascending.

    Where a column would need six, the first mark gives way to the one that ends the column's
    line: only that one is seen beyond the column.
    """
    columns = columns_of(signal, edges_ns)
    keep = _kept(signal, columns, numeric=numeric)
    if len(columns.first) == 0:
        return np.flatnonzero(keep)
    crowded = np.add.reduceat(keep.astype(np.int64), columns.first) > _KEPT_MAX
    marks = np.flatnonzero(keep & (signal.severity == 2))
    _, earliest = np.unique(columns.of_row[marks], return_index=True)
    first_marks = marks[earliest]
    keep[first_marks[crowded[columns.of_row[first_marks]]]] = False
    return np.flatnonzero(keep)


def select_extremes(
    signal: Signal, edges_ns: Int64Array, *, numeric: bool, breaks: bool = False
) -> Int64Array:
    """First, lowest, highest and last usable row of each column, ascending: M4.

    With ``breaks`` the first unusable row between two of them, too.

    References
    ----------
    U. Jugel et al., M4: A Visualization-Oriented Time Series Data Aggregation, VLDB 2014.
    """
    keep = _kept(signal, columns_of(signal, edges_ns), numeric=numeric)
    drawn = np.flatnonzero(keep & (signal.severity < 2))
    return (
        np.union1d(drawn, _between(drawn, np.flatnonzero(signal.severity == 2)))
        if breaks
        else drawn
    )


def select_triangles(signal: Signal, edges_ns: Int64Array) -> Int64Array:
    """About one usable row a column by the largest triangles, and marks.

    These are the first of each column, and the first between two rows that are drawn.
    """
    good, bad = np.flatnonzero(signal.severity < 2), np.flatnonzero(signal.severity == 2)
    count = max(2, len(edges_ns) - 1)
    drawn = good[largest_triangles(signal.timestamp_ns[good], signal.number[good], count)]
    columns = columns_of(signal, edges_ns)
    marks = bad[np.unique(columns.of_row[bad], return_index=True)[1]]
    return np.union1d(drawn, np.append(marks, _between(drawn, bad)))


def _between(drawn: Int64Array, bad: Int64Array) -> Int64Array:
    """Of the rows that break a line, the first of all, and the first behind each that is drawn."""
    place = np.searchsorted(bad, drawn)
    return np.union1d(bad[:1], bad[place[place < len(bad)]])


def _kept(signal: Signal, columns: _Columns, *, numeric: bool) -> BoolArray:
    keep = np.zeros(len(signal), dtype=np.bool_)
    if len(signal) == 0:
        return keep
    can = signal.severity < 2
    good, bad = np.flatnonzero(can), np.flatnonzero(~can)
    if len(good):
        column = columns.of_row[good]
        begins = np.flatnonzero(np.append(True, column[1:] != column[:-1]))
        keep[good[begins]] = True
        keep[good[np.append(begins[1:], len(good)) - 1]] = True
        sizes = np.diff(np.append(begins, len(good)))
        values = signal.native[good]
        for smaller in (np.minimum, np.maximum) if numeric else ():
            extreme = np.repeat(smaller.reduceat(values, begins), sizes)
            reached = np.flatnonzero(values == extreme)
            _, oldest = np.unique(column[reached], return_index=True)
            keep[good[reached[oldest]]] = True
    if len(bad):
        keep[bad[np.unique(columns.of_row[bad], return_index=True)[1]]] = True
        # The run of bad samples that ends a column begins right behind its last usable one.
        last_good = np.full(len(columns.first), -1, dtype=np.int64)
        last_good[columns.of_row[good]] = good
        ends_bad = ~can[columns.behind - 1] & (last_good >= 0)
        keep[last_good[ends_bad] + 1] = True
    return keep
