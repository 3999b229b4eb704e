"""The answer to a Publish request as columns, without an object per number.

Scalars of every built-in type that a sample can hold are decoded in C. Anything else (arrays,
structures, diagnostics) raises Unusual, and the caller decodes that one message the general way.

References
----------
OPC 10000-6, 5.2: binary encoding of built-in types; OPC 10000-4, 5.13.5: Publish.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from connectors.opcua import publish
from connectors.opcua.variants import Tree
from storage_engine.sample import BoolArray, Int64Array, UInt32Array, UInt64Array, ValueType

_Bytes = npt.NDArray[np.uint8]
Columns = tuple[UInt32Array, _Bytes, UInt64Array, UInt32Array, Int64Array, Int64Array, _Bytes]
HAS_SOURCE, HAS_SERVER = 1, 2
_PACK = {
    ValueType.FLOAT64: struct.Struct("<d"),
    ValueType.FLOAT32: struct.Struct("<f4x"),
    ValueType.INT64: struct.Struct("<q"),
    ValueType.UINT64: struct.Struct("<Q"),
    ValueType.BOOL: struct.Struct("<?7x"),
}


class Unusual(Exception):  # noqa: N818 - a case, not a fault
    """The message holds something this decoder leaves to the general one."""


@dataclass(slots=True)
class Change:
    """One value of one monitored item, as the general decoder gives it.

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


@dataclass(frozen=True, slots=True, eq=False)
class Changes:
    """Values of monitored items, in the order of the message.

    Attributes
    ----------
    columns : tuple of arrays, shape (n,)
        handle uint32; type uint8, a ``ValueType`` or 0 for null; cell uint64, the bits of the value
        (integers and booleans extended to 64, float32 in the low half) or a place in ``objects``;
        status uint32; source and server time int64, ns; present uint8, ``HAS_SOURCE`` and
        ``HAS_SERVER`` for the times the server sent and int64 can hold.
    objects : list
        Strings and bytes.
    """

    columns: Columns
    objects: list[object]

    def __len__(self) -> int:
        return len(self.columns[0])

    def part(self, kept: BoolArray) -> "Changes":
        """The rows of a mask."""
        handle, type_, cell, status, source_ns, server_ns, present = self.columns
        columns = (
            handle[kept],
            type_[kept],
            cell[kept],
            status[kept],
            source_ns[kept],
            server_ns[kept],
            present[kept],
        )
        return Changes(columns, self.objects)


@dataclass(slots=True)
class Wide:
    """A list or a structure as one monitored item's value."""

    handle: int
    tree: Tree
    status: int
    source_ns: int | None
    server_ns: int | None


@dataclass(slots=True)
class Broken:
    """Part of a message that could not be read: why, and its bytes."""

    reason: str
    payload: bytes


@dataclass(slots=True, eq=False)
class Notification:
    """One Publish answer.

    ``sequence`` of a keep-alive (``data`` is False) is the number the next message will have.
    ``problems`` are changes that cannot be samples; ``published_ns`` is the server's own clock.
    ``wide`` are values of more than one sample, ``events`` (handle, fields), ``broken`` parts that
    could not be read.
    """

    subscription: int
    sequence: int
    data: bool
    changes: Changes
    problems: list[Change] = field(default_factory=list)
    status_changes: list[int] = field(default_factory=list)
    published_ns: int | None = None
    wide: list[Wide] = field(default_factory=list)
    events: list[tuple[int, list[Tree]]] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """About how many rows it becomes."""
        return len(self.changes) + len(self.wide) + len(self.events)


def decode_publish(data: bytes) -> Notification:
    """Decode a PublishResponse, or a RepublishResponse, which has subscription 0.

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
        found = publish.decode(data)
    except ValueError as error:
        raise Unusual(str(error)) from error
    subscription, sequence, published_ns, any_data, columns, objects, statuses = found
    return Notification(
        subscription,
        sequence,
        any_data,
        Changes(columns, objects),
        status_changes=statuses,
        published_ns=published_ns,
    )


def changes_of(rows: Sequence[Change]) -> Changes:
    """Columns of changes that came one by one."""
    objects: list[object] = []
    cells = []
    for row in rows:
        pack = None if row.type is None else _PACK.get(row.type)
        if pack is not None:
            cells.append(int.from_bytes(pack.pack(row.value), "little"))
            continue
        cells.append(len(objects))
        if row.type is not None:
            objects.append(row.value)
    present = [
        (row.source_ns is not None) * HAS_SOURCE | (row.server_ns is not None) * HAS_SERVER
        for row in rows
    ]
    columns = (
        np.array([row.handle for row in rows], np.uint32),
        np.array([row.type or 0 for row in rows], np.uint8),
        np.array(cells, np.uint64),
        np.array([row.status for row in rows], np.uint32),
        np.array([row.source_ns or 0 for row in rows], np.int64),
        np.array([row.server_ns or 0 for row in rows], np.int64),
        np.array(present, np.uint8),
    )
    return Changes(columns, objects)
