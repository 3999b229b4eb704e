"""MQTT, QoS 1: messages a second through one core, each acknowledged; bare, and into the spool."""

import asyncio
import contextlib
import shutil
import tempfile
import time
from pathlib import Path

import aiomqtt
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from benchmarks import harness
from benchmarks.system.mqtt_source import WINDOW, source
from connectors.connector import SourceUnavailable
from connectors.mqtt.config import MqttConfig, read_config
from connectors.mqtt.connector import MqttConnector
from connectors.mqtt.session import connected
from historian.clock import SystemClock
from historian.collector.intake import Intake
from historian.collector.source_sink import SourceSink
from historian.collector.spool import Spool
from storage_engine.filesystem import RealFileSystem

_ROWS_MAX, _LINGER_S = 5_000, 0.01


def settings(port: int) -> dict[str, object]:
    """Of a source with one mapping: the tag is named by its topic."""
    return {
        "host": "127.0.0.1",
        "port": port,
        "protocol": "5",
        "receive_maximum": WINDOW,
        "subscriptions": [{"topic": "plant/#"}],
        "mappings": [
            {
                "topic": "plant/#",
                "kind": "samples",
                "time": {"path": "ts", "unit": "ms"},
                "value": "v",
            }
        ],
    }


def reader_run(port: int, count: int) -> float:
    """Messages a second, received and acknowledged by our session."""
    config: MqttConfig = read_config("bench", settings(port))

    async def play() -> float:
        async with connected(config, "5", SystemClock()) as session:
            start = time.perf_counter()
            await session.subscribe()
            got = 0
            while got < count:
                messages = await session.receive()
                session.acknowledge(messages)
                got += len(messages)
            assert messages[-1].payload.startswith(b'{"ts"'), "what was sent"
            return count / (time.perf_counter() - start)

    return asyncio.run(play())


def aiomqtt_run(port: int, count: int) -> float:
    """The same by aiomqtt's iterator, which acknowledges on arrival."""

    async def play() -> float:
        async with aiomqtt.Client("127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5) as client:
            start = time.perf_counter()
            await client.subscribe("plant/#", 1)
            got = 0
            async for _ in client.messages:
                got += 1
                if got == count:
                    break
            return count / (time.perf_counter() - start)

    with contextlib.suppress(aiomqtt.MqttError):
        return asyncio.run(play())
    raise RuntimeError("aiomqtt lost the source")


def paho_run(port: int, count: int) -> float:
    """The same by paho in a loop of its own, acknowledged by hand."""
    client = paho.Client(
        CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5, manual_ack=True
    )
    got = 0
    start = ended = 0.0

    def took(sender: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        nonlocal got, ended
        sender.ack(message.mid, message.qos)
        got += 1
        if got == count:
            ended = time.perf_counter()
            sender.disconnect()

    def ready(sender: paho.Client, *_: object) -> None:
        nonlocal start
        start = time.perf_counter()
        sender.subscribe("plant/#", 1)

    client.on_message, client.on_connect = took, ready
    client.connect("127.0.0.1", port)
    client.loop_forever()
    return count / (ended - start)


def spool_run(port: int, count: int) -> float:
    """Messages a second, mapped from JSON and durable in the spool before they are acknowledged."""
    home = Path(tempfile.mkdtemp(prefix="bench-"))

    async def play() -> float:
        clock = SystemClock()
        spool = Spool(RealFileSystem(home), 1 << 32)
        intake = Intake(spool, clock, _ROWS_MAX, _LINGER_S)
        cutting = asyncio.create_task(intake.run())
        connector = MqttConnector("bench", settings(port), clock)
        sink = SourceSink("bench", "bench", intake, clock)
        start = time.perf_counter()
        with contextlib.suppress(SourceUnavailable):  # the source hangs up when it has all answers
            await connector.run(sink)
        seconds = time.perf_counter() - start
        assert connector.status.received == count, "every message became a sample"
        intake.close()
        await cutting
        spool.close()
        return count / seconds

    try:
        return asyncio.run(play())
    finally:
        shutil.rmtree(home)


def run(small: bool) -> list[harness.Figure]:
    """Measure."""
    count, rival_count, runs = (10_000, 2_000, 1) if small else (400_000, 20_000, 5)
    harness.pin({1})
    conditions = {
        "boundary": "client process beside a source process that only sends, on loopback",
        "data": "JSON with time and value, 31 bytes, 1,000 topics, MQTT 5, QoS 1, "
        f"{WINDOW} unacknowledged at most; ours {count}, rivals {rival_count}",
        "cores": "1, the source on the other",
    }
    with source(count, 0) as port, source(rival_count, 0) as other:
        found = harness.rounds(
            {
                "": lambda: reader_run(port, count),
                "spool": lambda: spool_run(port, count),
                "aiomqtt": lambda: aiomqtt_run(other, rival_count),
                "paho": lambda: paho_run(other, rival_count),
            },
            runs,
        )
    harness.pin({0, 1})
    ours, spooled, aio = found.pop(""), found.pop("spool"), found.pop("aiomqtt")
    durable = conditions | {
        "durability": "mapped, framed and synced in the spool before the acknowledgement; "
        "rivals neither map nor keep"
    }
    return [
        harness.Figure(
            "MQTT reader alone", "messages/s", ours, "aiomqtt", aio, ">= 100,000", conditions, found
        ),
        harness.Figure(
            "MQTT into the spool", "messages/s", spooled, "aiomqtt", aio, "report", durable, found
        ),
    ]
