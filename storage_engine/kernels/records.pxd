from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from storage_engine.kernels.crc32c cimport lh_crc32c_fn

cdef extern from "records.h" nogil:
    ctypedef struct lh_records:
        int64_t *offset
        uint32_t *body_bytes
        uint64_t *lsn
        int64_t *time_ns
        uint8_t *kind

    int64_t lh_sound_records(
        lh_crc32c_fn crc32c, const uint8_t *data, int64_t size, uint32_t seed, int64_t *at,
        int64_t *budget, lh_records *out, int64_t room) noexcept
