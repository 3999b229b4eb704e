"""First value of each item after its subscription was taken over or made anew.

A server sends the current value of every item then. Where it is the one we had last, nothing has
happened meanwhile and it is no news; where it is another, the time between may have had more.
"""

import numpy as np

from connectors.opcua.items import NEVER, Registry
from connectors.opcua.notification import HAS_SERVER, HAS_SOURCE, Changes
from storage_engine.sample import Int64Array, UInt64Array

_TEXTS = 6  # value types from here on keep their values in ``objects``


def cells_of(changes: Changes) -> UInt64Array:
    """Bits of each value, a hash of a text, 0 for null: equal for equal values."""
    types, cells = changes.columns[1], changes.columns[2]
    found = np.where(types == 0, np.uint64(0), cells)
    if changes.objects:
        for row in np.flatnonzero(types >= _TEXTS).tolist():
            found[row] = hash(changes.objects[int(cells[row])]) & 0xFFFF_FFFF_FFFF_FFFF
    return found


class FirstValues:
    """Waits for the first value of items.

    Parameters
    ----------
    registry : Registry

    Attributes
    ----------
    left : int
        Items whose value has not come.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._awaited = np.zeros(0, np.bool_)
        self._time_ns = np.zeros(0, np.int64)
        self._heard_ns = np.zeros(0, np.int64)
        self.left = 0

    def expect(self, handles: Int64Array) -> None:
        """Wait for the first value of these items, again where it came before."""
        missing = len(self._registry.items) - len(self._awaited)
        self._awaited = np.concatenate((self._awaited, np.zeros(missing, np.bool_)))
        self._time_ns = np.concatenate((self._time_ns, np.full(missing, NEVER)))
        self._heard_ns = np.concatenate((self._heard_ns, np.full(missing, NEVER)))
        self._awaited[handles] = True
        self._time_ns[handles] = self._heard_ns[handles] = NEVER
        self.left = int(self._awaited.sum())

    def forget(self) -> None:
        """Wait for nothing more."""
        self._awaited[:] = False
        self.left = 0

    def awaited(self, handle: int) -> bool:
        """Whether the first value of an item is still to come."""
        return bool(self._awaited[handle])

    def time_ns(self, handle: int) -> int:
        """Time of an item's first value; NEVER where none came or it was the one we had."""
        return int(self._time_ns[handle])

    def heard_ns(self, handle: int) -> int:
        """The server's time of the message that brought it; NEVER likewise."""
        return int(self._heard_ns[handle])

    def sift(self, changes: Changes, published_ns: int | None, received_ns: int) -> Changes:
        """Note first values; the changes without those that we had."""
        handles = changes.columns[0].astype(np.int64)
        known = np.flatnonzero(handles < len(self._awaited))
        rows = known[self._awaited[handles[known]]]
        if not len(rows):
            return changes
        found, first = np.unique(handles[rows], return_index=True)
        rows = rows[first]
        self._awaited[found] = False
        self.left -= len(found)
        _, _, _, _, source_ns, server_ns, present = (column[rows] for column in changes.columns)
        time_ns = np.where(present & HAS_SERVER, server_ns, received_ns)
        time_ns = np.where(present & HAS_SOURCE, source_ns, time_ns)
        had = time_ns == self._registry.last_ns[found]
        had &= cells_of(changes)[rows] == self._registry.last_cell[found]
        news = found[~had]
        self._time_ns[news] = time_ns[~had]
        self._heard_ns[news] = received_ns if published_ns is None else published_ns
        if not had.any():
            return changes
        kept = np.ones(len(handles), np.bool_)
        kept[rows[had]] = False
        return changes.part(kept)
