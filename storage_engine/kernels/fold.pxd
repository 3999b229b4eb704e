from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

cdef extern from "fold_result.h" nogil:
    enum:
        LH_FOLD_CODE
        LH_SUMS
        LH_BRIEF
        LH_EVERY
        LH_DURATIONS

    ctypedef struct lh_held:
        uint64_t code
        uint64_t ns

    ctypedef struct lh_codes:
        int64_t count
        lh_held *held

    ctypedef struct lh_fold_state:
        lh_codes *codes
        uint8_t exact

    lh_codes *lh_codes_new(const lh_held *held, int64_t count)

    ctypedef struct lh_fold_columns:
        const int64_t *time
        const void *value
        const uint32_t *quality
        const uint8_t *valid
        int type

    int lh_fold_groups(
        int type, const uint64_t *base, const int64_t *source, const int64_t *row, int64_t n,
        const int64_t *start, int64_t m, lh_fold_state *out)
    void lh_fold_free(lh_fold_state *s)
    uint32_t lh_fold_known(const lh_fold_state *s)
    double lh_fold_result(const lh_fold_state *s, int64_t what)
    int lh_fold_places(
        const lh_fold_columns *c, const int64_t *place, int64_t m, const uint8_t *wanted,
        lh_fold_state *out)
