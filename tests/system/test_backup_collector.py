"""A server lost and restored under a collector: its spool arrives, once; the rest is named."""

import asyncio
import contextlib
import random

import numpy as np
import pytest

from historian.clock import SystemClock
from historian.collector.frames import Part
from historian.collector.intake import Intake
from historian.collector.sender import Sender
from historian.collector.spool import Spool
from historian.config import load_config
from historian.restoring import restore_historian
from historian.testing import ServerProcess
from storage_engine.filesystem import RealFileSystem
from storage_engine.sample import ColumnData, SampleBatch, ValueType

TOML = """
[backup]
directory = "{home}/backups"
bytes_per_s = 0
[[tag_rules]]
source = "plc"
address = "(.*)"
name = "line/{1}"
"""
START_NS = 1_767_225_600_000_000_000


def batch(address, number):
    return SampleBatch(
        (address,),
        np.zeros(1, np.int32),
        np.array([START_NS + number], np.int64),
        np.zeros(1, np.uint32),
        ColumnData(ValueType.INT64, np.array([number], np.int64)),
    )


class Edge:
    """Spool, intake and sender of one collector; each part becomes a frame of its own."""

    def __init__(self, home, server):
        clock = SystemClock()
        self.spool = Spool(RealFileSystem(home / "spool"), 16 << 20)
        self.intake = Intake(self.spool, clock, 1, 0.0)
        self.sender = Sender(
            self.spool,
            self.intake,
            server.url,
            server.token_file,
            clock=clock,
            rng=random.Random(1),
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

    async def put(self, address, numbers):
        for number in numbers:
            receipt = await self.intake.put(Part("plc", batch(address, number)))
        return receipt

    async def stored(self, receipt):
        await asyncio.wait_for(self.intake.stored(receipt), 30)


def values(http, tag):
    parameters = {"tag": tag, "start": "2020-01-01T00:00:00Z", "revisions": "all"}
    answer = http.get("/v1/raw", params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()["value"]


async def backed_up(server, name):
    with server.client() as http:
        job = http.post("/v1/backups", json={"name": name}).json()
        while job["state"] == "running":
            await asyncio.sleep(0.05)
            job = http.get(f"/v1/backup-jobs/{job['id']}").json()
    assert job["state"] == "done", job


@pytest.mark.parametrize(
    "restarted", [False, True], ids=["collector runs on", "collector restarts"]
)
def test_a_collector_and_a_restored_server(tmp_path, restarted):
    """Frames spooled during the disaster reach the restored store, with slots it never heard of."""
    home = tmp_path / "first"
    server = ServerProcess(home, TOML.replace("{home}", str(tmp_path)))
    again = ServerProcess(
        tmp_path / "second", TOML.replace("{home}", str(tmp_path)), port=server.port
    )
    again.token_file = server.token_file

    async def until_the_disaster():
        async with Edge(tmp_path, server).running() as edge:
            await edge.stored(await edge.put("old", range(20)))
            await backed_up(server, "one")
            # Acknowledged behind the backup: lost with the server, and a slot is declared there.
            await edge.stored(await edge.put("new", range(100, 110)))
            server.kill()
            await edge.put("old", range(20, 40))
            last = await edge.put("new", range(110, 120))
            if not restarted:
                await back(edge, last)

    async def back(edge, last):
        config = load_config(server.config)
        restored = restore_historian(config, SystemClock(), "one", tmp_path / "second/store")
        assert () == restored.damage
        (tmp_path / "second/token").write_text(server.token)
        await asyncio.to_thread(again.start)
        await edge.stored(last)
        await edge.stored(await edge.put("new", range(120, 125)))

    async def after_a_restart():
        edge = Edge(tmp_path, server)
        async with edge.running():
            await back(edge, await edge.put("old", range(40, 45)))

    server.start()
    try:
        asyncio.run(until_the_disaster())
        if restarted:
            asyncio.run(after_a_restart())
        with again.client() as http:
            assert list(range(45 if restarted else 40)) == values(http, "line/old")
            assert list(range(110, 125)) == values(http, "line/new")
            gaps = http.get("/v1/events/gap", params={"start": "now-1d"}).json()
            quarantined = http.get(
                "/v1/quarantine", params={"start": "2020-01-01T00:00:00Z"}
            ).json()
        assert [10] == gaps["count"], gaps
        assert [] == quarantined["time"], quarantined
        assert [] == list((tmp_path / "spool").glob("refused/*"))
    finally:
        for one in (server, again):
            if one._process is not None:
                one.kill()
