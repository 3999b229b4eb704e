from libc.stdint cimport int64_t, uint8_t

from storage_engine.kernels.block cimport lh_run

cdef class Room:
    cdef uint8_t *scratch

cdef Room take_room()

cdef class Stop:
    cdef int flag

cdef const lh_run *runs_at(object runs, int64_t begin, int64_t end) except? NULL
