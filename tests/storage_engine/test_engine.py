"""engine.py: what writers and readers are promised, call by call."""

import errno
import threading

import numpy as np
import pytest

from storage_engine.config import EngineConfig
from storage_engine.engine import Engine
from storage_engine.errors import (
    DiskError,
    EngineClosed,
    InvalidArgument,
    LimitExceeded,
    LowDisk,
    StoreLocked,
)
from storage_engine.filesystem import RealFileSystem
from storage_engine.frame import FLAG_ONE_SHOT, SlotKind
from storage_engine.recording import RecordingFileSystem
from storage_engine.sample import Column, ValueType
from storage_engine.testing import SECOND_NS, EventRow, Producer, SampleRow, SetClock

CONFIG = EngineConfig(free_bytes_min=0, wal_file_bytes=1 << 16, record_time_step_ms=0)
FLOAT = (Column("value", ValueType.FLOAT64),)
UNIT = (Column("unit", ValueType.TEXT),)
EVERYTHING = (-(2**63), 2**63 - 1)


class Bench:
    """An engine with one series at slot 0, one event stream at slot 1 and one producer."""

    def __init__(self, config: EngineConfig = CONFIG) -> None:
        self.config = config
        self.fs = RecordingFileSystem()
        self.clock = SetClock()
        self.engine = Engine.open(self.fs, config, self.clock)
        self.series = self.engine.create_stream(b"s" * 16, SlotKind.SERIES, FLOAT)
        self.events = self.engine.create_stream(b"e" * 16, SlotKind.EVENTS, UNIT)
        self.producer = Producer(b"p" * 16)
        self.engine.bind(b"p" * 16, 1, {0: self.series, 1: self.events})

    def put(self, *rows: tuple[int, object], flags: int = 1, quality: int = 0) -> int:
        samples = [SampleRow(0, ValueType.FLOAT64, t, v, quality) for t, v in rows]
        lsn = self.engine.append(self.producer.frame(samples, flags=flags)).lsn
        self.engine.wait_durable(lsn)
        return lsn

    def put_events(self, *rows: tuple[int, bytes, object]):
        events = [EventRow(1, t, i, (v,)) for t, i, v in rows]
        appended = self.engine.append(self.producer.frame((), events, UNIT))
        self.engine.wait_durable(appended.lsn)
        return appended

    def values(self, **options) -> list:
        return self.engine.read(self.series, *EVERYTHING, **options).value.objects()

    def reopen(self, config: EngineConfig | None = None) -> None:
        self.engine.close()
        self.engine = Engine.open(self.fs, config or self.config, self.clock)


@pytest.fixture
def bench():
    made = Bench()
    yield made
    made.engine.close()


def test_a_row_is_read_only_when_it_is_durable(bench):
    """Nobody may see what a power cut could take back."""
    frame = bench.producer.frame([SampleRow(0, ValueType.FLOAT64, 5, 1.0)])
    lsn = bench.engine.append(frame).lsn

    assert [] == bench.values()
    assert not bench.engine.latest([bench.series]).present[0]
    assert bench.engine.wait_durable(lsn)
    assert [1.0] == bench.values()
    assert bench.engine.durable_lsn >= lsn


def test_the_same_uuid_gives_the_same_stream_and_another_schema_is_refused(bench):
    """The catalog may ask again after a crash."""
    assert bench.series == bench.engine.create_stream(b"s" * 16, SlotKind.SERIES, FLOAT)
    bench.reopen()
    assert bench.series == bench.engine.create_stream(b"s" * 16, SlotKind.SERIES, FLOAT)
    with pytest.raises(InvalidArgument, match="cannot create stream"):
        bench.engine.create_stream(b"s" * 16, SlotKind.SERIES, (Column("value", ValueType.BOOL),))
    with pytest.raises(InvalidArgument, match="want 16"):
        bench.engine.create_stream(b"short", SlotKind.SERIES, FLOAT)


def test_rejected_rows_are_left_out_and_stay_out(bench):
    """The mask is in the log beside the untouched frame."""
    samples = [SampleRow(slot, ValueType.FLOAT64, slot, float(slot)) for slot in (0, 7, 0)]
    frame = bench.producer.frame(samples)

    with pytest.raises(InvalidArgument, match="slot 7 bound to no stream"):
        bench.engine.append(frame)
    with pytest.raises(InvalidArgument, match="mask of 2 rows, want 3"):
        bench.engine.append(frame, np.zeros(2, bool))
    appended = bench.engine.append(frame, np.array([False, True, False]))
    bench.engine.wait_durable(appended.lsn)

    assert not appended.duplicate
    assert [0.0] == bench.values()
    bench.reopen()
    assert [0.0] == bench.values()


def test_a_row_of_another_type_is_refused(bench):
    """The engine stores what a stream was made for."""
    frame = bench.producer.frame([SampleRow(0, ValueType.INT64, 1, 1)])

    with pytest.raises(InvalidArgument, match="want a series of type 3"):
        bench.engine.append(frame)


def test_a_rewrite_is_a_revision_and_a_redelivery_is_not(bench):
    """Decision 0003 from end to end, across a flush and a restart."""
    first = bench.put((5, 1.0))
    bench.put((5, 2.0))
    bench.engine.flush()
    bench.put((5, 1.0))
    assert [2.0] == bench.values()
    last = bench.put((5, 1.0), flags=0)
    bench.reopen()

    assert [1.0] == bench.values()
    assert [1.0, 2.0, 1.0] == bench.values(all_revisions=True)
    assert [1.0] == bench.values(known_at_lsn=first)
    assert [2.0] == bench.values(known_at_lsn=last - 1)
    assert [1.0] == bench.engine.latest([bench.series]).value


def test_old_times_never_move_latest(bench):
    """A clock that fell back to 2002 is stored where it says."""
    bench.put((10, 1.0), (4, 9.0))
    bench.engine.flush()
    bench.put((3, 8.0))

    newest = bench.engine.latest([bench.series])

    assert (10, [1.0]) == (newest.timestamp_ns[0], newest.value)
    assert [8.0, 9.0, 1.0] == bench.values()


def test_latest_settles_what_only_a_read_can_tell(bench):
    """A redelivery of an older revision of the newest time changes nothing; a new value does."""
    bench.put((5, 1.0))
    bench.put((5, 2.0))
    bench.put((5, 1.0))
    assert [2.0] == bench.engine.latest([bench.series]).value
    bench.put((5, 3.0))
    assert [3.0] == bench.engine.latest([bench.series]).value
    bench.put((6, None))
    newest = bench.engine.latest([bench.series])
    assert ([None], True) == (newest.value, newest.present[0])


def test_conflicting_events_are_told_and_the_first_wins(bench):
    """In one frame, in the head, and behind a flush."""
    told = bench.put_events((5, b"a" * 16, "u1"), (5, b"a" * 16, "u2"), (6, b"b" * 16, "x"))
    assert (1,) == told.conflicts
    bench.engine.flush()
    assert (0,) == bench.put_events((6, b"b" * 16, "y"), (5, b"a" * 16, "u1")).conflicts
    bench.reopen()
    assert (1,) == bench.put_events((7, b"c" * 16, "z"), (6, b"b" * 16, "w")).conflicts

    read = bench.engine.read_events(bench.events, *EVERYTHING)
    assert ["u1", "x", "z"] == read.data["unit"].objects()
    every = bench.engine.read_events(bench.events, *EVERYTHING, conflicts=True)
    assert ["u1", "u2", "x", "y", "w", "z"] == every.data["unit"].objects()


def test_grown_columns_read_as_null_in_older_events(bench):
    """Schemas only grow, at the end."""
    bench.put_events((5, b"a" * 16, "u1"))
    bench.engine.flush()
    columns = (*UNIT, Column("count", ValueType.INT64))
    bench.engine.grow_stream(bench.events, columns)
    event = EventRow(1, 6, b"b" * 16, ("u2", 7))
    bench.engine.wait_durable(bench.engine.append(bench.producer.frame((), [event], columns)).lsn)
    bench.put_events((7, b"c" * 16, "u3"))  # a producer that knows the old schema
    bench.reopen()

    read = bench.engine.read_events(bench.events, *EVERYTHING, columns=["count"])

    assert [None, 7, None] == read.data["count"].objects()
    with pytest.raises(InvalidArgument, match="cannot grow stream"):
        bench.engine.grow_stream(bench.events, UNIT)
    with pytest.raises(InvalidArgument, match="nope"):
        bench.engine.read_events(bench.events, 0, 1, columns=["nope"])


def test_low_disk_is_refused_before_anything_is_written(bench):
    """And the writer may try the same frame again."""
    bench.reopen(EngineConfig(free_bytes_min=1 << 30, wal_file_bytes=1 << 16))
    frame = bench.producer.frame([SampleRow(0, ValueType.FLOAT64, 5, 1.0)])
    bench.fs.capacity_bytes = 1 << 29
    before = bench.fs.position

    with pytest.raises(LowDisk, match="cannot append frame"):
        bench.engine.append(frame)

    assert before == bench.fs.position
    bench.fs.capacity_bytes = 1 << 40
    assert not bench.engine.append(frame).duplicate


def test_after_a_failed_sync_nothing_is_acknowledged_until_a_reopen(bench):
    """A failed fsync is never tried again."""
    bench.put((5, 1.0))
    bench.fs.fault = lambda what, path: errno.EIO if what == "sync" and "wal" in path else None
    frame = bench.producer.frame([SampleRow(0, ValueType.FLOAT64, 6, 2.0)])
    lsn = bench.engine.append(frame).lsn
    with pytest.raises(DiskError):
        bench.engine.wait_durable(lsn)
    bench.fs.fault = None

    assert bench.engine.failed
    with pytest.raises(EngineClosed):
        bench.engine.append(bench.producer.frame())
    assert [1.0] == bench.values()
    bench.reopen()
    assert bench.engine.failed is None
    assert [1.0] == bench.values()[:1]


def test_a_flush_that_finds_no_space_loses_nothing_and_leaves_nothing(bench):
    """Rows stay in memory and in the log; the next flush succeeds."""
    bench.put((5, 1.0))
    bench.fs.fault = lambda what, path: errno.ENOSPC if "segment" in path else None
    with pytest.raises(DiskError):
        bench.engine.flush()
    bench.fs.fault = None
    bench.put((6, 2.0))

    assert [1.0, 2.0] == bench.values()
    bench.engine.flush()
    assert 0 == bench.engine.stats().head_rows
    assert [1.0, 2.0] == bench.values()
    bench.reopen()
    assert ([], [1.0, 2.0]) == (bench.engine.findings(), bench.values())


def test_full_heads_refuse_until_the_flush_catches_up():
    """Memory is bounded: one head in front, one being flushed."""
    bench = Bench(EngineConfig(head_bytes_max=4096, free_bytes_min=0, wal_file_bytes=1 << 16))
    rows = [(k, float(k)) for k in range(60)]
    with pytest.raises(LimitExceeded, match="want the flush to catch up"):  # noqa: PT012
        for start in range(9):
            bench.put(*[(start * 60 + t, v) for t, v in rows])
    stored = len(bench.values())

    bench.engine.maintain()
    bench.producer.sequence -= 1
    bench.put(*[(10**6 + t, v) for t, v in rows])

    assert stored + 60 == len(bench.values())
    assert bench.engine.stats().segments > 0


def test_maintain_flushes_old_heads_and_cuts_the_log():
    """Recovery stays short."""
    config = EngineConfig(free_bytes_min=0, wal_file_bytes=4096, flush_age_s=60)
    bench = Bench(config)
    for n in range(40):
        bench.put((n, float(n)), (100 + n, 1.0))
        bench.clock.time_ns += 30 * SECOND_NS
        bench.engine.maintain()

    stats = bench.engine.stats()
    assert stats.segments >= 10
    assert stats.head_rows < 8
    assert stats.wal_bytes < 3 * 4096
    assert 80 == len(bench.values())


def test_questions_as_known_at_a_moment(bench):
    """Record time and lsn, both ways."""
    start = bench.clock.time_ns
    first = bench.put((5, 1.0))
    bench.clock.time_ns = start + 10 * SECOND_NS
    second = bench.put((5, 2.0))
    bench.engine.flush()
    bench.clock.time_ns = start - SECOND_NS  # a wall clock that steps back
    third = bench.put((5, 3.0))
    bench.reopen()

    assert first == bench.engine.lsn_at(start + 5 * SECOND_NS)
    assert third == bench.engine.lsn_at(start + 10 * SECOND_NS)
    assert start == bench.engine.record_time_ns(first)
    assert start + 10 * SECOND_NS == bench.engine.record_time_ns(second)
    assert 0 == bench.engine.lsn_at(start - SECOND_NS)


def test_one_shot_producers_are_remembered_across_a_flush_and_a_restart(bench):
    """An idempotency key sent again is a duplicate."""
    once = Producer(b"o" * 16, flags=FLAG_ONE_SHOT)
    bench.engine.bind(b"o" * 16, 1, {0: bench.series})
    frame = once.frame([SampleRow(0, ValueType.FLOAT64, 5, 1.0)])
    bench.engine.wait_durable(bench.engine.append(frame).lsn)
    assert bench.engine.append(frame).duplicate
    bench.engine.flush()
    bench.reopen()

    assert bench.engine.append(frame).duplicate
    assert [1.0] == bench.values()


def test_a_second_writer_is_kept_out_and_a_reader_is_not(tmp_path):
    """A lock file names the holder; reading needs none."""
    fs, clock = RealFileSystem(tmp_path), SetClock()
    engine = Engine.open(fs, CONFIG, clock)
    stream = engine.create_stream(b"s" * 16, SlotKind.SERIES, FLOAT)
    engine.bind(b"p" * 16, 1, {0: stream})
    producer = Producer(b"p" * 16)
    for flushed in (True, False):
        rows = [SampleRow(0, ValueType.FLOAT64, int(flushed), 1.0)]
        engine.wait_durable(engine.append(producer.frame(rows)).lsn)
        if flushed:
            engine.flush()
    with pytest.raises(StoreLocked):
        Engine.open(RealFileSystem(tmp_path), CONFIG, clock)

    reader = Engine.open(RealFileSystem(tmp_path), CONFIG, clock, read_only=True)

    assert [0, 1] == reader.read(stream, *EVERYTHING).timestamp_ns.tolist()
    assert reader.incarnation == engine.incarnation
    with pytest.raises(InvalidArgument, match="read-only"):
        reader.append(producer.frame())
    reader.close()
    engine.close()
    with pytest.raises(EngineClosed):
        engine.read(stream, 0, 1)


def test_reads_see_whole_frames_while_appends_and_flushes_go_on(tmp_path):
    """A frame is seen with all of its rows or none, in every place that a row may be."""
    config = EngineConfig(head_bytes_max=1 << 17, free_bytes_min=0, wal_file_bytes=1 << 20)
    engine = Engine.open(RealFileSystem(tmp_path), config, SetClock())
    streams = [engine.create_stream(bytes([n + 1]) * 16, SlotKind.SERIES, FLOAT) for n in range(2)]
    frames, stop, wrong = 150, threading.Event(), []

    def write(name: int) -> None:
        key = bytes([100 + name]) * 16
        engine.bind(key, 1, dict(enumerate(streams)))
        producer = Producer(key)
        for n in range(frames):
            at = (n * 2 + name) * 100
            rows = [SampleRow(k % 2, ValueType.FLOAT64, at + k, float(n)) for k in range(40)]
            frame = producer.frame(rows)
            while True:
                try:
                    engine.wait_durable(engine.append(frame).lsn)
                    break
                except LimitExceeded:
                    engine.flush()

    def look() -> None:
        while not stop.is_set():
            times = engine.read(streams[0], *EVERYTHING).timestamp_ns
            counts = np.unique(times // 100, return_counts=True)[1]
            if (counts != 20).any():
                wrong.append(counts)

    def maintain() -> None:
        while not stop.is_set():
            engine.maintain()

    writers = [threading.Thread(target=write, args=(n,)) for n in range(2)]
    others = [threading.Thread(target=look), threading.Thread(target=maintain)]
    for thread in (*writers, *others):
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    for thread in others:
        thread.join()

    assert [] == wrong
    for stream in streams:
        assert 2 * frames * 20 == len(engine.read(stream, *EVERYTHING))
    engine.close()
