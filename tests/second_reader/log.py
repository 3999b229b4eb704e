"""The write-ahead log, from wal.md: files, records, marks, the torn tail."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from second_reader.checksum import crc32c
from second_reader.words import Finding, NewerError, signed

FRAME, STREAM, BIND, CHECKPOINT, NOTE, CHANGE, IMPORT, DURABLE = 1, 2, 3, 4, 5, 6, 7, 255
KNOWN = {FRAME, STREAM, BIND, CHECKPOINT, NOTE, CHANGE, IMPORT}


class Record(NamedTuple):
    """A sound record."""

    lsn: int
    time: int
    kind: int
    body: bytes


@dataclass
class LogFile:
    """What one file says."""

    name: str
    number: int
    first_lsn: int | None
    records: dict[int, Record] = field(default_factory=dict)
    mark: int = 0
    problem: str = ""
    cut: bool = False


def _record(data: bytes, at: int, seed: bytes) -> tuple[Record, int] | None:
    """The record at `at` and where it ends; None when there is no sound one."""
    head = data[at : at + 40]
    if len(head) < 40 or head[:4] != b"LHWR":
        return None
    if crc32c(seed, head[:32]) != int.from_bytes(head[32:36], "little"):
        return None
    size = int.from_bytes(head[4:8], "little")
    end = at + 40 + size + -size % 8
    if end > len(data):
        return None
    if crc32c(seed, data[at + 40 : end]) != int.from_bytes(head[28:32], "little"):
        return None
    lsn = int.from_bytes(head[8:16], "little")
    time = signed(int.from_bytes(head[16:24], "little"))
    return Record(lsn, time, head[24], data[at + 40 : at + 40 + size]), end


def read_file(path: Path) -> LogFile:
    """One log file, whatever it holds."""
    data = path.read_bytes()
    head = data[:64]
    file = LogFile(path.name, int(path.stem), None)
    sound = len(head) == 64 and head[:4] == b"LHWL"
    if sound and crc32c(head[:60]) == int.from_bytes(head[60:64], "little"):
        if int.from_bytes(head[4:6], "little") > 1:
            raise NewerError(f"log file {path.name}")
        if int.from_bytes(head[8:16], "little") == file.number:
            file.first_lsn = int.from_bytes(head[16:24], "little")
            file.cut = len(data) < int.from_bytes(head[36:44], "little")
    if file.first_lsn is None:
        file.problem = "file header"
    seed = file.number.to_bytes(8, "little")
    at = 64
    while at < len(data):
        found = _record(data, at, seed)
        if found is None:
            at = data.find(b"LHWR", at + 8 - at % 8)
            while at > 0 and at % 8:
                at = data.find(b"LHWR", at + 1)
            if at < 0:
                break
            continue
        record, at = found
        if record.kind == DURABLE:
            file.mark = max(file.mark, record.lsn)
        elif record.kind in KNOWN:
            file.records[record.lsn] = record
        elif record.kind < 128:
            raise NewerError(f"record kind {record.kind} in {path.name}")
        else:
            file.records[record.lsn] = record
    return file


def read_log(directory: Path, after: int) -> tuple[list[Record], list[Finding]]:
    """Records with lsns above `after` that are to be replayed, and the lsns that are lost."""
    names = [p for p in directory.glob("*.log") if p.stem.isdigit() and len(p.stem) == 16]
    files = [read_file(p) for p in sorted(names)]
    findings = [Finding(f"wal/{f.name}", f.problem) for f in files if f.problem]
    files = [f for f in files if f.first_lsn is not None or f.records]
    for file in files:
        if file.first_lsn is None:
            file.first_lsn = min(file.records)
    records: list[Record] = []
    due = after + 1
    for i, file in enumerate(files):
        first = file.first_lsn or 0
        if i == 0 and first > due:
            findings.append(Finding("wal", f"lsns {due} to {first - 1} are lost"))
        if i + 1 < len(files):
            last = (files[i + 1].first_lsn or 0) - 1
        else:
            last = max(file.mark, first - 1)
        lost = [n for n in range(first, last + 1) if n not in file.records]
        if lost:
            findings.append(Finding(f"wal/{file.name}", f"lsns {lost[0]} to {lost[-1]} are lost"))
        records += [r for n, r in sorted(file.records.items()) if max(first, due) <= n <= last]
        if i + 1 == len(files):
            if file.cut:
                findings.append(Finding(f"wal/{file.name}", "shorter than it was made"))
            behind = last + 1
            while behind in file.records:
                if behind >= due:
                    records.append(file.records[behind])
                behind += 1
    return records, findings
