"""Door to kernels/fold_codes.h: how long values were held, out of fold states and into them."""

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdlib cimport free

from storage_engine.fold cimport FoldColumns
from storage_engine.kernels.fold cimport LH_DURATIONS, lh_codes_new, lh_fold_state, lh_held

import numpy as np

from storage_engine.errors import InvalidArgument

HELD = np.dtype([("code", "<u8"), ("ns", "<u8")])
if sizeof(lh_held) != HELD.itemsize:
    raise ImportError("a held value is laid out otherwise here")


def held(FoldColumns columns not None, int64_t first=0, last=None):
    """Values held in states [first, last), and for how long.

    Gives starts int64 (n + 1,) and HELD (k,): state i has those from starts[i] to starts[i + 1],
    ascending by code; none where its ``known`` says that it does not tell.
    """
    cdef int64_t end = columns.n if last is None else last
    cdef int64_t i, j, n = 0
    if not 0 <= first <= end <= columns.n:
        raise InvalidArgument(f"cannot read states {first} to {end}: got {columns.n}")
    starts = np.zeros(end - first + 1, np.int64)
    cdef int64_t[::1] start = starts
    for i in range(first, end):
        if columns.states[i].codes != NULL:
            n += columns.states[i].codes.count
        start[i - first + 1] = n
    found = np.empty((n, 2), np.uint64)
    cdef uint64_t[:, ::1] view = found
    n = 0
    for i in range(first, end):
        if columns.states[i].codes != NULL:
            for j in range(columns.states[i].codes.count):
                view[n, 0] = columns.states[i].codes.held[j].code
                view[n, 1] = columns.states[i].codes.held[j].ns
                n += 1
    return starts, found.view(HELD).reshape(-1)


def hold(FoldColumns columns not None, known, const int64_t[::1] starts not None, values not None):
    """Let the states that ``known`` marks tell these values; as :func:`held` gives them.

    ``columns`` must not be in use by another thread.
    """
    cdef int64_t n = columns.n, i, count
    cdef lh_fold_state *one
    cdef const uint64_t[:, ::1] view = np.ascontiguousarray(values).view(np.uint64).reshape(-1, 2)
    cdef const uint8_t[::1] marks = np.ascontiguousarray(known, np.uint8)
    if starts.shape[0] != n + 1 or marks.shape[0] != n or starts[0] != 0 or (
            starts[n] != view.shape[0] or np.any(np.diff(starts) < 0)):
        raise InvalidArgument(f"cannot hold values in {n} states: got {len(values)} unlike these")
    for i in range(n):
        one = &columns.states[i]
        free(one.codes)
        one.codes = NULL
        one.exact &= ~<uint8_t> LH_DURATIONS
        count = starts[i + 1] - starts[i]
        if marks[i] and count:
            one.codes = lh_codes_new(<const lh_held *> &view[starts[i], 0], count)
            if one.codes == NULL:
                raise MemoryError
        if marks[i]:
            one.exact |= LH_DURATIONS
