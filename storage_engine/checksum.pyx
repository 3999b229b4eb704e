"""CRC-32C of a buffer: the door to the kernel, chosen once when the module loads."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t

from storage_engine.kernels.crc32c cimport lh_crc32c_best, lh_crc32c_fn, lh_crc32c_scalar

cdef lh_crc32c_fn BEST = lh_crc32c_best()

# Below this giving up the GIL costs more than the work.
cdef enum:
    GIL_BYTES = 65536

KERNEL = "scalar" if BEST == &lh_crc32c_scalar else "sse42"


cdef uint32_t _run(lh_crc32c_fn kernel, object data, uint32_t seed) except? 0:
    cdef Py_buffer view
    cdef uint32_t crc
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        if view.len > GIL_BYTES:
            with nogil:
                crc = kernel(seed, <const uint8_t *> view.buf, <size_t> view.len)
        else:
            crc = kernel(seed, <const uint8_t *> view.buf, <size_t> view.len)
    finally:
        PyBuffer_Release(&view)
    return crc


def crc32c(object data not None, uint32_t seed=0):
    """CRC-32C of a contiguous buffer, by the fastest kernel of this processor.

    Parameters
    ----------
    data : buffer
        Any object with contiguous bytes.
    seed : int
        The crc of the bytes before, to go on from.

    Returns
    -------
    int
        0 to 2**32 - 1; of ``b"123456789"`` it is 0xE3069283.
    """
    return _run(BEST, data, seed)


def crc32c_scalar(object data not None, uint32_t seed=0):
    """CRC-32C by kernel 0, the one every other kernel must equal; same arguments."""
    return _run(lh_crc32c_scalar, data, seed)
