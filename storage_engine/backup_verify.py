"""Whether a backup still is what was written: every byte, and every block."""

from dataclasses import dataclass

from storage_engine.backup_facts import (
    ENGINE,
    FACTS,
    BackupDamage,
    BackupFacts,
    read_facts,
)
from storage_engine.clock import Clock
from storage_engine.config import EngineConfig
from storage_engine.engine import Engine
from storage_engine.errors import DataError, DiskError
from storage_engine.subtree import Below, Pace, TreeFileSystem, digest_file, files_below, no_pace


@dataclass(frozen=True, slots=True)
class BackupCheck:
    """What a verification found.

    Attributes
    ----------
    name : str
    files, bytes : int
        Read.
    blocks_read : bool
        Whether the store in it could be opened, and every block was read.
    changed : tuple of BackupDamage
        Differs from what was written: the repository's medium, or a hand.
    damage : tuple of BackupDamage
        Damaged in itself; when nothing changed, it came damaged from the store.
    """

    name: str
    files: int
    bytes: int
    blocks_read: bool
    changed: tuple[BackupDamage, ...]
    damage: tuple[BackupDamage, ...]

    @property
    def whole(self) -> bool:
        """Whether nothing was found."""
        return self.blocks_read and not self.changed and not self.damage


def verify_backup(
    repository: TreeFileSystem,
    name: str,
    config: EngineConfig,
    clock: Clock,
    pace: Pace = no_pace,
) -> BackupCheck:
    """Digest every file, then open the store in it read-only and read every block.

    Parameters
    ----------
    repository : TreeFileSystem
    name : str
    config : EngineConfig
    clock : Clock
    pace : callable
        Told each number of bytes read; every byte of a segment comes twice.

    Returns
    -------
    BackupCheck

    Raises
    ------
    InvalidArgument
        There is no backup of this name.
    EngineClosed
        ``pace`` gave up.
    UnsupportedFormat
        A newer version wrote it.
    CorruptData
        ``backup.json`` itself cannot be read.
    """
    facts = read_facts(repository, name)
    changed = _changed(repository, facts, pace)
    damage = list(facts.damage)
    blocks_read = False
    try:
        found = _read_blocks(repository, facts, config, clock, pace)
        blocks_read = True
        known = {(one.path, one.what) for one in damage}
        damage += [one for one in found if (one.path, one.what) not in known]
    except (DataError, DiskError) as error:
        damage.append(BackupDamage(ENGINE, f"cannot be opened: {error}"))
    return BackupCheck(
        name, len(facts.files), facts.bytes, blocks_read, tuple(changed), tuple(damage)
    )


def _changed(repository: TreeFileSystem, facts: BackupFacts, pace: Pace) -> list[BackupDamage]:
    changed = []
    for file in facts.files:
        try:
            found = digest_file(repository, f"{facts.name}/{file.path}", pace=pace)
        except DiskError as error:
            changed.append(BackupDamage(file.path, f"cannot be read: {error}"))
            continue
        changed += [BackupDamage(file.path, what) for what in found.unreadable]
        if found.size != file.size:
            changed.append(BackupDamage(file.path, f"got {found.size} bytes, want {file.size}"))
        elif found.digest != file.blake2b:
            changed.append(BackupDamage(file.path, f"got blake2b {found.digest[:16]}..., want "
                                                   f"{file.blake2b[:16]}..."))  # fmt: skip
    listed = {FACTS, f"{ENGINE}/lock", *(file.path for file in facts.files)}
    lying = files_below(repository, facts.name)
    return changed + [BackupDamage(p, "is not listed") for p in lying if p not in listed]


def _read_blocks(
    repository: TreeFileSystem,
    facts: BackupFacts,
    config: EngineConfig,
    clock: Clock,
    pace: Pace,
) -> list[BackupDamage]:
    fs = Below(repository, facts.engine_path)
    engine = Engine.open(fs, config, clock, read_only=True)
    try:
        stats = engine.stats()
        found = [BackupDamage(f"{ENGINE}/{f.path}", f.what) for f in engine.verify(pace)]
        for what, got, want in (
            ("last lsn", stats.durable_lsn, facts.lsn),
            ("segments", stats.segments, facts.segments),
            ("rows in segments", stats.segment_rows, facts.segment_rows),
            ("streams", stats.streams, facts.streams),
        ):
            if got != want:
                found.append(BackupDamage(ENGINE, f"got {got} as {what}, want {want}"))
        return found
    finally:
        engine.close()
