"""collector/intake and frames: sources that show many new addresses at once."""

import asyncio

import numpy as np
import pytest

from connectors.connector import SinkFull
from historian.clock import SystemClock
from historian.collector.frames import FrameBuilder, Part, sliced
from historian.collector.intake import Intake
from historian.collector.spool import Spool
from storage_engine.errors import LimitExceeded
from storage_engine.filesystem import RealFileSystem
from storage_engine.frame import decode_frame
from storage_engine.sample import ColumnData, SampleBatch, ValueType


def batch(addresses, rows=None):
    """One row an address, numbered in its value."""
    count = rows or len(addresses)
    return SampleBatch(
        tuple(addresses),
        np.arange(count, dtype=np.int32),
        np.arange(count, dtype=np.int64),
        np.zeros(count, np.uint32),
        ColumnData(ValueType.FLOAT64, np.arange(count, dtype=np.float64)),
    )


def spooled(folder, batches, rows_max, bytes_max=1 << 30):
    """Frames of a spool, and what each put was answered."""

    async def play():
        spool = Spool(RealFileSystem(folder), bytes_max)
        intake = Intake(spool, SystemClock(), rows_max, 0.0)
        running = asyncio.create_task(intake.run())
        answers = [
            (await asyncio.gather(intake.put(Part("plc", one)), return_exceptions=True))[0]
            for one in batches
        ]
        intake.close()
        await running
        frames = []
        while (reading := spool.read(1 << 30)).frames:
            frames += [decode_frame(raw) for raw in reading.frames]
            spool.acknowledge(reading, len(reading.frames))
        spool.close()
        return frames, answers

    return asyncio.run(play())


def stored(frames):
    """Address and value of each row, in order, by what was declared before it."""
    names, found = {}, []
    for frame in frames:
        names |= {one.slot: one.address for one in frame.declarations}
        for section in frame.samples:
            values = section.value.value.tolist()
            found += [(names[s], v) for s, v in zip(section.slot.tolist(), values, strict=True)]
    return found


@pytest.mark.parametrize("rows_max", [1_000, 200_000])
def test_a_hundred_thousand_new_addresses_in_one_batch_are_spooled(tmp_path, rows_max):
    """A frame declares at most 131,072 slots and columns: there are more of these."""
    addresses = [f"tag{k}" for k in range(100_000)]

    frames, answers = spooled(tmp_path, [batch(addresses), batch(addresses)], rows_max)

    assert not [one for one in answers if isinstance(one, Exception)]
    assert stored(frames) == [(f"tag{k}", float(k)) for k in range(100_000)] * 2
    declared = [one.address for frame in frames for one in frame.declarations]
    assert sorted(declared) == sorted(addresses)


def test_a_piece_of_a_batch_declares_its_own_addresses(tmp_path):
    """Not all that the batch names: those can be more than a frame may declare."""
    builder = FrameBuilder(Spool(RealFileSystem(tmp_path), 1 << 30).identity)
    declared = []
    for piece in sliced(batch([f"t{k}" for k in range(10)]), 4):
        frame = builder.build([Part("plc", piece)])
        builder.committed(frame)
        declared.append([one.address for one in decode_frame(frame).declarations])

    assert declared == [["t0", "t1", "t2", "t3"], ["t4", "t5", "t6", "t7"], ["t8", "t9"]]


def test_a_refused_batch_leaves_nothing_declared(tmp_path):
    """Else each frame behind it would carry its declarations, and be refused as well."""
    builder = FrameBuilder(Spool(RealFileSystem(tmp_path), 1 << 30).identity)
    with pytest.raises(LimitExceeded):
        builder.build([Part("plc", batch([f"tag{k}" for k in range(100_000)]))])

    frame = decode_frame(builder.build([Part("plc", batch(["a", "b"]))]))

    assert [(one.slot, one.address) for one in frame.declarations] == [(0, "a"), (1, "b")]


def test_a_full_spool_refuses_and_takes_the_same_batch_later(tmp_path):
    """Slots that were never committed are given anew, each once."""
    many = [batch([f"tag{n}.{k}" for k in range(500)]) for n in range(40)]

    frames, answers = spooled(tmp_path, [*many, batch(["z"])], 1_000, bytes_max=1 << 18)

    refused = [isinstance(one, SinkFull) for one in answers]
    assert any(refused)
    kept = [one for one, gone in zip([*many, batch(["z"])], refused, strict=True) if not gone]
    wanted = [(a, float(k)) for one in kept for k, a in enumerate(one.addresses)]
    assert stored(frames) == wanted
    declared = [one.slot for frame in frames for one in frame.declarations]
    assert declared == list(range(len(declared)))
