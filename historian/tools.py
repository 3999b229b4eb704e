"""Tools on any file or folder of this product: what it is, checked, printed, rescued.

The engine's own tools look at one file or one store; here a path becomes those. Nothing is changed
but the folder that a rescue makes.
"""

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from connectors.connector import Clock
from historian.errors import Conflict, NotFound
from storage_engine.config import EngineConfig
from storage_engine.filesystem import RealFileSystem
from storage_engine.tools.dump import Dump
from storage_engine.tools.inspect import inspect_file, inspect_store
from storage_engine.tools.kinds import Kind, kind_by_name, kind_of
from storage_engine.tools.plain import Filter
from storage_engine.tools.salvage import salvage
from storage_engine.tools.stats import store_stats
from storage_engine.tools.survey import Source
from storage_engine.tools.verify import Checked, verify_file, verify_store

CATALOG = "catalog.sqlite"
REPORT = "salvage.json"
_ENGINE = "engine"
_STORE_PARTS = ("manifest", "segments", "wal")
_DEPTH_MAX = 6


@dataclass(frozen=True, slots=True)
class Target:
    """A store (``path`` empty), or one file below ``root``.

    Attributes
    ----------
    label : str
        As a person would name it.
    root : Path
    path : str
    kind : Kind or None
        None for a store.
    """

    label: str
    root: Path
    path: str = ""
    kind: Kind | None = None

    @property
    def fs(self) -> RealFileSystem:
        """Door to it."""
        return RealFileSystem(self.root)

    def named(self, path: str) -> str:
        """Path of a finding as a person finds it."""
        return str(self.root / path)


def targets(paths: Sequence[Path]) -> list[Target]:
    """Find what lies at paths: stores, spools, single files.

    Parameters
    ----------
    paths : sequence of Path
        Files, or folders at any height above what is looked for.

    Returns
    -------
    list of Target

    Raises
    ------
    NotFound
        When there is nothing at one of them.
    """
    found = []
    for path in paths:
        held = list(_targets_at(path))
        if not held:
            message = f"cannot find a store, a spool or a file of them: got {path}"
            raise NotFound(message, got=str(path), where="path")
        found += held
    return found


def _targets_at(path: Path) -> Iterator[Target]:
    if path.is_file():
        yield _file(path)
    elif path.is_dir():
        yield from _folder(path, _DEPTH_MAX)


def _file(path: Path) -> Target:
    """A single file; one in its place in a store is looked at from the store's root."""
    path = path.resolve()
    for height, part in ((3, "segments"), (2, "wal"), (2, "manifest")):
        if len(path.parts) > height and path.parts[-height] == part:
            root = path.parents[height - 1]
            inner = path.relative_to(root).as_posix()
            return Target(str(path), root, inner, kind_of(RealFileSystem(root), inner))
    kind = kind_of(RealFileSystem(path.parent), path.name)
    return Target(str(path), path.parent, path.name, kind)


def is_store(folder: Path) -> bool:
    """Whether a folder is one of the engine: manifests, segments or a log lie in it."""
    return any((folder / part).is_dir() for part in _STORE_PARTS)


def _folder(folder: Path, depth: int) -> Iterator[Target]:
    if is_store(folder):
        yield Target(str(folder), folder)
        return
    spool = (folder / "frames").is_dir()
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and depth and entry.name != "damaged":
            yield from _folder(entry, depth - 1)
        elif entry.is_file():
            kind = kind_by_name(entry.name)
            if kind is not Kind.UNKNOWN and (kind is not Kind.JSON or spool):
                yield Target(str(entry), folder, entry.name, kind)


def verify(target: Target, progress: Callable[[int], None]) -> Checked:
    """Check a store or a file.

    Parameters
    ----------
    target : Target
    progress : callable
        Told the bytes that are done.

    Returns
    -------
    Checked
    """
    if target.kind is None:
        return verify_store(target.fs, progress)
    return verify_file(target.fs, target.path, target.kind)


def size_of(target: Target) -> int:
    """Bytes of a store's files, or of the file."""
    if target.kind is not None:
        return (target.root / target.path).stat().st_size
    files = (p for part in _STORE_PARTS for p in (target.root / part).rglob("*"))
    return sum(p.stat().st_size for p in files if p.is_file())


def inspect(target: Target) -> dict[str, Any]:
    """Describe a store or a file."""
    if target.kind is None:
        return inspect_store(target.fs)
    return inspect_file(target.fs, target.path, target.kind)


def rows_between(
    stream: str, start_ns: int | None, end_ns: int | None, lsns: tuple[int, int] | None
) -> Filter:
    """Filter for :func:`dump`; None leaves a side open.

    Parameters
    ----------
    stream : str
        Id, or uuid in hex; empty: all.
    start_ns, end_ns : int or None
        start <= time < end.
    lsns : tuple of int, or None
        First and last, both inclusive.

    Returns
    -------
    Filter
    """
    start = -(2**63) if start_ns is None else start_ns
    end = 2**63 if end_ns is None else end_ns
    return Filter(stream.lower(), start, end, *(lsns or (0, 2**63)))


def dump(found: Sequence[Target], wanted: Filter) -> tuple[Iterator[dict[str, Any]], Dump]:
    """Print stores and files, row by row.

    Parameters
    ----------
    found : sequence of Target
    wanted : Filter

    Returns
    -------
    entries : iterator of dict
    tool : Dump
        Its ``findings`` grow while the entries are taken.
    """
    tool = Dump(wanted)

    def entries() -> Iterator[dict[str, Any]]:
        for target in found:
            if target.kind is None:
                yield from tool.store(target.fs)
            else:
                yield from tool.file(target.fs, target.path, target.kind)

    return entries(), tool


def stats(target: Target, *, top: int) -> dict[str, Any]:
    """Count a store.

    Raises
    ------
    NotFound
        When it is a single file.
    """
    if target.kind is not None:
        message = f"cannot count: got a file, want the folder of a store, at {target.label}"
        raise NotFound(message, got=target.label, where="path")
    return store_stats(target.fs, top=top)


def rescue(sources: Sequence[Path], into: Path, clock: Clock) -> dict[str, Any]:
    """Make a sound store of everything that still checks out; the sources are not changed.

    Parameters
    ----------
    sources : sequence of Path
        Damaged stores, backups, or single files; the first is believed first.
    into : Path
        New folder: ``engine/``, the catalog when a source has one, and ``salvage.json``.
    clock : Clock

    Returns
    -------
    dict
        The report, as written into ``salvage.json``.

    Raises
    ------
    Conflict
        When ``into`` holds something already.
    NotFound, InvalidArgument, DiskError
    """
    if into.exists() and any(into.iterdir()):
        raise Conflict(f"cannot salvage: got {into}, which holds something, want a new folder")
    if any(source.resolve() in (into.resolve(), *into.resolve().parents) for source in sources):
        raise Conflict(f"cannot salvage: got {into}, which lies in a source, want another place")
    found = targets(sources)
    (into / _ENGINE).mkdir(parents=True, exist_ok=True)
    origins = [Source(target.label, target.fs, target.path) for target in found]
    config = EngineConfig(free_bytes_min=0)
    report: dict[str, Any] = salvage(origins, RealFileSystem(into / _ENGINE), config, clock)
    report["catalog"] = _rescue_catalog(sources, into / CATALOG)
    text = json.dumps(report, indent=1, ensure_ascii=True)
    (into / REPORT).write_text(text, encoding="ascii")
    return report


def _rescue_catalog(sources: Sequence[Path], target: Path) -> str:
    """Copy the first catalog that is sound; says which, or why none."""
    tried = []
    for source in sources:
        for held in (source / CATALOG, source.parent / CATALOG):
            if not held.is_file():
                continue
            for suffix in ("", "-wal"):
                part = held.with_name(held.name + suffix)
                if part.is_file():
                    shutil.copyfile(part, target.with_name(target.name + suffix))
            why = _catalog_damage(target)
            if not why:
                return f"copied from {held}"
            tried.append(f"{held}: {why}")
            for left in target.parent.glob(f"{CATALOG}*"):
                left.unlink()
    return "; ".join(tried) or "no source has one: names of tags must be given anew"


def _catalog_damage(path: Path) -> str:
    try:
        with closing(sqlite3.connect(path)) as database:
            (said,) = database.execute("PRAGMA integrity_check").fetchone()
    except sqlite3.DatabaseError as error:
        return str(error)
    return "" if said == "ok" else str(said)


def plain_findings(target: Target, checked: Checked) -> list[dict[str, Any]]:
    """Findings with paths as a person finds them."""
    return [{**asdict(finding), "path": target.named(finding.path)} for finding in checked.findings]
