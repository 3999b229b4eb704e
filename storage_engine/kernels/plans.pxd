from libc.stdint cimport int64_t, uint8_t

from storage_engine.kernels.column cimport lh_plan

cdef extern from "plans.h" nogil:
    enum:
        LH_PLANS_MAX
    int64_t lh_encode_room(int64_t n) noexcept
    int64_t lh_encode_work_bytes(int64_t n) noexcept
    int lh_plans_find(const uint8_t *values, int64_t n, int item, lh_plan *plans) noexcept
