"""When each lsn was recorded: a small table of runs, for questions *as known at* a moment."""

import threading

import numpy as np

from storage_engine.sample import Int64Array, UInt64Array


class RecordTimes:
    """Runs of record time: an entry names the first lsn recorded at or after its time.

    Parameters
    ----------
    step_ns : int
        A new run starts when this much time has passed; the table's resolution.
    entries_max : int
        Above it the older half is thinned by two.

    Notes
    -----
    Record time never falls: a wall clock that steps back is held at the last value, so that *as
    known at* has one answer.
    """

    def __init__(self, step_ns: int, entries_max: int) -> None:
        self._step_ns = max(step_ns, 1)
        self._entries_max = entries_max
        # Reserved in one piece; the system gives memory as entries come.
        self._lsn = np.empty(entries_max + 1, np.uint64)
        self._time = np.empty(entries_max + 1, np.int64)
        self._count = 0
        self._lock = threading.Lock()
        self.last_ns = -(2**63)

    def add(self, lsn: int, record_time_ns: int) -> None:
        """Take note of a record; lsns and times come in order."""
        with self._lock:
            end = self._count
            if end and lsn <= int(self._lsn[end - 1]):
                return
            self.last_ns = max(self.last_ns, record_time_ns)
            if end and self.last_ns < int(self._time[end - 1]) + self._step_ns:
                return
            self._lsn[end], self._time[end] = lsn, self.last_ns
            self._count += 1
            if self._count > self._entries_max:
                self._thin()

    def add_all(self, lsn: UInt64Array, record_time_ns: Int64Array) -> None:
        """Take note of many records, as :meth:`add` does one by one.

        Parameters
        ----------
        lsn : uint64, shape (n,)
        record_time_ns : int64, shape (n,)
        """
        held = np.maximum.accumulate(np.maximum(record_time_ns, self.last_ns))
        place = 0
        while place < len(held):
            self.add(int(lsn[place]), int(held[place]))
            # Up to the next step an entry more would change nothing.
            step_end = int(self._time[self._count - 1]) + self._step_ns
            place = max(place + 1, int(np.searchsorted(held, step_end)))
        if len(held):
            self.add(int(lsn[-1]), int(held[-1]))

    def _thin(self) -> None:
        half, end = self._count // 2, self._count
        for column in (self._lsn, self._time):
            kept = np.concatenate((column[:half:2], column[half:end]))
            column[: len(kept)] = kept
        self._count = end - half + (half + 1) // 2

    def time_of(self, lsn: int) -> int:
        """Record time of an lsn, early by less than the step.

        Parameters
        ----------
        lsn : int

        Returns
        -------
        int
            Nanoseconds; the first known time for older lsns, 0 when nothing was recorded.
        """
        with self._lock:
            if not self._count:
                return 0
            lsns = self._lsn[: self._count]
            place = int(np.searchsorted(lsns, np.uint64(max(lsn, 0)), "right")) - 1
            return int(self._time[max(place, 0)])

    def lsn_at(self, record_time_ns: int, newest_lsn: int) -> int:
        """Last lsn recorded at or before a time, late by less than the step.

        Parameters
        ----------
        record_time_ns : int
        newest_lsn : int
            The last lsn of the store.

        Returns
        -------
        int
            0 when nothing was recorded by then.
        """
        with self._lock:
            times = self._time[: self._count]
            place = int(np.searchsorted(times, record_time_ns, "right"))
            if place == 0:
                return 0
            if place == self._count:
                return newest_lsn
            return int(self._lsn[place]) - 1

    def columns(self) -> tuple[UInt64Array, Int64Array]:
        """Table for the manifest."""
        with self._lock:
            return self._lsn[: self._count].copy(), self._time[: self._count].copy()

    def load(self, lsn: UInt64Array, time_ns: Int64Array) -> None:
        """Take the table of a manifest; of one that is too long, the newest entries."""
        with self._lock:
            count = self._count = min(len(lsn), self._entries_max)
            if count:
                self._lsn[:count], self._time[:count] = lsn[-count:], time_ns[-count:]
                self.last_ns = int(self._time[count - 1])
