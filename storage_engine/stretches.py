"""A window of a stream cut into stretches: those of packed runs alone, and all others.

Where runs rise strictly and nothing else lies (no other run, no row of a head, no deletion), rows
can be taken from the packed bytes as they are, and summaries hold. Everywhere else the ordinary
read applies the rule of revisions. The cut is by time, so both together give what one read gives.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from storage_engine.blocks import LOADED, RISING
from storage_engine.packed_runs import RUN, PackedBlocks, PackedRuns, RunArray, alone
from storage_engine.reads import Window
from storage_engine.sample import BoolArray, Int64Array, UInt64Array
from storage_engine.segment.layout import SegmentInfo
from storage_engine.segment.live import SegmentSet
from storage_engine.state import View

_FEW = 8  # segments

Interval = tuple[int, int]
# Positions of runs in a slice of some that must be in memory.
Wanted = Callable[[RunArray, int, int], Sequence[int]]


@dataclass(frozen=True, slots=True)
class Stretches:
    """What a window of a stream consists of.

    Attributes
    ----------
    held : tuple of PackedRuns
        Whoever uses ``runs`` keeps them, and so the bytes.
    runs : RUN, shape (r,)
        Ordered by first time.
    begin, end : int
        Runs that may touch the window.
    rough : tuple of (int, int)
        Disjoint parts [start, end) of the window for the ordinary read, ascending.
    """

    held: tuple[PackedRuns, ...]
    runs: RunArray
    begin: int
    end: int
    rough: tuple[Interval, ...] = ()

    @property
    def rows(self) -> int:
        """Rows of the runs that may touch the window."""
        return int(self.runs["rows"][self.begin : self.end].sum(dtype=np.int64))

    def clean(self, start_ns: int, end_ns: int) -> list[Interval]:
        """Parts of the window between the rough ones."""
        edges = [start_ns, *(edge for part in self.rough for edge in part), end_ns]
        pairs = zip(edges[::2], edges[1::2], strict=True)
        return [(start, end) for start, end in pairs if start < end]


def find_stretches(
    packed: PackedBlocks,
    infos: Sequence[SegmentInfo],
    view: View,
    window: Window,
    wanted: Wanted | None = None,
) -> Stretches | None:
    """Cut a window of a series.

    Parameters
    ----------
    packed : PackedBlocks
    infos : sequence of SegmentInfo
        Of the view, those that touch the window.
    view : View
    window : Window
        Ascending, without a count.
    wanted : callable, optional
        Which runs are decoded, of those that touch the window; all by default. Their blocks are
        in memory afterwards. When it is given, runs name their summaries.

    Returns
    -------
    Stretches or None
        None when only the ordinary read can answer (damage).
    """
    held: list[PackedRuns] = []
    info, start_ns, end_ns = view.info, window.start_ns, window.end_ns
    for segment in infos:
        found = packed.runs(segment, info.id, summaries=wanted is not None)
        if found is None:
            return None
        if len(found):
            held.append(found)
    stones = _stones(view, window)
    quiet = not stones and window.known_at_lsn is None
    quiet = quiet and all(captured.count == 0 for captured in view.heads)
    if len(held) == 1 and quiet and held[0].plain:
        only = held[0]
        where = only.cut(start_ns, end_ns)
        if not _load(packed, only, view, (wanted or _unloaded)(only.runs, where.start, where.stop)):
            return None
        return Stretches((only,), only.runs, where.start, where.stop)
    for one in held:
        places = (wanted or _unloaded)(one.runs, *_reach(one, window))
        if not _load(packed, one, view, places):
            return None
    if not held:
        rough = ((start_ns, end_ns),) if not quiet and start_ns < end_ns else ()
        return Stretches((), np.zeros(0, RUN), 0, 0, rough)
    return _cut(held, view, window, stones)


def _stones(view: View, window: Window) -> list[Interval]:
    """Parts of the window that deletions and erasures reach."""
    start_ns, end_ns = window.start_ns, window.end_ns
    return [
        (max(stone.start_ns, start_ns), min(stone.end_ns, end_ns))
        for stone in view.tombstones
        if stone.touches(start_ns, end_ns - 1, -1)
    ]


def _unloaded(runs: RunArray, begin: int, end: int) -> Sequence[int]:
    flags = runs["flags"][begin:end] & LOADED
    found: list[int] = (np.flatnonzero(flags == 0) + begin).tolist()
    return found


def _load(packed: PackedBlocks, held: PackedRuns, view: View, wanted: Sequence[int]) -> bool:
    return not wanted or packed.load(held, view.info.id, view.info.value_type, wanted)


def _reach(held: PackedRuns, window: Window) -> tuple[int, int]:
    """Slice of runs outside which none touches the window."""
    touched = np.flatnonzero((held.first < window.end_ns) & (held.last >= window.start_ns))
    return (int(touched[0]), int(touched[-1]) + 1) if len(touched) else (0, 0)


def _cut(held: list[PackedRuns], view: View, window: Window, stones: list[Interval]) -> Stretches:
    runs, first, last, stamps = _joined(held)
    plain = ((runs["flags"] & RISING) != 0) & alone(first, last)
    if window.known_at_lsn is not None:
        plain &= stamps >> np.uint64(1) <= np.uint64(max(window.known_at_lsn, 0))
    times = _head_times(view, window)
    if len(times):
        begins = np.searchsorted(times, first, "left")
        plain &= begins == np.searchsorted(times, last, "right")
    rough = stones
    if not plain.all():
        rough = rough + _intervals(first[~plain], last[~plain])
    if len(times):
        rough = rough + _clusters(times, first)
    return Stretches(tuple(held), runs, 0, len(runs), _merged(rough, window))


def _joined(held: list[PackedRuns]) -> tuple[RunArray, Int64Array, Int64Array, UInt64Array]:
    # As bytes: numpy compares all fields of all parts otherwise, at 20 us a part.
    runs = np.concatenate([one.runs.view(np.uint8) for one in held]).view(RUN)
    first = np.concatenate([one.first for one in held])
    last = np.concatenate([one.last for one in held])
    stamps = np.concatenate([one.stamp_max for one in held])
    if (first[1:] < first[:-1]).any():
        order = np.argsort(first, kind="stable")
        runs, first, last, stamps = runs[order], first[order], last[order], stamps[order]
    return runs, first, last, stamps


def _head_times(view: View, window: Window) -> Int64Array:
    """Times of the rows that heads have inside the window, ascending."""
    parts = []
    for captured in view.heads:
        rows = captured.head.samples(captured, view.info.value_type)
        if rows is not None:
            begin = rows.timestamp_ns.searchsorted(window.start_ns, "left")
            end = rows.timestamp_ns.searchsorted(window.end_ns, "left")
            parts.append(rows.timestamp_ns[begin:end])
    held = [part for part in parts if len(part)]
    if len(held) < 2:
        return held[0] if held else np.empty(0, np.int64)
    return np.sort(np.concatenate(held), kind="stable")


def _intervals(first: Int64Array, last: Int64Array) -> list[Interval]:
    return [(a, b + 1) for a, b in zip(first.tolist(), last.tolist(), strict=True)]


def _clusters(times: Int64Array, first: Int64Array) -> list[Interval]:
    """From the first to the last time of the heads between one run and the next."""
    group = np.searchsorted(first, times, "right")
    edges = np.flatnonzero(group[1:] != group[:-1])
    starts = times[np.concatenate(([0], edges + 1))]
    ends = times[np.concatenate((edges, [len(times) - 1]))]
    return _intervals(starts, ends)


def _merged(parts: list[Interval], window: Window) -> tuple[Interval, ...]:
    """Parts cut to the window, those that touch joined, ascending."""
    out: list[Interval] = []
    for start, end in sorted(parts):
        low, high = max(start, window.start_ns), min(end, window.end_ns)
        if low >= high:
            continue
        if out and low <= out[-1][1]:
            out[-1] = (out[-1][0], max(high, out[-1][1]))
        else:
            out.append((low, high))
    return tuple(out)


class Touched:
    """Segments of a set that touch a window, by columns of their first and last times."""

    def __init__(self) -> None:
        self._known: tuple[frozenset[int], Int64Array, Int64Array] | None = None

    def of(self, segments: SegmentSet, start_ns: int, end_ns: int) -> list[SegmentInfo]:
        """Segments with a row in start <= time < end, perhaps; ascending by first time."""
        infos = segments.infos
        if len(infos) <= _FEW:  # arrays would take longer
            return [info for info in infos if info.first < end_ns and info.last >= start_ns]
        known = self._known
        if known is None or known[0] is not segments.ids:
            first = np.fromiter((info.first for info in infos), np.int64, len(infos))
            last = np.fromiter((info.last for info in infos), np.int64, len(infos))
            self._known = known = (segments.ids, first, last)
        mask: BoolArray = (known[1] < end_ns) & (known[2] >= start_ns)
        return [infos[place] for place in np.flatnonzero(mask).tolist()]
