"""Lists and structures as samples: a series per element and field, or one text of JSON."""

import base64
import json
import math
from collections.abc import Iterator, Mapping

import numpy as np

from connectors.columns import Rows
from connectors.opcua.items import Registry
from connectors.opcua.notification import Changes, Wide
from connectors.opcua.rules import Shape
from connectors.opcua.variants import Leaf, Packed, Tree
from connectors.sink import Reject
from storage_engine.sample import EventBatch, SampleBatch, ValueType

BAD_NO_DATA = 0x809B_0000
_PAYLOAD_MAX = 4_096


class TooWide(ValueError):  # noqa: N818 - a property of the value
    """A value with more elements than the configuration allows."""


def leaves(address: str, tree: Tree, shape: Shape) -> dict[str, Leaf]:
    """Series and values of a tree.

    Parameters
    ----------
    address : str
        Of the node; elements are ``address[i]``, fields ``address.name``.
    tree : Tree
        Structures opened.
    shape : Shape

    Raises
    ------
    TooWide
    """
    found: dict[str, Leaf] = {}
    for name, leaf in _each(address, tree, shape):
        if len(found) >= shape.elements_max:
            raise TooWide(f"got a value of more than {shape.elements_max} elements")
        found[name] = leaf
    return found


def _each(address: str, tree: Tree, shape: Shape) -> Iterator[tuple[str, Leaf]]:
    if isinstance(tree, Leaf):
        yield address, tree
    elif isinstance(tree, Mapping):
        if shape.structures == "json":
            yield address, Leaf(ValueType.SYMBOL, as_json(tree))
            return
        for name, each in tree.items():
            yield from _each(f"{address}.{name}", each, shape)
    elif isinstance(tree, list):
        if shape.arrays == "json":
            yield address, Leaf(ValueType.SYMBOL, as_json(tree))
            return
        for place, each in enumerate(tree):
            yield from _each(f"{address}[{place}]", each, shape)


def as_json(tree: Tree) -> str:
    """A tree as JSON: bytes in base64, numbers that JSON lacks as text."""
    return json.dumps(_plain(tree), ensure_ascii=False, separators=(",", ":"))


def _plain(tree: Tree) -> object:
    if isinstance(tree, Leaf):
        value = tree.value
        if isinstance(value, bytes):
            return base64.b64encode(value).decode()
        if isinstance(value, float) and not math.isfinite(value):
            return str(value)
        return value
    if isinstance(tree, Packed):
        return {"type": tree.type, "body": base64.b64encode(tree.body or b"").decode()}
    if isinstance(tree, Mapping):
        return {name: _plain(each) for name, each in tree.items()}
    return [_plain(each) for each in tree]


class WideRows:
    """Samples of values that are more than a scalar.

    An element that a later value lacks gets a row without a value, BadNoData, and a value that is
    null a row in every series that its node has: nothing old stays current.

    Parameters
    ----------
    registry : Registry
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._rows = Rows()
        self._rejects: list[Reject] = []
        self._known: dict[int, dict[str, ValueType]] = {}  # handle -> address -> type

    @property
    def count(self) -> int:
        """Rows collected and not yet taken."""
        return self._rows.count

    def add(self, wide: Wide, received_ns: int) -> None:
        """Add a value of a known item."""
        address = self._registry.items[wide.handle].address
        shape = self._registry.shapes.get(wide.handle, Shape())
        time_ns = _time(wide.source_ns, wide.server_ns, received_ns)
        known = self._known.setdefault(wide.handle, {})
        try:
            found = leaves(address, wide.tree, shape)
        except TooWide as error:
            text = f"cannot take value: {error}, want at most elements_max"
            payload = as_json(wide.tree)[:_PAYLOAD_MAX].encode()
            self._rejects.append(Reject(address, text, payload, time_ns))
            return
        for name, leaf in found.items():
            type_ = leaf.type or known.get(name, ValueType.FLOAT64)
            known[name] = type_
            self._rows.sample(type_, name, time_ns, wide.status, leaf.value)
        for name, type_ in known.items():
            if name not in found:
                self._rows.sample(type_, name, time_ns, wide.status or BAD_NO_DATA, None)

    def take_nulls(self, changes: Changes, received_ns: int) -> Changes:
        """Take out rows without a value of items that have been wide; what is left."""
        if not self._known:
            return changes
        handle, type_, _, status, source_ns, server_ns, present = changes.columns
        mine = (type_ == 0) & np.isin(handle, list(self._known))
        if not mine.any():
            return changes
        for row in np.flatnonzero(mine).tolist():
            source = int(source_ns[row]) if present[row] & 1 else None
            server = int(server_ns[row]) if present[row] & 2 else None
            time_ns = _time(source, server, received_ns)
            for name, known in self._known[int(handle[row])].items():
                self._rows.sample(known, name, time_ns, int(status[row]), None)
        return changes.part(~mine)

    def take(self) -> tuple[tuple[SampleBatch | EventBatch, ...], list[Reject]]:
        """Batches and rejects since the last time."""
        rejects, self._rejects = self._rejects, []
        return (self._rows.take() if self._rows.count else ()), rejects


def _time(source_ns: int | None, server_ns: int | None, received_ns: int) -> int:
    if source_ns is not None:
        return source_ns
    return received_ns if server_ns is None else server_ns
