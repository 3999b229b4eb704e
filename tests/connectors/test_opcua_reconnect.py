"""opcua/: lost lines and restarted servers; nothing the server still offers is lost."""

import asyncio
import functools

import pytest
from asyncua import ua

from connectors.connector import SourceUnavailable
from connectors.opcua.connector import OpcUaConnector
from connectors.opcua.delivery import behind, following
from connectors.opcua.notification import Change, Notification, changes_of
from connectors.opcua.subscriptions import Subscription
from connectors.opcua.testing import Cable, Plant, collecting, quick_settings, running
from connectors.sink import Link
from connectors.testing import RecordingSink
from historian.clock import SystemClock
from historian.testing import free_port
from storage_engine.sample import ValueType


def test_after_a_restart_of_the_server_everything_is_subscribed_again():
    """The registry, not the server, knows what is wanted."""

    async def play():
        plant = Plant(free_port())
        await plant.start(x=(1.0, ua.VariantType.Double), y=(2.0, ua.VariantType.Double))
        sink = RecordingSink()
        nodes = [plant.address("x"), plant.address("y")]
        connector = OpcUaConnector("line", quick_settings(plant.port, nodes=nodes), SystemClock())
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
                await asyncio.wait_for(sink.wait_for_gaps(1), 30)
        finally:
            await second.stop()
        return sink, connector

    sink, connector = asyncio.run(play())

    assert [1.0, 2.0, 10.0, 20.0, 11.0] == [v for _, _, _, v in sink.rows()]
    assert connector.status.reconnects == 1
    assert connector.status.gaps == 1
    assert "lost" in [s for s in sink.states if s.link is Link.CONNECTED][-1].detail


def test_a_cut_connection_loses_nothing_the_server_holds():
    """The session is taken up again: what was published into the cut comes by Republish."""
    values = [float(n) for n in range(400)]

    async def play():
        plant = Plant(free_port())
        await plant.start(x=(-1.0, ua.VariantType.Double))
        port = free_port()
        cable = Cable(port, plant.port)
        await cable.start()
        sink = RecordingSink()
        more = {"nodes": [plant.address("x")], "publishing_interval_ms": 5.0}
        connector = OpcUaConnector("line", quick_settings(port, **more), SystemClock())
        async with collecting(connector, sink, SystemClock()):
            await asyncio.wait_for(sink.wait_for_rows(1), 30)
            for n, value in enumerate(values):
                await plant.write("x", value, ua.VariantType.Double, n)
                await asyncio.sleep(0.002)
                if n % 100 == 50:
                    cable.cut()
            await asyncio.wait_for(sink.wait_for_rows(1 + len(values)), 30)
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
    connector = OpcUaConnector("line", quick_settings(4840, nodes=["i=1"]), SystemClock())
    item = connector._registry.add("x")
    item.live, item.subscription = True, 5
    connector._monitoring.table[5] = Subscription(5, 1.0, 10.0, fresh=False)
    acknowledged = []

    def message(sequence):
        change = Change(0, ValueType.INT64, sequence, 0, sequence, None)
        return Notification(
            5, sequence, data=True, changes=changes_of([change]), published_ns=sequence * 10**9
        )

    class Nodes:
        async def read(self, addresses, _attribute):
            return [1] * len(addresses)  # readable, and has no history

    class Server:
        nodes = Nodes()

        async def republish(self, _subscription, sequence):
            return message(sequence) if sequence != 3 else None

    class Acknowledgements:
        def durable(self, *key):
            acknowledged.append(key)

    came = [message(n) for n in (1, 4, 4)] + [
        Notification(5, 7, data=False, changes=changes_of([]), published_ns=9 * 10**9)
    ]

    async def play():
        delivery = connector._delivery
        await delivery.take(sink, Server(), Acknowledgements(), came)
        mending = asyncio.create_task(
            connector._recovery.run(Server(), functools.partial(delivery.put, sink))
        )
        await asyncio.wait_for(sink.wait_for_gaps(1), 30)
        mending.cancel()

    asyncio.run(play())

    assert [1, 2, 4, 5, 6] == [value for _, _, _, value in sink.rows()]
    assert [(10**9, 4 * 10**9, "")] == [(g.start_ns, g.end_ns, g.address) for g in sink.gaps]
    assert connector.status.gaps == 1
    assert [(5, n) for n in (1, 2, 4, 4, 5, 6)] == acknowledged
    now_ns = SystemClock().now_ns()  # the server says it is one o'clock in 1970
    assert abs(connector.status.extra["clock_offset_ns"] + now_ns - 9 * 10**9) < 60 * 10**9


def test_sequence_numbers_begin_again_at_one():
    """OPC 10000-4, 7.8: after the largest comes 1, and what is older than a day is not newer."""
    last = (1 << 32) - 1
    assert following(last) == 1
    assert following(last - 1, 3) == 2
    assert behind(last, 2) == 2
    assert behind(2, last) == -2
    assert behind(7, 7) == 0
