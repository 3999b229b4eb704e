"""collector/frames.py: who passes the same addresses again is given the same slots."""

import asyncio
import dataclasses

import numpy as np

from historian.clock import SystemClock
from historian.collector.frames import FrameBuilder, Part
from historian.collector.intake import Intake
from historian.collector.notes import Notes
from historian.collector.source_sink import SourceSink
from historian.collector.spool import Spool
from historian.collector.spool_files import Identity
from storage_engine.filesystem import RealFileSystem
from storage_engine.frame import decode_frame
from storage_engine.sample import ColumnData, SampleBatch, ValueType

IDENTITY = Identity(b"p" * 16, 1)


def batch(addresses, index, type_=ValueType.INT64):
    count = len(index)
    return SampleBatch(
        addresses,
        np.array(index, np.int32),
        np.arange(count, dtype=np.int64),
        np.zeros(count, np.uint32),
        ColumnData(type_, np.arange(count).astype(np.int64 if type_ is ValueType.INT64 else float)),
    )


def told(builder, declared, *parts):
    """Addresses of the rows as a reader of all frames knows them; the frame's declarations."""
    raw = builder.build(parts)
    builder.committed(raw)
    frame = decode_frame(raw)
    declared |= {one.slot: (one.source, one.address) for one in frame.declarations}
    rows = [declared[slot] for section in frame.samples for slot in section.slot.tolist()]
    return rows, [one.address for one in frame.declarations]


def test_rows_that_use_some_of_a_registry_declare_those():
    """A connector's whole registry is not declared for every type that one of its items has."""
    registry = tuple("abcd")
    builder, declared = FrameBuilder(IDENTITY), {}

    first = told(builder, declared, Part("plc", batch(registry, [3, 1, 3])))
    again = told(builder, declared, Part("plc", batch(registry, [1, 3, 0])))
    third = told(builder, declared, Part("plc", batch(registry, [0, 1, 3])))

    assert first == ([("plc", "d"), ("plc", "b"), ("plc", "d")], ["b", "d"])
    assert again == ([("plc", "b"), ("plc", "d"), ("plc", "a")], ["a"])
    assert third == ([("plc", "a"), ("plc", "b"), ("plc", "d")], [])


def test_another_tuple_another_source_and_another_type_have_slots_of_their_own():
    """The table of the last tuple is never used for another one."""
    builder, declared = FrameBuilder(IDENTITY), {}
    one, other = ("a", "b"), ("b", "a", "c")
    told(builder, declared, Part("plc", batch(one, [0, 1])))

    moved = told(builder, declared, Part("plc", batch(other, [0, 1, 2])))
    back = told(builder, declared, Part("plc", batch(one, [0, 1])))
    foreign = told(builder, declared, Part("line", batch(one, [1])))
    typed = told(builder, declared, Part("plc", batch(one, [1], ValueType.FLOAT64)))

    assert moved == ([("plc", "b"), ("plc", "a"), ("plc", "c")], ["c"])
    assert back == ([("plc", "a"), ("plc", "b")], [])
    assert foreign == ([("line", "b")], ["b"])
    assert typed == ([("plc", "b")], ["b"])


def test_a_new_epoch_declares_again():
    """Another store never heard of the slots."""
    registry = ("a", "b")
    builder = FrameBuilder(IDENTITY)
    told(builder, {}, Part("plc", batch(registry, [0, 1])))
    builder.renew(Identity(b"p" * 16, 2))

    assert told(builder, {}, Part("plc", batch(registry, [1]))) == ([("plc", "b")], ["b"])


def test_a_batch_that_no_frame_can_hold_is_named_by_the_addresses_of_its_rows(tmp_path):
    """Not by the whole registry."""

    async def play():
        spool = Spool(RealFileSystem(tmp_path), 1 << 20)
        intake = Intake(spool, SystemClock(), 1_000, 0.001)
        running = asyncio.create_task(intake.run())
        good = batch(tuple("abcd"), [2, 0, 2])
        texts = np.array(["lone \ud800", "x", "y"], dtype=np.object_)
        bad = dataclasses.replace(good, value=ColumnData(ValueType.TEXT, texts))
        notes = Notes(RealFileSystem(tmp_path))
        sink = SourceSink("collector", "plc", intake, SystemClock(), notes)
        await sink.put(bad)
        await sink.put(good)
        intake.close()
        await running
        frames = [decode_frame(frame) for frame in spool.read(1 << 20).frames]
        spool.close()
        return frames

    frames = asyncio.run(play())

    (notice,) = [notice for frame in frames for notice in frame.notices]
    assert notice.facts["address"] == "a, c"
    assert "lone surrogate" in notice.facts["reason"]
    assert [3] == [frame.envelope.row_count for frame in frames if frame.samples]
