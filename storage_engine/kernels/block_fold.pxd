from libc.stdint cimport int64_t, uint8_t, uint32_t

from storage_engine.kernels.block cimport lh_run
from storage_engine.kernels.fold cimport lh_fold_columns, lh_fold_state

cdef extern from "block_fold.h" nogil:
    enum:
        LH_ENOTLOADED
        LH_ENOMEMORY

    ctypedef struct lh_windows:
        pass

    int lh_windows_begin(
        lh_windows *w, int type, uint32_t wanted, const int64_t *edge, int64_t m,
        lh_fold_state *out) noexcept
    int lh_windows_end(lh_windows *w) noexcept
    int lh_windows_seek(lh_windows *w, int64_t time) noexcept
    int lh_windows_rows(
        lh_windows *w, const lh_fold_columns *c, int64_t first, int64_t n) noexcept
    int lh_windows_runs(
        lh_windows *w, const lh_run *runs, int64_t count, int64_t start, int64_t end,
        uint8_t *scratch, const int *stop) noexcept
    int64_t lh_runs_needed(
        const lh_run *runs, int64_t count, const int64_t *edge, int64_t m, uint32_t wanted,
        int type, uint8_t *marks) noexcept
