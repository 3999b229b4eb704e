"""Conditions of one question about many tags: each stretch of time is evaluated once for all."""

from bisect import bisect
from collections import deque
from threading import RLock
from typing import Any

from query.expression.condition import Condition
from query.expression.spans import Spans, joined
from storage_engine.sample import Int64Array


class RememberingCondition(Condition):
    """A condition that knows its newest spans; safe for the threads of a question.

    Parameters
    ----------
    tree, sources, limits
        As of :class:`Condition`. ``limits.rows_max`` bounds the spans that are known; what was
        found first is forgotten first, and read anew where it is wanted again.
    """

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._lock = RLock()
        self._tiles: list[Spans] = []  # ascending, none over another
        self._order: deque[Spans] = deque()
        self._held = 0

    def spans(self, start_ns: int, end_ns: int) -> Spans:
        """As :meth:`Condition.spans`."""
        with self._lock:
            first = max(bisect(self._tiles, start_ns, key=_start) - 1, 0)
            behind = bisect(self._tiles, end_ns - 1, key=_start)
            parts, fresh, low = [], [], start_ns
            for tile in self._tiles[first:behind]:
                if tile.end_ns[-1] <= low:
                    continue
                if low < _start(tile):
                    fresh.append(super().spans(low, _start(tile)))
                    parts.append(fresh[-1])
                    low = _start(tile)
                high = min(int(tile.end_ns[-1]), end_ns)
                parts.append(tile.within(low, high))
                low = high
            if low < end_ns:
                fresh.append(super().spans(low, end_ns))
                parts.append(fresh[-1])
            for tile in fresh:
                self._remember(tile)
        return joined(parts)

    def _during(
        self, start_ns: Int64Array, end_ns: Int64Array, rows_max: int, gap_ns: int
    ) -> Spans:
        with self._lock:
            return super()._during(start_ns, end_ns, rows_max, gap_ns)

    def _remember(self, tile: Spans) -> None:
        self._tiles.insert(bisect(self._tiles, _start(tile), key=_start), tile)
        self._order.append(tile)
        self._held += len(tile)
        while self._held > self._limits.rows_max and self._order:
            oldest = self._order.popleft()
            del self._tiles[bisect(self._tiles, _start(oldest), key=_start) - 1]
            self._held -= len(oldest)


def _start(tile: Spans) -> int:
    return int(tile.start_ns[0])
