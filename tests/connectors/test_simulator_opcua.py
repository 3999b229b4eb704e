"""The plant's OPC UA server against real clients: asyncua's, and our own connector."""

import asyncio
from typing import Any

import pytest
from asyncua import Client, ua

from connectors.opcua.config import read_config
from connectors.opcua.connector import OpcUaConnector
from connectors.opcua.session import Session
from connectors.simulator.node import Node, Row
from connectors.simulator.opcua_server import PlantServer
from connectors.simulator.outbox import UNACKNOWLEDGED_FACTOR
from connectors.testing import RecordingSink
from storage_engine.sample import ValueType

URI = "urn:lighthouse:test"
NODES = (
    Node(("line",), "force", ValueType.FLOAT64, "a force", "N", 0.0, 10.0),
    Node(("line",), "state", ValueType.SYMBOL),
    Node(("line", "deep"), "count", ValueType.INT64),
    Node(("line", "deep"), "open", ValueType.BOOL),
)
T0 = 1_493_634_303_469_396_200  # a recorded time: 100 ns are used
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class LoopClock:
    """The loop's own time."""

    def now_ns(self) -> int:
        return T0

    def monotonic_s(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def connector(server: PlantServer) -> OpcUaConnector:
    settings: dict[str, Any] = {
        "url": server.url,
        "security": "none",
        "publishing_interval_ms": 50.0,
        "browse": [{"root": "i=85", "namespace": URI}],
    }
    return OpcUaConnector("test", settings, LoopClock())


async def collect(
    server: PlantServer, plays: list[list[Row]], *, sink: RecordingSink | None = None
) -> RecordingSink:
    sink = sink or RecordingSink()
    task = asyncio.create_task(connector(server).run(sink))
    try:
        await asyncio.wait_for(server.monitored(), 20)
        for rows in plays:
            await server.play(rows)
        await asyncio.wait_for(server.drained(), 20)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return sink


def samples(sink: RecordingSink) -> dict[str, list[tuple[int, int, object]]]:
    found: dict[str, list[tuple[int, int, object]]] = {}
    for address, time_ns, quality, value in sink.rows():
        found.setdefault(address, []).append((time_ns, quality, value))
    return found


def test_connector_receives_every_row_with_its_time_to_100_ns_and_in_order() -> None:
    """The recordings hold times of 100 ns, late ones, equal ones, and bad ones without value."""
    plays: list[list[Row]] = [
        [(0, T0, 0, 1.5), (1, T0, 0, "läuft"), (2, T0, 0, 2**60), (3, T0, 0, True)],
        [(0, T0 - 10**18, 0, -0.0), (0, T0, 0x8031_0000, None), (1, T0 + 100, 0, "")],
        [(0, T0, 0, 1.5), (0, T0, 0, 2.5), (2, T0 + 1_000, 0, -1), (3, T0 + 1_000, 0, False)],
    ]

    async def play() -> RecordingSink:
        server = PlantServer(NODES, LoopClock(), namespace=URI, keep=True)
        await server.start()
        try:
            return await collect(server, plays)
        finally:
            await server.stop()

    found = samples(asyncio.run(play()))

    expected: dict[str, list[tuple[int, int, object]]] = {}
    for rows in plays:
        for node, time_ns, quality, value in rows:
            address = f"nsu={URI};s={NODES[node].identifier}"
            expected.setdefault(address, []).append((time_ns, quality, value))
    assert expected == found


def test_flat_out_nothing_is_lost_and_the_bound_holds() -> None:
    """Thousands of rows of one item against a queue of a thousand."""
    count, bound = 20_000, 1_000
    held: list[int] = []

    async def play() -> RecordingSink:
        server = PlantServer(NODES, LoopClock(), namespace=URI, keep=True, queue_rows_max=bound)
        await server.start()
        sink = RecordingSink()
        task = asyncio.create_task(connector(server).run(sink))
        try:
            await asyncio.wait_for(server.monitored(), 20)
            for start in range(0, count, 500):
                await server.play(
                    [(0, T0 + i * 100, 0, float(i)) for i in range(start, start + 500)]
                )
                held.append(server.held)
            await asyncio.wait_for(server.drained(), 20)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await server.stop()
        return sink

    (found,) = samples(asyncio.run(play())).values()
    assert [float(i) for i in range(count)] == [value for _, _, value in found]
    assert max(held) <= bound * (1 + UNACKNOWLEDGED_FACTOR) + 500


def test_rows_that_a_vanished_client_did_not_acknowledge_come_again() -> None:
    """A collector that is killed has lost what it had not yet acknowledged, and nothing else."""
    rows: list[Row] = [(0, T0 + i * 100, 0, float(i)) for i in range(3_000)]

    async def play() -> tuple[list[float], int]:
        server = PlantServer(NODES, LoopClock(), namespace=URI, keep=True)
        await server.start()
        try:
            client = Client(server.url)
            await client.connect()
            received = await _subscribe(client)
            await server.play(rows[:1])
            await asyncio.wait_for(received.get(), 20)
            client.uaclient.protocol.transport.abort()  # no goodbye, as with kill -9
            await server.play(rows[1:])
            owed = server.held
            sink = await collect(server, [])
            await _forget(client)
        finally:
            await server.stop()
        return [float(str(v)) for _, _, v in samples(sink)[f"nsu={URI};s=line/force"]], owed

    values, owed = asyncio.run(play())
    assert values[-owed:] == [row[3] for row in rows[-owed:]]
    assert len(rows) - 1 <= owed


def test_a_message_can_be_asked_for_until_it_is_acknowledged() -> None:
    """An answer to Republish may be lost as well, and so may the acknowledgement behind it."""

    async def play() -> None:
        server = PlantServer(NODES, LoopClock(), namespace=URI, keep=True)
        await server.start()
        nodes = [f"nsu={URI};s={NODES[0].identifier}"]
        settings = {"url": server.url, "security": "none", "nodes": nodes}
        session = Session(read_config("test", settings), LoopClock())
        try:
            await session.connect()
            subscription = await session.subscriptions.create()
            assert subscription is not None
            items = [(0, nodes[0])]
            await session.subscriptions.monitor(subscription.id, items)
            await server.play([(0, T0, 0, 1.5)])
            message = await session.publish([])
            while message is None or not message.data:
                message = await session.publish([])
            for _ in range(3):
                again = await session.republish(subscription.id, message.sequence)
                assert again is not None
                assert message.sequence == again.sequence
                assert message.rows == again.rows == 1
            assert server.held == 1
            waiting = session.publish([(subscription.id, message.sequence)])
            await asyncio.wait_for(asyncio.gather(waiting, server.drained()), 20)
            assert await session.republish(subscription.id, message.sequence) is None
        finally:
            await session.close(keep_subscriptions=False)
            await server.stop()

    asyncio.run(play())


async def _subscribe(client: Client) -> asyncio.Queue[Any]:
    received: asyncio.Queue[Any] = asyncio.Queue()

    class Handler:
        def datachange_notification(self, _node: Any, value: Any, _data: Any) -> None:
            received.put_nowait(value)

    subscription = await client.create_subscription(50, Handler())
    namespace = await client.get_namespace_index(URI)
    nodes = [client.get_node(ua.NodeId(node.identifier, namespace)) for node in NODES]
    await subscription.subscribe_data_change(nodes)
    return received


async def _forget(client: Client) -> None:
    """Leave no task of a client that was cut off."""
    try:
        await client.disconnect()
    except Exception:  # noqa: BLE001 - the line is dead on purpose
        return


def test_a_plain_client_browses_reads_and_subscribes() -> None:
    """The server is a real one: names, units, ranges, values, and no value before the first."""

    async def ask() -> list[Any]:
        server = PlantServer(NODES, LoopClock(), namespace=URI)
        await server.start()
        try:
            async with Client(server.url) as client:
                namespace = await client.get_namespace_index(URI)
                force = client.get_node(ua.NodeId("line/force", namespace))
                before = await force.read_data_value(raise_on_bad_status=False)
                await server.play([(0, T0, 0, 4.5)])
                received = await _subscribe(client)
                await server.play([(0, T0 + 100, 0, 4.5), (0, T0 + 200, 0, 5.5)])
                values = [await asyncio.wait_for(received.get(), 20) for _ in range(2)]
                unit = await (await force.get_child("0:EngineeringUnits")).read_value()
                return [
                    before.StatusCode.value,
                    await force.read_value(),
                    values,
                    unit.DisplayName.Text,
                    (await force.read_description()).Text,
                ]
        finally:
            await server.stop()

    assert [0x8032_0000, 5.5, [4.5, 5.5], "N", "a force"] == asyncio.run(ask())
