"""Spans of time in which a filter is true, false or not known."""

from dataclasses import dataclass

import numpy as np

from query.expression.pieces import Int8Array
from storage_engine.sample import Int64Array


@dataclass(frozen=True, slots=True)
class Spans:
    """Spans [start, end) that tile a window, no two neighbours of one state.

    Attributes
    ----------
    start_ns, end_ns : int64, shape (n,)
        Ascending.
    state : int8, shape (n,)
        1 true, -1 false, 0 not known.
    """

    start_ns: Int64Array
    end_ns: Int64Array
    state: Int8Array

    def __len__(self) -> int:
        return len(self.start_ns)

    def time(self, state: int) -> int:
        """Nanoseconds in a state."""
        chosen = self.state == state
        return int((self.end_ns[chosen] - self.start_ns[chosen]).sum())

    def at(self, time_ns: Int64Array) -> Int8Array:
        """State at times inside the window, in any order."""
        return self.state[np.searchsorted(self.start_ns, time_ns, side="right") - 1]

    def of(self, state: int) -> tuple[Int64Array, Int64Array]:
        """Starts and ends of the spans in a state."""
        chosen = self.state == state
        return self.start_ns[chosen], self.end_ns[chosen]

    def without_short(self, min_length_ns: int) -> "Spans":
        """Let true spans shorter than this be false, and join what is next to each other then."""
        short = (self.state == 1) & (self.end_ns - self.start_ns < min_length_ns)
        state = np.where(short, np.int8(-1), self.state)
        kept = np.append(True, state[1:] != state[:-1])
        start = self.start_ns[kept]
        return Spans(start, np.append(start[1:], self.end_ns[-1]), state[kept])
