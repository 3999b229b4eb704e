from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from storage_engine.kernels.block cimport lh_run

cdef extern from "brief_many.h" nogil:
    enum:
        LH_BRIEF_DECODE
        LH_EROWS

    ctypedef struct lh_briefs:
        pass

    ctypedef struct lh_brief_columns:
        int64_t *rows
        int64_t *good
        uint64_t *minimum
        uint64_t *maximum
        uint64_t *first
        uint64_t *last
        double *sum
        double *mean

    ctypedef struct lh_brief_series:
        const lh_run *runs
        int64_t count
        int32_t type
        int32_t got

    ctypedef struct lh_brief_work:
        lh_brief_series *series
        int64_t count
        int64_t next
        const int64_t *edge
        int64_t m
        lh_brief_columns out
        uint32_t flags
        const int *stop

    lh_briefs *lh_briefs_room() noexcept
    int lh_brief_many(
        const lh_brief_work *work, int64_t threads, lh_briefs *room, uint8_t *scratch) noexcept
