"""Structures that a server defines, read by their definition.

asyncua 2.1.0 makes classes of them in one table for the whole process, keyed by namespace numbers
that mean something else at the next server; here each session has a table of its own, and no
code is made of what a server says.

References
----------
OPC 10000-3, 8.48 and 8.49: StructureDefinition; OPC 10000-6, 5.2.7: encoding of fields.
"""

import dataclasses
import enum
import functools
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from asyncua import ua as asyncua_ua
from asyncua.common.utils import Buffer
from asyncua.ua import ua_binary as asyncua_binary

from connectors.opcua.address_space import AddressSpace
from connectors.opcua.variants import (
    NULL,
    Bytes,
    Leaf,
    NodeText,
    Packed,
    Tree,
    built_in,
    extension,
    matrix,
)
from storage_engine.sample import ValueType

ua: Any = asyncua_ua  # half of its names are not exported for type checkers
ua_binary: Any = asyncua_binary

_ROOT = "i=22"  # Structure
_BUILT_IN_MAX = 25
_ENUMERATION, _NUMBERS = "i=29", {"i=26", "i=27", "i=28"}
_TYPES_MAX = 100_000
_DEPTH_MAX = 32
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclasses.dataclass(frozen=True, slots=True)
class _Field:
    """``type`` is a built-in type's number, 0 for a structure of ``address``."""

    name: str
    type: int
    address: str
    rank: int
    optional: bool


@dataclasses.dataclass(frozen=True, slots=True)
class _Definition:
    kind: int  # 0 plain, 1 with optional fields, 2 union
    fields: tuple[_Field, ...]


class Structures:
    """Definitions of one session.

    Parameters
    ----------
    nodes : AddressSpace
    """

    def __init__(self, nodes: AddressSpace) -> None:
        self._nodes = nodes
        self._by_type: dict[str, _Definition] = {}
        self._by_encoding: dict[str, _Definition] = {}
        self._built_in: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._by_type)

    async def load(self) -> None:
        """Read the definitions of all structures outside the standard namespace.

        Raises
        ------
        SourceUnavailable
            If the line is lost.
        """
        types = [each for each in await self._subtypes() if each.startswith("nsu=")]
        definitions = await self._nodes.read(types, "DataTypeDefinition")
        for address, definition in zip(types, definitions, strict=True):
            fields = getattr(definition, "Fields", None)
            kind = getattr(definition, "StructureType", None)
            if not isinstance(kind, int) or int(kind) > 2:
                continue  # abstract, or with subtyped values
            made = []
            for each in fields or ():
                field_type = self._nodes.address_of(each.DataType)
                made.append(
                    _Field(
                        str(each.Name),
                        await self._built_in_of(field_type),
                        field_type,
                        int(each.ValueRank),
                        bool(each.IsOptional),
                    )
                )
            found = _Definition(int(kind), tuple(made))
            self._by_type[address] = found
            encoding = definition.DefaultEncodingId
            if encoding is not None:
                self._by_encoding[self._nodes.address_of(encoding)] = found

    async def _subtypes(self) -> list[str]:
        root = ua.NodeId(ua.ObjectIds.Structure)
        level, seen = [root], {root}
        while level and len(seen) < _TYPES_MAX:
            references, _ = await self._nodes.browser.follow(
                level, (ua.ObjectIds.HasSubtype,), references_max=_TYPES_MAX
            )
            level = []
            for each in (reference for several in references for reference in several):
                node = self._nodes.local(each.NodeId)
                if node is not None and node not in seen:
                    seen.add(node)
                    level.append(node)
        return [self._nodes.address_of(node) for node in seen]

    async def _built_in_of(self, address: str) -> int:
        """Built-in type that a data type is encoded as; 0 for a structure."""
        path: list[str] = []
        at: str | None = address
        found = 0
        while at and len(path) < _DEPTH_MAX:
            number = at.removeprefix("i=")
            if at in self._built_in:
                found = self._built_in[at]
            elif at == _ROOT:
                found = 0 if path else 22
            elif at == _ENUMERATION:
                found = 6
            elif at in _NUMBERS:
                found = 24
            elif at.startswith("i=") and number.isdecimal() and int(number) <= _BUILT_IN_MAX:
                found = int(number)
            else:
                path.append(at)
                at = await self._nodes.parent_type(at)
                continue
            break
        self._built_in.update(dict.fromkeys(path, found))
        return found

    def unpack(self, tree: Tree) -> Tree:
        """Open every structure of a tree; node ids get their namespaces' uris.

        Raises
        ------
        ValueError
            If one has a type that the server does not define, or bytes that do not fit it.
        """
        if isinstance(tree, list):
            return [self.unpack(each) for each in tree]
        if isinstance(tree, Packed):
            return self._open(tree)
        if isinstance(tree, Leaf) and isinstance(tree.value, NodeText):
            return Leaf(tree.type, self._stable(tree.value))
        return tree

    def _open(self, packed: Packed) -> Tree:
        if packed.body is None:
            raise ValueError(f"got a structure {packed.type} that is not binary")
        address = self._stable(packed.type)
        definition = self._by_encoding.get(address)
        if definition is not None:
            return self._fields(Bytes(packed.body), definition, 0)
        if packed.type.startswith("i="):
            return _standard(packed)
        raise ValueError(f"got a structure {address} that the server does not define")

    def _stable(self, node_id: str) -> str:
        index, _, rest = node_id.removeprefix("ns=").partition(";")
        known = self._nodes.namespaces
        if node_id.startswith("ns=") and int(index) < len(known):
            return f"nsu={known[int(index)]};{rest}"
        return str(node_id)

    def _fields(self, data: Bytes, definition: _Definition, depth: int) -> dict[str, Any]:
        if depth > _DEPTH_MAX:
            raise ValueError(f"got structures nested deeper than {_DEPTH_MAX}")
        fields = definition.fields
        if definition.kind == 2:
            chosen = int.from_bytes(data.take(4), "little")
            if chosen > len(fields):
                raise ValueError(f"got member {chosen} of a union of {len(fields)}")
            fields = fields[chosen - 1 : chosen] if chosen else ()
            return {each.name: self._field(data, each, depth) for each in fields}
        mask = int.from_bytes(data.take(4), "little") if definition.kind == 1 else 0
        found: dict[str, Any] = {}
        place = 0
        for each in fields:
            present = True
            if definition.kind == 1 and each.optional:
                present = bool(mask >> place & 1)
                place += 1
            found[each.name] = self._field(data, each, depth) if present else NULL
        return found

    def _field(self, data: Bytes, field: _Field, depth: int) -> Tree:
        if field.rank < 0:
            return self._one(data, field, depth)
        if field.rank > 1:
            shape = [
                int.from_bytes(data.take(4), "little", signed=True) for _ in range(data.count())
            ]
            cells = 1
            for size in shape:
                cells *= max(size, 0)
            if cells > data.left:
                raise ValueError(f"got a matrix of {cells} in {data.left} bytes")
            return matrix([self._one(data, field, depth) for _ in range(cells)], shape)
        count = data.count()
        return [self._one(data, field, depth) for _ in range(count)] if count >= 0 else NULL

    def _one(self, data: Bytes, field: _Field, depth: int) -> Tree:
        if field.type == 22:
            return self.unpack(extension(data))
        if field.type:
            return self.unpack(built_in(data, field.type, depth + 1))
        definition = self._by_type.get(field.address)
        if definition is not None:
            return self._fields(data, definition, depth + 1)
        return _standard_field(data, field.address)


def _standard(packed: Packed) -> Tree:
    """A structure of the standard namespace, which asyncua knows."""
    assert packed.body is not None
    cls = ua.extension_objects_by_typeid.get(ua.NodeId.from_string(packed.type))
    if cls is None:
        raise ValueError(f"got a structure {packed.type} that is not known")
    return _plain(_decoded(cls, Buffer(packed.body)), 0)


def _standard_field(data: Bytes, address: str) -> Tree:
    cls = _standard_types().get(address)
    if cls is None:
        raise ValueError(f"got a field of type {address} that the server does not define")
    buffer = Buffer(data.data, data.at)
    found = _plain(_decoded(cls, buffer), 0)
    data.take(data.left - len(buffer))
    return found


@functools.cache
def _standard_types() -> dict[str, Any]:
    """Classes of asyncua by the node id of their data type."""
    found = {}
    for cls in ua.extension_objects_by_typeid.values():
        node = getattr(cls, "data_type", None)
        if node is not None and not node.NamespaceIndex:
            found[node.to_string()] = cls
    return found


def _decoded(cls: Any, buffer: Any) -> Any:
    try:
        return ua_binary.from_binary(cls, buffer)
    except Exception as error:  # struct.error, and whatever else a hostile body provokes
        raise ValueError(f"got bytes that are no {cls.__name__}: {error!r}") from error


def _plain(value: Any, depth: int) -> Tree:
    """What asyncua decoded as a tree."""
    if value is None or depth > _DEPTH_MAX:
        return NULL
    if isinstance(value, list | tuple):
        return [_plain(each, depth + 1) for each in value]
    kinds: Mapping[type, ValueType] = {
        bool: ValueType.BOOL,
        float: ValueType.FLOAT64,
        str: ValueType.SYMBOL,
        bytes: ValueType.BYTES,
    }
    if isinstance(value, enum.Enum):
        value = value.value
    if type(value) in kinds:
        return Leaf(kinds[type(value)], value)
    if isinstance(value, int):
        return Leaf(ValueType.INT64 if value < 1 << 63 else ValueType.UINT64, int(value))
    if isinstance(value, datetime):
        since = (value if value.tzinfo else value.replace(tzinfo=UTC)) - _EPOCH
        ns = ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000
        return Leaf(ValueType.INT64, ns) if 1680 < value.year < 2260 else NULL
    if isinstance(value, ua.LocalizedText):
        return Leaf(ValueType.SYMBOL, value.Text) if value.Text is not None else NULL
    if isinstance(value, ua.StatusCode):
        return Leaf(ValueType.INT64, int(value.value))
    if isinstance(value, ua.NodeId | ua.QualifiedName):
        return Leaf(ValueType.SYMBOL, value.to_string())
    if isinstance(value, ua.Variant | ua.DataValue):
        return _plain(value.Value, depth + 1)
    if dataclasses.is_dataclass(value):
        return {
            each.name: _plain(getattr(value, each.name), depth + 1)
            for each in dataclasses.fields(value)
            if not each.name.startswith("_") and each.name not in {"TypeId", "Encoding"}
        }
    return Leaf(ValueType.SYMBOL, str(value))
