"""Discrete events: processes that wait for time or for a place. No wall clock, no threads.

A process is a generator. It yields an int to wait that many nanoseconds, or a :class:`Places` to
wait for one of its places, whose number is then sent back. Equal times run in order of request,
so a run depends on nothing but its processes.
"""

import heapq
from collections import deque
from collections.abc import Generator
from typing import Any

Process = Generator["int | Places", Any, Any]


class EventLoop:
    """Runs processes in order of simulated time.

    Parameters
    ----------
    start_ns : int
        Simulated time of the beginning.
    """

    def __init__(self, start_ns: int) -> None:
        self.now_ns = start_ns
        self._heap: list[tuple[int, int, Process, object]] = []
        self._count = 0

    def start(self, process: Process, delay_ns: int = 0) -> None:
        """Begin a process after a delay."""
        self.resume(process, None, delay_ns)

    def resume(self, process: Process, value: object, delay_ns: int = 0) -> None:
        """Continue a waiting process, which receives ``value``."""
        assert delay_ns >= 0, delay_ns
        self._count += 1
        heapq.heappush(self._heap, (self.now_ns + delay_ns, self._count, process, value))

    @property
    def next_ns(self) -> int | None:
        """Time of the next step; None when all processes have ended or wait for ever."""
        return self._heap[0][0] if self._heap else None

    def step(self) -> None:
        """Run the next process until it waits."""
        self.now_ns, _, process, value = heapq.heappop(self._heap)
        try:
            wish = process.send(value)
        except StopIteration:
            return
        if isinstance(wish, int):
            self.resume(process, None, wish)
        else:
            wish.request(process)


class Places:
    """A number of equal places: nests of a station, carriers. First come, first served."""

    def __init__(self, loop: EventLoop, count: int) -> None:
        self.count = count
        self._loop = loop
        self._free = deque(range(1, count + 1))
        self._waiting: deque[Process] = deque()

    def request(self, process: Process) -> None:
        """Give a place to the process, now or later."""
        if self._free:
            self._loop.resume(process, self._free.popleft())
        else:
            self._waiting.append(process)

    def release(self, place: int) -> None:
        """Give a place back."""
        if self._waiting:
            self._loop.resume(self._waiting.popleft(), place)
        else:
            self._free.append(place)

    @property
    def load(self) -> int:
        """Places taken and processes waiting."""
        return self.count - len(self._free) + len(self._waiting)
