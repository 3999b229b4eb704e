"""A backup into a new store, whole or as it was at an earlier lsn.

Nothing is changed in the backup. The store is built under ``<directory>.new`` and gets its name
last, so an interrupted restore is never taken for a store. Rules: ``docs/format/backup.md``.
"""

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace

from storage_engine.backup_facts import ENGINE, NEW, BackupDamage, BackupFacts, read_facts
from storage_engine.backup_log import RestoredLog, rewrite_log
from storage_engine.clock import Clock
from storage_engine.config import EngineConfig
from storage_engine.engine import Engine
from storage_engine.errors import DiskError, InvalidArgument
from storage_engine.filesystem import FileSystem
from storage_engine.findings import Findings
from storage_engine.manifest import Manifest, load_manifest, store_manifest
from storage_engine.restore_cut import cut_manifest, cut_segment
from storage_engine.segment.layout import SegmentInfo
from storage_engine.segment.reader import SegmentReader
from storage_engine.subtree import (
    Below,
    Pace,
    TreeFileSystem,
    copy_file,
    no_pace,
    remove_tree,
    sync_tree,
    write_file,
)
from storage_engine.table import json_column, read_json
from storage_engine.wal_record import Record, RecordKind

MARKER = "restored.json"
_ADMINISTRATION = frozenset((RecordKind.STREAM, RecordKind.BIND))


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore made.

    Attributes
    ----------
    backup : str
    incarnation : str
        Of the new store, 32 hex digits; never one that was before.
    lsn : int
        Everything up to it is there.
    next_lsn : int
        Where the store goes on: behind everything the backup has seen.
    record_time_ns : int
        When ``lsn`` was recorded.
    segments_copied, segments_cut, segments_left_out : int
    damage : tuple of BackupDamage
        What the backup could not give; the rest is there.
    """

    backup: str
    incarnation: str
    lsn: int
    next_lsn: int
    record_time_ns: int
    segments_copied: int
    segments_cut: int
    segments_left_out: int
    damage: tuple[BackupDamage, ...]


def restore_backup(
    repository: TreeFileSystem,
    name: str,
    target: TreeFileSystem,
    directory: str,
    *,
    config: EngineConfig,
    clock: Clock,
    to_lsn: int | None = None,
    to_ns: int | None = None,
    attach: Callable[[str, BackupFacts], Iterable[BackupDamage]] | None = None,
    pace: Pace = no_pace,
) -> Restored:
    """Make a store from a backup.

    Parameters
    ----------
    repository : TreeFileSystem
    name : str
    target : TreeFileSystem
        Holds the directory that becomes the folder of the store.
    directory : str
        Not there yet, or empty.
    config : EngineConfig
    clock : Clock
    to_lsn, to_ns : int, optional
        The store as it was known at this lsn, or at this record time; by default all of it.
    attach : callable, optional
        Called last with the directory for the time being and the facts of the backup: copies what
        is not the engine's, and names what it could not.
    pace : callable
        Told each number of bytes read; may raise EngineClosed to give up.

    Returns
    -------
    Restored

    Raises
    ------
    InvalidArgument
        No such backup, a directory that holds something, or a moment behind the backup.
    CorruptData
        The facts cannot be read.
    EngineClosed
        ``pace`` gave up; nothing is left.
    UnsupportedFormat, DiskError
    """
    facts = read_facts(repository, name)
    begun = _begin(target, directory)
    try:
        write_file(target, f"{begun}/{MARKER}", b'{"whole":false}\n')
        target.sync_directory(begun)
        making = _Making(
            facts,
            Below(repository, facts.engine_path),
            Below(target, f"{begun}/{ENGINE}"),
            config=config,
            clock=clock,
            pace=pace,
        )
        restored = making.run(making.lsn_of(to_lsn, to_ns))
        damage = () if attach is None else attach(begun, facts)
        restored = replace(restored, damage=(*restored.damage, *damage))
        _finish(target, begun, directory, restored)
    except DiskError:
        raise  # the medium may refuse to remove, too; the next restore does it
    except BaseException:
        remove_tree(target, begun)
        raise
    return restored


def _begin(target: TreeFileSystem, directory: str) -> str:
    """Make the directory for the time being; what an interrupted restore left of it goes."""
    if target.exists(directory) and (not target.is_directory(directory) or target.list(directory)):
        raise InvalidArgument(
            f"cannot restore: got {directory!r} that holds something, want a directory that is "
            "empty or not there",
            path=directory,
        )
    begun = directory + NEW
    if target.exists(begun):
        if target.list(begun) and not target.exists(f"{begun}/{MARKER}"):
            raise InvalidArgument(
                f"cannot restore: got {begun!r} that is not of a restore, want it gone", path=begun
            )
        remove_tree(target, begun)
    target.make_directories(begun)
    return begun


def _finish(target: TreeFileSystem, begun: str, directory: str, restored: Restored) -> None:
    told = json.dumps({"whole": True, **asdict(restored)}, indent=1).encode() + b"\n"
    write_file(target, f"{begun}/{MARKER}{NEW}", told)
    target.rename(f"{begun}/{MARKER}{NEW}", f"{begun}/{MARKER}")
    sync_tree(target, begun)
    target.rename(begun, directory)
    target.sync_directory(directory.rpartition("/")[0] or ".")


class _Making:
    """One restore under way."""

    def __init__(
        self,
        facts: BackupFacts,
        source: FileSystem,
        target: FileSystem,
        *,
        config: EngineConfig,
        clock: Clock,
        pace: Pace,
    ) -> None:
        self._facts = facts
        self._source = source
        self._target = target
        self._config = config
        self._clock = clock
        self._pace = pace
        self._found = Findings(config.findings_max)
        self._reader = SegmentReader(self._source, config, self._found)
        self._digests = {file.path: file.blake2b for file in facts.files}
        self._counts = {"copied": 0, "cut": 0, "left_out": 0}
        self._damage: list[BackupDamage] = list(facts.damage)

    def lsn_of(self, to_lsn: int | None, to_ns: int | None) -> int:
        """Turn a moment into the last lsn that is to be there."""
        if to_lsn is None and to_ns is None:
            return self._facts.lsn
        if to_lsn is None:
            assert to_ns is not None, "one of the two is given"
            engine = Engine.open(self._source, self._config, self._clock, read_only=True)
            try:
                to_lsn = min(engine.lsn_at(to_ns), self._facts.lsn)
            finally:
                engine.close()
        if not 0 <= to_lsn <= self._facts.lsn:
            raise InvalidArgument(
                f"cannot restore: got lsn {to_lsn}, want 0 to {self._facts.lsn}, "
                f"in backup {self._facts.name}",
                got=to_lsn,
            )
        return to_lsn

    def run(self, lsn: int) -> Restored:
        """Build the engine's files as known at an lsn."""
        before = load_manifest(self._source, self._found)
        if before is None:
            raise InvalidArgument(
                f"cannot restore: got backup {self._facts.name} without a sound manifest, want one"
                " that verify finds whole"
            )
        incarnation = os.urandom(16)
        next_id = before.counter("next_segment_id")
        segments: list[SegmentInfo] = []
        for info in before.segments:
            kept = self._segment(info, lsn, incarnation, next_id)
            next_id += 1
            segments += [] if kept is None else [kept]
        log = RestoredLog(
            self._target,
            before.checkpoint_lsn,
            self._config.wal_file_bytes,
            self._clock.now_ns(),
        )
        findings = rewrite_log(
            self._source, log, before.checkpoint_lsn, lambda r: _stays(r, lsn), self._pace
        )
        self._damage += [BackupDamage(f"{ENGINE}/{f.path}", f.what) for f in findings]
        self._commit(before, lsn, incarnation, segments, next_id)
        self._reader.close()
        self._damage += [BackupDamage(f"{ENGINE}/{f.path}", f.what) for f in self._found.list()]
        return Restored(
            backup=self._facts.name,
            incarnation=incarnation.hex(),
            lsn=lsn,
            next_lsn=log.last_lsn + 1,
            record_time_ns=self._record_time(lsn),
            segments_copied=self._counts["copied"],
            segments_cut=self._counts["cut"],
            segments_left_out=self._counts["left_out"],
            damage=tuple(dict.fromkeys(self._damage)),
        )

    def _segment(
        self, info: SegmentInfo, lsn: int, incarnation: bytes, new_id: int
    ) -> SegmentInfo | None:
        """Copy a segment, cut it, or leave it out."""
        if info.lsn_min > lsn:
            self._counts["left_out"] += 1
            return None
        if info.lsn_max > lsn:
            self._counts["cut"] += 1
            return cut_segment(
                self._reader,
                info,
                self._target,
                lsn,
                incarnation=incarnation,
                new_id=new_id,
                pace=self._pace,
            )
        path = f"{ENGINE}/{info.path}"
        if not self._source.exists(info.path):
            self._damage.append(BackupDamage(path, "is not in the backup"))
            return info  # stays named, so that every read says what is missing
        self._target.make_directories(info.path.rpartition("/")[0])
        copied = copy_file(self._source, info.path, self._target, info.path, pace=self._pace)
        self._damage += [BackupDamage(path, what) for what in copied.unreadable]
        want = next((f for f in self._facts.files if f.path == path), None)
        if want is None or want.blake2b != copied.digest:
            self._damage.append(
                BackupDamage(path, "is not what was backed up: its blake2b differs")
            )
        self._counts["copied"] += 1
        return info

    def _commit(
        self,
        before: Manifest,
        lsn: int,
        incarnation: bytes,
        segments: list[SegmentInfo],
        next_id: int,
    ) -> None:
        """Write two generations, as a store has them: the loss of one alone loses nothing."""
        counters = read_json(before.table, "counters", at=before.path)
        counters["next_segment_id"] = next_id
        table = before.table
        if lsn < self._facts.lsn:
            table = cut_manifest(table, lsn, at=before.path)
        table = {**table, "counters": json_column(counters)}
        for generation in (before.generation + 1, before.generation + 2):
            made = Manifest(incarnation, generation, before.checkpoint_lsn, tuple(segments), table)
            store_manifest(self._target, made)

    def _record_time(self, lsn: int) -> int:
        engine = Engine.open(self._target, self._config, self._clock, read_only=True)
        try:
            self._damage += [BackupDamage(f"{ENGINE}/{f.path}", f.what) for f in engine.findings()]
            return engine.record_time_ns(lsn)
        finally:
            engine.close()


def _stays(record: Record, lsn: int) -> bool:
    """Whether a record of the log belongs into a store as known at an lsn.

    Streams and bindings only grow, and catalog and collectors know later ones: they stay. So does
    an erasure, which hides its rows at every lsn.
    """
    if record.lsn <= lsn or record.kind in _ADMINISTRATION:
        return True
    if record.kind is not RecordKind.CHANGE:
        return False
    try:
        return bool(json.loads(record.body).get("verb") == "erase")
    except (ValueError, AttributeError):
        return False
