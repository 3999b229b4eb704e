"""Door to kernels/brief_many.h: runs of many series folded into plain columns in one call."""

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdlib cimport free

from storage_engine.blocks cimport Room, Stop, take_room
from storage_engine.codec.kernels cimport kernel_table
from storage_engine.kernels.brief cimport (
    LH_BRIEF_DECODE,
    LH_EROWS,
    lh_brief_many,
    lh_brief_series,
    lh_brief_work,
    lh_briefs,
    lh_briefs_room,
)
from storage_engine.kernels.column cimport lh_kernels

from storage_engine.errors import InvalidArgument

lh_kernels = kernel_table()
NO_RUNS = LH_EROWS
SERIES_BYTES = sizeof(lh_brief_series)
_SPARE = []  # desks that no call uses now


cdef class Desk:
    """Room of one call."""

    cdef lh_briefs *held
    cdef Room room

    def __cinit__(self):
        self.held = lh_briefs_room()
        if self.held == NULL:
            raise MemoryError
        self.room = take_room()

    def __dealloc__(self):
        free(self.held)


def fold_series(
    uint8_t[::1] series not None, const int64_t[::1] edges not None,
    int64_t[:, :, ::1] counts not None, uint64_t[:, :, ::1] cells not None,
    double[:, :, ::1] sums not None, int64_t threads, Stop stop not None, bint decode,
):
    """Fold series into windows between ``edges``, int64 that do not fall, two at least.

    ``series`` is a table of brief_reads.SERIES, whose runs the caller keeps alive; ``got`` of each
    is set where it was 0, and others are left out. ``counts`` holds rows and good rows, ``cells``
    minimum, maximum, first and last good value, ``sums`` sum and mean, one entry for each series
    and window. ``decode``: without summaries. Returns how many series have a negative ``got``.
    """
    cdef lh_brief_work work
    cdef int64_t n = series.shape[0] // <int64_t> sizeof(lh_brief_series)
    cdef int64_t m = edges.shape[0] - 1
    cdef int64_t k, left = 0
    cdef bint falls = False
    cdef int got
    cdef Desk desk
    for k in range(m):
        falls |= edges[k + 1] < edges[k]
    if m < 1 or falls:
        raise InvalidArgument(f"cannot fold: got {m + 1} edges, want 2 that rise")
    if counts.shape[0] != 2 or cells.shape[0] != 4 or sums.shape[0] != 2 or (
            counts.shape[1] != n or cells.shape[1] != n or sums.shape[1] != n) or (
            counts.shape[2] != m or cells.shape[2] != m or sums.shape[2] != m):
        raise InvalidArgument(f"cannot fold {n} series: got columns that differ in length")
    if n == 0:
        return 0
    work.series, work.count, work.next = <lh_brief_series *> &series[0], n, 0
    work.edge, work.m, work.stop = &edges[0], m, &stop.flag
    work.flags = LH_BRIEF_DECODE if decode else 0
    work.out.rows, work.out.good = &counts[0, 0, 0], &counts[1, 0, 0]
    work.out.minimum, work.out.maximum = &cells[0, 0, 0], &cells[1, 0, 0]
    work.out.first, work.out.last = &cells[2, 0, 0], &cells[3, 0, 0]
    work.out.sum, work.out.mean = &sums[0, 0, 0], &sums[1, 0, 0]
    desk = _SPARE.pop() if _SPARE else Desk()
    with nogil:
        got = lh_brief_many(&work, threads, desk.held, desk.room.scratch)
    _SPARE.append(desk)
    if got < 0:
        raise MemoryError
    for k in range(n):
        left += work.series[k].got < 0
    return left
