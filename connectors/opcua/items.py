"""Our own registry of monitored items, and the rows their notifications become.

The registry is the truth; sessions and subscriptions are rebuilt from it. Handles are positions
in it and never reused.
"""

from dataclasses import dataclass

from connectors.columns import Rows
from connectors.opcua.notification import Change
from connectors.sink import Reject
from storage_engine.sample import EventBatch, SampleBatch, ValueType

_OVERFLOW_MASK = 0x0000_0C80
_OVERFLOW = 0x0000_0480  # info type data value, overflow bit
BAD_NODE_ID_INVALID = 0x8033_0000
BAD_NODE_ID_UNKNOWN = 0x8034_0000


@dataclass(slots=True)
class Item:
    """One monitored item.

    Attributes
    ----------
    handle : int
        Client handle: position in the registry.
    address : str
        Node id with its namespace uri: stays the same when a server renumbers namespaces.
    type : ValueType or None
        Declared or last seen; says in which series a null value belongs.
    live : bool
        Whether the server monitors it now.
    missing : bool
        Whether its absence was reported.
    """

    handle: int
    address: str
    type: ValueType | None = None
    live: bool = False
    missing: bool = False


class Registry:
    """Items by handle and by address."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self._by_address: dict[str, Item] = {}

    def add(self, address: str) -> Item:
        """Item of an address, new or known."""
        item = self._by_address.get(address)
        if item is None:
            item = self._by_address[address] = Item(len(self.items), address)
            self.items.append(item)
        return item

    def forget_session(self) -> None:
        """Mark every item as not monitored."""
        for item in self.items:
            item.live = False


class ChangeRows:
    """Collects changes in order and counts what was lost at the source."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._rows = Rows()
        self._rejects: list[Reject] = []
        self.overflows = 0
        self.newest_ns = 0

    @property
    def count(self) -> int:
        """Rows collected and not yet taken."""
        return self._rows.count

    def add(self, changes: list[Change], received_ns: int) -> None:
        """Add the changes of one notification.

        Parameters
        ----------
        changes : list of Change
        received_ns : int
            Time of receipt, for a server that sends no time at all.
        """
        items = self._registry.items
        for change in changes:
            if change.handle >= len(items):
                self._reject(f"handle {change.handle}", "got an unknown handle", received_ns)
                continue
            item = items[change.handle]
            timestamp_ns = change.source_ns
            if timestamp_ns is None:
                timestamp_ns = received_ns if change.server_ns is None else change.server_ns
            if change.problem:
                self._reject(item.address, change.problem, timestamp_ns)
                continue
            if change.type is not None:
                item.type = change.type
            status = change.status
            if status & _OVERFLOW_MASK == _OVERFLOW:
                self.overflows += 1
            if status in {BAD_NODE_ID_UNKNOWN, BAD_NODE_ID_INVALID} and not item.missing:
                item.missing, item.live = True, False
                self._reject(item.address, f"got status {status:#x}: the node is gone", received_ns)
            type_ = item.type or ValueType.FLOAT64
            self._rows.sample(type_, item.address, timestamp_ns, status, change.value)
            self.newest_ns = max(self.newest_ns, timestamp_ns)

    def take(self) -> tuple[tuple[SampleBatch | EventBatch, ...], tuple[Reject, ...]]:
        """Batches (one per value type, rows in order of arrival) and rejects since last time."""
        rejects, self._rejects = tuple(self._rejects), []
        return self._rows.take(), rejects

    def _reject(self, address: str, reason: str, timestamp_ns: int) -> None:
        text = f"cannot take value: {reason}, want a scalar of a known item"
        self._rejects.append(Reject(address, text, b"", timestamp_ns))
