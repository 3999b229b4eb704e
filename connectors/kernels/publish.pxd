from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

cdef extern from "publish.h" nogil:
    const uint64_t LH_PLACE_GUID

    ctypedef struct lh_publish:
        uint32_t subscription
        uint32_t sequence
        int64_t parts
        int64_t rows
        int64_t statuses
        int64_t objects
        int64_t published_ns
        int has_published

    ctypedef struct lh_changes:
        uint32_t *handle
        uint8_t *type
        uint64_t *cell
        uint32_t *status
        int64_t *source_ns
        int64_t *server_ns
        uint8_t *present

    const char *lh_publish_open(const uint8_t *body, int64_t size, lh_publish *out) noexcept
    const char *lh_publish_rows(
        const uint8_t *message, int64_t size, lh_publish *found, lh_changes *out,
        uint32_t *statuses) noexcept

cdef extern from "settle.h" nogil:
    ctypedef struct lh_settled:
        int64_t rows[9]
        int64_t nulls[9]
        int64_t overflows
        int64_t gone
        int64_t newest_ns

    void lh_settle(
        const lh_changes *changes, int64_t rows, uint8_t *types, int64_t *last_ns,
        int64_t items, int64_t received_ns, uint8_t *series, uint8_t *valid, int64_t *time_ns,
        int64_t *before_ns, lh_settled *out) noexcept
