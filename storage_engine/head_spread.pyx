"""Rows of a head copied out so that each stream's lie together: what a flush reads."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from storage_engine.head_rows cimport RowLog
from storage_engine.kernels.head cimport lh_head_spread, lh_head_spread_rows

import numpy as np

from storage_engine.errors import InvalidArgument


cdef class Spread:
    """Rows of chosen streams, each stream's together and in order of arrival.

    ``place`` has the first row of each stream here, 2^32 - 1 for those not chosen; it is advanced.
    ``stream`` is the stream of each row here.
    """

    cdef readonly object time, cell, stamp, quality, stream, missing

    def __init__(self, RowLog log not None, uint32_t[::1] place not None, stream not None):
        cdef int64_t done, batches = log.batches, used = log.used, capacity = len(stream)
        if place.shape[0] < log.streams or capacity < 1:
            raise InvalidArgument("cannot spread the head: the table of places is too short")
        self.stream = stream
        self.time, self.cell = np.empty(capacity, np.int64), np.empty(capacity, np.uint64)
        self.stamp = np.empty(capacity, np.uint64)
        self.quality, self.missing = np.zeros(capacity, np.uint32), np.zeros(capacity, np.uint8)
        cdef int64_t[::1] time = self.time
        cdef uint64_t[::1] cell = self.cell
        cdef uint64_t[::1] stamp = self.stamp
        cdef uint32_t[::1] quality = self.quality
        cdef uint8_t[::1] missing = self.missing
        cdef lh_head_spread_rows rows
        rows.time, rows.cell, rows.stamp = &time[0], &cell[0], &stamp[0]
        rows.quality, rows.missing = &quality[0], &missing[0]
        with nogil:
            done = lh_head_spread(
                &log.rows, used, log.first_at, log.stamp_at, batches, &place[0], &rows, capacity)
        if done != capacity:
            raise InvalidArgument(f"cannot spread the head: got other than {capacity} rows")
