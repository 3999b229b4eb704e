"""Charts and reports of the engine: counts, extremes and means of windows, as plain columns."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from storage_engine.block_fold import NOT_LOADED, Windows
from storage_engine.blocks import Stop
from storage_engine.brief_reads import (
    BriefColumns,
    Plan,
    fill,
    fill_again,
    load_runs,
    make_plan,
    new_columns,
    put,
)
from storage_engine.briefs import NO_RUNS
from storage_engine.engine_arrays import ArraySide
from storage_engine.errors import InvalidArgument
from storage_engine.fold_reads import Edges, Folded, Folding, edges_of
from storage_engine.frame import SlotKind
from storage_engine.reads import Window, read_samples
from storage_engine.sample import BoolArray, Int64Array, SampleColumns
from storage_engine.segment.layout import SegmentInfo
from storage_engine.segment.live import SegmentSet
from storage_engine.state import View
from storage_engine.streams import StreamInfo, get_stream

_BRIEF = 1  # the bit of the plain sum


@dataclass(frozen=True, slots=True)
class _Moment:
    """The store as one call sees it; ``busy``: series that have more than rows of segments."""

    infos: list[StreamInfo]
    segments: SegmentSet
    busy: BoolArray
    views: dict[int, View]


class BriefSide(ArraySide):
    """Folds of which nothing but counts, extremes, sum and mean is wanted."""

    def fold_brief(
        self,
        series_ids: Sequence[int],
        edges: Edges,
        *,
        summaries: bool = True,
        stop: Stop | None = None,
    ) -> BriefColumns:
        """Fold the samples of windows, as :meth:`fold` does, into plain columns.

        Parameters
        ----------
        series_ids : sequence of int
        edges : int64 array, shape (w + 1,), or tuple of start, step and count
            Window k is edges[k] <= time < edges[k + 1], in nanoseconds UTC. They do not fall.
        summaries : bool
            Without, every row is decoded; the answer is the same.
        stop : Stop, optional
            Ends the fold when another thread sets it; it is looked at before every block.

        Returns
        -------
        BriefColumns
            The digits of :meth:`fold`. Symbols and strings have counts alone.

        Raises
        ------
        InvalidArgument
            Unknown series, or edges that fall.
        LimitExceeded
            Too many windows, or it was told to stop.
        EngineClosed
        """
        times = edges_of(edges)
        if len(times) < 2:
            raise InvalidArgument(f"cannot fold: got {len(times)} edges, want 2 that rise")
        stop = Stop() if stop is None else stop
        moment = self._moment(series_ids)
        infos, segments = moment.infos, moment.segments
        out = new_columns(times, (info.value_type for info in infos))
        touched = self._touched.of(segments, int(times[0]), int(times[-1])) if infos else []
        plan = self._plan(segments, touched, infos)
        table = plan.table.copy()
        if moment.views:
            table["got"][moment.busy] = NO_RUNS
        threads, decode = self._threads.count, not summaries
        left = fill(out, table, threads=threads, stop=stop, decode=decode)
        if left and (want := np.flatnonzero(table["got"] == NOT_LOADED).tolist()):
            plan, damaged = load_runs(self._packed, plan, want, infos, times, decode=decode)
            self._keep(segments, touched, infos, plan)
            table, left = fill_again(
                out, table, plan, damaged, threads=threads, stop=stop, decode=decode
            )
        if not left:
            return out
        rest = np.flatnonzero(table["got"] < 0).tolist()
        for k in rest:
            moment.views.setdefault(k, View(infos[k], segments, ()))
        found = self._states([moment.views[k] for k in rest], touched, times, stop)
        put(out, rest, found)
        return BriefColumns(out.edges, out.types, out.counts, out.cells, out.sums, found.damage)

    def _moment(self, series_ids: Sequence[int]) -> _Moment:
        busy = np.zeros(len(series_ids), np.bool_)
        with self._lock:
            self._check_open("read")
            known = self._state.streams.by_id
            infos = [get_stream(known, series_id) for series_id in series_ids]
            for info in infos:
                if info.kind is not SlotKind.SERIES:
                    self._view(info.id, SlotKind.SERIES)  # says so
            self._drain()
            every = (*(frozen.head for frozen in self._state.frozen), self._state.front)
            heads = [head for head in every if not head.empty]
            stones = self._state.tombstones
            if not heads and not stones:
                return _Moment(infos, self._state.segments, busy, {})
            for head in heads:
                busy |= head.holds(np.asarray(series_ids, np.int64))
            if stones:
                busy |= np.array([bool(stones.of(info.id)) for info in infos], np.bool_)
            views = {k: self._state.view(infos[k]) for k in np.flatnonzero(busy).tolist()}
            return _Moment(infos, self._state.segments, busy, views)

    def _plan(
        self, segments: SegmentSet, touched: list[SegmentInfo], infos: list[StreamInfo]
    ) -> Plan:
        """Plan of an earlier question over the same segments, or a new one."""
        known = self._packed.plans.get(_key(touched, infos))
        if isinstance(known, tuple) and known[0] is segments.ids:
            plan: Plan = known[1]
            return plan
        plan = make_plan(self._packed, touched, infos)
        self._keep(segments, touched, infos, plan)
        return plan

    def _keep(
        self,
        segments: SegmentSet,
        touched: list[SegmentInfo],
        infos: list[StreamInfo],
        plan: Plan,
    ) -> None:
        # The ids, not the set: whoever holds that one keeps its files.
        self._packed.plans.put(_key(touched, infos), (segments.ids, plan), plan.size_bytes)

    def _states(
        self, views: list[View], touched: list[SegmentInfo], times: Int64Array, stop: Stop
    ) -> Folded:
        """Fold by states what the columns' kernel cannot."""
        window = Window(int(times[0]), int(times[-1]))

        def read_rows(view: View, part: Window) -> SampleColumns:
            return read_samples(self._reader, view, part, view.info.duplicates)

        folding = Folding(self._packed, touched, views, window, read_rows, stop, edges=times)
        self._threads.spread(len(views), lambda: Windows(times, stop, _BRIEF), folding.fold)
        return folding.done()


def _key(touched: list[SegmentInfo], infos: list[StreamInfo]) -> tuple[object, ...]:
    return (tuple(segment.id for segment in touched), tuple(info.id for info in infos))
