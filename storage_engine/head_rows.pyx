"""Door to kernels/head.h: append to the head's log of rows, and follow a stream's chain."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from storage_engine.kernels.head cimport (
    lh_head_batch,
    lh_head_gather,
    lh_head_newest,
    lh_head_rows,
    lh_head_scatter,
    lh_head_spread,
)

import numpy as np

from storage_engine.errors import InvalidArgument


cdef class RowLog:
    """Rows of a head in order of arrival, with one chain per stream.

    Memory is reserved for ``capacity`` rows and taken by the system as rows arrive.
    """

    cdef readonly int64_t used
    cdef readonly int64_t capacity
    cdef readonly object time, cell, stamp, quality, before, stream, flags, last, count
    cdef lh_head_rows rows
    cdef int64_t streams

    def __init__(self, int64_t capacity, int64_t streams):
        if capacity < 1 or capacity >= (1 << 32) - 1 or streams < 1:
            raise InvalidArgument(
                f"cannot make a row log: got {capacity} rows, want 1 to 2^32 - 2")
        self.capacity = capacity
        self.time = np.empty(capacity, np.int64)
        self.cell = np.empty(capacity, np.uint64)
        self.stamp = np.empty(capacity, np.uint64)
        self.quality = np.empty(capacity, np.uint32)
        self.before = np.empty(capacity, np.uint32)
        self.stream = np.empty(capacity, np.uint32)
        self.flags = np.empty(capacity, np.uint8)
        cdef int64_t[::1] time = self.time
        cdef uint64_t[::1] cell = self.cell
        cdef uint64_t[::1] stamp = self.stamp
        cdef uint32_t[::1] quality = self.quality
        cdef uint32_t[::1] before = self.before
        cdef uint32_t[::1] stream = self.stream
        cdef uint8_t[::1] flags = self.flags
        self.rows.stream = &stream[0]
        self.rows.time, self.rows.cell, self.rows.stamp = &time[0], &cell[0], &stamp[0]
        self.rows.quality, self.rows.before, self.rows.flags = &quality[0], &before[0], &flags[0]
        self._grow(streams)

    cdef int _grow(self, int64_t streams) except -1:
        last, count = np.zeros(streams, np.uint32), np.zeros(streams, np.uint32)
        if self.streams:
            last[:self.streams], count[:self.streams] = self.last, self.count
        cdef uint32_t[::1] last_view = last
        cdef uint32_t[::1] count_view = count
        self.rows.last, self.rows.count = &last_view[0], &count_view[0]
        self.last, self.count, self.streams = last, count, streams
        return 0

    def append(
        self, const uint32_t[::1] stream not None, const int64_t[::1] time not None,
        const uint64_t[::1] cell not None, const uint32_t[::1] quality not None,
        const uint8_t[::1] valid not None, uint64_t stamp, newest not None, int64_t streams,
    ):
        """Append rows; every entry of ``stream`` must be below ``streams``."""
        cdef int64_t n = stream.shape[0]
        if not (time.shape[0] == cell.shape[0] == quality.shape[0] == valid.shape[0] == n):
            raise InvalidArgument("cannot append to the head: columns differ in length")
        if n > self.capacity - self.used:
            raise InvalidArgument(f"cannot append to the head: got {n} rows, want <= "
                                  f"{self.capacity - self.used}")
        if n == 0:
            return
        if streams > self.streams:
            self._grow(max(streams, 2 * self.streams))
        cdef int64_t[::1] newest_time = newest.time
        cdef uint64_t[::1] newest_cell = newest.cell
        cdef uint64_t[::1] newest_stamp = newest.stamp
        cdef uint32_t[::1] newest_quality = newest.quality
        cdef uint8_t[::1] newest_flags = newest.flags
        if np.maximum.reduce(np.asarray(stream)) >= min(streams, newest_time.shape[0]):
            raise InvalidArgument("cannot append to the head: stream id beyond the table")
        cdef lh_head_newest table
        table.time, table.cell, table.stamp = &newest_time[0], &newest_cell[0], &newest_stamp[0]
        table.quality, table.flags = &newest_quality[0], &newest_flags[0]
        cdef lh_head_batch batch
        batch.stream, batch.time, batch.cell = &stream[0], &time[0], &cell[0]
        batch.quality, batch.valid, batch.stamp = &quality[0], &valid[0], stamp
        with nogil:
            lh_head_scatter(&self.rows, &table, &batch, self.used, n)
        self.used += n

    def order(
        self, const uint32_t[::1] last not None, const uint32_t[::1] count not None,
        const uint32_t[::1] stream not None,
    ):
        """Row numbers of the chains of ``stream``, each in order of arrival."""
        cdef int64_t n = stream.shape[0], got = 0
        chosen = np.asarray(stream)
        if n and np.max(chosen) >= min(last.shape[0], count.shape[0]):
            raise InvalidArgument("cannot order the head: stream id beyond the table")
        out = np.empty(int(np.asarray(count)[chosen].sum(dtype=np.int64)) if n else 0, np.uint32)
        cdef uint32_t[::1] view = out
        cdef const uint32_t *last_at
        cdef const uint32_t *count_at
        cdef const uint32_t *stream_at
        cdef uint32_t *out_at
        if out.size:
            last_at, count_at, stream_at, out_at = &last[0], &count[0], &stream[0], &view[0]
            with nogil:
                got = lh_head_gather(
                    self.rows.before, self.used, last_at, count_at, stream_at, n, out_at)
        assert got == out.size, "a chain of the head is broken"
        return out

    def spread(self, uint32_t[::1] place not None, RowLog out not None):
        """Copy the rows of chosen streams into ``out``, each stream's together.

        ``place`` has the first row of each stream in ``out``, 2^32 - 1 for those not chosen; it is
        advanced. ``out`` holds as many rows as were copied afterwards.
        """
        cdef int64_t done
        if place.shape[0] < self.streams:
            raise InvalidArgument("cannot spread the head: the table of places is too short")
        with nogil:
            done = lh_head_spread(
                &self.rows, self.used, &place[0], &out.rows, out.capacity)
        if done < 0:
            raise InvalidArgument(f"cannot spread the head: got more rows than {out.capacity}")
        out.used = done
