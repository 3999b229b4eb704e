"""Check any file, or a whole store: every checksum and every rule.

A finding is damage; a note is worth saying and none.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from storage_engine.aside import LEDGER
from storage_engine.filesystem import FileSystem
from storage_engine.manifest import DIRECTORY as MANIFESTS
from storage_engine.manifest import Manifest, generations
from storage_engine.segment.layout import SegmentInfo
from storage_engine.tools.bytes_of import read_file
from storage_engine.tools.frame_file import check_frames, open_frames
from storage_engine.tools.kinds import Kind, kind_of, magic_kind
from storage_engine.tools.log_file import check_log_file, open_log_file
from storage_engine.tools.manifest_file import check_manifest, open_manifest
from storage_engine.tools.segment_check import check_segment
from storage_engine.tools.store_files import WAL, list_store, log_numbers
from storage_engine.wal_record import SPARE, Finding, file_name

_TRIES = 5  # a store that is written meanwhile is looked at again
Progress = Callable[[int], None]


@dataclass(slots=True)
class Checked:
    """Result of a check.

    Attributes
    ----------
    findings : list of Finding
        Damage.
    notes : list of str
    files : int
    rows : int
        Of the segments that were read.
    """

    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    files: int = 0
    rows: int = 0


def verify_file(fs: FileSystem, path: str, kind: Kind | None = None) -> Checked:
    """Check one file by itself.

    Parameters
    ----------
    fs : FileSystem
    path : str
    kind : Kind, optional
        By magic and name unless given.

    Returns
    -------
    Checked
    """
    kind = kind or kind_of(fs, path)
    done = Checked(files=1)
    if kind is Kind.SEGMENT:
        segment = check_segment(fs, path)
        done.findings += segment.findings
        done.rows = _rows_of(segment.facts)
    elif kind is Kind.MANIFEST:
        done.findings += check_manifest(open_manifest(fs, path))
    elif kind is Kind.LOG:
        _verify_log(fs, path, done)
    elif kind is Kind.FRAMES:
        findings, notes = check_frames(open_frames(fs, path))
        done.findings += findings
        done.notes += notes
    elif kind is Kind.JSON:
        _verify_json(fs, path, done)
    else:
        data = read_file(fs, path, done.findings)
        known = magic_kind(data)
        what = f"cannot tell what this is: got {data[:8]!r}, want a magic of {', '.join(Kind)}"
        if known is Kind.UNKNOWN:
            done.findings.append(Finding(path, 0, what, len(data)))
    return done


def _rows_of(facts: dict[str, object]) -> int:
    rows = facts.get("rows", 0)
    return rows if isinstance(rows, int) else 0


def _verify_json(fs: FileSystem, path: str, done: Checked) -> None:
    data = read_file(fs, path, done.findings)
    try:
        json.loads(data)
    except ValueError as error:
        done.findings.append(Finding(path, 0, f"cannot read JSON: {error}", len(data)))


def _verify_log(fs: FileSystem, path: str, done: Checked) -> None:
    found = open_log_file(fs, path)
    if path.rsplit("/", 1)[-1] == SPARE:
        done.notes.append(f"{path}: a spare file, its content is not used any more")
        return
    findings, notes = check_log_file(found)
    done.findings += findings
    done.notes += notes


def verify_store(fs: FileSystem, progress: Progress = lambda size_bytes: None) -> Checked:
    """Check a store: each file, and the files against each other. It may be written meanwhile.

    Parameters
    ----------
    fs : FileSystem
        Rooted at the store.
    progress : callable
        Told the bytes of each file that is done.

    Returns
    -------
    Checked
    """
    for _ in range(_TRIES):
        before = _moment(fs)
        done = _Store(fs, progress).run()
        if not done.findings or _moment(fs) == before:
            return done
    return done


def _moment(fs: FileSystem) -> tuple[list[int], list[str]]:
    return generations(fs), fs.list(WAL)


class _Store:
    """One pass over a store."""

    def __init__(self, fs: FileSystem, progress: Progress) -> None:
        self.fs = fs
        self.progress = progress
        self.done = Checked()
        self.oldest_checkpoint = 0

    def run(self) -> Checked:
        newest, listed = self.manifests()
        self.segments(newest, listed)
        self.log(newest)
        files = list_store(self.fs)
        for path in files.damaged:
            if path == LEDGER:
                _verify_json(self.fs, path, self.done)
                continue
            self.done.notes.append(f"{path}: set aside")
        for path in files.unfinished:
            self.done.notes.append(f"{path}: never finished")
        return self.done

    def manifests(self) -> tuple[Manifest | None, dict[str, SegmentInfo]]:
        """Check all generations; gives the newest sound one and what any of them lists."""
        newest: Manifest | None = None
        listed: dict[str, SegmentInfo] = {}
        for generation in generations(self.fs):
            found = open_manifest(self.fs, f"{MANIFESTS}/{generation:016x}")
            self.done.findings += check_manifest(found)
            self.done.files += 1
            self.progress(found.size)
            if found.manifest is None:
                continue
            newest = newest or found.manifest
            self.oldest_checkpoint = found.manifest.checkpoint_lsn
            for info in found.manifest.segments:
                listed.setdefault(info.path, info)
        if newest is None and list_store(self.fs).any_content:
            what = "cannot find the store's manifest: got no sound generation, want one"
            self.done.findings.append(Finding(MANIFESTS, 0, what))
        return newest, listed

    def segments(self, newest: Manifest | None, listed: dict[str, SegmentInfo]) -> None:
        files = list_store(self.fs)
        live = {info.path for info in newest.segments} if newest else set(files.segments)
        older = set(listed) - live
        for path in sorted(live | (older & set(files.segments))):
            segment = check_segment(self.fs, path, listed=listed.get(path))
            self.done.findings += segment.findings
            self.done.files += 1
            self.done.rows += _rows_of(segment.facts) if path in live else 0
            self.progress(segment.size)
        for path in sorted(set(files.segments) - set(listed)):
            if newest is not None:
                self.done.notes.append(f"{path}: in no manifest: the rest of a broken flush")

    def log(self, newest: Manifest | None) -> None:
        numbers = log_numbers(self.fs)
        if newest is None and not numbers:
            return
        start = newest.checkpoint_lsn if newest else 0
        pieces = None
        last = None
        for place, number in enumerate(numbers):
            found = pieces or open_log_file(self.fs, f"{WAL}/{file_name(number)}")
            pieces = None
            if place + 1 < len(numbers):
                pieces = open_log_file(self.fs, f"{WAL}/{file_name(numbers[place + 1])}")
            following = pieces.header.first_lsn if pieces and pieces.header else None
            findings, notes = check_log_file(
                found, next_first=following, last=place + 1 == len(numbers)
            )
            self.done.findings += findings
            self.done.notes += notes
            self.done.files += 1
            self.progress(len(found.data))
            first = found.header.first_lsn if found.header else None
            ahead = last if last is not None else start
            oldest = self.oldest_checkpoint
            if first is not None and last is None and oldest + 1 < first <= start + 1:
                what = f"{found.path}: lsn {oldest + 1} to {first - 1} are in no log file"
                self.done.notes.append(f"{what}: an older generation would open without them")
            if first is not None and first > ahead + 1:
                what = f"lsn {ahead + 1} to {first - 1} are lost: in no log file"
                self.done.findings.append(Finding(found.path, 0, what))
            lsns = [record.lsn for record in found.lsns()]
            last = max([following - 1 if following else 0, *lsns, last or 0])
