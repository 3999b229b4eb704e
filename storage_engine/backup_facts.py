"""``backup.json``: what a backup says of itself; docs/format/backup.md in Python."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from storage_engine.errors import (
    CorruptData,
    DataError,
    DiskError,
    InvalidArgument,
    UnsupportedFormat,
)
from storage_engine.filesystem import FileSystem
from storage_engine.subtree import DIGEST_BYTES, TreeFileSystem, read_whole

FORMAT = 1
FACTS = "backup.json"
ENGINE = "engine"
LOCK = "lock"
NEW = ".new"
FULL, INCREMENTAL = "full", "incremental"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class BackupFile:
    """One file of a backup.

    Attributes
    ----------
    path : str
        Below the backup's directory.
    size : int
        Bytes.
    blake2b : str
        64 hex digits.
    """

    path: str
    size: int
    blake2b: str


@dataclass(frozen=True, slots=True)
class BackupDamage:
    """Something that is not as it should be, and where."""

    path: str
    what: str


@dataclass(frozen=True, slots=True)
class BackupFacts:
    """One backup.

    Attributes
    ----------
    name : str
    kind : str
        ``full`` or ``incremental``.
    parent : str or None
        Backup whose files it shares.
    incarnation : str
        Of the store, 32 hex digits.
    generation, checkpoint_lsn : int
        Of the manifest it holds.
    lsn : int
        Everything up to it is in the backup, and nothing later.
    record_time_ns : int
        When that lsn was recorded; 0 for an empty store.
    begun_ns, ended_ns : int
        By the clock of who made it.
    streams, segments, segment_rows, log_records, log_rows : int
        Counts; rows as they lie there, every revision and redelivery.
    bytes, copied_bytes, linked_bytes : int
        Size of all files; of those read from the store; of those shared with the parent.
    files : tuple of BackupFile
        Every file but ``backup.json``.
    attached : tuple of str
        Paths of the files that are not the engine's.
    damage : tuple of BackupDamage
        What was found damaged in the store while it was copied.
    """

    name: str
    kind: str
    parent: str | None
    incarnation: str
    generation: int
    checkpoint_lsn: int
    lsn: int
    record_time_ns: int
    begun_ns: int
    ended_ns: int
    streams: int
    segments: int
    segment_rows: int
    log_records: int
    log_rows: int
    bytes: int
    copied_bytes: int
    linked_bytes: int
    files: tuple[BackupFile, ...]
    attached: tuple[str, ...] = ()
    damage: tuple[BackupDamage, ...] = ()

    @property
    def engine_path(self) -> str:
        """Directory of the engine's files, below the repository."""
        return f"{self.name}/{ENGINE}"


def check_name(name: str) -> str:
    """Refuse names that are no directory name for a backup.

    Raises
    ------
    InvalidArgument
    """
    if not _NAME.fullmatch(name) or name.endswith(NEW) or name == LOCK:
        raise InvalidArgument(
            f"cannot name a backup: got {name!r}, want 1 to 100 of A-Z a-z 0-9 . _ -, "
            f"not starting with a sign, not ending with {NEW}",
            name=name,
        )
    return name


def _dumped(held: object) -> bytes:
    return json.dumps(held, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def _digest(held: object) -> str:
    return hashlib.blake2b(_dumped(held), digest_size=DIGEST_BYTES).hexdigest()


def encode_facts(facts: BackupFacts) -> bytes:
    """Bytes of ``backup.json``.

    Parameters
    ----------
    facts : BackupFacts

    Returns
    -------
    bytes
    """
    held: Any = json.loads(_dumped({**asdict(facts)}))
    whole = {"format": FORMAT, "backup": held, "blake2b": _digest(held)}
    return json.dumps(whole, indent=1, ensure_ascii=True).encode() + b"\n"


def decode_facts(data: bytes, *, at: str) -> BackupFacts:
    """Read ``backup.json``.

    Raises
    ------
    CorruptData
        Its digest does not hold, or a field is missing.
    UnsupportedFormat
        A newer version wrote it.
    """
    try:
        whole = json.loads(data)
        version, held, digest = int(whole["format"]), whole["backup"], whole["blake2b"]
        if version > FORMAT:
            raise UnsupportedFormat(
                f"cannot read backup: got format {version}, want at most {FORMAT}, at {at}", path=at
            )
        if _digest(held) != digest:
            raise CorruptData(f"cannot read backup: got a bad blake2b, at {at}", path=at)
        known = {name: held[name] for name in BackupFacts.__dataclass_fields__ if name in held}
        known["files"] = tuple(BackupFile(**one) for one in held["files"])
        known["attached"] = tuple(held.get("attached", ()))
        known["damage"] = tuple(BackupDamage(**one) for one in held.get("damage", ()))
        return BackupFacts(**known)
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptData(f"cannot read backup: {error!r}, at {at}", path=at) from error


def read_facts(repository: FileSystem, name: str) -> BackupFacts:
    """Facts of one backup.

    Parameters
    ----------
    repository : FileSystem
    name : str

    Raises
    ------
    InvalidArgument
        There is no backup of this name.
    CorruptData, UnsupportedFormat, DiskError
    """
    path = f"{check_name(name)}/{FACTS}"
    if not repository.exists(path):
        raise InvalidArgument(
            f"cannot find backup: got {name!r}, want one that is there", name=name
        )
    facts = decode_facts(read_whole(repository, path), at=path)
    if facts.name != name:
        raise CorruptData(
            f"cannot read backup: it calls itself {facts.name!r}, at {path}", path=path
        )
    return facts


def backup_names(repository: TreeFileSystem) -> list[str]:
    """Names of all whole backups, in order of name."""
    return [
        name
        for name in repository.list(".")
        if _NAME.fullmatch(name) and not name.endswith(NEW) and repository.exists(f"{name}/{FACTS}")
    ]


def list_backups(repository: TreeFileSystem) -> tuple[list[BackupFacts], list[BackupDamage]]:
    """All backups, oldest first, and those whose facts cannot be read.

    Parameters
    ----------
    repository : TreeFileSystem

    Returns
    -------
    backups : list of BackupFacts
    damage : list of BackupDamage
    """
    found: list[BackupFacts] = []
    damage: list[BackupDamage] = []
    for name in backup_names(repository):
        try:
            found.append(read_facts(repository, name))
        except (DataError, DiskError) as error:
            damage.append(BackupDamage(f"{name}/{FACTS}", str(error)))
    return sorted(found, key=lambda one: (one.begun_ns, one.name)), damage


def total_bytes(files: Sequence[BackupFile]) -> int:
    """Size of files together."""
    return sum(file.size for file in files)
