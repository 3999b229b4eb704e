"""Segments into fewer or other segments: for compaction, erasure, retention and restore.

A streaming merge: rows come in key order, what may go is dropped, the rest is written at once.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial

import numpy as np

from storage_engine.columns import Rows, join_rows
from storage_engine.compaction import is_cold
from storage_engine.config import EngineConfig
from storage_engine.errors import CorruptData, DiskError
from storage_engine.events import event_rule
from storage_engine.filesystem import FileSystem
from storage_engine.frame import SlotKind
from storage_engine.merging import Pace, merge, sources_of
from storage_engine.revisions import drop_redelivered
from storage_engine.sample import BoolArray, Int64Array, UInt32Array
from storage_engine.segment.blocking import Blocking
from storage_engine.segment.layout import SegmentInfo
from storage_engine.segment.live import LiveSegments
from storage_engine.segment.partition import partition_codes, partition_name
from storage_engine.segment.reader import Directory, SegmentReader
from storage_engine.segment.writer import SegmentWriter
from storage_engine.streams import StreamInfo
from storage_engine.tombstones import Tombstones, erased

Keep = Callable[[int, Rows], BoolArray | None]
_CLASSES = 1 << 20  # retention classes that a combined code has room for
_COLD_BLOCKS = 2  # a cold block has so many times the rows of a warm one
_EVENTS = 1 << 32  # phases of event streams lie behind those of value types


class Rewrite:
    """Writes live segments anew.

    Parameters
    ----------
    fs : FileSystem
    config : EngineConfig
    reader : SegmentReader
    incarnation : bytes
    streams : mapping of int to StreamInfo
        Every stream; a row goes to the class that its stream has now.
    now_ns : int
        Decides how wide partitions are.
    live : LiveSegments
        Gives ids; the caller releases them after its commit.

    Notes
    -----
    In memory at one time: of every input at most one decoded block (of those whose ranges of
    streams and times overlap; two where pages lie among them), of every output less than a block
    and a page, what was merged in one step,
    and the directories of inputs and outputs. Work is done a block at a time.
    """

    def __init__(
        self,
        fs: FileSystem,
        config: EngineConfig,
        reader: SegmentReader,
        *,
        incarnation: bytes,
        streams: Mapping[int, StreamInfo],
        now_ns: int,
        live: LiveSegments,
    ) -> None:
        self._fs = fs
        self._config = config
        self._reader = reader
        self._incarnation = incarnation
        self._streams = streams
        self._now_ns = now_ns
        self._live = live

    def run(
        self,
        infos: Sequence[SegmentInfo],
        tombstones: Tombstones,
        *,
        keep: Keep | None = None,
        pace: Pace,
    ) -> tuple[SegmentInfo, ...]:
        """Write the rows of segments into new ones, one per partition and retention class.

        Parameters
        ----------
        infos : sequence of SegmentInfo
            Held by the caller, so that their files stay.
        tombstones : Tombstones
            Erased rows are left out; deleted ones stay, as revisions.
        keep : callable, optional
            Stream id and rows of it -> mask of rows to write, or None for all.
        pace : callable
            Told the bytes just read or written; what it raises ends the rewrite.

        Returns
        -------
        tuple of SegmentInfo
            Synced and named, in no manifest yet. A segment ends at the first change of stream or
            time behind ``segment_bytes_max``.

        Raises
        ------
        CorruptData
            An input cannot be read: ``path`` and, of a block, ``block`` are among its facts.
        DiskError
            Nothing of the outputs is left, as far as the medium lets.
        """
        outputs = _Outputs(self._fs, self._config, self._incarnation, self._streams, self._live)
        outputs.late = all(info.late for info in infos)
        newest = max((one.lsn for one in tombstones if one.erase), default=0)
        outputs.erased_lsn = max(newest, min((info.erased_lsn for info in infos), default=0))
        outputs.cold = is_cold(infos, self._config, self._now_ns)
        outputs.pace = pace
        try:
            directories = [self._directory(info) for info in infos]
            phase_of, outputs.class_of = self._tables(directories)
            sources = [s for d in directories for s in sources_of(self._reader, d, phase_of, pace)]
            reduction, before = _Reduction(tombstones, keep), -1
            for phase, stream, rows in merge(sources):
                if phase != before:
                    outputs.put(*reduction.end(), self._now_ns)
                    outputs.end_columns()
                before = phase
                outputs.put(*reduction.add(stream, rows), self._now_ns)
            outputs.put(*reduction.end(), self._now_ns)
            return outputs.finish()
        except BaseException:
            outputs.give_up()
            raise

    def _directory(self, info: SegmentInfo) -> Directory:
        found = self._reader.directory(info)
        if found is None:
            raise CorruptData(
                f"cannot rewrite segment: got a damaged one, want a directory, at {info.path}",
                path=info.path,
            )
        return found

    def _tables(self, directories: Sequence[Directory]) -> tuple[Int64Array, Int64Array]:
        """Phase and class number per stream id; the classes are those of :attr:`_Outputs`."""
        present: dict[int, str] = {}
        for directory in directories:
            held = np.unique(directory.table["run_stream"]).tolist()
            present |= dict.fromkeys(held, directory.info.path)
        phase = np.zeros(max(present, default=0) + 1, np.int64)
        number = np.zeros(len(phase), np.int64)
        names = _class_names(self._streams)
        for stream_id, path in present.items():
            info = self._streams.get(stream_id)
            if info is None:
                raise CorruptData(
                    f"cannot rewrite segment: got rows of stream {stream_id}, want a known one, "
                    f"at {path}",
                    path=path,
                )
            events = info.kind is SlotKind.EVENTS
            phase[stream_id] = _EVENTS + stream_id if events else int(info.value_type)
            number[stream_id] = names[info.retention_class]
        return phase, number


def _class_names(streams: Mapping[int, StreamInfo]) -> dict[str, int]:
    names = sorted({info.retention_class for info in streams.values()})
    return {name: place for place, name in enumerate(names)}


_NOTHING: tuple[UInt32Array, Rows | None] = (np.empty(0, np.uint32), None)


class _Reduction:
    """Drops what no read can miss, over pieces of a merge."""

    def __init__(self, tombstones: Tombstones, keep: Keep | None) -> None:
        self._tombstones = tombstones
        self._erased = np.array(sorted({t.stream_id for t in tombstones if t.erase}), np.uint32)
        self._keep = keep
        self._before: tuple[UInt32Array, Rows | None] = _NOTHING

    def add(self, stream: UInt32Array, rows: Rows) -> tuple[UInt32Array, Rows | None]:
        """Take the next piece of a column set; gives what is certain of it."""
        wanted = self._wanted(stream, rows)
        if wanted is not None:
            stream, rows = stream[wanted], rows.take(wanted)
        if len(rows) == 0:
            return _NOTHING
        return self._series(stream, rows) if rows.event_id is None else self._events(stream, rows)

    def end(self) -> tuple[UInt32Array, Rows | None]:
        """Give what is left when a column set ends."""
        left, self._before = self._before, _NOTHING
        return _NOTHING if left[1] is None or left[1].event_id is None else left

    def _wanted(self, stream: UInt32Array, rows: Rows) -> BoolArray | None:
        """Mask of rows that are neither erased nor unwanted; None for all."""
        marked = np.isin(stream, self._erased)
        if self._keep is None and not marked.any():
            return None
        mask = np.ones(len(rows), np.bool_)
        starts = np.concatenate(([0], np.flatnonzero(stream[1:] != stream[:-1]) + 1))
        for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(rows)], strict=True):
            stream_id, part = int(stream[start]), rows.take(slice(start, end))
            if marked[start]:
                gone = erased(part, self._tombstones.of(stream_id))
                if gone is not None:
                    mask[start:end] &= ~gone
            kept = None if self._keep is None else self._keep(stream_id, part)
            if kept is not None:
                mask[start:end] &= kept
        return None if mask.all() else mask

    def _series(self, stream: UInt32Array, rows: Rows) -> tuple[UInt32Array, Rows]:
        certain = drop_redelivered(rows, stream)
        before = self._before[1]
        if before is not None:
            pair = np.concatenate((self._before[0], stream[:1]))
            certain[0] = drop_redelivered(join_rows([before, rows.take(slice(0, 1))]), pair)[1]
        last = slice(len(rows) - 1, None)
        self._before = stream[last].copy(), rows.take(np.array([len(rows) - 1]))
        return (stream, rows) if certain.all() else (stream[certain], rows.take(certain))

    def _events(self, stream: UInt32Array, rows: Rows) -> tuple[UInt32Array, Rows | None]:
        """Each content of a key once; the last key waits, because more of it may follow."""
        if self._before[1] is not None:
            rows = join_rows([self._before[1], rows])
        assert rows.event_id is not None, "event rows have an id"
        ids = np.ascontiguousarray(rows.event_id).view(np.uint64).reshape(-1, 2)
        same = (rows.timestamp_ns == rows.timestamp_ns[-1]) & (ids == ids[-1]).all(axis=1)
        cut = int(np.argmax(same))
        waiting = event_rule(rows.take(slice(cut, None)), conflicts=True)
        # Copied, so that a row does not keep a block in memory.
        self._before = (
            np.full(len(waiting), stream[0], np.uint32),
            waiting.take(np.arange(len(waiting))),
        )
        if cut == 0:
            return _NOTHING
        certain = event_rule(rows.take(slice(0, cut)), conflicts=True)
        return np.full(len(certain), stream[0], np.uint32), certain


class _Target:
    """Rows on their way to one partition and class: an open segment, and rows without a block."""

    def __init__(self, open_writer: Callable[[], SegmentWriter], block_rows: int, pace: Pace):
        self._open = open_writer
        self._pace = pace
        self.writer: SegmentWriter | None = None
        self.blocks = Blocking(self._write, block_rows)
        self.last: tuple[int, int] = (-1, 0)

    def _write(self, stream: UInt32Array, rows: Rows) -> None:
        writer = self.writer = self.writer or self._open()
        before = writer.size_bytes
        writer.add(stream, rows)
        self._pace(writer.size_bytes - before)


class _Outputs:
    """Segments being written, by partition and retention class."""

    def __init__(
        self,
        fs: FileSystem,
        config: EngineConfig,
        incarnation: bytes,
        streams: Mapping[int, StreamInfo],
        live: LiveSegments,
    ) -> None:
        self._fs = fs
        self._block_rows = config.block_rows
        self._bytes_max = config.segment_bytes_max
        self._incarnation = incarnation
        self._streams = streams
        self._live = live
        self._ids: list[int] = []
        self._targets: dict[int, _Target] = {}
        self._finished: list[SegmentInfo] = []
        self._classes = list(_class_names(streams))
        self.class_of: Int64Array = np.zeros(1, np.int64)
        self.late = False
        self.erased_lsn = 0
        self.cold = False
        self.pace: Pace = lambda size_bytes: None

    def put(self, stream: UInt32Array, rows: Rows | None, now_ns: int) -> None:
        """Take rows in key order behind those before."""
        if rows is None or len(rows) == 0:
            return
        codes = partition_codes(rows.timestamp_ns, now_ns) * _CLASSES + self.class_of[stream]
        first = int(codes[0])
        if (codes == first).all():
            self._add(first, stream, rows)
            return
        for code in np.unique(codes).tolist():
            mask = codes == code
            self._add(code, stream[mask], rows.take(mask))

    def _add(self, code: int, stream: UInt32Array, rows: Rows) -> None:
        target = self._targets.get(code)
        if target is None:
            size = self._block_rows * (_COLD_BLOCKS if self.cold else 1)
            target = self._targets[code] = _Target(partial(self._open, code), size, self.pace)
        writer, begins = target.writer, (int(stream[0]), int(rows.timestamp_ns[0]))
        # Rows of one stream and time stay together: equal stamps have no other order.
        if writer and writer.size_bytes >= self._bytes_max and begins != target.last:
            self._finish(target)
        target.blocks.add(stream, rows)
        target.last = (int(stream[-1]), int(rows.timestamp_ns[-1]))

    def end_columns(self) -> None:
        """Write what is left before rows of another column set follow."""
        for target in self._targets.values():
            target.blocks.end()

    def _open(self, code: int) -> SegmentWriter:
        self._ids.append(self._live.allocate())
        return SegmentWriter(
            self._fs,
            self._incarnation,
            self._ids[-1],
            partition_name(code // _CLASSES),
            self._classes[code % _CLASSES],
            late=self.late,
            erased_lsn=self.erased_lsn,
            cold=self.cold,
        )

    def _finish(self, target: _Target) -> None:
        target.blocks.end()
        if target.writer is not None:
            before = target.writer.size_bytes
            info = target.writer.finish(self._streams)
            target.writer = None
            self._finished.append(info)
            self.pace(info.size - before)

    def finish(self) -> tuple[SegmentInfo, ...]:
        """Seal all segments."""
        for code in sorted(self._targets):
            self._finish(self._targets[code])
        return tuple(self._finished)

    def give_up(self) -> None:
        """Remove everything written; what the medium does not let go is collected later."""
        for target in self._targets.values():
            if target.writer is not None:
                with suppress(DiskError):
                    target.writer.discard()
        remove_segments(self._fs, self._live, self._finished)
        self._live.release(self._ids)


def remove_segments(fs: FileSystem, live: LiveSegments, infos: Sequence[SegmentInfo]) -> None:
    """Remove segments that were written and are in no manifest.

    Parameters
    ----------
    fs : FileSystem
    live : LiveSegments
        Gets their ids back.
    infos : sequence of SegmentInfo
    """
    for info in infos:
        with suppress(DiskError):  # what the medium does not let go is collected later
            if fs.exists(info.path):
                fs.remove(info.path)
    live.release([info.id for info in infos])
