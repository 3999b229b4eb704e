"""Series of which a tag shows a part: what a joined tag's reads see of each of its series."""

import threading
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from historian.runtime_reader import StoreReader
from query.ports import FoldedWindows, LatestColumns, PlainRows
from storage_engine.sample import EventColumns, Int64Array, SampleColumns

_EVER = (-(2**63), 2**63 - 1)
_FIRST = 2**48  # ids of parts; streams have dense ids from 0


class JoinedReader(StoreReader):
    """A store's reader that knows parts of series, ``[low, high)``, by ids of their own.

    Every read of a part is that of its series, cut. An id is known as long as the process runs:
    one per series, and time that it was ever joined at.
    """

    def __init__(self) -> None:
        super().__init__()
        self._parts: dict[tuple[int, int, int], int] = {}
        self._known: dict[int, tuple[int, int, int]] = {}
        self._adding = threading.Lock()

    def part(self, series_id: int, low_ns: int, high_ns: int) -> int:
        """Give the id of the samples of a series with low <= time < high."""
        key = series_id, low_ns, high_ns
        if (low_ns, high_ns) == _EVER:
            return series_id
        with self._adding:
            if key not in self._parts:
                made = _FIRST + len(self._parts)
                self._known[made] = key
                self._parts[key] = made
            return self._parts[key]

    def _of(self, series_id: int) -> tuple[int, int, int]:
        return self._known.get(series_id, (series_id, *_EVER))

    def _real(self, series_ids: Sequence[int]) -> list[int]:
        return [self._of(series_id)[0] for series_id in series_ids]

    def read(
        self,
        series_id: int,
        start_ns: int,
        end_ns: int,
        *,
        all_revisions: bool = False,
        known_at_lsn: int | None = None,
        max_count: int | None = None,
        backward: bool = False,
        distinct: bool = False,
    ) -> SampleColumns:
        """See ``query.ports.SampleReader.read``."""
        real, low, high = self._of(series_id)
        first, behind = max(start_ns, low), min(end_ns, high)
        return super().read(
            real,
            first,
            max(first, behind),
            all_revisions=all_revisions,
            known_at_lsn=known_at_lsn,
            max_count=max_count,
            backward=backward,
            distinct=distinct,
        )

    def keeps_all(self, series_ids: Sequence[int]) -> bool:
        """See ``query.ports.SampleReader.keeps_all``."""
        return super().keeps_all(self._real(series_ids))

    def previous(self, series_id: int, time_ns: int, *, inclusive: bool = False) -> SampleColumns:
        """See ``query.ports.SampleReader.previous``."""
        real, low, high = self._of(series_id)
        if time_ns >= high:
            time_ns, inclusive = high, False
        found = super().previous(real, time_ns, inclusive=inclusive)
        return _where(found, low, high)

    def next(self, series_id: int, time_ns: int, *, inclusive: bool = False) -> SampleColumns:
        """See ``query.ports.SampleReader.next``."""
        real, low, high = self._of(series_id)
        if time_ns < low:
            time_ns, inclusive = low, True
        return _where(super().next(real, time_ns, inclusive=inclusive), low, high)

    def latest(self, series_ids: Sequence[int]) -> LatestColumns:
        """See ``query.ports.SampleReader.latest``."""
        found = super().latest(self._real(series_ids))
        cut = [row for row, one in enumerate(series_ids) if one in self._known]
        if not cut:
            return found
        present, value = found.present.copy(), list(found.value)
        time_ns, quality = found.timestamp_ns.copy(), found.quality.copy()
        for row in cut:
            one = self.previous(series_ids[row], _EVER[1])
            present[row] = len(one) > 0
            if len(one):
                time_ns[row], quality[row] = one.timestamp_ns[0], one.quality[0]
                value[row] = one.value.objects()[0]
        return LatestColumns(present, time_ns, quality, value)

    def summaries(
        self, series_id: int, start_ns: int, end_ns: int, *, known_at_lsn: int | None = None
    ) -> EventColumns | None:
        """See ``query.ports.SampleReader.summaries``.

        One that begins before the part may tell samples of it: intervals do not begin at joins.
        """
        real, _, high = self._of(series_id)
        end_ns = max(start_ns, min(end_ns, high))
        return super().summaries(real, start_ns, end_ns, known_at_lsn=known_at_lsn)

    def summary_extent(self, series_id: int) -> tuple[int, int] | None:
        """See ``query.ports.SampleReader.summary_extent``."""
        real, _, high = self._of(series_id)
        found = super().summary_extent(real)
        if found is None or found[0] >= high:
            return None
        return found[0], min(found[1], high - 1)

    def fold(
        self,
        series_id: int,
        edges_ns: Int64Array,
        wanted: Collection[str] = (),
        *,
        known_at_lsn: int | None = None,
    ) -> FoldedWindows | None:
        """See ``query.ports.SampleReader.fold``."""
        if series_id in self._known:
            return None
        return super().fold(series_id, edges_ns, wanted, known_at_lsn=known_at_lsn)

    def read_arrays(
        self,
        series_id: int,
        start_ns: int,
        end_ns: int,
        rows_max: int,
        *,
        known_at_lsn: int | None = None,
    ) -> PlainRows | None:
        """See ``query.ports.SampleReader.read_arrays``."""
        if series_id in self._known:
            return None
        return super().read_arrays(series_id, start_ns, end_ns, rows_max, known_at_lsn=known_at_lsn)

    def read_recent(
        self, series_ids: Sequence[int], start_ns: int, end_ns: int
    ) -> list[SampleColumns | None]:
        """See ``query.ports.SampleReader.read_recent``."""
        whole = [place for place, one in enumerate(series_ids) if one not in self._known]
        found: list[SampleColumns | None] = [None for _ in series_ids]
        rows = super().read_recent([series_ids[place] for place in whole], start_ns, end_ns)
        for place, one in zip(whole, rows, strict=True):
            found[place] = one
        return found

    def annotations(
        self, series_ids: Sequence[int], *, known_at_lsn: int | None = None
    ) -> Int64Array:
        """See ``query.ports.SampleReader.annotations``."""
        if not any(one in self._known for one in series_ids):
            return super().annotations(series_ids, known_at_lsn=known_at_lsn)
        found = []
        for series_id in series_ids:
            real, low, high = self._of(series_id)
            times = super().annotations([real], known_at_lsn=known_at_lsn)
            found.append(times[(times >= low) & (times < high)])
        return np.unique(np.concatenate(found))

    def edits(
        self, series_ids: Sequence[int], *, known_at_lsn: int | None = None
    ) -> tuple[Int64Array, Int64Array]:
        """See ``query.ports.SampleReader.edits``."""
        if not any(one in self._known for one in series_ids):
            return super().edits(series_ids, known_at_lsn=known_at_lsn)
        starts, ends = [], []
        for series_id in series_ids:
            real, low, high = self._of(series_id)
            start, end = super().edits([real], known_at_lsn=known_at_lsn)
            start, end = np.maximum(start, low), np.minimum(end, high)
            starts.append(start[start < end])
            ends.append(end[start < end])
        return np.concatenate(starts), np.concatenate(ends)


def _where(found: SampleColumns, low: int, high: int) -> SampleColumns:
    """Give 0 or 1 row, 0 where it lies outside."""
    if len(found) == 0 or low <= found.timestamp_ns[0] < high:
        return found
    value = replace(found.value, value=found.value.value[:0], valid=None)
    none = slice(0, 0)
    return replace(
        found,
        timestamp_ns=found.timestamp_ns[none],
        quality=found.quality[none],
        value=value,
        lsn=found.lsn[none],
    )
