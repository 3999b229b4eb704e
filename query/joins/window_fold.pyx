"""Door to kernels/windows.h: windows joined with the samples of one tag."""

from libc.stdint cimport int64_t, uint8_t, uint32_t

from query.kernels.windows cimport lh_samples, lh_window, lh_windows_join

import numpy as np

WINDOW = np.dtype(
    [
        *((name, "<i8") for name in ("start", "end", "rows", "count", "covered_ns", "band_ns")),
        *((f"{name}_ns", "<i8") for name in ("first", "last", "minimum", "maximum")),
        *(
            (name, "<f8")
            for name in (
                "minimum", "maximum", "first", "last", "held", "origin", "sum", "squares",
            )
        ),
        ("flags", "<i8"),
    ]
)
HELD = 1
assert WINDOW.itemsize == sizeof(lh_window)


def join_windows(
    windows not None, int64_t first, int64_t behind, const int64_t[::1] time not None,
    const double[::1] value not None, const uint32_t[::1] quality, const uint8_t[::1] valid,
    const uint8_t[::1] made, *, int64_t low, int64_t high, int64_t data_end, int64_t hold_max,
    double band_low, double band_high, int worst, bint stepped,
):
    """Add samples to the windows ``first`` to ``behind`` of a table of WINDOW; the GIL is released.

    Windows ascend by start. ``time`` ascends strictly; samples tell of the times from ``low`` to
    ``high``: all that lie there, the last one before, and the next one behind. ``quality`` None:
    all good; ``valid`` None: all have a value; ``made``: which rows were not written. ``worst`` is
    the severity up to which a sample is usable. ``sum`` and ``squares`` are of distances from
    ``origin``, weighted by nanoseconds.
    """
    cdef uint8_t[::1] table = windows.view(np.uint8)
    cdef int64_t n = time.shape[0]
    cdef lh_samples samples
    cdef lh_window *w
    if windows.dtype != WINDOW or not 0 <= first <= behind <= len(windows):
        raise ValueError(f"got windows {first} to {behind} of {len(windows)}, want some of them")
    if value.shape[0] != n or (quality is not None and quality.shape[0] != n) or (
            valid is not None and valid.shape[0] != n) or (
            made is not None and made.shape[0] != n):
        raise ValueError(f"got columns of different length, want {n} rows each")
    if n == 0 or first == behind:
        return
    samples.time, samples.value, samples.n = &time[0], &value[0], n
    samples.quality, samples.valid, samples.made = NULL, NULL, NULL
    if quality is not None:
        samples.quality = &quality[0]
    if valid is not None:
        samples.valid = &valid[0]
    if made is not None:
        samples.made = &made[0]
    samples.data_end, samples.hold_max = data_end, hold_max
    samples.low, samples.high = band_low, band_high
    samples.worst, samples.stepped, samples.plain = worst, stepped, 0
    w = (<lh_window *> &table[0]) + first
    with nogil:
        lh_windows_join(w, behind - first, &samples, low, high)
