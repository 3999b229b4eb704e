"""Import past the log: rows into segments at once, a commit at a time, with the place reached."""

from collections.abc import Mapping, Sequence

import numpy as np

from storage_engine.bulk import BulkRows, BulkWriter, Pace, check_rows
from storage_engine.engine_changes import ChangeSide
from storage_engine.frame import SlotKind
from storage_engine.head import Captured
from storage_engine.sample import AnyArray
from storage_engine.segment.layout import SegmentInfo
from storage_engine.streams import StreamInfo, get_stream

_FACT = "imports"


class BulkSide(ChangeSide):
    """What an importer calls; one commit at a time, whoever calls."""

    def bulk_import(
        self,
        job: str,
        position: object,
        parts: Sequence[BulkRows],
        *,
        note: Mapping[str, object] | None = None,
        authoritative: bool = False,
        pace: Pace = lambda size: None,
    ) -> int:
        """Put rows into segments and remember how far a job is, both or neither.

        Parameters
        ----------
        job : str
            Name of the import.
        position : object
            What JSON can hold: where the job goes on behind these rows.
        parts : sequence of BulkRows
            All of them have room in memory twice. May be empty: then only the place is kept.
        note : mapping, optional
            Kept in the log beside the job's name: who, from where.
        authoritative : bool
            Rows are revisions, as a correction is. By default they count as observed, so that
            the same rows imported twice, or known already, fall together.
        pace : callable
            Told the bytes of each segment written; may sleep, or raise to cancel.

        Returns
        -------
        int
            Lsn of the rows; 0 when there were none.

        Raises
        ------
        InvalidArgument
            Unknown stream, other columns, or a store opened read-only; nothing was taken.
        LowDisk, EngineClosed
            Nothing was taken.
        DiskError
            All was taken or nothing; :meth:`import_position` says which.

        Notes
        -----
        Rows are hidden by tombstones with a greater lsn only. A read as known at an lsn behind the
        rows' own may be asked before their commit; it then does not show them.
        """
        self._check_writable("import rows")
        for part in parts:
            check_rows(part, self._state.streams.by_id)
        held = [part for part in parts if len(part)]
        if not held:
            with self._upkeep_lock:
                places = {**self._import_places(), job: position}
                self._flusher.replace((), (), facts={_FACT: places})
            return 0
        self._check_space()
        with self._upkeep_lock:
            lsn = self.log_import({**(note or {}), "job": job})
            self._bulk_commit(held, lsn * 2 + int(not authoritative), job, position, pace)
        return lsn

    def _bulk_commit(
        self, parts: Sequence[BulkRows], stamp: int, job: str, position: object, pace: Pace
    ) -> None:
        with self._lock:
            streams = self._state.streams.by_id.snapshot()
        writer = BulkWriter(
            self._fs,
            self._config,
            self._state.live,
            incarnation=self.incarnation,
            streams=streams,
            now_ns=self._clock.now_ns(),
            pace=pace,
        )
        try:
            infos = self._written(writer, parts, stamp)
            # Appends of events look for conflicts under this lock, and must see these too. When
            # the commit fails the files stay: it may have reached the disk, and what it did not
            # name is collected as garbage later.
            with self._events_lock:
                places = {**self._import_places(), job: position}
                stale = self._moved_series(parts)
                self._flusher.replace((), infos, facts={_FACT: places}, stale=stale)
                self._note_events(parts)
            # No log holds these rows: both kept generations must name them before they are
            # acknowledged, or damage to the newest one would cost them.
            self._flusher.replace((), ())
        finally:
            self._state.live.release(writer.ids)

    def _written(
        self, writer: BulkWriter, parts: Sequence[BulkRows], stamp: int
    ) -> tuple[SegmentInfo, ...]:
        try:
            return writer.write(parts, stamp)
        except BaseException:
            writer.give_up()
            raise

    def _moved_series(self, parts: Sequence[BulkRows]) -> list[int]:
        """Series whose newest sample these rows may be; a deletion may make any of them so."""
        return sorted({part.stream_id for part in parts if part.quality is not None})

    def _note_events(self, parts: Sequence[BulkRows]) -> None:
        with self._lock:
            for part in parts:
                have = self._state.newest_event_ns.get(part.stream_id)
                if part.event_id is not None and have is not None:
                    last = int(np.max(part.timestamp_ns))
                    self._state.newest_event_ns[part.stream_id] = max(have, last)

    def _import_places(self) -> dict[str, object]:
        held = self._flusher.facts.get(_FACT, {})
        assert isinstance(held, dict), "we wrote it"
        return dict(held)

    def extent(self, stream_id: int) -> tuple[int, int] | None:
        """Times between which all rows of a stream lie, without reading them.

        Parameters
        ----------
        stream_id : int

        Returns
        -------
        tuple of int, or None
            First and last time in nanoseconds, inclusive; rows that are deleted or superseded
            count. None when there is no row.

        Raises
        ------
        InvalidArgument, EngineClosed
        """
        with self._lock:
            self._check_open("find extent")
            self._drain()
            info = get_stream(self._state.streams.by_id, stream_id)
            view = self._state.view(info)
        times = [times for captured in view.heads for times in _head_times(captured, info)]
        for segment in view.segments:
            directory = self._reader.directory(segment)
            if directory is not None:
                runs = directory.runs_of(stream_id)
                times += [directory.table[name][runs] for name in ("run_first", "run_last")]
        held = [part for part in times if len(part)]
        if not held:
            return None
        return min(int(part.min()) for part in held), max(int(part.max()) for part in held)

    def settled_lsn(self) -> int:
        """Return the last durable lsn, when no import is between its lsn and its commit.

        What is known at it never changes again, save by erasure and expiry. Waits for a commit,
        or another change of segments, that is under way.

        Returns
        -------
        int

        Raises
        ------
        EngineClosed
        """
        with self._upkeep_lock:
            self._check_open("find settled lsn")
            return self.durable_lsn

    def import_position(self, job: str) -> object | None:
        """Where a job goes on, as its last commit said; None for one that is not known."""
        return self._import_places().get(job)

    def end_import(self, job: str) -> None:
        """Forget a job's place: it is done, or given up. Rows stay.

        Raises
        ------
        InvalidArgument, EngineClosed, DiskError
        """
        self._check_writable("end import")
        with self._upkeep_lock:
            places = self._import_places()
            if places.pop(job, None) is not None:
                self._flusher.replace((), (), facts={_FACT: places or None})


def _head_times(captured: Captured, info: StreamInfo) -> list[AnyArray]:
    if info.kind is SlotKind.EVENTS:
        return [chunk.timestamp_ns for chunk in captured.events]
    rows = captured.head.samples(captured, info.value_type)
    return [] if rows is None else [rows.timestamp_ns]
