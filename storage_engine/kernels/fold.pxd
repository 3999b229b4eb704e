from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

cdef extern from "fold_result.h" nogil:
    enum:
        LH_FOLD_CODE
        LH_SUMS
        LH_BRIEF
        LH_EVERY

    ctypedef struct lh_fold_state:
        pass

    ctypedef struct lh_fold_columns:
        const int64_t *time
        const void *value
        const uint32_t *quality
        const uint8_t *valid
        int type

    ctypedef struct lh_folder:
        pass

    void lh_fold_begin(lh_folder *f, int type, uint32_t wanted)
    void lh_fold_join(lh_folder *f, const lh_fold_state *right)
    int lh_fold_finish(lh_folder *f, lh_fold_state *out)
    void lh_fold_free(lh_fold_state *s)
    uint32_t lh_fold_known(const lh_fold_state *s)
    double lh_fold_result(const lh_fold_state *s, int64_t what)
    int lh_fold_places(
        const lh_fold_columns *c, const int64_t *place, int64_t m, const uint8_t *wanted,
        lh_fold_state *out)
