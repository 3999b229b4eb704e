"""Sealed files back into rows. Damage is named in the findings and served around."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from storage_engine.block import BlockIdentity, decode_block, decode_column
from storage_engine.cache import ByteCache
from storage_engine.checksum import crc32c
from storage_engine.columns import STRINGS, Rows, seal
from storage_engine.compact_table import decode_directory
from storage_engine.config import EngineConfig
from storage_engine.errors import CorruptData, DataError, DiskError, UnsupportedFormat
from storage_engine.filesystem import FileSystem
from storage_engine.findings import Findings
from storage_engine.sample import AnyArray
from storage_engine.segment.layout import (
    EDGE_BYTES,
    HEADER_MAGIC,
    TRAILER_MAGIC,
    SegmentInfo,
    decode_edge,
)
from storage_engine.segment.open_files import OpenFiles
from storage_engine.segment.pyramid import Pyramid, vector_rows
from storage_engine.segment.pyramid_chunk import PyramidIdentity, decode_pyramid
from storage_engine.segment.rebuild import rebuild_directory
from storage_engine.shared_columns import ColumnPlace
from storage_engine.table import Table

_DIRECTORY_BYTES_MAX = 1 << 30
_REBUILT_MAX = 16  # directories made anew that are kept
_NEEDED = (
    *("block_offset", "block_length", "block_rows", "run_stream", "run_block", "run_start"),
    *("run_rows", "run_first", "run_last", "run_stamp_min", "run_stamp_max", "run_flags"),
)


@dataclass(frozen=True, slots=True)
class Directory:
    """What a segment holds, run by run."""

    info: SegmentInfo
    incarnation: bytes
    table: Table
    rows_missing: int = 0  # of one made anew from the blocks

    def runs_of(self, stream_id: int) -> slice:
        """Rows of the run columns that belong to a stream."""
        streams = self.table["run_stream"]
        begin = int(np.searchsorted(streams, np.uint32(stream_id), "left"))
        return slice(begin, int(np.searchsorted(streams, np.uint32(stream_id), "right")))


class SegmentReader:
    """Reads of all segments of a store, with bounded caches. Safe for many threads.

    Parameters
    ----------
    fs : FileSystem
    config : EngineConfig
    findings : Findings
    """

    def __init__(self, fs: FileSystem, config: EngineConfig, findings: Findings) -> None:
        self._findings = findings
        self._directories: ByteCache[Directory] = ByteCache(config.directory_cache_bytes)
        self._blocks: ByteCache[Rows] = ByteCache(config.block_cache_bytes)
        self._owners: ByteCache[AnyArray] = ByteCache(config.block_cache_bytes // 4)
        self._vectors: ByteCache[Pyramid] = ByteCache(config.directory_cache_bytes)
        self._files = OpenFiles(fs, config.open_files_max)
        self._aside: set[int] = set()
        self._rebuilding = threading.Lock()
        self._rebuilt: OrderedDict[int, Directory | None] = OrderedDict()
        self._incarnations: dict[bytes, None] = {}

    def know(self, incarnation: bytes) -> None:
        """Remember who may have written segments; helps where a file no longer says it."""
        self._incarnations[incarnation] = None

    def _read(self, info: SegmentInfo, offset: int, size: int) -> bytes:
        return self._files.read(info.id, info.path, offset, size)

    def directory(self, info: SegmentInfo) -> Directory | None:
        """Directory of a segment, or None when the segment had to be set aside."""
        if info.id in self._aside:
            return None
        found = self._directories.get(info.id)
        if found is not None:
            return found
        try:
            found = self.load_directory(info)
        except (DataError, DiskError) as error:
            self._aside.add(info.id)
            self._findings.add(info.path, 0, f"segment set aside: {error}")
            return None
        size = sum(column.nbytes for column in found.table.values())
        self._directories.put(info.id, found, size)
        return found

    def directory_for_reads(self, info: SegmentInfo) -> Directory | None:
        """As :meth:`directory`; for a segment set aside one made anew from its sound blocks.

        Such a one may lack rows (``rows_missing``), so nobody may write the segment anew by it.
        """
        found = self.directory(info)
        if found is not None:
            return found
        with self._rebuilding:
            if info.id not in self._rebuilt:
                self._rebuilt[info.id] = self._rebuild(info)
                while len(self._rebuilt) > _REBUILT_MAX:
                    self._rebuilt.popitem(last=False)
            return self._rebuilt[info.id]

    def _rebuild(self, info: SegmentInfo) -> Directory | None:
        try:
            data = self._read(info, 0, info.size)
        except DiskError:
            return None
        edges = {data[16:32]: None, data[-EDGE_BYTES + 16 : -EDGE_BYTES + 32]: None}
        found = rebuild_directory(data, (edges | self._incarnations), info.id)
        if found is None:
            return None
        incarnation, table = found
        missing = max(info.rows - int(table["block_rows"].sum()), 0)
        what = f"its blocks are read all the same: {info.rows - missing} of {info.rows} rows"
        self._findings.add(info.path, 0, what)
        return Directory(info, incarnation, table, missing)

    def load_directory(self, info: SegmentInfo) -> Directory:
        """Read and check header, trailer and directory.

        Raises
        ------
        CorruptData, UnsupportedFormat, DiskError
        """
        at = info.path
        header = decode_edge(self._read(info, 0, EDGE_BYTES), HEADER_MAGIC, at=at)
        end = info.size - EDGE_BYTES
        trailer = decode_edge(self._read(info, end, EDGE_BYTES), TRAILER_MAGIC, at=at)
        same = header.incarnation == trailer.incarnation
        if not same or header.segment_id != info.id or trailer.segment_id != info.id:
            raise CorruptData(
                f"cannot read segment: got id {header.segment_id}, want {info.id}, at {at}", path=at
            )
        if trailer.offset + trailer.length != end or trailer.length > _DIRECTORY_BYTES_MAX:
            raise CorruptData(f"cannot read segment: got a bad directory place, at {at}", path=at)
        data = self._read(info, trailer.offset, trailer.length)
        if len(data) != trailer.length or crc32c(data) != trailer.number:
            raise CorruptData(f"cannot read directory: got a bad crc32c, at {at}", path=at)
        table = decode_directory(data, at=at)
        missing = [name for name in _NEEDED if name not in table]
        if missing:
            raise CorruptData(f"cannot read directory: got no {missing}, at {at}", path=at)
        self.know(header.incarnation)
        return Directory(info, header.incarnation, table)

    def block(self, directory: Directory, number: int) -> Rows | None:
        """Decode a block, or None when it is damaged (then it is named in the findings)."""
        info = directory.info
        key = (info.id, number)
        rows = self._blocks.get(key)
        if rows is not None:
            return rows
        try:
            rows = self.load_block(directory, number)
        except CorruptData as error:
            self._findings.add(info.path, error.facts["offset"], str(error))
            return None
        self._blocks.put(key, seal(rows), rows_bytes(rows))
        return rows

    def load_block(self, directory: Directory, number: int, first: int | None = None) -> Rows:
        """Decode a block from disk, past the cache: what a rewrite reads is read once.

        Parameters
        ----------
        directory : Directory
        number : int
        first : int, optional
            Lowest stream of the block, when the caller knows it.

        Returns
        -------
        Rows

        Raises
        ------
        CorruptData
            Naming ``path``, ``block`` and ``offset``, whatever was the reason.
        """
        info, table = directory.info, directory.table
        offset = int(table["block_offset"][number])
        try:
            data, identity = self._block_bytes(directory, number, first)
            at = f"{info.path} block {number}"
            resolve = partial(self.owned, directory)
            rows = decode_block(data, identity, at=at, resolve=resolve)
            want = int(table["block_rows"][number])
            if len(rows) != want:
                raise CorruptData(f"cannot read block: got {len(rows)} rows, want {want}")
        except (CorruptData, UnsupportedFormat, DiskError) as error:
            raise CorruptData(str(error), path=info.path, block=number, offset=offset) from error
        return rows

    def _block_bytes(
        self, directory: Directory, number: int, first: int | None = None
    ) -> tuple[bytes, BlockIdentity]:
        info, table = directory.info, directory.table
        if first is None:
            held = table["run_stream"][table["run_block"] == number]
            if not len(held):
                raise CorruptData(f"cannot read block: got no block {number}, at {info.path}")
            first = int(held.min())
        size = int(table["block_length"][number])
        data = self._read(info, int(table["block_offset"][number]), size)
        return data, BlockIdentity(directory.incarnation, info.id, number, first)

    def owned(self, directory: Directory, place: ColumnPlace) -> AnyArray:
        """Decode a column that other blocks of the segment share, or take it from the cache.

        Parameters
        ----------
        directory : Directory
        place : ColumnPlace

        Returns
        -------
        array, shape (rows,)
            Read-only.

        Raises
        ------
        CorruptData, UnsupportedFormat, DiskError
            When the block that owns it cannot be read.
        """
        key = (directory.info.id, place)
        values = self._owners.get(key)
        if values is None:
            at = f"{directory.info.path} block {place.block}"
            data, identity = self._block_bytes(directory, place.block)
            values = decode_column(data, identity, place, at=at)
            self._owners.put(key, values, values.nbytes)
        return values

    def packed_block(self, directory: Directory, number: int, first: int) -> bytes:
        """Bytes of a block from disk, not decoded; their checksum holds.

        Parameters
        ----------
        directory : Directory
        number : int
        first : int
            Lowest stream of the block.

        Returns
        -------
        bytes

        Raises
        ------
        CorruptData, DiskError
        """
        info, table = directory.info, directory.table
        seed = BlockIdentity(directory.incarnation, info.id, number, first).seed()
        size = int(table["block_length"][number])
        data = self._read(info, int(table["block_offset"][number]), size)
        if (
            len(data) != size
            or crc32c(memoryview(data)[4:], seed).to_bytes(4, "little") != data[:4]
        ):
            at = f"{info.path} block {number}"
            raise CorruptData(f"cannot read block: got a bad crc32c, at {at}", path=info.path)
        return data

    def vectors(self, directory: Directory, stream: int) -> Pyramid | None:
        """Summaries of the vectors of a stream, in the order of its runs; None where none are kept.

        A damaged chunk is named in the findings; the vectors are then to be folded from the blocks.
        """
        key = (directory.info.id, stream)
        found = self._vectors.get(key)
        if found is not None:
            return found
        try:
            found = self.load_vectors(directory, stream)
        except (CorruptData, DiskError) as error:
            offset = int(error.facts.get("offset", 0))
            self._findings.add(directory.info.path, offset, str(error))
            return None
        if found is not None:
            self._vectors.put(key, found, found.nbytes)
        return found

    def load_vectors(self, directory: Directory, stream: int) -> Pyramid | None:
        """As :meth:`vectors`, from disk, past the cache.

        Raises
        ------
        CorruptData, DiskError
        """
        info, table = directory.info, directory.table
        if "stream_pyramid_offset" not in table or "stream_pyramid_length" not in table:
            return None
        at = int(np.searchsorted(table["stream_id"], np.uint32(stream)))
        if at == len(table["stream_id"]) or int(table["stream_id"][at]) != stream:
            return None
        offset, size = (
            int(table["stream_pyramid_offset"][at]),
            int(table["stream_pyramid_length"][at]),
        )
        if size == 0:
            return None
        identity = PyramidIdentity(directory.incarnation, info.id, stream)
        runs = directory.runs_of(stream)
        try:
            data = self._read(info, offset, size)
            found = decode_pyramid(data, identity, at=f"{info.path} stream {stream}")
            rows = vector_rows(table["run_start"][runs], table["run_rows"][runs])
            if not np.array_equal(found.table["rows"], rows):
                raise CorruptData(
                    f"cannot read pyramid: got other vectors than runs, at {info.path}"
                )
        except CorruptData as error:
            raise CorruptData(str(error), path=info.path, offset=offset) from error
        return Pyramid(found)

    def verify(self, infos: Mapping[int, SegmentInfo], progress: Callable[[int], None]) -> None:
        """Read every block of segments; damage lands in the findings.

        ``progress`` is told the size in bytes of each segment that is done.
        """
        for info in infos.values():
            self._aside.discard(info.id)
            with self._rebuilding:
                self._rebuilt.pop(info.id, None)
            directory = self.directory(info)
            if directory is not None:
                for number in range(len(directory.table["block_rows"])):
                    self.block(directory, number)
                for stream in directory.table.get("stream_id", np.zeros(0, np.uint32)).tolist():
                    self.vectors(directory, stream)
            progress(info.size)

    def forget(self) -> None:
        """Drop all caches, so that the next read sees the disk."""
        self._directories.clear()
        self._blocks.clear()
        self._owners.clear()
        self._vectors.clear()
        with self._rebuilding:
            self._rebuilt.clear()
        self.close()

    def close(self) -> None:
        """Close all files."""
        self._files.close()

    def retain(self, wanted: Callable[[int], bool]) -> None:
        """Close the files of segments that are gone, so that their space is given back."""
        self._files.retain(wanted)


def rows_bytes(rows: Rows) -> int:
    """Memory of decoded rows, strings estimated.

    Parameters
    ----------
    rows : Rows

    Returns
    -------
    int
    """
    total = rows.timestamp_ns.nbytes + rows.stamp.nbytes
    total += 0 if rows.quality is None else rows.quality.nbytes
    total += 0 if rows.event_id is None else rows.event_id.nbytes
    for column in rows.data:
        total += column.value.nbytes + (60 * len(column) if column.type in STRINGS else 0)
    return total
