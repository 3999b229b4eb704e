from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t

cdef extern from "column.h" nogil:
    enum:
        LH_VECTOR
        LH_OK
        LH_ECORRUPT
        LH_EUNKNOWN
        LH_ERANGE
    ctypedef struct lh_packed_hint:
        pass
    ctypedef struct lh_plan:
        double a
        double b
        double c
        int codec
        int inner
        int k
        int moves
        int width
        int plain
    ctypedef struct lh_kernel_table:
        const char *name
        int (*column_decode)(
            int codec, const uint8_t *body, int64_t size, int64_t n, int item, int64_t first,
            int64_t count, void *out, void *scratch,
        ) noexcept nogil
        int64_t (*packed_encode)(
            const int64_t *v, int64_t n, lh_packed_hint *hint, uint8_t *out
        ) noexcept nogil
        int64_t (*number_encode)(
            lh_plan *plan, const void *values, int64_t n, int item, uint8_t *out, void *work
        ) noexcept nogil
    const lh_kernel_table *lh_kernels
    size_t lh_column_scratch_bytes() noexcept
    int64_t lh_packed_bound(int64_t n) noexcept
    int lh_column_decode(
        int codec, const uint8_t *body, int64_t size, int64_t n, int item, int64_t first,
        int64_t count, void *out, void *scratch,
    ) noexcept
    int lh_packed_decode(
        const uint8_t *body, int64_t size, int64_t n, int64_t first, int64_t count, int64_t *out
    ) noexcept
    int64_t lh_packed_encode(
        const int64_t *v, int64_t n, lh_packed_hint *hint, uint8_t *out
    ) noexcept
