"""opcua/: what a real server publishes arrives complete, in order, with its types and status."""

import asyncio
import contextlib
import socket
from datetime import UTC, datetime, timedelta

import pytest
from asyncua import Server, ua
from asyncua.crypto.cert_gen import setup_self_signed_certificate
from asyncua.crypto.permission_rules import User, UserRole
from cryptography.x509.oid import ExtendedKeyUsageOID

from connectors.connector import ConfigError, SourceUnavailable
from connectors.opcua.connector import OpcUaConnector
from connectors.opcua.notification import Change, Notification
from connectors.sink import Link
from connectors.testing import RecordingSink
from historian.clock import SystemClock
from storage_engine.sample import SampleBatch, ValueType

URI = "urn:lighthouse:test"
START = datetime(2016, 10, 1, tzinfo=UTC)
START_NS = int(START.timestamp()) * 1_000_000_000


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Plant:
    """A real server with one folder of variables."""

    def __init__(self, port):
        self.port = port
        self.server = None
        self.nodes = {}

    async def start(self, **variables):
        self.server = Server()
        await self.server.init()
        self.server.set_endpoint(f"opc.tcp://127.0.0.1:{self.port}")
        index = await self.server.register_namespace(URI)
        folder = await self.server.nodes.objects.add_object(
            ua.NodeId("Line", index), ua.QualifiedName("Line", index)
        )
        self.index = index
        for name, (value, type_) in variables.items():
            self.nodes[name] = await folder.add_variable(
                ua.NodeId(name, index), ua.QualifiedName(name, index), value, type_
            )
        await self.server.start()

    async def stop(self):
        await self.server.stop()

    async def write(self, name, value, type_, step_s=0.0, status=0):
        data = ua.DataValue(
            ua.Variant(value, type_),
            ua.StatusCode(status),
            (START + timedelta(seconds=step_s)).replace(tzinfo=None),
        )
        await self.server.write_attribute_value(self.nodes[name].nodeid, data)

    def address(self, name):
        return f"nsu={URI};s={name}"


def settings(port, **more):
    return {
        "url": f"opc.tcp://127.0.0.1:{port}",
        "security": "none",
        "publishing_interval_ms": 20.0,
        "keepalive_s": 1.0,
        "request_timeout_s": 2.0,
        **more,
    }


@contextlib.asynccontextmanager
async def running(connector, sink):
    task = asyncio.create_task(connector.run(sink))
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, SourceUnavailable):
            await task


def rows_of(sink, address):
    return [(t, q, v) for a, t, q, v in sink.rows() if a == address]


def test_types_status_times_and_states_arrive_as_written():
    """Doubles, integers, states and bad values of irregular times: each in its own column type."""

    async def play():
        plant = Plant(free_port())
        await plant.start(
            position=(0.0, ua.VariantType.Double),
            load=(0.0, ua.VariantType.Float),
            count=(0, ua.VariantType.Int32),
            total=(0, ua.VariantType.UInt64),
            door=(False, ua.VariantType.Boolean),
            mode=("MANUAL", ua.VariantType.String),
        )
        sink = RecordingSink()
        browse = [{"root": "i=85", "depth": 3}]
        connector = OpcUaConnector("line", settings(plant.port, browse=browse), SystemClock())
        try:
            async with running(connector, sink):
                await asyncio.wait_for(sink.wait_for_rows(6), 30)
                first = sink.row_count
                await plant.write("position", 1.25, ua.VariantType.Double, 1.001)
                await plant.write("position", 2.5, ua.VariantType.Double, 7.5)
                await plant.write("position", 2.5, ua.VariantType.Double, 7.75)
                await plant.write("load", 0.5, ua.VariantType.Float, 1)
                await plant.write("count", -7, ua.VariantType.Int32, 1)
                await plant.write("total", 2**64 - 1, ua.VariantType.UInt64, 1)
                await plant.write("door", True, ua.VariantType.Boolean, 1)
                await plant.write("mode", "AUTOMATIC", ua.VariantType.String, 1)
                bad = ua.StatusCodes.BadNotConnected
                await plant.write("mode", None, ua.VariantType.Null, 2, bad)
                await plant.write("mode", "READY", ua.VariantType.String, 3)
                await asyncio.wait_for(sink.wait_for_rows(first + 10), 30)
        finally:
            await plant.stop()
        return plant, sink

    plant, sink = asyncio.run(play())

    second = 1_000_000_000
    assert [
        (START_NS + 1_001_000_000, 0, 1.25),
        (START_NS + 7_500_000_000, 0, 2.5),
        (START_NS + 7_750_000_000, 0, 2.5),
    ] == rows_of(sink, plant.address("position"))[1:]
    assert [
        (START_NS + second, 0, "AUTOMATIC"),
        (START_NS + 2 * second, 0x808A_0000, None),
        (START_NS + 3 * second, 0, "READY"),
    ] == rows_of(sink, plant.address("mode"))[1:]
    assert [(START_NS + second, 0, 2**64 - 1)] == rows_of(sink, plant.address("total"))[1:]
    assert [(START_NS + second, 0, -7)] == rows_of(sink, plant.address("count"))[1:]
    types = {
        address: batch.value.type
        for batch in sink.batches
        if isinstance(batch, SampleBatch)
        for address in batch.addresses
    }
    assert {
        plant.address("position"): ValueType.FLOAT64,
        plant.address("load"): ValueType.FLOAT32,
        plant.address("count"): ValueType.INT64,
        plant.address("total"): ValueType.UINT64,
        plant.address("door"): ValueType.BOOL,
        plant.address("mode"): ValueType.SYMBOL,
    } == types


def test_rewrites_at_one_time_arrive_in_the_order_written():
    """A recording writes other values for a time it has written; the last must stay the last."""
    values = [float(n) for n in range(3_000)]

    async def play():
        plant = Plant(free_port())
        await plant.start(x=(-1.0, ua.VariantType.Double))
        sink = RecordingSink()
        node = f"nsu={URI};s=x"
        connector = OpcUaConnector("line", settings(plant.port, nodes=[node]), SystemClock())
        try:
            async with running(connector, sink):
                await asyncio.wait_for(sink.wait_for_rows(1), 30)
                for n, value in enumerate(values):
                    await plant.write("x", value, ua.VariantType.Double, n // 3)
                    if n % 50 == 0:
                        await asyncio.sleep(0)
                await asyncio.wait_for(sink.wait_for_rows(1 + len(values)), 30)
        finally:
            await plant.stop()
        return rows_of(sink, node)[1:]

    rows = asyncio.run(play())

    assert [(START_NS + n // 3 * 1_000_000_000, 0, v) for n, v in enumerate(values)] == rows


def test_a_full_sink_delays_and_loses_nothing():
    """Back-pressure: while puts are refused or slow, the server keeps what it has."""

    async def play():
        plant = Plant(free_port())
        await plant.start(x=(-1.0, ua.VariantType.Double))
        sink = RecordingSink()
        connector = OpcUaConnector("line", settings(plant.port, nodes=["ns=2;s=x"]), SystemClock())
        try:
            async with running(connector, sink):
                await asyncio.wait_for(sink.wait_for_rows(1), 30)
                sink.refuse = 2
                sink.gate.clear()
                for n in range(500):
                    await plant.write("x", float(n), ua.VariantType.Double, n)
                    await asyncio.sleep(0)
                sink.gate.set()
                await asyncio.wait_for(sink.wait_for_rows(501), 30)
        finally:
            await plant.stop()
        return [v for _, _, _, v in sink.rows()][1:]

    assert [float(n) for n in range(500)] == asyncio.run(play())


def test_absent_and_vanished_nodes_are_named_and_neighbours_go_on():
    """A wrong node id must not cost the right ones."""

    async def play():
        plant = Plant(free_port())
        await plant.start(x=(1.0, ua.VariantType.Double), gone=(1.0, ua.VariantType.Double))
        sink = RecordingSink()
        nodes = ["ns=2;s=x", "ns=2;s=gone", "ns=2;s=never", "nsu=urn:nobody;s=x"]
        more = {"nodes": nodes, "survey_interval_s": 0.2}
        connector = OpcUaConnector("line", settings(plant.port, **more), SystemClock())
        try:
            async with running(connector, sink):
                await asyncio.wait_for(sink.wait_for_rows(2), 30)
                await asyncio.wait_for(sink.wait_for_rejects(2), 30)
                await plant.server.delete_nodes([plant.nodes["gone"]])
                await asyncio.wait_for(sink.wait_for_rejects(3), 30)
                await plant.write("x", 5.0, ua.VariantType.Double, 1)
                await asyncio.wait_for(sink.wait_for_rows(3), 30)
        finally:
            await plant.stop()
        return sink, connector

    sink, connector = asyncio.run(play())

    expected = [f"nsu={URI};s=never", "nsu=urn:nobody;s=x", f"nsu={URI};s=gone"]
    assert expected == [reject.address for reject in sink.rejects]
    assert connector.status.rejected == 3
    assert sink.rows()[-1][3] == 5.0


def test_after_a_restart_of_the_server_everything_is_subscribed_again():
    """The registry, not the server, knows what is wanted."""

    async def play():
        plant = Plant(free_port())
        await plant.start(x=(1.0, ua.VariantType.Double), y=(2.0, ua.VariantType.Double))
        sink = RecordingSink()
        nodes = [plant.address("x"), plant.address("y")]
        connector = OpcUaConnector("line", settings(plant.port, nodes=nodes), SystemClock())
        async with running(connector, sink) as task:
            await asyncio.wait_for(sink.wait_for_rows(2), 30)
            await plant.stop()
            with pytest.raises(SourceUnavailable):
                await asyncio.wait_for(task, 30)
        with pytest.raises(SourceUnavailable):
            await connector.run(sink)
        second = Plant(plant.port)
        await second.start(x=(10.0, ua.VariantType.Double), y=(20.0, ua.VariantType.Double))
        try:
            async with running(connector, sink):
                await asyncio.wait_for(sink.wait_for_rows(4), 30)
                await second.write("x", 11.0, ua.VariantType.Double, 1)
                await asyncio.wait_for(sink.wait_for_rows(5), 30)
        finally:
            await second.stop()
        return sink, connector

    sink, connector = asyncio.run(play())

    assert [1.0, 2.0, 10.0, 20.0, 11.0] == [v for _, _, _, v in sink.rows()]
    assert connector.status.reconnects == 1
    assert connector.status.gaps == 1
    assert "lost" in [s for s in sink.states if s.link is Link.CONNECTED][-1].detail


class Cable:
    """A TCP forwarder that can be cut."""

    def __init__(self, target):
        self.target = target
        self.port = free_port()
        self.writers = []
        self.server = None

    async def start(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _serve(self, reader, writer):
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.close()
            return
        self.writers += [writer, far_writer]
        await asyncio.gather(_pipe(reader, far_writer), _pipe(far_reader, writer))

    def cut(self):
        for writer in self.writers:
            writer.transport.abort()
        self.writers = []

    def close(self):
        self.server.close()
        self.cut()


async def _pipe(reader, writer):
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


def test_a_cut_connection_loses_nothing_the_server_holds():
    """The session is taken up again: what was published into the cut comes by Republish."""
    values = [float(n) for n in range(400)]

    async def play():
        plant = Plant(free_port())
        await plant.start(x=(-1.0, ua.VariantType.Double))
        cable = Cable(plant.port)
        await cable.start()
        sink = RecordingSink()
        more = {"nodes": [plant.address("x")], "publishing_interval_ms": 5.0}
        connector = OpcUaConnector("line", settings(cable.port, **more), SystemClock())

        async def keep_running():
            while True:
                with contextlib.suppress(SourceUnavailable):
                    await connector.run(sink)
                await asyncio.sleep(0.02)

        task = asyncio.create_task(keep_running())
        try:
            await asyncio.wait_for(sink.wait_for_rows(1), 30)
            for n, value in enumerate(values):
                await plant.write("x", value, ua.VariantType.Double, n)
                await asyncio.sleep(0.002)
                if n % 100 == 50:
                    cable.cut()
            await asyncio.wait_for(sink.wait_for_rows(1 + len(values)), 30)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            cable.close()
            await plant.stop()
        return sink, connector

    sink, connector = asyncio.run(play())

    assert values == [v for _, _, _, v in sink.rows()][1:]
    assert connector.status.reconnects >= 4
    assert connector.status.gaps == 0


def test_a_message_that_never_came_is_fetched_or_named():
    """A hole in the sequence numbers: Republish first, and what the server has no more is a gap."""
    sink = RecordingSink()
    connector = OpcUaConnector("line", settings(4840, nodes=["i=1"]), SystemClock())
    connector._registry.add("x")
    connector._subscriptions = {5: 1}
    acknowledged = []

    def message(sequence):
        change = Change(0, ValueType.INT64, sequence, 0, sequence, None)
        return Notification(5, sequence, data=True, changes=[change])

    class Server:
        async def republish(self, _subscription, sequence):
            return message(sequence) if sequence != 3 else None

    class Acknowledgements:
        def durable(self, *key):
            acknowledged.append(key)

    came = [message(n) for n in (1, 4, 4)] + [Notification(5, 7, data=False)]
    asyncio.run(connector._deliver(sink, Server(), Acknowledgements(), came))

    assert [1, 2, 4, 5, 6] == [value for _, _, _, value in sink.rows()]
    assert connector.status.gaps == 1
    assert "1 of 2 lost" in sink.rejects[0].reason
    assert [(5, n) for n in (1, 2, 4, 4, 5, 6)] == acknowledged


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"nodes": ["i=1"], "securty": "none"}, "securty"),
        ({"nodes": ["i=1"], "security": "yes"}, "security"),
        ({}, "nodes"),
        ({"nodes": ["i=1"], "queue_size": 0}, "queue_size"),
        ({"nodes": ["i=1"], "url": "http://x"}, "url"),
        ({"nodes": ["i=1"], "security": "Basic256Sha256:Sign"}, "certificate_file"),
    ],
)
def test_wrong_settings_are_refused_by_name(wrong, words):
    """A person must find the line to mend."""
    with pytest.raises(ConfigError, match=words):
        OpcUaConnector("line", {**settings(4840), **wrong}, SystemClock())


def test_a_signed_and_encrypted_connection_with_a_user(tmp_path, monkeypatch):
    """What a plant asks for: certificates on both sides, user and password by reference."""
    monkeypatch.setenv("PLC_USER", "reader")
    monkeypatch.setenv("PLC_PASSWORD", "secret")
    files = {name: tmp_path / name for name in ("s.pem", "s.der", "c.pem", "c.der")}
    asked = []

    class Users:
        def get_user(self, _iserver, username=None, password=None, certificate=None):
            asked.append((username, password))
            known = (username, password) == ("reader", "secret")
            return User(role=UserRole.User) if known else None

    async def certificate(name, uri, usage):
        key, cert = files[f"{name}.pem"], files[f"{name}.der"]
        await setup_self_signed_certificate(key, cert, uri, "localhost", [usage], {})

    async def play():
        await certificate("s", "urn:test:server", ExtendedKeyUsageOID.SERVER_AUTH)
        await certificate("c", "urn:test:client", ExtendedKeyUsageOID.CLIENT_AUTH)
        port = free_port()
        server = Server(user_manager=Users())
        await server.init()
        await server.set_application_uri("urn:test:server")
        server.set_endpoint(f"opc.tcp://127.0.0.1:{port}")
        server.set_security_policy([ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt])
        await server.load_certificate(str(files["s.der"]))
        await server.load_private_key(str(files["s.pem"]))
        index = await server.register_namespace(URI)
        await server.nodes.objects.add_variable(ua.NodeId("x", index), "x", 4.5)
        await server.start()
        sink = RecordingSink()
        more = {
            "nodes": [f"nsu={URI};s=x"],
            "security": "Basic256Sha256:SignAndEncrypt",
            "application_uri": "urn:test:client",
            "certificate_file": str(files["c.der"]),
            "private_key_file": str(files["c.pem"]),
            "server_certificate_file": str(files["s.der"]),
            "user_env": "PLC_USER",
            "password_env": "PLC_PASSWORD",
        }
        try:
            connector = OpcUaConnector("line", settings(port, **more), SystemClock())
            async with running(connector, sink):
                await asyncio.wait_for(sink.wait_for_rows(1), 30)
            monkeypatch.setenv("PLC_PASSWORD", "wrong")
            stranger = OpcUaConnector("line", settings(port, **more), SystemClock())
            with pytest.raises(SourceUnavailable):
                await stranger.run(sink)
        finally:
            await server.stop()
        return sink

    sink = asyncio.run(play())

    assert [4.5] == [value for _, _, _, value in sink.rows()]
    assert ("reader", "secret") in asked
