"""Folds of the engine as query wants them: fold states become plain columns."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import numpy as np

from query.ports import FoldedWindows
from storage_engine.engine import Engine
from storage_engine.fold_reads import Folded
from storage_engine.fold_state import FIRST_VALID, LAST_VALID, TIMES
from storage_engine.sample import BoolArray, Int64Array

_CELLS = {0: "<f8", 1: "<f4", 2: "<i8", 3: "<u8", 4: "?"}  # by code of fold_state.FOLD_TYPES
_NARROW = {1: "<u4", 4: "u1"}
_COUNTS = ("good", "uncertain", "bad", "transitions")
_SUMS = {
    "sum": ("sum",),
    "moments": ("sum", "squares"),
    "area": ("stepped", "forward"),
    "transitions": ("increase",),
}
_RESULTS = {"sum": ("sum",), "moments": ("mean", "variance"), "area": ("stepped", "sloped")}


def fold_windows(
    engine: Engine,
    series_id: int,
    edges_ns: Int64Array,
    wanted: Collection[str],
    *,
    known_at_lsn: int | None = None,
) -> FoldedWindows | None:
    """As ``query.ports.SampleReader.fold``, from an engine."""
    if engine.keeps_all((series_id,)):
        return None
    zero = "zero" in wanted
    found = engine.fold(
        (series_id,),
        edges_ns,
        sums=sorted({name for kind in wanted for name in _SUMS.get(kind, ())}),
        durations=zero,
        known_at_lsn=known_at_lsn,
    )
    columns = folded_columns(found, wanted)
    if columns is None or "ties" not in wanted:
        return columns
    again = []
    for name in ("minimum", "maximum"):
        rest = engine.fold(
            (series_id,),
            edges_behind(edges_ns, columns, f"{name}_ns"),
            sums=(),
            known_at_lsn=known_at_lsn,
        )
        behind = folded_columns(rest, ())
        assert behind is not None, "the same series"
        again.append(occurs_again(columns, behind, name))
    return replace(columns, more_minima=again[0], more_maxima=again[1])


def folded_columns(found: Folded, wanted: Collection[str]) -> FoldedWindows | None:
    """Columns of the only series of a fold; None where it is no number."""
    table, states = found.table(0), found.columns[0]
    if states.kind not in _CELLS:
        return None
    count = len(table)
    none = np.zeros(count, np.int64)
    zero_ns, known = none, np.ones(count, np.bool_)
    if "zero" in wanted:
        held = found.durations(0)
        known = held.known
        zero_ns = none.copy()
        still = held.value == 0
        np.add.at(zero_ns, held.window[still], held.ns[still].astype(np.int64))
    names = [name for kind in wanted for name in _RESULTS.get(kind, ())]
    flags = table["flags"]
    plain: dict[str, Any] = {name: np.ascontiguousarray(table[name]) for name in _COUNTS}
    for name in TIMES:
        plain[f"{name}_ns"] = np.ascontiguousarray(table[f"{name}_time"])
        plain[name] = _typed(table[name], states.kind)
    return FoldedWindows(
        **plain,
        first_code=np.ascontiguousarray(table["first_quality"]),
        last_code=np.ascontiguousarray(table["last_quality"]),
        first_valid=(flags & FIRST_VALID) != 0,
        last_valid=(flags & LAST_VALID) != 0,
        more_minima=np.zeros(count, np.bool_),
        more_maxima=np.zeros(count, np.bool_),
        sums={name: states.result(name) for name in names},
        zero_ns=zero_ns,
        known=known,
        damage=found.damage,
    )


def edges_behind(edges_ns: Int64Array, columns: FoldedWindows, name: str) -> Int64Array:
    """Edges that cut each window behind the time of an extreme; windows stand at odd places."""
    start, end = edges_ns[:-1], edges_ns[1:]
    when = np.where(columns.good > 0, getattr(columns, name) + 1, end)
    return np.append(np.column_stack([start, when]).reshape(-1), end[-1:])


def occurs_again(columns: FoldedWindows, behind: FoldedWindows, name: str) -> BoolArray:
    """Whether the extreme of a window is that of what follows it, too."""
    value, later = getattr(columns, name), getattr(behind, name)[1::2]
    same: BoolArray = (behind.good[1::2] > 0) & (later == value)
    return same


def _typed(cells: Any, kind: int) -> Any:
    """Cells of a column in the type of its series."""
    narrow = cells.astype(_NARROW.get(kind, "<u8"))
    return narrow.view(_CELLS[kind])
