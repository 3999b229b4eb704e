"""Windows that no rule of retention may touch. Pure functions over numpy arrays."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from storage_engine.sample import BoolArray, Int64Array


@dataclass(frozen=True, slots=True)
class Pin:
    """A window that no rule may touch.

    Attributes
    ----------
    streams : frozenset of int, or None
        Of which streams; None means of all.
    start_ns, end_ns : int
        start <= time < end.
    """

    streams: frozenset[int] | None
    start_ns: int
    end_ns: int


class Pins:
    """All pinned windows, by stream.

    Parameters
    ----------
    pins : iterable of Pin
    """

    def __init__(self, pins: Iterable[Pin] = ()) -> None:
        every: list[tuple[int, int]] = []
        self._wide: list[tuple[int, int]] = []
        self._own: dict[int, list[tuple[int, int]]] = {}
        for pin in pins:
            window = (pin.start_ns, pin.end_ns)
            if window[0] >= window[1]:
                continue
            every.append(window)
            if pin.streams is None:
                self._wide.append(window)
                continue
            for stream_id in pin.streams:
                self._own.setdefault(stream_id, []).append(window)
        self._every = _merged(every)
        self._of: dict[int, Int64Array] = {}
        self.stamp = hash(
            (frozenset(self._wide), frozenset((s, frozenset(w)) for s, w in self._own.items()))
        )

    def touches(self, first_ns: int, last_ns: int) -> bool:
        """Whether a window of any stream holds a time between two, both included."""
        return _overlaps(self._every, first_ns, last_ns)

    def windows(self, stream_id: int) -> Int64Array:
        """Disjoint windows of a stream in order.

        Parameters
        ----------
        stream_id : int

        Returns
        -------
        int64, shape (n, 2)
            start <= time < end.
        """
        found = self._of.get(stream_id)
        if found is None:
            found = _merged([*self._wide, *self._own.get(stream_id, [])])
            self._of[stream_id] = found
        return found

    def overlaps(self, stream_id: int, first_ns: int, last_ns: int) -> bool:
        """Whether a window of the stream holds a time between two, both included."""
        return _overlaps(self.windows(stream_id), first_ns, last_ns)

    def covers(self, stream_id: int, first_ns: int, last_ns: int) -> bool:
        """Whether one window of the stream holds all times between two, both included."""
        windows = self.windows(stream_id)
        place = int(np.searchsorted(windows[:, 0], first_ns, "right")) - 1
        return place >= 0 and last_ns < int(windows[place, 1])

    def mask(self, stream_id: int, time_ns: Int64Array) -> BoolArray:
        """Which times of a stream are pinned.

        Parameters
        ----------
        stream_id : int
        time_ns : int64, shape (n,)

        Returns
        -------
        bool, shape (n,)
        """
        windows = self.windows(stream_id)
        if len(windows) == 0:
            return np.zeros(len(time_ns), np.bool_)
        place = np.searchsorted(windows[:, 0], time_ns, "right") - 1
        inside: BoolArray = (place >= 0) & (time_ns < windows[np.maximum(place, 0), 1])
        return inside


def _merged(windows: Iterable[tuple[int, int]]) -> Int64Array:
    found: list[list[int]] = []
    for start, end in sorted(windows):
        if found and start <= found[-1][1]:
            found[-1][1] = max(found[-1][1], end)
        else:
            found.append([start, end])
    return np.array(found, np.int64).reshape(-1, 2)


def _overlaps(windows: Int64Array, first_ns: int, last_ns: int) -> bool:
    place = int(np.searchsorted(windows[:, 1], first_ns, "right"))
    return place < len(windows) and int(windows[place, 0]) <= last_ns
