from libc.stdint cimport int64_t, uint8_t, uint32_t

cdef extern from "windows.h" nogil:
    ctypedef struct lh_window:
        int64_t start, end

    ctypedef struct lh_samples:
        const int64_t *time
        const double *value
        const uint32_t *quality
        const uint8_t *valid
        const uint8_t *made
        int64_t n
        int64_t data_end, hold_max
        double low, high
        int worst, stepped, plain

    void lh_windows_join(
        lh_window *w, int64_t windows, const lh_samples *s, int64_t low, int64_t high)
