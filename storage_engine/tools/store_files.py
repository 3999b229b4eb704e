"""Which files a store consists of, without opening any."""

from dataclasses import dataclass, field

from storage_engine.errors import StorageError
from storage_engine.filesystem import FileSystem
from storage_engine.manifest import DIRECTORY as MANIFESTS
from storage_engine.manifest import generations
from storage_engine.segment.layout import DIRECTORY as SEGMENTS
from storage_engine.wal_record import SPARE, file_name, file_number

WAL = "wal"
DAMAGED = "damaged"


@dataclass(slots=True)
class StoreFiles:
    """Paths of a store's files by kind, each sorted; manifests newest first."""

    manifests: list[str] = field(default_factory=list)
    segments: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    spare: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)

    @property
    def any_content(self) -> bool:
        """Whether there is anything that a manifest would name."""
        return bool(self.manifests or self.segments or self.log)


def log_numbers(fs: FileSystem) -> list[int]:
    """Numbers of the log files, ascending.

    Parameters
    ----------
    fs : FileSystem

    Returns
    -------
    list of int
    """
    return sorted(n for n in map(file_number, fs.list(WAL)) if n is not None)


def list_store(fs: FileSystem) -> StoreFiles:
    """List a store.

    Parameters
    ----------
    fs : FileSystem
        Rooted at the store.

    Returns
    -------
    StoreFiles
    """
    found = StoreFiles()
    found.manifests = [f"{MANIFESTS}/{generation:016x}" for generation in generations(fs)]
    found.log = [f"{WAL}/{file_name(number)}" for number in log_numbers(fs)]
    found.spare = [f"{WAL}/{SPARE}"] if fs.exists(f"{WAL}/{SPARE}") else []
    for partition in fs.list(SEGMENTS):
        for name in fs.list(f"{SEGMENTS}/{partition}"):
            path = f"{SEGMENTS}/{partition}/{name}"
            if name.endswith(".segment"):
                found.segments.append(path)
            elif name.endswith(".new"):
                found.unfinished.append(path)
    for directory in (MANIFESTS, WAL):
        new = [name for name in fs.list(directory) if name.endswith(".new")]
        found.unfinished += [f"{directory}/{name}" for name in new]
    found.damaged = [*_below(fs, DAMAGED), *_below(fs, f"{WAL}/{DAMAGED}")]
    return found


def _below(fs: FileSystem, directory: str) -> list[str]:
    """Files below a directory, at any depth."""
    found = []
    for name in fs.list(directory):
        path = f"{directory}/{name}"
        deeper = [] if "." in name else _below_directory(fs, path)
        found += deeper or [path]
    return found


def _below_directory(fs: FileSystem, path: str) -> list[str]:
    try:
        return _below(fs, path)
    except StorageError:
        return []
