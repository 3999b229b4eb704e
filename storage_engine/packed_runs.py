"""Runs of a stream in one segment as the kernels want them: where the bytes of each column lie.

A block's bytes are read once, their checksum is compared once, and they are kept, packed, up to a
bound; what the kernels see was verified and stays in memory while they look. A column that the
kernels cannot decode is decoded in Python once and kept plain.
"""

import threading
from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from storage_engine.blocks import ALONE, LOADED, RISING, RUN_BYTES, load_run
from storage_engine.cache import ByteCache
from storage_engine.errors import CorruptData, DiskError
from storage_engine.fold import FoldColumns
from storage_engine.packed_owners import owned_column
from storage_engine.sample import DTYPES, AnyArray, BoolArray, Int64Array, UInt64Array, ValueType
from storage_engine.segment.layout import SegmentInfo
from storage_engine.segment.pyramid_states import with_durations
from storage_engine.segment.reader import Directory, SegmentReader
from storage_engine.segment.summary import VECTOR_ROWS, run_states
from storage_engine.shared_columns import SHARED, read_reference
from storage_engine.table import Table

_PLACES = ("time", "value", "quality", "valid")
RUN = np.dtype(
    [
        *(("first", "<i8"), ("last", "<i8"), ("start", "<u4"), ("rows", "<u4")),
        *(("block_rows", "<u4"), ("flags", "<u4")),
        *(
            (f"{place}_{name}", kind)
            for place in _PLACES
            for name, kind in (("body", "<u8"), ("size", "<u4"), ("codec", "<u2"), ("item", "<u2"))
        ),
        ("state", "<u8"),
        ("vectors", "<u8"),
    ]
)
assert RUN.itemsize == RUN_BYTES, "a run is what kernels/block.h says"
_RAW = 1  # codec
_SHARERS = 16  # about so many streams have a column that one owns
_BESIDE_BYTES = 512  # a stream's part of the cache, beside its arrays
RunArray = npt.NDArray[np.void]


def alone(first: Int64Array, last: Int64Array) -> BoolArray:
    """Mask of runs that no other run overlaps.

    Parameters
    ----------
    first, last : int64, shape (r,)
        Times in nanoseconds, inclusive, ordered by ``first``.

    Returns
    -------
    bool, shape (r,)
    """
    out = np.ones(len(first), np.bool_)
    out[1:] = first[1:] > np.maximum.accumulate(last)[:-1]
    out[:-1] &= last[:-1] < first[1:]
    return out


class PackedRuns:
    """Runs of one stream in one segment.

    Parameters
    ----------
    directory : Directory
    stream_id : int

    Attributes
    ----------
    runs : RUN, shape (r,)
        Ordered by first time. Never changed: :meth:`load` puts another in its place.
    first, last : int64, shape (r,)
    stamp_max : uint64, shape (r,)
    plain : bool
        All runs rise and none overlaps another.
    summarised : bool
        ``runs`` name their summaries, as far as the segment has some.
    size_bytes : int
        Memory held, packed blocks included.
    """

    __slots__ = (
        *("_blocks", "_kept", "_lock", "directory", "first", "last", "plain", "runs"),
        *("size_bytes", "stamp_max", "summarised", "where"),
    )

    def __init__(self, directory: Directory, stream_id: int) -> None:
        table, where = directory.table, directory.runs_of(stream_id)
        self.directory = directory
        self.where = where
        self.first: Int64Array = table["run_first"][where].astype(np.int64)
        self.last: Int64Array = table["run_last"][where].astype(np.int64)
        self.stamp_max: UInt64Array = table["run_stamp_max"][where].astype(np.uint64)
        self._blocks = table["run_block"][where].tolist()
        runs = np.zeros(len(self.first), RUN)
        runs["first"], runs["last"] = self.first, self.last
        runs["start"], runs["rows"] = table["run_start"][where], table["run_rows"][where]
        rising = (table["run_flags"][where] & 1).astype(np.bool_)
        apart = alone(self.first, self.last)
        runs["flags"] = np.where(rising, RISING, 0) | np.where(apart, ALONE, 0)
        self.plain = bool((rising & apart).all())
        self.runs: RunArray = runs
        self.summarised = False
        self._kept: list[object] = []
        self._lock = threading.Lock()
        self.size_bytes = _BESIDE_BYTES + runs.nbytes + 24 * len(runs)

    def __len__(self) -> int:
        return len(self.first)

    def cut(self, start_ns: int, end_ns: int) -> slice:
        """Runs that touch start <= time < end, of plain ones."""
        # Not by numpy, which gives up the GIL for a search: many threads would wait for it.
        begin = bisect_left(self.last, start_ns)
        return slice(begin, max(begin, bisect_left(self.first, end_ns)))

    def summarise(self, reader: SegmentReader, stream_id: int) -> None:
        """Let runs name the summaries of their rows and of their vectors.

        Parameters
        ----------
        reader : SegmentReader
        stream_id : int
        """
        states = run_states(self.directory.table, self.where)
        vectors = None if states is None else reader.vectors(self.directory, stream_id)
        with self._lock:
            if self.summarised or states is None:
                self.summarised = True
                return
            runs = self.runs.copy()
            if vectors is not None:
                start, end = runs["start"].astype(np.int64), runs["start"] + runs["rows"]
                count = (end - 1) // VECTOR_ROWS - start // VECTOR_ROWS + 1
                lowest, begins = vectors.levels[0], np.cumsum(count) - count
                runs["vectors"] = _addresses(lowest.table, begins)
                told = FoldColumns(lowest.kind, states)
                with_durations(told, lowest, begins)
                states = told.table
                self._kept.append(told)
                self._kept.append(lowest)
                self.size_bytes += lowest.table.nbytes
            runs["state"] = _addresses(states, np.arange(len(runs)))
            self._kept.append(states)
            self.size_bytes += states.nbytes
            self.runs = runs
            self.summarised = True

    def load(self, packed: "PackedBlocks", value_type: ValueType, wanted: Sequence[int]) -> bool:
        """Have the columns of these runs in memory.

        Parameters
        ----------
        packed : PackedBlocks
        value_type : ValueType
            Of the stream: one of fixed size.
        wanted : sequence of int
            Positions in ``runs``.

        Returns
        -------
        bool
            False when a block is damaged: only the ordinary way can say what is left.
        """
        runs, size = self.runs.copy(), 0
        kept: list[object] = []
        item, rows_of = DTYPES[value_type].itemsize, self.directory.table["block_rows"]
        for place in wanted:
            if runs["flags"][place] & LOADED:
                continue
            number = self._blocks[place]
            mine, all_rows = int(runs["rows"][place]), int(rows_of[number])
            data = packed.block(self.directory, number, shared=mine < all_rows)
            if data is None:
                return False
            kept.append(data)
            size += len(data) * mine // max(all_rows, 1)
            try:
                undone = load_run(runs, place, data, int(value_type), item)
            except CorruptData:
                return False
            for name in undone:
                found = packed.elsewhere(self.directory, number, runs[place], name, data)
                if found is None:
                    return False
                held, at, codec, length = found
                kept.append(held)
                size += length // (_SHARERS if codec != _RAW else 1)
                runs[f"{name}_body"][place], runs[f"{name}_codec"][place] = at, codec
                runs[f"{name}_size"][place] = length
            runs["flags"][place] |= LOADED
        with self._lock:
            now = self.runs
            done = np.flatnonzero((runs["flags"] & ~now["flags"] & LOADED).astype(np.bool_))
            if len(done):
                joined = now.copy()
                joined[done] = runs[done]
                self._kept += kept
                self.size_bytes += size
                self.runs = joined
        return True


def _address(data: bytes) -> int:
    begin: int = np.frombuffer(data, np.uint8).__array_interface__["data"][0]
    return begin


def _addresses(states: npt.NDArray[np.void], index: Int64Array) -> UInt64Array:
    begin = states.__array_interface__["data"][0]
    return np.uint64(begin) + index.astype(np.uint64) * np.uint64(states.itemsize)


class PackedBlocks:
    """Packed runs and packed blocks of a store, in two bounded caches. Safe for many threads.

    Parameters
    ----------
    reader : SegmentReader
    bytes_max : int
        Bound of the packed runs with their blocks.
    """

    def __init__(self, reader: SegmentReader, bytes_max: int) -> None:
        self._reader = reader
        self._runs: ByteCache[PackedRuns] = ByteCache(bytes_max)
        # Slow streams share a block: it is read once for all of them.
        self._shared: ByteCache[bytes] = ByteCache(bytes_max // 8)
        self._lowest: ByteCache[npt.NDArray[np.uint32]] = ByteCache(4 << 20)
        # Of brief_reads: what many series of one question have, which the next asks again.
        self.plans: ByteCache[object] = ByteCache(bytes_max // 4)

    def runs(
        self, info: SegmentInfo, stream_id: int, *, summaries: bool = False
    ) -> PackedRuns | None:
        """Runs of a stream in a segment; None when only the ordinary way can read that one."""
        found = self._runs.get((info.id, stream_id))
        if found is None:
            directory = self._reader.directory(info)
            if directory is None:
                return None
            found = PackedRuns(directory, stream_id)
            if summaries:
                found.summarise(self._reader, stream_id)
            self._runs.put((info.id, stream_id), found, found.size_bytes)
        elif summaries and not found.summarised:
            found.summarise(self._reader, stream_id)
            self._runs.put((info.id, stream_id), found, found.size_bytes)
        return found

    def load(
        self, held: PackedRuns, stream_id: int, value_type: ValueType, wanted: Sequence[int]
    ) -> bool:
        """As :meth:`PackedRuns.load`, and keep what came."""
        if not held.load(self, value_type, wanted):
            return False
        self._runs.put((held.directory.info.id, stream_id), held, held.size_bytes)
        return True

    def block(self, directory: Directory, number: int, *, shared: bool) -> bytes | None:
        """Bytes of a block whose checksum holds, or None; one of many streams is kept for all."""
        key = (directory.info.id, number)
        data = self._shared.get(key) if shared else None
        if data is None:
            try:
                first = int(self._first_streams(directory)[number])
                data = self._reader.packed_block(directory, number, first)
            except (CorruptData, DiskError):
                return None
            if shared:
                self._shared.put(key, data, len(data))
        return data

    def elsewhere(
        self, directory: Directory, number: int, run: np.void, name: str, data: bytes
    ) -> tuple[object, int, int, int] | None:
        """Find a column that does not lie in its block as the kernels know it.

        One that another block owns is taken from there, packed; any other is decoded in Python.

        Parameters
        ----------
        directory : Directory
        number : int
            Of the block.
        run : RUN
            Set from the block.
        name : str
        data : bytes
            Of the block.

        Returns
        -------
        held : object
            Keeps the bytes.
        address, codec, size : int
            None instead of the four for damage.
        """
        item = int(run[f"{name}_item"])
        if run[f"{name}_codec"] == SHARED:
            offset, size = int(run[f"{name}_body"]) - _address(data), int(run[f"{name}_size"])
            place, crc = read_reference(data[offset : offset + size], mask=name == "valid")
            owner = (
                self.block(directory, place.block, shared=True) if place.block < number else None
            )
            rows = int(run["block_rows"])
            found = owner and owned_column(owner, place, crc=crc, rows=rows, item=item)
            if owner and found:
                codec, offset, size = found
                return owner, _address(owner) + offset, codec, size
        arrays = self._decoded(directory, number)
        if arrays is None:
            return None
        values = np.ascontiguousarray(arrays[name])
        return values, values.__array_interface__["data"][0], _RAW, values.nbytes

    def _decoded(self, directory: Directory, number: int) -> dict[str, AnyArray] | None:
        """Columns of a block of a series decoded in Python, or None."""
        rows = self._reader.block(directory, number)
        if rows is None or rows.quality is None:
            return None
        column = rows.data[0]
        arrays: dict[str, AnyArray] = {"time": rows.timestamp_ns, "quality": rows.quality}
        arrays["value"] = column.value
        if column.valid is not None:
            arrays["valid"] = column.valid
        return arrays

    def _first_streams(self, directory: Directory) -> npt.NDArray[np.uint32]:
        found = self._lowest.get(directory.info.id)
        if found is None:
            table: Table = directory.table
            found = np.full(len(table["block_rows"]), 2**32 - 1, np.uint32)
            np.minimum.at(found, table["run_block"], table["run_stream"])
            self._lowest.put(directory.info.id, found, found.nbytes)
        return found

    def clear(self) -> None:
        """Drop everything, so that the next read sees the disk."""
        for cache in (self._runs, self._shared, self._lowest, self.plans):
            cache.clear()
