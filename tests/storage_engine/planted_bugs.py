"""Bugs that stores have had, each as a function that plants it; found by ``test_planted_bugs``."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from storage_engine import (
    block,
    flush,
    flushing,
    recovery,
    rewrite,
    state,
    wal,
    wal_commit,
    wal_files,
    wal_reader,
    wal_record,
    wal_scan,
)
from storage_engine.checksum import crc32c
from storage_engine.errors import DiskError
from storage_engine.manifest import Manifest
from storage_engine.producers import Bindings, Producers
from storage_engine.recording import RecordingFile, RecordingFileSystem
from storage_engine.tombstones import Tombstones
from storage_engine.wal_record import RecordHeader, RecordKind

Patch = pytest.MonkeyPatch


def acknowledged_before_the_sync(patch: Patch) -> None:
    """The log's writer reports success and leaves the sync for later."""
    commit, sync, busy = wal_commit.SyncCommitter._commit, RecordingFile.sync, [False]

    def plant(committer: wal_commit.SyncCommitter) -> None:
        busy[0] = True
        commit(committer)
        busy[0] = False

    patch.setattr(wal_commit.SyncCommitter, "_commit", plant)
    patch.setattr(RecordingFile, "sync", lambda file: None if busy[0] else sync(file))


def forget_syncs_of(patch: Patch, directory: str, which: Callable[[str], bool]) -> None:
    """Files of a directory are never synced."""
    sync = RecordingFile.sync

    def plant(file: RecordingFile) -> None:
        if not (file._path.startswith(directory) and which(file._path)):
            sync(file)

    patch.setattr(RecordingFile, "sync", plant)


def manifest_renamed_unsynced(patch: Patch) -> None:
    """A generation gets its name before its content is durable."""
    forget_syncs_of(patch, "manifest", lambda path: True)


def segment_renamed_unsynced(patch: Patch) -> None:
    """A segment gets its name before its content is durable."""
    forget_syncs_of(patch, "segments", lambda path: True)


def log_file_renamed_unsynced(patch: Patch) -> None:
    """A log file gets its name before its header and copies are durable."""
    forget_syncs_of(patch, "wal", lambda path: path.endswith(".new"))


def forget_names_of(patch: Patch, directory: str) -> None:
    """A directory is never synced."""
    sync = RecordingFileSystem.sync_directory

    def plant(fs: RecordingFileSystem, path: str) -> None:
        if not path.startswith(directory):
            sync(fs, path)

    patch.setattr(RecordingFileSystem, "sync_directory", plant)


def log_directory_unsynced(patch: Patch) -> None:
    """A new log file is used before its name is durable."""
    forget_names_of(patch, "wal")


def manifest_directory_unsynced(patch: Patch) -> None:
    """The log is cut before the rename of the manifest is durable."""
    forget_names_of(patch, "manifest")


def segment_directory_unsynced(patch: Patch) -> None:
    """A manifest names segments whose names are not durable."""
    forget_names_of(patch, "segments")


def record_header_without_sum(patch: Patch) -> None:
    """The header of a record of the log is believed unseen."""

    def plant(data: bytes, offset: int, seed: int) -> RecordHeader | None:
        del seed
        if data[offset : offset + 4] != wal_record.RECORD_MAGIC or offset + 40 > len(data):
            return None
        _, size, lsn, time_ns, kind, crc = wal_record._RECORD.unpack_from(data, offset)
        end = offset + 40 + wal_record.padded(size)
        return RecordHeader(offset, end, size, lsn, time_ns, kind, crc)

    patch.setattr(wal_scan, "unpack_record", plant)


def block_header_without_sum(patch: Patch) -> None:
    """The sum of a block covers its columns, not the table that says what they are."""

    def plant(data: bytes, seed: int = 0) -> int:
        rest = memoryview(data)
        table = 8 + 20 * int.from_bytes(rest[4:6], "little")
        return crc32c(bytes(rest[table:]) if len(rest) > 64 else bytes(rest), seed)

    patch.setattr(block, "crc32c", plant)


def retried_after_a_failed_sync(patch: Patch) -> None:
    """The second try says yes; the first had thrown the pages away."""
    sync = RecordingFile.sync

    def plant(file: RecordingFile) -> None:
        try:
            sync(file)
        except DiskError:
            sync(file)

    patch.setattr(RecordingFile, "sync", plant)


def lost_write_acknowledged(patch: Patch) -> None:
    """A write that the medium refused counts as done."""
    write = RecordingFile.write_at

    def plant(file: RecordingFile, offset: int, data: bytes) -> None:
        try:
            write(file, offset, data)
        except DiskError:
            if not file._path.startswith("wal"):
                raise

    patch.setattr(RecordingFile, "write_at", plant)


def lost_tombstone(patch: Patch) -> None:
    """A checkpoint forgets what was deleted before it."""
    patch.setattr(Tombstones, "columns", lambda stones: {})


def change_not_replayed(patch: Patch) -> None:
    """Replay steps over changes."""
    skip_records(patch, RecordKind.CHANGE)


def stale_binding(patch: Patch) -> None:
    """Replay steps over bindings, so that slots mean what they meant at the checkpoint."""
    skip_records(patch, RecordKind.BIND)


def skip_records(patch: Patch, kind: RecordKind) -> None:
    """Replay takes note of records of a kind, and does nothing."""
    replayer = recovery.replayer

    def plant(store: state.State, *rest: object) -> Callable[[object], None]:
        apply = replayer(store, *rest)

        def one(record) -> None:
            if record.kind is kind:
                store.note_record(record.lsn, record.record_time_ns)
            else:
                apply(record)

        return one

    patch.setattr("storage_engine.engine_core.replayer", plant)


def binding_of_the_future(patch: Patch) -> None:
    """A checkpoint names bindings that were made behind it, as this engine once did."""
    bound = Producers.bound

    def plant(producers: Producers, lsn: int) -> list[tuple[bytes, Bindings]]:
        del lsn
        return bound(producers, 1 << 62)

    patch.setattr(Producers, "bound", plant)


def applied_twice(patch: Patch) -> None:
    """Replay begins before the checkpoint."""
    read = wal_reader.read_log

    def plant(fs, directory, *, start_lsn, **applied):
        return read(fs, directory, start_lsn=max(0, start_lsn - 3), **applied)

    patch.setattr(wal, "read_log", plant)


def redelivery_not_known(patch: Patch) -> None:
    """Producers' states are not restored, so a frame that comes again is taken again."""
    load = Producers.load

    def plant(producers: Producers, table: dict) -> None:
        load(producers, table)
        producers.states.clear()

    patch.setattr(Producers, "load", plant)


def producers_ahead_of_the_log(patch: Patch) -> None:
    """A checkpoint names frames that are not durable."""
    freeze = state.State.freeze

    def plant(store: state.State, rows_min: int = 1) -> state.Frozen:
        ahead = replace(freeze(store, rows_min), states=dict(store.producers.states))
        store.frozen = (*store.frozen[:-1], ahead)
        return ahead

    patch.setattr(state.State, "freeze", plant)


def log_cut_before_the_manifest(patch: Patch) -> None:
    """The log goes before what covers it is durable."""
    run = flushing.Flusher.flush

    def plant(flusher: flushing.Flusher, log: wal.Wal) -> None:
        log.rotate()
        log.drop_before(log.last_lsn + 1)
        run(flusher, log)

    patch.setattr(flushing.Flusher, "flush", plant)


def garbage_that_is_alive(patch: Patch) -> None:
    """Segments of the older generation are collected although reads need them."""
    collect = flush.collect_garbage

    def plant(fs, kept: Sequence[Manifest], live) -> None:
        oldest = min((info.id for one in kept for info in one.segments), default=0)
        fewer = [
            replace(one, segments=tuple(i for i in one.segments if i.id != oldest)) for one in kept
        ]
        patch.setattr(live, "held", lambda number: False)
        collect(fs, fewer, live)

    patch.setattr(flushing, "collect_garbage", plant)


def revision_dropped_by_compaction(patch: Patch) -> None:
    """Of one time only the newest row is written anew."""

    def plant(rows, stream):
        keep = np.ones(len(rows), np.bool_)
        time = rows.timestamp_ns
        keep[:-1] = (time[1:] != time[:-1]) | (stream[1:] != stream[:-1])
        return keep

    patch.setattr(rewrite, "drop_redelivered", plant)


def erased_rows_written_anew(patch: Patch) -> None:
    """A rewrite forgets to leave erased rows out, and says that it did."""
    patch.setattr(rewrite, "erased", lambda rows, stones: None)


def recycled_content_believed(patch: Patch) -> None:
    """Sums do not start from the file's number, and the reader does not doubt an old lsn."""
    for module in (wal, wal_files, wal_reader):
        patch.setattr(module, "file_seed", lambda number: 7)
    pieces = wal_reader._Replay.pieces

    def plant(replay, path, data, found, *rest) -> None:
        sound = (piece for piece in found if isinstance(piece, wal_scan.Sound))
        for piece in (run.header(place) for run in sound for place in range(len(run.lsn))):
            if piece.kind < 128 and piece.lsn <= replay.start:
                body = data[piece.body : piece.body + piece.body_bytes]
                kind = RecordKind(piece.kind)
                replay.apply(wal_record.Record(piece.lsn, kind, piece.record_time_ns, body))
        pieces(replay, path, data, found, *rest)

    patch.setattr(wal_reader._Replay, "pieces", plant)


def mark_before_the_sync(patch: Patch) -> None:
    """The proof of durability is written before there is any."""
    commit = wal_commit.SyncCommitter._commit

    def plant(committer: wal_commit.SyncCommitter) -> None:
        if committer._records:
            proof = wal_record.pack_record(
                committer._seed, committer._next_lsn - 1, wal_record.KIND_DURABLE, 0, ()
            )
            committer._records.append(proof)
        commit(committer)

    patch.setattr(wal_commit.SyncCommitter, "_commit", plant)


def unproven_tail_not_copied(patch: Patch) -> None:
    """What recovery read from the page cache counts as durable without a new sync."""
    begin = wal_files.LogFiles.begin

    def plant(files, copies, last_lsn, room=0):
        return begin(files, (), last_lsn, room)

    patch.setattr(wal_files.LogFiles, "begin", plant)
