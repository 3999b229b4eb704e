"""Broker and publisher: order, acknowledgement, and messages that wait for who has not come."""

import asyncio
import json
import sys
from typing import Any

import pytest

from connectors.connector import SourceUnavailable
from connectors.mqtt.connector import MqttConnector
from connectors.simulator.broker import find_mosquitto, start_broker
from connectors.simulator.publisher import Publisher, provision_session
from connectors.testing import RecordingSink

BROKERS = ["embedded", *(["mosquitto"] if find_mosquitto() else [])]
CLIENT = "test-collector"
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


class LoopClock:
    """The loop's own time."""

    def now_ns(self) -> int:
        return 1

    def monotonic_s(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@pytest.mark.parametrize("kind", BROKERS)
def test_messages_published_before_the_collector_comes_are_there_when_it_does(kind: str) -> None:
    """The first reels are loaded before anybody listens; without them no board has its reels."""
    count = 300

    async def run() -> list[object]:
        broker = await start_broker(LoopClock(), kind=kind)
        sink = RecordingSink()
        publisher = Publisher(broker.port, "test-publisher")
        try:
            await provision_session(broker.port, CLIENT, "t/#")
            await publisher.start()
            for number in range(count):
                await publisher.publish("t/a", json.dumps({"n": number}).encode())
            await asyncio.wait_for(publisher.drained(), 20)
            task = asyncio.create_task(
                MqttConnector("test", _settings(broker.port), LoopClock()).run(sink)
            )
            await asyncio.wait_for(sink.wait_for_rows(count), 20)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        finally:
            await publisher.stop()
            await broker.stop()
        return [value for _, _, _, value in sink.rows()]

    assert [float(i) for i in range(count)] == asyncio.run(run())


def _settings(port: int) -> dict[str, Any]:
    return {
        "host": "127.0.0.1",
        "port": port,
        "client_id": CLIENT,
        "protocol": "3.1.1",  # all that the embedded broker speaks
        "retained": "all",  # it flags what waited as retained
        "subscriptions": [{"topic": "t/#", "qos": 1}],
        "mappings": [{"topic": "t/+", "kind": "samples", "value": "n", "address": "{topic}"}],
    }


def test_a_broker_that_is_not_there_is_said_so() -> None:
    """The error names host and port."""

    async def run() -> None:
        publisher = Publisher(1, "test-publisher")
        await publisher.start()

    with pytest.raises(SourceUnavailable, match=r"127\.0\.0\.1:1"):
        asyncio.run(run())


def test_a_taken_port_is_refused() -> None:
    """Two plants on one machine must not share a broker by accident."""

    async def run() -> None:
        first = await start_broker(LoopClock(), kind="embedded")
        try:
            await start_broker(LoopClock(), kind="embedded", port=first.port)
        finally:
            await first.stop()

    with pytest.raises(SourceUnavailable, match="want port"):
        asyncio.run(run())


def test_the_plant_opens_its_doors_and_ends_when_its_parent_is_gone(tmp_path: Any) -> None:
    """The child of `historian serve`: nothing stays behind, its broker included."""
    truth = tmp_path / "truth.jsonl"
    settings = {"opcua_port": 0, "mqtt_port": 0, "truth_path": str(truth), "seed": 7}

    async def run() -> tuple[dict[str, Any], int, bool]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "connectors.simulator", "--config-json", json.dumps(settings)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        ready = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))
        process.stdin.close()
        code = await asyncio.wait_for(process.wait(), 30)
        return ready, code, await _listens(ready["mqtt_port"])

    ready, code, listens = asyncio.run(run())
    assert ready["opcua_url"].startswith("opc.tcp://127.0.0.1:")
    assert code == 0
    assert not listens
    assert all(json.loads(line)["kind"] for line in truth.read_text().splitlines())


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
