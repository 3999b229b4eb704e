"""collector/intake.py: a source that floods costs its neighbours nothing but a share."""

import asyncio

import numpy as np

from historian.clock import SystemClock
from historian.collector.frames import Part
from historian.collector.intake import Intake
from historian.collector.spool import Spool
from storage_engine.filesystem import RealFileSystem
from storage_engine.frame import Notice, decode_frame
from storage_engine.sample import ColumnData, SampleBatch, ValueType

ROWS_MAX = 100


def part(source, first, count=1):
    values = ColumnData(ValueType.FLOAT64, np.zeros(count))
    times = np.arange(first, first + count, dtype=np.int64)
    index, quality = np.zeros(count, np.int32), np.zeros(count, np.uint32)
    return Part(source, SampleBatch(("x",), index, times, quality, values))


def text_part(source, kib):
    value = np.array(["x" * kib * 1024], object)
    column = ColumnData(ValueType.TEXT, value)
    zero = np.zeros(1, np.int32)
    return Part(
        source,
        SampleBatch(("x",), zero, zero.astype(np.int64), zero.astype(np.uint32), column),
    )


def run(folder, play):
    """Play against an intake that cuts only once ``play`` says so; gives frames by source."""

    async def whole():
        spool = Spool(RealFileSystem(folder), 1 << 30)
        intake = Intake(spool, SystemClock(), ROWS_MAX, 0.001)
        answer = await play(intake)
        intake.close()
        await intake.run()
        frames = []
        while (reading := spool.read(1 << 20)).frames:
            frames += map(decode_frame, reading.frames)
            spool.acknowledge(reading, len(reading.frames))
        spool.close()
        return answer, frames

    return asyncio.run(whole())


def rows_by_source(frames):
    """Per frame, source -> times in order; slots as declared so far."""
    sources, found = {}, []
    for frame in frames:
        sources |= {one.slot: one.source for one in frame.declarations}
        of = {}
        for section in frame.samples:
            rows = zip(section.slot.tolist(), section.timestamp_ns.tolist(), strict=True)
            for slot, time in rows:
                of.setdefault(sources[slot], []).append(time)
        found.append(of)
    return found


async def start(intake, parts):
    tasks = [asyncio.create_task(intake.put(one)) for one in parts]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


def test_who_comes_after_a_flood_is_in_the_next_frame(tmp_path):
    """Turns, not arrival: fifty frames of one source do not stand before one row of another."""

    async def play(intake):
        flood = [part("flood", n * ROWS_MAX, ROWS_MAX) for n in range(500)]
        return await start(intake, [*flood, *(part("quiet", n) for n in range(30))])

    _, frames = run(tmp_path, play)
    found = rows_by_source(frames)

    assert list(range(30)) == found[0]["quiet"]
    assert len(found) > 40
    assert list(range(500 * ROWS_MAX)) == [time for of in found for time in of.get("flood", ())]


def test_two_floods_share_each_frame(tmp_path):
    """By rows: many small batches weigh as much as few large ones."""

    async def play(intake):
        large = [part("large", n * ROWS_MAX, ROWS_MAX) for n in range(40)]
        return await start(intake, large + [part("small", n) for n in range(4_000)])

    _, frames = run(tmp_path, play)
    found = rows_by_source(frames)

    assert [(500, 500)] * 8 == [(len(of["large"]), len(of["small"])) for of in found]
    assert list(range(4_000)) == [time for of in found for time in of["small"]]


def test_a_flood_waits_at_its_own_bound_and_keeps_nobody_out(tmp_path):
    """Memory is bounded per source and in all; whoever has nothing waiting may always come in."""

    async def play(intake):
        floods = [text_part(f"flood{k}", 1024) for k in range(6) for _ in range(20)]
        await start(intake, floods)
        before = intake.waiting_bytes
        await start(intake, [text_part("quiet", 1)])
        return before, intake.waiting_bytes

    (before, after), frames = run(tmp_path, play)

    assert before <= (32 + 6) << 20
    assert after > before
    assert sum(f.envelope.row_count for f in frames) >= 33


def test_a_heartbeat_stands_behind_what_its_source_has_put(tmp_path):
    """It says that everything before is collected; turns must not let it overtake."""

    async def play(intake):
        tasks = await start(intake, [part("plc", n * ROWS_MAX, ROWS_MAX) for n in range(60)])
        intake.tell(Part("plc", notices=(Notice("heartbeat", {"source": "plc"}),)))
        return tasks + await start(intake, [part("other", n) for n in range(20)])

    _, frames = run(tmp_path, play)
    beats = [k for k, frame in enumerate(frames) if frame.notices]

    assert [len(frames) - 1] == beats
