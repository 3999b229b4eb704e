from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

cdef extern from "committer.h" nogil:
    enum:
        LH_RECORD
        LH_FULL
        LH_FAILED
        LH_STOPPED
        LH_CALL_SYNC

    ctypedef struct lh_part:
        const void *data
        size_t size

    ctypedef struct pthread_mutex_t:
        pass

    ctypedef struct lh_committer:
        pthread_mutex_t mutex
        uint8_t *filling
        uint8_t *writing
        size_t capacity
        size_t filled
        size_t in_flight
        size_t pending_max
        uint64_t next_lsn
        uint64_t durable_lsn
        uint64_t marked_lsn
        uint64_t offset
        uint64_t batches
        uint32_t seed
        int fd
        int notify_fd
        int failed_errno
        int failed_call

    int lh_committer_start(lh_committer *c) noexcept
    int lh_committer_append(lh_committer *c, uint8_t kind, int64_t time_ns, const lh_part *parts,
                            int count, uint64_t *lsn) noexcept
    int lh_committer_wait(lh_committer *c, uint64_t lsn, int64_t timeout_ns) noexcept
    int lh_committer_switch(lh_committer *c, int fd, uint64_t offset, uint32_t seed) noexcept
    void lh_committer_stop(lh_committer *c) noexcept
    size_t lh_padded(size_t size) noexcept
