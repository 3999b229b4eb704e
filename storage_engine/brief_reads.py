"""Counts, extremes, sum and mean of windows of many series in plain columns, by one kernel call."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from storage_engine.block_fold import NOT_LOADED, Windows
from storage_engine.blocks import LOADED, STOPPED, Stop
from storage_engine.briefs import NO_RUNS, SERIES_BYTES, fold_series
from storage_engine.errors import LimitExceeded
from storage_engine.fold import FoldColumns
from storage_engine.fold_reads import STATES_MAX, Folded
from storage_engine.fold_state import CODE, FOLD_TYPES, STATE
from storage_engine.packed_runs import PackedBlocks, PackedRuns, RunArray, alone
from storage_engine.sample import DTYPES, AnyArray, Damage, Int64Array, UInt64Array, ValueType
from storage_engine.segment.layout import SegmentInfo
from storage_engine.streams import StreamInfo

Floats = npt.NDArray[np.float64]
CELLS = ("minimum", "maximum", "first", "last")
_STATE_CELLS = ("minimum", "maximum", "first_good", "last_good")
SERIES = np.dtype([("runs", "<u8"), ("count", "<i8"), ("type", "<i4"), ("got", "<i4")])
assert SERIES.itemsize == SERIES_BYTES, "a series is what kernels/brief_many.h says"
DONE = 1  # a series that is filled
_BRIEF = 1  # the bit of the plain sum


@dataclass(frozen=True, slots=True)
class BriefColumns:
    """Windows of series.

    Attributes
    ----------
    edges : int64, shape (w + 1,)
        Window k is edges[k] <= time < edges[k + 1].
    types : tuple of ValueType
        Of the series, as asked for.
    counts : int64, shape (2, series, w)
        Rows, and good ones.
    cells : uint64, shape (4, series, w)
        Of good rows the minimum, the maximum, the first and the last value: bits of the type,
        narrower ones widened with zeros; 0 without good rows.
    sums : float64, shape (2, series, w)
        Exact sum of the good rows and their mean, each rounded once; NaN for no mean.
    damage : tuple of Damage
        What could not be read; empty when the answer is whole.
    """

    edges: Int64Array
    types: tuple[ValueType, ...]
    counts: Int64Array
    cells: UInt64Array
    sums: Floats
    damage: tuple[Damage, ...] = ()

    @property
    def rows(self) -> Int64Array:
        """Rows: int64, shape (series, w)."""
        found: Int64Array = self.counts[0]
        return found

    @property
    def good(self) -> Int64Array:
        """Good rows: int64, shape (series, w)."""
        found: Int64Array = self.counts[1]
        return found

    @property
    def sum(self) -> Floats:
        """Sums of the good rows: float64, shape (series, w)."""
        found: Floats = self.sums[0]
        return found

    @property
    def mean(self) -> Floats:
        """Means of the good rows: float64, shape (series, w)."""
        found: Floats = self.sums[1]
        return found

    def values(self, name: str, series: int) -> AnyArray:
        """One of CELLS of a series by its position, in the type of its values: shape (w,).

        What a window without good rows has means nothing.
        """
        return typed(self.cells[CELLS.index(name), series], self.types[series])

    def floats(self, name: str) -> Floats:
        """One of CELLS as float64, shape (series, w); a view where every series is of float64."""
        cells: UInt64Array = self.cells[CELLS.index(name)]
        if set(self.types) <= {ValueType.FLOAT64}:
            found: Floats = cells.view(np.float64)
            return found
        rows = zip(cells, self.types, strict=True)
        return np.array([typed(row, of).astype(np.float64) for row, of in rows], np.float64)


def typed(cells: UInt64Array, value_type: ValueType) -> AnyArray:
    """Cells in the type of the values.

    Parameters
    ----------
    cells : uint64, shape (n,)
    value_type : ValueType

    Returns
    -------
    array, shape (n,)
    """
    dtype = DTYPES[value_type]
    if dtype.itemsize == 8:
        return cells.view(dtype)
    narrow: AnyArray = cells.astype(f"<u{dtype.itemsize}").view(dtype)
    return narrow


@dataclass(frozen=True, slots=True)
class Plan:
    """Runs of the series of one question; holds their memory, and no file.

    Attributes
    ----------
    table : SERIES, shape (s,)
        ``got`` is NO_RUNS for a series that only the ordinary way can read.
    held : list of tuple of PackedRuns
        Per series.
    kept : list of RUN arrays
        Those that the table names.
    """

    table: npt.NDArray[np.void]
    held: list[tuple[PackedRuns, ...]]
    kept: list[RunArray]

    @property
    def size_bytes(self) -> int:
        """Memory held."""
        return sum(one.size_bytes for parts in self.held for one in parts)


def make_plan(
    packed: PackedBlocks, segments: Sequence[SegmentInfo], infos: Sequence[StreamInfo]
) -> Plan:
    """Find the runs of series in segments.

    Parameters
    ----------
    packed : PackedBlocks
    segments : sequence of SegmentInfo
    infos : sequence of StreamInfo

    Returns
    -------
    Plan
    """
    plan = Plan(np.zeros(len(infos), SERIES), [], [])
    for place, info in enumerate(infos):
        found = [packed.runs(segment, info.id, summaries=True) for segment in segments]
        held = tuple(one for one in found if one is not None and len(one))
        plan.held.append(held)
        plan.kept.append(np.zeros(0, np.void))
        plan.table["type"][place] = kind = FOLD_TYPES[info.value_type]
        if None in found or kind >= CODE or not _set_runs(plan, place):
            plan.table["got"][place] = NO_RUNS
    return plan


def _set_runs(plan: Plan, place: int) -> bool:
    """Name the runs of a series; False when some overlap or do not rise."""
    held, row = plan.held[place], plan.table[place]
    if not all(one.plain for one in held):
        return False
    if len(held) == 1:
        runs = held[0].runs
    elif held:
        runs = np.concatenate([one.runs for one in held])
        runs = runs[np.argsort(runs["first"], kind="stable")]
        if not alone(runs["first"], runs["last"]).all():
            return False
    else:
        return True
    plan.kept[place] = runs
    row["runs"], row["count"] = runs.__array_interface__["data"][0], len(runs)
    return True


def load_runs(
    packed: PackedBlocks,
    plan: Plan,
    places: Sequence[int],
    infos: Sequence[StreamInfo],
    edges: Int64Array,
    *,
    decode: bool,
) -> tuple[Plan, list[int]]:
    """Have in memory what the windows of some series want decoded.

    Parameters
    ----------
    packed : PackedBlocks
    plan : Plan
        Not changed: others may be at work with it.
    places : sequence of int
        Of the series.
    infos : sequence of StreamInfo
        Of all series.
    edges : int64, shape (w + 1,)
    decode : bool
        All that lies between the first and the last edge, whatever has a summary.

    Returns
    -------
    plan : Plan
    damaged : list of int
        Places whose packed bytes do not hold.
    """
    found = Plan(plan.table.copy(), plan.held, list(plan.kept))
    damaged = []
    windows = Windows(edges[[0, -1]] if decode else edges, Stop(), _BRIEF)
    for place in places:
        info = infos[place]
        kind = FOLD_TYPES[info.value_type]
        windows.begin(FoldColumns(kind, np.zeros(len(edges) - 1, STATE)), 0)
        for one in plan.held[place]:
            if decode:
                where = one.cut(int(edges[0]), int(edges[-1]))
                unloaded = np.flatnonzero((one.runs["flags"][where] & LOADED) == 0)
                wanted = (unloaded + where.start).tolist()
            else:
                wanted = windows.needed(one.runs, 0, len(one.runs))
            if wanted and not packed.load(one, info.id, info.value_type, wanted):
                damaged.append(place)
                break
        _set_runs(found, place)
    return found, damaged


def new_columns(edges: Int64Array, types: Iterable[ValueType]) -> BriefColumns:
    """Columns to fill.

    Parameters
    ----------
    edges : int64, shape (w + 1,)
    types : iterable of ValueType

    Returns
    -------
    BriefColumns
        Not initialised.

    Raises
    ------
    LimitExceeded
    """
    kinds, windows = tuple(types), len(edges) - 1
    if windows * len(kinds) > STATES_MAX:
        raise LimitExceeded(
            f"cannot fold: got {windows} windows of {len(kinds)} series, want <= {STATES_MAX}"
        )
    shape = (len(kinds), max(windows, 0))
    return BriefColumns(
        edges, kinds, np.empty((2, *shape), np.int64), np.empty((4, *shape), np.uint64),
        np.empty((2, *shape)),
    )  # fmt: skip


def fill(
    out: BriefColumns, table: npt.NDArray[np.void], *, threads: int, stop: Stop, decode: bool
) -> int:
    """Fold the series whose ``got`` is 0; it stays so, or becomes a negative number.

    Parameters
    ----------
    out : BriefColumns
    table : SERIES, shape (s,)
        Of a plan, or a copy with other ``got``.
    threads : int
    stop : Stop
    decode : bool
        Without summaries.

    Returns
    -------
    int
        Series whose ``got`` is negative.

    Raises
    ------
    LimitExceeded
        It was told to stop.
    """
    columns = (out.counts, out.cells, out.sums)
    left = fold_series(table.view(np.uint8), out.edges, *columns, threads, stop, decode)
    if stop.is_set or (left and (table["got"] == STOPPED).any()):
        raise LimitExceeded("cannot fold: got told to stop, want to go on")
    return left


def fill_again(
    out: BriefColumns,
    table: npt.NDArray[np.void],
    plan: Plan,
    damaged: Sequence[int],
    *,
    threads: int,
    stop: Stop,
    decode: bool,
) -> tuple[npt.NDArray[np.void], int]:
    """Fold the series that were not loaded, by a plan that has them.

    Parameters
    ----------
    out : BriefColumns
    table : SERIES, shape (s,)
        As `fill` left it.
    plan : Plan
    damaged : sequence of int
        Positions of series to leave out.
    threads : int
    stop : Stop
    decode : bool

    Returns
    -------
    table : SERIES, shape (s,)
    left : int
        As of `fill`.
    """
    again = plan.table.copy()
    again["got"] = np.where(table["got"] == 0, DONE, table["got"])
    again["got"][again["got"] == NOT_LOADED] = 0
    again["got"][list(damaged)] = NO_RUNS
    return again, fill(out, again, threads=threads, stop=stop, decode=decode)


def put(out: BriefColumns, places: Sequence[int], found: Folded) -> None:
    """Fill the windows of some series from their states, in the same order.

    Parameters
    ----------
    out : BriefColumns
    places : sequence of int
        Positions of the series.
    found : Folded
    """
    for k, place in enumerate(places):
        table = found.table(k)
        for to, name in zip(out.counts, ("rows", "good"), strict=True):
            to[place] = table[name]
        for to, name in zip(out.cells, _STATE_CELLS, strict=True):
            to[place] = table[name]
    for to, name in zip(out.sums, ("sum", "mean"), strict=True):
        to[list(places)] = found.result(name)
