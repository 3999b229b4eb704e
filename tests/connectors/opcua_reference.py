"""A decoder of Publish answers, row by row in Python: what the compiled one must say."""

import struct
import uuid

import numpy as np

from connectors.opcua.notification import HAS_SERVER, HAS_SOURCE, Change
from storage_engine.sample import ValueType

EPOCH_TICKS = 116_444_736_000_000_000  # 1601 to 1970 in 100 ns
INT64_MAX = (1 << 63) - 1
FIXED = {
    1: ("<?", ValueType.BOOL),
    2: ("<b", ValueType.INT64),
    3: ("<B", ValueType.INT64),
    4: ("<h", ValueType.INT64),
    5: ("<H", ValueType.INT64),
    6: ("<i", ValueType.INT64),
    7: ("<I", ValueType.INT64),
    8: ("<q", ValueType.INT64),
    9: ("<Q", ValueType.UINT64),
    10: ("<f", ValueType.FLOAT32),
    11: ("<d", ValueType.FLOAT64),
    19: ("<I", ValueType.INT64),
}
LAYOUT = {
    ValueType.FLOAT64: "<d",
    ValueType.FLOAT32: "<f4x",
    ValueType.INT64: "<q",
    ValueType.UINT64: "<Q",
    ValueType.BOOL: "<Q",
}


class BrokenError(Exception):
    """The bytes are not plain."""


class Bytes:
    """Some bytes and a place in them."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        if not 0 <= size <= len(self.data) - self.at:
            raise BrokenError
        self.at += size
        return self.data[self.at - size : self.at]

    def unpack(self, layout):
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def want(self, *choices):
        if self.take(len(choices[0])) not in choices:
            raise BrokenError

    def words(self):
        self.take(4 * max(0, self.unpack("<i")))

    def no_diagnostics(self):
        for _ in range(self.unpack("<i")):
            self.want(b"\0")

    def end(self):
        if self.at != len(self.data):
            raise BrokenError

    def string(self):
        length = self.unpack("<i")
        return None if length == -1 else self.take(length)

    def text(self):
        found = self.string()
        return None if found is None else found.decode()


def ticks_to_ns(ticks):
    """None for unset and out of int64."""
    ns = (ticks - EPOCH_TICKS) * 100
    return ns if ticks > 0 and -INT64_MAX <= ns <= INT64_MAX else None


def decode(data):
    """Subscription, sequence, whether there are data, changes, status codes; or BrokenError."""
    try:
        return _message(Bytes(data))
    except UnicodeDecodeError as error:
        raise BrokenError from error


def _message(found):
    found.want(b"\x01\x00\x3d\x03")
    found.take(12)
    if found.unpack("<I") & 0x8000_0000:
        raise BrokenError
    found.want(b"\0")
    if found.unpack("<i") > 0:
        raise BrokenError
    found.want(b"\0\0\0")
    subscription = found.unpack("<I")
    found.words()
    found.take(1)
    sequence = found.unpack("<I")
    found.take(8)
    parts = max(0, found.unpack("<i"))
    changes, statuses = [], []
    for _ in range(parts):
        found.want(b"\x01\x00")
        kind = found.unpack("<H")
        found.want(b"\x01")
        body = Bytes(found.take(found.unpack("<i")))
        if kind == 820:
            statuses.append(body.unpack("<I"))
            body.want(b"\0")
        elif kind == 811:
            changes += [_item(body) for _ in range(body.unpack("<i"))]
            body.no_diagnostics()
        else:
            raise BrokenError
        body.end()
    found.words()
    found.no_diagnostics()
    found.end()
    return subscription, sequence, parts > 0, changes, statuses


def _item(body):
    handle, mask = body.unpack("<I"), body.unpack("B")
    if mask & 0xC0:
        raise BrokenError
    type_, value = _variant(body) if mask & 1 else (None, None)
    status = body.unpack("<I") if mask & 2 else 0
    source_ns = ticks_to_ns(body.unpack("<q")) if mask & 4 else None
    body.take(2 if mask & 16 else 0)
    server_ns = ticks_to_ns(body.unpack("<q")) if mask & 8 else None
    body.take(2 if mask & 32 else 0)
    return Change(handle, type_, value, status, source_ns, server_ns)


def _variant(body):
    encoding = body.unpack("B")
    if encoding in FIXED:
        layout, type_ = FIXED[encoding]
        value = body.unpack(layout)
        return type_, bool(value) if type_ is ValueType.BOOL else value
    value, type_ = None, ValueType.SYMBOL
    if encoding == 12:
        value = body.text()
    elif encoding == 13:
        value, type_ = ticks_to_ns(body.unpack("<q")), ValueType.INT64
    elif encoding == 14:
        value = str(uuid.UUID(bytes_le=body.take(16)))
    elif encoding == 15:
        value, type_ = body.string(), ValueType.BYTES
        if value is not None and len(value) > 1 << 24:
            raise BrokenError
    elif encoding == 16:
        value, type_ = body.text(), ValueType.TEXT
    elif encoding == 21:
        mask = body.unpack("B")
        if mask & 0xFC:
            raise BrokenError
        if mask & 1:
            body.string()
        value = body.text() if mask & 2 else None
    elif encoding:
        raise BrokenError
    return (None if value is None else type_), value


def rows_of(changes):
    """Changes one by one, from their columns."""
    columns = (column.tolist() for column in changes.columns)
    rows = []
    for handle, type_, cell, status, source_ns, server_ns, present in zip(*columns, strict=True):
        value = None
        if type_ in LAYOUT:
            value = struct.unpack(LAYOUT[type_], struct.pack("<Q", cell))[0]
            value = bool(value) if type_ == ValueType.BOOL else value
        elif type_:
            value = changes.objects[cell]
        source = source_ns if present & HAS_SOURCE else None
        server = server_ns if present & HAS_SERVER else None
        rows.append(
            Change(handle, ValueType(type_) if type_ else None, value, status, source, server)
        )
    return rows


def alike(one, other):
    """Whether changes are the same, values by their bits: a NaN is itself."""

    def bits(change):
        value = change.value
        if isinstance(value, float):
            value = np.float64(value).tobytes() if value == value else "nan"  # noqa: PLR0124
        return change.handle, change.type, value, change.status, change.source_ns, change.server_ns

    return [bits(change) for change in one] == [bits(change) for change in other]
