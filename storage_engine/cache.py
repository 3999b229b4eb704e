"""A cache bounded in bytes: least recently used goes first."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

V = TypeVar("V")


class ByteCache(Generic[V]):
    """Values by key, up to a bound.

    Parameters
    ----------
    bytes_max : int
        Sum of the sizes told to :meth:`put`; a value above it is not kept.
    on_drop : callable, optional
        Called with each value that leaves.
    """

    def __init__(self, bytes_max: int, on_drop: Callable[[V], None] | None = None) -> None:
        self._bytes_max = bytes_max
        self._on_drop = on_drop
        self._lock = threading.Lock()
        self._entries: OrderedDict[Hashable, tuple[V, int]] = OrderedDict()
        self.size_bytes = 0

    def get(self, key: Hashable) -> V | None:
        """Value of a key, or None."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            self._entries.move_to_end(key)
            return entry[0]

    def put(self, key: Hashable, value: V, size_bytes: int) -> None:
        """Keep a value; older ones make room."""
        dropped = []
        with self._lock:
            old = self._entries.pop(key, None)
            if old is not None:
                self.size_bytes -= old[1]
                dropped.append(old[0])
            self._entries[key] = (value, size_bytes)
            self.size_bytes += size_bytes
            while self.size_bytes > self._bytes_max and self._entries:
                _, (gone, size) = self._entries.popitem(last=False)
                self.size_bytes -= size
                dropped.append(gone)
        if self._on_drop is not None:
            for gone in dropped:
                self._on_drop(gone)

    def clear(self) -> None:
        """Drop everything."""
        with self._lock:
            entries, self._entries = self._entries, OrderedDict()
            self.size_bytes = 0
        if self._on_drop is not None:
            for value, _ in entries.values():
                self._on_drop(value)
