"""One backup written, checked, removed: files of a live store into a repository.

The engine says what to copy (``engine_backup``); here is how it becomes a directory that is whole
or not there. Layout and rules: ``docs/format/backup.md``.
"""

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from storage_engine.backup_facts import (
    ENGINE,
    FACTS,
    FULL,
    INCREMENTAL,
    LOCK,
    NEW,
    BackupDamage,
    BackupFacts,
    BackupFile,
    check_name,
    encode_facts,
    total_bytes,
)
from storage_engine.backup_log import CountedLog, copy_log, count_log
from storage_engine.errors import DiskError, InvalidArgument
from storage_engine.filesystem import File, FileSystem, Lock
from storage_engine.manifest import Manifest
from storage_engine.segment.layout import EDGE_BYTES, SegmentInfo
from storage_engine.subtree import (
    Below,
    Copied,
    Pace,
    TreeFileSystem,
    copy_opened,
    digest_file,
    remove_tree,
    sync_tree,
    write_file,
)

Attach = Callable[[str], Iterable[str]]


def take_repository(repository: TreeFileSystem) -> Lock:
    """Take the lock of a repository, and remove what an interrupted backup or removal left.

    Raises
    ------
    StoreLocked
        Another backup is being made or removed.
    DiskError
    """
    repository.make_directories(".")
    held = repository.lock(LOCK)
    try:
        rests = [n for n in repository.list(".") if n.endswith(NEW) and repository.is_directory(n)]
        for name in rests:
            remove_tree(repository, name)
        if rests:
            repository.sync_directory(".")
    except BaseException:
        held.release()
        raise
    return held


def remove_backup(repository: TreeFileSystem, name: str) -> None:
    """Remove a backup; every other one stays whole.

    Parameters
    ----------
    repository : TreeFileSystem
    name : str

    Raises
    ------
    InvalidArgument
        There is none of this name.
    StoreLocked, DiskError
    """
    if not repository.is_directory(check_name(name)):
        raise InvalidArgument(f"cannot remove backup: got {name!r}, want one that is there")
    held = take_repository(repository)
    try:
        # Under the other name it is not taken for whole, however far the removal comes.
        repository.rename(name, name + NEW)
        repository.sync_directory(".")
        remove_tree(repository, name + NEW)
        repository.sync_directory(".")
    finally:
        held.release()


@dataclass(slots=True)
class BackupWriter:
    """A backup in the making, in ``<name>.new``.

    Parameters
    ----------
    source : FileSystem
        The store's.
    repository : TreeFileSystem
    name : str
    parent : BackupFacts or None
        Whose files are shared where they are the same.
    pace : callable
        Told every number of bytes read.
    """

    source: FileSystem
    repository: TreeFileSystem
    name: str
    parent: BackupFacts | None
    pace: Pace
    files: list[BackupFile] = field(default_factory=list)
    damage: list[BackupDamage] = field(default_factory=list)
    copied_bytes: int = 0
    linked_bytes: int = 0
    named: bool = False

    @property
    def directory(self) -> str:
        """Where it lies until it is whole."""
        return self.name + NEW

    def begin(self) -> None:
        """Make the directory.

        Raises
        ------
        InvalidArgument
            The name is taken.
        """
        if self.repository.exists(check_name(self.name)):
            raise InvalidArgument(f"cannot make backup: got {self.name!r}, want a name not taken")
        self.repository.make_directories(f"{self.directory}/{ENGINE}/wal")

    @property
    def _engine(self) -> Below:
        return Below(self.repository, f"{self.directory}/{ENGINE}")

    def add_manifest(self, path: str, data: bytes) -> None:
        """Write a generation as it was read."""
        self._make_parents(path)
        self._add(f"{ENGINE}/{path}", write_file(self._engine, path, data))

    def add_log(self, after_lsn: int, upto_lsn: int) -> CountedLog:
        """Copy the records behind one lsn up to another, and read the copy back."""
        for path, copied in copy_log(self.source, self._engine, after_lsn, upto_lsn, self.pace):
            self._add(f"{ENGINE}/{path}", copied)
        counted = count_log(self._engine, after_lsn, self.pace)
        self.damage += [BackupDamage(f"{ENGINE}/{f.path}", f.what) for f in counted.findings]
        return counted

    def add_segments(self, infos: Iterable[SegmentInfo]) -> None:
        """Copy segments, or share the parent's files; what cannot be read is named."""
        shared = {} if self.parent is None else {file.path: file for file in self.parent.files}
        for info in infos:
            path = f"{ENGINE}/{info.path}"
            try:
                reading = self.source.open_read(info.path)
            except DiskError as error:
                self.damage.append(BackupDamage(path, f"cannot be read: {error}"))
                continue
            try:
                self._add_segment(info, path, reading, shared.get(path))
            finally:
                reading.close()

    def _add_segment(
        self, info: SegmentInfo, path: str, reading: File, held: BackupFile | None
    ) -> None:
        if (size := reading.size()) != info.size:
            self.damage.append(BackupDamage(path, f"got {size} bytes, want {info.size}"))
        self._make_parents(info.path)
        if held is None or not self._share(info, held):
            self._add(path, copy_opened(reading, self._engine, info.path, pace=self.pace))

    def _share(self, info: SegmentInfo, held: BackupFile) -> bool:
        """Give the parent's file a second name, if it is the same segment.

        A segment is never changed once it has its name. Header and trailer carry the store that
        wrote it, its id and the checksum of its directory, and that vouches for the blocks.
        """
        assert self.parent is not None, "there is something to share"
        path = f"{self.parent.name}/{held.path}"
        try:
            if held.size != info.size or self.repository.size(path) != info.size:
                return False
            mine, other = _edges(self.source, info.path), _edges(self.repository, path)
            if mine != other:
                return False
            self.repository.link(path, f"{self.directory}/{held.path}")
        except DiskError:
            return False  # no hard links here, or the file is not readable: a copy will tell
        self.pace(len(mine) * 2)
        self.files.append(held)
        self.linked_bytes += held.size
        return True

    def attach(self, attach: Attach) -> tuple[str, ...]:
        """Take files that somebody else writes into the directory, and make them stable."""
        paths = tuple(attach(self.directory))
        for path in paths:
            whole = f"{self.directory}/{path}"
            file = self.repository.open_write(whole)
            try:
                file.sync()
            finally:
                file.close()
            self._add(path, digest_file(self.repository, whole, pace=self.pace))
        return paths

    def finish(
        self,
        manifest: Manifest,
        counted: CountedLog,
        *,
        segments: Iterable[SegmentInfo],
        attached: tuple[str, ...],
        begun_ns: int,
        ended_ns: int,
    ) -> BackupFacts:
        """Write the facts, make everything stable, and give the directory its name."""
        infos = list(segments)
        times = manifest.table["time_ns"]
        facts = BackupFacts(
            name=self.name,
            kind=FULL if self.parent is None else INCREMENTAL,
            parent=None if self.parent is None else self.parent.name,
            incarnation=manifest.incarnation.hex(),
            generation=manifest.generation,
            checkpoint_lsn=manifest.checkpoint_lsn,
            lsn=counted.last_lsn,
            record_time_ns=counted.record_time_ns or (int(times[-1]) if len(times) else 0),
            begun_ns=begun_ns,
            ended_ns=ended_ns,
            streams=len(counted.streams.union(manifest.table["stream_id"].tolist())),
            segments=len(infos),
            segment_rows=sum(info.rows for info in infos),
            log_records=counted.records,
            log_rows=counted.rows,
            bytes=total_bytes(self.files),
            copied_bytes=self.copied_bytes,
            linked_bytes=self.linked_bytes,
            files=tuple(self.files),
            attached=attached,
            damage=tuple(self.damage),
        )
        write_file(self.repository, f"{self.directory}/{FACTS}", encode_facts(facts))
        sync_tree(self.repository, self.directory)
        self.repository.rename(self.directory, self.name)
        self.named = True
        self.repository.sync_directory(".")
        return facts

    def discard(self) -> None:
        """Remove what was written; what a failing medium keeps, the next backup removes."""
        with contextlib.suppress(DiskError):
            if self.named:  # its name may not last: nobody is told of it
                self.repository.rename(self.name, self.directory)
            if self.repository.is_directory(self.directory):
                remove_tree(self.repository, self.directory)
                self.repository.sync_directory(".")

    def _make_parents(self, path: str) -> None:
        self._engine.make_directories(path.rpartition("/")[0])

    def _add(self, path: str, copied: Copied) -> None:
        self.files.append(BackupFile(path, copied.size, copied.digest))
        self.copied_bytes += copied.size
        self.damage += [BackupDamage(path, what) for what in copied.unreadable]


def _edges(fs: FileSystem, path: str) -> bytes:
    file = fs.open_read(path)
    try:
        end = max(0, file.size() - EDGE_BYTES)
        return file.read_at(0, EDGE_BYTES) + file.read_at(end, EDGE_BYTES)
    finally:
        file.close()
