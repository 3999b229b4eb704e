"""opcua/: what happens to values between a loss and the next subscription."""

import asyncio

from asyncua import ua

from connectors.opcua.connector import OpcUaConnector
from connectors.opcua.testing import START_NS, Plant, collecting, quick_settings
from connectors.sink import Link
from connectors.testing import RecordingSink
from historian.clock import SystemClock
from historian.testing import free_port

DOUBLE = ua.VariantType.Double


async def forget_sessions(plant):
    """Let the server forget every session, and leave their subscriptions alone."""
    for session in list(plant.server.iserver._external_sessions.values()):
        await session.close_session(delete_subs=False)


def source(plant, **more):
    """Make a connector to the only variable of a plant."""
    settings = quick_settings(plant.port, nodes=[plant.address("x")], **more)
    return OpcUaConnector("line", settings, SystemClock())


def values(sink):
    """Values in order of arrival."""
    return [value for _, _, _, value in sink.rows()]


async def written(plant, *numbers):
    """Write numbers, each a second after the one before."""
    for number in numbers:
        await plant.write("x", float(number), DOUBLE, number)
        await asyncio.sleep(0.03)


def test_a_new_session_takes_the_subscriptions_over():
    """The server has forgotten the session alone: its queues and unread messages are taken over."""

    async def play():
        plant = Plant(free_port())
        await plant.start(x=(0.0, DOUBLE))
        sink = RecordingSink()
        connector = source(plant)
        async with collecting(connector, sink, SystemClock()):
            await asyncio.wait_for(sink.wait_for_rows(1), 30)
            await written(plant, 1, 2)
            await asyncio.wait_for(sink.wait_for_rows(3), 30)
            await forget_sessions(plant)
            connector._session._client.disconnect_socket()
            await written(plant, *range(3, 40))
            await asyncio.wait_for(sink.wait_for_rows(40), 30)
            await asyncio.sleep(0.3)
        await plant.stop()
        return sink

    sink = asyncio.run(play())
    assert [float(n) for n in range(40)] == values(sink)
    assert sink.gaps == []
    told = [state.detail for state in sink.states if state.link is Link.CONNECTED]
    assert any("1 of 1 subscriptions taken over" in each for each in told)


def test_another_process_goes_on_where_the_last_one_ended():
    """The note says what was subscribed: the next takes it over, with the values between."""

    async def play():
        plant = Plant(free_port())
        await plant.start(x=(0.0, DOUBLE))
        sink = RecordingSink()
        async with collecting(source(plant), sink, SystemClock()):
            await asyncio.wait_for(sink.wait_for_rows(1), 30)
            await written(plant, 1, 2)
            await asyncio.wait_for(sink.wait_for_rows(3), 30)
        await written(plant, *range(3, 30))
        second = RecordingSink()
        second.notes = sink.notes
        connector = source(plant)
        async with collecting(connector, second, SystemClock()):
            await asyncio.wait_for(second.wait_for_rows(27), 30)
            await written(plant, 30)
            await asyncio.wait_for(second.wait_for_rows(28), 30)
        await plant.stop()
        return second

    second = asyncio.run(play())
    assert [float(n) for n in range(3, 31)] == values(second)
    assert second.gaps == []


def test_what_a_restarted_server_kept_as_history_is_fetched():
    """The subscription is gone and with it its queue; the archive has the values, each once."""

    async def play():
        plant = Plant(free_port())
        await plant.start(x=(0.0, DOUBLE))
        await written(plant, 0)
        await plant.server.historize_node_data_change(plant.nodes["x"], period=None, count=0)
        sink = RecordingSink()
        connector = source(plant)
        async with collecting(connector, sink, SystemClock()):
            await asyncio.wait_for(sink.wait_for_rows(1), 30)
            await written(plant, 1, 2)
            await asyncio.wait_for(sink.wait_for_rows(3), 30)
            (subscription,) = connector._monitoring.table
            await plant.server.iserver.subscription_service.delete_subscriptions([subscription])
            await written(plant, *range(3, 20))
            await asyncio.wait_for(sink.wait_for_rows(20), 60)
            await written(plant, 20)
            await asyncio.wait_for(sink.wait_for_rows(21), 30)
            await asyncio.sleep(0.3)
        await plant.stop()
        return sink, connector

    sink, connector = asyncio.run(play())
    assert [float(n) for n in range(21)] == sorted(values(sink))
    assert len(values(sink)) == 21
    assert sink.gaps == []
    assert connector._recovery.backfilled > 0


def test_what_nobody_kept_is_a_gap_with_its_times():
    """From the last message before to the first after, by the server's clock."""

    async def play():
        plant = Plant(free_port())
        await plant.start(x=(0.0, DOUBLE), y=(0.0, DOUBLE))
        sink = RecordingSink()
        nodes = [plant.address("x"), plant.address("y")]
        settings = quick_settings(plant.port, nodes=nodes)
        connector = OpcUaConnector("line", settings, SystemClock())
        async with collecting(connector, sink, SystemClock()):
            await asyncio.wait_for(sink.wait_for_rows(2), 30)
            (before,) = connector._monitoring.table.values()
            before_ns = before.published_ns
            await plant.server.iserver.subscription_service.delete_subscriptions([before.id])
            await written(plant, 1, 2)
            await asyncio.wait_for(sink.wait_for_gaps(1), 30)
            await asyncio.wait_for(sink.wait_for_rows(3), 30)
            after_ns = SystemClock().now_ns()
        await plant.stop()
        return sink, before_ns, after_ns, nodes

    sink, before_ns, after_ns, nodes = asyncio.run(play())
    (gap,) = sink.gaps
    assert gap.address == nodes[0], "y has not changed and lost nothing"
    assert before_ns <= gap.start_ns <= gap.end_ns <= after_ns
    assert sink.rows()[2:] == [(nodes[0], START_NS + 2 * 10**9, 0, 2.0)]
