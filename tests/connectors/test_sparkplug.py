"""sparkplug/: a host on a real broker, with nodes of our own and with Eclipse Tahu's."""

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import aiomqtt
import pytest

import connectors.sparkplug
from connectors.connector import ConfigError, SourceUnavailable
from connectors.registry import CONNECTORS
from connectors.sparkplug.config import read_config
from connectors.sparkplug.connector import SparkplugConnector
from connectors.sparkplug.state import decode_state
from connectors.testing import RecordingSink
from historian.clock import SystemClock
from storage_engine.sample import BAD_NO_COMMUNICATION, BAD_NO_DATA

sys.path.insert(0, str(Path(__file__).parent))
from sparkplug_edge import DOUBLE, INT32, Edge, metric
from sparkplug_proto import Payload
from test_mqtt import Broker, needs_broker, running

HERE = Path(__file__).parent
STATE = "spBv1.0/STATE/plant"


def settings(port, **more):
    return {
        "host": "127.0.0.1",
        "port": port,
        "host_id": "plant",
        "connect_timeout_s": 5.0,
        "rebirth_spread_s": 0.0,
        **more,
    }


class LiveEdge(Edge):
    """Publishes what it says."""

    def __init__(self, client):
        super().__init__()
        self.client, self.said = client, []

    def give(self, kind, raw, device=""):
        self.said.append((self.topic(kind, device), raw))
        return raw

    async def publish(self):
        for topic, raw in self.said:
            await self.client.publish(topic, raw, qos=1 if "NDEATH" in topic else 0)
        self.said.clear()


async def until(done):
    async with asyncio.timeout(20):
        while not done():  # noqa: ASYNC110 - what is waited for is rows in a sink
            await asyncio.sleep(0.01)


async def next_payload(client, kind):
    async with asyncio.timeout(20):
        async for message in client.messages:
            if kind in str(message.topic):
                return message.payload
    return None


@needs_broker
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_life_of_a_node_becomes_samples(tmp_path, protocol):
    """Unknown, asked, born, data, dead; the host's STATE is retained before, and after."""

    async def play():
        async with Broker(tmp_path) as broker, aiomqtt.Client("127.0.0.1", broker.port) as client:
            await client.subscribe("spBv1.0/#")
            sink = RecordingSink()
            connector = SparkplugConnector(
                "s", settings(broker.port, protocol=protocol), SystemClock()
            )
            edge = LiveEdge(client)
            async with running(connector, sink):
                online = decode_state(await next_payload(client, "STATE"))
                edge.send("NDATA", [metric(alias=1, value=1.0, kind="double_value")], seq=9)
                await edge.publish()
                wish = Payload.FromString(await next_payload(client, "NCMD"))
                edge.nbirth([metric("heat", 20.5, DOUBLE, alias=1)])
                edge.send("DBIRTH", [metric("count", 0, INT32, alias=2)], "d")
                for k in range(300):
                    edge.send("DDATA", [metric(alias=2, value=k, kind="int_value")], "d")
                edge.ndeath()
                await edge.publish()
                await until(lambda: any(row[2] == BAD_NO_COMMUNICATION for row in sink.rows()))
            async with aiomqtt.Client("127.0.0.1", broker.port) as late:
                await late.subscribe(STATE)
                offline = decode_state(await next_payload(late, "STATE"))
        return connector.status, sink, online, wish, offline

    status, sink, online, wish, offline = asyncio.run(play())

    assert (online.online, offline.online) == (True, False)
    assert offline.timestamp_ms > online.timestamp_ms
    assert [(m.name, m.boolean_value) for m in wish.metrics] == [("Node Control/Rebirth", True)]
    found = [(a, v) for a, _, q, v in sink.rows() if q == 0 and a in {"g/n:heat", "g/n/d:count"}]
    assert sorted(found, key=str) == sorted(
        [("g/n:heat", 20.5), ("g/n/d:count", 0), *(("g/n/d:count", k) for k in range(300))], key=str
    )
    counts = [v for a, v in found if a == "g/n/d:count"]
    assert counts == [0, *range(300)]
    stale = {a for a, _, q, _ in sink.rows() if q == BAD_NO_COMMUNICATION}
    assert stale == {"g/n:heat", "g/n/d:count", "g/n:bdSeq", "g/n:Node Control/Rebirth"}
    assert [gap.address for gap in sink.gaps] == ["g/n"]
    assert sink.rejects == []
    assert (status.received, status.gaps, status.extra["rebirths"]) == (len(sink.rows()), 1, 1)
    assert status.extra["nodes_online"] == 0


@needs_broker
def test_a_full_spool_holds_back_and_loses_nothing(tmp_path):
    """Until it takes more; samples stay in order."""

    async def play():
        async with Broker(tmp_path) as broker, aiomqtt.Client("127.0.0.1", broker.port) as client:
            sink = RecordingSink()
            connector = SparkplugConnector("s", settings(broker.port), SystemClock())
            edge = LiveEdge(client)
            async with running(connector, sink):
                sink.refuse = 4
                edge.nbirth([metric("m", 0, INT32, alias=1)])
                for k in range(500):
                    edge.send("NDATA", [metric(alias=1, value=k, kind="int_value")])
                await edge.publish()
                await until(lambda: sum(row[0] == "g/n:m" for row in sink.rows()) >= 501)
        return sink

    sink = asyncio.run(play())
    assert [v for a, _, _, v in sink.rows() if a == "g/n:m"] == [0, *range(500)]


@needs_broker
def test_a_broker_that_restarts_is_told_anew_and_nodes_are_asked(tmp_path):
    """What went by meanwhile is named as a gap up to the next birth."""
    later = 1_795_348_377_000

    async def play():
        sink = RecordingSink()
        broker = Broker(tmp_path)
        connector = SparkplugConnector("s", settings(broker.port), SystemClock())
        await broker.__aenter__()
        async with running(connector, sink) as task:
            with contextlib.suppress(aiomqtt.MqttError):
                async with aiomqtt.Client("127.0.0.1", broker.port) as client:
                    edge = LiveEdge(client)
                    edge.nbirth([metric("m", 1, INT32, alias=1)])
                    await edge.publish()
                    await until(lambda: sink.row_count >= 3)
                    broker.process.terminate()
                    await broker.process.wait()
            with pytest.raises(SourceUnavailable):
                await asyncio.wait_for(task, 20)
        async with broker, aiomqtt.Client("127.0.0.1", broker.port) as client:
            await client.subscribe("spBv1.0/+/NCMD/#")
            again, edge.client = asyncio.create_task(connector.run(sink)), client
            try:
                wish = await next_payload(client, "NCMD")
                edge.nbirth([metric("m", 2, INT32, alias=1)], at=later)
                await edge.publish()
                await asyncio.wait_for(sink.wait_for_gaps(1), 20)
            finally:
                again.cancel()
                await asyncio.gather(again, return_exceptions=True)
        return sink, wish, connector.status

    sink, wish, status = asyncio.run(play())
    assert wish
    assert [(g.start_ns // 10**6, g.end_ns // 10**6) for g in sink.gaps] == [
        (1_795_348_376_000, later)
    ]
    assert status.reconnects == 1
    assert [v for a, _, _, v in sink.rows() if a == "g/n:m"] == [1, 2]


@needs_broker
def test_retained_and_too_large_messages_are_no_births(tmp_path):
    """A retained birth is of nobody knows when; a large one is in the quarantine."""

    async def play():
        async with Broker(tmp_path) as broker, aiomqtt.Client("127.0.0.1", broker.port) as client:
            edge = LiveEdge(client)
            old = edge.nbirth([metric("m", 1, INT32, alias=1)])
            await client.publish("spBv1.0/g/NBIRTH/n", old, retain=True)
            sink = RecordingSink()
            given = settings(broker.port, message_bytes_max=1024, groups=["g"])
            connector = SparkplugConnector("s", given, SystemClock())
            async with running(connector, sink):
                large = edge.payload([metric("m" * 5000, 1, INT32)]).SerializeToString()
                await client.publish("spBv1.0/g/NBIRTH/n", large)
                await client.publish("spBv1.0/other/NBIRTH/n", old)
                await asyncio.wait_for(sink.wait_for_rejects(1), 20)
        return connector.status, sink

    status, sink = asyncio.run(play())
    assert sink.rows() == []
    assert [(r.address, "want at most 1024" in r.reason) for r in sink.rejects] == [
        ("spBv1.0/g/NBIRTH/n", True)
    ]
    assert status.extra["retained_skipped"] == 1


def test_the_sample_explains_every_setting(monkeypatch):
    """And the defaults it names are those."""
    monkeypatch.setenv("PLANT_MQTT_USER", "u")
    monkeypatch.setenv("PLANT_MQTT_PASSWORD", "p")
    folder = Path(connectors.sparkplug.__file__).parent
    sample = tomllib.loads((folder / "sample.toml").read_text())
    found = read_config("line1", sample)
    bare = read_config("line1", {"host": "127.0.0.1", "host_id": "historian"})
    assert (found.rules, found.rebirth_interval_s, found.rebirth_spread_s) == (
        bare.rules, bare.rebirth_interval_s, bare.rebirth_spread_s,
    )  # fmt: skip
    assert found.broker.username == "u"
    assert (found.broker.session_expiry_s, found.broker.clean) == (0, True)
    assert CONNECTORS["sparkplug"] is SparkplugConnector


@pytest.mark.parametrize(
    "wrong", [{"session_expiry_s": 5}, {"groups": ["a/b"]}, {"arrays": "x"}, {"reorder": 1}]
)
def test_settings_that_are_none_are_refused(wrong):
    """By name; a session that outlives the line is none of Sparkplug's."""
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        read_config("s", {"host": "h", "host_id": "i", **wrong})


def tahu_modules(folder):
    """Where Eclipse Tahu's client for Node.js is: HISTORIAN_TAHU, or installed here and now."""
    known = os.environ.get("HISTORIAN_TAHU")
    if known:
        return known
    if shutil.which("npm") is None:
        pytest.skip("needs npm, or HISTORIAN_TAHU: a node_modules with sparkplug-client")
    done = subprocess.run(
        ["npm", "install", "--silent", "--prefix", str(folder), "sparkplug-client@3"],
        capture_output=True, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip("needs the registry of npm, or HISTORIAN_TAHU")
    return str(folder / "node_modules")


@needs_broker
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
def test_a_node_of_eclipse_tahu_is_understood(tmp_path):
    """Births, aliases, templates, data sets, properties, a hole with a rebirth, a kill."""
    environment = {**os.environ, "NODE_PATH": tahu_modules(tmp_path)}

    async def play():
        sink = RecordingSink()
        async with Broker(tmp_path) as broker:
            given = settings(broker.port, reorder_timeout_s=0.3, rebirth_interval_s=1.0)
            connector = SparkplugConnector("s", given, SystemClock())
            async with running(connector, sink):
                edge = await asyncio.create_subprocess_exec(
                    "node", str(HERE / "tahu_edge.js"), str(broker.port),
                    stdin=-1, stdout=-1, env=environment,
                )  # fmt: skip
                assert await asyncio.wait_for(edge.stdout.readline(), 20) == b"born\n"
                edge.stdin.write(b"go\n" * 400)
                await until(lambda: "plant/tahu/press:count" in latest(sink, -400))
                edge.stdin.write(b"skip\ngo\n")
                assert await asyncio.wait_for(edge.stdout.readline(), 20) == b"born\n"
                await until(lambda: len(sink.gaps) == 1 and -401 in values(sink, "press:count"))
                edge.kill()
                await edge.wait()
                await until(lambda: any(row[2] == BAD_NO_COMMUNICATION for row in sink.rows()))
        return connector.status, sink

    def latest(sink, value):
        return {row[0] for row in sink.rows() if row[3] == value}

    def values(sink, name):
        return [row[3] for row in sink.rows() if row[0] == f"plant/tahu/{name}" and not row[2]]

    status, sink = asyncio.run(play())
    assert sink.rejects == []
    first = {row[0].removeprefix("plant/tahu"): row[2:] for row in reversed(sink.rows())}
    assert first[":int8"] == (0, -5)
    assert first[":uint32"] == (0, 4_000_000_000)
    assert first[":nothing"] == (BAD_NO_DATA, None)
    assert first["/press:force"] == (0, 1.5)
    assert first["/press:text"] == (0, "a ü")
    assert first["/press:recipe"] == (
        0, '{"columns":["step","s"],"rows":[["heat",5],["hold",-1]]}',
    )  # fmt: skip
    assert first["/press:x/pos"] == (0, 2.5)
    assert values(sink, "press:count") == [0, *range(-1, -402, -1), 0]
    items = {item.address: (item.eng_unit, item.high) for item in sink.items}
    assert items["plant/tahu/press:force"] == ("kN", 250.0)
    stale = {row[0] for row in sink.rows() if row[2] == BAD_NO_COMMUNICATION}
    assert stale >= {"plant/tahu:int8", "plant/tahu/press:force", "plant/tahu/press:x/pos"}
    assert status.extra["rebirths"] == 1
