"""One piece of work on the repository of backups, as callers see it."""

import dataclasses
import threading
from dataclasses import dataclass, field
from typing import Any

from storage_engine.backup_facts import BackupFacts


@dataclass(slots=True)
class BackupJob:
    """One piece of work on the repository.

    Attributes
    ----------
    id : int
        1, 2, 3 ... since the server started.
    verb : str
        ``create``, ``verify``, ``delete`` or ``restore-tag``.
    name : str
        Of the backup.
    principal : str
    state : str
        ``running``, ``done``, ``failed`` or ``aborted``.
    begun_ns : int
    ended_ns : int or None
    bytes_done : int
        Read so far.
    report : dict or None
    error : str or None
    """

    id: int
    verb: str
    name: str
    principal: str
    state: str
    begun_ns: int
    ended_ns: int | None = None
    bytes_done: int = 0
    report: dict[str, Any] | None = None
    error: str | None = None
    ending: threading.Event = field(default_factory=threading.Event)

    def facts(self) -> dict[str, Any]:
        """What callers see."""
        names = [f.name for f in dataclasses.fields(self) if f.name != "ending"]
        return {name: getattr(self, name) for name in names}


def facts_of(backup: BackupFacts) -> dict[str, Any]:
    """A backup in a list: without its files."""
    held = dataclasses.asdict(backup)
    held["files"] = len(backup.files)
    return held
