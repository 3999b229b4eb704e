"""Rows to the bytes of OPC UA notifications. Pure; keeps 100 ns and less, which datetime cannot.

References
----------
OPC 10000-6, 5.2.2.16 (Variant), 5.2.2.17 (DataValue); OPC 10000-4, 7.25.2.
"""

import struct
from collections.abc import Iterable

from connectors.simulator.node import Row, Value
from storage_engine.sample import ValueType

_EPOCH_TICKS = 116_444_736_000_000_000  # 1601 to 1970, in steps of 100 ns
_HAS_VALUE, _HAS_STATUS, _HAS_SOURCE_TIME, _HAS_SOURCE_PICOSECONDS = 0x01, 0x02, 0x04, 0x10
_BOOLEAN, _INT64, _DOUBLE, _STRING = 1, 8, 11, 12

_time = struct.Struct("<q").pack
_status_time = struct.Struct("<Iq").pack
_picoseconds = struct.Struct("<H").pack
_handle = struct.Struct("<I").pack
_length = struct.Struct("<i").pack
_double = struct.Struct("<Bd").pack
_int64 = struct.Struct("<Bq").pack
_boolean = struct.Struct("<B?").pack


def _variant(type_: ValueType, value: Value) -> bytes:
    if type_ is ValueType.FLOAT64:
        return _double(_DOUBLE, value)
    if type_ is ValueType.INT64:
        return _int64(_INT64, value)
    if type_ is ValueType.BOOL:
        return _boolean(_BOOLEAN, value)
    text = str(value).encode()
    return bytes((_STRING,)) + _length(len(text)) + text


def encode_data_value(type_: ValueType, timestamp_ns: int, quality: int, value: Value) -> bytes:
    """Bytes of one DataValue.

    Parameters
    ----------
    type_ : ValueType
        FLOAT64, INT64, BOOL or SYMBOL.
    timestamp_ns : int
        Source time, ns UTC, 1970 or later; kept to 10 ps through the picoseconds field.
    quality : int
        OPC UA status code.
    value : float, int, bool, str or None
        None leaves the value out.

    Returns
    -------
    bytes
    """
    ticks, rest_ns = divmod(timestamp_ns, 100)
    ticks += _EPOCH_TICKS
    mask = _HAS_SOURCE_TIME
    body = b""
    if value is not None:
        mask |= _HAS_VALUE
        body = _variant(type_, value)
    if quality:
        mask |= _HAS_STATUS
        tail = _status_time(quality, ticks)
    else:
        tail = _time(ticks)
    if rest_ns:
        mask |= _HAS_SOURCE_PICOSECONDS
        tail += _picoseconds(rest_ns * 100)
    return bytes((mask,)) + body + tail


def encode_notification(
    types: tuple[ValueType, ...], rows: Iterable[tuple[int, Row]], count: int
) -> bytes:
    """Body of a DataChangeNotification.

    Parameters
    ----------
    types : tuple of ValueType
        Type of each node by index.
    rows : iterable of (client handle, Row)
        In the order of the source.
    count : int
        How many rows there are.

    Returns
    -------
    bytes
        MonitoredItems and an empty list of diagnostics.
    """
    parts = [_length(count)]
    for handle, (node, timestamp_ns, quality, value) in rows:
        parts.append(_handle(handle))
        parts.append(encode_data_value(types[node], timestamp_ns, quality, value))
    parts.append(_length(-1))
    return b"".join(parts)
