from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

cdef extern from "head.h" nogil:
    ctypedef struct lh_head_rows:
        int64_t *time
        uint64_t *cell
        uint32_t *before
        uint32_t *stream
        uint32_t *quality
        uint8_t *missing
        uint32_t *last
        uint32_t *count

    ctypedef struct lh_head_newest:
        int64_t *time
        uint64_t *cell
        uint64_t *stamp
        uint32_t *quality
        uint8_t *flags

    ctypedef struct lh_head_batch:
        const uint32_t *stream
        const int64_t *time
        const uint64_t *cell
        const uint32_t *quality
        const uint8_t *valid
        uint64_t stamp

    void lh_head_scatter(
        lh_head_rows *head, lh_head_newest *newest, const lh_head_batch *batch,
        int64_t base, int64_t rows)
    int64_t lh_head_walk(
        const uint32_t *before, int64_t rows, uint32_t last, int64_t count, uint32_t *out)
    int64_t lh_head_gather(
        const uint32_t *before, int64_t rows, const uint32_t *last, const uint32_t *count,
        const uint32_t *stream, int64_t streams, uint32_t *out)
    ctypedef struct lh_head_spread_rows:
        int64_t *time
        uint64_t *cell
        uint64_t *stamp
        uint32_t *quality
        uint8_t *missing

    int64_t lh_head_spread(
        const lh_head_rows *head, int64_t rows, const uint32_t *first, const uint64_t *stamp,
        int64_t batches, uint32_t *place, lh_head_spread_rows *out, int64_t capacity)
