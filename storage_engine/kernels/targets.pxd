from storage_engine.kernels.column cimport lh_kernel_table

cdef extern from "targets.h" nogil:
    enum:
        LH_TARGETS
    const lh_kernel_table **lh_targets
    bint lh_target_runs(int i) noexcept
    const lh_kernel_table *lh_target_of(const char *name) noexcept
    const lh_kernel_table *lh_target_best() noexcept
