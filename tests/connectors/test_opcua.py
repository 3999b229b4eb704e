"""opcua/: what a real server publishes arrives complete, in order, with its types and status."""

import asyncio

import pytest
from asyncua import ua

from connectors.connector import ConfigError
from connectors.opcua.connector import OpcUaConnector
from connectors.opcua.testing import START_NS, URI, Plant, quick_settings, running
from connectors.testing import RecordingSink
from historian.clock import SystemClock
from historian.testing import free_port
from storage_engine.sample import SampleBatch, ValueType


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
        connector = OpcUaConnector("line", quick_settings(plant.port, browse=browse), SystemClock())
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
        for address in {batch.addresses[index] for index in batch.address_index.tolist()}
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
        connector = OpcUaConnector("line", quick_settings(plant.port, nodes=[node]), SystemClock())
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
        connector = OpcUaConnector(
            "line", quick_settings(plant.port, nodes=["ns=2;s=x"]), SystemClock()
        )
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
        connector = OpcUaConnector("line", quick_settings(plant.port, **more), SystemClock())
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


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"nodes": ["i=1"], "securty": "none"}, "securty"),
        ({"nodes": ["i=1"], "security": "yes"}, "security"),
        ({}, "nodes"),
        ({"nodes": ["i=1"], "queue_size": -1}, "queue_size"),
        ({"nodes": ["i=1"], "url": "http://x"}, "url"),
        ({"nodes": ["i=1"], "security": {"pki_path": "pki"}}, "pki_path"),
        ({"nodes": ["i=1"], "security": {"pki_path": "/p", "policy": "None"}}, "policy"),
        ({"nodes": ["i=1"], "security": {"pki_path": "/p", "mod": "sign"}}, "mod"),
    ],
)
def test_wrong_settings_are_refused_by_name(wrong, words):
    """A person must find the line to mend."""
    with pytest.raises(ConfigError, match=words):
        OpcUaConnector("line", {**quick_settings(4840), **wrong}, SystemClock())
