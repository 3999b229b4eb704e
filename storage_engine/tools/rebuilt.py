"""The new store's segments: copied whole, rebuilt from blocks, filled from elsewhere."""

from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from storage_engine.columns import Rows, join_rows
from storage_engine.errors import DiskError
from storage_engine.events import sort_events
from storage_engine.filesystem import FileSystem
from storage_engine.sample import BoolArray, UInt32Array
from storage_engine.segment.blocking import Blocking
from storage_engine.segment.layout import SegmentInfo
from storage_engine.segment.partition import partition_codes, partition_name
from storage_engine.segment.writer import SegmentWriter
from storage_engine.streams import StreamInfo
from storage_engine.tools.segment_file import SegmentFile, open_segment

_COPY_BYTES = 1 << 20
_BLOCKS_CACHED = 64
_BLOCK_ROWS = 8192


@dataclass(slots=True)
class Piece:
    """Rows of one column set with the stream of each, in (stream, time, stamp) order."""

    stream: UInt32Array
    rows: Rows


class Rebuilt:
    """Segments of the store that is being made.

    Parameters
    ----------
    fs : FileSystem
        Of the new store.
    incarnation : bytes
    streams : mapping of int to StreamInfo
        All; a stream that gets rows must be in it.
    next_id : int
        First segment id that nothing uses.
    now_ns : int
        Decides how wide partitions are where that is not known.
    """

    def __init__(
        self,
        fs: FileSystem,
        *,
        incarnation: bytes,
        streams: Mapping[int, StreamInfo],
        next_id: int,
        now_ns: int,
    ) -> None:
        self.fs = fs
        self.infos: list[SegmentInfo] = []
        self.next_id = next_id
        self.rows_copied = 0
        self.rows_rebuilt = 0
        self._incarnation = incarnation
        self._streams = streams
        self._now_ns = now_ns
        self._files: list[SegmentFile] = []
        self._blocks: OrderedDict[tuple[str, int], Rows] = OrderedDict()

    def copy(self, source: FileSystem, path: str, info: SegmentInfo) -> None:
        """Take a sound segment byte for byte.

        Raises
        ------
        DiskError
        """
        self.fs.make_directories(info.path.rsplit("/", 1)[0])
        reading = source.open_read(path)
        try:
            writing = self.fs.create(info.path)
            try:
                for at in range(0, info.size, _COPY_BYTES):
                    writing.append(reading.read_at(at, min(_COPY_BYTES, info.size - at)))
                writing.sync()
            finally:
                writing.close()
        finally:
            reading.close()
        self.fs.sync_directory(info.path.rsplit("/", 1)[0])
        self.rows_copied += info.rows
        self._take(info)

    def _take(self, info: SegmentInfo) -> None:
        self.infos.append(info)
        self.next_id = max(self.next_id, info.id + 1)
        self._files.append(open_segment(self.fs, info.path))

    def write(self, pieces: list[Piece], partition: str | None, retention_class: str) -> None:
        """Write pieces into new segments, one per partition.

        Parameters
        ----------
        pieces : list of Piece
        partition : str or None
            None: by the age of each row.
        retention_class : str

        Raises
        ------
        DiskError
        """
        writers: dict[str, SegmentWriter] = {}
        try:
            for piece in pieces:
                for name, mask in self._parts(piece.rows, partition):
                    if name not in writers:
                        writers[name] = SegmentWriter(
                            self.fs, self._incarnation, self.next_id, name, retention_class
                        )
                        self.next_id += 1
                    stream, rows = piece.stream[mask], piece.rows.take(mask)
                    self.rows_rebuilt += len(rows)
                    blocks = Blocking(writers[name].add, _BLOCK_ROWS)
                    blocks.add(stream, rows)
                    blocks.end()
            for writer in writers.values():
                self._take(writer.finish(self._streams))
        except DiskError:
            for writer in writers.values():
                writer.discard()
            raise

    def _parts(self, rows: Rows, partition: str | None) -> list[tuple[str, BoolArray]]:
        if partition is not None:
            return [(partition, np.ones(len(rows), np.bool_))]
        codes = partition_codes(rows.timestamp_ns, self._now_ns)
        return [(partition_name(code), codes == code) for code in np.unique(codes).tolist()]

    def missing(self, stream_id: int, rows: Rows) -> BoolArray:
        """Rows of a stream that no segment has yet, by time and stamp.

        Parameters
        ----------
        stream_id : int
        rows : Rows
            n rows.

        Returns
        -------
        bool, shape (n,)
        """
        first, last = int(rows.timestamp_ns.min()), int(rows.timestamp_ns.max())
        have: set[tuple[int, int]] = set()
        for file in self._files:
            table = file.table
            if table is None:
                continue
            fits = (table["run_stream"] == stream_id) & (table["run_last"] >= first)
            fits &= table["run_first"] <= last
            for run in np.flatnonzero(fits).tolist():
                held = self._run(file, run)
                if held is not None:
                    have.update(zip(held.timestamp_ns.tolist(), held.stamp.tolist(), strict=True))
        keys = zip(rows.timestamp_ns.tolist(), rows.stamp.tolist(), strict=True)
        return np.fromiter((key not in have for key in keys), np.bool_, len(rows))

    def _run(self, file: SegmentFile, run: int) -> Rows | None:
        table = file.table
        assert table is not None, "checked before"
        number = int(table["run_block"][run])
        key = (file.path, number)
        rows = self._blocks.get(key)
        if rows is None:
            place = next(p for p in file.places() if p.number == number)
            rows = file.read_block(self.fs, place)
            if rows is None:
                return None
            self._blocks[key] = rows
            if len(self._blocks) > _BLOCKS_CACHED:
                self._blocks.popitem(last=False)
        start = int(table["run_start"][run])
        return rows.take(slice(start, start + int(table["run_rows"][run])))

    def rows_of(self, stream_id: int) -> list[Rows]:
        """Every run of a stream in the segments so far.

        Parameters
        ----------
        stream_id : int

        Returns
        -------
        list of Rows
        """
        found = []
        for file in self._files:
            if file.table is not None:
                runs = np.flatnonzero(file.table["run_stream"] == stream_id).tolist()
                found += [rows for run in runs if (rows := self._run(file, run)) is not None]
        return found


def gather(parts: Collection[Piece]) -> list[Piece]:
    """Join pieces of one column set and put them in order; events stay stream by stream.

    Parameters
    ----------
    parts : collection of Piece

    Returns
    -------
    list of Piece
    """
    groups: dict[tuple[object, ...], list[Piece]] = {}
    for part in parts:
        for stream_id in np.unique(part.stream).tolist():
            mask = part.stream == stream_id
            events = part.rows.event_id is not None
            types = tuple(column.type for column in part.rows.data)
            key: tuple[object, ...] = ("events", stream_id) if events else ("series", *types)
            groups.setdefault(key, []).append(Piece(part.stream[mask], part.rows.take(mask)))
    out = []
    for group in groups.values():
        stream = np.concatenate([piece.stream for piece in group])
        rows = join_rows([piece.rows for piece in group])
        if rows.event_id is not None:
            out.append(Piece(stream, sort_events(rows)))
            continue
        order = np.lexsort((rows.stamp, rows.timestamp_ns, stream))
        out.append(Piece(stream[order], rows.take(order)))
    return out
