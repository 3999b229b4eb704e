"""Log files -> records, in order; what is damaged is named, what was never durable is dropped.

Reads only: the read-only engine replays with it, too.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from storage_engine.errors import CorruptData, DiskError, UnsupportedFormat
from storage_engine.filesystem import FileSystem
from storage_engine.wal_record import (
    FILE_HEADER_BYTES,
    FLAG_RECYCLED,
    KIND_DURABLE,
    KINDS,
    OPTIONAL_KINDS,
    FileHeader,
    Finding,
    Frames,
    Record,
    RecordHeader,
    file_number,
    file_seed,
    unpack_file_header,
)
from storage_engine.wal_scan import Bad, Sound, scan

_READ_BYTES = 65536
_AHEAD_BYTES = 4 << 20  # smaller files are read when their turn comes


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


def read_log(
    filesystem: FileSystem,
    directory: str,
    *,
    start_lsn: int,
    apply: Callable[[Record], None],
    apply_frames: Callable[[Frames], int] | None = None,
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
    apply_frames : callable, optional
        Offered frames before ``apply`` gets them one by one; says how many of them it took.

    Returns
    -------
    Replayed

    Raises
    ------
    UnsupportedFormat
        When a newer version wrote one of the files; nothing is changed.
    """
    return _Replay(filesystem, directory, start_lsn, apply, apply_frames).run()


class _Replay:
    """One pass over the files; ``last`` is the lsn up to which all is applied, covered or lost."""

    def __init__(
        self,
        fs: FileSystem,
        directory: str,
        start_lsn: int,
        apply: Callable[[Record], None],
        apply_frames: Callable[[Frames], int] | None,
    ) -> None:
        self.fs = fs
        self.directory = directory
        self.apply = apply
        self.apply_frames = apply_frames
        self.start = start_lsn
        self.last = start_lsn
        self.result = Replayed(last_lsn=start_lsn, proven_lsn=start_lsn)
        self.waiting: dict[str, Future[tuple[bytes, list[Sound | Bad]]]] = {}

    def run(self) -> Replayed:
        names = self.fs.list(self.directory)
        numbers = sorted(n for n in map(file_number, names) if n is not None)
        headers = {n: self.header(n) for n in numbers}
        with ThreadPoolExecutor(1) as pool:
            firsts = {n: self.first(n, headers[n], pool) for n in numbers}
            for i, number in enumerate(numbers):
                later = (firsts[n] for n in numbers[i + 1 :])
                next_first = next((lsn for lsn in later if lsn is not None), None)
                self.file(number, headers[number], next_first, pool)
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

    def first(self, number: int, header: FileHeader | None, pool: ThreadPoolExecutor) -> int | None:
        """First lsn of a file; without a header that of its first sound record, if it has any."""
        if header is not None:
            return header.first_lsn
        path = self.path(number)
        read = pool.submit(self.scanned, path, number, self.fs.size(path))
        self.waiting[path] = read  # so that unreadable places are named once
        sound = (p.without_marks().lsn for p in read.result()[1] if isinstance(p, Sound))
        return next((int(lsns[0]) for lsns in sound if len(lsns)), None)

    def ahead(self, number: int, pool: ThreadPoolExecutor) -> None:
        """Let a large file be read while the one before it is replayed."""
        path = self.path(number)
        if self.fs.exists(path) and self.fs.size(path) >= _AHEAD_BYTES:
            self.waiting[path] = pool.submit(self.scanned, path, number, self.fs.size(path))

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
        early = self.waiting.pop(path, None)
        data, pieces = early.result() if early else self.scanned(path, number, size)
        self.ahead(number + 1, pool)
        good = [p for p in pieces if isinstance(p, Sound)]
        found.used_bytes = max((p.end for p in good), default=FILE_HEADER_BYTES)
        found.blank_tail = not np.frombuffer(data, np.uint8)[found.used_bytes :].any()
        if header is None:
            lsns = (p.lsn[p.kind != KIND_DURABLE] for p in good)
            found.first_lsn = next((int(some[0]) for some in lsns if len(some)), found.first_lsn)
        proven = max(self.start, found.first_lsn - 1)
        if next_first is not None:
            proven = max(proven, next_first - 1)
        marks = (int(p.lsn[p.kind == KIND_DURABLE].max(initial=0)) for p in good)
        proven = max([proven, *marks])
        self.result.proven_lsn = max(self.result.proven_lsn, proven)
        self.pieces(path, data, pieces, proven, next_first)
        if next_first is None:
            self.tail(path, data, found.used_bytes, header)

    def pieces(
        self,
        path: str,
        data: bytes,
        pieces: list[Sound | Bad],
        proven: int,
        next_first: int | None,
    ) -> None:
        """Apply the records of a file until they end, are superseded, or were never durable."""
        bad: list[Bad] = []
        at = FILE_HEADER_BYTES
        for piece in pieces:
            if isinstance(piece, Bad):
                bad.append(piece)
                continue
            at = piece.end
            if not self.sound(path, data, piece, bad, proven=proven, next_first=next_first):
                return
        if self.last < proven:
            if not bad and any(data[at:]):
                bad = [Bad(at, len(data))]
            self.damage(path, bad, at, proven)
        elif bad and next_first is None:
            self.torn(path, bad[0].offset, bad[-1].end)

    def sound(
        self,
        path: str,
        data: bytes,
        found: Sound,
        bad: list[Bad],
        *,
        proven: int,
        next_first: int | None,
    ) -> bool:
        """Apply sound records behind bad places; False when the log ends before them."""
        found, end = found.without_marks(), 1 << 64 if next_first is None else next_first
        stretches, lsns = found.stretches().tolist(), found.lsn.tolist()
        place = 0
        while place < len(lsns):
            lsn = lsns[place]
            if lsn <= self.last or lsn >= end:
                place += 1
                continue
            if lsn > self.last + 1:
                if self.last + 1 > proven:
                    offset = bad[0].offset if bad else int(found.offset[place])
                    self.torn(path, offset, len(data))
                    return False
                self.damage(path, bad, int(found.offset[place]), lsn - 1)
            elif bad and lsn <= proven:
                self.damage(path, bad, int(found.offset[place]), self.last)
            bad.clear()
            # Frames that are known to be durable, and not superseded.
            count = min(stretches[place] - place, min(end - 1, proven) - lsn + 1)
            taken = 0
            if self.apply_frames is not None and count > 0:
                taken = self.apply_frames(found.frames(data, place, place + count))
                self.last = max(self.last, lsn + taken - 1)
            if taken == 0:
                self.record(path, data, found.header(place), proven)
            place += max(taken, 1)
        return True

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

    def damage(self, path: str, bad: list[Bad], at: int, lost_to: int) -> None:
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

    def scanned(self, path: str, number: int, size: int) -> tuple[bytes, list[Sound | Bad]]:
        """Bytes of a file, and what records they hold."""
        data = self.read(path, size)
        return data, list(scan(data, file_seed(number)))

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
