"""``export.json``: what an export holds, with counts and digests; files that survive a crash."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from historian.errors import RequestInvalid
from storage_engine.digest import Digest, YearDigest

NAME = "export.json"
FORMAT = "lighthouse-historian-export"
VERSION = 1
_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """Rows of one series or kind: counts, first and last time, digest, and the same by year."""

    rows: int
    first_ns: int | None
    last_ns: int | None
    digest: str
    years: Mapping[str, YearDigest]


@dataclass(frozen=True, slots=True)
class SeriesFacts:
    """One series of a tag."""

    type: str
    data: StreamFacts


@dataclass(frozen=True, slots=True)
class TagFacts:
    """One tag: its texts and properties, and its series, oldest first."""

    name: str
    description: str
    eng_unit: str
    stepped: bool
    source: str
    address: str
    asset: str
    state_set: str
    series: tuple[SeriesFacts, ...]
    hold_max_ns: int | None = None
    stale_after_ns: int | None = None
    counter_modulus: float | None = None
    limit_low: float | None = None
    limit_high: float | None = None
    counter_rate_max: float | None = None
    counter_resets: bool | None = None


@dataclass(frozen=True, slots=True)
class KindFacts:
    """One kind of events: names and types of its columns, and its rows."""

    kind: str
    columns: tuple[tuple[str, str], ...]
    data: StreamFacts


@dataclass(frozen=True, slots=True)
class PieceFacts:
    """One file: what is in it, and the blake2b-256 of its bytes."""

    path: str
    samples: str | None  # type of the values
    events: str | None  # kind
    year: int
    rows: int
    size_bytes: int
    blake2b: str


@dataclass(frozen=True, slots=True)
class Document:
    """The whole of ``export.json``.

    ``known_at_lsn`` and ``incarnation`` say which state of which store it is; ``damage`` names
    what of it could not be read, and is empty when the export is whole.
    """

    layout: str
    incarnation: str
    known_at_lsn: int
    created_ns: int
    start_ns: int
    end_ns: int
    tags: tuple[TagFacts, ...]
    events: tuple[KindFacts, ...]
    pieces: tuple[PieceFacts, ...]
    damage: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Text of the file."""
        facts = {"format": FORMAT, "version": VERSION, **dataclasses.asdict(self)}
        return json.dumps(facts, indent=1, ensure_ascii=False) + "\n"


def facts_of(digest: Digest) -> StreamFacts:
    """Digest as the document holds it."""
    years = {str(year): part for year, part in digest.years.items()}
    return StreamFacts(digest.rows, digest.first_ns, digest.last_ns, digest.digest, years)


def read_document(folder: Path) -> Document:
    """Read ``export.json`` of a folder.

    Raises
    ------
    RequestInvalid
        When it is not there, not ours, or of a newer version.
    """
    path = folder / NAME
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        if facts.pop("format") != FORMAT:
            raise RequestInvalid(f"cannot import: got no export of ours, at {path.name}")
        version = facts.pop("version")
        if version != VERSION:
            message = f"cannot import: got version {version} of an export, want {VERSION}"
            raise RequestInvalid(message, got=version, want=VERSION)
        tags = tuple(
            TagFacts(**{**tag, "series": tuple(map(_series, tag["series"]))})
            for tag in facts.pop("tags")
        )
        events = tuple(
            KindFacts(
                one["kind"], tuple((n, t) for n, t in one["columns"]), read_facts(one["data"])
            )
            for one in facts.pop("events")
        )
        pieces = tuple(PieceFacts(**piece) for piece in facts.pop("pieces"))
        damage = tuple(facts.pop("damage"))
        return Document(**facts, tags=tags, events=events, pieces=pieces, damage=damage)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, RequestInvalid):
            raise
        message = f"cannot import: got an unreadable {NAME} ({error}), want that of an export"
        raise RequestInvalid(message[:500], where=NAME) from error


def _series(facts: Mapping[str, Any]) -> SeriesFacts:
    return SeriesFacts(facts["type"], read_facts(facts["data"]))


def read_facts(facts: Mapping[str, Any]) -> StreamFacts:
    """Facts of a stream from JSON."""
    years = {year: YearDigest(**part) for year, part in facts["years"].items()}
    return StreamFacts(**{**facts, "years": years})


def file_digest(path: Path) -> str:
    """Hash a file's bytes: blake2b-256 in hex."""
    total = hashlib.blake2b(digest_size=32)
    with path.open("rb") as file:
        while data := file.read(_READ_BYTES):
            total.update(data)
    return total.hexdigest()


def settle(part: Path, path: Path) -> None:
    """Give a finished file its name, durably."""
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    part.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Journal:
    """Lines of JSON that are on disk when :meth:`add` returns; half a line at the end is no line.

    Parameters
    ----------
    path : Path
        Made when missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> list[dict[str, Any]]:
        """All whole lines."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            with self._path.open("rb+") as file:
                file.truncate(len(whole))
        return [json.loads(line) for line in whole.splitlines()]

    def add(self, facts: Mapping[str, Any]) -> None:
        """Append a line."""
        fresh = not self._path.exists()
        with self._path.open("ab") as file:
            file.write(json.dumps(facts, ensure_ascii=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        if fresh:
            sync_folder(self._path.parent)

    def remove(self) -> None:
        """Forget all."""
        self._path.unlink(missing_ok=True)


def pieces_in_order(document: Document) -> Sequence[PieceFacts]:
    """Order of import: year by year, so that a commit touches few partitions."""
    return sorted(document.pieces, key=lambda piece: (piece.year, piece.path))
