"""Rows on their way from a plant to its OPC UA clients: who monitors what, and what is still owed.

Pure bookkeeping, no protocol. Two ways to treat a slow or absent client:

* live (``keep=False``): as real servers do, an outbox drops its oldest row and the next row of
  that node carries the overflow bit;
* kept (``keep=True``): nothing is dropped. Rows count as held until a client acknowledges them,
  and what a lost subscription did not acknowledge goes to the one that monitors the node next.
  One client at a time.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from connectors.simulator.node import Row, Value

UNACKNOWLEDGED_FACTOR = 8
OVERFLOW = 0x480  # InfoType DataValue and the overflow bit, OPC 10000-4, 7.39


class Outbox:
    """Rows of one subscription: waiting to be sent, and sent but not acknowledged."""

    def __init__(self, source: "Source") -> None:
        self._source = source
        self.waiting: deque[tuple[int, Row]] = deque()
        self.sent: dict[int, list[tuple[int, Row]]] = {}
        self._lost: set[int] = set()

    def put(self, handle: int, row: Row) -> None:
        """Queue a row; a full live outbox loses its oldest one and marks the node."""
        if not self._source.keep and len(self.waiting) >= self._source.rows_max:
            self._lost.add(self.waiting.popleft()[1][0])
            self._source.overflowed += 1
        self.waiting.append((handle, row))

    def take(self, sequence: int, count_max: int) -> list[tuple[int, Row]]:
        """Rows for the message with this sequence number, oldest first; [] when there are none."""
        count = min(len(self.waiting), count_max)
        rows = [self.waiting.popleft() for _ in range(count)]
        if self._lost:
            rows = [(handle, self._flagged(row)) for handle, row in rows]
        if rows:
            self.sent[sequence] = rows
            self._source.hand_over(len(rows))
        return rows

    def _flagged(self, row: Row) -> Row:
        if row[0] not in self._lost:
            return row
        self._lost.discard(row[0])
        return (row[0], row[1], row[2] | OVERFLOW, row[3])

    def acknowledge(self, sequence: int) -> None:
        """The client has this message."""
        rows = self.sent.pop(sequence, None)
        if rows:
            self._source.release(len(rows))

    def empty_into(self, orphans: list[deque[Row]]) -> None:
        """Give back what was not acknowledged, oldest first."""
        for rows in self.sent.values():
            self._source.hand_over(-len(rows))
            for _, row in rows:
                orphans[row[0]].append(row)
        for _, row in self.waiting:
            orphans[row[0]].append(row)
        self.sent.clear()
        self.waiting.clear()


@dataclass(eq=False, slots=True)
class Monitor:
    """A client's interest in one node.

    ``every_time`` is False when the client wants a row only if value or status changed.
    """

    outbox: Outbox
    handle: int
    every_time: bool
    active: bool = True
    previous: tuple[int, Value] | None = None

    def wants(self, row: Row) -> bool:
        """Whether this row is reported to the client."""
        if not self.active:
            return False
        if self.every_time:
            return True
        changed = self.previous != row[2:]
        self.previous = row[2:]
        return changed


class Source:
    """Newest row per node, its monitors, and what nobody has taken yet.

    Parameters
    ----------
    count : int
        Number of nodes; rows name them 0 .. count - 1.
    keep : bool
        See the module's docstring.
    rows_max : int
        Bound of rows waiting: per outbox when live, in all when kept (there ``full`` tells, and
        the one who offers waits). When kept, as many again times ``UNACKNOWLEDGED_FACTOR`` may
        be with the client: it acknowledges with its next request, which it sends when it gets
        more, so counting those in would stop both.
    """

    def __init__(self, count: int, *, keep: bool, rows_max: int) -> None:
        self.keep = keep
        self.rows_max = rows_max
        self.current: list[Row | None] = [None] * count
        self.monitors: list[list[Monitor]] = [[] for _ in range(count)]
        self.held = 0  # rows that no client has acknowledged; counted when kept only
        self.acknowledged = 0
        self.overflowed = 0
        self.moved = asyncio.Event()  # held or monitors changed
        self._sent = 0
        self._orphans: list[deque[Row]] = [deque() for _ in range(count)]

    @property
    def full(self) -> bool:
        """Whether the next rows must wait."""
        if not self.keep:
            return False
        waiting = self.held - self._sent
        return waiting >= self.rows_max or self._sent >= self.rows_max * UNACKNOWLEDGED_FACTOR

    def offer(self, rows: Iterable[Row]) -> None:
        """Hand rows to whoever monitors their nodes, in order."""
        for row in rows:
            node = row[0]
            self.current[node] = row
            monitors = self.monitors[node]
            if not monitors and self.keep:
                self._orphans[node].append(row)
                self.held += 1
            for monitor in monitors:
                self._enqueue(monitor, row)

    def _enqueue(self, monitor: Monitor, row: Row) -> None:
        if monitor.wants(row):
            self.held += int(self.keep)
            monitor.outbox.put(monitor.handle, row)

    def attach(self, node: int, monitor: Monitor) -> None:
        """A client begins to monitor a node; it gets what is owed, else the newest row."""
        if self.keep:
            for other in self.monitors[node]:
                if other.outbox is not monitor.outbox:
                    self.reclaim(other.outbox)
            self.monitors[node].clear()
        self.monitors[node].append(monitor)
        owed, self._orphans[node] = self._orphans[node], deque()
        current = self.current[node]
        self.held -= len(owed)
        for row in owed:
            self._enqueue(monitor, row)
        if not owed and current is not None:
            self._enqueue(monitor, current)
        self.moved.set()

    def detach(self, node: int, monitor: Monitor) -> None:
        """A client no longer monitors a node."""
        if monitor in self.monitors[node]:
            self.monitors[node].remove(monitor)
        self.moved.set()

    def reclaim(self, outbox: Outbox) -> None:
        """A subscription is gone: what it did not acknowledge is owed again."""
        if self.keep:
            outbox.empty_into(self._orphans)

    def hand_over(self, count: int) -> None:
        """Count rows that were given to a client and wait for its acknowledgement."""
        self._sent += count
        self.moved.set()

    def release(self, count: int) -> None:
        """A client acknowledged this many rows."""
        self.acknowledged += count
        self._sent -= count
        self.held -= count if self.keep else 0
        self.moved.set()
