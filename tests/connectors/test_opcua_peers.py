"""opcua/ against servers that are not ours: broken lines, hung and killed, limits, history."""

import asyncio
import contextlib
import sys
from collections import Counter
from pathlib import Path

import pytest

from connectors.opcua.connector import OpcUaConnector
from connectors.opcua.testing import Cable, collecting, quick_settings
from connectors.sink import Link
from connectors.testing import RecordingSink
from historian.clock import SystemClock
from historian.testing import free_port

sys.path.insert(0, str(Path(__file__).parent))
from opcua_peer import Peer, node_opcua, open62541

pytestmark = pytest.mark.slow


PEERS = {"node-opcua": node_opcua, "open62541": open62541}


@pytest.fixture(scope="module", params=PEERS)
def how(request, tmp_path_factory):
    """How to start a peer."""
    return PEERS[request.param](tmp_path_factory.mktemp("peer"))


@pytest.fixture(scope="module")
def archivist(tmp_path_factory):
    """How to start a peer that keeps history."""
    return node_opcua(tmp_path_factory.mktemp("peer"))


@contextlib.asynccontextmanager
async def line(how, count, *, peer=None, **more):
    """A peer, a cable to it, a sink that collects from it."""
    server = Peer(how, free_port(), count, **(peer or {}))
    await server.start()
    cable = Cable(free_port(), server.port)
    await cable.start()
    sink = RecordingSink()
    settings = quick_settings(
        cable.port,
        nodes=[f"ns=1;s=v{n}" for n in range(count)],
        **{"publishing_interval_ms": 100.0, "keepalive_s": 2.0, **more},
    )
    connector = OpcUaConnector("line", settings, SystemClock())
    try:
        async with collecting(connector, sink, SystemClock()):
            await asyncio.wait_for(sink.wait_for_rows(count), 120)
            yield server, cable, sink, connector
    finally:
        cable.close()
        await server.kill()


def by_address(sink, first=1):
    """Values of each address in order of arrival, from the first number on."""
    found = {}
    for address, _, _, value in sink.rows():
        if value is not None and value >= first:
            found.setdefault(address, []).append(int(value))
    return found


async def complete(sink, count, numbers, seconds=90):
    """Wait until every address has every number."""
    wanted = set(numbers)

    async def look():
        while True:
            found = by_address(sink)
            if len(found) == count and all(wanted <= set(each) for each in found.values()):
                return
            await asyncio.sleep(0.2)

    await asyncio.wait_for(look(), seconds)


def each_once_in_order(sink, count, last):
    """Every number of every variable came once, in order."""
    found = by_address(sink)
    assert len(found) == count
    for address, values in found.items():
        twice = [value for value, times in Counter(values).items() if times > 1]
        assert values == list(range(1, last + 1)), (address, len(values), twice[:5])


@pytest.mark.parametrize("seconds", [5, 60])
def test_a_line_cut_for_some_time_loses_nothing(how, seconds):
    """The session and its queues outlive the cut."""

    async def play():
        async with line(how, 20) as (server, cable, sink, connector):
            await server.write(1, 20)
            cable.close()
            server.tell(21, 20 + seconds * 10, 100)
            await asyncio.sleep(seconds)
            await cable.start()
            await server.written(20 + seconds * 10)
            await complete(sink, 20, range(1, 21 + seconds * 10))
        each_once_in_order(sink, 20, 20 + seconds * 10)
        assert sink.gaps == []
        assert connector.status.reconnects >= 1

    asyncio.run(play())


def test_a_black_hole_loses_nothing(how):
    """Nothing comes and nothing breaks: the missing keep-alive tells."""

    async def play():
        async with line(how, 20) as (server, cable, sink, _):
            await server.write(1, 20)
            cable.swallow()
            server.tell(21, 170, 100)
            await asyncio.wait_for(sink.wait_for_state(Link.DISCONNECTED), 60)
            cable.mend()
            await server.written(170)
            await complete(sink, 20, range(1, 171))
        each_once_in_order(sink, 20, 170)
        assert sink.gaps == []

    asyncio.run(play())


def test_a_hung_server_loses_nothing_that_it_writes(how):
    """A process that is stopped for longer than the keep-alive, and goes on."""

    async def play():
        async with line(how, 20) as (server, _, sink, _):
            await server.write(1, 20)
            server.hang()
            await asyncio.wait_for(sink.wait_for_state(Link.DISCONNECTED), 60)
            await asyncio.sleep(2)
            server.go_on()
            await server.write(21, 120)
            await complete(sink, 20, range(1, 121))
        each_once_in_order(sink, 20, 120)
        assert sink.gaps == []

    asyncio.run(play())


def test_a_killed_server_leaves_a_gap_with_its_times(how):
    """What it had is gone with it; everything after comes."""
    killed(how, history=False)


def test_a_killed_server_leaves_a_gap_also_where_its_archive_begins_anew(archivist):
    """An archive that does not have the last value we had does not mend anything."""
    killed(archivist, history=True)


def killed(how, history):
    """Kill and start a server that counts."""

    async def play():
        async with line(how, 20, peer={"history": history}) as (server, _, sink, _):
            await server.write(1, 20)
            await complete(sink, 20, range(1, 21))
            killed_ns = SystemClock().now_ns()
            await server.kill()
            await server.start()
            await server.write(21, 80)
            await complete(sink, 20, range(60, 81))
            await asyncio.wait_for(sink.wait_for_gaps(1), 90)
            back_ns = SystemClock().now_ns()
        (gap,) = sink.gaps
        assert gap.address == ""
        assert killed_ns - 5 * 10**9 <= gap.start_ns <= killed_ns <= gap.end_ns <= back_ns
        for address, each in by_address(sink).items():
            after = sorted(value for value in each if value > 20)
            assert after == list(range(after[0], 81)), "without a hole behind the gap"
            times = {v: t for a, t, _, v in sink.rows() if a == address and v == after[0]}
            assert times[after[0]] <= gap.end_ns + 10**9
            assert len(set(each)) == len(each)

    asyncio.run(play())


def test_a_session_that_has_ended_is_made_up_from_the_archive(archivist):
    """An anonymous client may not take subscriptions over: history fills the hole, once each."""

    async def play():
        peer = {"history": True}
        more = {"session_timeout_s": 10.0, "lifetime_s": 10.0}
        async with line(archivist, 20, peer=peer, **more) as (server, cable, sink, connector):
            await server.write(1, 20)
            await complete(sink, 20, range(1, 21))
            cable.close()
            server.tell(21, 320, 100)
            await asyncio.sleep(30)
            await cable.start()
            await server.written(320)
            await complete(sink, 20, range(1, 321))
            assert connector._recovery.backfilled > 20 * 150
        found = by_address(sink)
        for each in found.values():
            assert sorted(each) == list(range(1, 321)), "each once"
            assert each[:20] == list(range(1, 21))
        assert sink.gaps == []

    asyncio.run(play())


def test_five_thousand_items_come_back_whole_on_a_server_with_a_thousand_per_call(how):
    """The limit holds for the first subscription and for the one after a restart."""

    async def play():
        async with line(how, 5_000) as (server, cable, sink, connector):
            await server.write(1, 2, 1000)
            await complete(sink, 5_000, range(1, 3))
            cable.cut()
            await server.write(3, 4, 1000)
            await complete(sink, 5_000, range(1, 5))
            await server.kill()
            await server.start()
            await server.write(5, 6, 5000)
            await complete(sink, 5_000, [6])
            await asyncio.wait_for(sink.wait_for_gaps(1), 90)
            assert [gap.address for gap in sink.gaps] == [""]
            assert all(max(Counter(each).values()) == 1 for each in by_address(sink).values())
            assert sum(item.live for item in connector._registry.items) == 5_000

    asyncio.run(play())
