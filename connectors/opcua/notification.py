"""The answer to a Publish request, from bytes to rows, without an object per value.

Scalars of every built-in type that a sample can hold are decoded here. Anything else (arrays,
structures, diagnostics) raises Unusual, and the caller decodes that one message the general way.

References
----------
OPC 10000-6, 5.2: binary encoding of built-in types; OPC 10000-4, 5.13.5: Publish.
"""

import struct
import uuid
from dataclasses import dataclass, field

from storage_engine.sample import ValueType

_PUBLISH_RESPONSE = 829
_DATA_CHANGE = 811
_STATUS_CHANGE = 820
_EPOCH_TICKS = 116_444_736_000_000_000  # 1601 to 1970 in 100 ns
_INT64_MAX = (1 << 63) - 1
_STRING_MAX = 1 << 24

_I32 = struct.Struct("<i")
_U32 = struct.Struct("<I")
_U16 = struct.Struct("<H")
_I64 = struct.Struct("<q")
_ITEM = struct.Struct("<IBB")  # client handle, data value mask, variant encoding

# Variant type -> struct, bytes, value type: everything of fixed size that needs no conversion.
_FIXED = {
    1: (struct.Struct("<?"), 1, ValueType.BOOL),
    2: (struct.Struct("<b"), 1, ValueType.INT64),
    3: (struct.Struct("<B"), 1, ValueType.INT64),
    4: (struct.Struct("<h"), 2, ValueType.INT64),
    5: (struct.Struct("<H"), 2, ValueType.INT64),
    6: (struct.Struct("<i"), 4, ValueType.INT64),
    7: (struct.Struct("<I"), 4, ValueType.INT64),
    8: (struct.Struct("<q"), 8, ValueType.INT64),
    9: (struct.Struct("<Q"), 8, ValueType.UINT64),
    10: (struct.Struct("<f"), 4, ValueType.FLOAT32),
    11: (struct.Struct("<d"), 8, ValueType.FLOAT64),
    19: (struct.Struct("<I"), 4, ValueType.INT64),
}
_NULL_STRING = -1


class Unusual(Exception):  # noqa: N818 - a case, not a fault
    """The message holds something this decoder leaves to the general one."""


@dataclass(slots=True)
class Change:
    """One value of one monitored item.

    ``type`` is None for a null value; ``problem`` says why a value cannot be a sample. Times are
    nanoseconds, or None where the server sent none.
    """

    handle: int
    type: ValueType | None
    value: object
    status: int
    source_ns: int | None
    server_ns: int | None
    problem: str = ""


@dataclass(slots=True)
class Notification:
    """One Publish answer.

    ``sequence`` of a keep-alive (``data`` is False) is the number the next message will have.
    """

    subscription: int
    sequence: int
    data: bool
    changes: list[Change] = field(default_factory=list)
    status_changes: list[int] = field(default_factory=list)


def ticks_to_ns(ticks: int) -> int | None:
    """Nanoseconds since 1970 of an OPC UA DateTime; None for unset and out of int64."""
    if ticks <= 0:
        return None
    ns = (ticks - _EPOCH_TICKS) * 100
    return ns if -_INT64_MAX <= ns <= _INT64_MAX else None


def decode_publish(data: bytes) -> Notification:
    """Decode a PublishResponse.

    Parameters
    ----------
    data : bytes
        Message body, from its type id on.

    Raises
    ------
    Unusual
        For everything outside the plain case, broken bytes included.
    """
    try:
        return _decode(data)
    except (struct.error, IndexError, UnicodeDecodeError, ValueError) as error:
        raise Unusual(str(error)) from error


def _decode(data: bytes) -> Notification:
    if data[0] != 1 or _U16.unpack_from(data, 2)[0] != _PUBLISH_RESPONSE:
        raise Unusual("no publish response")
    # Response header: time, handle, result, no diagnostics, no strings, no additional header.
    at = 4 + 8 + 4
    if _U32.unpack_from(data, at)[0] & 0x8000_0000 or data[at + 4] != 0:
        raise Unusual("a bad result or diagnostics")
    at += 5
    if _I32.unpack_from(data, at)[0] > 0 or data[at + 4 : at + 7] != b"\x00\x00\x00":
        raise Unusual("strings or an additional header")
    at += 7
    subscription = _U32.unpack_from(data, at)[0]
    at += 8 + 4 * max(0, _I32.unpack_from(data, at + 4)[0])  # available sequence numbers
    at += 1  # more notifications
    found = Notification(subscription, _U32.unpack_from(data, at)[0], data=False)
    count = _I32.unpack_from(data, at + 12)[0]
    at += 16
    for _ in range(max(0, count)):
        found.data = True
        at = _notification_data(data, at, found)
    return found


def _notification_data(data: bytes, at: int, found: Notification) -> int:
    if data[at] != 1 or data[at + 1] != 0 or data[at + 4] != 1:
        raise Unusual("an extension object that is not plain binary")
    kind = _U16.unpack_from(data, at + 2)[0]
    end: int = at + 9 + _I32.unpack_from(data, at + 5)[0]
    at += 9
    if end > len(data):
        raise Unusual("a body beyond the message")
    if kind == _STATUS_CHANGE:
        found.status_changes.append(_U32.unpack_from(data, at)[0])
    elif kind == _DATA_CHANGE:
        count = _I32.unpack_from(data, at)[0]
        at += 4
        for _ in range(count):
            at = _item(data, at, found.changes)
    else:
        raise Unusual("events")
    return end


def _item(data: bytes, at: int, changes: list[Change]) -> int:
    handle, mask, encoding = _ITEM.unpack_from(data, at)
    at += 5
    type_: ValueType | None = None
    value: object = None
    if mask & 1:
        at += 1
        fixed = _FIXED.get(encoding)
        if fixed is not None:
            value = fixed[0].unpack_from(data, at)[0]
            type_ = fixed[2]
            at += fixed[1]
        elif encoding:
            type_, value, at = _variable(data, at, encoding)
    status = 0
    source_ns = server_ns = None
    if mask & 2:
        status = _U32.unpack_from(data, at)[0]
        at += 4
    if mask & 4:
        source_ns = ticks_to_ns(_I64.unpack_from(data, at)[0])
        at += 8
    if mask & 16:
        at += 2  # picoseconds: below the nanosecond
    if mask & 8:
        server_ns = ticks_to_ns(_I64.unpack_from(data, at)[0])
        at += 8
    if mask & 32:
        at += 2
    changes.append(Change(handle, type_, value, status, source_ns, server_ns))
    return at


def _variable(data: bytes, at: int, encoding: int) -> tuple[ValueType | None, object, int]:
    if encoding in {12, 16}:
        text, at = _string(data, at)
        type_ = ValueType.SYMBOL if encoding == 12 else ValueType.TEXT
        return (None if text is None else type_), text, at
    if encoding == 13:
        ns = ticks_to_ns(_I64.unpack_from(data, at)[0])
        return (None if ns is None else ValueType.INT64), ns, at + 8
    if encoding == 14:
        return ValueType.SYMBOL, str(uuid.UUID(bytes_le=data[at : at + 16])), at + 16
    if encoding == 15:
        length = _I32.unpack_from(data, at)[0]
        if length == _NULL_STRING:
            return None, None, at + 4
        blob = data[at + 4 : at + 4 + length]
        if len(blob) != length or length > _STRING_MAX:
            raise Unusual("bytes beyond the message")
        return ValueType.BYTES, blob, at + 4 + length
    if encoding == 21:
        mask = data[at]
        at += 1
        if mask & 1:
            _, at = _string(data, at)
        text = None
        if mask & 2:
            text, at = _string(data, at)
        return (None if text is None else ValueType.SYMBOL), text, at
    raise Unusual(f"variant encoding {encoding}")


def _string(data: bytes, at: int) -> tuple[str | None, int]:
    length = _I32.unpack_from(data, at)[0]
    at += 4
    if length == _NULL_STRING:
        return None, at
    if not 0 <= length <= len(data) - at:
        raise Unusual("text beyond the message")
    return data[at : at + length].decode(), at + length
