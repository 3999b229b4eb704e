"""What all sides of the engine share: its parts, its lock, and its checks.

Locks, in the order they are taken: the upkeep lock lets one job at a time replace segments
(compaction, expiry, import); the events lock lets one writer of events at a time look for
conflicts; the flusher's lets one flush or commit run; ``_lock`` guards the state in memory, for
short stretches only. A frame joins the head when it is durable, so every read sees durable rows
alone.
"""

import threading
from collections.abc import Sequence

from storage_engine.aside import Aside
from storage_engine.clock import Clock
from storage_engine.compaction import Compacting
from storage_engine.config import EngineConfig
from storage_engine.errors import DiskError, EngineClosed, InvalidArgument, LowDisk
from storage_engine.filesystem import FileSystem, Lock
from storage_engine.findings import Findings
from storage_engine.flushing import Flusher
from storage_engine.packed_runs import PackedBlocks
from storage_engine.read_threads import ReadThreads
from storage_engine.recovery import load_store, replayer
from storage_engine.segment.reader import SegmentReader
from storage_engine.state import State
from storage_engine.stretches import Touched
from storage_engine.wal import Wal
from storage_engine.wal_reader import read_log
from storage_engine.wal_record import Finding

WAL_DIRECTORY = "wal"
TIME_MIN, TIME_MAX = -(2**63), 2**63 - 1
_UNBOUNDED = 1 << 30


class EngineCore:
    """Parts of one open store.

    Parameters
    ----------
    fs : FileSystem
    config : EngineConfig
    clock : Clock
    lock : Lock or None
        The store's lock, None for reading only.
    """

    def __init__(
        self,
        fs: FileSystem,
        config: EngineConfig,
        clock: Clock,
        lock: Lock | None,
    ) -> None:
        self._fs = fs
        self._config = config
        self._clock = clock
        self._store_lock = lock
        self._read_only = read_only = lock is None
        self._closed = False
        self._lock = threading.RLock()
        self._events_lock = threading.Lock()
        self._upkeep_lock = threading.Lock()
        self._compaction = Compacting()
        self._found = Findings(config.findings_max)
        self._aside = Aside(fs, self._found)
        self._reader = SegmentReader(fs, config, self._found)
        self._packed = PackedBlocks(self._reader, config.packed_cache_bytes)
        self._touched = Touched()
        self._threads = ReadThreads(config.read_threads)
        self._state = State(config)
        self._wal: Wal | None = None
        self._stream_lsn = 0  # of the newest STREAM record written here
        found = load_store(fs, config, self._found, self._state, self._reader)
        self._aside.recall(self._reader, self._state.segments)
        if not read_only:
            self._aside.move(self._state.segments)
        self.incarnation = found.incarnation
        self._reader.know(found.incarnation)
        self._flusher = Flusher(fs, config, clock, state=self._state, lock=self._lock, found=found)
        apply = replayer(self._state, self._found, self._make_room_at_open)
        if read_only:
            replayed = read_log(
                fs,
                WAL_DIRECTORY,
                start_lsn=found.start_lsn,
                apply=apply,
                apply_frames=self._state.apply_frames,
            )
            self._take_findings(replayed.findings)
            return
        self._flusher.begin_store()
        self._wal = Wal.open(
            fs,
            WAL_DIRECTORY,
            clock=clock,
            file_bytes_max=config.wal_file_bytes,
            pending_bytes_max=config.wal_pending_bytes_max,
            start_lsn=found.start_lsn,
            apply=apply,
            apply_frames=self._state.apply_frames,
        )
        self._take_findings(self._wal.findings)
        self._aside.save()

    def _take_findings(self, findings: Sequence[Finding]) -> None:
        for finding in findings:
            self._found.add(finding.path, finding.offset, finding.what)

    def _make_room_at_open(self, rows: int, size_bytes: int) -> None:
        """Leave full heads to the first flush, or flush while replaying when there are many."""
        self._state.make_room(rows, size_bytes, frozen_max=_UNBOUNDED)
        held = sum(frozen.head.size_bytes for frozen in self._state.frozen)
        most = self._config.open_heads_max * self._config.head_bytes_max
        if held > most and not self._read_only:
            try:
                self._flusher.flush_frozen()
            except DiskError:
                return  # no space: the rows stay in memory, and the store opens

    def _drain(self) -> None:
        if self._wal is not None:
            self._state.drain(self._wal.durable_lsn)

    def _check_open(self, what: str) -> None:
        if self._closed:
            raise EngineClosed(f"cannot {what}: got a closed engine, want an open one")

    def _check_writable(self, what: str) -> None:
        self._check_open(what)
        if self._wal is None:
            raise InvalidArgument(f"cannot {what}: got a store opened read-only")
        if self._wal.failed:
            raise EngineClosed(f"cannot {what}: got a log that {self._wal.failed}, want a reopen")

    def _check_space(self) -> None:
        free = self._fs.free_bytes()
        if free < self._config.free_bytes_min:
            raise LowDisk(
                f"cannot append frame: got {free} bytes free, want {self._config.free_bytes_min}",
                got=free,
                want=self._config.free_bytes_min,
            )
