"""Summaries of the runs of a block: what a zoomed-out answer reads instead of samples.

A run of fewer than 64 rows tells counts, extremes and ends, and no sums: these would take more room
than its rows, which are read as quickly.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from storage_engine.columns import Rows
from storage_engine.fold import FoldColumns
from storage_engine.fold_state import (
    CODE,
    COUNTS,
    DURATIONS,
    EVERY_SUM,
    FEW,
    FOLD_TYPES,
    NOTHING,
    STATE,
    SUMS,
)
from storage_engine.sample import AnyArray, ColumnData, Int64Array
from storage_engine.table import Table

VECTOR_ROWS = 1024
SUMMED_ROWS = 64  # a run of fewer rows has no sums
_PARTS = ("", "_middle", "_low")
# Array of the directory, its dtype, and the field of a fold state that it holds.
RUN_FIELDS = (
    *((f"run_{name}", "<u4", name) for name in COUNTS[1:]),
    *((f"run_{name}", "<u8", name) for name in ("minimum", "maximum", "first_good", "last_good")),
    *((f"run_{name}_value", "<u8", name) for name in ("first", "last")),
    *((f"run_{name}_time", "<i8", f"{name}_time") for name in ("minimum", "maximum")),
    *((f"run_{name}_time", "<i8", f"{name}_time") for name in ("first_good", "last_good")),
    *((f"run_{name}_quality", "<u4", f"{name}_quality") for name in ("first", "last")),
    *((f"run_{name}", "<i8", name) for name in ("covered_ns", "resets", "transitions")),
    ("run_ends", "u1", "flags"),
    ("run_exact", "u1", "exact"),
)
_SUM_FIELDS = (
    ("run_sum", "sum"),
    ("run_squares", "squares"),
    ("run_stepped_ns", "stepped"),
    ("run_forward_ns", "forward"),
    ("run_increase", "increase"),
)


@dataclass(frozen=True, slots=True)
class BlockSummary:
    """What is told of the rows of one block.

    Attributes
    ----------
    bounds : dict of str to array, shape (r,)
        First and last time and stamp of each run and its flags, by their names in the directory.
    states : fold_state.STATE, shape (r,)
        What :func:`run_columns` makes the other ``run_*`` arrays of.
    vectors : FoldColumns
        States of the vectors: rows 1024 k and on of the block, cut where a run ends.
    owner : int64, shape (v,)
        Number of the run that a vector is of, ascending.
    """

    bounds: Table
    states: npt.NDArray[Any]
    vectors: FoldColumns
    owner: Int64Array

    def columns(self) -> Table:
        """The ``run_*`` arrays of docs/format/segment.md that depend on rows."""
        return self.bounds | run_columns(self.states)


def summarize(rows: Rows, starts: npt.NDArray[np.intp]) -> Table:
    """Summary columns of the runs of one block; as :func:`summarize_block`."""
    return summarize_block(rows, starts).columns()


def summarize_block(rows: Rows, starts: npt.NDArray[np.intp]) -> BlockSummary:
    """Summarise the runs of one block and their vectors.

    Parameters
    ----------
    rows : Rows
        Ordered by (stream, time, stamp) within each run.
    starts : intp, shape (r,)
        First row of each run; the first is 0.

    Returns
    -------
    BlockSummary
    """
    ends = np.append(starts[1:], len(rows))
    time = rows.timestamp_ns
    rising = np.append(time[1:] > time[:-1], True)
    rising[ends - 1] = True
    table: Table = {
        "run_first": time[starts],
        "run_last": time[ends - 1],
        "run_stamp_min": np.minimum.reduceat(rows.stamp, starts),
        "run_stamp_max": np.maximum.reduceat(rows.stamp, starts),
        "run_flags": np.logical_and.reduceat(rising, starts).astype(np.uint8),
    }
    cuts = np.union1d(starts, np.arange(0, len(rows), VECTOR_ROWS)).astype(np.int64)
    owner = np.searchsorted(starts, cuts, "right").astype(np.int64) - 1
    if rows.quality is None:
        states = np.zeros(len(starts), STATE)
        return BlockSummary(table, states, FoldColumns(NOTHING, states[:0]), owner)
    summed = (ends - starts >= SUMMED_ROWS)[owner]
    column = rows.data[0]
    kind = FOLD_TYPES[column.type]
    bits = EVERY_SUM | DURATIONS | (FEW if kind < CODE else 0)
    vectors = FoldColumns.fold(
        kind,
        np.ascontiguousarray(time),
        fold_cells(column),
        np.ascontiguousarray(rows.quality),
        None if column.valid is None else np.ascontiguousarray(column.valid),
        np.append(cuts, len(rows)),
        wanted=np.where(summed | (kind == CODE), np.uint8(bits), np.uint8(0)),
    )
    runs = vectors.merge(np.searchsorted(owner, np.arange(len(starts))))
    return BlockSummary(table, runs.table, vectors, owner)


def fold_cells(column: ColumnData) -> AnyArray | None:
    """Values as they are folded: numbers as they are, symbols as codes, other strings not at all.

    Parameters
    ----------
    column : ColumnData, n rows

    Returns
    -------
    array, shape (n,), or None
        The code of a symbol is the first 8 bytes of blake2b of its text.
    """
    kind = FOLD_TYPES[column.type]
    if kind == NOTHING:
        return None
    if kind != CODE:
        return np.ascontiguousarray(column.value)
    texts = column.value.tolist()
    codes = {text: symbol_code(text) for text in set(texts)}
    return np.array([codes[text] for text in texts], np.uint64)


def symbol_code(text: str | None) -> int:
    """Cell of a symbol: the first 8 bytes of blake2b of it, little-endian; None is as empty."""
    plain = (text or "").encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(plain, digest_size=8).digest(), "little")


def run_columns(states: npt.NDArray[Any]) -> Table:
    """Arrays of the directory that hold fold states.

    Parameters
    ----------
    states : fold_state.STATE, shape (r,)

    Returns
    -------
    dict of str to array, shape (r,)
    """
    table: Table = {name: states[of].astype(dtype) for name, dtype, of in RUN_FIELDS}
    table["run_exact"] &= np.uint8(EVERY_SUM)  # durations lie in pyramids alone
    for k, (name, of) in enumerate(_SUM_FIELDS):
        held = (states["exact"] >> k & 1).astype(np.bool_)
        for part, suffix in enumerate(_PARTS):
            table[name + suffix] = np.where(held, states[of][:, part], 0.0)
    return table


def run_states(table: Table, where: slice) -> npt.NDArray[Any] | None:
    """Fold states of runs, by their directory.

    Parameters
    ----------
    table : dict of str to array
        A directory.
    where : slice
        Rows of its run arrays.

    Returns
    -------
    fold_state.STATE, shape (r,), or None
        None: a segment of version 1, which does not tell. A sum whose ``exact`` bit is not set is
        not known.
    """
    if "run_exact" not in table:
        return None
    states = np.zeros(len(table["run_stream"][where]), STATE)
    states["rows"] = table["run_rows"][where]
    states["first_time"], states["last_time"] = table["run_first"][where], table["run_last"][where]
    for name, _, of in RUN_FIELDS:
        states[of] = table[name][where]
    states["exact"] &= EVERY_SUM
    for k, (name, of) in enumerate(_SUM_FIELDS):
        assert of == SUMS[k], "the bits of exact are in this order"
        for part, suffix in enumerate(_PARTS):
            states[of][:, part] = table[name + suffix][where]
    return states
