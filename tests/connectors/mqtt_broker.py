"""mosquitto and a connector to it, for tests of MQTT."""

import asyncio
import contextlib
import json
import shutil

import aiomqtt
import pytest

from connectors.connector import SourceUnavailable
from connectors.sink import Link
from historian.testing import free_port

needs_broker = pytest.mark.skipif(
    shutil.which("mosquitto") is None, reason="needs a broker that keeps sessions"
)


class Broker:
    """mosquitto on a port of its own, keeping sessions over restarts."""

    def __init__(self, folder, more=""):
        self.port = free_port()
        self.file = folder / "mosquitto.conf"
        self.file.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\n"
            f"persistence true\npersistence_location {folder}/\nautosave_interval 1\n"
            f"max_queued_messages 0\nlog_dest none\nuser root\n{more}"
        )
        self.process = None

    async def __aenter__(self):
        self.process = await asyncio.create_subprocess_exec(
            shutil.which("mosquitto"), "-c", str(self.file)
        )
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.close()
                return self
            await asyncio.sleep(0.02)

    async def __aexit__(self, *_):
        self.process.terminate()
        await self.process.wait()

    async def publish(self, numbers, qos=1, retain=False, topic="plant/x"):
        async with aiomqtt.Client("127.0.0.1", self.port) as client:
            for n in numbers:
                payload = json.dumps({"ts": n, "v": n})
                await client.publish(topic, payload, qos=qos, retain=retain)


def settings(port, **more):
    return {
        "host": "127.0.0.1",
        "port": port,
        "connect_timeout_s": 5.0,
        "subscriptions": [{"topic": "plant/#"}],
        "mappings": [
            {
                "topic": "plant/#",
                "kind": "samples",
                "time": {"path": "ts", "unit": "ns"},
                "value": "v",
            }
        ],
        **more,
    }


@contextlib.asynccontextmanager
async def running(connector, sink):
    task = asyncio.create_task(connector.run(sink))
    try:
        await asyncio.wait_for(sink.wait_for_state(Link.CONNECTED), 20)
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, SourceUnavailable):
            await task


def values(sink):
    return [value for _, _, _, value in sink.rows()]
