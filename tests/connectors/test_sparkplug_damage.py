"""sparkplug/: whatever bytes a node sends, the host goes on, and what it stores can be stored."""

import random
import struct
import sys
from pathlib import Path

import pytest

from connectors.sparkplug.node import State
from storage_engine.sample import DTYPES

sys.path.insert(0, str(Path(__file__).parent))
from sparkplug_edge import DOUBLE, INT32, Edge, add, fleet, metric
from sparkplug_proto import Payload

KINDS = ("NBIRTH", "DBIRTH", "NDATA", "DDATA", "NDEATH", "DDEATH")


def rich(edge, kind):
    """A message with something of everything."""
    whole = edge.payload([
        metric("bdSeq", 0, 4),
        metric("m", 1, INT32, alias=1),
        metric("f", 1.5, DOUBLE, alias=2),
        metric("raw", b"abc", 17, kind="bytes_value"),
        metric("list", struct.pack("<2h", 1, -1), 23, kind="bytes_value"),
        metric("gone", None, DOUBLE, is_null=True),
        metric("text", "ü", 12),
    ])  # fmt: skip
    if kind == "NDEATH":
        whole.ClearField("seq")
    axis = whole.metrics.add(name="axis", datatype=19).template_value
    axis.is_definition = True
    add(axis.metrics, metric("pos", 0.0, DOUBLE))
    instance = whole.metrics.add(name="x", alias=5, datatype=19).template_value
    instance.template_ref = "axis"
    add(instance.metrics, metric("pos", 2.0, DOUBLE))
    table = whole.metrics.add(name="table", datatype=16).dataset_value
    table.columns.append("c")
    table.types.append(INT32)
    table.rows.add().elements.add(int_value=4)
    described = whole.metrics[2]
    described.properties.keys.append("Quality")
    described.properties.values.add(type=INT32, int_value=192)
    described.metadata.description = "d"
    return whole.SerializeToString()


def test_the_message_is_whole_before_it_is_damaged():
    """Else the damage would be of nothing."""
    host = fleet()
    edge = Edge(host)
    edge.give("NBIRTH", rich(edge, "NBIRTH"))
    assert host.told.rejects == []
    assert sum(map(len, host.told.samples.take())) == 9
    assert Payload.FromString(rich(edge, "NDATA")).seq == 1


@pytest.mark.parametrize("arrays", ["text", "elements"])
@pytest.mark.parametrize("seed", range(6))
def test_damaged_messages_never_stop_the_host(seed, arrays):
    """Bits turned, bytes cut out or doubled, kinds mixed, time passing."""
    rng = random.Random(seed)
    host = fleet(arrays=arrays, reorder_s=0.5, birth_hold_s=0.5)
    edge, stored = Edge(host), 0
    for turn in range(1_500):
        kind = rng.choice(KINDS)
        raw = bytearray(rich(edge, kind))
        for _ in range(rng.choice((0, 0, 1, 1, 3))):
            at = rng.randrange(len(raw))
            how = rng.random()
            if how < 0.6:
                raw[at] ^= 1 << rng.randrange(8)
            elif how < 0.8:
                del raw[at : at + rng.randrange(1, 9)]
            else:
                raw[at:at] = raw[at : at + rng.randrange(1, 9)]
            raw = raw or bytearray(b"\0")
        edge.give(kind, bytes(raw), "d" if kind[0] == "D" else "")
        if turn % 7 == 0:
            edge.wait(rng.random())
        for batch in host.told.samples.take():
            stored += len(batch)
            assert batch.value.value.dtype == DTYPES[batch.value.type]
            assert len(set(batch.addresses)) == len(batch.addresses)
            assert (batch.timestamp_ns >= 0).all()
            assert batch.address_index.max() < len(batch.addresses)
        for reject in host.told.rejects:
            assert reject.reason.startswith("cannot ")
            assert "want" in reject.reason
        assert all(gap.start_ns <= gap.end_ns for gap in host.told.gaps)
        host.told.rejects.clear()
        host.told.gaps.clear()
    assert stored > 100
    edge.nbirth([metric("m", 3, INT32, alias=1)])
    assert host.nodes["g", "n"].state is State.ONLINE
