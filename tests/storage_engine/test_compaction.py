"""engine_compaction.py: fewer segments, the same answers, nobody waits."""

import dataclasses
import random
import threading

import pytest

from storage_engine.changes import Change, Verb
from storage_engine.config import EngineConfig
from storage_engine.engine import Engine
from storage_engine.errors import (
    DiskError,
    EngineClosed,
    InvalidArgument,
    LimitExceeded,
    LowDisk,
)
from storage_engine.frame import SlotKind
from storage_engine.recording import RecordingFileSystem
from storage_engine.sample import Column, ValueType
from storage_engine.testing import DAY_NS, SECOND_NS, Producer, SampleRow, SetClock

CONFIG = EngineConfig(
    free_bytes_min=0, wal_file_bytes=1 << 16, record_time_step_ms=0, block_rows=16
)
FLOAT = (Column("value", ValueType.FLOAT64),)
EVERYTHING = (-(2**63), 2**63 - 1)
NOW = SetClock().time_ns
MIB = 1 << 20


def nothing(size_bytes):
    """The pace of somebody with time."""


class Bench:
    """An engine with series at slots 0 to 2."""

    def __init__(self, config=CONFIG):
        self.config = config
        self.fs, self.clock = RecordingFileSystem(), SetClock()
        self.producer = Producer(b"p" * 16)
        self.open()

    def open(self):
        self.engine = Engine.open(self.fs, self.config, self.clock)
        self.slots = {
            slot: self.engine.create_stream(bytes([slot + 1]) * 16, SlotKind.SERIES, FLOAT)
            for slot in range(3)
        }
        self.engine.bind(b"p" * 16, 1, self.slots)

    def put(self, *rows):
        samples = [SampleRow(slot, ValueType.FLOAT64, time, value) for slot, time, value in rows]
        lsn = self.engine.append(self.producer.frame(samples)).lsn
        self.engine.wait_durable(lsn)
        return lsn

    def flush(self, *rows):
        self.put(*rows)
        self.engine.flush()

    @property
    def segments(self):
        return self.engine._state.segments.infos

    def read(self, slot=0, **options):
        columns = self.engine.read(self.slots[slot], *EVERYTHING, **options)
        return list(zip(columns.timestamp_ns.tolist(), columns.value.value.tolist(), strict=True))

    def erase(self, slot, start, end):
        lsn = self.engine.change(
            Change(Verb.ERASE, self.slots[slot], start, end, "ann", "a person asked")
        )
        self.engine.wait_durable(lsn)
        return lsn

    def paths(self):
        return {
            f"segments/{p}/{n}"
            for p in self.fs.list("segments")
            for n in self.fs.list(f"segments/{p}")
        }


def test_flushes_are_merged_and_reads_do_not_change():
    """Four flushes, one segment; reopened, it is still so."""
    bench = Bench()
    for k in range(4):
        bench.flush(*((slot, NOW + k, float(k)) for slot in range(3)))
    assert bench.engine.compaction_due()
    before = bench.read()

    report = bench.engine.compact(nothing)

    assert ({"tier": 1}, 4, 1, 0) == (
        report.jobs,
        report.segments_read,
        report.segments_written,
        report.rows_dropped,
    )
    assert 1 == len(bench.segments)
    assert before == bench.read()
    stats = bench.engine.stats()
    assert (report.bytes_written, 1) == (stats.compacted_bytes, stats.compaction_jobs)
    assert stats.flushed_bytes == report.bytes_read
    assert not bench.engine.compaction_due()
    bench.engine.close()
    bench.open()
    assert before == bench.read()
    assert [] == bench.engine.findings()


def test_files_go_when_nobody_holds_them():
    """Not before: a reader's set keeps them."""
    bench = Bench()
    for k in range(4):
        bench.flush((0, NOW + k, float(k)))
    held = bench.engine._state.segments
    bench.engine.compact(nothing)
    for k in range(4, 7):
        bench.flush((0, NOW + k, float(k)))

    assert {info.path for info in held} <= bench.paths()
    gone = {info.path for info in held}
    del held
    bench.flush((0, NOW + 9, 9.0))
    bench.flush((0, NOW + 10, 9.0))
    assert not gone & bench.paths()


def test_late_rows_get_segments_of_their_own():
    """Those in order never overlap; a stray time far ahead makes nothing late."""
    bench = Bench()
    bench.flush((0, NOW, 1.0), (1, NOW + 50, 1.0), (2, NOW + 400 * DAY_NS, 1.0))
    bench.flush((0, NOW, 2.0), (0, NOW + 1, 1.0), (1, NOW + 49, 1.0), (2, NOW + 2, 1.0))

    assert [False, False, False, True] == sorted(info.late for info in bench.segments)
    (late,) = (info for info in bench.segments if info.late)
    assert (2, NOW, NOW + 49) == (late.rows, late.first, late.last)
    bench.engine.close()
    bench.open()
    # What is late is known after a restart too.
    bench.flush((0, NOW + 1, 7.0), (2, NOW + 3, 1.0))
    assert [1, 1] == [info.rows for info in bench.segments[4:]]
    assert [False, True] == sorted(info.late for info in bench.segments[4:])
    assert [(NOW, 2.0), (NOW + 1, 7.0)] == bench.read()


def test_an_erasure_is_carried_out_once():
    """Its rows leave the files; a segment is not written anew for it a second time."""
    bench = Bench()
    bench.flush(*((0, NOW + k, 0.123456789 + k) for k in range(20)))
    bench.flush(*((1, NOW + k, 0.5) for k in range(20)))
    lsn = bench.erase(0, NOW + 5, NOW + 10)
    assert (lsn,) == bench.engine._pending(*bench.engine._compaction_view())

    report = bench.engine.compact(nothing)

    assert ({"erase": 1}, 5, ()) == (report.jobs, report.rows_dropped, report.erasures_pending)
    assert sum(info.rows for info in bench.segments if info.erased_lsn) == 15
    assert not bench.engine.compaction_due()
    bench.engine.close()
    bench.open()
    assert not bench.engine.compaction_due()
    assert 15 == len(bench.read())


def test_a_damaged_segment_is_left_alone_and_the_rest_goes_on():
    """Named once, not tried again until the store is opened anew."""
    bench = Bench()
    for k in range(5):
        bench.flush(*((0, NOW + 100 * k + j, float(j)) for j in range(40)))
    bad = bench.segments[2]
    offset = 64 + 40
    file = bench.fs.open_write(bad.path)
    file.write_at(offset, bytes([file.read_at(offset, 1)[0] ^ 1]))
    bench.engine._reader.forget()

    report = bench.engine.compact(nothing)

    assert (bad.path,) == report.left_alone
    assert {"tier": 1} == report.jobs
    assert {bad.id} < {info.id for info in bench.segments}
    assert 2 == len(bench.segments)
    assert 1 == bench.engine.stats().segments_left_alone
    assert [bad.path] == [finding.path for finding in bench.engine.findings()]
    assert not bench.engine.compaction_due()
    assert 4 * 40 + 24 == len(bench.read())


def test_a_full_disk_changes_nothing():
    """The next call does it."""
    bench = Bench()
    for k in range(4):
        bench.flush((0, NOW + k, float(k)))
    before = bench.read()
    bench.fs.fault = lambda what, path: 28 if what == "write" and "segment" in path else None

    with pytest.raises(DiskError, match="ENOSPC"):
        bench.engine.compact(nothing)

    assert (before, 4) == (bench.read(), len(bench.paths()))
    bench.fs.fault = None
    assert {"tier": 1} == bench.engine.compact(nothing).jobs
    assert before == bench.read()


def test_a_compaction_leaves_the_reserve_to_appends():
    """Its outputs lie beside its inputs for a while; that space must be there beforehand."""
    bench = Bench()
    for k in range(4):
        bench.flush(*((0, NOW + 100 * k + j, 0.1 * j) for j in range(50)))
    bench.engine.close()
    free = bench.fs.free_bytes()
    bench.config = dataclasses.replace(CONFIG, free_bytes_min=free - 3000)
    bench.open()

    with pytest.raises(LowDisk, match="cannot compact"):
        bench.engine.compact(nothing)
    assert 200 == len(bench.read())


def test_a_commit_that_fails_keeps_both_sides():
    """A generation on disk may name the new files."""
    bench = Bench()
    for k in range(4):
        bench.flush((0, NOW + k, float(k)))
    before = bench.read()
    bench.fs.fault = lambda what, path: (
        5 if what == "sync directory" and "manifest" in path else None
    )
    with pytest.raises(DiskError):
        bench.engine.compact(nothing)
    bench.fs.fault = None
    assert before == bench.read()
    # Power goes at any moment of it: the store opens with every row.
    for _, fs in bench.fs.crash_states(len(bench.fs.log), limit=20):
        engine = Engine.open(fs, CONFIG, bench.clock)
        assert [] == engine.findings()
        assert 4 == len(engine.read(bench.slots[0], *EVERYTHING))
        engine.close()


def test_power_may_go_at_any_moment_of_a_compaction():
    """Old segments or new ones: every row once, nothing to find fault with."""
    bench = Bench()
    for k in range(4):
        bench.flush(*((0, NOW + 100 * k + j, 0.1 * j) for j in range(30)))
    bench.put((0, NOW + 5000, 1.0))
    before, begin = bench.read(), len(bench.fs.log)
    bench.engine.compact(nothing)
    bench.engine.flush()
    draw = random.Random(7)
    for moment in range(begin, len(bench.fs.log) + 1):
        states = list(bench.fs.crash_states(moment, limit=8))
        for _, fs in draw.sample(states, min(2, len(states))):
            engine = Engine.open(fs, CONFIG, bench.clock)
            columns = engine.read(bench.slots[0], *EVERYTHING, all_revisions=True)
            found = zip(columns.timestamp_ns.tolist(), columns.value.value.tolist(), strict=True)
            assert before == list(found)
            assert [] == engine.findings()
            engine.close()


def test_closing_ends_a_compaction():
    """A pace that raises, or an engine that is closed meanwhile, leave nothing of the job."""
    bench = Bench()
    for k in range(4):
        bench.flush(*((0, NOW + 1000 * k + j, float(j)) for j in range(200)))
    reached, go_on, failed = threading.Event(), threading.Event(), []

    def pace(size_bytes):
        reached.set()
        go_on.wait(10)

    def work():
        try:
            bench.engine.compact(pace)
        except EngineClosed as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    reached.wait(10)
    closing = threading.Thread(target=bench.engine.close)
    closing.start()
    while not bench.engine._closed:
        pass
    go_on.set()
    thread.join(10)
    closing.join(10)

    assert 1 == len(failed)
    assert 4 == len(bench.paths())
    with pytest.raises(EngineClosed):
        bench.engine.compact(nothing)
    read_only = Engine.open(bench.fs, CONFIG, bench.clock, read_only=True)
    with pytest.raises(InvalidArgument, match="read-only"):
        read_only.compact(nothing)
    assert not read_only.compaction_due()


def test_old_days_end_as_one_year():
    """Widening, over years, with the same rows."""
    bench = Bench()
    for k in range(40):
        bench.clock.time_ns = NOW + k * DAY_NS
        bench.flush((0, NOW + k * DAY_NS, float(k)))
        bench.engine.compact(nothing)
    before = bench.read()
    bench.clock.time_ns = NOW + 80 * DAY_NS
    bench.engine.compact(nothing)
    assert {"2025-06", "2025-07"} == {info.partition for info in bench.segments}
    bench.clock.time_ns = NOW + 2000 * DAY_NS
    bench.engine.compact(nothing)

    assert ["2025"] == [info.partition for info in bench.segments]
    assert before == bench.read()
    assert 40 == len(before)


def test_appends_flushes_and_reads_go_on_meanwhile():
    """Three writers' threads against a compaction that never rests."""
    config = EngineConfig(free_bytes_min=0, head_bytes_max=1 << 16, block_rows=64)
    bench = Bench(config)
    ended, wrong = threading.Event(), []
    told = [0]

    def guarded(work):
        def run():
            try:
                while not ended.is_set():
                    work()
            except Exception as error:  # noqa: BLE001 - shown by the test
                wrong.append(error)

        return run

    def compact():
        told[0] += sum(bench.engine.compact(nothing).jobs.values())

    def read():
        least = durable[0]
        rows = bench.read()
        times = [row[0] for row in rows]
        assert times == sorted(times)
        assert len(rows) >= least

    durable = [0]
    work = [guarded(compact), guarded(bench.engine.flush), guarded(read)]
    threads = [threading.Thread(target=one) for one in work]
    for thread in threads:
        thread.start()
    draw = random.Random(1)
    written = {}
    for k in range(4000):
        if k >= 400 and told[0] > 3:
            break
        rows = {NOW + draw.randrange(40 * k + 40) * SECOND_NS: float(k) for _ in range(40)}
        while not wrong:
            try:
                bench.put(*((0, time, value) for time, value in rows.items()))
                break
            except LimitExceeded:
                bench.engine.flush()
        written |= rows
        durable[0] = len(written)
    ended.set()
    for thread in threads:
        thread.join(30)

    assert [] == wrong
    assert told[0] > 3
    bench.engine.compact(nothing)
    assert sorted(written.items()) == bench.read()
    bench.engine.close()
    bench.open()
    assert sorted(written.items()) == bench.read()
