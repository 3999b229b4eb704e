"""Columns of fixed-size values through the kernels, whose code this room alone holds.

The target is chosen once, when the module loads: the widest that this processor runs, or the one
that HISTORIAN_KERNELS names.
"""

import os

import numpy as np

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int64_t, uint8_t
from libc.stdlib cimport free
from posix.stdlib cimport posix_memalign

from storage_engine.errors import CorruptData, InvalidArgument, UnsupportedFormat
from storage_engine.kernels.column cimport (
    LH_ECORRUPT, LH_ERANGE, LH_EUNKNOWN,
    lh_column_scratch_bytes, lh_kernel_table, lh_kernels, lh_packed_bound, lh_packed_hint,
)
from storage_engine.kernels.targets cimport (
    LH_TARGETS, lh_target_best, lh_target_of, lh_target_runs, lh_targets,
)

KERNELS = tuple(lh_targets[i].name.decode() for i in range(LH_TARGETS) if lh_target_runs(i))


cdef const lh_kernel_table *table_of(object name) except NULL:
    cdef bytes text = name.encode()
    cdef const lh_kernel_table *table = lh_target_of(text)
    if table == NULL:
        raise InvalidArgument(f"cannot choose kernels: got {name!r}, want one of {KERNELS} here")
    return table


if lh_target_best() == NULL:
    table_of(os.environ["HISTORIAN_KERNELS"])
lh_kernels = lh_target_best()

KERNEL = lh_kernels.name.decode()


cdef const lh_kernel_table *kernel_table() noexcept nogil:
    return lh_kernels


cdef class PackedHint:
    """What won in the last column of a series, tried first in the next. Starts knowing nothing."""

    cdef lh_packed_hint hint


def packed_encode(const int64_t[::1] values not None, PackedHint hint=None, str kernel=KERNEL):
    """Encode integers as a body of codec 8.

    Parameters
    ----------
    values : ndarray of int64, shape (n,), n > 0
        Unsigned values as their bits.
    hint : PackedHint, optional
        Updated. Without one all modes are compared for every vector of 1,024 values.
    kernel : str
        One of ``KERNELS``; all of them give the same bytes.

    Returns
    -------
    bytes

    Raises
    ------
    InvalidArgument
        For no values, and for a kernel that does not run here.
    """
    cdef const lh_kernel_table *table = table_of(kernel)
    cdef lh_packed_hint *known = NULL if hint is None else &hint.hint
    cdef int64_t n = values.shape[0], size
    if n == 0:
        raise InvalidArgument("cannot encode packed: got no values, want one or more")
    cdef uint8_t[::1] body = np.empty(lh_packed_bound(n), np.uint8)
    with nogil:
        size = table.packed_encode(&values[0], n, known, &body[0])
    return bytes(body[:size])


def column_decode(
    int codec, object body not None, int64_t rows, object dtype not None,
    int64_t first=0, int64_t count=-1, str kernel=KERNEL,
):
    """Decode values ``[first, first + count)`` of a column.

    Parameters
    ----------
    codec : int
        Codec id.
    body : buffer
    rows : int
        Values of the whole column.
    dtype : dtype
        Of 1, 2, 4 or 8 bytes.
    first : int
        A multiple of 1,024.
    count : int
        A multiple of 1,024, or up to the last row; -1 is up to the last row.
    kernel : str
        One of ``KERNELS``; all of them give the same bits.

    Returns
    -------
    ndarray, shape (count,)

    Raises
    ------
    CorruptData
        When the bytes do not hold.
    UnsupportedFormat
        When no kernel knows the codec, or not for such values.
    InvalidArgument
        For a range that is not one of whole vectors.
    """
    cdef const lh_kernel_table *table = table_of(kernel)
    cdef Py_buffer view
    cdef void *scratch = NULL
    cdef int error, item = dtype.itemsize
    if count < 0:
        count = rows - first
    values = np.empty(max(count, 0), dtype)
    cdef uint8_t[::1] out = values.view(np.uint8)
    cdef uint8_t *into = &out[0] if values.nbytes else NULL
    if posix_memalign(&scratch, 64, lh_column_scratch_bytes()):
        raise MemoryError
    try:
        PyObject_GetBuffer(body, &view, PyBUF_SIMPLE)
        with nogil:
            error = table.column_decode(
                codec, <const uint8_t *> view.buf, view.len, rows, item, first, count, into, scratch
            )
        PyBuffer_Release(&view)
    finally:
        free(scratch)
    if error == LH_EUNKNOWN:
        raise UnsupportedFormat(f"cannot decode column: got codec {codec} of {item} bytes")
    if error == LH_ERANGE:
        raise InvalidArgument(
            f"cannot decode column: got {first} and {count} of {rows} rows, want whole vectors"
        )
    if error == LH_ECORRUPT:
        raise CorruptData(f"cannot decode column: got a bad body of codec {codec} for {rows} rows")
    return values
