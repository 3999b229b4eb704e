"""One run of a collector, ours or a stock subscription, against the replayed notifications."""

import asyncio
import contextlib
import multiprocessing
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from asyncua.client.client import Client

from benchmarks.connectors import publishes, replay_server
from benchmarks.connectors.replay_server import Manner
from historian.clock import SystemClock
from historian.collector.host import Collector
from historian.collector.testing import TOKEN
from historian.config import CollectorConfig, SourceConfig

ROWS = 1_000


@contextlib.contextmanager
def replayed(manner: Manner, core: int) -> Iterator[tuple[Connection, int, str]]:
    """Pipe, port and far side's address of a source in a process of its own."""
    spawn = multiprocessing.get_context("spawn")
    conn, far = spawn.Pipe()
    process = spawn.Process(target=replay_server.serve, args=(far, manner, core), daemon=True)
    process.start()
    try:
        port, url = conn.recv()
        yield conn, port, url
        conn.send("stop")
        process.join(10)
    finally:
        process.kill()
        process.join()


async def told(conn: Connection, word: str) -> None:
    """Wait for a word of the source."""
    found = await asyncio.to_thread(conn.recv)
    assert found == word, f"the source says {found!r}"


def ours(items: int, cycles: int, core: int, **more: int) -> float:
    """Values per CPU-second of the whole collector, all threads; ``more`` is configuration."""
    home = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        with replayed(Manner(items, cycles, ROWS), core) as (conn, port, url):
            (home / "token").write_text(TOKEN)
            settings = {
                "url": f"opc.tcp://127.0.0.1:{port}",
                "security": "none",
                "nodes": [f"ns=2;s=tag{k}" for k in range(items)],
            }
            config = CollectorConfig(
                "bench",
                spool_path=home / "spool",
                server_url=url,
                token_file=home / "token",
                sources=(SourceConfig("plc", "opcua", "bench", settings),),
                **more,
            )
            return items * cycles / asyncio.run(_collect(config, conn))
    finally:
        shutil.rmtree(home)


async def _collect(config: CollectorConfig, conn: Connection) -> float:
    stop = asyncio.Event()
    collector = Collector(config, SystemClock())
    running = asyncio.create_task(collector.run(stop))
    await told(conn, "monitored")
    start = time.process_time()
    conn.send("begin")
    await told(conn, "acknowledged")
    conn.send("stored")
    differs = await asyncio.to_thread(conn.recv)
    seconds = time.process_time() - start
    assert not differs, f"our {differs} differ"
    (status,) = collector.status().values()
    assert (status.gaps, status.rejected) == (0, 0)
    stop.set()
    await running
    return seconds


class _Handler:
    """Takes values and nothing more."""

    def __init__(self, count: int) -> None:
        self.values: list[float] = []
        self.done = asyncio.Event()
        self._count = count

    def datachange_notification(self, _node: Any, value: float, _data: Any) -> None:
        """As the library calls it."""
        self.values.append(value)
        if len(self.values) == self._count:
            self.done.set()


def stock(items: int, cycles: int, core: int) -> float:
    """Values per CPU-second of the library's subscription, kept in a list."""
    with replayed(Manner(items, cycles, ROWS), core) as (conn, port, _):
        url = f"opc.tcp://127.0.0.1:{port}"
        return items * cycles / asyncio.run(
            subscribed_s(url, items, cycles, conn, time.process_time)
        )  # fmt: skip


async def subscribed_s(
    url: str,
    items: int,
    cycles: int,
    conn: Connection,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Seconds of the library's subscription for a recording, by a clock; its values are right."""
    # Else its look at the server's state, once a second, gives the session up while it is busy.
    client = Client(url, timeout=60, watchdog_intervall=600)
    await client.connect()
    handler = _Handler(items * cycles)
    subscription = await client.create_subscription(100, handler)
    nodes = [client.get_node(f"ns=2;s=tag{k}") for k in range(items)]
    await subscription.subscribe_data_change(nodes)
    await told(conn, "monitored")
    start = clock()
    conn.send("begin")
    await handler.done.wait()
    seconds = clock() - start
    await told(conn, "acknowledged")
    await client.disconnect()
    wanted = np.sort(publishes.values(items, cycles).value)
    assert np.array_equal(wanted, np.sort(handler.values)), "asyncua's answer differs"
    return seconds
