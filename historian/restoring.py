"""Backups without a server: looked after, and made into the folder of a historian again."""

from pathlib import Path

from historian.backup_catalog import restore_catalog
from historian.config import HistorianConfig
from storage_engine.backup import remove_backup
from storage_engine.backup_facts import BackupDamage, BackupFacts, list_backups
from storage_engine.backup_verify import BackupCheck, verify_backup
from storage_engine.clock import Clock
from storage_engine.filesystem import RealFileSystem
from storage_engine.restore import Restored, restore_backup
from storage_engine.subtree import Pace, no_pace


def restore_historian(
    config: HistorianConfig,
    clock: Clock,
    name: str,
    into: Path,
    *,
    to_ns: int | None = None,
    to_lsn: int | None = None,
    pace: Pace = no_pace,
) -> Restored:
    """Make the folder of a historian from a backup.

    Parameters
    ----------
    config : HistorianConfig
        Says where the repository is, and the limits of the engine.
    clock : Clock
    name : str
        Of the backup.
    into : Path
        Not there yet, or empty; becomes ``store.path`` of who serves it.
    to_ns, to_lsn : int, optional
        As known at this record time or lsn; the catalog is that of the backup all the same.
    pace : callable

    Returns
    -------
    Restored

    Raises
    ------
    InvalidArgument, CorruptData, UnsupportedFormat, DiskError, EngineClosed
        As of ``storage_engine.restore.restore_backup``; nothing is taken for a store then.
    """
    repository = RealFileSystem(config.backup.directory)
    folder = into.absolute()
    target = RealFileSystem(folder.parent)

    def attach(directory: str, facts: BackupFacts) -> list[BackupDamage]:
        return restore_catalog(repository, target, directory, facts, clock)

    return restore_backup(
        repository,
        name,
        target,
        folder.name,
        config=config.store.engine,
        clock=clock,
        to_lsn=to_lsn,
        to_ns=to_ns,
        attach=attach,
        pace=pace,
    )


def backups_of(config: HistorianConfig) -> tuple[list[BackupFacts], list[BackupDamage]]:
    """All backups of the repository, oldest first, and what cannot be read."""
    return list_backups(RealFileSystem(config.backup.directory))


def check_backup(config: HistorianConfig, clock: Clock, name: str) -> BackupCheck:
    """Read every byte and block of a backup; raises as ``verify_backup``."""
    repository = RealFileSystem(config.backup.directory)
    return verify_backup(repository, name, config.store.engine, clock)


def drop_backup(config: HistorianConfig, name: str) -> None:
    """Remove a backup; raises as ``remove_backup``."""
    remove_backup(RealFileSystem(config.backup.directory), name)
