from libc.stdint cimport int64_t, uint32_t, uint64_t

from storage_engine.kernels.head cimport lh_head_newest, lh_head_rows


cdef class RowLog:
    cdef readonly int64_t used
    cdef readonly int64_t capacity
    cdef readonly object time, cell, before, stream, quality, missing, last, count, first, stamp
    cdef readonly int64_t batches
    cdef lh_head_rows rows
    cdef int64_t streams
    cdef uint32_t *first_at
    cdef uint64_t *stamp_at

    cdef int grow(self, int64_t streams) except -1
    cdef int point(self) except -1
    cdef int table_of(self, object newest, lh_head_newest *table) except -1
    cdef int end_batch(self, uint64_t stamp, int64_t rows) except -1
