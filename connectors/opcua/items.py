"""Our own registry of monitored items.

The registry is the truth; sessions and subscriptions are rebuilt from it. Handles are positions
in it and never reused.
"""

from copy import copy
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from connectors.opcua.rules import Shape
from storage_engine.sample import Int64Array, UInt64Array, ValueType

NEVER = -(1 << 63)
_ROOM = 64


@dataclass(slots=True)
class Item:
    """One monitored item.

    Attributes
    ----------
    handle : int
        Client handle: position in the registry.
    address : str
        Node id with its namespace uri: stays the same when a server renumbers namespaces.
    live : bool
        Whether the server monitors it now.
    missing : bool
        Whether its absence was reported.
    described : bool
        Whether its node was looked at: type, facts, shape.
    subscription : int
        Id of the subscription it was given to, 0 for none.
    """

    handle: int
    address: str
    live: bool = False
    missing: bool = False
    described: bool = False
    subscription: int = 0


class Registry:
    """Items by handle and by address."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self._by_address: dict[str, Item] = {}
        self._types = np.zeros(_ROOM, np.uint8)
        self._last_ns = np.full(_ROOM, NEVER, np.int64)
        self._last_cell = np.zeros(_ROOM, np.uint64)
        self._addresses: tuple[str, ...] = ()
        self.shapes: dict[int, Shape] = {}  # by handle, where it is not the default

    def add(self, address: str) -> Item:
        """Item of an address, new or known."""
        item = self._by_address.get(address)
        if item is None:
            item = self._by_address[address] = Item(len(self.items), address)
            self.items.append(item)
            if len(self.items) > len(self._types):
                self._grow()
        return item

    def _grow(self) -> None:
        self._types = np.concatenate((self._types, np.zeros_like(self._types)))
        self._last_cell = np.concatenate((self._last_cell, np.zeros_like(self._last_cell)))
        never = np.full_like(self._last_ns, NEVER)
        self._last_ns = np.concatenate((self._last_ns, never))

    def past(self) -> "Registry":
        """The same items, for values of another time: what is learned of them stays in here."""
        found = copy(self)
        found.unshare()
        return found

    def unshare(self) -> None:
        """Learn apart from the registry that this one was copied from."""
        self._types, self._last_ns = self._types.copy(), self._last_ns.copy()
        self._last_cell = self._last_cell.copy()

    def find(self, address: str) -> Item | None:
        """Item of an address, if there is one."""
        return self._by_address.get(address)

    @property
    def types(self) -> npt.NDArray[np.uint8]:
        """Type of each item, declared or last seen, 0 where unknown; may be written to.

        It says in which series a null value belongs.
        """
        return self._types[: len(self.items)]

    @property
    def last_ns(self) -> Int64Array:
        """Latest time of each item's values, NEVER where there was none; may be written to."""
        return self._last_ns[: len(self.items)]

    @property
    def last_cell(self) -> UInt64Array:
        """Bits of the value that each item had last, a hash of a text; may be written to."""
        return self._last_cell[: len(self.items)]

    @property
    def addresses(self) -> tuple[str, ...]:
        """Address of each item; the same object until an item is added."""
        if len(self._addresses) != len(self.items):
            self._addresses = tuple(item.address for item in self.items)
        return self._addresses

    def declare(self, item: Item, type_: ValueType | None) -> None:
        """Set the type of an item as its node declares it."""
        self._types[item.handle] = type_ or 0
