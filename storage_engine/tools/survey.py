"""What is left in the sources of a rescue: manifests, segments, records, streams."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from storage_engine.errors import DataError, InvalidArgument
from storage_engine.filesystem import FileSystem
from storage_engine.manifest import Manifest
from storage_engine.streams import StreamInfo, stream_from_json
from storage_engine.table import decode_table
from storage_engine.tools.kinds import Kind, kind_of
from storage_engine.tools.log_file import LogPieces, open_log_file
from storage_engine.tools.manifest_file import open_manifest
from storage_engine.tools.segment_file import SegmentFile, open_segment
from storage_engine.tools.store_files import list_store
from storage_engine.wal_record import KINDS, Finding, Record, RecordKind


@dataclass(frozen=True, slots=True)
class Source:
    """A store (``path`` empty) or one file of it.

    Attributes
    ----------
    label : str
        For messages.
    fs : FileSystem
    path : str
    """

    label: str
    fs: FileSystem
    path: str = ""

    def files(self) -> Iterator[tuple[str, Kind]]:
        """Paths and kinds of what is in it, what was set aside among it."""
        if self.path:
            yield self.path, kind_of(self.fs, self.path)
            return
        held = list_store(self.fs)
        # A spare log file holds old records: of help where a segment that took them is lost.
        for path in (*held.manifests, *held.segments, *held.spare, *held.log, *held.damaged):
            yield path, kind_of(self.fs, path)


@dataclass(slots=True)
class Copy:
    """One copy of a segment."""

    source: Source
    file: SegmentFile

    @property
    def place(self) -> str:
        """Source and path, for messages."""
        return f"{self.source.label}: {self.file.path}"

    @property
    def id(self) -> int | None:
        """Segment id by its edges, else by its name."""
        if self.file.edge is not None:
            return self.file.edge.segment_id
        digits = self.file.path.rsplit("/", 1)[-1].partition(".")[0]
        if len(digits) == 16 and set(digits) <= set("0123456789abcdef"):
            return int(digits, 16)
        return None


@dataclass(frozen=True, slots=True)
class Indexed:
    """Where a record lies: number of the log file in the survey, and its place in it."""

    lsn: int
    log: int
    begin: int
    size: int
    kind: int
    record_time_ns: int


@dataclass(slots=True)
class Survey:
    """Everything found.

    Attributes
    ----------
    base : Manifest or None
        Newest sound generation of all sources.
    manifests : list of Manifest
        All sound generations.
    copies : list of Copy
    logs : list of (Source, path)
    records : dict of int to Indexed
        By lsn; of two the one in the later file.
    streams : dict of int to StreamInfo
        From manifests, log and footers.
    incarnations : list of bytes
        Seen, most trusted first.
    durable_lsn : int
        Greatest lsn that anything vouches for.
    marked_lsn : int
        Greatest lsn that the log itself calls durable.
    highest_stream : int
        Greatest stream id that a BIND record names.
    findings : list of Finding
        Paths carry the source's label.
    """

    base: Manifest | None = None
    manifests: list[Manifest] = field(default_factory=list)
    copies: list[Copy] = field(default_factory=list)
    logs: list[tuple[Source, str]] = field(default_factory=list)
    records: dict[int, Indexed] = field(default_factory=dict)
    streams: dict[int, StreamInfo] = field(default_factory=dict)
    incarnations: list[bytes] = field(default_factory=list)
    durable_lsn: int = 0
    marked_lsn: int = 0
    highest_stream: int = 0
    findings: list[Finding] = field(default_factory=list)

    def stream(self, info: StreamInfo) -> None:
        """Take a stream; of two the one with more columns, and the first."""
        have = self.streams.get(info.id)
        if have is None or (have.uuid == info.uuid and len(have.columns) < len(info.columns)):
            self.streams[info.id] = info

    def seen(self, incarnation: bytes) -> None:
        """Take an incarnation."""
        if incarnation not in self.incarnations:
            self.incarnations.append(incarnation)

    def named(self, source: Source, findings: Sequence[Finding]) -> None:
        """Take findings of a source."""
        for one in findings:
            path = f"{source.label}: {one.path}"
            self.findings.append(Finding(path, one.offset, one.what, one.size))

    def replay(self, first_lsn: int, last_lsn: int) -> Iterator[Record]:
        """Records of known kinds in order of lsn, one log file in memory at a time.

        Parameters
        ----------
        first_lsn, last_lsn : int
            Both inclusive.

        Yields
        ------
        Record
        """
        held, data = -1, b""
        for lsn in sorted(lsn for lsn in self.records if first_lsn <= lsn <= last_lsn):
            entry = self.records[lsn]
            if entry.kind not in KINDS:
                continue
            if entry.log != held:
                source, path = self.logs[entry.log]
                held, data = entry.log, open_log_file(source.fs, path).data
            body = data[entry.begin : entry.begin + entry.size]
            yield Record(lsn, KINDS[entry.kind], entry.record_time_ns, body)


def survey(sources: Sequence[Source]) -> Survey:
    """Look through all sources; nothing is changed.

    Parameters
    ----------
    sources : sequence of Source
        The first is believed first where two contradict each other.

    Returns
    -------
    Survey

    Raises
    ------
    InvalidArgument
        When a newer version wrote one of the files, or there is nothing.
    """
    found = Survey()
    files = [(source, path, kind) for source in sources for path, kind in source.files()]
    for source, path, kind in files:
        if kind is Kind.MANIFEST:
            _manifest(found, source, path)
    if found.base is not None:
        found.incarnations.insert(0, found.base.incarnation)
    for source, path, kind in files:
        if kind is Kind.LOG:
            _log(found, source, path)
    for source, path, kind in files:
        if kind is Kind.SEGMENT:
            copy = Copy(source, open_segment(source.fs, path))
            _refuse_newer(copy.file.newer, f"{source.label}: {path}")
            found.named(source, copy.file.findings)
            found.copies.append(copy)
            for info in copy.file.streams.values():
                found.stream(info)
            if copy.file.edge is not None:
                found.seen(copy.file.edge.incarnation)
    if not (found.base or found.copies or found.records):
        labels = ", ".join(source.label for source in sources)
        raise InvalidArgument(f"cannot salvage: got no manifest, segment or record, at {labels}")
    return found


def _refuse_newer(newer: bool, place: str) -> None:
    if newer:
        raise InvalidArgument(
            f"cannot salvage: got a file of a newer version, want none, at {place}"
        )


def _manifest(found: Survey, source: Source, path: str) -> None:
    opened = open_manifest(source.fs, path)
    _refuse_newer(opened.newer, f"{source.label}: {path}")
    found.named(source, opened.findings)
    manifest = opened.manifest
    if manifest is None:
        return
    found.manifests.append(manifest)
    base = found.base
    order = (manifest.checkpoint_lsn, manifest.generation)
    if base is None or order > (base.checkpoint_lsn, base.generation):
        found.base = manifest
        known, found.streams = found.streams, {}
        for info in (*opened.streams.values(), *known.values()):
            found.stream(info)
    else:
        for info in opened.streams.values():
            found.stream(info)
    found.durable_lsn = max(found.durable_lsn, manifest.checkpoint_lsn)


def _log(found: Survey, source: Source, path: str) -> None:
    pieces = open_log_file(source.fs, path)
    _refuse_newer(pieces.newer, f"{source.label}: {path}")
    found.named(source, pieces.findings)
    number = len(found.logs)
    found.logs.append((source, path))
    for hole in pieces.holes:
        size = hole.end - hole.offset
        what = Finding(path, hole.offset, f"{size} bytes are no sound record", size)
        found.named(source, [what])
    found.durable_lsn = max(found.durable_lsn, pieces.durable_lsn)
    found.marked_lsn = max(found.marked_lsn, pieces.durable_lsn)
    for record in pieces.lsns():
        entry = Indexed(
            record.lsn, number, record.body, record.body_bytes, record.kind, record.record_time_ns
        )
        have = found.records.get(record.lsn)
        if have is None or found.logs[have.log][0] is source:
            found.records[record.lsn] = entry
        if record.kind == RecordKind.STREAM:
            _stream(found, pieces, entry)
        elif record.kind == RecordKind.BIND:
            _bound(found, pieces, entry)
        found.durable_lsn = max(found.durable_lsn, record.lsn)


def _bound(found: Survey, pieces: LogPieces, entry: Indexed) -> None:
    body = pieces.data[entry.begin : entry.begin + entry.size]
    with suppress(DataError, KeyError, ValueError):
        streams = decode_table(body, at="a BIND record")["stream"]
        found.highest_stream = max([found.highest_stream, *streams.tolist()])


def _stream(found: Survey, pieces: LogPieces, entry: Indexed) -> None:
    body = pieces.data[entry.begin : entry.begin + entry.size]
    try:
        found.stream(stream_from_json(body))
    except (DataError, ValueError, KeyError, TypeError):
        found.findings.append(Finding(pieces.path, entry.begin, "a STREAM record makes no sense"))
