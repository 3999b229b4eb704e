from libc.stdint cimport int64_t

cdef extern from "arrow.h" nogil:
    struct ArrowSchema:
        void (*release)(ArrowSchema *) noexcept
    struct ArrowArray:
        void (*release)(ArrowArray *) noexcept
    struct ArrowArrayStream:
        void (*release)(ArrowArrayStream *) noexcept

    ctypedef struct lh_samples:
        int64_t rows
        int64_t nulls
        const void *time
        const void *valid
        const void *first
        const void *second
        const void *quality
        const char *format
        void *owner
        void (*keep)(void *) noexcept
        void (*drop)(void *) noexcept

    int lh_arrow_schema(const char *format, ArrowSchema *out) noexcept
    int lh_arrow_array(const lh_samples *s, ArrowArray *out) noexcept
    int lh_arrow_stream(const lh_samples *s, ArrowArrayStream *out) noexcept
