"""collector/__main__.py: a real process between a broker, an OPC UA server and a server."""

import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys

import aiomqtt
import pytest
from asyncua import Server, ua

from historian.collector.testing import TOKEN, FarSide
from historian.testing import free_port
from storage_engine.frame import SlotKind

URI = "urn:lighthouse:test"


class Broker:
    """mosquitto, with everything durable."""

    def __init__(self, folder):
        self.port = free_port()
        self.file = folder / "mosquitto.conf"
        self.file.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\n"
            f"persistence true\npersistence_location {folder}/\nautosave_interval 1\n"
            "max_queued_messages 0\nmax_inflight_messages 0\nlog_dest none\n"
        )
        self.process = None

    async def start(self):
        self.process = await asyncio.create_subprocess_exec(
            shutil.which("mosquitto"), "-c", str(self.file)
        )
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.close()
                return
            await asyncio.sleep(0.02)

    async def stop(self):
        self.process.terminate()
        await self.process.wait()


def write_config(folder, far_port, broker_port, opcua_port):
    (folder / "token").write_text(TOKEN)
    (folder / "historian.toml").write_text(
        f"""
[[collectors]]
name = "line1"
supervised = false
spool_path = "spool"
server_url = "http://127.0.0.1:{far_port}"
token_file = "token"
frame_rows_max = 50
linger_ms = 5

[[sources]]
name = "broker"
kind = "mqtt"
collector = "line1"
[sources.settings]
host = "127.0.0.1"
port = {broker_port}
subscriptions = [{{ topic = "plant/#", qos = 1 }}]
[[sources.settings.mappings]]
topic = "plant/+/meter"
kind = "event"
event = "meter_read"
time = {{ path = "ts", unit = "ns" }}
id = {{ source = "meter", sequence = "seq" }}
columns = {{ register = "float64", meter = "symbol" }}
[[sources.settings.mappings]]
topic = "plant/+/tags"
kind = "samples"
time = {{ path = "ts", unit = "ns" }}
value = "values"
address = "{{topic[1]}}/{{key}}"

[[sources]]
name = "plc"
kind = "opcua"
collector = "line1"
[sources.settings]
url = "opc.tcp://127.0.0.1:{opcua_port}"
security = "none"
publishing_interval_ms = 20.0
keepalive_s = 1.0
nodes = ["nsu={URI};s=x"]
"""
    )


def start_collector(folder, *more):
    arguments = ["--config", str(folder / "historian.toml"), "--name", "line1", *more]
    return subprocess.Popen(
        [sys.executable, "-m", "historian.collector", *arguments],
        stdin=subprocess.PIPE,
        stderr=(folder / "collector.log").open("a"),
    )


async def plc(port):
    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}")
    index = await server.register_namespace(URI)
    node = await server.nodes.objects.add_variable(
        ua.NodeId("x", index), ua.QualifiedName("x", index), 0.0, ua.VariantType.Double
    )
    await server.start()
    return server, node


async def until(done, seconds=40.0):
    async with asyncio.timeout(seconds):
        while not done():  # noqa: ASYNC110 - another process is watched
            await asyncio.sleep(0.02)


def slots_of(frames):
    """(producer, epoch, slot) -> declaration, from what was received."""
    return {
        (f.envelope.producer_id, f.envelope.epoch, one.slot): one
        for f in frames
        for one in f.declarations
    }


def samples_of(frames, source):
    declared = slots_of(frames)
    found = []
    for frame in frames:
        key = (frame.envelope.producer_id, frame.envelope.epoch)
        for section in frame.samples:
            values = section.value.objects()
            for slot, time_ns, value in zip(
                section.slot.tolist(), section.timestamp_ns.tolist(), values, strict=True
            ):
                one = declared[(*key, slot)]
                if one.source == source:
                    found.append((one.address, time_ns, value))
    return found


def events_of(frames):
    declared = slots_of(frames)
    found = []
    for frame in frames:
        key = (frame.envelope.producer_id, frame.envelope.epoch)
        for section in frame.events:
            one = declared[(*key, section.slot)]
            assert one.kind is SlotKind.EVENTS
            names = [column.name for column in one.columns]
            columns = dict(zip(names, (d.objects() for d in section.data), strict=True))
            for row, time_ns in enumerate(section.timestamp_ns.tolist()):
                id_ = bytes(section.event_id[row])
                found.append((one.address, time_ns, id_, {n: columns[n][row] for n in names}))
    return found


async def publish(port, first, count):
    async with aiomqtt.Client("127.0.0.1", port) as client:
        for n in range(first, first + count):
            read = {"ts": 1_000 + n, "meter": "E1", "seq": n, "register": n / 2}
            tags = {"ts": 1_000 + n, "values": {"temp": n * 1.5, "mode": f"M{n % 3}"}}
            await client.publish("plant/press/meter", json.dumps(read), qos=1)
            await client.publish("plant/press/tags", json.dumps(tags), qos=1)


@pytest.mark.skipif(shutil.which("mosquitto") is None, reason="needs a broker that keeps sessions")
def test_a_killed_collector_loses_nothing_of_the_broker_and_sends_nothing_twice(tmp_path):
    """SIGKILL at random moments: what the broker was told is ours reaches the server, once."""
    rng = random.Random(7)
    count = 60
    rounds = 5

    async def play():
        broker = Broker(tmp_path)
        await broker.start()
        opcua_port = free_port()
        server, node = await plc(opcua_port)
        far = FarSide()
        far.port = free_port()
        write_config(tmp_path, far.port, broker.port, opcua_port)
        process = start_collector(tmp_path)
        try:
            async with far.serving():
                await until(lambda: samples_of(far.frames, "plc"))
            for n in range(rounds):
                far.fail_next = 1
                async with far.serving() if n % 2 else contextlib.nullcontext():
                    await publish(broker.port, n * count, count)
                    await asyncio.sleep(rng.random() * 0.4)
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                process = start_collector(tmp_path)
            async with far.serving():
                far.fail_next = 0
                wanted = count * rounds
                await until(lambda: len({e[2] for e in events_of(far.frames)}) == wanted)
                await until(lambda: len(set(samples_of(far.frames, "broker"))) == 2 * wanted)
                await node.write_value(ua.Variant(5.5, ua.VariantType.Double))
                await until(lambda: samples_of(far.frames, "plc")[-1][2] == 5.5)
            process.terminate()
            assert process.wait(20) == 0, "a signal ends it in order"
        finally:
            process.kill()
            process.wait()
            await server.stop()
            await broker.stop()
        return far

    far = asyncio.run(play())

    assert "Traceback" not in (tmp_path / "collector.log").read_text()
    events = {(e[1], e[3]["meter"], e[3]["register"]) for e in events_of(far.frames)}
    assert {(1_000 + n, "E1", n / 2) for n in range(count * rounds)} == events
    samples = set(samples_of(far.frames, "broker"))
    expected = {("press/temp", 1_000 + n, n * 1.5) for n in range(count * rounds)}
    expected |= {("press/mode", 1_000 + n, f"M{n % 3}") for n in range(count * rounds)}
    assert expected == samples
    epochs = sorted({epoch for epoch, _ in far.positions})
    assert far.positions == sorted(far.positions), "frames arrive in order"
    for epoch in epochs:
        sequences = [s for e, s in far.positions if e == epoch]
        assert list(range(1, len(sequences) + 1)) == sequences, "without a hole"
    assert len({f.envelope.producer_id for f in far.frames}) == 1


def test_a_supervised_collector_ends_when_its_parent_is_gone(tmp_path):
    """A server that was killed must not leave children behind."""
    write_config(tmp_path, free_port(), free_port(), free_port())
    process = start_collector(tmp_path, "--supervised")
    try:
        process.stdin.close()

        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


def test_wrong_arguments_end_with_a_word(tmp_path):
    """The supervisor's log must say why a child cannot start."""
    write_config(tmp_path, 1, 2, 3)
    command = [sys.executable, "-m", "historian.collector", "--config"]
    config = str(tmp_path / "historian.toml")
    for arguments, word in (
        ([config, "--name", "other"], "other"),
        ([config], "usage"),
        ([os.devnull + "x", "--name", "line1"], "cannot read"),
    ):
        ended = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
        assert ended.returncode == 2
        assert word in ended.stderr
