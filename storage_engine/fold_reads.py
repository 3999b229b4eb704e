"""Windows of many series folded: by summaries where these hold, from packed bytes at the edges."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from storage_engine.block_fold import NOT_LOADED, Windows
from storage_engine.blocks import STOPPED, Stop
from storage_engine.columns import STRINGS
from storage_engine.errors import LimitExceeded
from storage_engine.fold import FoldColumns
from storage_engine.fold_codes import held
from storage_engine.fold_state import DURATIONS, EVERY_SUM, FOLD_TYPES, STATE
from storage_engine.packed_runs import PackedBlocks
from storage_engine.reads import Window
from storage_engine.sample import (
    AnyArray,
    BoolArray,
    Damage,
    Int64Array,
    SampleColumns,
    UInt64Array,
)
from storage_engine.segment.layout import SegmentInfo
from storage_engine.segment.summary import fold_cells
from storage_engine.state import View
from storage_engine.stretches import Stretches, find_stretches

STATES_MAX = 1 << 22  # some 400 bytes each
Edges = Int64Array | tuple[int, int, int]
RowRead = Callable[[View, Window], SampleColumns]


@dataclass(frozen=True, slots=True)
class Durations:
    """How long each value was held in the windows of a series.

    A value is held from a good row to the next row, where that one is good too and lies in the
    same window: the times of a window add up to ``covered_ns`` of its state.

    Attributes
    ----------
    window : int64, shape (k,)
        Ascending.
    value : array, shape (k,)
        In the type of the series; a symbol as segment.summary.symbol_code gives it.
    ns : uint64, shape (k,)
        Of each value in a window; the longest first, then the lower code.
    known : bool, shape (w,)
        False for windows with more than 256 such values, which have no entry here.
    """

    window: Int64Array
    value: AnyArray
    ns: UInt64Array
    known: BoolArray


@dataclass(frozen=True, slots=True)
class Folded:
    """Fold states of windows of series.

    Attributes
    ----------
    edges : int64, shape (w + 1,)
        Window k is edges[k] <= time < edges[k + 1].
    columns : tuple of FoldColumns
        One per value type, w states per series of it.
    place : tuple of (int, int)
        Per series as asked for: which of the columns, and its first state there.
    damage : tuple of Damage
        What could not be read; empty when the answer is whole.
    """

    edges: Int64Array
    columns: tuple[FoldColumns, ...]
    place: tuple[tuple[int, int], ...]
    damage: tuple[Damage, ...] = ()

    def table(self, series: int) -> npt.NDArray[np.void]:
        """States of one series, by its position in the call: fold_state.STATE, shape (w,)."""
        which, first = self.place[series]
        return self.columns[which].table[first : first + len(self.edges) - 1]

    def durations(self, series: int) -> Durations:
        """How long each value was held, of a series by its position; asked for in the call."""
        which, first = self.place[series]
        columns, behind = self.columns[which], first + len(self.edges) - 1
        starts, values = held(columns, first, behind)
        window = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        order = np.lexsort((values["code"], ~values["ns"], window))
        values, kind = values[order], columns.kind
        known = (columns.table["exact"][first:behind] & DURATIONS).astype(np.bool_)
        cells = values["code"].astype({1: "<u4", 4: "u1"}.get(kind, "<u8"))
        typed = cells.view({0: "<f8", 1: "<f4", 2: "<i8", 4: "?"}.get(kind, "<u8"))
        return Durations(window, typed, np.ascontiguousarray(values["ns"]), known)

    def result(self, name: str) -> npt.NDArray[np.float64]:
        """One of fold_state.RESULTS, rounded once: float64, shape (series, w)."""
        windows = len(self.edges) - 1
        found = [columns.result(name).reshape(-1, windows) for columns in self.columns]
        if len(found) == 1:
            return found[0]
        rows = [found[which][first // max(windows, 1)] for which, first in self.place]
        return np.array(rows, np.float64).reshape(len(self.place), windows)


def edges_of(edges: Edges | Sequence[int]) -> Int64Array:
    """Edges of windows, from themselves or from (start, step, count).

    Parameters
    ----------
    edges : int64 array, shape (w + 1,), or tuple of start, step and count
        Nanoseconds UTC.

    Returns
    -------
    int64, shape (w + 1,)
    """
    if isinstance(edges, tuple):
        start, step, count = edges
        times: Int64Array = start + step * np.arange(count + 1, dtype=np.int64)
        return times
    return np.ascontiguousarray(edges, np.int64)


@dataclass(slots=True)
class Folding:
    """One call while it runs. :meth:`fold` may be called by several threads at once.

    Parameters
    ----------
    packed : PackedBlocks
    infos : sequence of SegmentInfo
        Those that touch the windows.
    views : sequence of View
        Of the series.
    window : Window
        From the first edge to the last.
    read_rows : callable
        The ordinary read of a part of the window.
    stop : Stop
    edges : int64, shape (w + 1,)
    pieces : int
        The windows of a series are folded in so many pieces.
    wanted : int
        Bits of what each window wants.
    """

    packed: PackedBlocks
    infos: Sequence[SegmentInfo]
    views: Sequence[View]
    window: Window
    read_rows: RowRead
    stop: Stop
    edges: Int64Array
    pieces: int = 1
    wanted: int = EVERY_SUM
    columns: list[FoldColumns] = field(default_factory=list)
    place: list[tuple[int, int]] = field(default_factory=list)
    damage: dict[Damage, None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        windows = len(self.edges) - 1
        if windows * len(self.views) > STATES_MAX:
            raise LimitExceeded(
                f"cannot fold: got {windows} windows of {len(self.views)} series, "
                f"want <= {STATES_MAX} in all"
            )
        types = [FOLD_TYPES[view.info.value_type] for view in self.views]
        known = {kind: which for which, kind in enumerate(dict.fromkeys(types))}
        counts = dict.fromkeys(known, 0)
        for kind in types:
            self.place.append((known[kind], counts[kind] * windows))
            counts[kind] += 1
        for kind, count in counts.items():
            self.columns.append(FoldColumns(kind, np.zeros(count * windows, STATE)))

    def done(self) -> Folded:
        """What was folded."""
        columns, place = tuple(self.columns), tuple(self.place)
        return Folded(self.edges, columns, place, tuple(self.damage))

    def fold(self, item: int, windows: Windows) -> None:
        """Fold one series, or a piece of its windows.

        Parameters
        ----------
        item : int
            Position in ``views``, times ``pieces``, and the piece.
        windows : Windows
            Of this thread, over ``edges``.
        """
        series, piece = divmod(item, self.pieces)
        if self.pieces == 1:
            self._fold(series, windows, self.window, 0)
            return
        count = len(self.edges) - 1
        first, behind = (count * k // self.pieces for k in (piece, piece + 1))
        if first < behind:
            edges = self.edges[first : behind + 1]
            window = replace(self.window, start_ns=int(edges[0]), end_ns=int(edges[-1]))
            self._fold(series, Windows(edges, self.stop, self.wanted), window, first)

    def _fold(self, series: int, windows: Windows, window: Window, place: int) -> None:
        view = self.views[series]
        which, first = self.place[series]
        first += place
        windows.begin(self.columns[which], first)
        if view.info.value_type not in STRINGS:
            for wanted in (windows.needed, None):
                found = find_stretches(self.packed, self.infos, view, window, wanted)
                got = NOT_LOADED if found is None else self._add(series, windows, found, window)
                if got == 0:
                    windows.end()
                    return
                if found is None or got != NOT_LOADED:
                    break
                windows.begin(self.columns[which], first)
            windows.begin(self.columns[which], first)
        self._add_rows(series, windows, window)
        windows.end()

    def _add(self, series: int, windows: Windows, found: Stretches, window: Window) -> int:
        if not found.rough:
            got = windows.runs(found.runs, found.begin, found.end, window.start_ns, window.end_ns)
            return self._checked(got)
        parts = [(a, b, False) for a, b in found.clean(window.start_ns, window.end_ns)]
        for start, end, rough in sorted(parts + [(a, b, True) for a, b in found.rough]):
            if rough:
                got = self._add_rows(series, windows, replace(window, start_ns=start, end_ns=end))
            else:
                got = windows.runs(found.runs, found.begin, found.end, start, end)
            if self._checked(got) != 0:
                return got
        return 0

    def _checked(self, got: int) -> int:
        if got == STOPPED or self.stop.is_set:
            raise LimitExceeded("cannot fold: got told to stop, want to go on")
        return got

    def _add_rows(self, series: int, windows: Windows, window: Window) -> int:
        rows = self.read_rows(self.views[series], window)
        for one in rows.damage:
            self.damage[one] = None
        valid, cells = rows.value.valid, fold_cells(rows.value)
        return windows.rows(
            np.ascontiguousarray(rows.timestamp_ns),
            None if cells is None else cells.view(np.uint8),
            np.ascontiguousarray(rows.quality),
            None if valid is None else np.ascontiguousarray(valid).view(np.uint8),
        )
