from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from storage_engine.kernels.fold cimport lh_fold_state

cdef extern from "fold_words.h" nogil:
    enum:
        LH_WORDS_MAX

    ctypedef struct lh_exact:
        pass

    ctypedef struct lh_word_column:
        int32_t bit
        uint32_t by
        int32_t count
        const uint64_t *word

    uint32_t lh_fold_rests(
        const lh_fold_state *s, int kind, uint64_t period, lh_exact *rest)
    int lh_extent(const lh_exact *a, int32_t *low, int32_t *high, uint8_t *fives)
    void lh_to_words(const lh_exact *a, int32_t bit, uint32_t by, int count, uint64_t *out)
    int lh_fold_unpack(
        lh_fold_state *s, int kind, uint64_t period, uint32_t known,
        const lh_word_column *columns, int64_t i, int64_t n)
