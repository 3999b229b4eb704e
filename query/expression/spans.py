"""Spans of time in which a filter is true, false or not known."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from query.expression.pieces import Int8Array
from storage_engine.sample import Int64Array


@dataclass(frozen=True, slots=True)
class Spans:
    """Spans [start, end) that tile a window or several, no two that touch of one state.

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
        """State at times inside the windows, in any order."""
        return self.state[np.searchsorted(self.start_ns, time_ns, side="right") - 1]

    def of(self, state: int) -> tuple[Int64Array, Int64Array]:
        """Starts and ends of the spans in a state."""
        chosen = self.state == state
        return self.start_ns[chosen], self.end_ns[chosen]

    def within(self, start_ns: int, end_ns: int) -> "Spans":
        """What a part of the window holds; start before end."""
        first = int(np.searchsorted(self.start_ns, start_ns, side="right")) - 1
        behind = int(np.searchsorted(self.start_ns, end_ns))
        start, end = self.start_ns[first:behind].copy(), self.end_ns[first:behind].copy()
        start[0], end[-1] = start_ns, end_ns
        return Spans(start, end, self.state[first:behind])

    def goes_on(self, after: "Spans") -> bool:
        """Whether spans behind these begin with more of the last one."""
        return bool(self.end_ns[-1] == after.start_ns[0] and self.state[-1] == after.state[0])

    def without_short(self, min_length_ns: int) -> "Spans":
        """Let true spans shorter than this be false, and join what is next to each other then."""
        short = (self.state == 1) & (self.end_ns - self.start_ns < min_length_ns)
        state = np.where(short, np.int8(-1), self.state)
        kept = np.append(True, state[1:] != state[:-1])
        start = self.start_ns[kept]
        return Spans(start, np.append(start[1:], self.end_ns[-1]), state[kept])


def joined(parts: Sequence[Spans]) -> Spans:
    """Spans one behind the other; where two of one state touch they become one."""
    start = np.concatenate([part.start_ns for part in parts])
    end = np.concatenate([part.end_ns for part in parts])
    state = np.concatenate([part.state for part in parts])
    begins = np.append(True, (state[1:] != state[:-1]) | (start[1:] != end[:-1]))
    ends = np.append(begins[1:], True)
    return Spans(start[begins], end[ends], state[begins])
