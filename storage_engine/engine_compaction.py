"""The side of the engine that writes segments anew; writers and readers never wait for it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from storage_engine.compaction import Erasures, Job, Reason, plan
from storage_engine.engine_core import EngineCore
from storage_engine.errors import CorruptData, InvalidArgument, LowDisk
from storage_engine.merging import Pace
from storage_engine.rewrite import Rewrite, remove_segments
from storage_engine.segment.layout import SegmentInfo
from storage_engine.segment.live import SegmentSet
from storage_engine.tombstones import Tombstones


@dataclass(frozen=True, slots=True)
class CompactionReport:
    """What a compaction did.

    Attributes
    ----------
    jobs : dict of str to int
        By reason: ``erase``, ``tier``, ``late``, ``widen``, ``cold``.
    segments_read, segments_written : int
    bytes_read, bytes_written : int
    rows_dropped : int
        Erased, or delivered again.
    left_alone : tuple of str
        Paths of damaged segments found by it; they are not tried again until the store is reopened.
    erasures_pending : tuple of int
        Lsns of erasures that a live segment may still hold rows of: those in damaged segments.
    """

    jobs: dict[str, int]
    segments_read: int
    segments_written: int
    bytes_read: int
    bytes_written: int
    rows_dropped: int
    left_alone: tuple[str, ...]
    erasures_pending: tuple[int, ...]


@dataclass(slots=True)
class _Tally:
    jobs: Counter[str] = field(default_factory=Counter)
    segments_read: int = 0
    segments_written: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    rows_dropped: int = 0


class CompactionSide(EngineCore):
    """Compaction: call :meth:`compact` now and then from a thread of its own."""

    def compact(self, pace: Pace) -> CompactionReport:
        """Do every job that is due.

        Parameters
        ----------
        pace : callable
            Told the bytes just read or written; it may sleep, or raise EngineClosed to cancel.

        Returns
        -------
        CompactionReport

        Raises
        ------
        InvalidArgument
            Opened read-only.
        EngineClosed
            Closed, or cancelled by ``pace``; nothing of the job at hand is left.
        DiskError
            As for a flush; the segments stay as they were. LowDisk when outputs could take the
            reserve that appends need.
        """
        self._check_writable("compact")
        tally, damaged = _Tally(), set(self._compaction.damaged)
        while True:
            with self._upkeep_lock:
                self._check_writable("compact")
                segments, tombstones = self._compaction_view()
                job = self._next_job(segments, tombstones)
                if job is None:
                    break
                self._run_job(job, tombstones, pace, tally)
        found = self._compaction.damaged - damaged
        return CompactionReport(
            jobs=dict(tally.jobs),
            segments_read=tally.segments_read,
            segments_written=tally.segments_written,
            bytes_read=tally.bytes_read,
            bytes_written=tally.bytes_written,
            rows_dropped=tally.rows_dropped,
            left_alone=tuple(info.path for info in segments if info.id in found),
            erasures_pending=self._pending(*self._compaction_view()),
        )

    def compaction_due(self) -> bool:
        """Whether :meth:`compact` would do something now; looks at directories at most."""
        if self._closed or self._wal is None or self._wal.failed:
            return False
        return self._next_job(*self._compaction_view()) is not None

    def _compaction_view(self) -> tuple[SegmentSet, Tombstones]:
        # Under one lock: a row in these segments that came behind an erasure is seen with it.
        with self._lock:
            self._check_open("compact")
            self._drain()
            return self._state.segments, self._state.tombstones

    def _next_job(self, segments: SegmentSet, tombstones: Tombstones) -> Job | None:
        erasures = Erasures(tombstones)
        return plan(
            (info for info in segments if info.id not in self._compaction.alone),
            self._config,
            self._clock.now_ns(),
            lambda info: bool(self._erasures_in(info, erasures)),
        )

    def _erasures_in(self, info: SegmentInfo, erasures: Erasures) -> list[int]:
        """Lsns of erasures that a segment may hold rows of."""
        checked = self._compaction.clean.get(info.id, info.erased_lsn)
        near = erasures.near(info, checked)
        found = []
        directory = self._reader.directory(info) if near else None
        for stone in near:
            if directory is None:
                found.append(stone.lsn)
                continue
            table, runs = directory.table, directory.runs_of(stone.stream_id)
            first, last = table["run_first"][runs], table["run_last"][runs]
            inside = (first < stone.end_ns) & (last >= stone.start_ns)
            inside &= table["run_stamp_min"][runs] >> 1 < stone.lsn
            if inside.any():
                found.append(stone.lsn)
        if not found:
            self._compaction.clean[info.id] = max(checked, erasures.newest_lsn)
        return found

    def _pending(self, segments: SegmentSet, tombstones: Tombstones) -> tuple[int, ...]:
        erasures = Erasures(tombstones)
        found = {lsn for info in segments for lsn in self._erasures_in(info, erasures)}
        return tuple(sorted(found))

    def _run_job(self, job: Job, tombstones: Tombstones, pace: Pace, tally: _Tally) -> None:
        """Write and commit; a damaged input is named and left alone from then on."""

        def paced(size_bytes: int) -> None:
            self._check_open("compact")
            pace(size_bytes)

        free, want = self._fs.free_bytes(), self._config.free_bytes_min + job.size_bytes
        if free < want:
            raise LowDisk(
                f"cannot compact: got {free} bytes free, want {want}: the reserve and the outputs",
                got=free,
                want=want,
            )
        live = self._state.live
        with self._lock:
            streams = self._state.streams.by_id.snapshot()
        rewrite = Rewrite(
            self._fs,
            self._config,
            self._reader,
            incarnation=self.incarnation,
            streams=streams,
            now_ns=self._clock.now_ns(),
            live=live,
        )
        try:
            outputs = rewrite.run(job.inputs, tombstones, pace=paced)
        except CorruptData as error:
            self._leave_alone(job, error)
            return
        ids = [info.id for info in outputs]
        try:
            self._check_open("compact")
            self._flusher.replace([info.id for info in job.inputs], outputs)
        except InvalidArgument:
            remove_segments(self._fs, live, outputs)
            raise
        finally:
            # After a failed commit the files stay: a generation on disk may name them.
            live.release(ids)
        self._note(job, outputs, tally)

    def _note(self, job: Job, outputs: Sequence[SegmentInfo], tally: _Tally) -> None:
        written = sum(info.size for info in outputs)
        tally.jobs[job.reason.value] += 1
        tally.segments_read += len(job.inputs)
        tally.segments_written += len(outputs)
        tally.bytes_read += job.size_bytes
        tally.bytes_written += written
        tally.rows_dropped += sum(i.rows for i in job.inputs) - sum(o.rows for o in outputs)
        self._compaction.jobs += 1
        self._compaction.bytes_written += written
        gone = {info.id for info in job.inputs}
        for segment_id in gone & self._compaction.clean.keys():
            del self._compaction.clean[segment_id]
        # Planning counts on fewer segments of a kind; where that fails, it ends here.
        kinds = {(info.partition, info.retention_class) for info in job.inputs}
        same = {o.id for o in outputs if (o.partition, o.retention_class) in kinds}
        if job.reason in {Reason.TIER, Reason.WIDEN} and len(same) >= len(job.inputs):
            self._compaction.alone |= same

    def _leave_alone(self, job: Job, error: CorruptData) -> None:
        path = error.facts.get("path")
        damaged = {info.id for info in job.inputs if info.path == path}
        self._found.add(str(path), int(error.facts.get("offset", 0)), str(error))
        # Without a name nobody knows which: then none of them is tried again.
        self._compaction.alone |= damaged or {info.id for info in job.inputs}
        self._compaction.damaged |= damaged
