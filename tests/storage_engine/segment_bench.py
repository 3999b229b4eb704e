"""Segments without an engine around them: written as a flush does, rewritten, read as they lie."""

import numpy as np

from storage_engine.columns import Rows
from storage_engine.config import EngineConfig
from storage_engine.findings import Findings
from storage_engine.frame import SlotKind
from storage_engine.recording import RecordingFileSystem
from storage_engine.rewrite import Rewrite
from storage_engine.sample import EVENT_ID_DTYPE, Column, ValueType
from storage_engine.segment.live import LiveSegments
from storage_engine.segment.reader import SegmentReader
from storage_engine.segment.writer import SegmentWriter
from storage_engine.streams import StreamInfo
from storage_engine.testing import SECOND_NS, bits, column_of
from storage_engine.tombstones import Tombstones

NOW = 1_750_000_000 * SECOND_NS
GROWN = (Column("unit", ValueType.TEXT), Column("value", ValueType.FLOAT64))


def series(stream_id, value_type, retention_class="default"):
    column = (Column("value", value_type),)
    return StreamInfo(stream_id, bytes([stream_id]) * 16, SlotKind.SERIES, column, retention_class)


def event_stream(stream_id, columns=GROWN):
    return StreamInfo(stream_id, bytes([stream_id]) * 16, SlotKind.EVENTS, columns, "default")


STREAMS = {
    1: series(1, ValueType.SYMBOL),
    2: series(2, ValueType.FLOAT64),
    3: series(3, ValueType.FLOAT64, "long"),
    4: series(4, ValueType.INT64),
    5: event_stream(5),
    6: event_stream(6),
}


class Bench:
    """A place for segments, without an engine around it."""

    def __init__(self, streams=None, **settings_):
        self.config = EngineConfig(**{"block_rows": 4, "block_cache_bytes": 1, **settings_})
        self.fs = RecordingFileSystem()
        self.findings = Findings(100)
        self.reader = SegmentReader(self.fs, self.config, self.findings)
        self.live = LiveSegments()
        self.streams = STREAMS if streams is None else streams

    def write(self, series_rows=(), events=(), partition="2025-06-15", grown=True):
        """One segment as a flush writes it; rows of series are (stream, time, stamp, q, value)."""
        writer = SegmentWriter(self.fs, bytes(16), self.live.allocate(), partition, "default")
        size = self.config.block_rows
        for value_type in sorted({self.streams[row[0]].value_type for row in series_rows}):
            mine = [row for row in series_rows if self.streams[row[0]].value_type is value_type]
            mine.sort(key=lambda row: row[:3])
            for begin in range(0, len(mine), size):
                add_series(writer, value_type, mine[begin : begin + size])
        for stream_id in sorted({row[0] for row in events}):
            mine = sorted((row for row in events if row[0] == stream_id), key=lambda r: r[1:4])
            for begin in range(0, len(mine), size):
                add_events(writer, mine[begin : begin + size], GROWN if grown else GROWN[:1])
        return writer.finish(self.streams)

    def rewrite(self, infos, tombstones=(), *, now_ns=NOW, keep=None, pace=lambda size: None):
        job = Rewrite(
            self.fs,
            self.config,
            self.reader,
            incarnation=bytes(16),
            streams=self.streams,
            now_ns=now_ns,
            live=self.live,
        )
        return job.run(infos, Tombstones(tombstones), keep=keep, pace=pace)

    def files(self):
        """Every file below segments/, half-written ones too."""
        return {
            f"segments/{folder}/{name}"
            for folder in self.fs.list("segments")
            for name in self.fs.list(f"segments/{folder}")
        }

    def rows(self, info):
        """Rows of a segment as they lie, and the sizes of its blocks."""
        directory = self.reader.load_directory(info)
        table, found = directory.table, []
        order = np.lexsort((table["run_start"], table["run_block"]))
        for run in order.tolist():
            block = self.reader.load_block(directory, int(table["run_block"][run]))
            start = int(table["run_start"][run])
            part = block.take(slice(start, start + int(table["run_rows"][run])))
            found += plain(int(table["run_stream"][run]), part)
        return found


def add_series(writer, value_type, rows):
    stream = np.array([row[0] for row in rows], np.uint32)
    column = column_of(value_type, [row[4] for row in rows])
    quality = np.array([row[3] for row in rows], np.uint32)
    writer.add(stream, Rows(*times_and_stamps(rows), quality, None, (column,)))


def add_events(writer, rows, columns):
    ids = np.array([row[2] for row in rows], EVENT_ID_DTYPE)
    data = tuple(
        column_of(column.type, [row[4][place] for row in rows])
        for place, column in enumerate(columns)
    )
    stream = np.array([row[0] for row in rows], np.uint32)
    time = np.array([row[1] for row in rows], np.int64)
    stamp = np.array([row[3] for row in rows], np.uint64)
    writer.add(stream, Rows(time, stamp, None, ids, data))


def times_and_stamps(rows):
    return np.array([row[1] for row in rows], np.int64), np.array([r[2] for r in rows], np.uint64)


def plain(stream_id, rows):
    columns = []
    for column in rows.data:
        held = [bits(value) for value in column.value.tolist()]
        valid = [True] * len(rows) if column.valid is None else column.valid.tolist()
        columns.append([v if ok else None for v, ok in zip(held, valid, strict=True)])
    values = list(zip(*columns, strict=True))
    middle = rows.quality.tolist() if rows.event_id is None else [bytes(i) for i in rows.event_id]
    return [
        (stream_id, *facts)
        for facts in zip(
            rows.timestamp_ns.tolist(), rows.stamp.tolist(), middle, values, strict=True
        )
    ]
