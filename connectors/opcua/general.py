"""Messages that the fast decoder leaves aside: arrays, structures, events, diagnostics.

A part that cannot be read is named with its bytes, and the rest of the message goes on: a message
that is dropped would be lost, and one that ends the session would come again at the next.

References
----------
OPC 10000-4, 5.14.5 (Publish), 5.14.6 (Republish), 7.25 (NotificationMessage).
"""

import struct

from connectors.opcua.notification import Broken, Change, Notification, Wide, changes_of
from connectors.opcua.structures import Structures
from connectors.opcua.variants import (
    NULL,
    Bytes,
    Leaf,
    Packed,
    Tree,
    Value,
    built_in,
    data_value,
    extension,
    ticks_to_ns,
    variant,
)

_PUBLISH, _REPUBLISH = "i=829", "i=835"
_DATA_CHANGE, _EVENTS, _STATUS_CHANGE = "i=811", "i=916", "i=820"
_DIAGNOSTICS = 25
_U32, _I64 = struct.Struct("<I"), struct.Struct("<q")


def decode_general(body: bytes, structures: Structures) -> Notification:
    """Decode a PublishResponse or a RepublishResponse (then of subscription 0) of any content.

    Parameters
    ----------
    body : bytes
        Message body, from its type id on.
    structures : Structures
        Definitions of the session.

    Raises
    ------
    ValueError
        If not even subscription and sequence can be read.
    """
    data = Bytes(body)
    kind = data.node_id()
    if kind not in {_PUBLISH, _REPUBLISH}:
        raise ValueError(f"got message {kind}, want an answer to Publish")
    data.take(8 + 4 + 4)
    built_in(data, _DIAGNOSTICS)
    for _ in range(data.count()):
        data.text()
    extension(data)
    subscription = 0
    if kind == _PUBLISH:
        subscription = data.one(_U32)
        data.take(4 * max(0, data.count()))
        data.take(1)  # more notifications
    sequence = data.one(_U32)
    published_ns = ticks_to_ns(data.one(_I64))
    reading = Reading(structures)
    parts = 0
    try:
        parts = max(0, data.count())
        for _ in range(parts):
            part = extension(data)
            if isinstance(part, Packed) and part.body is not None:
                reading.part(part.type, part.body)
    except ValueError as error:
        reading.broken.append(Broken(f"cannot read message: {error}", body[data.at :]))
        parts = max(parts, 1)
    return Notification(
        subscription,
        sequence,
        parts > 0,
        changes_of(reading.changes),
        reading.problems,
        reading.statuses,
        published_ns,
        reading.wide,
        reading.events,
        reading.broken,
    )


class Reading:
    """Collects what the parts of a message, or the values of an archive, hold."""

    def __init__(self, structures: Structures) -> None:
        self._structures = structures
        self.changes: list[Change] = []
        self.problems: list[Change] = []
        self.statuses: list[int] = []
        self.wide: list[Wide] = []
        self.events: list[tuple[int, list[Tree]]] = []
        self.broken: list[Broken] = []

    def part(self, kind: str, body: bytes) -> None:
        """Read one part; what is broken in it is named."""
        data = Bytes(body)
        start = 0
        try:
            if kind == _STATUS_CHANGE:
                self.statuses.append(data.one(_U32))
            elif kind == _DATA_CHANGE:
                for _ in range(data.count()):
                    start = data.at
                    self.change(data.one(_U32), data_value(data), body[start : data.at])
            elif kind == _EVENTS:
                for _ in range(data.count()):
                    start = data.at
                    handle = data.one(_U32)
                    fields = [variant(data) for _ in range(data.count())]
                    self.events.append((handle, [self._field(each) for each in fields]))
            else:
                self.broken.append(Broken(f"cannot read part: got type {kind}", body))
        except ValueError as error:
            self.broken.append(Broken(f"cannot read part {kind}: {error}", body[start:]))

    def _field(self, tree: Tree) -> Tree:
        try:
            return self._structures.unpack(tree)
        except ValueError as error:
            payload = tree.body if isinstance(tree, Packed) else None
            self.broken.append(Broken(f"cannot read field of event: {error}", payload or b""))
            return NULL

    def change(self, handle: int, value: Value, raw: bytes) -> None:
        """Take a value; ``raw`` are its bytes, kept where nobody can read them."""
        times = value.source_ns, value.server_ns
        try:
            tree = self._structures.unpack(value.tree)
        except ValueError as error:
            problem = Change(handle, None, None, value.status, *times, problem=str(error))
            problem.value = raw
            self.problems.append(problem)
            return
        if isinstance(tree, Leaf):
            self.changes.append(Change(handle, tree.type, tree.value, value.status, *times))
        else:
            self.wide.append(Wide(handle, tree, value.status, *times))
