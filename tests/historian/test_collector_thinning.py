"""Thinning in a collector: nothing held back is forgotten, and the catalog knows the bound."""

import asyncio

import httpx
import numpy as np
import pytest

from connectors.connector import SinkFull, SourceUnavailable
from connectors.sink import Gap, Link, SourceItem, SourceState
from historian.clock import SystemClock
from historian.collector.host import Collector
from historian.collector.intake import Intake
from historian.collector.notes import Notes
from historian.collector.source_sink import SourceSink
from historian.collector.spool import Spool
from historian.collector.testing import Scripted, run_collector
from historian.config import CollectorConfig, SourceConfig, ThinningConfig
from historian.testing import ServerProcess
from storage_engine.filesystem import RealFileSystem
from storage_engine.frame import decode_frame
from storage_engine.sample import ColumnData, SampleBatch, ValueType

S = 1_000_000_000
RULES = (ThinningConfig("x*", "swinging_door", 0.5),)
TAGS = """
[[tag_rules]]
source = "*"
address = "(.+)"
name = "{source}/{1}"
"""


def rows(*pairs, address="x"):
    """Samples of (second, value)."""
    return SampleBatch(
        (address,),
        np.zeros(len(pairs), np.int32),
        np.array([at for at, _ in pairs], np.int64) * S,
        np.zeros(len(pairs), np.uint32),
        ColumnData(ValueType.FLOAT64, np.array([value for _, value in pairs], np.float64)),
    )


def times(far):
    return [t // S for f in far.frames for s in f.samples for t in s.timestamp_ns.tolist()]


def notices(far, kind):
    return [n.facts for f in far.frames for n in f.notices if n.kind == kind]


class QuickClock(SystemClock):
    """Waits a hundred times shorter."""

    async def sleep(self, seconds):
        await asyncio.sleep(seconds / 100)


def collect(folder, until, play, rules=RULES, **more):
    return run_collector(folder, until, plc={"play": play}, rules={"plc": rules}, **more)


def test_what_is_held_back_goes_at_the_end(tmp_path):
    """Stopping loses nothing: the newest value is on its way before the process ends."""

    async def play(sink, _run):
        await sink.put(rows((1, 0.0), (2, 0.0), (3, 0.0)))

    first = collect(tmp_path, times, play)

    async def nothing(_sink, _run):
        pass

    far = collect(tmp_path, lambda far: 3 in times(far), nothing, far=first)
    assert [1, 3] == times(far)


@pytest.mark.parametrize("how", ["breaks", "disconnected", "gap"])
def test_an_interruption_releases_what_is_held_back(tmp_path, how):
    """Behind a break nothing may be drawn over it: both its edges are there."""

    async def play(sink, run):
        if run == 1:
            await sink.put(rows((1, 0.0), (2, 0.0), (3, 0.0)))
            if how == "breaks":
                raise SourceUnavailable("away")
            if how == "disconnected":
                await sink.state(SourceState(Link.DISCONNECTED))
            if how == "gap":
                await sink.gap((Gap(3 * S, 9 * S, "lost", "x"),))
        await sink.put(rows((9, 0.0), (10, 0.0), (11, 0.0)))
        await sink.put(rows((12, 77.0)))

    far = collect(tmp_path, lambda far: 11 in times(far), play, clock=QuickClock())

    assert [1, 3, 9, 11] == times(far)[:4]


def test_a_value_that_nothing_follows_goes_with_a_heartbeat(tmp_path):
    """After the longest time it is sent, though the source is silent."""

    async def play(sink, _run):
        await sink.put(rows((1, 0.0), (2, 0.0)))

    rules = (ThinningConfig("*", "exception", 1.0, max_s=0.001),)
    far = collect(tmp_path, lambda far: 2 in times(far), play, rules, clock=QuickClock())

    assert [1, 2] == times(far)


def test_a_full_spool_takes_nothing_from_what_is_held(tmp_path):
    """A refused batch is sent again by its source, and releases the same value again."""

    async def play():
        clock = SystemClock()
        spool = Spool(RealFileSystem(tmp_path), 1_000)
        intake = Intake(spool, clock, 100, 0.001)
        cutting = asyncio.create_task(intake.run())
        notes = Notes(RealFileSystem(tmp_path))
        sink = SourceSink("c", "plc", intake, clock, notes, thinning=RULES)
        await sink.put(rows((1, 0.0), (2, 0.0)))
        again = rows(*((n, 100.0 * (n % 2)) for n in range(3, 60)))
        with pytest.raises(SinkFull):
            await sink.put(again)
        spool._bytes_max = 100_000  # as if the server had taken some
        await sink.put(again)
        await sink.release(forget=True)
        intake.close()
        await cutting
        return spool.read(1 << 20).frames

    frames = asyncio.run(play())
    far = type("Far", (), {"frames": [decode_frame(frame) for frame in frames]})
    assert list(range(1, 60)) == sorted(times(far))


def test_a_kill_costs_at_most_what_was_held_back(tmp_path):
    """Of each series the newest value, nothing that had been decided; docs/thinning.md says so."""

    async def play():
        clock = SystemClock()
        spool = Spool(RealFileSystem(tmp_path), 1 << 20)
        intake = Intake(spool, clock, 100, 0.001)
        cutting = asyncio.create_task(intake.run())
        notes = Notes(RealFileSystem(tmp_path))
        sink = SourceSink("c", "plc", intake, clock, notes, thinning=RULES)
        for at in range(40):
            await sink.put(rows((at, float(at // 10 * 50))))
        cutting.cancel()  # and nothing else is done: the process is gone
        return spool.read(1 << 20).frames

    frames = asyncio.run(play())
    far = type("Far", (), {"frames": [decode_frame(frame) for frame in frames]})

    assert [0, 9, 10, 19, 20, 29, 30] == times(far)  # 39 was held back


def test_the_bound_is_in_the_catalog(tmp_path):
    """End to end: who reads a tag in ten years sees how far off its values may be, since when."""
    server = ServerProcess(tmp_path / "server", TAGS)

    async def play(sink, _run):
        await sink.describe((SourceItem("x2", low=0.0, high=50.0),))
        await sink.put(rows((1, 0.0), (2, 0.1), (3, 9.0)))
        await sink.put(rows((1, 0.0), (2, 0.1), address="x2"))
        await sink.put(rows((1, 0.0), (2, 0.1), address="y"))

    async def collected(rules, done):
        config = CollectorConfig(
            "line1",
            spool_path=tmp_path / "spool",
            server_url=server.url,
            token_file=server.token_file,
            linger_ms=1,
            sources=(SourceConfig("plc", "scripted", "line1", {"play": play}, rules),),
        )
        stop = asyncio.Event()
        task = asyncio.create_task(
            Collector(config, SystemClock(), {"scripted": Scripted}).run(stop)
        )
        async with (
            httpx.AsyncClient(
                base_url=server.url, headers={"authorization": f"Bearer {server.token}"}
            ) as client,
            asyncio.timeout(30),
        ):
            found = {}
            while not done(found):
                found = {
                    name: (await client.get(f"/v1/tags/plc/{name}")).json().get("thinning")
                    for name in ("x", "x2", "y")
                }
                await asyncio.sleep(0.05)
        stop.set()
        await task
        return found

    with server:
        rules = (
            ThinningConfig("x2", "exception", deviation_percent=1.0),
            ThinningConfig("x*", "swinging_door", 0.25, max_s=60.0),
        )
        first = asyncio.run(collected(rules, lambda f: f and f["x"] and f["x2"] and f["y"] == []))
        after = asyncio.run(collected((), lambda f: f and len(f["x"]) + len(f["x2"]) == 4))

    assert [] == first["y"]
    (x,), (x2,) = first["x"], first["x2"]
    assert ("swinging_door", 0.25, 60.0) == tuple(x[k] for k in ("kind", "deviation", "max_s"))
    assert ("exception", 0.5) == (x2["kind"], x2["deviation"])
    assert ["swinging_door", "none"] == [one["kind"] for one in after["x"]]
    assert after["x"][0] == x
