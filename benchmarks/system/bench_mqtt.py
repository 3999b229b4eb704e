"""MQTT, QoS 1: messages a second through one core, each acknowledged; bare, and into the spool."""

import asyncio
import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import aiomqtt
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from benchmarks import harness
from benchmarks.system.mqtt_source import WINDOW, publisher, source
from connectors.connector import SourceUnavailable
from connectors.mqtt.broker import BrokerConfig
from connectors.mqtt.config import read_config
from connectors.mqtt.connector import MqttConnector
from connectors.mqtt.session import connected
from connectors.sink import Link
from historian.clock import SystemClock
from historian.collector.intake import Intake
from historian.collector.notes import Notes
from historian.collector.source_sink import SourceSink
from historian.collector.spool import Spool
from historian.testing import free_port
from storage_engine.filesystem import RealFileSystem

_ROWS_MAX, _LINGER_S = 5_000, 0.01


def settings(port: int, values: int = 1) -> dict[str, object]:
    """Of a source with one mapping: the tag is named by its topic, and by the key of many."""
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
                "address": "{topic}" if values == 1 else "{topic[2]}/{key}",
            }
        ],
    }


def reader_run(port: int, count: int) -> float:
    """Messages a second, received and acknowledged by our session."""
    config: BrokerConfig = read_config("bench", settings(port)).broker

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


def spool_run(
    port: int, count: int, values: int = 1, begin: Callable[[], None] | None = None
) -> float:
    """Messages a second, mapped from JSON and durable in the spool before they are acknowledged.

    Counted from ``begin``, which starts the sending once we are connected, or the first message.
    """
    home = Path(tempfile.mkdtemp(prefix="bench-"))

    async def play() -> float:
        clock = SystemClock()
        spool = Spool(RealFileSystem(home), 1 << 32)
        intake = Intake(spool, clock, _ROWS_MAX, _LINGER_S)
        cutting = asyncio.create_task(intake.run())
        connector = MqttConnector("bench", settings(port, values), clock)
        sink = SourceSink("bench", "bench", intake, clock, Notes(RealFileSystem(home)))
        collecting = asyncio.create_task(_collect(connector, sink))
        status = connector.status
        while not (status.link is Link.CONNECTED if begin else status.received):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        start = time.perf_counter()
        if begin is not None:
            begin()
        while status.received < count * values and not collecting.done():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert status.received >= count * values, "every message became samples"
        intake.close()
        await cutting  # everything that was taken is synced
        seconds = time.perf_counter() - start
        collecting.cancel()
        await asyncio.gather(collecting, return_exceptions=True)
        spool.close()
        return count / seconds

    try:
        return asyncio.run(play())
    finally:
        shutil.rmtree(home)


async def _begin_session(port: int) -> None:
    """Subscribe once the broker is there; from then on it keeps what is published."""
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(SourceUnavailable):
                config = read_config("bench", settings(port)).broker
                async with connected(config, "5", SystemClock()) as session:
                    await session.subscribe()
                    return
            await asyncio.sleep(0.02)


async def _collect(connector: MqttConnector, sink: SourceSink) -> None:
    with contextlib.suppress(SourceUnavailable):  # the source hangs up when it has all answers
        await connector.run(sink)


def broker_run(count: int, values: int) -> float:
    """Values a second through mosquitto, which shares the other core with who publishes."""
    home = Path(tempfile.mkdtemp(prefix="bench-"))
    port = free_port()
    (home / "conf").write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\nlog_dest none\n"
        "max_queued_messages 0\nmax_inflight_messages 0\n"
    )
    command = [shutil.which("mosquitto") or "", "-c", str(home / "conf")]
    broker = subprocess.Popen(["taskset", "-c", "0", *command], stderr=subprocess.DEVNULL)
    try:
        asyncio.run(_begin_session(port))
        with publisher(port, count, values, 0) as begin:
            return spool_run(port, count, values, begin) * values
    finally:
        broker.kill()
        broker.wait()
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
    through = {}
    for values, messages in ((1, 60_000), (100, 12_000)) if not small else ((1, 2_000), (100, 500)):
        if shutil.which("mosquitto") is None:
            break
        through[values] = harness.in_turn(
            lambda n=messages, k=values: broker_run(n, k),  # type: ignore[misc]
            None,
            runs,
        )[0]
    harness.pin({0, 1})
    ours, spooled, aio = found.pop(""), found.pop("spool"), found.pop("aiomqtt")
    durable = conditions | {
        "durability": "mapped, framed and synced in the spool before the acknowledgement; "
        "rivals neither map nor keep"
    }
    shared = durable | {
        "boundary": "publisher and mosquitto on one core, our client and spool on the other"
    }
    return [
        harness.Figure(
            "MQTT reader alone", "messages/s", ours, "aiomqtt", aio, ">= 100,000", conditions, found
        ),
        harness.Figure(
            "MQTT into the spool", "messages/s", spooled, "aiomqtt", aio, "report", durable, found
        ),
        *(
            harness.Figure(name, "values/s", through[values], "", [], target, shared)
            for values, name, target in (
                (1, "MQTT through a broker", ">= 12,000"),
                (100, "MQTT through a broker, 100 values each", ">= 300,000"),
            )
            if values in through
        ),
    ]
