"""The engine: open, append, read, flush, close. It orchestrates; no byte is touched here.

Appends and streams are in ``engine_writes``, reads in ``engine_reads``, shared parts and the order
of locks in ``engine_core``.
"""

from collections.abc import Callable
from typing import Self

from storage_engine.clock import Clock
from storage_engine.config import EngineConfig
from storage_engine.engine_backup import BackupSide
from storage_engine.engine_briefs import BriefSide
from storage_engine.engine_erasure import ErasureSide
from storage_engine.engine_retention import RetentionSide
from storage_engine.engine_types import Appended, EngineStats, LatestSamples
from storage_engine.filesystem import FileSystem
from storage_engine.manifest import KEPT, generations
from storage_engine.producers import ProducerState
from storage_engine.streams import StreamInfo
from storage_engine.wal_record import Finding

_LOCK = "lock"


class Engine(RetentionSide, BackupSide, ErasureSide, BriefSide):
    """One open store. Build it with :meth:`open`; every method is safe for many threads."""

    @classmethod
    def open(
        cls, fs: FileSystem, config: EngineConfig, clock: Clock, *, read_only: bool = False
    ) -> Self:
        """Open a store, or begin one in an empty directory.

        Parameters
        ----------
        fs : FileSystem
            Below the store's root.
        config : EngineConfig
        clock : Clock
        read_only : bool
            Look at a store that another process may write: no lock, no change, and what is
            written later is not seen.

        Returns
        -------
        Engine

        Raises
        ------
        StoreLocked
            Another process writes this store.
        UnsupportedFormat
            A newer version wrote it.
        DiskError
            The medium refused. Damage is no reason: it is named by :attr:`findings`.
        """
        if read_only:
            return cls._open_beside_a_writer(fs, config, clock)
        lock = fs.lock(_LOCK)
        try:
            return cls(fs, config, clock, lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def _open_beside_a_writer(cls, fs: FileSystem, config: EngineConfig, clock: Clock) -> Self:
        # The log is kept for two generations: with two newer ones, some of it may have gone.
        while True:
            engine = cls(fs, config, clock, None)
            if max(generations(fs), default=0) < engine._flusher.generation + KEPT:
                return engine
            engine.close()

    def flush(self) -> None:
        """Bring every durable row into segments.

        Raises
        ------
        InvalidArgument
            Opened read-only.
        EngineClosed
        DiskError
            Nothing is lost: rows stay in memory and in the log.
        """
        self._check_writable("flush")
        assert self._wal is not None, "checked before"
        with self._lock:
            self._drain()
        self._flusher.flush(self._wal)

    def maintain(self) -> None:
        """Flush when a head is full or old or the log long; call it about every second.

        Raises
        ------
        DiskError, EngineClosed
            As :meth:`flush`.
        """
        if self._closed or self._wal is None or self._wal.failed:
            return
        with self._lock:
            self._drain()
        if self._flusher.due(self._wal):
            self._flusher.flush(self._wal)
        self._reader.retain(self._state.live.held)
        self._aside.save()

    def findings(self) -> list[Finding]:
        """Pieces of damage found since open, each once."""
        return self._found.list()

    def verify(self, progress: Callable[[int], None] = lambda size_bytes: None) -> list[Finding]:
        """Read every block of every segment from disk; gives all findings.

        The log was checked when the store was opened; what was found there is among them.

        Parameters
        ----------
        progress : callable
            Told the size in bytes of each segment that is done.

        Raises
        ------
        EngineClosed
        """
        self._check_open("verify")
        self._reader.forget()
        self._packed.clear()
        held = self._state.segments  # so that compaction takes no file away meanwhile
        self._reader.verify({info.id: info for info in held}, progress)
        return self._found.list()

    def stats(self) -> EngineStats:
        """Figures for health and metrics."""
        with self._lock:
            state = self._state
            heads = [frozen.head for frozen in state.frozen] + [state.front]
            return EngineStats(
                streams=len(state.streams.by_id),
                segments=len(state.segments),
                segment_bytes=sum(info.size for info in state.segments),
                segment_rows=sum(info.rows for info in state.segments),
                head_rows=sum(head.rows for head in heads),
                head_bytes=sum(head.size_bytes for head in heads),
                pending_frames=len(state.pending),
                wal_bytes=0 if self._wal is None else self._wal.size_bytes,
                wal_pending_bytes=0 if self._wal is None else self._wal.pending_bytes,
                wal_syncs=0 if self._wal is None else self._wal.batches,
                applied_lsn=state.applied_lsn,
                durable_lsn=self.durable_lsn,
                checkpoint_lsn=self._flusher.checkpoint_lsn,
                generation=self._flusher.generation,
                findings=len(self._found.list()),
                free_bytes=self._fs.free_bytes(),
                flushed_bytes=self._flusher.bytes_written,
                compacted_bytes=self._compaction.bytes_written,
                compaction_jobs=self._compaction.jobs,
                segments_left_alone=len(self._compaction.alone & state.segments.ids),
            )

    def close(self) -> None:
        """Make everything durable as far as the disk lets, and end; closing twice is fine."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        with self._upkeep_lock, self._flusher.running:
            self._flusher.closed = True
            if self._wal is not None:
                self._wal.close()
            self._threads.close()
            self._reader.close()
            if self._store_lock is not None:
                self._aside.save()
                self._store_lock.release()


__all__ = [
    "Appended",
    "Engine",
    "EngineStats",
    "Finding",
    "LatestSamples",
    "ProducerState",
    "StreamInfo",
]
