"""Log files -> records, in order; what is damaged is named, what was never durable is dropped.

Reads only: the read-only engine replays with it, too.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from storage_engine.checksum import crc32c
from storage_engine.errors import CorruptData, DiskError, UnsupportedFormat
from storage_engine.filesystem import FileSystem
from storage_engine.wal_record import (
    FILE_HEADER_BYTES,
    FLAG_RECYCLED,
    KIND_DURABLE,
    KINDS,
    OPTIONAL_KINDS,
    RECORD_HEADER_BYTES,
    RECORD_MAGIC,
    FileHeader,
    Finding,
    Record,
    RecordHeader,
    file_number,
    file_seed,
    unpack_file_header,
    unpack_record,
)

_READ_BYTES = 65536
_AHEAD_BYTES = 4 << 20  # smaller files are read when their turn comes
_SCAN_FACTOR = 8  # bodies checked while looking for the next sound record, in file sizes


@dataclass(slots=True)
class LogFile:
    """One log file as found: where it starts, how many bytes make sense.

    ``blank_tail``: nothing but zeros behind them.
    """

    path: str
    number: int
    first_lsn: int
    used_bytes: int = 0
    size_bytes: int = 0
    blank_tail: bool = False


@dataclass(slots=True)
class Replayed:
    """What a replay found.

    Attributes
    ----------
    files : list of LogFile
        Oldest first.
    last_lsn : int
        Greatest lsn that is replayed, covered, or known to be lost: the next is one more.
    proven_lsn : int
        Everything up to it was durable before this replay, by marks and file headers.
    unproven : list of Record
        Replayed records behind ``proven_lsn``: copy them before acknowledging anything.
    findings : list of Finding
        Damage.
    torn : Finding or None
        The tail of the last file that no sync had finished; not damage.
    """

    files: list[LogFile] = field(default_factory=list)
    last_lsn: int = 0
    proven_lsn: int = 0
    unproven: list[Record] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    torn: Finding | None = None


@dataclass(frozen=True, slots=True)
class _Bad:
    offset: int
    end: int


def read_log(
    filesystem: FileSystem, directory: str, *, start_lsn: int, apply: Callable[[Record], None]
) -> Replayed:
    """Replay every record behind ``start_lsn`` in order of its lsn.

    Parameters
    ----------
    filesystem : FileSystem
        Where the log lies.
    directory : str
        Of the log files.
    start_lsn : int
        Records up to it are covered elsewhere and not applied.
    apply : callable
        Gets each record once.

    Returns
    -------
    Replayed

    Raises
    ------
    UnsupportedFormat
        When a newer version wrote one of the files; nothing is changed.
    """
    return _Replay(filesystem, directory, start_lsn, apply).run()


class _Replay:
    """One pass over the files; ``last`` is the lsn up to which all is applied, covered or lost."""

    def __init__(
        self, fs: FileSystem, directory: str, start_lsn: int, apply: Callable[[Record], None]
    ) -> None:
        self.fs = fs
        self.directory = directory
        self.apply = apply
        self.start = start_lsn
        self.last = start_lsn
        self.result = Replayed(last_lsn=start_lsn, proven_lsn=start_lsn)
        self.waiting: dict[str, Future[bytes]] = {}

    def run(self) -> Replayed:
        names = self.fs.list(self.directory)
        numbers = sorted(n for n in map(file_number, names) if n is not None)
        headers = {n: self.header(n) for n in numbers}
        with ThreadPoolExecutor(1) as pool:
            for i, number in enumerate(numbers):
                later = [h for h in (headers[n] for n in numbers[i + 1 :]) if h]
                self.file(number, headers[number], later[0].first_lsn if later else None, pool)
        result = self.result
        result.last_lsn = max(self.last, result.proven_lsn)
        result.unproven = [r for r in result.unproven if r.lsn > result.proven_lsn]
        return result

    def path(self, number: int) -> str:
        return f"{self.directory}/{number:016}.log"

    def header(self, number: int) -> FileHeader | None:
        """Header of a file; a bad one is named, and the records speak for themselves."""
        path = self.path(number)
        try:
            file = self.fs.open_read(path)
            try:
                header = unpack_file_header(file.read_at(0, FILE_HEADER_BYTES), path)
            finally:
                file.close()
            if header.number == number:
                return header
            what = f"file header is that of log file {header.number}"
        except (CorruptData, DiskError) as error:
            what = str(error)
        self.result.findings.append(Finding(path, 0, what, FILE_HEADER_BYTES))
        return None

    def ahead(self, number: int, pool: ThreadPoolExecutor) -> None:
        """Let a large file be read while the one before it is replayed."""
        path = self.path(number)
        if self.fs.exists(path) and self.fs.size(path) >= _AHEAD_BYTES:
            self.waiting[path] = pool.submit(self.read, path, self.fs.size(path))

    def file(
        self,
        number: int,
        header: FileHeader | None,
        next_first: int | None,
        pool: ThreadPoolExecutor,
    ) -> None:
        """Replay one file, which answers for the lsns before ``next_first`` (None: the last)."""
        path = self.path(number)
        size = self.fs.size(path)
        found = LogFile(path, number, header.first_lsn if header else self.last + 1, 0, size)
        self.result.files.append(found)
        if next_first is not None and next_first <= self.start + 1:
            found.used_bytes = size
            return
        if header and header.first_lsn > self.last + 1:
            self.lost(path, 0, header.first_lsn - 1, "in no log file")
        if header and next_first is None and size < header.size_bytes:
            # Its space was taken and synced before its name was: no power cut does this.
            what = f"file ends at {size} of {header.size_bytes} bytes; what it held there is lost"
            self.result.findings.append(Finding(path, size, what))
        data = self.waiting.pop(path).result() if path in self.waiting else self.read(path, size)
        self.ahead(number + 1, pool)
        pieces = list(_scan(data, file_seed(number)))
        good = [p for p in pieces if isinstance(p, RecordHeader)]
        found.used_bytes = max((p.end for p in good), default=FILE_HEADER_BYTES)
        found.blank_tail = data.count(0, found.used_bytes) == len(data) - found.used_bytes
        if header is None:
            lsns = (p.lsn for p in good if p.kind != KIND_DURABLE)
            found.first_lsn = next(lsns, found.first_lsn)
        proven = max(self.start, found.first_lsn - 1)
        if next_first is not None:
            proven = max(proven, next_first - 1)
        proven = max([proven, *(p.lsn for p in good if p.kind == KIND_DURABLE)])
        self.result.proven_lsn = max(self.result.proven_lsn, proven)
        self.pieces(path, data, pieces, proven, next_first)
        if next_first is None:
            self.tail(path, data, found.used_bytes, header)

    def pieces(
        self,
        path: str,
        data: bytes,
        pieces: list["RecordHeader | _Bad"],
        proven: int,
        next_first: int | None,
    ) -> None:
        """Apply the records of a file until they end, are superseded, or were never durable."""
        bad: list[_Bad] = []
        at = FILE_HEADER_BYTES
        for piece in pieces:
            if isinstance(piece, _Bad):
                bad.append(piece)
                continue
            at = piece.end
            if piece.kind == KIND_DURABLE or piece.lsn <= self.last:
                continue
            if next_first is not None and piece.lsn >= next_first:
                continue
            if piece.lsn > self.last + 1:
                if self.last + 1 > proven:
                    self.torn(path, bad[0].offset if bad else piece.offset, len(data))
                    return
                self.damage(path, bad, piece.offset, piece.lsn - 1)
            elif bad and piece.lsn <= proven:
                self.damage(path, bad, piece.offset, self.last)
            bad = []
            self.record(path, data, piece, proven)
        if self.last < proven:
            if not bad and any(data[at:]):
                bad = [_Bad(at, len(data))]
            self.damage(path, bad, at, proven)
        elif bad and next_first is None:
            self.torn(path, bad[0].offset, bad[-1].end)

    def record(self, path: str, data: bytes, piece: RecordHeader, proven: int) -> None:
        self.last = piece.lsn
        kind = KINDS.get(piece.kind)
        if kind is None and piece.kind < OPTIONAL_KINDS:
            raise UnsupportedFormat(
                f"cannot read log: got a record of kind {piece.kind}, want one of "
                f"{[int(known) for known in KINDS]}, at {path} byte {piece.offset}",
                path=path,
            )
        if kind is None:
            what = f"lsn {piece.lsn} is of kind {piece.kind}, which this version does not know"
            self.result.findings.append(Finding(path, piece.offset, what, piece.end - piece.offset))
            return
        body = data[piece.body : piece.body + piece.body_bytes]
        record = Record(piece.lsn, kind, piece.record_time_ns, body)
        if piece.lsn > proven:
            self.result.unproven.append(record)
        self.apply(record)

    def damage(self, path: str, bad: list[_Bad], at: int, lost_to: int) -> None:
        """Name bad places and the lsns lost with them."""
        if bad:
            at, end = bad[0].offset, bad[-1].end
            what = f"bytes {at} to {end} are no sound records"
            self.result.findings.append(Finding(path, at, what, end - at))
        if lost_to > self.last:
            self.lost(path, at, lost_to, "acknowledged, and not to be found")

    def lost(self, path: str, offset: int, lost_to: int, why: str) -> None:
        what = f"lsn {self.last + 1} to {lost_to} are lost: {why}"
        self.result.findings.append(Finding(path, offset, what))
        self.last = lost_to

    def torn(self, path: str, offset: int, end: int) -> None:
        what = f"torn tail behind lsn {self.last}: no sync had finished it"
        self.result.torn = Finding(path, offset, what, end - offset)

    def tail(self, path: str, data: bytes, used: int, header: FileHeader | None) -> None:
        """Name garbage behind the last record, unless a recycled file explains it."""
        recycled = header is not None and header.flags & FLAG_RECYCLED
        if self.result.torn is None and not recycled and any(data[used : used + _READ_BYTES]):
            self.torn(path, used, len(data))

    def read(self, path: str, size: int) -> bytes:
        """Whole file; unreadable pieces are named and read as zeros."""
        file = self.fs.open_read(path)
        try:
            try:
                return file.read_at(0, size)
            except DiskError:
                return b"".join(self.read_pieces(path, file.read_at, size))
        finally:
            file.close()

    def read_pieces(
        self, path: str, read_at: Callable[[int, int], bytes], size: int
    ) -> Iterator[bytes]:
        for at in range(0, size, _READ_BYTES):
            want = min(_READ_BYTES, size - at)
            try:
                yield read_at(at, want)
            except DiskError as error:
                self.result.findings.append(Finding(path, at, str(error), want))
                yield bytes(want)


def _scan(data: bytes, seed: int) -> Iterator[RecordHeader | _Bad]:
    """Sound records in order, and the bad places between them; ends at the last sound header."""
    at = FILE_HEADER_BYTES
    budget = _SCAN_FACTOR * len(data)
    view = memoryview(data)
    while True:
        header = unpack_record(data, at, seed)
        if header is None:
            found = _next_header(data, at, seed)
            if found is None:
                return
            yield _Bad(at, found)
            at = found
            continue
        content = view[header.body : header.end]
        budget -= len(content)
        whole = header.end <= len(data) and budget >= 0
        if whole and crc32c(content, seed) == header.body_crc:
            yield header
            at = header.end
            continue
        # The header vouches for the extent; should that lie beyond the file, look behind it.
        end = header.end if whole else header.body
        yield _Bad(at, end)
        at = end


def _next_header(data: bytes, at: int, seed: int) -> int | None:
    """Offset of the next sound record header behind ``at``."""
    found = at
    while True:
        found = data.find(RECORD_MAGIC, found + 1)
        if found < 0 or found + RECORD_HEADER_BYTES > len(data):
            return None
        if found % 8 == 0 and unpack_record(data, found, seed) is not None:
            return found
