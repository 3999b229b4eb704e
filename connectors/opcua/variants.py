"""Any value of OPC UA's binary encoding as a tree: leaves of our value types, lists, named fields.

Everything that does not fit the fast decoder comes here. Bodies of structures are left as bytes
with their type, because their length is known: a structure that nobody can read costs itself and
not the message around it.

References
----------
OPC 10000-6, 5.2.2: built-in types.
"""

import struct
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from storage_engine.sample import ValueType

_EPOCH_TICKS = 116_444_736_000_000_000  # 1601 to 1970 in 100 ns
_INT64_MAX = (1 << 63) - 1
_DEPTH_MAX = 32
_CELLS_MAX = 1_000_000


class Leaf(NamedTuple):
    """A scalar: ``type`` says in which series it belongs; None is null."""

    type: ValueType | None
    value: object


class NodeText(str):
    """A node id as text, its namespace a number of the session."""

    __slots__ = ()


@dataclass(slots=True)
class Packed:
    """A structure as it came: node id of its encoding (``ns=2;i=5001``), body."""

    type: str
    body: bytes | None


Tree = Leaf | Packed | list[Any] | dict[str, Any]
NULL = Leaf(None, None)


@dataclass(slots=True)
class Value:
    """A DataValue."""

    tree: Tree
    status: int
    source_ns: int | None
    server_ns: int | None


def ticks_to_ns(ticks: int) -> int | None:
    """Nanoseconds since 1970 of a DateTime; None for unset and out of int64."""
    if ticks <= 0:
        return None
    ns = (ticks - _EPOCH_TICKS) * 100
    return ns if -_INT64_MAX <= ns <= _INT64_MAX else None


class Bytes:
    """Reads untrusted bytes; ValueError past their end.

    Parameters
    ----------
    data : bytes
    at : int
        Where to begin.
    """

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data = data
        self.at = at

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return len(self.data) - self.at

    def take(self, size: int) -> bytes:
        """So many bytes."""
        if not 0 <= size <= self.left:
            raise ValueError(f"got {self.left} bytes, want {size}")
        self.at += size
        return self.data[self.at - size : self.at]

    def one(self, layout: struct.Struct) -> Any:
        """One number."""
        return layout.unpack(self.take(layout.size))[0]

    def count(self) -> int:
        """Length of an array; -1 for null. Every element has at least a byte."""
        found: int = self.one(_I32)
        if found > self.left:
            raise ValueError(f"got {found} elements in {self.left} bytes")
        return max(found, -1)

    def blob(self) -> bytes | None:
        """ByteString, or null."""
        size = self.count()
        return None if size < 0 else self.take(size)

    def text(self) -> str | None:
        """String, or null."""
        found = self.blob()
        return None if found is None else found.decode("utf-8", "replace")

    def node_id(self) -> str:
        """NodeId or ExpandedNodeId, as text."""
        kind = self.take(1)[0]
        match kind & 0x3F:
            case 0:
                index, rest = 0, f"i={self.take(1)[0]}"
            case 1:
                index, rest = self.take(1)[0], f"i={self.one(_U16)}"
            case 2:
                index, rest = self.one(_U16), f"i={self.one(_U32)}"
            case 3:
                index, rest = self.one(_U16), f"s={self.text() or ''}"
            case 4:
                index, rest = self.one(_U16), f"g={uuid.UUID(bytes_le=self.take(16))}"
            case 5:
                index, rest = self.one(_U16), f"b={(self.blob() or b'').hex()}"
            case _:
                raise ValueError(f"got node id encoding {kind:#x}")
        uri = self.text() if kind & 0x80 else None
        if kind & 0x40:
            rest = f"svr={self.one(_U32)};{rest}"
        if uri:
            return f"nsu={uri};{rest}"
        return f"ns={index};{rest}" if index else rest


_U16, _U32, _I32 = struct.Struct("<H"), struct.Struct("<I"), struct.Struct("<i")
_I64 = struct.Struct("<q")
_NUMBERS: dict[int, tuple[struct.Struct, ValueType]] = {
    1: (struct.Struct("<?"), ValueType.BOOL),
    2: (struct.Struct("<b"), ValueType.INT64),
    3: (struct.Struct("<B"), ValueType.INT64),
    4: (struct.Struct("<h"), ValueType.INT64),
    5: (_U16, ValueType.INT64),
    6: (_I32, ValueType.INT64),
    7: (_U32, ValueType.INT64),
    8: (_I64, ValueType.INT64),
    9: (struct.Struct("<Q"), ValueType.UINT64),
    10: (struct.Struct("<f"), ValueType.FLOAT32),
    11: (struct.Struct("<d"), ValueType.FLOAT64),
    19: (_U32, ValueType.INT64),
}


def _leaf(type_: ValueType, value: object) -> Leaf:
    return NULL if value is None else Leaf(type_, value)


def _localized(data: Bytes) -> Leaf:
    mask = data.take(1)[0]
    if mask & 1:
        data.text()  # the language
    return _leaf(ValueType.SYMBOL, data.text() if mask & 2 else None)


def _qualified(data: Bytes) -> Leaf:
    index, name = data.one(_U16), data.text()
    if name is None:
        return NULL
    return Leaf(ValueType.SYMBOL, f"{index}:{name}" if index else name)


def _time(data: Bytes) -> Leaf:
    return _leaf(ValueType.INT64, ticks_to_ns(data.one(_I64)))


_OTHERS: dict[int, Callable[[Bytes], Leaf]] = {
    12: lambda data: _leaf(ValueType.SYMBOL, data.text()),
    13: _time,
    14: lambda data: Leaf(ValueType.SYMBOL, str(uuid.UUID(bytes_le=data.take(16)))),
    15: lambda data: _leaf(ValueType.BYTES, data.blob()),
    16: lambda data: _leaf(ValueType.TEXT, data.text()),
    17: lambda data: Leaf(ValueType.SYMBOL, NodeText(data.node_id())),
    18: lambda data: Leaf(ValueType.SYMBOL, NodeText(data.node_id())),
    20: _qualified,
    21: _localized,
}


def built_in(data: Bytes, type_: int, depth: int = 0) -> Tree:
    """One value of a built-in type.

    Parameters
    ----------
    data : Bytes
    type_ : int
        Its number, 1 to 25.
    depth : int
        How deep this is within others.
    """
    if depth > _DEPTH_MAX:
        raise ValueError(f"got values nested deeper than {_DEPTH_MAX}")
    if type_ in _NUMBERS:
        layout, value_type = _NUMBERS[type_]
        return Leaf(value_type, data.one(layout))
    if type_ in _OTHERS:
        return _OTHERS[type_](data)
    match type_:
        case 0:
            return NULL
        case 22:
            return extension(data)
        case 23:
            return data_value(data, depth + 1).tree
        case 24:
            return variant(data, depth + 1)
        case 25:
            _diagnostic(data, depth)
            return NULL
    raise ValueError(f"got built-in type {type_}")


def extension(data: Bytes) -> Tree:
    """ExtensionObject."""
    type_, kind = data.node_id(), data.take(1)[0]
    if kind not in {0, 1, 2}:
        raise ValueError(f"got encoding {kind} of a structure")
    body = data.blob() if kind else None
    if type_ == "i=0":
        return NULL
    return Packed(type_, body if kind == 1 else None)


def variant(data: Bytes, depth: int = 0) -> Tree:
    """Variant: a scalar, an array as a list, a matrix as lists in lists."""
    encoding = data.take(1)[0]
    type_ = encoding & 0x3F
    if not encoding & 0x80:
        return built_in(data, type_, depth)
    count = data.count()
    flat = [built_in(data, type_, depth) for _ in range(count)]
    shape = [data.one(_I32) for _ in range(data.count())] if encoding & 0x40 else []
    if count < 0:
        return NULL
    return matrix(flat, shape)


def matrix(flat: list[Any], shape: list[int]) -> list[Any]:
    """Lists in lists of elements that lie row by row."""
    cells = 1
    for size in shape:
        cells *= size
    if len(shape) < 2 or min(shape) <= 0 or cells != len(flat) or cells > _CELLS_MAX:
        return flat
    for size in reversed(shape[1:]):
        flat = [flat[start : start + size] for start in range(0, len(flat), size)]
    return flat


def data_value(data: Bytes, depth: int = 0) -> Value:
    """DataValue."""
    mask = data.take(1)[0]
    tree = variant(data, depth) if mask & 1 else NULL
    status = data.one(_U32) if mask & 2 else 0
    source_ns = ticks_to_ns(data.one(_I64)) if mask & 4 else None
    data.take(2 if mask & 16 else 0)  # picoseconds: below the nanosecond
    server_ns = ticks_to_ns(data.one(_I64)) if mask & 8 else None
    data.take(2 if mask & 32 else 0)
    return Value(tree, status, source_ns, server_ns)


def _diagnostic(data: Bytes, depth: int) -> None:
    if depth > _DEPTH_MAX:
        raise ValueError(f"got values nested deeper than {_DEPTH_MAX}")
    mask = data.take(1)[0]
    data.take(4 * (mask & 0x0F).bit_count())
    if mask & 0x10:
        data.blob()
    if mask & 0x20:
        data.take(4)
    if mask & 0x40:
        _diagnostic(data, depth + 1)
