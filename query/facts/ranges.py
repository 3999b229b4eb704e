"""Folds over ranges of rows, which may overlap."""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from query.facts.rules import Windows
from storage_engine.sample import BoolArray, Int64Array

_T = TypeVar("_T", bound=np.generic)


def rows_of(times: Int64Array, windows: Windows) -> tuple[Int64Array, Int64Array]:
    """First row of each window, and the row behind its last."""
    return np.searchsorted(times, windows.start_ns), np.searchsorted(times, windows.end_ns)


def spread(first: Int64Array, behind: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Every row of every range: its range, and the row.

    Parameters
    ----------
    first, behind : int64, shape (m,)
        first <= row < behind.

    Returns
    -------
    pair of int64, shape (rows,)
        In order of ranges, ascending in each.
    """
    sizes = behind - first
    window = np.repeat(np.arange(len(first)), sizes)
    return window, np.arange(len(window)) + np.repeat(first - np.cumsum(sizes) + sizes, sizes)


def first_of_each(window: Int64Array, chosen: BoolArray, count: int) -> Int64Array:
    """Place of the first chosen row of each window in ``window``, which ascends; -1 for none."""
    place = np.flatnonzero(chosen)
    found = np.full(count, -1, dtype=np.int64)
    found[window[place[::-1]]] = place[::-1]
    return found


def sum_ranges(
    values: npt.NDArray[np.int64] | BoolArray, first: Int64Array, behind: Int64Array
) -> Int64Array:
    """Integer sums over row ranges; exact, so differences of running sums will do.

    Parameters
    ----------
    values : int64 or bool, shape (n,)
    first, behind : int64, shape (m,)
        first <= row < behind.

    Returns
    -------
    int64, shape (m,)
    """
    running = np.zeros(len(values) + 1, dtype=np.int64)
    np.cumsum(values, out=running[1:])
    behind = np.maximum(behind, first)
    return running[np.minimum(behind, len(values))] - running[np.minimum(first, len(values))]


def fold_ranges(
    function: np.ufunc, values: npt.NDArray[_T], first: Int64Array, behind: Int64Array
) -> npt.NDArray[_T]:
    """Fold row ranges, which may overlap; 0 where a range is empty.

    Parameters
    ----------
    function : ufunc
    values : array, shape (n,)
    first, behind : int64, shape (m,)
        first <= row < behind.

    Returns
    -------
    array, shape (m,)
        Of the dtype of ``values``.
    """
    result = np.zeros(len(first), dtype=values.dtype)
    filled = behind > first
    if filled.any():
        ranges = np.empty(2 * int(filled.sum()), dtype=np.int64)
        ranges[::2], ranges[1::2] = first[filled], behind[filled]
        # reduceat wants every index inside, also the end of the last range.
        result[filled] = function.reduceat(np.append(values, values[-1:]), ranges)[::2]
    return result


def overlaps_of(start_ns: Int64Array, end_ns: Int64Array) -> int:
    """How many of windows whose starts and ends both ascend share a moment at most."""
    if len(start_ns) == 0:
        return 0
    return int((np.searchsorted(start_ns, end_ns) - np.arange(len(start_ns))).max())
