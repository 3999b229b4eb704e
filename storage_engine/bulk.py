"""Rows of the past straight into segments: sorted, one segment per partition and class.

Nothing here takes the engine's lock; what is written counts only when the caller commits it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from storage_engine.columns import Rows, join_rows, sort_by_time
from storage_engine.config import EngineConfig
from storage_engine.errors import InvalidArgument
from storage_engine.events import event_rule, sort_events
from storage_engine.filesystem import FileSystem
from storage_engine.frame import SlotKind
from storage_engine.revisions import drop_certain
from storage_engine.sample import (
    DTYPES,
    ColumnData,
    Int64Array,
    UInt32Array,
    ValueType,
)
from storage_engine.segment.blocking import Blocking
from storage_engine.segment.layout import SegmentInfo
from storage_engine.segment.live import LiveSegments
from storage_engine.segment.partition import partition_codes, partition_name
from storage_engine.segment.writer import SegmentWriter
from storage_engine.streams import StreamInfo, get_stream

_CLASSES = 1 << 20  # retention classes that a combined code has room for
Pace = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class BulkRows:
    """Rows bound for one stream, in any order; of equal times the later row is the newer.

    Attributes
    ----------
    stream_id : int
    timestamp_ns : int64, shape (n,)
    quality : uint32, shape (n,), or None
        Of a series.
    event_id : V16, shape (n,), or None
        Of events.
    data : tuple of ColumnData, n rows each
        One for a series; for events the stream's columns, those at the end may be missing.
    """

    stream_id: int
    timestamp_ns: Int64Array
    quality: UInt32Array | None
    event_id: npt.NDArray[np.void] | None
    data: tuple[ColumnData, ...]

    def __len__(self) -> int:
        return len(self.timestamp_ns)

    def stamped(self, stamp: int) -> Rows:
        """As rows of one stamp."""
        stamps = np.full(len(self), stamp, np.uint64)
        return Rows(self.timestamp_ns, stamps, self.quality, self.event_id, self.data)


def check_rows(part: BulkRows, streams: Mapping[int, StreamInfo]) -> None:
    """Refuse rows that their stream cannot hold.

    Raises
    ------
    InvalidArgument
        Unknown stream, another type, or columns of unequal length.
    """
    info = get_stream(streams, part.stream_id)
    series = info.kind is SlotKind.SERIES
    types = [column.type for column in part.data]
    fits = types == [column.type for column in info.columns][: len(types)]
    if (
        not types
        or not fits
        or (part.quality is None) is series
        or (part.event_id is None) is (not series)
    ):
        raise InvalidArgument(
            f"cannot import rows: got columns {[t.name for t in types]}, want those of "
            f"{info.kind.name.lower()} stream {info.id}",
            stream_id=info.id,
        )
    key = part.quality if series else part.event_id
    lengths = {len(part), len(key if key is not None else ()), *map(len, part.data)}
    lengths |= {len(c.valid) for c in part.data if c.valid is not None}
    narrow = any(column.value.dtype != DTYPES[column.type] for column in part.data)
    if len(lengths) > 1 or narrow or part.timestamp_ns.dtype != np.int64:
        raise InvalidArgument(
            f"cannot import rows: got columns of {sorted(lengths)} rows or other dtypes, want "
            f"equal lengths and the dtypes of their types, for stream {info.id}",
            stream_id=info.id,
        )


class BulkWriter:
    """Segments of one commit.

    Parameters
    ----------
    fs : FileSystem
    config : EngineConfig
    live : LiveSegments
        Gives ids; release :attr:`ids` after the commit or after :meth:`give_up`.
    incarnation : bytes
    streams : mapping of int to StreamInfo
    now_ns : int
        Decides how wide partitions are.
    pace : callable
        Told the bytes of each segment written.
    """

    def __init__(
        self,
        fs: FileSystem,
        config: EngineConfig,
        live: LiveSegments,
        *,
        incarnation: bytes,
        streams: Mapping[int, StreamInfo],
        now_ns: int,
        pace: Pace,
    ) -> None:
        self._fs = fs
        self._block_rows = config.block_rows
        self._live = live
        self._incarnation = incarnation
        self._streams = streams
        self._now_ns = now_ns
        self._pace = pace
        self.ids: list[int] = []
        self._open: SegmentWriter | None = None
        self._finished: list[SegmentInfo] = []

    def write(self, parts: Sequence[BulkRows], stamp: int) -> tuple[SegmentInfo, ...]:
        """Write all segments, synced and named.

        Parameters
        ----------
        parts : sequence of BulkRows
            Checked.
        stamp : int
            Of every row.

        Returns
        -------
        tuple of SegmentInfo

        Raises
        ------
        DiskError
            Call :meth:`give_up`.
        """
        pieces = self._series(parts, stamp) + self._events(parts, stamp)
        names = sorted({info.retention_class for info in self._streams.values()})
        class_of = {info.id: names.index(info.retention_class) for info in self._streams.values()}
        targets: dict[int, list[tuple[UInt32Array, Rows]]] = {}
        for stream, rows in pieces:
            classes = _look_up(class_of, stream)
            codes = partition_codes(rows.timestamp_ns, self._now_ns) * _CLASSES + classes
            for code, where in _groups(codes):
                targets.setdefault(code, []).append((stream[where], rows.take(where)))
        for code in sorted(targets):
            self._segment(code, names[code % _CLASSES], targets.pop(code))
        return tuple(self._finished)

    def _series(self, parts: Sequence[BulkRows], stamp: int) -> list[tuple[UInt32Array, Rows]]:
        """Series rows by type, in (stream, time) order, redeliveries within them left out."""
        by_type: dict[ValueType, dict[int, list[Rows]]] = {}
        for part in parts:
            if part.quality is not None and len(part):
                held = by_type.setdefault(part.data[0].type, {})
                held.setdefault(part.stream_id, []).append(part.stamped(stamp))
        pieces = []
        for _, streams in sorted(by_type.items()):
            ids = sorted(streams)
            sorted_rows = [sort_by_time(join_rows(streams.pop(stream_id))) for stream_id in ids]
            stream = np.repeat(np.array(ids, np.uint32), list(map(len, sorted_rows)))
            rows = join_rows(sorted_rows)
            keep = drop_certain(rows, stream)
            pieces.append((stream, rows) if keep.all() else (stream[keep], rows.take(keep)))
        return pieces

    def _events(self, parts: Sequence[BulkRows], stamp: int) -> list[tuple[UInt32Array, Rows]]:
        by_stream: dict[int, list[Rows]] = {}
        for part in parts:
            if part.event_id is not None and len(part):
                by_stream.setdefault(part.stream_id, []).append(part.stamped(stamp))
        pieces = []
        for stream_id, held in sorted(by_stream.items()):
            rows = event_rule(sort_events(join_rows(held)), conflicts=True)
            pieces.append((np.full(len(rows), stream_id, np.uint32), rows))
        return pieces

    def _segment(
        self, code: int, retention_class: str, pieces: Sequence[tuple[UInt32Array, Rows]]
    ) -> None:
        self.ids.append(self._live.allocate())
        partition = partition_name(code // _CLASSES)
        writer = self._open = SegmentWriter(
            self._fs, self._incarnation, self.ids[-1], partition, retention_class
        )
        blocks = Blocking(writer.add, self._block_rows)
        for stream, rows in pieces:
            blocks.add(stream, rows)
            blocks.end()
        info = writer.finish(self._streams)
        self._open = None
        self._finished.append(info)
        self._pace(info.size)

    def give_up(self) -> None:
        """Remove what was written; nothing of it was committed."""
        if self._open is not None:
            self._open.discard()
        for info in self._finished:
            if self._fs.exists(info.path):
                self._fs.remove(info.path)


def _look_up(class_of: Mapping[int, int], stream: UInt32Array) -> Int64Array:
    ids, place = np.unique(stream, return_inverse=True)
    return np.array([class_of[i] for i in ids.tolist()], np.int64)[place]


def _groups(codes: Int64Array) -> list[tuple[int, slice | npt.NDArray[np.intp]]]:
    """Rows of each code, in their order."""
    if bool((codes == codes[0]).all()):
        return [(int(codes[0]), slice(None))]
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    starts = np.concatenate(([0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1))
    ends = [*starts[1:].tolist(), len(codes)]
    return [
        (int(ordered[begin]), order[begin:end])
        for begin, end in zip(starts.tolist(), ends, strict=True)
    ]
