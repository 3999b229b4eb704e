from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t

cdef extern from "block.h" nogil:
    enum:
        LH_RUN_RISING
        LH_RUN_ALONE
        LH_RUN_LOADED
        LH_RUN_GOOD
        LH_RUN_WHOLE
        LH_ESTOPPED

    ctypedef struct lh_place:
        const uint8_t *body
        uint32_t size
        uint16_t codec
        uint16_t item

    ctypedef struct lh_run:
        int64_t first
        int64_t last
        uint32_t start
        uint32_t rows
        uint32_t block_rows
        uint32_t flags
        lh_place time
        lh_place value
        lh_place quality
        lh_place valid

    ctypedef struct lh_arrays:
        int64_t *time
        void *value
        uint32_t *quality
        uint8_t *valid

    int lh_run_load(
        lh_run *run, const uint8_t *data, int64_t size, int value_type, int item) noexcept
    int lh_place_good(const lh_place *place) noexcept
    uint8_t *lh_read_scratch() noexcept
    int lh_place_rows(
        const lh_place *place, int64_t n, int64_t begin, int64_t count, void *out,
        uint8_t *scratch) noexcept
    int64_t lh_runs_read(
        const lh_run *runs, int64_t count, int64_t start, int64_t end, const lh_arrays *out,
        int64_t at, int64_t room, uint8_t *scratch, const int *stop) noexcept
