"""The log of a live store up to one lsn, and the log of a restored one."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from storage_engine.errors import DataError, DiskError
from storage_engine.filesystem import File, FileSystem
from storage_engine.frame import peek_envelope
from storage_engine.prepare import split_record
from storage_engine.subtree import COPY_BYTES, Copied, Cut, Pace, copy_file
from storage_engine.wal_reader import read_log
from storage_engine.wal_record import (
    FILE_HEADER_BYTES,
    KIND_DURABLE,
    RECORD_HEADER_BYTES,
    FileHeader,
    Finding,
    Record,
    RecordKind,
    file_name,
    file_number,
    file_seed,
    pack_file_header,
    pack_record,
    unpack_file_header,
    unpack_record,
)

DIRECTORY = "wal"


@dataclass(slots=True)
class CountedLog:
    """What a log holds.

    Attributes
    ----------
    records, rows : int
        Behind the checkpoint; rejected rows are not counted.
    last_lsn : int
        The checkpoint when there is no record.
    record_time_ns : int
        Of the last record; 0 when there is none.
    streams : set of int
        Ids that records speak of.
    findings : list of Finding
        Damage.
    """

    records: int = 0
    rows: int = 0
    last_lsn: int = 0
    record_time_ns: int = 0
    streams: set[int] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)


def count_log(fs: FileSystem, after_lsn: int, pace: Pace) -> CountedLog:
    """Read a log and count it.

    Parameters
    ----------
    fs : FileSystem
        Below a store's root.
    after_lsn : int
        The checkpoint.
    pace : callable
    """
    counted = CountedLog()

    def apply(record: Record) -> None:
        counted.records += 1
        counted.record_time_ns = record.record_time_ns
        try:
            if record.kind is RecordKind.FRAME:
                rejected, data = split_record(record.body)
                out = 0 if rejected is None else int(rejected.sum())
                counted.rows += peek_envelope(data).row_count - out
            elif record.kind is RecordKind.STREAM:
                counted.streams.add(int(json.loads(record.body)["id"]))
        except (DataError, ValueError, KeyError) as error:
            what = f"record with lsn {record.lsn} cannot be read: {error}"
            counted.findings.append(Finding(DIRECTORY, 0, what))
        pace(len(record.body) + RECORD_HEADER_BYTES)

    replayed = read_log(fs, DIRECTORY, start_lsn=after_lsn, apply=apply)
    counted.last_lsn = replayed.last_lsn
    counted.findings += replayed.findings
    return counted


def copy_log(
    source: FileSystem, target: FileSystem, after_lsn: int, upto_lsn: int, pace: Pace
) -> Iterator[tuple[str, Copied]]:
    """Copy the log files that hold records behind one lsn, cut off behind another.

    Parameters
    ----------
    source : FileSystem
        Of a store that may be writing; it keeps the files meanwhile.
    target : FileSystem
        With a directory for the log.
    after_lsn, upto_lsn : int
        The checkpoint, and a durable lsn.
    pace : callable

    Yields
    ------
    path : str
    copied : Copied

    Raises
    ------
    DiskError
        The target refused.
    """
    if upto_lsn <= after_lsn:
        return
    numbers = sorted(n for n in map(file_number, source.list(DIRECTORY)) if n is not None)
    firsts = [_first_lsn(source, number) for number in numbers]
    for place, number in enumerate(numbers):
        later = [first for first in firsts[place + 1 :] if first is not None]
        if later and later[0] <= after_lsn + 1:
            continue
        first = firsts[place]
        if first is not None and first > upto_lsn:
            return
        path = f"{DIRECTORY}/{file_name(number)}"
        cut = None
        if not later or later[0] > upto_lsn:
            cut = _cut(source, path, file_seed(number), upto_lsn, pace)
        yield path, copy_file(source, path, target, path, pace=pace, cut=cut)
        if cut is not None:
            return


def _first_lsn(source: FileSystem, number: int) -> int | None:
    path = f"{DIRECTORY}/{file_name(number)}"
    try:
        file = source.open_read(path)
        try:
            return unpack_file_header(file.read_at(0, FILE_HEADER_BYTES), path).first_lsn
        finally:
            file.close()
    except (DataError, DiskError):
        return None  # the copy will show what is wrong with it


def _cut(source: FileSystem, path: str, seed: int, lsn: int, pace: Pace) -> Cut | None:
    """The file up to the end of one record, with a mark that it was durable.

    None when that record is not found by going from header to header: then the whole file goes.
    """
    file = source.open_read(path)
    try:
        end = _record_end(file, seed, lsn, pace)
        if end is None:
            return None
        mark = pack_record(seed, lsn, KIND_DURABLE, 0, ())
        header = unpack_file_header(file.read_at(0, FILE_HEADER_BYTES), path)
        return Cut(pack_file_header(replace(header, size_bytes=end + len(mark))), end, mark)
    except (DataError, DiskError):
        return None
    finally:
        file.close()


def _record_end(file: File, seed: int, lsn: int, pace: Pace) -> int | None:
    """Where a record ends; little is held at a time, for a store that writes meanwhile."""
    data, base, at, size = b"", 0, FILE_HEADER_BYTES, file.size()
    while at < size:
        found = unpack_record(data, at - base, seed)
        if found is not None:
            at = base + found.end
            if found.lsn == lsn and found.kind != KIND_DURABLE:
                return at if at <= size else None
            continue
        if len(data) - (at - base) >= RECORD_HEADER_BYTES:
            return None
        base, data = at, file.read_at(at, COPY_BYTES)
        if len(data) < RECORD_HEADER_BYTES:
            return None
        pace(len(data))
    return None


class RestoredLog:
    """Writes the log of a restored store: every lsn once, none missing.

    Parameters
    ----------
    fs : FileSystem
        Below the store's root.
    after_lsn : int
        The checkpoint.
    file_bytes : int
        Size at which a new file begins.
    now_ns : int
        For the file headers.
    """

    def __init__(self, fs: FileSystem, after_lsn: int, file_bytes: int, now_ns: int) -> None:
        self._fs = fs
        self._file_bytes = file_bytes
        self._now_ns = now_ns
        self._number = 0
        self._file: File | None = None
        self._size = 0
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._time_ns = 0
        self._header = FileHeader(0, 0, now_ns)
        self.last_lsn = after_lsn
        fs.make_directories(DIRECTORY)

    def add(self, record: Record, *, keep: bool) -> None:
        """Write a record, or a note in its place; one for each lsn that is missing before it."""
        self.fill(record.lsn - 1)
        self._time_ns = max(self._time_ns, record.record_time_ns)
        if keep:
            self._put(record.lsn, record.kind, record.record_time_ns, record.body)
        else:
            self._put(record.lsn, RecordKind.NOTE, record.record_time_ns, b'{"left_out":true}')

    def fill(self, lsn: int) -> None:
        """Write a note for every lsn up to this one that is not there."""
        while self.last_lsn < lsn:
            self._put(self.last_lsn + 1, RecordKind.NOTE, self._time_ns, b'{"lost":true}')

    def _put(self, lsn: int, kind: int, time_ns: int, body: bytes) -> None:
        if self._file is None or self._size + len(body) > self._file_bytes:
            self._next(lsn)
        self._write(pack_record(file_seed(self._number), lsn, kind, time_ns, (body,)))
        self.last_lsn = lsn

    def _write(self, data: bytes) -> None:
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        self._size += len(data)
        if self._waiting_bytes >= COPY_BYTES:
            self._flush()

    def _flush(self) -> None:
        assert self._file is not None, "a file was begun"
        self._file.append(b"".join(self._waiting))
        self._waiting, self._waiting_bytes = [], 0

    def _next(self, first_lsn: int) -> None:
        self.close()
        self._number += 1
        self._file = self._fs.create(f"{DIRECTORY}/{file_name(self._number)}")
        self._size = 0
        self._header = FileHeader(self._number, first_lsn, self._now_ns)
        self._write(pack_file_header(self._header))

    def close(self) -> None:
        """Mark what was written as durable, and make it so."""
        file, self._file = self._file, None
        if file is None:
            return
        seed = file_seed(self._number)
        self._waiting.append(pack_record(seed, self.last_lsn, KIND_DURABLE, 0, ()))
        file.append(b"".join(self._waiting))
        self._waiting, self._waiting_bytes = [], 0
        file.write_at(0, pack_file_header(replace(self._header, size_bytes=file.size())))
        file.sync()
        file.close()


def rewrite_log(
    source: FileSystem,
    log: RestoredLog,
    after_lsn: int,
    keep: Callable[[Record], bool],
    pace: Pace,
) -> list[Finding]:
    """Write the log of a backup anew.

    Parameters
    ----------
    source : FileSystem
        Below the root of the store in the backup.
    log : RestoredLog
    after_lsn : int
        The checkpoint.
    keep : callable
        Whether a record stays; a note takes the place of the others.
    pace : callable

    Returns
    -------
    list of Finding
        Damage in the backup's log.
    """

    def apply(record: Record) -> None:
        log.add(record, keep=keep(record))
        pace(len(record.body) + RECORD_HEADER_BYTES)

    replayed = read_log(source, DIRECTORY, start_lsn=after_lsn, apply=apply)
    log.fill(replayed.last_lsn)
    log.close()
    return replayed.findings
