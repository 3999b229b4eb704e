"""collector/: what the spool holds reaches the server once, in order, whatever the server does."""

import asyncio
import contextlib
import random

import numpy as np
import pytest

from historian.collector.frames import Part
from historian.collector.intake import Intake
from historian.collector.sender import Sender
from historian.collector.spool import Spool
from historian.collector.testing import TOKEN, FarSide
from storage_engine.filesystem import RealFileSystem
from storage_engine.sample import ColumnData, SampleBatch, ValueType


class QuickClock:
    """Real time, with waits a hundred times shorter."""

    def now_ns(self):
        return 1

    def monotonic_s(self):
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds):
        await asyncio.sleep(seconds / 100)


def batch(number):
    return SampleBatch(
        ("x",),
        np.zeros(1, np.int32),
        np.array([number], np.int64),
        np.zeros(1, np.uint32),
        ColumnData(ValueType.INT64, np.array([number], np.int64)),
    )


class Edge:
    """Spool, intake and sender of one collector."""

    def __init__(self, folder, far, clock=None):
        clock = clock or QuickClock()
        (folder / "token").write_text(TOKEN)
        self.spool = Spool(RealFileSystem(folder / "spool"), 16 << 20)
        self.intake = Intake(self.spool, clock, 10, 0.0)
        self.sender = Sender(
            self.spool, self.intake, far.url, folder / "token", clock=clock, rng=random.Random(1)
        )

    @contextlib.asynccontextmanager
    async def running(self):
        tasks = [asyncio.create_task(t.run()) for t in (self.intake, self.sender)]
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.spool.close()

    async def put(self, number):
        return await self.intake.put(Part("plc", batch(number)))


def received(far):
    return [
        int(value)
        for frame in far.frames
        for section in frame.samples
        for value in section.value.value
    ]


def test_server_down_then_up(tmp_path):
    """A stopped server loses nothing, and `stored` tells when it has it."""

    async def play():
        far = FarSide()
        async with far.serving():
            pass
        async with Edge(tmp_path, far).running() as edge:
            for number in range(50):
                receipt = await edge.put(number)
            waiting = asyncio.create_task(edge.intake.stored(receipt))
            await asyncio.sleep(0.05)
            assert not waiting.done()
            assert edge.sender.failure
            async with far.serving():
                await asyncio.wait_for(waiting, 20)
            for number in range(50, 100):
                receipt = await edge.put(number)
            async with far.serving():
                await asyncio.wait_for(edge.intake.stored(receipt), 20)
        return far, edge

    far, edge = asyncio.run(play())

    assert list(range(100)) == received(far)
    assert far.duplicates == 0
    assert edge.spool.unsent_bytes == 0


def test_an_answer_that_is_lost_leads_to_duplicates_the_server_tells_apart(tmp_path):
    """Stored and not heard of: sent again, and taken off the spool as a duplicate."""

    async def play():
        far = FarSide()
        far.fail_next = 3
        async with far.serving(), Edge(tmp_path, far).running() as edge:
            for number in range(30):
                receipt = await edge.put(number)
            await asyncio.wait_for(edge.intake.stored(receipt), 20)
        return far

    far = asyncio.run(play())

    assert list(range(30)) == received(far)
    assert far.duplicates > 0
    assert [(1, n + 1) for n in range(len(far.frames))] == far.positions


def test_a_frame_the_server_never_takes_is_set_aside_and_the_next_go_on(tmp_path):
    """One poisoned frame must not hold a plant's data for ever; it is kept, not deleted."""

    async def play():
        far = FarSide()
        far.refuse = {(1, 1)}
        async with far.serving(), Edge(tmp_path, far).running() as edge:
            for number in range(5):
                receipt = await edge.put(number)
            await asyncio.wait_for(edge.intake.stored(receipt), 20)
        return far, edge

    far, edge = asyncio.run(play())

    assert edge.sender.frames_set_aside == 1
    assert len(list((tmp_path / "spool" / "refused").iterdir())) == 1
    assert [1, 2, 3, 4] == received(far)[-4:]


def test_another_store_gets_the_frames_and_all_declarations(tmp_path):
    """A restored server knows neither its old name nor our slots."""

    async def play():
        far = FarSide()
        async with far.serving(), Edge(tmp_path, far).running() as edge:
            await asyncio.wait_for(edge.intake.stored(await edge.put(0)), 20)
            far.incarnation = bytes(15) + b"\1"
            await asyncio.wait_for(edge.intake.stored(await edge.put(1)), 20)
            await asyncio.wait_for(edge.intake.stored(await edge.put(2)), 20)
        return far

    far = asyncio.run(play())

    assert [0, 1, 2] == received(far)
    last = far.frames[-1]
    assert last.envelope.epoch == 2
    assert ["x"] == [declaration.address for declaration in last.declarations]


@pytest.mark.parametrize("token", ["wrong", ""])
def test_a_wrong_token_keeps_everything_until_it_is_right(tmp_path, token):
    """The token file is read again at each attempt."""

    async def play():
        far = FarSide()
        async with far.serving(), Edge(tmp_path, far).running() as edge:
            (tmp_path / "token").write_text(token)
            receipt = await edge.put(7)
            while not edge.sender.failure:  # noqa: ASYNC110 - a counter
                await asyncio.sleep(0.01)
            assert far.frames == []
            (tmp_path / "token").write_text(TOKEN)
            await asyncio.wait_for(edge.intake.stored(receipt), 20)
        return far

    assert [7] == received(asyncio.run(play()))


class HeldClock(QuickClock):
    """Stands still; who sleeps is let go by hand."""

    def __init__(self):
        self.asleep = asyncio.Event()
        self.go = asyncio.Event()

    def monotonic_s(self):
        return 100.0

    async def sleep(self, seconds):
        if seconds:
            self.asleep.set()
            await self.go.wait()


def test_frames_that_come_fast_share_a_body_and_a_single_one_goes_at_once(tmp_path):
    """A request for each small frame would cost both sides more than its rows."""

    async def play():
        clock = HeldClock()
        far = FarSide()
        async with (
            far.serving(),
            asyncio.timeout(20),
            Edge(tmp_path, far, clock).running() as edge,
        ):
            first = await edge.put(0)
            await edge.intake.stored(first)
            for number in range(1, 9):
                last = await edge.put(number)
            await clock.asleep.wait()
            before = list(far.bodies)
            clock.go.set()
            await edge.intake.stored(last)
        return before, far

    before, far = asyncio.run(play())

    assert [1] == before
    assert [1, 8] == far.bodies
    assert list(range(9)) == received(far)
