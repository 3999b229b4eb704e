"""The catalog in a backup: one plain SQLite file, of one moment, behind everything else."""

import contextlib
import sqlite3
from pathlib import Path

from historian.catalog_database import Database
from historian.config import HistorianConfig
from historian.errors import NotReady
from storage_engine.backup_facts import BackupDamage, BackupFacts
from storage_engine.clock import Clock
from storage_engine.errors import DiskError
from storage_engine.filesystem import RealFileSystem
from storage_engine.sample import ValueType
from storage_engine.subtree import copy_file

CATALOG = "catalog.sqlite"


def copy_catalog(config: HistorianConfig, directory: str) -> list[str]:
    """Copy the catalog into a backup in the making, while others write it.

    Parameters
    ----------
    config : HistorianConfig
    directory : str
        Below the repository.

    Returns
    -------
    list of str
        Its path below the directory.

    Raises
    ------
    NotReady
        SQLite refused.
    """
    target = config.backup.directory / directory / CATALOG
    uri = f"{config.store.catalog_path.absolute().as_uri()}?mode=ro"
    try:
        with (
            contextlib.closing(sqlite3.connect(uri, uri=True)) as source,
            contextlib.closing(sqlite3.connect(target)) as copy,
        ):
            source.backup(copy)
            # One plain file, readable from a medium that cannot be written.
            copy.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error as error:
        raise NotReady(f"cannot copy the catalog: {error}, at {target}") from error
    return [CATALOG]


def restore_catalog(
    repository: RealFileSystem,
    target: RealFileSystem,
    directory: str,
    facts: BackupFacts,
    clock: Clock,
) -> list[BackupDamage]:
    """Copy the catalog out of a backup, and enter into its audit where it came from.

    Parameters
    ----------
    repository, target : RealFileSystem
    directory : str
        Below ``target``: the store's folder in the making.
    facts : BackupFacts
    clock : Clock

    Returns
    -------
    list of BackupDamage
        A catalog that is not what was backed up. The engine's streams carry the tags' uuids; what
        has no tag gets one at the next start.
    """
    listed = {file.path: file for file in facts.files}.get(CATALOG)
    if listed is None:
        return [BackupDamage(CATALOG, "is not in the backup")]
    path = f"{directory}/{CATALOG}"
    try:
        copied = copy_file(repository, f"{facts.name}/{CATALOG}", target, path)
    except DiskError as error:
        if target.exists(path):
            raise
        return [BackupDamage(CATALOG, f"cannot be read: {error}")]
    if copied.digest != listed.blake2b:
        return [BackupDamage(CATALOG, "is not what was backed up: another blake2b")]
    database = Database(target.root / path, clock)
    try:
        with database.transaction():
            about = {"backup": facts.name, "incarnation_before": facts.incarnation}
            database.record("historian", "restore store", facts.name, None, about)
    finally:
        database.close()
    return []


def series_in_backup(catalog: Path, series: bytes) -> list[tuple[bytes, ValueType]]:
    """Series of a tag, oldest first, as a catalog in a backup has them; empty for no such tag.

    Parameters
    ----------
    catalog : Path
    series : bytes
        Uuid of one of them: the tag may have had another name then.

    Returns
    -------
    list of (uuid, type)
    """
    uri = f"{catalog.absolute().as_uri()}?mode=ro&immutable=1"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as database:
            rows = database.execute(
                "SELECT uuid, type FROM series WHERE tag = (SELECT tag FROM series WHERE uuid = ?)"
                " ORDER BY position",
                (series,),
            ).fetchall()
    except sqlite3.Error as error:
        raise NotReady(f"cannot read the catalog of the backup: {error}, at {catalog}") from error
    return [(bytes(uuid), ValueType(number)) for uuid, number in rows]
