"""When each lsn was recorded: a small table of runs, for questions *as known at* a moment."""

import threading
from bisect import bisect_right

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
        self._step_ns = step_ns
        self._entries_max = entries_max
        self._lsn: list[int] = []
        self._time: list[int] = []
        self._lock = threading.Lock()
        self.last_ns = -(2**63)

    def add(self, lsn: int, record_time_ns: int) -> None:
        """Take note of a record; lsns and times come in order."""
        with self._lock:
            if self._lsn and lsn <= self._lsn[-1]:
                return
            self.last_ns = max(self.last_ns, record_time_ns)
            if self._time and self.last_ns < self._time[-1] + max(self._step_ns, 1):
                return
            self._lsn.append(lsn)
            self._time.append(self.last_ns)
            if len(self._lsn) > self._entries_max:
                half = len(self._lsn) // 2
                self._lsn[:half] = self._lsn[:half:2]
                self._time[:half] = self._time[:half:2]

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
            if not self._lsn:
                return 0
            return self._time[max(bisect_right(self._lsn, lsn) - 1, 0)]

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
            place = bisect_right(self._time, record_time_ns)
            if place == 0:
                return 0
            if place == len(self._time):
                return newest_lsn
            return self._lsn[place] - 1

    def columns(self) -> tuple[UInt64Array, Int64Array]:
        """Table for the manifest."""
        with self._lock:
            return np.array(self._lsn, np.uint64), np.array(self._time, np.int64)

    def load(self, lsn: UInt64Array, time_ns: Int64Array) -> None:
        """Take the table of a manifest."""
        with self._lock:
            self._lsn, self._time = lsn.tolist(), time_ns.tolist()
            self.last_ns = self._time[-1] if self._time else -(2**63)
