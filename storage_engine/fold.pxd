from libc.stdint cimport int64_t, uint64_t

from storage_engine.kernels.fold cimport lh_fold_state


cdef class FoldColumns:
    cdef readonly object table
    cdef readonly int kind
    cdef lh_fold_state *states
    cdef int64_t n
    cdef uint64_t address(self)
