from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

cdef extern from "sparkplug.h" nogil:
    enum:
        LH_SP_COLUMNS, LH_SP_NAME, LH_SP_INFO, LH_SP_HAS_ALIAS, LH_SP_HAS_NAME

    const int64_t LH_SP_NO_TIME

    ctypedef struct lh_sp_head:
        int64_t time
        int64_t seq
        int64_t count
        int64_t wrong

    int lh_sp_read_head(
        const uint8_t *data, int64_t size, int is_template, lh_sp_head *out) noexcept
    int lh_sp_metrics(
        const uint8_t *data, int64_t size, int64_t *out, int64_t n, int64_t *wrong) noexcept
    int64_t lh_sp_bind(
        const int64_t *rows, int64_t n, const uint64_t *aliases, int64_t known,
        const uint8_t *datatypes, const int32_t *series, int64_t early, int64_t *out) noexcept
    int lh_sp_number(uint8_t datatype, uint8_t kind, int64_t bits, int64_t *out) noexcept
