"""Every rule that a sealed segment keeps, recomputed from its rows."""

import numpy as np

from storage_engine.columns import Rows
from storage_engine.errors import DataError, DiskError
from storage_engine.filesystem import FileSystem
from storage_engine.frame import SlotKind
from storage_engine.sample import UInt32Array
from storage_engine.segment.layout import EDGE_BYTES, SegmentInfo
from storage_engine.segment.partition import DAY_NS, partition_days
from storage_engine.segment.pyramid import PyramidBuilder, same_states
from storage_engine.segment.pyramid_chunk import PyramidIdentity, decode_pyramid
from storage_engine.segment.run_list import MAGIC, decode_run_list
from storage_engine.segment.summary import summarize_block
from storage_engine.table import AnyColumn
from storage_engine.tools.bytes_of import read_piece
from storage_engine.tools.kinds import Kind, kind_by_name
from storage_engine.tools.segment_file import BlockPlace, SegmentFile, open_segment
from storage_engine.tools.summary_v1 import summarize as summarize_v1

_ALIGN = 8
_TOLERANCE = 1e-9  # of sums in version 1, whose last bits depend on the processor


def check_segment(fs: FileSystem, path: str, *, listed: SegmentInfo | None = None) -> SegmentFile:
    """Check every byte and every rule of a segment.

    Parameters
    ----------
    fs : FileSystem
    path : str
    listed : SegmentInfo, optional
        What the manifest says of it.

    Returns
    -------
    SegmentFile
        With all findings.
    """
    segment = open_segment(fs, path)
    _check_names(segment)
    if segment.table is None:
        return segment
    end = EDGE_BYTES
    seen: list[tuple[int, int, int, int, int]] = []
    assert segment.edge is not None, "it led to the table"
    builder = PyramidBuilder(segment.edge.incarnation, segment.edge.segment_id)
    for place in segment.places():
        if place.offset != end:
            segment.named(place.offset, f"block {place.number} begins here, want {end}")
        end = _check_behind(fs, segment, place)
        rows = segment.read_block(fs, place)
        if rows is not None:
            _Block(segment, place, rows).check(builder)
            times, stamps = rows.timestamp_ns, rows.stamp
            seen.append(
                (
                    len(rows),
                    int(times.min()),
                    int(times.max()),
                    int(stamps.min()) >> 1,
                    int(stamps.max()) >> 1,
                )
            )
    assert segment.trailer is not None, "it led to the directory"
    if _blocks_end(segment) != end:
        segment.named(end, f"blocks end here, want them to end at {_blocks_end(segment)}")
    _check_pyramids(fs, segment, builder)
    _check_runs(segment)
    if len(seen) == len(segment.table["block_rows"]):
        _check_facts(segment, seen)
    if listed is not None and segment.info() != listed:
        segment.named(0, f"the manifest lists {listed}, the segment says {segment.info()}")
    return segment


def _check_names(segment: SegmentFile) -> None:
    edge = segment.edge
    parts = segment.path.removesuffix(".new").split("/")
    if edge is None or kind_by_name(segment.path) is not Kind.SEGMENT:
        return
    name = parts[-1].removesuffix(".segment")
    if name != f"{edge.segment_id:016x}":
        segment.named(0, f"the file is called {name}, want {edge.segment_id:016x}")
    partition = segment.facts.get("partition")
    if len(parts) > 2 and parts[-3] == "segments" and partition not in {None, parts[-2]}:
        segment.named(0, f"the file lies in partition {parts[-2]}, want {partition}")


def _check_behind(fs: FileSystem, segment: SegmentFile, place: BlockPlace) -> int:
    """Look at what stands between a block and the next: its run list, and zeros up to 8."""
    assert segment.trailer is not None
    assert segment.table is not None
    at = place.offset + place.length
    number = place.number + 1
    offsets = segment.table["block_offset"]
    end = int(offsets[number]) if number < len(offsets) else _blocks_end(segment)
    begin = at + -at % _ALIGN
    if not at <= end <= segment.size:
        segment.named(at, f"block {place.number} ends here, want before {end}")
        return end
    try:
        data = read_piece(fs, segment.path, at, end - at)
    except DiskError as error:
        segment.named(at, str(error), end - at)
        return end
    pad, rest = data[: begin - at], data[begin - at :]
    if rest[:4] == MAGIC:
        edge = segment.edge
        assert edge is not None
        try:
            held = decode_run_list(
                rest, edge.incarnation, edge.segment_id, at=f"{segment.path} byte {begin}"
            )
            runs = segment.table["run_stream"][place.runs], segment.table["run_start"][place.runs]
            same = np.array_equal(held.stream, runs[0]) and np.array_equal(held.start, runs[1])
            if held.block != place.number or not same:
                segment.named(begin, f"the run list of block {place.number} is another one")
            pad, rest = pad + rest[held.size :], rest[held.size :]
            rest = rest[_ALIGN - 1 :]
        except (DataError, ValueError) as error:
            segment.named(begin, str(error), end - begin)
            return end
    if any(pad) or rest:
        segment.named(at, f"{end - at} bytes behind block {place.number} are neither list nor zero")
    return end


def _pyramid_places(segment: SegmentFile) -> list[tuple[int, int, int]]:
    """Offset, length and stream of the summaries of vectors, as they lie."""
    table = segment.table
    assert table is not None
    names = ("stream_pyramid_offset", "stream_pyramid_length", "stream_id")
    if any(name not in table for name in names):
        return []
    places = zip(*(table[name].tolist() for name in names), strict=True)
    return sorted(place for place in places if place[1])


def _blocks_end(segment: SegmentFile) -> int:
    assert segment.trailer is not None
    places = _pyramid_places(segment)
    return places[0][0] if places else segment.trailer.offset


def _check_pyramids(fs: FileSystem, segment: SegmentFile, builder: PyramidBuilder) -> None:
    """Hold the summaries of vectors against those of the rows."""
    edge, trailer, places = segment.edge, segment.trailer, _pyramid_places(segment)
    assert edge is not None
    assert trailer is not None
    made = builder.finish()
    end = _blocks_end(segment)
    for offset, length, stream in places:
        if offset != end:
            segment.named(offset, f"the summaries of stream {stream} begin here, want {end}")
        end = offset + length + -length % _ALIGN
        identity = PyramidIdentity(edge.incarnation, edge.segment_id, stream)
        at = f"{segment.path} stream {stream}"
        try:
            data = read_piece(fs, segment.path, offset, end - offset)
            found = decode_pyramid(data[:length], identity, at=at)
            if any(data[length:]):
                segment.named(offset + length, "bytes behind a summary are not zero")
        except (DataError, DiskError) as error:
            segment.named(offset, str(error), length)
            continue
        want = decode_pyramid(made[stream], identity, at=at) if stream in made else None
        if want is None or not same_states(found, want):
            segment.named(offset, f"the summaries of stream {stream} differ from its rows", length)
    if places and end != trailer.offset:
        segment.named(end, f"summaries end here, want the directory at {trailer.offset}")
    if places and not made.keys() <= {stream for _, _, stream in places}:
        segment.named(0, "summaries of vectors of a stream are missing")


class _Block:
    """The rules of one block."""

    def __init__(self, segment: SegmentFile, place: BlockPlace, rows: Rows) -> None:
        self.segment = segment
        self.place = place
        self.rows = rows

    def wrong(self, what: str) -> None:
        self.segment.named(self.place.offset, f"block {self.place.number}: {what}")

    def check(self, builder: PyramidBuilder) -> None:
        table, runs = self.segment.table, self.place.runs
        assert table is not None
        starts, counts = table["run_start"][runs], table["run_rows"][runs]
        want = np.concatenate(([0], np.cumsum(counts.astype(np.int64))))
        if not len(runs) or want[-1] != len(self.rows) or not np.array_equal(want[:-1], starts):
            self.wrong("its runs do not cover its rows")
            return
        stream = self.segment.stream_of_rows(self.place)
        self.order(stream)
        self.types(np.unique(stream).tolist())
        self.partition()
        exact = "run_exact" in table
        first = starts.astype(np.intp)
        summary = summarize_block(self.rows, first)
        builder.add(table["run_stream"][runs], summary)
        computed = summary.columns() if exact else summarize_v1(self.rows, first)
        for name, values in computed.items():
            scale = None if exact else self.scale()
            if name in table and not _same(values, table[name][runs], scale):
                self.wrong(f"{name} of the directory differs from its rows")

    def order(self, stream: UInt32Array) -> None:
        """Rows ascend by (stream, time, stamp); events of one time by their ids."""
        time, stamp = self.rows.timestamp_ns, self.rows.stamp
        ahead = stream[1:] > stream[:-1]
        same = stream[1:] == stream[:-1]
        equal = time[1:] == time[:-1]
        if self.rows.event_id is None:
            equal &= stamp[1:] >= stamp[:-1]
        later = (time[1:] > time[:-1]) | equal
        if not bool((ahead | (same & later)).all()):
            self.wrong("its rows are not in (stream, time, stamp) order")

    def types(self, streams: list[int]) -> None:
        """Columns are the first of each stream's schema."""
        types = [column.type for column in self.rows.data]
        for stream_id in streams:
            info = self.segment.streams.get(stream_id)
            if info is None:
                self.wrong(f"stream {stream_id} is not in the directory")
                continue
            series = info.kind is SlotKind.SERIES
            if types != [c.type for c in info.columns[: len(types)]] or series == (
                self.rows.quality is None
            ):
                self.wrong(f"its columns are not those of stream {stream_id}")

    def scale(self) -> float:
        """Greatest part of a sum or an integral: what rounding is measured by."""
        value = self.rows.data[0].value if self.rows.data else np.zeros(0)
        if value.dtype.kind not in "iuf":
            return float(len(self.rows))
        finite = np.abs(value.astype(np.float64))
        finite = finite[np.isfinite(finite)]
        seconds = float(np.ptp(self.rows.timestamp_ns.astype(np.float64))) / 1e9
        scale = float(finite.max(initial=0.0)) * max(seconds, len(self.rows))
        return min(scale, float(np.finfo(np.float64).max))

    def partition(self) -> None:
        """Rows lie in the window that the partition's name says."""
        name = str(self.segment.facts.get("partition", ""))
        time = self.rows.timestamp_ns
        bounds = partition_days(name)
        if bounds is None:
            self.wrong(f"partition {name!r} is no day, month or year")
            return
        low, high = int(time.min()), int(time.max())
        if low // DAY_NS < bounds[0] or high // DAY_NS >= bounds[1]:
            self.wrong(f"times {low} to {high} are not in partition {name}")


def _same(left: AnyColumn, values: AnyColumn, scale: float | None) -> bool:
    if left.dtype.kind == "f" and scale is not None:
        allowed = _TOLERANCE * scale
        return bool(np.allclose(left, values, rtol=_TOLERANCE, atol=allowed, equal_nan=True))
    return left.tobytes() == values.tobytes()


def _check_runs(segment: SegmentFile) -> None:
    table = segment.table
    assert table is not None
    order = np.lexsort((table["run_block"], table["run_first"], table["run_stream"]))
    if not np.array_equal(order, np.arange(len(order))):
        segment.named(0, "the directory's runs are not in (stream, time) order")


def _check_facts(segment: SegmentFile, seen: list[tuple[int, int, int, int, int]]) -> None:
    rows, first, last, low, high = zip(*seen, strict=True) if seen else ((0,),) * 5
    found = {
        "rows": sum(rows),
        "first": min(first),
        "last": max(last),
        "lsn_min": min(low),
        "lsn_max": max(high),
    }
    for name, value in found.items():
        if segment.facts.get(name) != value:
            segment.named(0, f"{name} is {value}, the directory says {segment.facts.get(name)}")
