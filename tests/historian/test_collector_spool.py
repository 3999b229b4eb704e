"""collector/spool.py: what append returned for is sent in order, whatever happens."""

import asyncio
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from historian.clock import SystemClock
from historian.collector.frames import FrameBuilder, Part
from historian.collector.intake import Intake
from historian.collector.spool import Spool, SpoolFull
from historian.collector.spool_files import next_identity
from storage_engine.errors import DiskError, StoreLocked, UnsupportedFormat
from storage_engine.filesystem import RealFileSystem
from storage_engine.frame import decode_frame
from storage_engine.sample import ColumnData, SampleBatch, ValueType

MIB = 1 << 20


def batch(address, times, values):
    count = len(times)
    return SampleBatch(
        (address,),
        np.zeros(count, np.int32),
        np.array(times, np.int64),
        np.zeros(count, np.uint32),
        ColumnData(ValueType.FLOAT64, np.array(values, np.float64)),
    )


class Writer:
    """Frames of one spool, numbered in their values."""

    def __init__(self, spool):
        self.spool = spool
        self.builder = FrameBuilder(spool.identity)

    def write(self, number, rows=10):
        part = Part("plc", batch("x", range(rows), [float(number)] * rows))
        frame = self.builder.build([part])
        self.spool.append(self.builder.sequence, frame)
        self.builder.committed(frame)


def numbers(frames):
    return [int(f.samples[0].value.value[0]) for f in map(decode_frame, frames) if f.samples]


def drain(spool, bytes_max=MIB):
    found = []
    while (reading := spool.read(bytes_max)).frames:
        found += reading.frames
        spool.acknowledge(reading, len(reading.frames))
    return found


@pytest.fixture
def fs(tmp_path):
    return RealFileSystem(tmp_path / "spool")


def test_frames_come_out_in_order_over_files_and_starts(fs):
    """Order over everything: files, epochs, partial acknowledgements."""
    spool = Spool(fs, 16 * MIB)
    spool._file_bytes = 2_000
    writer = Writer(spool)
    for number in range(40):
        writer.write(number)
    first = spool.read(1_500)
    spool.acknowledge(first, 1)
    spool.close()
    again = Spool(fs, 16 * MIB)
    writer = Writer(again)
    for number in range(40, 50):
        writer.write(number)

    found = numbers(drain(again))

    assert list(range(1, 50)) == found
    assert again.identity.epoch == 2
    assert again.identity.producer_id == spool.identity.producer_id
    assert again.unsent_bytes == 0
    again.close()


def test_a_second_process_is_refused(fs):
    """Two writers would mix their sequences."""
    spool = Spool(fs, MIB)

    with pytest.raises(StoreLocked):
        Spool(fs, MIB)

    spool.close()
    Spool(fs, MIB).close()


def test_a_full_spool_refuses_and_takes_again_when_sent(fs):
    """The source must wait rather than the data be lost."""
    spool = Spool(fs, 256 << 10)
    writer = Writer(spool)
    written = 0
    while spool.size_bytes < 245_000:
        writer.write(written, rows=500)
        written += 1
    with pytest.raises(SpoolFull):
        writer.write(written, rows=2_000)
    assert spool.size_bytes <= 256 << 10

    assert list(range(written)) == numbers(drain(spool))

    writer.write(written, rows=500)
    assert [written] == numbers(drain(spool))
    spool.close()


def test_dropping_oldest_leaves_a_gap_frame_in_their_place(fs):
    """What is dropped is counted per source, and the slots behind it stay declared."""
    spool = Spool(fs, 256 << 10, drop_oldest=True)
    writer = Writer(spool)
    for number in range(100):
        writer.write(number, rows=500)
    assert spool.size_bytes <= 256 << 10
    spool.close()
    spool = Spool(fs, 256 << 10, drop_oldest=True)

    frames = list(map(decode_frame, drain(spool)))

    kept = numbers([f.raw for f in frames])
    assert list(range(kept[0], 100)) == kept
    gap = frames[0]
    assert [d.address for d in gap.declarations] == ["x"]
    notice = gap.notices[0]
    assert notice.kind == "gap"
    assert notice.facts["count"] == 500 * kept[0]
    assert (notice.facts["start_ns"], notice.facts["end_ns"]) == (0, 499)
    assert notice.facts["source"] == "plc"
    assert gap.envelope.sequence + 1 == frames[1].envelope.sequence
    assert len(frames) == len(kept) + 1
    spool.close()


def test_a_frame_dropped_while_it_was_on_its_way_is_not_acknowledged_for_another(fs):
    """An answer that comes late must not remove the gap frame unread."""
    spool = Spool(fs, 256 << 10, drop_oldest=True)
    writer = Writer(spool)
    writer.write(0, rows=500)
    reading = spool.read(MIB)
    for number in range(1, 100):
        writer.write(number, rows=500)

    spool.acknowledge(reading, 1)

    assert decode_frame(spool.read(1).frames[0]).notices[0].kind == "gap"
    spool.close()


@pytest.mark.parametrize("cut", [1, 7, 95, 96, 200, 300])
def test_a_torn_tail_is_set_aside_and_everything_before_it_is_sent(fs, tmp_path, cut):
    """A power cut may leave any prefix of the last write; it was not promised."""
    spool = Spool(fs, MIB)
    writer = Writer(spool)
    for number in range(3):
        writer.write(number)
    spool.close()
    (file,) = (tmp_path / "spool" / "frames").iterdir()
    data = file.read_bytes()
    start = len(data) - int.from_bytes(data[8:12], "little")
    start = len(data) - start // 2  # the last two frames are equally long
    torn = data[start : start + min(cut, len(data) - start - 1)]
    file.write_bytes(data[:start] + torn)

    again = Spool(fs, MIB)

    assert [0, 1] == numbers(drain(again))
    assert again.damaged_bytes == len(torn)
    again.close()


def test_a_good_frame_behind_damage_is_sent(fs, tmp_path):
    """Newer data never go because older bytes rotted; the bytes are kept apart."""
    spool = Spool(fs, MIB)
    writer = Writer(spool)
    for number in range(5):
        writer.write(number)
    spool.close()
    (file,) = (tmp_path / "spool" / "frames").iterdir()
    data = bytearray(file.read_bytes())
    first = int.from_bytes(data[8:12], "little")
    size = (len(data) - first) // 4
    rotten = slice(first + size, first + 2 * size)
    data[rotten.start + 150] ^= 0x40
    file.write_bytes(bytes(data))

    again = Spool(fs, MIB)

    assert [0, 1, 3, 4] == numbers(drain(again))
    (kept,) = (tmp_path / "spool" / "damaged").iterdir()
    assert bytes(data[rotten]) == kept.read_bytes()
    again.close()


def test_an_unreadable_identity_makes_another_producer(fs, tmp_path):
    """Never refuse to start; frames name their producer themselves."""
    spool = Spool(fs, MIB)
    Writer(spool).write(0)
    spool.close()
    (tmp_path / "spool" / "identity.json").write_bytes(b"\0\0")

    again = Spool(fs, MIB)

    assert again.identity.producer_id != spool.identity.producer_id
    assert again.identity.epoch > spool.identity.epoch
    assert [0] == numbers(drain(again))
    again.close()


class Failing:
    """A file whose chosen call fails once."""

    def __init__(self, inner, call):
        self._inner = inner
        self._call = call

    def __getattr__(self, name):
        if name == self._call:
            self._call = ""
            raise DiskError(f"cannot {name}: told to fail", errno=28)
        return getattr(self._inner, name)


def test_a_refused_write_keeps_nothing_and_the_next_one_goes(fs):
    """ENOSPC is back-pressure, and half a frame must not stay."""
    spool = Spool(fs, MIB)
    writer = Writer(spool)
    writer.write(0)
    spool._writing = Failing(spool._writing, "append")

    with pytest.raises(SpoolFull):
        writer.write(1)
    writer.write(2)

    assert [0, 2] == numbers(drain(spool))
    spool.close()


def test_after_a_failed_sync_nothing_is_promised_again(fs):
    """The kernel may have dropped the page: only a new start reads what is really there."""
    spool = Spool(fs, MIB)
    writer = Writer(spool)
    writer.write(0)
    spool._writing = Failing(spool._writing, "sync")

    with pytest.raises(DiskError):
        writer.write(1)
    with pytest.raises(DiskError):
        writer.write(2)

    spool.close()


CHILD = """
import asyncio, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from historian.clock import SystemClock
from historian.collector.frames import Part
from historian.collector.intake import Intake
from historian.collector.spool import Spool
from storage_engine.filesystem import RealFileSystem
from test_collector_spool import batch

async def main(first):
    spool = Spool(RealFileSystem(Path({spool!r})), 64 << 20)
    spool._file_bytes = 20_000
    intake = Intake(spool, SystemClock(), 100, 0.0005)
    asyncio.create_task(intake.run())
    async def source(lane):
        n = first
        while True:
            await intake.put(Part(f"s{{lane}}", batch("x", [n], [float(n)])))
            print(lane, n, flush=True)
            n += 1
    await asyncio.gather(*(source(lane) for lane in range(4)))

asyncio.run(main(int(sys.argv[1])))
"""


def test_a_spool_survives_sigkill_at_random_moments(tmp_path):
    """Every put that returned is there, in order per source, whatever the kill interrupted."""
    rng = random.Random(11)
    folder = tmp_path / "spool"
    tests = str(Path(__file__).parent)
    script = CHILD.format(tests=tests, spool=str(folder))
    promised = {lane: [] for lane in range(4)}
    first = 0
    for _ in range(6):
        child = subprocess.Popen(
            [sys.executable, "-c", script, str(first)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(rng.randrange(50, 600)):
            lane, number = map(int, child.stdout.readline().split())
            promised[lane].append(number)
        child.send_signal(signal.SIGKILL)
        for line in child.stdout.read().split("\n")[:-1]:
            if len(words := line.split()) == 2:
                promised[int(words[0])].append(int(words[1]))
        child.wait()
        first += 10_000

    spool = Spool(RealFileSystem(folder), 64 << 20)
    found = {lane: [] for lane in range(4)}
    declared = {}
    positions = []
    for frame in map(decode_frame, drain(spool)):
        epoch = frame.envelope.epoch
        positions.append((epoch, frame.envelope.sequence))
        declared.update({(epoch, d.slot): int(d.source[1:]) for d in frame.declarations})
        for section in frame.samples:
            for slot, value in zip(
                section.slot.tolist(), section.value.value.tolist(), strict=True
            ):
                found[declared[epoch, slot]].append(int(value))
    spool.close()

    for lane in range(4):
        assert sorted(set(found[lane])) == found[lane], "in order, nothing twice"
        assert set(promised[lane]) <= set(found[lane])
    assert sorted(set(positions)) == positions
    assert len({epoch for epoch, _ in positions}) == 6


def test_group_commit_puts_what_waits_into_one_frame(fs):
    """One fsync for all that waits is what makes small puts cheap."""

    async def play():
        spool = Spool(fs, MIB)
        intake = Intake(spool, SystemClock(), 1_000, 0.01)
        running = asyncio.create_task(intake.run())
        puts = [intake.put(Part("plc", batch("x", [n], [float(n)]))) for n in range(100)]
        receipts = await asyncio.gather(*puts)
        intake.close()
        await running
        found = numbers_of_rows(drain(spool))
        spool.close()
        return receipts, found

    receipts, found = asyncio.run(play())

    assert {1} == {receipt.sequence for receipt in receipts}
    assert [float(n) for n in range(100)] == found


def test_what_came_while_the_disk_synced_goes_into_one_frame_beyond_the_usual_rows(fs):
    """A backlog is written in fewer and larger frames; a source in no hurry gets its usual ones."""

    async def play():
        spool = Spool(fs, MIB)
        intake = Intake(spool, SystemClock(), 10, 0.01)
        puts = [
            asyncio.create_task(intake.put(Part("plc", batch("x", [n], [0.0])))) for n in range(250)
        ]
        await asyncio.sleep(0)
        intake.close()
        await intake.run()
        receipts = await asyncio.gather(*puts)
        rows = [decode_frame(frame).envelope.row_count for frame in drain(spool)]
        spool.close()
        return receipts, rows

    receipts, rows = asyncio.run(play())

    assert [100, 100, 50] == rows
    assert [1, 2, 3] == sorted({receipt.sequence for receipt in receipts})


def numbers_of_rows(frames):
    return [v for f in map(decode_frame, frames) for s in f.samples for v in s.value.objects()]


def test_a_spool_of_a_newer_release_is_refused(tmp_path):
    """A downgrade must not guess at a layout that it does not know."""
    fs = RealFileSystem(tmp_path)
    next_identity(fs, 0)
    path = tmp_path / "identity.json"
    path.write_text(path.read_text().replace('"version": 1', '"version": 2'))

    with pytest.raises(UnsupportedFormat, match="got version 2"):
        next_identity(fs, 0)
