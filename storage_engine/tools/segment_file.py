"""One segment opened part by part: what holds is given, what does not is named."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from storage_engine.block import BlockIdentity, decode_block, decode_column
from storage_engine.cache import ByteCache
from storage_engine.checksum import crc32c
from storage_engine.columns import Rows
from storage_engine.compact_table import decode_directory
from storage_engine.errors import CorruptData, DataError, DiskError, UnsupportedFormat
from storage_engine.filesystem import FileSystem
from storage_engine.manifest import read_streams
from storage_engine.sample import AnyArray, UInt32Array
from storage_engine.segment.layout import (
    EDGE_BYTES,
    HEADER_MAGIC,
    TRAILER_MAGIC,
    Edge,
    SegmentInfo,
    decode_edge,
    read_facts,
)
from storage_engine.shared_columns import ColumnPlace
from storage_engine.streams import StreamInfo
from storage_engine.table import Table
from storage_engine.tools.bytes_of import read_piece
from storage_engine.wal_record import Finding

BLOCK_COLUMNS = ("block_offset", "block_length", "block_rows")
RUN_COLUMNS = (
    *("run_stream", "run_block", "run_start", "run_rows", "run_first", "run_last"),
    *("run_stamp_min", "run_stamp_max", "run_flags"),
)
_OWNERS_BYTES = 8 << 20
STREAM_COLUMNS = ("stream_id", "stream_uuid", "stream_kind", "stream_schema")


@dataclass(frozen=True, slots=True)
class BlockPlace:
    """A block as the directory names it; ``runs`` are its runs' places in the run arrays."""

    number: int
    offset: int
    length: int
    rows: int
    runs: "np.ndarray[tuple[int], np.dtype[np.intp]]"
    first_stream: int


@dataclass(slots=True)
class SegmentFile:
    """A segment as far as it can be read.

    Attributes
    ----------
    path : str
    size : int
    header, trailer : Edge or None
        None where they do not hold.
    table : dict of str to array, or None
        The directory.
    streams : dict of int to StreamInfo
        By the directory; under the segment's retention class.
    facts : dict
        Of the directory.
    findings : list of Finding
        What did not hold.
    newer : bool
        A newer version wrote it.
    """

    path: str
    size: int = 0
    header: Edge | None = None
    trailer: Edge | None = None
    table: Table | None = None
    streams: dict[int, StreamInfo] = field(default_factory=dict)
    facts: dict[str, object] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    newer: bool = False
    _places: list["BlockPlace"] = field(default_factory=list)
    _owners: ByteCache[AnyArray] = field(default_factory=lambda: ByteCache(_OWNERS_BYTES))

    @property
    def edge(self) -> Edge | None:
        """Header, or else trailer: both name incarnation and id."""
        return self.header or self.trailer

    def named(self, offset: int, what: str, size: int = 0) -> None:
        """Take a finding."""
        self.findings.append(Finding(self.path, offset, what, size))

    def info(self) -> SegmentInfo | None:
        """Entry for a manifest, from the directory's own facts; None when they do not hold."""
        edge = self.edge
        if edge is None or not self.facts:
            return None
        known = SegmentInfo.__dataclass_fields__
        facts = {name: value for name, value in self.facts.items() if name in known}
        facts |= {"id": edge.segment_id, "size": self.size}
        try:
            return SegmentInfo(**facts)  # type: ignore[arg-type]
        except TypeError:
            return None

    def places(self) -> Iterator[BlockPlace]:
        """Blocks in order, by the directory; none without one."""
        table = self.table
        if table is None:
            return
        order = np.argsort(table["run_block"], kind="stable")
        numbers = table["run_block"][order]
        columns = (table[name].tolist() for name in BLOCK_COLUMNS)
        for number, (offset, length, rows) in enumerate(zip(*columns, strict=True)):
            begin = int(np.searchsorted(numbers, number, "left"))
            end = int(np.searchsorted(numbers, number, "right"))
            runs = order[begin:end]
            runs = runs[np.argsort(table["run_start"][runs], kind="stable")]
            first = int(table["run_stream"][runs].min()) if len(runs) else 0
            yield BlockPlace(number, offset, length, rows, runs, first)

    def stream_of_rows(self, place: BlockPlace) -> UInt32Array:
        """Stream of each row of a block.

        Parameters
        ----------
        place : BlockPlace

        Returns
        -------
        uint32, shape (rows,)
        """
        assert self.table is not None, "places come from a directory"
        runs = place.runs
        return np.repeat(self.table["run_stream"][runs], self.table["run_rows"][runs])

    def identity(self, place: BlockPlace) -> BlockIdentity:
        """What the checksum of a block covers beside its bytes."""
        edge = self.edge
        assert edge is not None, "a directory without an edge is not used"
        return BlockIdentity(edge.incarnation, edge.segment_id, place.number, place.first_stream)

    def owned(self, fs: FileSystem, column: ColumnPlace) -> AnyArray:
        """Decode a column that blocks behind its own share.

        Raises
        ------
        CorruptData, DiskError
        """
        values = self._owners.get(column)
        if values is None:
            self._places = self._places or list(self.places())
            place = self._places[column.block]  # it lies before the block that asks
            data = read_piece(fs, self.path, place.offset, place.length)
            at = f"{self.path} block {place.number}"
            values = decode_column(data, self.identity(place), column, at=at)
            self._owners.put(column, values, values.nbytes)
        return values

    def read_block(self, fs: FileSystem, place: BlockPlace) -> Rows | None:
        """Decode a block, or None when it is damaged; then it is among the findings."""
        at = f"{self.path} block {place.number}"
        try:
            data = read_piece(fs, self.path, place.offset, place.length)
            resolve = partial(self.owned, fs)
            rows = decode_block(data, self.identity(place), at=at, resolve=resolve)
            if len(rows) != place.rows:
                raise CorruptData(
                    f"cannot read block: got {len(rows)} rows, want {place.rows}, at {at}"
                )
        except (DataError, DiskError, ValueError, OverflowError, MemoryError) as error:
            self.named(place.offset, str(error), place.length)
            return None
        return rows


def open_segment(fs: FileSystem, path: str) -> SegmentFile:
    """Read header, trailer and directory, each as far as it holds.

    Parameters
    ----------
    fs : FileSystem
    path : str

    Returns
    -------
    SegmentFile
    """
    segment = SegmentFile(path)
    try:
        segment.size = fs.size(path)
    except DiskError as error:
        segment.named(0, str(error))
        return segment
    end = max(segment.size - EDGE_BYTES, 0)
    segment.header = _edge(fs, segment, 0, HEADER_MAGIC)
    segment.trailer = _edge(fs, segment, end, TRAILER_MAGIC)
    header, trailer = segment.header, segment.trailer
    alike = header is None or trailer is None or _identity(header) == _identity(trailer)
    if header is not None and trailer is not None and not alike:
        segment.named(
            end,
            f"cannot read segment: got a trailer of segment {trailer.segment_id}, "
            f"want {header.segment_id}, at {path}",
        )
        segment.trailer = trailer = None
    if trailer is not None and not segment.newer:
        _open_directory(fs, segment, trailer)
    return segment


def _identity(edge: Edge) -> tuple[bytes, int]:
    return edge.incarnation, edge.segment_id


def _edge(fs: FileSystem, segment: SegmentFile, offset: int, magic: bytes) -> Edge | None:
    try:
        data = read_piece(fs, segment.path, offset, EDGE_BYTES)
        return decode_edge(data, magic, at=segment.path)
    except UnsupportedFormat as error:
        segment.newer = True
        segment.named(offset, str(error), EDGE_BYTES)
    except (DataError, DiskError) as error:
        segment.named(offset, str(error), EDGE_BYTES)
    return None


def _open_directory(fs: FileSystem, segment: SegmentFile, trailer: Edge) -> None:
    path, end = segment.path, segment.size - EDGE_BYTES
    try:
        if trailer.offset + trailer.length != end or trailer.offset < EDGE_BYTES:
            raise CorruptData(f"cannot read segment: got a bad directory place, at {path}")
        data = read_piece(fs, path, trailer.offset, trailer.length)
        if len(data) != trailer.length or crc32c(data) != trailer.number:
            raise CorruptData(f"cannot read directory: got a bad crc32c, at {path}")
        table = decode_directory(data, at=path)
        _check_shapes(table, path)
        segment.facts = read_facts(table, at=path)
        streams = read_streams(table, at=path)
    except (DataError, DiskError, KeyError, ValueError, IndexError, TypeError) as error:
        segment.named(trailer.offset, f"{error}", trailer.length)
        return
    segment.table = table
    held = str(segment.facts.get("retention_class", "default"))
    segment.streams = {
        info.id: StreamInfo(info.id, info.uuid, info.kind, info.columns, held) for info in streams
    }


def _check_shapes(table: Table, path: str) -> None:
    for names in (BLOCK_COLUMNS, RUN_COLUMNS, STREAM_COLUMNS):
        missing = [name for name in names if name not in table]
        if missing:
            raise CorruptData(f"cannot read directory: got no {missing}, at {path}")
        lengths = {len(table[name]) for name in names}
        if len(lengths) != 1:
            raise CorruptData(f"cannot read directory: got arrays of {lengths} rows, at {path}")
    blocks = len(table["block_offset"])
    if len(table["run_block"]) and int(table["run_block"].max()) >= blocks:
        raise CorruptData(f"cannot read directory: got a run beyond {blocks} blocks, at {path}")
