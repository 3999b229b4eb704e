"""collector/spool.py, gap.py: a full spool loses nothing, or names what, for whom and when."""

import asyncio

import numpy as np
import pytest

from connectors.connector import SinkFull
from connectors.sink import Gap, Link, Reject, SourceState
from historian.clock import SystemClock
from historian.collector.intake import Intake
from historian.collector.notes import Notes
from historian.collector.source_sink import SourceSink
from historian.collector.spool import Spool
from storage_engine.frame import decode_frame
from storage_engine.recording import RecordingFileSystem
from storage_engine.sample import ColumnData, SampleBatch, ValueType

KIB = 1 << 10


def rows(first, count=200, address="x"):
    return SampleBatch(
        (address,),
        np.zeros(count, np.int32),
        np.arange(first, first + count, dtype=np.int64),
        np.zeros(count, np.uint32),
        ColumnData(ValueType.FLOAT64, np.random.default_rng(first).normal(size=count)),
    )


class Bench:
    """A spool with an intake; its sources put one after the other."""

    def __init__(self, fs, bytes_max, *, drop_oldest=False):
        self.notes = Notes(fs)
        self.spool = Spool(fs, bytes_max, drop_oldest=drop_oldest)
        self.intake = Intake(self.spool, SystemClock(), 1_000, 0.0)
        self.sinks = {}

    async def put(self, source, batch):
        sink = self.sinks.get(source) or SourceSink(
            "c", source, self.intake, SystemClock(), self.notes
        )
        self.sinks[source] = sink
        await sink.put(batch)

    def run(self, play):
        async def whole():
            cutting = asyncio.create_task(self.intake.run())
            await play(self)
            self.intake.close()
            await cutting

        asyncio.run(whole())
        return self

    def drain(self):
        frames = []
        while (reading := self.spool.read(1 << 20)).frames:
            frames += map(decode_frame, reading.frames)
            self.spool.acknowledge(reading, len(reading.frames))
        return frames


def held(frames):
    """Times that are there, by source; slots as declared so far."""
    found, sources = {}, {}
    for frame in frames:
        sources |= {one.slot: one.source for one in frame.declarations}
        for section in frame.samples:
            for slot, time in zip(
                section.slot.tolist(), section.timestamp_ns.tolist(), strict=True
            ):
                found.setdefault(sources[slot], []).append(time)
    return found


def losses(frames):
    gaps = [n.facts for f in frames for n in f.notices if n.kind == "gap"]
    return {g["source"]: (g["start_ns"], g["end_ns"], g["count"]) for g in gaps}


@pytest.mark.parametrize("sent_first", [False, True])
def test_oldest_first_names_each_source_with_its_own_times_and_count(sent_first):
    """Also long after the frames that declared the slots are at the server and gone."""

    async def play(bench):
        for number in range(200):
            await bench.put("plc", rows(number * 200))
            if number % 2:
                await bench.put("broker", rows(10**6 + number * 100))
            if sent_first and number == 9:
                assert len(bench.drain()) > 0

    bench = Bench(RecordingFileSystem(), 256 * KIB, drop_oldest=True).run(play)
    before = bench.spool.dropped_frames
    declared = bench.spool.declarations(bench.spool.identity.epoch)
    sources = {slot: one.source for slot, one in declared.items()}
    frames = bench.drain()
    found = {}
    for frame in frames:
        for section in frame.samples:
            for slot, time in zip(
                section.slot.tolist(), section.timestamp_ns.tolist(), strict=True
            ):
                found.setdefault(sources[slot], []).append(time)
    named = losses(frames)

    first = 2_000 if sent_first else 0
    start, end, count = named["plc"]
    assert (first, 40_000) == (start, found["plc"][-1] + 1)
    assert (end + 1, count) == (found["plc"][0], found["plc"][0] - first)
    start, end, count = named["broker"]
    assert (end + 1, count) == (found["broker"][0], found["broker"][0] - start)
    assert {"plc", "broker"} == set(named)
    assert before > 0
    bench.spool.close()


def test_oldest_first_keeps_what_others_said():
    """Gaps that connectors named, lines that changed; a value that was no value is counted."""

    async def play(bench):
        await bench.put("plc", rows(0))
        sink = bench.sinks["plc"]
        await sink.gap((Gap(5, 9, "the queue overflowed", "x", 4),))
        await sink.reject((Reject("x", "no number", b"", 77_777),))
        await sink.state(SourceState(Link.DISCONNECTED, "away"))
        for number in range(1, 150):
            await bench.put("plc", rows(number * 200))

    bench = Bench(RecordingFileSystem(), 256 * KIB, drop_oldest=True).run(play)
    notices = [n for f in bench.drain() for n in f.notices]

    assert ["away"] == [n.facts["detail"] for n in notices if n.kind == "source_state"]
    gaps = {n.facts["reason"]: n.facts for n in notices if n.kind == "gap"}
    assert (5, 9, 4) == tuple(
        gaps["the queue overflowed"][k] for k in ("start_ns", "end_ns", "count")
    )
    assert 1 == gaps["the spool was full"]["count"] % 200
    assert 77_777 == gaps["the spool was full"]["end_ns"]
    bench.spool.close()


def test_refusing_leaves_every_source_unacknowledged_until_there_is_room():
    """Stop reading: nobody is told that it is safe, and nothing that was promised goes."""
    kept = {"plc": [], "broker": []}

    async def play(bench):
        for number in range(400):
            for source in kept:
                batch = rows(number * 200)
                try:
                    await bench.put(source, batch)
                except SinkFull:
                    continue
                kept[source] += batch.timestamp_ns.tolist()

    bench = Bench(RecordingFileSystem(), 256 * KIB).run(play)

    assert bench.spool.size_bytes <= 256 * KIB
    assert (0, True) == (bench.spool.dropped_frames, bench.intake.refused_parts > 0)
    assert kept == held(bench.drain())
    bench.spool.close()


@pytest.mark.parametrize("drop_oldest", [False, True])
def test_a_bound_below_one_frame_refuses_that_frame_and_takes_smaller_ones(drop_oldest):
    """There is nothing to drop for it; the source is told, and goes on with less at a time."""

    async def play(bench):
        for _ in range(2):
            with pytest.raises(SinkFull, match="want at most 2048"):
                await bench.put("plc", rows(0))
        await bench.put("plc", rows(0, 5))

    bench = Bench(RecordingFileSystem(), 2 * KIB, drop_oldest=drop_oldest).run(play)

    assert {"plc": [0, 1, 2, 3, 4]} == held(bench.drain())
    bench.spool.close()


def test_a_small_spool_drops_from_its_only_file():
    """The policy is the same whatever the size: the newest is there, the loss is named."""

    async def play(bench):
        for number in range(30):
            await bench.put("plc", rows(number * 200))

    bench = Bench(RecordingFileSystem(), 24 * KIB, drop_oldest=True).run(play)
    frames = bench.drain()

    start, end, count = losses(frames)["plc"]
    times = held(frames)["plc"]
    assert (0, times[0], times[0]) == (start, end + 1, count)
    assert list(range(times[0], 6_000)) == times
    bench.spool.close()


def test_a_small_spool_is_empty_again_once_all_is_sent():
    """What the server has takes no room from what comes, though its file is still being written."""

    async def play(bench):
        for number in range(30):
            await bench.put("plc", rows(number * 200))
            assert {200} == {frame.envelope.row_count for frame in bench.drain()}

    bench = Bench(RecordingFileSystem(), 24 * KIB).run(play)

    assert 0 == bench.intake.refused_parts
    bench.spool.close()


@pytest.mark.parametrize("drop_oldest", [False, True])
def test_a_full_disk_is_a_full_spool(drop_oldest):
    """ENOSPC before the bound: back-pressure, or oldest first where the gap can be written."""
    fs = RecordingFileSystem(capacity_bytes=300 * KIB)
    promised = []

    async def play(bench):
        for number in range(300):
            batch = rows(number * 200)
            try:
                await bench.put("plc", batch)
            except SinkFull:
                continue
            promised.extend(batch.timestamp_ns.tolist())

    bench = Bench(fs, 1 << 20, drop_oldest=drop_oldest).run(play)
    frames = bench.drain()
    times = held(frames)["plc"]

    assert bench.spool.size_bytes <= 300 * KIB
    if drop_oldest:
        start, end, count = losses(frames)["plc"]
        assert bench.spool.dropped_frames > 0
        assert sorted(times) == times
        assert count == len(promised) - len(times)
        assert (start, end < times[0]) == (0, True)
    else:
        assert promised == times
        assert bench.intake.refused_parts > 0
    asyncio.run(bench.sinks["plc"].state(SourceState(Link.CONNECTED)))
    bench.spool.close()
