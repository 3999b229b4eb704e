"""Plans: what is decided before the values of a column are encoded, and encoding by them.

A plan keeps what won in the integers below it, so that the next block of the same series is
encoded without a search.
"""

import threading

import numpy as np

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t
from libc.stdlib cimport free
from posix.stdlib cimport posix_memalign

from storage_engine.codec.kernels cimport table_of
from storage_engine.kernels.column cimport lh_kernel_table, lh_plan
from storage_engine.kernels.plans cimport (
    LH_PLANS_MAX, lh_encode_room, lh_encode_work_bytes, lh_plans_find,
)

from storage_engine.codec.kernels import KERNEL

_LOCAL = threading.local()


cdef class _Memory:
    """What a thread encodes in, kept because fresh pages cost more than encoding."""

    cdef uint8_t *out
    cdef uint8_t *work
    cdef int64_t rows

    def __cinit__(self, int64_t rows):
        self.rows = rows
        if posix_memalign(<void **> &self.out, 64, lh_encode_room(rows)):
            raise MemoryError
        if posix_memalign(<void **> &self.work, 64, lh_encode_work_bytes(rows)):
            raise MemoryError

    def __dealloc__(self):
        free(self.out)
        free(self.work)


cdef class Plan:
    """How a column is to be encoded.

    Parameters
    ----------
    codec : int
        8 to 14.
    inner : int
        Codec of the entries of 13 and of the run values of 14: 1, 8, 9, 10 or 11.
    """

    cdef lh_plan plan

    def __init__(self, int codec, int inner=0):
        self.plan.codec = codec
        self.plan.inner = inner
        self.plan.a = self.plan.b = 1

    @property
    def codec(self):
        """Its codec."""
        return self.plan.codec

    @property
    def grid(self):
        """Places k of a decimal, and a, b, c of value = integer * a / b + c."""
        return self.plan.k, self.plan.a, self.plan.b, self.plan.c

    @property
    def moves(self):
        """How far the bits may be from the grid."""
        return self.plan.moves

    def copy(self):
        """Give a plan that knows the same."""
        cdef Plan other = Plan(self.plan.codec)
        other.plan = self.plan
        return other

    def of(self, int codec, *, bint plain=False):
        """Give a fresh plan of a codec on this one's grid, with this one's codec as `inner`.

        `plain` leaves the integers unpacked.
        """
        cdef Plan other = Plan(codec, self.plan.codec)
        other.plan.a, other.plan.b, other.plan.c = self.plan.a, self.plan.b, self.plan.c
        other.plan.k, other.plan.moves = self.plan.k, self.plan.moves
        other.plan.plain = plain
        return other

    def encode(self, object values, str kernel=KERNEL):
        """Encode values, n > 0.

        Parameters
        ----------
        values : contiguous ndarray of 1, 4 or 8 bytes an item, shape (n,)
        kernel : str
            One of ``KERNELS``; all of them give the same bytes.

        Returns
        -------
        bytes or None
            None when the plan does not fit. What is given has been decoded and compared.
        """
        cdef const lh_kernel_table *table = table_of(kernel)
        cdef const uint8_t[::1] data = values.view(np.uint8)
        cdef int64_t rows = values.shape[0], size
        cdef int item = values.dtype.itemsize
        cdef _Memory memory = getattr(_LOCAL, "memory", None)
        if rows == 0:
            return None
        if memory is None or memory.rows < rows:
            memory = _LOCAL.memory = _Memory(max(rows, 8192))
        with nogil:
            size = table.number_encode(
                &self.plan, &data[0], rows, item, memory.out, memory.work
            )
        return PyBytes_FromStringAndSize(<char *> memory.out, size) if size else None


def find_plans(object values not None):
    """Plans that may fit floats, by a sample of them, the likeliest first.

    Parameters
    ----------
    values : contiguous ndarray of float32 or float64, shape (n,), n > 0

    Returns
    -------
    list of Plan
    """
    cdef const uint8_t[::1] data = values.view(np.uint8)
    cdef lh_plan[LH_PLANS_MAX] found
    cdef int64_t rows = values.shape[0]
    cdef int item = values.dtype.itemsize, count
    cdef Plan plan
    with nogil:
        count = lh_plans_find(&data[0], rows, item, found)
    plans = []
    for i in range(count):
        plan = Plan(found[i].codec)
        plan.plan = found[i]
        plans.append(plan)
    return plans
