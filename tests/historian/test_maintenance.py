"""maintenance.py: compaction in the background, at its pace, ended within a second."""

import asyncio
import time
from pathlib import Path

import pytest

from historian.clock import SystemClock
from historian.config import parse_config
from historian.maintenance import Compaction
from historian.metrics import Metrics
from historian.runtime import Historian
from storage_engine.changes import Change, Verb
from storage_engine.config import EngineConfig
from storage_engine.engine import Engine
from storage_engine.errors import EngineClosed
from storage_engine.frame import SlotKind
from storage_engine.recording import RecordingFileSystem
from storage_engine.sample import Column, ValueType
from storage_engine.testing import SECOND_NS, Producer, SampleRow

CONFIG = EngineConfig(free_bytes_min=0, block_rows=64)
FLOAT = (Column("value", ValueType.FLOAT64),)
START = time.time_ns() // SECOND_NS * SECOND_NS - 3600 * SECOND_NS


def filled(fs, flushes=4, rows=500):
    """An engine with segments that want to be merged."""
    engine = Engine.open(fs, CONFIG, SystemClock())
    producer = Producer(b"p" * 16)
    stream = engine.create_stream(b"s" * 16, SlotKind.SERIES, FLOAT)
    engine.bind(b"p" * 16, 1, {0: stream})
    for k in range(flushes):
        times = range(k * rows, (k + 1) * rows)
        frame = producer.frame(
            [SampleRow(0, ValueType.FLOAT64, START + t * 1000, t * 0.37) for t in times]
        )
        engine.wait_durable(engine.append(frame).lsn)
        engine.flush()
    return engine, stream


def compaction(engine, bytes_per_s=1 << 30):
    return Compaction(lambda: engine, SystemClock(), Metrics(10), bytes_per_s)


def test_what_is_due_is_done_and_said():
    """Segments merged, erased rows gone, damage named."""
    fs = RecordingFileSystem()
    engine, stream = filled(fs)
    work = compaction(engine)

    work.once()

    assert ("", 1) == (work.trouble, engine.stats().segments)
    lsn = engine.change(Change(Verb.ERASE, stream, START, START + 100_000, "ann", "a person asked"))
    engine.wait_durable(lsn)
    engine.maintain()
    work.once()
    assert () == engine.erasures()
    assert 1900 == engine.stats().segment_rows - 1  # and the change's own row
    assert {"trouble": "", "left_alone": [], "erasures_waiting": 0} == work.health()


def test_a_failure_is_counted_and_tried_again():
    """A full disk now, done later."""
    fs = RecordingFileSystem()
    engine, _ = filled(fs)
    work = compaction(engine)
    fs.fault = lambda what, path: 28 if what == "write" and "segment" in path else None

    work.once()

    assert "ENOSPC" in work.trouble
    assert b'historian_failures_total{what="compaction"} 1.0' in work._metrics.text()
    fs.fault = None
    work.once()
    assert ("", 1) == (work.trouble, engine.stats().segments)


def test_the_pace_is_kept():
    """Bytes per second over reading and writing; short waits add up."""
    work = compaction(None, bytes_per_s=1_000_000)
    begin = time.monotonic()

    for _ in range(100):
        work.pace(3000)

    assert 0.2 < time.monotonic() - begin < 2


def test_a_server_that_ends_does_not_wait_for_a_compaction(tmp_path: Path):
    """However slow it was told to be."""
    config = parse_config(
        {"store": {"path": "store", "free_bytes_min": 0, "compaction_bytes_per_s": 100}},
        base=tmp_path,
    )
    fs = RecordingFileSystem()
    filled(fs)[0].close()

    async def main() -> float:
        historian = await asyncio.to_thread(Historian.open, config, SystemClock(), filesystem=fs)
        await historian.start()
        for _ in range(1000):
            if historian._compaction._free_s:
                break
            await asyncio.sleep(0.01)
        assert {"trouble", "left_alone", "erasures_waiting"} == set(
            historian.health()["compaction"]
        )
        begin = time.monotonic()
        await historian.stop()
        return time.monotonic() - begin

    assert asyncio.run(main()) < 1.5
    engine = Engine.open(fs, CONFIG, SystemClock())
    assert engine.findings() == []
    assert engine.compaction_due()


def test_a_stopped_pace_says_so():
    """What waits in it is woken."""
    work = compaction(None, bytes_per_s=1)
    work._stop.set()

    with pytest.raises(EngineClosed):
        work.pace(1000)
