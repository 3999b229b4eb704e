"""Memory of a head: one region from the system, used again by the next head of its size."""

from cpython.buffer cimport PyBuffer_FillInfo
from libc.stddef cimport size_t
from posix.mman cimport (
    MADV_DONTNEED,
    MAP_ANONYMOUS,
    MAP_FAILED,
    MAP_PRIVATE,
    PROT_READ,
    PROT_WRITE,
    madvise,
    mmap,
    munmap,
)

cdef enum:
    PAGE = 4096

# One region is kept for the next head: touching its pages anew costs more than filling them.
cdef void *spare = NULL
cdef size_t spare_size = 0


cdef class Region:
    """Bytes for as long as an array lies in them.

    Pages are taken by the system as they are written. Those from ``zeros_from`` on read as zeros at
    first; those before it may hold what an earlier head left there.
    """

    cdef void *start
    cdef readonly size_t size

    def __init__(self, size_t size, size_t zeros_from):
        global spare, spare_size
        if self.start != NULL or size == 0 or zeros_from > size:
            raise MemoryError(f"cannot take memory: got {size} bytes, want > 0, once")
        size = (size + PAGE - 1) // PAGE * PAGE
        cdef size_t tail = zeros_from // PAGE * PAGE
        if spare != NULL and spare_size == size and (
            tail == size or madvise(<char *> spare + tail, size - tail, MADV_DONTNEED) == 0
        ):
            self.start, self.size = spare, size
            spare, spare_size = NULL, 0
            return
        cdef void *start = mmap(
            NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        if start == MAP_FAILED:
            raise MemoryError(f"cannot take memory: got none of {size} bytes")
        self.start, self.size = start, size

    def __dealloc__(self):
        global spare, spare_size
        if self.start == NULL:
            return
        if spare != NULL:
            munmap(spare, spare_size)
        spare, spare_size = self.start, self.size

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, self.start, <Py_ssize_t> self.size, 0, flags)
