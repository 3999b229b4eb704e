"""Rows into one segment file: blocks first, then directory and trailer, then its final name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from storage_engine.block import BlockIdentity, encode_block
from storage_engine.checksum import crc32c
from storage_engine.codec.choice import Recipes
from storage_engine.columns import Rows
from storage_engine.compact_table import encode_compact
from storage_engine.errors import DiskError
from storage_engine.filesystem import FileSystem
from storage_engine.sample import UInt32Array
from storage_engine.segment.layout import (
    DIRECTORY,
    EDGE_BYTES,
    HEADER_MAGIC,
    TRAILER_MAGIC,
    Edge,
    SegmentInfo,
    segment_path,
)
from storage_engine.segment.pyramid import PyramidBuilder
from storage_engine.segment.run_list import encode_run_list
from storage_engine.segment.summary import run_columns, summarize_block
from storage_engine.shared_columns import ColumnSharing
from storage_engine.stream_columns import directory_of
from storage_engine.streams import StreamInfo
from storage_engine.table import Table

_ALIGN = 8
_SYNC_BYTES = 1 << 20


@dataclass(slots=True)
class _Totals:
    rows: int = 0
    first: int = 2**63 - 1
    last: int = -(2**63)
    stamp_min: int = 2**64 - 1
    stamp_max: int = 0
    blocks: list[tuple[int, int, int]] = field(default_factory=list)
    runs: list[Table] = field(default_factory=list)
    states: list[npt.NDArray[Any]] = field(default_factory=list)
    streams: set[int] = field(default_factory=set)


class SegmentWriter:
    """One segment in the making.

    Parameters
    ----------
    fs : FileSystem
    incarnation : bytes
        16 bytes of the store.
    segment_id : int
    partition, retention_class : str
    late : bool
        For :class:`SegmentInfo`, as is the next.
    erased_lsn : int
    cold : bool
        Take the time to make it as small as it gets.
    recipes : Recipes, optional
        What won in segments before.
    """

    def __init__(
        self,
        fs: FileSystem,
        incarnation: bytes,
        segment_id: int,
        partition: str,
        retention_class: str,
        *,
        late: bool = False,
        erased_lsn: int = 0,
        cold: bool = False,
        recipes: Recipes | None = None,
    ) -> None:
        self._fs = fs
        self._incarnation = incarnation
        self._id = segment_id
        self._partition = partition
        self._class = retention_class
        self._late = late
        self._erased_lsn = erased_lsn
        self._cold = cold
        self._sharing = ColumnSharing()
        self._recipes = Recipes() if recipes is None else recipes
        self._path = segment_path(partition, segment_id)
        self._totals = _Totals()
        self._pyramids = PyramidBuilder(incarnation, segment_id)
        fs.make_directories(f"{DIRECTORY}/{partition}")
        if fs.exists(self._path + ".new"):
            fs.remove(self._path + ".new")
        self._file = fs.create(self._path + ".new")
        self._offset = 0
        self._synced = 0
        try:
            self._put(Edge(incarnation, segment_id, EDGE_BYTES).encode(HEADER_MAGIC))
        except DiskError:
            self.discard()
            raise

    @property
    def size_bytes(self) -> int:
        """Bytes written so far."""
        return self._offset

    def _put(self, data: bytes) -> None:
        self._file.append(data)
        self._offset += len(data)
        if self._offset - self._synced >= _SYNC_BYTES:
            self._file.sync()  # little at a time: the log on the same disk syncs in between
            self._synced = self._offset

    def add(self, stream: UInt32Array, rows: Rows) -> None:
        """Write one block.

        Parameters
        ----------
        stream : uint32, shape (n,)
            Stream of each row, ascending.
        rows : Rows
            n rows of one column set, ordered by (stream, time, stamp).
        """
        totals, block = self._totals, len(self._totals.blocks)
        identity = BlockIdentity(self._incarnation, self._id, block, int(stream[0]))
        data = encode_block(
            rows,
            identity,
            sharing=self._sharing,
            recipes=self._recipes,
            cold=self._cold,
            paged=bool(stream[0] != stream[-1]),
        )
        totals.blocks.append((self._offset, len(data), len(rows)))
        self._put(data + bytes(-len(data) % _ALIGN))
        starts = np.concatenate(([0], np.flatnonzero(stream[1:] != stream[:-1]) + 1))
        listed = encode_run_list(identity, stream[starts], starts.astype(np.uint32))
        self._put(listed + bytes(-len(listed) % _ALIGN))
        summary = summarize_block(rows, starts)
        self._pyramids.add(stream[starts], summary)
        runs = summary.bounds | {
            "run_stream": stream[starts],
            "run_block": np.full(len(starts), block, np.uint32),
            "run_start": starts.astype(np.uint32),
            "run_rows": np.diff(np.append(starts, len(rows))).astype(np.uint32),
        }
        totals.runs.append(runs)
        totals.states.append(summary.states)
        totals.streams.update(runs["run_stream"].tolist())
        totals.rows += len(rows)
        totals.first = min(totals.first, int(runs["run_first"].min()))
        totals.last = max(totals.last, int(runs["run_last"].max()))
        totals.stamp_min = min(totals.stamp_min, int(runs["run_stamp_min"].min()))
        totals.stamp_max = max(totals.stamp_max, int(runs["run_stamp_max"].max()))

    def finish(self, streams: Mapping[int, StreamInfo]) -> SegmentInfo:
        """Write directory and trailer, sync, and give the file its name.

        Parameters
        ----------
        streams : mapping of int to StreamInfo
            At least the streams that have rows here.

        Returns
        -------
        SegmentInfo
        """
        totals = self._totals
        info = SegmentInfo(
            id=self._id,
            partition=self._partition,
            retention_class=self._class,
            size=0,
            rows=totals.rows,
            first=totals.first,
            last=totals.last,
            lsn_min=totals.stamp_min >> 1,
            lsn_max=totals.stamp_max >> 1,
            late=self._late,
            erased_lsn=self._erased_lsn,
            cold=self._cold,
        )
        directory = encode_compact(self._directory(info, streams))
        offset = self._offset
        self._put(directory)
        edge = Edge(self._incarnation, self._id, crc32c(directory), offset, len(directory))
        self._put(edge.encode(TRAILER_MAGIC))
        self._file.sync()
        self._file.close()
        self._fs.rename(self._path + ".new", self._path)
        self._fs.sync_directory(f"{DIRECTORY}/{self._partition}")
        return SegmentInfo(
            **{n: getattr(info, n) for n in SegmentInfo.__dataclass_fields__ if n != "size"},
            size=self._offset,
        )

    def _directory(self, info: SegmentInfo, streams: Mapping[int, StreamInfo]) -> Table:
        totals = self._totals
        runs = {name: np.concatenate([t[name] for t in totals.runs]) for name in totals.runs[0]}
        runs |= run_columns(np.concatenate(totals.states))
        order = np.lexsort((runs["run_block"], runs["run_first"], runs["run_stream"]))
        present = sorted(totals.streams)
        blocks = np.array(totals.blocks, np.uint64).reshape(-1, 3)
        return {
            "block_offset": blocks[:, 0],
            "block_length": blocks[:, 1].astype(np.uint32),
            "block_rows": blocks[:, 2].astype(np.uint32),
            **{name: values[order] for name, values in runs.items()},
            **directory_of(streams, present),
            **self._put_pyramids(present),
            **info.facts(),
        }

    def _put_pyramids(self, present: Sequence[int]) -> Table:
        """Write the summaries of vectors; gives their places by stream, zero for none."""
        places = dict.fromkeys(present, (0, 0))
        for stream, chunk in self._pyramids.finish().items():
            places[stream] = (self._offset, len(chunk))
            self._put(chunk + bytes(-len(chunk) % _ALIGN))
        held = np.array(list(places.values()), np.uint64).reshape(-1, 2)
        return {
            "stream_pyramid_offset": held[:, 0],
            "stream_pyramid_length": held[:, 1].astype(np.uint32),
        }

    def discard(self) -> None:
        """Give up an unfinished file: close and remove it; its rows are still in the log."""
        self._file.close()
        if self._fs.exists(self._path + ".new"):
            self._fs.remove(self._path + ".new")
