from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t

cdef extern from "crc32c.h" nogil:
    ctypedef uint32_t (*lh_crc32c_fn)(uint32_t seed, const uint8_t *data, size_t length) noexcept
    uint32_t lh_crc32c_scalar(uint32_t seed, const uint8_t *data, size_t length) noexcept
    lh_crc32c_fn lh_crc32c_best() noexcept
