"""Exception and swinging-door tests over batches: which samples may be left out."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t

import numpy as np

cdef extern from "thinning.h" nogil:
    ctypedef struct lh_thin_series:
        int64_t kind, longest_ns, state, quality, newest_ns, since_ns
        int64_t time_ns, held_ns, before_ns
        double deviation, value, held, before, low, high
    ctypedef struct lh_thin_kept:
        int64_t count
        int32_t *series
        int32_t *row
        int64_t *time_ns
        int64_t *quality
        double *value
    enum:
        LH_THIN_EMPTY
        LH_THIN_HELD
    void lh_thin_release(lh_thin_series *one, int32_t index, lh_thin_kept *out)
    void lh_thin_take(lh_thin_series *one, int32_t index, int32_t row, int64_t time_ns,
                      int64_t quality, double value, int plain, int64_t now_ns,
                      lh_thin_kept *out)

_INTEGERS = ("kind", "longest_ns", "state", "quality", "newest_ns", "since_ns",
             "time_ns", "held_ns", "before_ns")
_DOUBLES = ("deviation", "value", "held", "before", "low", "high")
SERIES = np.dtype([(n, np.int64) for n in _INTEGERS] + [(n, np.float64) for n in _DOUBLES])


cdef class _Kept:
    """Columns with room for as many samples as could be kept at most."""

    cdef lh_thin_kept out
    cdef readonly tuple columns

    def __cinit__(self, Py_ssize_t most):
        cdef int32_t[::1] series = np.empty(most + 1, np.int32)
        cdef int32_t[::1] row = np.empty(most + 1, np.int32)
        cdef int64_t[::1] time_ns = np.empty(most + 1, np.int64)
        cdef int64_t[::1] quality = np.empty(most + 1, np.int64)
        cdef double[::1] value = np.empty(most + 1, np.float64)
        self.columns = (series.base, row.base, time_ns.base, quality.base, value.base)
        self.out = lh_thin_kept(0, &series[0], &row[0], &time_ns[0], &quality[0], &value[0])

    cdef tuple whole(self):
        return tuple([column[:self.out.count] for column in self.columns])


cdef int _check(const int32_t[::1] index, Py_ssize_t most) except -1:
    cdef Py_ssize_t at
    for at in range(index.shape[0]):
        if not 0 <= index[at] < most:
            raise IndexError(f"cannot thin: got index {index[at]}, want less than {most}")
    return 0


def thin(lh_thin_series[::1] state, const int32_t[::1] place, const int32_t[::1] series,
         const int64_t[::1] time_ns, const uint32_t[::1] quality, const double[::1] value,
         const uint8_t[::1] plain, int64_t now_ns):
    """Samples to keep, in order.

    Parameters
    ----------
    state : array of SERIES
        Changed in place.
    place : array, one per series of the batch
        Where its state is.
    series, time_ns, quality, value : arrays, n samples
        ``series`` are indices of ``place``.
    plain : array, n samples
        0 where there is no finite value: it passes, and so does the next.
    now_ns : int
        When they came.

    Returns
    -------
    tuple of arrays
        series, row of the input or -1 for one that was held back, time, quality, value.
    """
    cdef Py_ssize_t row, rows = series.shape[0]
    cdef _Kept kept = _Kept(3 * rows)
    _check(place, state.shape[0])
    _check(series, place.shape[0])
    if not rows == time_ns.shape[0] == quality.shape[0] == value.shape[0] == plain.shape[0]:
        raise ValueError(f"cannot thin: got columns of several lengths, want {rows} rows of each")
    with nogil:
        for row in range(rows):
            lh_thin_take(&state[place[series[row]]], series[row], <int32_t>row, time_ns[row],
                         quality[row], value[row], plain[row], now_ns, &kept.out)
    return kept.whole()


def release(lh_thin_series[::1] state, const int32_t[::1] place, int64_t now_ns, bint forget):
    """Samples held back for as long as they may be, or all; from now on they are kept.

    Parameters
    ----------
    state : array of SERIES
        Changed in place.
    place : array, one per series
        Where its state is.
    now_ns : int
        Those that came ``longest_ns`` before it are kept.
    forget : bool
        All are kept, and the next sample passes.

    Returns
    -------
    tuple of arrays
        As of ``thin``.
    """
    cdef Py_ssize_t at
    cdef lh_thin_series *one
    cdef _Kept kept = _Kept(place.shape[0])
    _check(place, state.shape[0])
    for at in range(place.shape[0]):
        one = &state[place[at]]
        if one.state >= LH_THIN_HELD and (forget or now_ns - one.since_ns >= one.longest_ns):
            lh_thin_release(one, <int32_t>at, &kept.out)
        if forget:
            one.state = LH_THIN_EMPTY
    return kept.whole()
