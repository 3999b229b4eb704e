from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from storage_engine.kernels.crc32c cimport lh_crc32c_fn
from storage_engine.kernels.head cimport lh_head_newest, lh_head_rows

cdef extern from "plain_frame.h" nogil:
    ctypedef struct lh_plain_section:
        const uint8_t *time
        const uint8_t *slot
        const uint8_t *quality
        const uint8_t *valid
        const uint8_t *value
        int64_t rows
        int type

    ctypedef struct lh_plain_frame:
        lh_plain_section section[16]
        int sections
        int64_t rows
        const uint8_t *producer
        uint64_t epoch
        uint64_t sequence
        uint32_t flags
        uint32_t crc

    int lh_plain_sections(const uint8_t *frame, int64_t size, lh_plain_frame *out) noexcept
    int lh_plain_in_bounds(const uint8_t *bytes, const lh_plain_frame *frame) noexcept
    int lh_plain_sound(lh_crc32c_fn crc32c, const uint8_t *bytes, int64_t size) noexcept
    int lh_plain_frame_at(const uint8_t *body, int64_t size, lh_plain_frame *out) noexcept
    int lh_plain_bind(
        const lh_plain_frame *frame, const uint32_t *table, int64_t slots, const uint8_t *types,
        int64_t streams, uint32_t *out) noexcept
    void lh_plain_append(
        lh_head_rows *head, lh_head_newest *newest, const lh_plain_frame *frame, uint64_t stamp,
        int64_t base) noexcept
