"""The committer's door: group commit by a thread in C that never takes the GIL."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memset
from posix.stdlib cimport posix_memalign

from storage_engine.errors import EngineClosed, InvalidArgument, LimitExceeded
from storage_engine.kernels.committer cimport (
    LH_CALL_SYNC, LH_FULL, LH_RECORD, lh_committer, lh_committer_append, lh_committer_start,
    lh_committer_stop, lh_committer_switch, lh_committer_wait,
    lh_padded, lh_part,
)

cdef enum:
    PARTS_MAX = 16
    GIL_BYTES = 262144  # below this giving up the GIL costs more than the copy
    PAGE = 4096


cdef class Committer:
    """Writes and syncs records behind each other in one file, as many at once as wait.

    Parameters
    ----------
    fd, offset, seed : int
        File (the caller closes it after close or switch), first byte, start of its checksums.
    next_lsn : int
        Number of the first record.
    pending_bytes_max : int
        Bound of what is taken and not yet durable.
    notify_fd : int
        An eventfd to raise after each batch and at the end, or -1.
    """

    cdef lh_committer c
    cdef bint started

    def __cinit__(self, int fd, uint64_t offset, uint32_t seed, uint64_t next_lsn,
                  size_t pending_bytes_max, int notify_fd=-1):
        cdef size_t capacity = (pending_bytes_max + LH_RECORD + PAGE - 1) // PAGE * PAGE
        memset(&self.c, 0, sizeof(lh_committer))
        if posix_memalign(<void **> &self.c.filling, PAGE, capacity) or \
                posix_memalign(<void **> &self.c.writing, PAGE, capacity):
            raise MemoryError
        self.c.capacity = capacity
        self.c.pending_max = pending_bytes_max
        self.c.fd, self.c.offset, self.c.seed, self.c.notify_fd = fd, offset, seed, notify_fd
        self.c.next_lsn = next_lsn
        self.c.durable_lsn = self.c.marked_lsn = next_lsn - 1
        if lh_committer_start(&self.c):
            raise MemoryError
        self.started = True

    def __dealloc__(self):
        if self.started:
            with nogil:
                lh_committer_stop(&self.c)
        free(self.c.filling)
        free(self.c.writing)

    def append(self, uint8_t kind, int64_t time_ns, tuple parts not None):
        """Copy one record's parts (at most 16 buffers) and return its lsn at once."""
        cdef Py_buffer[PARTS_MAX] views
        cdef lh_part[PARTS_MAX] pieces
        cdef int count = 0, answer
        cdef size_t total = 0
        cdef uint64_t lsn = 0
        if len(parts) > PARTS_MAX:
            raise InvalidArgument(f"cannot append: got {len(parts)} parts, want at most 16")
        try:
            for part in parts:
                PyObject_GetBuffer(part, &views[count], PyBUF_SIMPLE)
                pieces[count].data, pieces[count].size = views[count].buf, views[count].len
                total += views[count].len
                count += 1
            if total > GIL_BYTES:
                with nogil:
                    answer = lh_committer_append(&self.c, kind, time_ns, pieces, count, &lsn)
            else:
                answer = lh_committer_append(&self.c, kind, time_ns, pieces, count, &lsn)
        finally:
            while count:
                count -= 1
                PyBuffer_Release(&views[count])
        if answer == LH_FULL:
            raise LimitExceeded(
                f"cannot append: got {LH_RECORD + lh_padded(total)} bytes on {self.pending_bytes} "
                f"waiting for the disk, want at most {self.c.pending_max}"
            )
        if answer:
            raise EngineClosed(f"cannot append: got a log that {self.failed or 'is closed'}")
        return lsn

    def wait(self, uint64_t lsn, double timeout_s):
        """Block without the GIL: 1 durable, 0 time is over, below 0 it never will be."""
        cdef int64_t timeout_ns = <int64_t> (timeout_s * 1e9)
        cdef int answer
        with nogil:
            answer = lh_committer_wait(&self.c, lsn, timeout_ns)
        return answer

    def switch(self, int fd, uint64_t offset, uint32_t seed):
        """Make all records durable, then go on in another file; False after a failure."""
        cdef int answer
        with nogil:
            answer = lh_committer_switch(&self.c, fd, offset, seed)
        return answer == 0

    def close(self):
        """Commit what waits and end the thread; closing twice is fine."""
        if self.started:
            self.started = False
            with nogil:
                lh_committer_stop(&self.c)

    @property
    def durable_lsn(self):
        """Everything up to this lsn is on stable storage."""
        return self.c.durable_lsn

    @property
    def next_lsn(self):
        """Number that the next record gets."""
        return self.c.next_lsn

    @property
    def pending_bytes(self):
        """Bytes taken and not yet durable."""
        return self.c.filled + self.c.in_flight

    @property
    def batches(self):
        """Syncs so far."""
        return self.c.batches

    @property
    def failed(self):
        """Which call failed with which errno, or None."""
        if not self.c.failed_errno:
            return None
        call = "sync" if self.c.failed_call == LH_CALL_SYNC else "write"
        return f"failed to {call} (errno {self.c.failed_errno})"
