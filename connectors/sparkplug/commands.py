"""Commands to a node or a device. The host itself sends one of them: the request for a rebirth.

Commands of operators come in here too: ``command`` is their seam. Who may send one, and a trace of
it, belong above a connector.
"""

import struct
from dataclasses import dataclass
from typing import Any

from connectors.sparkplug.metric import Metric
from connectors.sparkplug.structures import encode_field
from connectors.sparkplug.table import Table
from connectors.sparkplug.topics import Topic
from connectors.sparkplug.values import BOOLEAN, name_of
from storage_engine.sample import ValueType

REBIRTH = "Node Control/Rebirth"
_INTEGER_BITS = {1: 8, 2: 16, 3: 32, 4: 64, 5: 8, 6: 16, 7: 32, 8: 64, 13: 64}
_SIGNED = {1, 2, 3, 4}
_INT, _LONG, _FLOAT, _DOUBLE, _BOOLEAN, _STRING = range(10, 16)


@dataclass(frozen=True, slots=True)
class Command:
    """A message to be published: QoS 0, not retained, without a sequence number."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False


def rebirth(group: str, node: str, now_ms: int) -> Command:
    """Request all births of a node. The metric goes by name: it has no alias, ever.

    It carries its datatype, which a command should not: nodes of Eclipse Tahu read no value
    without one, and a node that does not understand this stays unknown.
    """
    metric = Metric(REBIRTH, "", BOOLEAN, type=ValueType.BOOL)
    return _command(Topic("NCMD", group, node), metric, True, now_ms, encode_field(4, BOOLEAN))


def command(topic: Topic, table: Table, name: str, value: Any, now_ms: int) -> Command:
    """Write a metric of a node (NCMD) or a device (DCMD).

    Parameters
    ----------
    topic : Topic
        Whose metric; its kind is set here.
    table : Table
        Of the last birth.
    name : str
    value : bool, int, float or str
    now_ms : int
        When it is sent.

    Raises
    ------
    ValueError
        If the birth has no such metric, or the value is not of its datatype.
    """
    row = table.names.get(name.encode())
    if row is None:
        raise ValueError(f"cannot command {name!r}: got no such metric in the birth, want one")
    kind = "DCMD" if topic.device else "NCMD"
    topic = Topic(kind, topic.group, topic.node, topic.device)
    return _command(topic, table.rows[row], value, now_ms)


def _command(
    topic: Topic, metric: Metric, value: Any, now_ms: int, datatype: bytes = b""
) -> Command:
    named = (
        encode_field(1, metric.name.encode())
        if metric.alias is None
        else encode_field(2, metric.alias)
    )
    body = named + encode_field(3, now_ms) + datatype + _value(metric, value)
    return Command(topic.text, encode_field(1, now_ms) + encode_field(2, body))


def _value(metric: Metric, value: Any) -> bytes:
    datatype, bits = metric.datatype, _INTEGER_BITS.get(metric.datatype)
    if bits is not None and type(value) is int:
        low = -(1 << bits - 1) if datatype in _SIGNED else 0
        if low <= value < low + (1 << bits):
            if bits == 64:
                return encode_field(_LONG, value)
            return encode_field(_INT, value & 0xFFFF_FFFF)
    elif metric.type is ValueType.FLOAT64 and type(value) in {int, float}:
        return encode_field(_DOUBLE, float(value))
    elif metric.type is ValueType.FLOAT32 and type(value) in {int, float}:
        return bytes([_FLOAT << 3 | 5]) + struct.pack("<f", value)
    elif metric.type is ValueType.BOOL and type(value) is bool:
        return encode_field(_BOOLEAN, int(value))
    elif datatype in {12, 14, 15} and type(value) is str:
        return encode_field(_STRING, value.encode())
    raise ValueError(f"cannot command {metric.name!r}: got {value!r}, want {name_of(datatype)}")
