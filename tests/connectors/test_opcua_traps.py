"""opcua/: each trap of the library that cost others data has a test named after it.

Trap 11 (a notification that cannot be parsed is dropped) is in test_opcua_values.
"""

import asyncio
import contextlib
import gc
from pathlib import Path

from asyncua import ua
from asyncua.client.client import Client
from asyncua.common.utils import Buffer, ServiceError
from asyncua.server.internal_session import InternalSession
from asyncua.ua.ua_binary import struct_to_binary

from connectors.opcua.config import read_config
from connectors.opcua.connector import OpcUaConnector
from connectors.opcua.subscriptions import Subscriptions
from connectors.opcua.testing import Cable, Plant, collecting, quick_settings
from connectors.sink import Link
from connectors.testing import RecordingSink
from historian.clock import SystemClock
from historian.testing import free_port

DOUBLE = ua.VariantType.Double
TRAPS = 13


@contextlib.asynccontextmanager
async def line(count=1, **more):
    """A plant, a cable to it, a sink, and a connector that is run again and again."""
    plant = Plant(free_port())
    await plant.start(**{f"v{n}": (0.0, DOUBLE) for n in range(count)})
    cable = Cable(free_port(), plant.port)
    await cable.start()
    sink = RecordingSink()
    nodes = [plant.address(f"v{n}") for n in range(count)]
    settings = quick_settings(cable.port, nodes=nodes, **more)
    connector = OpcUaConnector("line", settings, SystemClock())
    try:
        async with collecting(connector, sink, SystemClock()):
            await asyncio.wait_for(sink.wait_for_rows(count), 60)
            yield plant, cable, sink, connector
    finally:
        cable.close()
        await plant.stop()


async def until(done, seconds=30):
    """Wait for a condition."""

    async def look():
        while not done():  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    await asyncio.wait_for(look(), seconds)


def values(sink):
    """Values in order of arrival, without the first of every item."""
    return [value for _, _, _, value in sink.rows() if value]


def subscription_of(plant):
    """The server's only subscription."""
    (found,) = plant.server.iserver.subscription_service.subscriptions.values()
    return found


def test_every_trap_has_a_test_named_after_it():
    """Thirteen of them."""
    here = Path(__file__).parent
    text = "".join((here / f"test_opcua_{part}.py").read_text() for part in ("traps", "values"))
    for trap in range(1, TRAPS + 1):
        assert f"def test_trap_{trap:02}_" in text, trap


def test_trap_01_several_publish_requests_are_in_flight():
    """A round trip is no pause: the server always holds a request of ours."""

    async def play():
        async with line() as (plant, *_):
            requests = [processor._publish_requests for processor in processors(plant)]
            await until(lambda: max(map(len, requests)) >= 2)

    asyncio.run(play())


def processors(plant):
    """The server's connections."""
    return [client.processor for client in plant.server.bserver.clients]


def test_trap_02_more_items_than_a_queue_holds_are_all_seen():
    """5,000 first values while the sink takes nothing: none is dropped on the way."""

    async def play():
        plant = Plant(free_port())
        await plant.start(**{f"v{n}": (float(n), DOUBLE) for n in range(5_000)})
        sink = RecordingSink()
        sink.gate.clear()
        nodes = [plant.address(f"v{n}") for n in range(5_000)]
        connector = OpcUaConnector("line", quick_settings(plant.port, nodes=nodes), SystemClock())
        async with collecting(connector, sink, SystemClock()):
            await asyncio.wait_for(sink.wait_for_state(Link.CONNECTED), 60)
            await asyncio.sleep(0.5)
            sink.gate.set()
            await asyncio.wait_for(sink.wait_for_rows(5_000), 60)
        await plant.stop()
        return sink

    sink = asyncio.run(play())
    assert {float(n) for n in range(5_000)} == {value for _, _, _, value in sink.rows()}


def test_trap_03_values_keep_their_order_and_a_slow_sink_holds_the_server_back():
    """No task per value; when too many rows wait, no request is sent."""

    async def play():
        async with line(buffer_rows_max=1_000) as (plant, _, sink, _):
            sink.gate.clear()
            for n in range(1, 3_001):
                await plant.write("v0", float(n), DOUBLE, n / 1000)
                if n % 100 == 0:
                    await asyncio.sleep(0.03)
            requests = [processor._publish_requests for processor in processors(plant)]
            await until(lambda: max(map(len, requests)) == 0)
            sink.gate.set()
            await asyncio.wait_for(sink.wait_for_rows(3_001), 60)
        return sink

    assert [float(n) for n in range(1, 3_001)] == values(asyncio.run(play()))


def test_trap_04_nothing_is_acknowledged_before_it_is_durable():
    """While the sink has not put it, the server keeps the message."""

    async def play():
        async with line() as (plant, _, sink, _):
            await until(lambda: not subscription_of(plant)._not_acknowledged_results)
            sink.gate.clear()
            await plant.write("v0", 1.0, DOUBLE, 1)
            held = subscription_of(plant)._not_acknowledged_results
            await until(lambda: held)
            await asyncio.sleep(0.5)  # many publications
            assert held
            sink.gate.set()
            await until(lambda: not subscription_of(plant)._not_acknowledged_results)

    asyncio.run(play())


def test_trap_05_items_are_created_in_calls_the_server_takes_and_so_they_come_back(monkeypatch):
    """It tells no limit and refuses more than 300: all are there, also after a rebuild."""
    sizes = []
    create = InternalSession.create_monitored_items

    async def limited(self, parameters):
        sizes.append(len(parameters.ItemsToCreate))
        if len(parameters.ItemsToCreate) > 300:
            raise ServiceError(ua.StatusCodes.BadTooManyOperations)
        return await create(self, parameters)

    monkeypatch.setattr(InternalSession, "create_monitored_items", limited)

    async def play():
        async with line(2_000) as (plant, _, sink, connector):
            first = subscription_of(plant).data.SubscriptionId
            await plant.server.iserver.subscription_service.delete_subscriptions([first])
            await asyncio.wait_for(sink.wait_for_state(Link.CONNECTED, 2), 30)
            for n in range(2_000):
                await plant.write(f"v{n}", 1.0 + n, DOUBLE, 1)
            await until(lambda: len(values(sink)) == 2_000)
            assert all(item.live for item in connector._registry.items)

    asyncio.run(play())
    assert max(sizes) == 1_000
    assert sum(size for size in sizes if size <= 300) == 4_000


def test_trap_06_the_same_session_is_resumed_without_a_transfer(monkeypatch):
    """Servers refuse to transfer a subscription to the session that owns it."""
    asked = []
    transfer = InternalSession.transfer_subscriptions

    async def counted(self, *arguments):
        asked.append(arguments)
        return await transfer(self, *arguments)

    monkeypatch.setattr(InternalSession, "transfer_subscriptions", counted)

    async def play():
        async with line() as (plant, cable, sink, _):
            for n in range(1, 61):
                await plant.write("v0", float(n), DOUBLE, n)
                await asyncio.sleep(0.01)
                if n == 30:
                    cable.cut()
            await asyncio.wait_for(sink.wait_for_rows(61), 30)
        return sink

    sink = asyncio.run(play())
    assert asked == []
    assert [float(n) for n in range(1, 61)] == values(sink)
    assert "session resumed" in [state.detail for state in sink.states]


def test_trap_07_an_attempt_in_a_black_hole_ends_with_the_request_timeout():
    """It is short by default, and the attempt after it succeeds."""
    assert read_config("s", quick_settings(1, nodes=["i=1"])).request_timeout_s <= 4
    settings = {"url": "opc.tcp://h:1", "security": "none", "nodes": ["i=1"]}
    assert read_config("s", settings).request_timeout_s == 4

    async def play():
        async with line(request_timeout_s=0.5) as (plant, cable, sink, _):
            cable.cut()
            cable.swallow()
            await asyncio.wait_for(sink.wait_for_state(Link.CONNECTING, 4), 30)
            cable.mend()
            await plant.write("v0", 1.0, DOUBLE, 1)
            await asyncio.wait_for(sink.wait_for_rows(2), 30)

    asyncio.run(play())


def test_trap_08_a_black_hole_does_not_empty_the_registry():
    """Attempts that fail half way forget nothing: all items are there afterwards."""

    async def play():
        more = {"keepalive_s": 0.2, "request_timeout_s": 0.5}
        async with line(20, **more) as (plant, cable, sink, connector):
            first = subscription_of(plant).data.SubscriptionId
            cable.swallow()
            await plant.server.iserver.subscription_service.delete_subscriptions([first])
            await asyncio.wait_for(sink.wait_for_state(Link.DISCONNECTED, 3), 60)
            cable.mend()
            await until(lambda: connector.status.link is Link.CONNECTED)
            await until(lambda: plant.server.iserver.subscription_service.subscriptions)
            for n in range(20):
                await plant.write(f"v{n}", 1.0 + n, DOUBLE, 1)
            await until(lambda: {1.0 + n for n in range(20)} <= set(values(sink)))

    asyncio.run(play())


def test_trap_09_the_keep_alive_is_short_and_follows_the_servers_revision():
    """Seconds, not three quarters of an hour; counted in the interval that the server chose."""
    asked = []

    async def send(request):
        asked.append(request.Parameters)
        response = ua.CreateSubscriptionResponse()
        response.Parameters.SubscriptionId = 7
        response.Parameters.RevisedPublishingInterval = 2_000.0
        response.Parameters.RevisedMaxKeepAliveCount = 5
        response.Parameters.RevisedLifetimeCount = 30
        return Buffer(struct_to_binary(response))

    settings = {"url": "opc.tcp://h:1", "security": "none", "nodes": ["i=1"]}
    config = read_config("s", settings)
    found = asyncio.run(Subscriptions(config, None, send).create())
    (wanted,) = asked
    interval_s = wanted.RequestedPublishingInterval / 1000
    assert wanted.RequestedMaxKeepAliveCount * interval_s == config.keepalive_s == 5.0
    assert wanted.RequestedLifetimeCount >= 3 * wanted.RequestedMaxKeepAliveCount
    assert (found.keepalive_s, found.lifetime_s) == (10.0, 60.0)


def test_trap_10_a_server_that_is_slow_to_read_is_not_given_up(monkeypatch):
    """A look at all nodes that takes longer than a second is no lost connection."""
    read = InternalSession.read
    slow = asyncio.Event()

    async def hesitating(self, parameters):
        if slow.is_set():
            await asyncio.sleep(1.5)
        return await read(self, parameters)

    monkeypatch.setattr(InternalSession, "read", hesitating)

    async def play():
        more = {"survey_interval_s": 0.1, "request_timeout_s": 4.0, "keepalive_s": 4.0}
        async with line(**more) as (plant, _, sink, connector):
            slow.set()
            for n in range(1, 41):
                await plant.write("v0", float(n), DOUBLE, n)
                await asyncio.sleep(0.1)
            slow.clear()
            await asyncio.wait_for(sink.wait_for_rows(41), 30)
            assert connector.status.reconnects == 0

    asyncio.run(play())


def test_trap_12_items_are_made_anew_as_they_were_wanted(monkeypatch):
    """Queue, sampling and which end of the queue drops out are the same after a rebuild."""
    asked = []
    create = InternalSession.create_monitored_items

    async def kept(self, parameters):
        asked.extend(item.RequestedParameters for item in parameters.ItemsToCreate)
        return await create(self, parameters)

    monkeypatch.setattr(InternalSession, "create_monitored_items", kept)

    async def play():
        async with line(sampling_interval_ms=50.0, bridge_s=30.0) as (plant, _, sink, _):
            first = subscription_of(plant).data.SubscriptionId
            await plant.server.iserver.subscription_service.delete_subscriptions([first])
            await asyncio.wait_for(sink.wait_for_state(Link.CONNECTED, 2), 30)

    asyncio.run(play())
    wanted = [(each.SamplingInterval, each.QueueSize, each.DiscardOldest) for each in asked]
    assert wanted == [(50.0, 601, True)] * 2  # 30 s and two publications at 50 ms


def test_trap_13_every_new_session_has_a_client_of_its_own_and_leaves_none_behind():
    """What the library remembers of a lost session is not carried into the next."""

    async def play():
        async with line() as (plant, cable, sink, connector):
            before = None
            for n in range(1, 7):
                for session in list(plant.server.iserver._external_sessions.values()):
                    await session.close_session()
                old = connector._session
                cable.cut()
                await asyncio.wait_for(sink.wait_for_state(Link.CONNECTED, n + 1), 30)
                assert connector._session is not old
                del old
                gc.collect()
                alive = sum(isinstance(each, Client) for each in gc.get_objects())
                before = before or alive
                assert alive <= before

    asyncio.run(play())
