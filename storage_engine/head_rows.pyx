"""Door to kernels/head.h: append to the head's log of rows, and follow a stream's chain."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from storage_engine.kernels.head cimport (
    lh_head_batch,
    lh_head_gather,
    lh_head_newest,
    lh_head_scatter,
)

import numpy as np

from storage_engine.errors import InvalidArgument
from storage_engine.head_memory import Region


cdef class RowLog:
    """Rows of a head in order of arrival, with one chain per stream.

    Memory is reserved for ``capacity`` rows and taken by the system as rows arrive.
    """

    def __init__(self, int64_t capacity, int64_t streams):
        if capacity < 1 or capacity >= (1 << 32) - 1 or streams < 1:
            raise InvalidArgument(
                f"cannot make a row log: got {capacity} rows, want 1 to 2^32 - 2")
        self.capacity = capacity
        # Quality and missing stand behind a page's border: they must start as zeros.
        wide = (24 * capacity + 4095) // 4096 * 4096
        memory = Region(wide + 5 * capacity, wide)
        self.time = np.frombuffer(memory, np.int64, capacity, 0)
        self.cell = np.frombuffer(memory, np.uint64, capacity, 8 * capacity)
        self.before = np.frombuffer(memory, np.uint32, capacity, 16 * capacity)
        self.stream = np.frombuffer(memory, np.uint32, capacity, 20 * capacity)
        self.quality = np.frombuffer(memory, np.uint32, capacity, wide)
        self.missing = np.frombuffer(memory, np.uint8, capacity, wide + 4 * capacity)
        self.first, self.stamp = np.empty(64, np.uint32), np.empty(64, np.uint64)
        cdef int64_t[::1] time = self.time
        cdef uint64_t[::1] cell = self.cell
        cdef uint32_t[::1] before = self.before
        cdef uint32_t[::1] stream = self.stream
        cdef uint32_t[::1] quality = self.quality
        cdef uint8_t[::1] missing = self.missing
        self.rows.time, self.rows.cell, self.rows.before = &time[0], &cell[0], &before[0]
        self.rows.stream, self.rows.quality = &stream[0], &quality[0]
        self.rows.missing = &missing[0]
        self.point()
        self.grow(streams)

    cdef int grow(self, int64_t streams) except -1:
        """Make room for stream ids below ``streams``."""
        last, count = np.zeros(streams, np.uint32), np.zeros(streams, np.uint32)
        if self.streams:
            last[:self.streams], count[:self.streams] = self.last, self.count
        cdef uint32_t[::1] last_view = last
        cdef uint32_t[::1] count_view = count
        self.rows.last, self.rows.count = &last_view[0], &count_view[0]
        self.last, self.count, self.streams = last, count, streams
        return 0

    cdef int table_of(self, object newest, lh_head_newest *table) except -1:
        """Pointers into the table of newest samples."""
        cdef int64_t[::1] time = newest.time
        cdef uint64_t[::1] cell = newest.cell
        cdef uint64_t[::1] stamp = newest.stamp
        cdef uint32_t[::1] quality = newest.quality
        cdef uint8_t[::1] flags = newest.flags
        table.time, table.cell, table.stamp = &time[0], &cell[0], &stamp[0]
        table.quality, table.flags = &quality[0], &flags[0]
        return 0

    cdef int point(self) except -1:
        cdef uint32_t[::1] first = self.first
        cdef uint64_t[::1] stamp = self.stamp
        self.first_at, self.stamp_at = &first[0], &stamp[0]
        return 0

    cdef int end_batch(self, uint64_t stamp, int64_t rows) except -1:
        """Count rows behind the last ones as a batch with a stamp of its own."""
        cdef int64_t n = self.batches
        if n == len(self.first):
            # New arrays: who reads the old ones meanwhile goes on doing so.
            self.first = np.concatenate((self.first, np.empty(n, np.uint32)))
            self.stamp = np.concatenate((self.stamp, np.empty(n, np.uint64)))
            self.point()
        self.first_at[n], self.stamp_at[n] = <uint32_t> self.used, stamp
        self.batches = n + 1
        self.used += rows
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
            self.grow(max(streams, 2 * self.streams))
        if np.maximum.reduce(np.asarray(stream)) >= min(streams, len(newest.time)):
            raise InvalidArgument("cannot append to the head: stream id beyond the table")
        cdef lh_head_newest table
        self.table_of(newest, &table)
        cdef lh_head_batch batch
        batch.stream, batch.time, batch.cell = &stream[0], &time[0], &cell[0]
        batch.quality, batch.valid, batch.stamp = &quality[0], &valid[0], stamp
        with nogil:
            lh_head_scatter(&self.rows, &table, &batch, self.used, n)
        self.end_batch(stamp, n)

    def stamps(self, rows not None):
        """Stamps of rows, given by their numbers."""
        cdef int64_t n = self.batches
        return self.stamp[np.searchsorted(self.first[:n], rows, "right") - 1]

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
