"""Fast reads of the engine: rows from packed blocks into arrays, and windows folded from them."""

from collections.abc import Sequence

from storage_engine.array_reads import as_arrays, gather
from storage_engine.arrays import SampleArrays
from storage_engine.block_fold import Windows
from storage_engine.blocks import Stop
from storage_engine.columns import STRINGS
from storage_engine.engine_reads import ReadSide
from storage_engine.errors import InvalidArgument, LimitExceeded
from storage_engine.fold_reads import Edges, Folded, Folding, edges_of
from storage_engine.fold_state import DURATIONS, SUMS
from storage_engine.frame import SlotKind
from storage_engine.reads import Window, read_samples
from storage_engine.sample import SampleColumns
from storage_engine.state import View
from storage_engine.stretches import find_stretches

_SHARED_MIN = 256  # windows of one series that are worth a second thread


class ArraySide(ReadSide):
    """Reads without a row in Python. Answers equal those of :meth:`ReadSide.read`."""

    def read_arrays(
        self,
        series_id: int,
        start_ns: int,
        end_ns: int,
        out: SampleArrays | None = None,
        *,
        known_at_lsn: int | None = None,
        stop: Stop | None = None,
        rows_max: int | None = None,
    ) -> SampleArrays:
        """Samples with start <= time < end, as :meth:`read` gives them, decoded into arrays.

        Parameters
        ----------
        series_id : int
        start_ns, end_ns : int
            Nanoseconds UTC.
        out : SampleArrays, optional
            An earlier answer that is no longer needed: its memory is written over where it is
            enough, so that a loop of reads takes no new memory.
        known_at_lsn : int, optional
            As if nothing behind this lsn had been written.
        stop : Stop, optional
            Ends the read when another thread sets it; it is looked at before every block.
        rows_max : int, optional
            Read nothing where the blocks that the window touches hold more rows.

        Returns
        -------
        SampleArrays
            ``damage`` names what could not be read.

        Raises
        ------
        InvalidArgument
            Unknown series.
        LimitExceeded
            It was told to stop, or there are too many rows.
        EngineClosed
        """
        view = self._view(series_id, SlotKind.SERIES)
        window = Window(start_ns, end_ns, known_at_lsn)

        def read_rows(part: Window) -> SampleColumns:
            return read_samples(self._reader, view, part, view.info.duplicates)

        value_type = view.info.value_type
        if value_type not in STRINGS and start_ns < end_ns:
            infos = self._touched.of(view.segments, start_ns, end_ns)
            stretches = find_stretches(self._packed, infos, view, window)
            if stretches is not None and rows_max is not None and stretches.rows > rows_max:
                raise LimitExceeded(f"cannot read: got {stretches.rows} rows, want <= {rows_max}")
            if stretches is not None:
                stop = Stop() if stop is None else stop
                found = gather(value_type, window, stretches, read_rows, out=out, stop=stop)
                if found is not None:
                    return found
        return as_arrays(value_type, read_rows(window))

    def fold(
        self,
        series_ids: Sequence[int],
        edges: Edges,
        *,
        brief: bool = False,
        sums: Sequence[str] | None = None,
        durations: bool = False,
        known_at_lsn: int | None = None,
        stop: Stop | None = None,
    ) -> Folded:
        """Fold the samples of windows: counts, extremes, exact sums and integrals.

        Parameters
        ----------
        series_ids : sequence of int
        edges : int64 array, shape (w + 1,), or tuple of start, step and count
            Window k is edges[k] <= time < edges[k + 1], in nanoseconds UTC. They do not fall.
        brief : bool
            Of all sums the plain sum alone, which takes a fraction of the time.
        sums : sequence of str, optional
            Which of fold_state.SUMS are wanted, instead; none for counts, extremes, first, last.
        durations : bool
            How long each value was held, too: :meth:`Folded.durations`.
        known_at_lsn : int, optional
            As if nothing behind this lsn had been written.
        stop : Stop, optional
            Ends the fold when another thread sets it; it is looked at before every block.

        Returns
        -------
        Folded
            To the bit the fold over :meth:`read`, whatever lies in summaries.

        Raises
        ------
        InvalidArgument
            Unknown series or sums, or edges that fall.
        LimitExceeded
            Too many windows, or it was told to stop.
        EngineClosed
        """
        times = edges_of(edges)
        stop = Stop() if stop is None else stop
        chosen = (SUMS[:1] if brief else SUMS) if sums is None else sums
        wanted = _bits(chosen) | (DURATIONS if durations else 0)
        own = [Windows(times, stop, wanted)]  # refuses edges that are none
        with self._lock:  # one moment for all
            views = [self._view(series_id, SlotKind.SERIES) for series_id in series_ids]
        window = Window(int(times[0]), int(times[-1]), known_at_lsn)

        def read_rows(view: View, part: Window) -> SampleColumns:
            return read_samples(self._reader, view, part, view.info.duplicates)

        infos = self._touched.of(views[0].segments, window.start_ns, window.end_ns) if views else []
        shared = self._threads.count if len(views) == 1 and len(times) > _SHARED_MIN else 1
        job = (self._packed, infos, views, window, read_rows, stop)
        folding = Folding(*job, edges=times, pieces=shared, wanted=wanted)

        def windows() -> Windows:
            try:
                return own.pop()
            except IndexError:
                return Windows(times, stop, wanted)

        least = {} if shared == 1 else {"least": 1}
        self._threads.spread(len(views) * shared, windows, folding.fold, **least)
        return folding.done()


def _bits(sums: Sequence[str]) -> int:
    if not set(sums) <= set(SUMS):
        raise InvalidArgument(f"cannot fold: got sums {sums}, want some of {SUMS}")
    return sum(1 << SUMS.index(name) for name in set(sums))
