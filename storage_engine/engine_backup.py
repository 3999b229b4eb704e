"""The engine's part of a backup: what belongs together at one moment, held until it is copied."""

from storage_engine.backup import Attach, BackupWriter, take_repository
from storage_engine.backup_facts import BackupFacts, read_facts
from storage_engine.engine_core import EngineCore
from storage_engine.manifest import Manifest, decode_manifest
from storage_engine.segment.live import SegmentSet
from storage_engine.subtree import Pace, TreeFileSystem, no_pace, read_whole


class BackupSide(EngineCore):
    """Backups of an open store; appends, reads, flushes and upkeep go on meanwhile."""

    def backup(
        self,
        repository: TreeFileSystem,
        name: str,
        *,
        parent: str | None = None,
        attach: Attach | None = None,
        pace: Pace = no_pace,
    ) -> BackupFacts:
        """Write a backup; it is whole on return, or not there.

        Parameters
        ----------
        repository : TreeFileSystem
            Directory of backups, made when missing.
        name : str
        parent : str, optional
            An earlier backup in the repository: files that are the same get a second name instead
            of a copy. Every backup stands alone all the same.
        attach : callable, optional
            Called last with the backup's directory for the time being; writes further files into
            it and gives their paths below it.
        pace : callable
            Told each number of bytes read; may sleep, or raise EngineClosed to give up.

        Returns
        -------
        BackupFacts
            What it holds, and what was found damaged in the store; the rest was copied.

        Raises
        ------
        InvalidArgument
            Opened read-only, a name that is taken or none, or no such parent.
        StoreLocked
            Another backup is being made in this repository.
        EngineClosed
            The engine is closed, or ``pace`` gave up.
        DiskError, CorruptData
            The repository refused; or newest manifest, log or the parent's facts cannot be read.
        """
        self._check_writable("back up")
        assert self._wal is not None, "checked before"
        begun_ns = self._clock.now_ns()
        held = take_repository(repository)
        try:
            shared = None if parent is None else read_facts(repository, parent)
            writer = BackupWriter(self._fs, repository, name, shared, pace)
            writer.begin()
            try:
                with self._flusher.hold(self._flusher.checkpoint_lsn + 1):
                    segments, manifest, data, durable_lsn = self._one_moment()
                    writer.add_manifest(manifest.path, data)
                    counted = writer.add_log(manifest.checkpoint_lsn, durable_lsn)
                # The set keeps the files, however long this takes; the log is free to go.
                writer.add_segments(segments)
                attached = () if attach is None else writer.attach(attach)
                return writer.finish(
                    manifest,
                    counted,
                    segments=segments,
                    attached=attached,
                    begun_ns=begun_ns,
                    ended_ns=self._clock.now_ns(),
                )
            except BaseException:
                writer.discard()
                raise
        finally:
            held.release()

    def _one_moment(self) -> tuple[SegmentSet, Manifest, bytes, int]:
        """Newest generation, its segments, and how far the log was durable, of one moment."""
        assert self._wal is not None, "checked before"
        with self._flusher.running:
            durable_lsn = self._wal.durable_lsn  # before the rest: an import commits behind its lsn
            path = self._flusher.manifest_path
            segments, data = self._state.segments, read_whole(self._fs, path)
        return segments, decode_manifest(data, at=path), data, durable_lsn
