"""Reads for query and genealogy over whatever engine is open now; they outlive a reopening."""

from collections.abc import Collection, Sequence

import numpy as np

from historian.errors import NotFound, NotReady
from historian.events import EVENT_KINDS
from historian.ingest_streams import Streams
from historian.runtime_folds import fold_windows
from query.ports import FoldedWindows, LatestColumns, PlainRows
from storage_engine.engine import Engine
from storage_engine.errors import LimitExceeded
from storage_engine.sample import (
    DTYPES,
    EVENT_ID_DTYPE,
    ColumnData,
    EventColumns,
    Int64Array,
    SampleColumns,
)


class StoreReader:
    """Fulfils ``query.ports.SampleReader`` and ``historian.genealogy.reader.EventReader``.

    Raises NotReady from every read while no engine is open.
    """

    def __init__(self) -> None:
        self._open: tuple[Engine, Streams] | None = None

    def use(self, engine: Engine, streams: Streams) -> None:
        """Read from this engine from now on."""
        self._open = (engine, streams)

    def close(self) -> None:
        """Read from none."""
        self._open = None

    def _now(self) -> tuple[Engine, Streams]:
        if self._open is None:
            raise NotReady("cannot read now: the store is closed or being opened", where="engine")
        return self._open

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
        return self._now()[0].read(
            series_id,
            start_ns,
            end_ns,
            all_revisions=all_revisions,
            known_at_lsn=known_at_lsn,
            max_count=max_count,
            backward=backward,
            distinct=distinct,
        )

    def keeps_all(self, series_ids: Sequence[int]) -> bool:
        """See ``query.ports.SampleReader.keeps_all``."""
        return self._now()[0].keeps_all(series_ids)

    def summaries(
        self, series_id: int, start_ns: int, end_ns: int, *, known_at_lsn: int | None = None
    ) -> EventColumns | None:
        """See ``query.ports.SampleReader.summaries``."""
        engine = self._now()[0]
        return engine.summaries(series_id, start_ns, end_ns, known_at_lsn=known_at_lsn)

    def summary_extent(self, series_id: int) -> tuple[int, int] | None:
        """See ``query.ports.SampleReader.summary_extent``."""
        return self._now()[0].summary_extent(series_id)

    def fold(
        self,
        series_id: int,
        edges_ns: Int64Array,
        wanted: Collection[str] = (),
        *,
        known_at_lsn: int | None = None,
    ) -> FoldedWindows | None:
        """See ``query.ports.SampleReader.fold``."""
        return fold_windows(self._now()[0], series_id, edges_ns, wanted, known_at_lsn=known_at_lsn)

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
        engine = self._now()[0]
        if engine.keeps_all((series_id,)):
            return None
        try:
            found = engine.read_arrays(
                series_id, start_ns, end_ns, known_at_lsn=known_at_lsn, rows_max=rows_max
            )
        except LimitExceeded:
            return None
        return PlainRows(found.timestamp_ns, found.value, found.quality, found.valid, found.damage)

    def read_recent(
        self, series_ids: Sequence[int], start_ns: int, end_ns: int
    ) -> list[SampleColumns | None]:
        """See ``query.ports.SampleReader.read_recent``."""
        return self._now()[0].read_recent(series_ids, start_ns, end_ns)

    def annotations(
        self, series_ids: Sequence[int], *, known_at_lsn: int | None = None
    ) -> Int64Array:
        """See ``query.ports.SampleReader.annotations``."""
        return self._now()[0].annotations(series_ids, known_at_lsn=known_at_lsn)

    def edits(
        self, series_ids: Sequence[int], *, known_at_lsn: int | None = None
    ) -> tuple[Int64Array, Int64Array]:
        """See ``query.ports.SampleReader.edits``."""
        return self._now()[0].edits(series_ids, known_at_lsn=known_at_lsn)

    def lsn_at(self, record_time_ns: int) -> int:
        """Last lsn recorded at or before a time, late by less than the table's step."""
        return self._now()[0].lsn_at(record_time_ns)

    def previous(self, series_id: int, time_ns: int, *, inclusive: bool = False) -> SampleColumns:
        """See ``query.ports.SampleReader.previous``."""
        return self._now()[0].previous(series_id, time_ns, inclusive=inclusive)

    def next(self, series_id: int, time_ns: int, *, inclusive: bool = False) -> SampleColumns:
        """See ``query.ports.SampleReader.next``."""
        return self._now()[0].next(series_id, time_ns, inclusive=inclusive)

    def latest(self, series_ids: Sequence[int]) -> LatestColumns:
        """See ``query.ports.SampleReader.latest``."""
        found = self._now()[0].latest(series_ids)
        return LatestColumns(found.present, found.timestamp_ns, found.quality, found.value)

    def read_events(
        self, kind: str, start_ns: int, end_ns: int, known_at_lsn: int | None = None
    ) -> EventColumns:
        """Events of a kind with start <= time < end, in (time, id) order, the first of a key.

        Raises
        ------
        NotFound
            For a kind that nobody defined.
        """
        columns = EVENT_KINDS.get(kind)
        if columns is None:
            message = f"cannot read events: got kind {kind!r}, want one of: "
            raise NotFound(message + ", ".join(sorted(EVENT_KINDS)), got=kind, where="kind")
        engine, streams = self._now()
        stream_id = streams.event_stream(kind)
        if stream_id is None:  # a store opened read-only before its first event
            return EventColumns(
                np.zeros(0, np.int64),
                np.zeros(0, EVENT_ID_DTYPE),
                {c.name: ColumnData(c.type, np.zeros(0, DTYPES[c.type])) for c in columns},
                np.zeros(0, np.uint64),
            )
        return engine.read_events(stream_id, start_ns, end_ns, known_at_lsn=known_at_lsn)
