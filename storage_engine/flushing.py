"""When a flush runs and how it commits: segments, then the manifest, then the log is cut."""

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np

from storage_engine.clock import Clock
from storage_engine.codec.choice import Recipes
from storage_engine.config import EngineConfig
from storage_engine.errors import DiskError, EngineClosed, InvalidArgument
from storage_engine.filesystem import FileSystem
from storage_engine.flush import SegmentFlush, collect_garbage, manifest_of
from storage_engine.manifest import (
    DIRECTORY,
    KEPT,
    Manifest,
    decode_manifest,
    generations,
    store_manifest,
)
from storage_engine.recovery import Found
from storage_engine.sample import Int64Array
from storage_engine.segment.layout import SegmentInfo
from storage_engine.state import Frozen, State
from storage_engine.streams import StreamColumns
from storage_engine.table import AnyColumn, json_column, read_json
from storage_engine.wal import Wal

_NS_PER_S = 1_000_000_000
_FULL = 0.75  # of the head's bound: flush before appends have to wait


class Flusher:
    """Flushes of one open store.

    Parameters
    ----------
    fs : FileSystem
    config : EngineConfig
    clock : Clock
    state : State
    lock : lock
        The engine's, for changing ``state``.
    found : Found
        What was on disk at open.
    """

    def __init__(
        self,
        fs: FileSystem,
        config: EngineConfig,
        clock: Clock,
        *,
        state: State,
        lock: threading.RLock,
        found: Found,
    ) -> None:
        self._fs = fs
        self._config = config
        self._clock = clock
        self._state = state
        self._lock = lock
        self._incarnation = found.incarnation
        self.running = threading.Lock()
        self._kept = [found.manifest] if found.manifest else []
        self._wal_bytes = 0
        self._recipes = Recipes()
        self._holds: list[int] = []
        self.closed = False  # set under ``running``: what waited for it then must not write
        self.facts: Mapping[str, object] = _facts_of(found.manifest)
        self.generation = found.generation
        self.bytes_written = 0  # into segments

    @property
    def checkpoint_lsn(self) -> int:
        """Checkpoint of the newest generation."""
        return self._kept[-1].checkpoint_lsn if self._kept else 0

    @property
    def manifest_path(self) -> str:
        """Where the newest committed generation lies."""
        return self._kept[-1].path

    @contextmanager
    def hold(self, lsn: int) -> Iterator[None]:
        """Keep log files with records from ``lsn`` on meanwhile, neither removed nor used again."""
        with self.running:
            self._holds.append(lsn)
        try:
            yield
        finally:
            with self.running:
                self._holds.remove(lsn)

    def due(self, wal: Wal) -> bool:
        """Whether a head is full or old, or the log long."""
        state, head = self._state, self._state.front
        if state.frozen:
            return True
        if head.size_bytes >= _FULL * head.bytes_max:
            return True
        # The log is kept for two generations, so each may have half of its bound.
        wider = max(head.bytes_max - self._config.head_bytes_max, 0)
        most = self._config.wal_bytes_max // 2 + wider
        if wal.size_bytes - self._wal_bytes > most:
            return True
        oldest = head.oldest_ns
        age_ns = 0 if oldest is None else self._clock.now_ns() - oldest
        return oldest is not None and age_ns >= self._config.flush_age_s * _NS_PER_S

    def begin_store(self) -> None:
        """Write the first generation of a store that has none, so that its incarnation lasts."""
        with self.running:
            if not self._kept:
                with self._lock:
                    frozen = self._state.freeze()
                self._commit(frozen)

    def flush(self, wal: Wal) -> None:
        """Bring everything durable so far into segments, and cut the log.

        Raises
        ------
        DiskError
            The head stays in memory and in the log; the next flush tries again with new files.
        """
        with self.running:
            self._check_open()
            with self._lock:
                durable_lsn = wal.durable_lsn
                self._state.drain(durable_lsn)
                if not self._state.pending and durable_lsn == wal.last_lsn:
                    # Streams and bindings behind the last frame are in the state as well.
                    self._state.note_record(durable_lsn, self._state.times.last_ns)
                if not self._state.front.empty or self._state.applied_lsn > self._covered():
                    # The front head is frozen behind one that a failed flush left over.
                    self._state.freeze()
            self.flush_frozen()
            self.cut_log(wal)
            self._wal_bytes = wal.size_bytes

    def _check_open(self) -> None:
        if self.closed:
            raise EngineClosed("cannot commit: got a closed engine, want an open one")

    def cut_log(self, wal: Wal) -> None:
        """Remove log files that neither a kept generation nor a holder needs."""
        if len(self._kept) >= KEPT:
            wal.drop_before(min([self._kept[-KEPT].checkpoint_lsn + 1, *self._holds]))

    def replace(
        self,
        drop: Collection[int],
        add: Sequence[SegmentInfo],
        *,
        facts: Mapping[str, object] | None = None,
        stale: Collection[int] = (),
    ) -> None:
        """Commit a generation in which some segments are gone and others are there.

        Parameters
        ----------
        drop : collection of int
            Ids that must be live.
        add : sequence of SegmentInfo
            Written, synced and named.
        facts : mapping of str to object, optional
            Merged into the manifest's facts by the same commit; None as a value removes a name.
        stale : collection of int
            Series whose newest sample may be another one now.

        Raises
        ------
        InvalidArgument
            One of ``drop`` is not live any more; nothing was changed.
        DiskError, CorruptData
            Nothing was changed.
        """
        state = self._state
        with self.running:
            self._check_open()
            gone = set(drop)
            missing = gone - state.segments.ids
            if missing:
                raise InvalidArgument(
                    f"cannot replace segments: got {sorted(missing)}, want ids that are live"
                )
            merged = {**self.facts, **(facts or {})}
            held = {name: value for name, value in merged.items() if value is not None}
            before = self._read_newest()
            segments = (*(info for info in state.segments if info.id not in gone), *add)
            counters = read_json(before.table, "counters", at=before.path)
            counters["next_segment_id"] = state.live.next_id
            self.generation += 1
            manifest = Manifest(
                self._incarnation,
                self.generation,
                before.checkpoint_lsn,
                segments,
                {
                    **before.table,
                    "counters": json_column(counters),
                    "facts": json_column(held),
                    "stale_stream": _joined(before.table.get("stale_stream"), stale),
                },
            )
            store_manifest(self._fs, manifest)
            self.facts = held
            with self._lock:
                state.live.use(manifest.segments)
                for newest in (state.newest, *(frozen.newest for frozen in state.frozen)):
                    newest.mark_stale(stale)
            self._committed(manifest)

    def forget(self, wal: Wal) -> None:
        """Let no kept generation and no log file hold more than what is live.

        Raises
        ------
        DiskError, CorruptData, EngineClosed
            It can be tried again.
        """
        wal.rotate(fresh=True)  # everything before is durable then, and in files of its own
        for _ in range(KEPT):
            self.flush(wal)
            self.replace((), ())
        with self.running:
            self.cut_log(wal)
        wal.drop_spare()

    def named(self) -> set[int]:
        """Ids of the segments that kept generations name."""
        with self.running:
            return {info.id for manifest in self._kept for info in manifest.segments}

    def _read_newest(self) -> Manifest:
        path = self.manifest_path
        file = self._fs.open_read(path)
        try:
            return decode_manifest(file.read_at(0, file.size()), at=path)
        finally:
            file.close()

    def _committed(self, manifest: Manifest) -> None:
        self._kept = [*self._kept, _without_table(manifest)][-KEPT:]
        self._clean()

    def _covered(self) -> int:
        """Checkpoint once all frozen heads are flushed."""
        frozen = self._state.frozen
        return frozen[-1].checkpoint_lsn if frozen else self.checkpoint_lsn

    def flush_frozen(self) -> None:
        """Flush the heads that wait, oldest first."""
        while self._state.frozen:
            self._commit(self._state.frozen[0])

    def _commit(self, frozen: Frozen) -> None:
        state = self._state
        with self._lock:
            streams = state.streams.by_id.snapshot()
            types = streams.types
        flush = SegmentFlush(
            self._fs,
            self._config,
            incarnation=self._incarnation,
            streams=streams,
            types=types,
            now_ns=self._clock.now_ns(),
            live=state.live,
            flushed_ns=state.flushed_ns,
            recipes=self._recipes,
        )
        try:
            segments = flush.run(frozen)
            self._commit_segments(frozen, segments, streams, flush.flushed_ns)
        finally:
            state.live.release(flush.ids)

    def _commit_segments(
        self,
        frozen: Frozen,
        segments: Sequence[SegmentInfo],
        streams: StreamColumns,
        flushed_ns: Int64Array,
    ) -> None:
        state = self._state
        self.generation += 1
        manifest = manifest_of(
            frozen,
            incarnation=self._incarnation,
            generation=self.generation,
            segments=(*state.segments, *segments),
            streams=streams,
            next_segment_id=state.live.next_id,
            facts=self.facts,
            flushed_ns=flushed_ns,
        )
        store_manifest(self._fs, manifest)
        with self._lock:  # readers see the rows in one place, never in both or neither
            state.frozen = state.frozen[1:]
            state.flushed_ns = flushed_ns
            self.bytes_written += sum(info.size for info in segments)
            state.live.use(manifest.segments)
        self._committed(manifest)

    def _clean(self) -> None:
        """Remove generations and segments that nothing names any more; failing costs space only."""
        try:
            kept = {manifest.generation for manifest in self._kept}
            # One above a kept one is the rest of a commit that failed: it names what may be gone.
            old = [g for g in generations(self._fs) if g not in kept]
            for generation in old:
                self._fs.remove(f"{DIRECTORY}/{generation:016x}")
            if old:
                self._fs.sync_directory(DIRECTORY)
            if len(self._kept) == KEPT:
                collect_garbage(self._fs, self._kept, self._state.live)
        except DiskError:
            return


def _facts_of(manifest: Manifest | None) -> Mapping[str, object]:
    if manifest is None or "facts" not in manifest.table:
        return {}
    facts: dict[str, object] = read_json(manifest.table, "facts", at=manifest.path)
    return facts


def _joined(before: AnyColumn | None, more: Collection[int]) -> AnyColumn:
    held = set(more) | set(() if before is None else before.tolist())
    return np.array(sorted(held), np.uint32)


def _without_table(manifest: Manifest) -> Manifest:
    """Keep what garbage collection needs, not megabytes of arrays."""
    return Manifest(
        manifest.incarnation, manifest.generation, manifest.checkpoint_lsn, manifest.segments, {}
    )
