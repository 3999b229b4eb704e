"""One log file, piece by piece: sound records, marks, and the places that are neither."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from storage_engine.checksum import crc32c
from storage_engine.errors import CorruptData, StorageError, UnsupportedFormat
from storage_engine.filesystem import FileSystem
from storage_engine.frame import decode_frame
from storage_engine.prepare import split_record
from storage_engine.streams import stream_from_json
from storage_engine.table import decode_table
from storage_engine.tools.bytes_of import read_file
from storage_engine.wal_record import (
    FILE_HEADER_BYTES,
    FLAG_RECYCLED,
    KIND_DURABLE,
    KINDS,
    RECORD_HEADER_BYTES,
    RECORD_MAGIC,
    FileHeader,
    Finding,
    RecordHeader,
    RecordKind,
    file_number,
    file_seed,
    unpack_file_header,
    unpack_record,
)

_GUESSES = 100_000  # file numbers tried when neither name nor header tells it
_SKIPPABLE = 128  # kinds from here on may be stepped over by an older reader


@dataclass(frozen=True, slots=True)
class Hole:
    """Bytes between two sound records that are none."""

    offset: int
    end: int


@dataclass(slots=True)
class LogPieces:
    """A log file as found.

    Attributes
    ----------
    path : str
    number : int or None
        By header, else by name, else by trial; None when no record holds under any number.
    header : FileHeader or None
        None when it does not hold.
    data : bytes
    records : list of RecordHeader
        Sound ones, DURABLE marks among them.
    holes : list of Hole
        Between the records; behind the last one nothing is named.
    findings : list of Finding
    newer : bool
        A newer version wrote it.
    """

    path: str
    number: int | None = None
    header: FileHeader | None = None
    data: bytes = b""
    records: list[RecordHeader] = field(default_factory=list)
    holes: list[Hole] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    newer: bool = False

    @property
    def used(self) -> int:
        """End of the last record."""
        return max((record.end for record in self.records), default=FILE_HEADER_BYTES)

    @property
    def durable_lsn(self) -> int:
        """Greatest lsn that a mark or the header calls durable."""
        marks = [r.lsn for r in self.records if r.kind == KIND_DURABLE]
        first = self.header.first_lsn - 1 if self.header else 0
        return max([first, *marks])

    def body(self, record: RecordHeader) -> bytes:
        """Body of a record, without padding."""
        return self.data[record.body : record.body + record.body_bytes]

    def lsns(self) -> list[RecordHeader]:
        """Records that carry an lsn of their own."""
        return [record for record in self.records if record.kind != KIND_DURABLE]


def open_log_file(fs: FileSystem, path: str) -> LogPieces:
    """Read a log file whole and cut it into records.

    Parameters
    ----------
    fs : FileSystem
    path : str

    Returns
    -------
    LogPieces
    """
    found = LogPieces(path)
    found.data = read_file(fs, path, found.findings)
    named = file_number(path.rsplit("/", 1)[-1])
    try:
        header = unpack_file_header(found.data, path)
        found.header = header
        found.number = header.number
        if named is not None and named != header.number:
            what = f"file header is that of log file {header.number}"
            found.findings.append(Finding(path, 0, what, FILE_HEADER_BYTES))
    except UnsupportedFormat as error:
        found.newer = True
        found.findings.append(Finding(path, 0, str(error), FILE_HEADER_BYTES))
        return found
    except CorruptData as error:
        found.findings.append(Finding(path, 0, str(error), FILE_HEADER_BYTES))
        found.number = named
    if found.header is None and (named is None or not _holds(found.data, named)):
        found.number = _guess(found.data) or named
    if found.number is not None:
        _cut(found, file_seed(found.number))
    return found


def _first_magic(data: bytes) -> list[int]:
    places: list[int] = []
    at = data.find(RECORD_MAGIC)
    while at >= 0 and len(places) < 3:
        if at % 8 == 0:
            places.append(at)
        at = data.find(RECORD_MAGIC, at + 1)
    return places


def _holds(data: bytes, number: int) -> bool:
    places = _first_magic(data)
    return not places or any(unpack_record(data, at, file_seed(number)) for at in places)


def _guess(data: bytes) -> int | None:
    places = _first_magic(data)
    for number in range(_GUESSES if places else 0):
        seed = file_seed(number)
        if any(unpack_record(data, at, seed) for at in places):
            return number
    return None


def _cut(found: LogPieces, seed: int) -> None:
    data, view = found.data, memoryview(found.data)
    at = bad = FILE_HEADER_BYTES
    budget = 8 * len(data)
    while at + RECORD_HEADER_BYTES <= len(data):
        record = unpack_record(data, at, seed)
        sound = False
        if record is not None and record.end <= len(data) and budget > 0:
            budget -= record.end - record.body
            sound = crc32c(view[record.body : record.end], seed) == record.body_crc
        if record is None or not sound:
            following = _next_magic(data, at)
            if following is None:
                break
            at = following
            continue
        if bad < at:
            found.holes.append(Hole(bad, at))
        found.records.append(record)
        at = bad = record.end


def _next_magic(data: bytes, at: int) -> int | None:
    at = data.find(RECORD_MAGIC, at + 1)
    while at >= 0 and at % 8:
        at = data.find(RECORD_MAGIC, at + 1)
    return None if at < 0 else at


def kind_name(kind: int) -> str:
    """Name of a record's kind; unknown ones by their number.

    Parameters
    ----------
    kind : int

    Returns
    -------
    str
    """
    if kind == KIND_DURABLE:
        return "DURABLE"
    return KINDS[kind].name if kind in KINDS else f"KIND {kind}"


def check_log_file(
    found: LogPieces, *, next_first: int | None = None, last: bool = True
) -> tuple[list[Finding], list[str]]:
    """Check records, the chain of lsns and what the bodies hold.

    Parameters
    ----------
    found : LogPieces
    next_first : int, optional
        First lsn of the file behind it.
    last : bool
        Nothing follows it, so that its tail may be torn.

    Returns
    -------
    findings : list of Finding
    notes : list of str
        What is worth saying and no damage.
    """
    findings, notes = list(found.findings), []
    durable = found.durable_lsn
    if next_first is not None:
        durable = max(durable, next_first - 1)
    holes = list(found.holes)
    before = found.header.first_lsn - 1 if found.header else None
    if before is None:
        before = next((r.lsn - 1 for r in found.lsns()), 0)
    torn = False
    for record in found.lsns():
        if next_first is not None and record.lsn >= next_first:
            break
        passed = [hole for hole in holes if hole.offset < record.offset]
        holes = holes[len(passed) :]
        if record.lsn > before + 1 and before + 1 > durable and last:
            torn = True
            break
        findings += [_hole(found.path, hole) for hole in passed]
        if record.lsn > before + 1:
            what = f"lsn {before + 1} to {record.lsn - 1} are lost: acknowledged, not to be found"
            findings.append(Finding(found.path, record.offset, what))
        before = max(before, record.lsn)
        findings += _check_body(found, record)
    if before < durable:
        what = f"lsn {before + 1} to {durable} are lost: acknowledged, not to be found"
        findings += [_hole(found.path, hole) for hole in holes]
        findings.append(Finding(found.path, found.used, what))
    elif holes and not torn and next_first is None:
        torn = True
    if torn and last:
        notes.append(f"{found.path}: torn tail behind lsn {before}: no sync had finished it")
    elif torn:
        findings += [_hole(found.path, hole) for hole in holes]
    recycled = found.header is not None and found.header.flags & FLAG_RECYCLED
    if not recycled and any(found.data[found.used :]):
        notes.append(f"{found.path}: bytes behind the last record, at {found.used}, are no record")
    return findings, notes


def _hole(path: str, hole: Hole) -> Finding:
    size = hole.end - hole.offset
    return Finding(path, hole.offset, f"{size} bytes are no sound record", size)


def _check_body(found: LogPieces, record: RecordHeader) -> Iterator[Finding]:
    where = (found.path, record.offset)
    if any(found.data[record.body - 4 : record.body]):
        yield Finding(*where, f"the header of lsn {record.lsn} ends in other bytes than zero", 40)
    if record.kind not in KINDS:
        if record.kind < _SKIPPABLE:
            what = f"lsn {record.lsn} is of kind {record.kind}, which this version does not know"
            yield Finding(*where, what, record.end - record.offset)
        return
    try:
        decode_body(found.body(record), record.kind)
    except (StorageError, ValueError, KeyError, TypeError, IndexError) as error:
        yield Finding(*where, f"the body of lsn {record.lsn} cannot be read: {error}")


def decode_body(body: bytes, kind: int) -> object:
    """Body of a record as plain values or a frame.

    Parameters
    ----------
    body : bytes
    kind : int

    Returns
    -------
    object
        (mask or None, Frame) for FRAME, StreamInfo for STREAM, arrays for BIND, JSON for kinds
        that hold it, else the bytes.

    Raises
    ------
    DataError, ValueError, KeyError
        When it does not hold.
    """
    if kind == RecordKind.FRAME:
        mask, data = split_record(body)
        return mask, decode_frame(data)
    if kind == RecordKind.STREAM:
        return stream_from_json(body)
    if kind == RecordKind.BIND:
        return decode_table(body, at="a BIND record")
    if body[:1] in (b"{", b"["):
        return json.loads(body)
    return body
