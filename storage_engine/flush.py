"""A frozen head into segments and a new manifest generation, in small pieces of work.

Nothing here takes the engine's lock or touches what appends change.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from storage_engine.codec.choice import Recipes
from storage_engine.columns import IndexArray, Rows
from storage_engine.config import EngineConfig
from storage_engine.errors import DiskError
from storage_engine.events import event_rule
from storage_engine.filesystem import FileSystem
from storage_engine.manifest import Manifest, newest_table
from storage_engine.producers import producer_columns
from storage_engine.revisions import drop_redelivered
from storage_engine.sample import BoolArray, Int64Array, UInt32Array
from storage_engine.segment.blocking import Blocking
from storage_engine.segment.layout import DIRECTORY, SegmentInfo, segment_number
from storage_engine.segment.live import LiveSegments
from storage_engine.segment.partition import DAY_NS, partition_codes, partition_name
from storage_engine.segment.writer import SegmentWriter
from storage_engine.state import NEVER_NS, Frozen, grown
from storage_engine.streams import StreamColumns
from storage_engine.table import json_column
from storage_engine.tombstones import Tombstones, erased, without_erased

_PIECE_BLOCKS = 8
_CLASSES = 1 << 20  # retention classes that a combined code has room for


class _Target:
    """A segment being written, with rows that do not fill a block yet."""

    def __init__(self, writer: SegmentWriter, block_rows: int) -> None:
        self.writer = writer
        self.blocks = Blocking(writer.add, block_rows)


class SegmentFlush:
    """Writes the rows of one frozen head.

    Parameters
    ----------
    fs : FileSystem
    config : EngineConfig
    incarnation : bytes
    streams : StreamColumns
    types : uint8, shape (streams,)
        Value type per stream id.
    now_ns : int
        Decides how wide partitions are.
    live : LiveSegments
        Gives ids; the caller releases :attr:`ids` after the commit.
    flushed_ns : int64, shape (streams,)
        Newest time of each stream in segments; rows at or before it get segments of their own, so
        that those in order never overlap. What it is after this flush: :attr:`flushed_ns`.
    recipes : Recipes, optional
        What won in flushes before.
    """

    def __init__(
        self,
        fs: FileSystem,
        config: EngineConfig,
        *,
        incarnation: bytes,
        streams: StreamColumns,
        types: np.ndarray[tuple[int], np.dtype[np.uint8]],
        now_ns: int,
        live: LiveSegments,
        flushed_ns: Int64Array,
        recipes: Recipes | None = None,
    ) -> None:
        self._fs = fs
        self._config = config
        self._incarnation = incarnation
        self._streams = streams
        self._types = types
        self._now_ns = now_ns
        self._live = live
        self._recipes = Recipes() if recipes is None else recipes
        self._before_ns = grown(flushed_ns, len(types))
        self.flushed_ns = self._before_ns.copy()
        self.ids: list[int] = []
        self._erased_lsn = 0
        self._targets: dict[int, _Target] = {}
        self._finished: list[SegmentInfo] = []
        names, self._class_of = streams.classes(len(types))
        self._classes = names or ["default"]

    def run(self, frozen: Frozen) -> tuple[SegmentInfo, ...]:
        """Write all segments; on failure remove what no manifest names, and raise.

        Returns
        -------
        tuple of SegmentInfo

        Raises
        ------
        DiskError
        """
        self._erased_lsn = max((t.lsn for t in frozen.tombstones if t.erase), default=0)
        try:
            block_rows = self._config.block_rows
            before = -1
            for stream, rows in frozen.head.series_pieces(self._types, _PIECE_BLOCKS * block_rows):
                value_type = int(rows.data[0].type)
                if value_type != before:
                    self._end_columns()
                before = value_type
                self._spread(*_reduced(stream, rows, frozen.tombstones))
            self._end_columns()
            for stream_id in frozen.head.event_streams():
                held = without_erased(
                    frozen.head.events_of(stream_id), frozen.tombstones.of(stream_id)
                )
                rows = event_rule(held, conflicts=True)
                self._spread(np.full(len(rows), stream_id, np.uint32), rows)
                self._end_columns()
            for code in sorted(self._targets):
                target = self._targets[code]
                self._finished.append(target.writer.finish(self._streams))
        except DiskError:
            self._give_up()
            raise
        return tuple(self._finished)

    def _end_columns(self) -> None:
        for target in self._targets.values():
            target.blocks.end()

    def _spread(self, stream: UInt32Array, rows: Rows) -> None:
        """Give each row to the segment of its partition and retention class."""
        if len(rows) == 0:
            return
        time = rows.timestamp_ns
        starts = np.concatenate(([0], np.flatnonzero(stream[1:] != stream[:-1]) + 1))
        ids = stream[starts]
        late: BoolArray = time[starts] <= self._before_ns[ids]  # the first row of each stream
        if late.any():
            late = time <= self._before_ns[stream]
        self._note_flushed(ids, starts, time)
        partition = partition_codes(time, self._now_ns)
        classes = self._class_of[ids]
        same = not late.any() and bool((classes == classes[0]).all())
        if same and bool((partition == partition[0]).all()):
            place = int(partition[0]) * _CLASSES + int(classes[0])
            self._target(place * 2).blocks.add(stream, rows)
            return
        if len(late) != len(time):
            late = np.zeros(len(time), np.bool_)
        codes: Int64Array = (partition * _CLASSES + self._class_of[stream]) * 2 + late
        found = np.unique(codes).tolist()
        for code in found:
            where = codes == code if len(found) > 1 else slice(None)
            self._target(code).blocks.add(stream[where], rows.take(where))

    def _note_flushed(self, ids: UInt32Array, starts: IndexArray, time: Int64Array) -> None:
        last = np.maximum.reduceat(time, starts)
        if last.max() > self._now_ns + DAY_NS:
            # A time far ahead would make everything behind it late.
            near = np.where(time <= self._now_ns + DAY_NS, time, NEVER_NS)
            last = np.maximum.reduceat(near, starts)
        self.flushed_ns[ids] = np.maximum(self.flushed_ns[ids], last)

    def _target(self, code: int) -> _Target:
        target = self._targets.get(code)
        if target is None:
            self.ids.append(self._live.allocate())
            place = code // 2
            writer = SegmentWriter(
                self._fs,
                self._incarnation,
                self.ids[-1],
                partition_name(place // _CLASSES),
                self._classes[place % _CLASSES],
                late=bool(code % 2),
                erased_lsn=self._erased_lsn,
                recipes=self._recipes,
            )
            target = self._targets[code] = _Target(writer, self._config.block_rows)
        return target

    def _give_up(self) -> None:
        for target in self._targets.values():
            target.writer.discard()
        for info in self._finished:
            if self._fs.exists(info.path):
                self._fs.remove(info.path)


def _reduced(stream: UInt32Array, rows: Rows, tombstones: Tombstones) -> tuple[UInt32Array, Rows]:
    """Leave out what is erased, and redeliveries of the row before.

    Between two rows of a head a deletion or an import may stand, so nothing else is certain.
    """
    gone = np.zeros(len(rows), np.bool_)
    marked = np.isin(stream, [entry.stream_id for entry in tombstones])
    for stream_id in np.unique(stream[marked]).tolist():
        mine = np.flatnonzero(stream == stream_id)
        mask = erased(rows.take(mine), tombstones.of(stream_id))
        if mask is not None:
            gone[mine] = mask
    if gone.any():
        stream, rows = stream[~gone], rows.take(~gone)
    keep = drop_redelivered(rows, stream)
    return (stream, rows) if keep.all() else (stream[keep], rows.take(keep))


def manifest_of(
    frozen: Frozen,
    *,
    incarnation: bytes,
    generation: int,
    segments: Sequence[SegmentInfo],
    streams: StreamColumns,
    next_segment_id: int,
    facts: Mapping[str, object],
    flushed_ns: Int64Array,
) -> Manifest:
    """Describe the store as of a frozen head that is in segments now.

    Parameters
    ----------
    frozen : Frozen
    incarnation : bytes
    generation : int
    segments : sequence of SegmentInfo
        All live ones.
    streams : StreamColumns
        All; may be newer than the checkpoint.
    next_segment_id : int
    facts : mapping of str to object
        What jobs want kept; see docs/format/manifest.md.
    flushed_ns : int64, shape (streams,)
        Newest time of each stream in segments.

    Returns
    -------
    Manifest
    """
    lsn, time_ns = frozen.times
    counters = {"next_segment_id": next_segment_id, "next_stream_id": streams.end}
    table = {
        **streams.table(),
        "stream_flushed": grown(flushed_ns, streams.end)[streams.ids()],
        **producer_columns(frozen.states, frozen.bound),
        **newest_table(frozen.newest, frozen.texts),
        "time_lsn": lsn,
        "time_ns": time_ns,
        **frozen.tombstones.columns(),
        "counters": json_column(counters),
        "facts": json_column(dict(facts)),
    }
    return Manifest(incarnation, generation, frozen.checkpoint_lsn, tuple(segments), table)


def collect_garbage(fs: FileSystem, kept: Sequence[Manifest], live: LiveSegments) -> None:
    """Remove segments that no kept generation names and nobody reads or writes.

    Call after a generation was committed; everything such a file held is in it or in the log.

    Parameters
    ----------
    fs : FileSystem
    kept : sequence of Manifest
        All generations on disk.
    live : LiveSegments
        Knows who still reads, and what is being written.
    """
    named = {info.path for manifest in kept for info in manifest.segments}
    for partition in fs.list(DIRECTORY):
        names = [f"{DIRECTORY}/{partition}/{n}" for n in fs.list(f"{DIRECTORY}/{partition}")]
        unnamed = ((n, segment_number(n)) for n in names if n not in named)
        stale = [n for n, number in unnamed if number is not None and not live.held(number)]
        for path in stale:
            fs.remove(path)
        if stale:
            fs.sync_directory(f"{DIRECTORY}/{partition}")
