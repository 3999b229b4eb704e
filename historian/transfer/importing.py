"""The import of files: read, typed, committed a bounded part at a time, gone on with, compared."""

import csv
import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from historian.errors import NotFound, RequestInvalid
from historian.events import EVENT_KINDS
from historian.transfer.arrow_files import read_arrow
from historian.transfer.compare import Compared, compare
from historian.transfer.csv_files import SAMPLE_HEADER, read_csv
from historian.transfer.document import (
    NAME,
    Document,
    PieceFacts,
    file_digest,
    pieces_in_order,
    read_document,
    sync_folder,
)
from historian.transfer.gate import TagGate
from historian.transfer.mapping import TYPES, Mapping
from historian.transfer.rows import Chunk, RawChunk, Reject
from historian.transfer.store import Progress, TransferStore
from historian.transfer.typed import SampleTyper, take_events
from storage_engine.bulk import BulkRows
from storage_engine.columns import STRINGS, take_column
from storage_engine.sample import ColumnData, EventBatch, SampleBatch

SUFFIXES = (".csv", ".parquet", ".arrow", ".feather", ".ipc")
_STRING_BYTES = 72  # an object of Python beside its characters, and what points to it
_ROW_BYTES = 20


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What is to be imported.

    Attributes
    ----------
    mapping : Mapping or None
        How foreign files are read; None: our own layouts.
    kind : str
        Kind of events that the files hold, in the layout of our export; empty: samples, or what
        ``export.json`` says.
    authoritative : bool
        Rows are corrections; by default they are redeliveries of what was observed.
    dry_run : bool
        Read and check everything, store nothing.
    verify_only : bool
        Only compare the store with ``export.json``.
    """

    mapping: Mapping | None = None
    kind: str = ""
    authoritative: bool = False
    dry_run: bool = False
    verify_only: bool = False


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What came of it; ``compared`` is None without an ``export.json``."""

    job: str
    read: int
    taken: int
    rejected: int
    tags_made: int
    rejects: Path | None
    compared: list[Compared] | None


@dataclass(slots=True)
class _Place:
    """Where the import goes on, as each commit keeps it."""

    file: int = 0
    rows: int = 0  # records of that file that are done
    read: int = 0
    taken: int = 0
    rejected: int = 0
    rejects_bytes: int = 0
    done: bool = False


@dataclass(slots=True)
class _Buffer:
    """Rows that wait for a commit."""

    parts: list[BulkRows] = field(default_factory=list)
    rows: int = 0
    size_bytes: int = 0

    def add(self, part: BulkRows) -> None:
        self.parts.append(part)
        self.rows += len(part)
        self.size_bytes += len(part) * _ROW_BYTES + sum(map(_column_bytes, part.data))


def _column_bytes(column: ColumnData) -> int:
    if column.type not in STRINGS:
        return int(column.value.nbytes)
    return len(column) * _STRING_BYTES + sum(map(len, column.value.tolist()))


class Import:
    """One import of a file or a folder.

    Parameters
    ----------
    store : TransferStore
    source : Path
    request : ImportRequest
    progress : Progress
    work : Path
        Folder for the file of rejects, one folder per job.
    commit_bytes : int
        Rows in memory per commit, about.
    principal : str
    """

    def __init__(
        self,
        store: TransferStore,
        source: Path,
        request: ImportRequest,
        progress: Progress,
        *,
        work: Path,
        commit_bytes: int,
        principal: str,
    ) -> None:
        self._store = store
        self._source = source
        self._request = request
        self._progress = progress
        self._commit_bytes = commit_bytes
        self._principal = principal
        self.document = self._find_document()
        self._files = self._find_files()
        self.job = self._name()
        self._rejects = work / self.job / "rejects.csv"
        tags = {} if self.document is None else {t.name: t for t in self.document.tags}
        self._gate = TagGate(store, tags, principal, dry=request.dry_run)
        self._mapping = request.mapping or Mapping()
        self._buffer = _Buffer()
        self._place = _Place()

    def _find_document(self) -> Document | None:
        if not self._source.exists():
            message = f"cannot import: got {self._source.name!r}, want a file or folder that exists"
            raise NotFound(message, got=self._source.name, where="path")
        if self._source.is_dir() and (self._source / NAME).exists():
            return read_document(self._source)
        if self._request.verify_only:
            raise RequestInvalid(f"cannot verify: got no {NAME}, want the folder of an export")
        return None

    def _find_files(self) -> list[tuple[Path, PieceFacts | None]]:
        if self.document is not None:
            pieces = pieces_in_order(self.document)
            for piece in pieces:
                path = self._source / piece.path
                inside = path.resolve().is_relative_to(self._source.resolve())
                if not inside or not path.is_file() or path.stat().st_size != piece.size_bytes:
                    message = (
                        f"cannot import: got no whole file {piece.path!r}, want that of {NAME}"
                    )
                    raise RequestInvalid(message, got=piece.path, where=NAME)
            return [(self._source / piece.path, piece) for piece in pieces]
        if self._source.is_file():
            return [(self._source, None)]
        root = self._source.resolve()
        found = sorted(
            path
            for path in self._source.rglob("*")
            if path.suffix in SUFFIXES and path.is_file() and path.resolve().is_relative_to(root)
        )
        if not found:
            message = f"cannot import: got no files in {self._source.name!r}, want "
            raise RequestInvalid(message + ", ".join(SUFFIXES), got=self._source.name, where="path")
        return [(path, None) for path in found]

    def _name(self) -> str:
        """Name of the job: the same for the same files and options, wherever they lie."""
        files = [
            [path.relative_to(self._source).as_posix() if path != self._source else path.name,
             path.stat().st_size, piece.blake2b if piece else ""]
            for path, piece in self._files
        ]  # fmt: skip
        request = (self._request.kind, self._request.authoritative, repr(self._request.mapping))
        text = json.dumps([files, request])
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()

    def run(self) -> ImportReport:
        """Import, or go on, then compare.

        Raises
        ------
        RequestInvalid
            The files are not what they should be; what was committed before stays.
        StorageError
            The store refused; run it again.
        """
        if not self._request.verify_only:
            self._read_all()
        compared = None
        if self.document is not None and not self._request.dry_run:
            compared = compare(self._store, self.document, self._progress)
        if not self._request.verify_only and not self._request.dry_run:
            self._store.engine.end_import(self.job)
            self._enter_audit()
        place = self._place
        rejects = self._rejects if place.rejected and self._rejects.exists() else None
        return ImportReport(
            self.job, place.read, place.taken, place.rejected, self._gate.made, rejects, compared
        )

    def _enter_audit(self) -> None:
        """Who brought in what; once per import, however often it was cut short."""
        place, database = self._place, self._store.catalog.database
        counts = {"read": place.read, "taken": place.taken, "rejected": place.rejected}
        facts = {"job": self.job, **counts, "authoritative": self._request.authoritative}
        with database.transaction():
            database.record(self._principal, "import", self._source.name, None, facts)

    def _read_all(self) -> None:
        if not self._request.dry_run:
            known = self._store.engine.import_position(self.job)
            if isinstance(known, dict):
                self._place = _Place(**known)
            self._gate.prepare()
        self._begin_rejects()
        place = self._place
        total = sum(p.rows for p in self.document.pieces) if self.document else None
        self._progress.stage("importing", total)
        self._progress.advance(place.read)
        while place.file < len(self._files):
            path, piece = self._files[place.file]
            if piece is not None and file_digest(path) != piece.blake2b:
                message = f"cannot import: got other bytes than {NAME} says, at {piece.path}"
                raise RequestInvalid(message, got=piece.path, where=NAME)
            for chunk in self._chunks(path, piece, place.rows):
                self._take(path, chunk)
            place.file, place.rows = place.file + 1, 0
        place.done = True
        self._commit()

    def _chunks(self, path: Path, piece: PieceFacts | None, skip: int) -> Iterator[Chunk]:
        mapping = Mapping() if piece is not None else self._mapping
        kind = piece.events if piece is not None else self._request.kind
        ours = piece is not None
        raws: Iterator[RawChunk]
        if path.suffix == ".csv" or (piece is None and path.suffix not in SUFFIXES):
            ours = ours or _has_our_header(path, mapping)
            raws = read_csv(path, skip=skip, delimiter=mapping.delimiter, header=mapping.header)
        else:
            raws = read_arrow(path, skip=skip)
        if kind:
            columns = EVENT_KINDS.get(kind)
            if columns is None:
                message = f"cannot import: got kind {kind!r}, want one of: "
                raise NotFound(message + ", ".join(EVENT_KINDS), got=kind, where="events")
            return (take_events(kind, columns, raw, mapping, self._gate) for raw in raws)
        only = TYPES[piece.samples] if piece is not None and piece.samples else None
        typer = SampleTyper(mapping, self._gate, ours=ours, only=only)
        return map(typer.take, raws)

    def _take(self, path: Path, chunk: Chunk) -> None:
        place = self._place
        for batch in chunk.samples:
            self._take_samples(batch)
        for events in chunk.events:
            self._take_events(events)
        rows = sum(map(len, chunk.samples)) + sum(map(len, chunk.events))
        place.rows += chunk.consumed
        place.read += chunk.consumed
        place.taken += rows
        place.rejected += len(chunk.rejects)
        self._write_rejects(path, chunk.rejects)
        self._progress.advance(chunk.consumed)
        if self._buffer.size_bytes >= self._commit_bytes:
            self._commit()

    def _take_samples(self, batch: SampleBatch) -> None:
        if self._request.dry_run:
            return
        type_, index = batch.value.type, batch.address_index
        groups: list[tuple[int, slice | np.ndarray[Any, Any]]] = []
        if len(batch.addresses) == 1:
            groups = [(0, slice(None))]
        else:
            order = np.argsort(index, kind="stable")
            codes, starts = np.unique(index[order], return_index=True)
            ends = [*starts[1:].tolist(), len(order)]
            spans = zip(codes.tolist(), starts.tolist(), ends, strict=True)
            groups = [(code, order[begin:end]) for code, begin, end in spans]
        for code, where in groups:
            stream_id = self._gate.stream_id(batch.addresses[code], type_)
            value = take_column(batch.value, where)
            times, quality = batch.timestamp_ns[where], batch.quality[where]
            self._buffer.add(BulkRows(stream_id, times, quality, None, (value,)))

    def _take_events(self, batch: EventBatch) -> None:
        stream_id = self._store.streams().event_stream(batch.kind)
        if stream_id is None:
            raise NotFound(f"cannot import: got no stream of {batch.kind!r}", got=batch.kind)
        if not self._request.dry_run:
            part = BulkRows(stream_id, batch.timestamp_ns, None, batch.event_id, batch.data)
            self._buffer.add(part)

    def _commit(self) -> None:
        """Store what waits, and where to go on, in one."""
        parts, self._buffer = self._buffer.parts, _Buffer()
        if self._request.dry_run:
            return
        self._store.engine.bulk_import(
            self.job,
            dataclasses.asdict(self._place),
            parts,
            note={"source": self._source.name, "principal": self._principal},
            authoritative=self._request.authoritative,
            pace=self._store.pace,
        )

    def _begin_rejects(self) -> None:
        """Cut the file of rejects to what the last commit knew."""
        if self._rejects.exists():
            with self._rejects.open("rb+") as file:
                file.truncate(self._place.rejects_bytes)

    def _write_rejects(self, path: Path, rejects: Sequence[Reject]) -> None:
        if not rejects:
            return
        fresh = self._place.rejects_bytes == 0
        self._rejects.parent.mkdir(parents=True, exist_ok=True)
        with self._rejects.open(
            "w" if fresh else "a", encoding="utf-8", errors="backslashreplace", newline=""
        ) as file:
            writer = csv.writer(file, lineterminator="\n")
            if fresh:
                writer.writerow(["file", "line", "reason", "text"])
            writer.writerows([path.name, r.line, r.reason, r.text] for r in rejects)
            file.flush()
            os.fsync(file.fileno())
            self._place.rejects_bytes = file.tell()
        sync_folder(self._rejects.parent)


def _has_our_header(path: Path, mapping: Mapping) -> bool:
    """Whether a CSV file that no export.json names is in our layout, with our escapes."""
    if mapping != Mapping():
        return False
    with path.open("rb") as file:
        return file.readline(200).strip() == ",".join(SAMPLE_HEADER).encode()
