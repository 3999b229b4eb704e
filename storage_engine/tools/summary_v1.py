"""Summaries of runs as segments of version 1 have them, to check these by."""

import numpy as np
import numpy.typing as npt

from storage_engine.columns import STRINGS, Rows
from storage_engine.newest import cells_of
from storage_engine.sample import BoolArray, ColumnData, Int64Array, severity
from storage_engine.table import Table

_NS_PER_S = 1e9


def summarize(rows: Rows, starts: npt.NDArray[np.intp]) -> Table:
    """Summary columns of the runs of one block.

    Parameters
    ----------
    rows : Rows
        Ordered by (stream, time, stamp) within each run.
    starts : intp, shape (r,)
        First row of each run; the first is 0.

    Returns
    -------
    dict of str to array, shape (r,)
        The ``run_*`` arrays of docs/format/segment.md that depend on values.
    """
    ends = np.append(starts[1:], len(rows)) - 1
    time = rows.timestamp_ns
    rising = np.append(time[1:] > time[:-1], True)
    rising[ends] = True
    table: Table = {
        "run_first": np.minimum.reduceat(time, starts),
        "run_last": np.maximum.reduceat(time, starts),
        "run_stamp_min": np.minimum.reduceat(rows.stamp, starts),
        "run_stamp_max": np.maximum.reduceat(rows.stamp, starts),
        "run_flags": np.logical_and.reduceat(rising, starts).astype(np.uint8),
    }
    runs = len(starts)
    table |= {name: np.zeros(runs, np.float64) for name in ("run_sum", "run_stepped", "run_sloped")}
    table |= {
        "run_good": np.zeros(runs, np.uint32),
        "run_minimum": np.zeros(runs, np.uint64),
        "run_maximum": np.zeros(runs, np.uint64),
        "run_covered_ns": np.zeros(runs, np.int64),
    }
    if rows.quality is None:
        return table
    column = rows.data[0]
    good: BoolArray = severity(rows.quality) == 0
    if column.valid is not None:
        good &= column.valid
    table["run_good"] = np.add.reduceat(good.astype(np.uint32), starts, dtype=np.uint32)
    if column.type not in STRINGS:
        _numbers(table, column, good, starts)
        with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
            wide = column.value.astype(np.float64)
        _integrals(table, time, wide, good, starts)
    return table


def _numbers(
    table: Table,
    column: ColumnData,
    good: BoolArray,
    starts: npt.NDArray[np.intp],
) -> None:
    value = column.value
    ranked = good & ~np.isnan(value) if value.dtype.kind == "f" else good
    if value.dtype.kind == "f":
        low, high = np.array([np.inf, -np.inf], value.dtype)
    elif value.dtype.kind == "b":
        low, high = np.array([True, False])
    else:
        limits = np.iinfo(np.dtype(value.dtype.str))
        low, high = np.array([limits.max, limits.min], value.dtype)
    some = np.logical_or.reduceat(ranked, starts)
    for name, fold, rest in (
        ("run_minimum", np.minimum, low),
        ("run_maximum", np.maximum, high),
    ):
        extreme = fold.reduceat(np.where(ranked, value, rest), starts)
        table[name] = np.where(some, cells_of(column.type, extreme), np.uint64(0))
    with np.errstate(all="ignore"):
        table["run_sum"] = np.add.reduceat(np.where(ranked, value, 0).astype(np.float64), starts)


def _integrals(
    table: Table,
    time: Int64Array,
    value: npt.NDArray[np.float64],
    good: BoolArray,
    starts: npt.NDArray[np.intp],
) -> None:
    """Integrals between neighbours of one run that are both good."""
    both = np.zeros(len(time), np.bool_)
    both[:-1] = good[1:] & good[:-1]
    both[starts[1:] - 1] = False  # no step from one run to the next
    span = np.zeros(len(time), np.int64)
    span[:-1] = np.where(both[:-1], time[1:] - time[:-1], 0)
    with np.errstate(all="ignore"):
        seconds = span / _NS_PER_S
        held = np.where(both, value, 0.0) * seconds
        after = np.append(value[1:], 0.0)
        sloped = np.where(both, (value + after) / 2, 0.0) * seconds
        table["run_stepped"] = np.add.reduceat(held, starts)
        table["run_sloped"] = np.add.reduceat(sloped, starts)
    table["run_covered_ns"] = np.add.reduceat(span, starts)
