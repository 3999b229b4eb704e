"""Door to kernels/block.h: columns of packed blocks, and rows of a window into arrays."""

from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.stdlib cimport free

from storage_engine.codec.kernels cimport kernel_table
from storage_engine.kernels.block cimport (
    LH_ESTOPPED,
    LH_RUN_ALONE,
    LH_RUN_GOOD,
    LH_RUN_LOADED,
    LH_RUN_RISING,
    LH_RUN_WHOLE,
    lh_arrays,
    lh_place_good,
    lh_place_rows,
    lh_read_scratch,
    lh_run,
    lh_run_load,
    lh_runs_read,
)
from storage_engine.kernels.column cimport LH_VECTOR, lh_kernels

import numpy as np

from storage_engine.errors import CorruptData, InvalidArgument

lh_kernels = kernel_table()
RISING, ALONE, LOADED = LH_RUN_RISING, LH_RUN_ALONE, LH_RUN_LOADED
GOOD, WHOLE, STOPPED = LH_RUN_GOOD, LH_RUN_WHOLE, LH_ESTOPPED
RUN_BYTES = sizeof(lh_run)
_SPARE = []  # rooms that no call uses now


cdef class Room:
    """Scratch of one call."""

    def __cinit__(self):
        self.scratch = lh_read_scratch()
        if self.scratch == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.scratch)


cdef Room take_room():
    """A room to be given back with ``_SPARE.append``."""
    return _SPARE.pop() if _SPARE else Room()


cdef class Stop:
    """A flag that ends the reads that look at it, from any thread."""

    def set(self):
        """End them."""
        self.flag = 1

    @property
    def is_set(self):
        """Whether they were told to end."""
        return self.flag != 0


cdef const lh_run *runs_at(object runs, int64_t begin, int64_t end) except? NULL:
    """Address of the first of some runs, which must lie in the array."""
    cdef const uint8_t[::1] view
    if not 0 <= begin <= end <= len(runs) or runs.itemsize != sizeof(lh_run):
        raise InvalidArgument(f"cannot read runs: got {begin} to {end} of {len(runs)}")
    if begin == end:
        return NULL
    view = runs.view(np.uint8)
    return <const lh_run *> &view[begin * sizeof(lh_run)]


def load_run(runs not None, int64_t place, bytes data not None, int value_type, int item):
    """Set the columns of one run from the bytes of its block, which the caller keeps alive.

    Gives the names of the columns that the kernels cannot decode, whose places the caller must
    fill otherwise. Raises CorruptData when the bytes are not a block of this type.
    """
    cdef lh_run *run = <lh_run *> runs_at(runs, place, place + 1)
    cdef const uint8_t *body = data
    cdef uint8_t first[8 * 1024]
    cdef Room room = take_room()
    cdef int64_t count, rows
    undone = []
    if lh_run_load(run, body, len(data), value_type, item) < 0:
        raise CorruptData(f"cannot load run: got {len(data)} bytes, want a block of type "
                          f"{value_type} with rows {run.start} to {run.start + run.rows}")
    rows = run.block_rows
    count = min(<int64_t> LH_VECTOR, rows)
    if lh_place_rows(&run.time, rows, 0, count, first, room.scratch) < 0:
        undone.append("time")
    if lh_place_rows(&run.value, rows, 0, count, first, room.scratch) < 0:
        undone.append("value")
    if lh_place_good(&run.quality):
        run.flags |= LH_RUN_GOOD
    elif lh_place_rows(&run.quality, rows, 0, count, first, room.scratch) < 0:
        undone.append("quality")
    if run.valid.codec == 0:
        run.flags |= LH_RUN_WHOLE
    elif lh_place_rows(&run.valid, rows, 0, count, first, room.scratch) < 0:
        undone.append("valid")
    _SPARE.append(room)
    return undone


def read_runs(
    runs not None, int64_t begin, int64_t end, int64_t start_ns, int64_t end_ns,
    int64_t[::1] time not None, uint8_t[::1] value not None, uint32_t[::1] quality,
    uint8_t[::1] valid, int64_t at, Stop stop not None,
):
    """Rows with start <= time < end of loaded runs into arrays, from row ``at`` on.

    ``value`` is the memory of the values. The arrays must hold all rows of the runs that touch the
    window. Gives the number of rows, or a negative number when the bytes do not hold or it was
    stopped.
    """
    cdef const lh_run *first = runs_at(runs, begin, end)
    cdef lh_arrays out
    cdef int64_t room = time.shape[0] - at, count = end - begin, got
    cdef Room scratch
    if count == 0 or room <= 0:
        return 0
    if at < 0 or (quality is not None and quality.shape[0] < time.shape[0]) or (
            valid is not None and valid.shape[0] < time.shape[0]) or (
            value.shape[0] < time.shape[0] * first.value.item):
        raise InvalidArgument("cannot read runs: arrays differ in length")
    out.time, out.value = &time[0], &value[0]
    out.quality = &quality[0] if quality is not None else NULL
    out.valid = &valid[0] if valid is not None else NULL
    scratch = take_room()
    with nogil:
        got = lh_runs_read(
            first, count, start_ns, end_ns, &out, at, room, scratch.scratch, &stop.flag)
    _SPARE.append(scratch)
    return got
