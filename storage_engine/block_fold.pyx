"""Door to kernels/block_fold.h: runs and rows folded into windows, one series at a time."""

from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.stdlib cimport free
from posix.stdlib cimport posix_memalign

from storage_engine.blocks cimport Room, Stop, runs_at, take_room
from storage_engine.codec.kernels cimport kernel_table
from storage_engine.fold cimport FoldColumns
from storage_engine.kernels.block cimport lh_run
from storage_engine.kernels.block_fold cimport (
    LH_ENOTLOADED,
    lh_runs_needed,
    lh_windows,
    lh_windows_begin,
    lh_windows_end,
    lh_windows_rows,
    lh_windows_runs,
)
from storage_engine.kernels.column cimport lh_kernels
from storage_engine.kernels.fold cimport (
    LH_DURATIONS, LH_EVERY, lh_fold_columns, lh_fold_free,
)

import numpy as np

from storage_engine.errors import InvalidArgument

lh_kernels = kernel_table()
NOT_LOADED = LH_ENOTLOADED


cdef class Windows:
    """Windows of one series while they are filled; may be used for one series after the other.

    The windows are those between ``edges``, int64 that do not fall, two at least. ``wanted``
    has a bit for each sum of fold_state.SUMS that is kept, and fold_state.DURATIONS.
    """

    cdef lh_windows *held
    cdef const int64_t[::1] edges
    cdef FoldColumns out
    cdef Room room
    cdef Stop stop
    cdef uint32_t wanted
    cdef int64_t count
    cdef int item

    def __cinit__(
        self, const int64_t[::1] edges not None, Stop stop not None, uint32_t wanted=LH_EVERY,
    ):
        cdef void *memory = NULL
        times = np.asarray(edges)
        if len(times) < 2 or (times[1:] < times[:len(times) - 1]).any():
            raise InvalidArgument(f"cannot fold: got {edges.shape[0]} edges, want 2 that rise")
        if posix_memalign(&memory, 64, sizeof(lh_windows)) != 0:
            raise MemoryError
        self.held = <lh_windows *> memory
        self.edges, self.stop = edges, stop
        self.count = edges.shape[0] - 1
        self.wanted = wanted & (LH_EVERY | LH_DURATIONS)
        self.room = take_room()

    def __dealloc__(self):
        free(self.held)

    def begin(self, FoldColumns out not None, int64_t first):
        """Fill states ``first`` to ``first`` + windows of ``out``."""
        if not 0 <= first <= out.n - self.count:
            raise InvalidArgument(f"cannot fold into states {first} on: got {out.n} states")
        cdef int64_t i
        for i in range(first, first + self.count):
            lh_fold_free(&out.states[i])
        self.out = out
        self.item = (8, 4, 8, 8, 1, 8, 8)[out.kind]
        if lh_windows_begin(
                self.held, out.kind, self.wanted, &self.edges[0], self.count,
                out.states + first) < 0:
            raise MemoryError

    def needed(self, runs not None, int64_t begin, int64_t end):
        """Positions of runs that must be loaded before they can be folded here."""
        cdef const lh_run *first = runs_at(runs, begin, end)
        cdef uint8_t[::1] view
        if begin == end:
            return []
        marks = np.empty(end - begin, np.uint8)
        view = marks
        if lh_runs_needed(
                first, end - begin, &self.edges[0], self.count, self.wanted, self.out.kind,
                &view[0]) == 0:
            return []
        return (np.flatnonzero(marks) + begin).tolist()

    def runs(self, runs not None, int64_t begin, int64_t end, int64_t start_ns, int64_t end_ns):
        """Add the rows of runs with start <= time < end; 0, or a negative number."""
        cdef const lh_run *first = runs_at(runs, begin, end)
        cdef int got = 0
        if begin < end:
            if first.value.item not in (0, self.item):
                raise InvalidArgument(f"cannot fold runs: got {first.value.item} bytes a value")
            with nogil:
                got = lh_windows_runs(
                    self.held, first, end - begin, start_ns, end_ns, self.room.scratch,
                    &self.stop.flag)
        return got

    def rows(
        self, const int64_t[::1] time not None, const uint8_t[::1] value,
        const uint32_t[::1] quality, const uint8_t[::1] valid,
    ):
        """Add rows in order of time, none before the first edge; ``value`` is memory, or None."""
        cdef lh_fold_columns columns
        cdef int64_t n = time.shape[0]
        cdef int got = 0
        if n == 0:
            return 0
        if (value is not None and value.shape[0] != n * self.item) or (
                value is None and self.out.kind < 6) or (
                quality is not None and quality.shape[0] != n) or (
                valid is not None and valid.shape[0] != n) or time[0] < self.edges[0]:
            raise InvalidArgument("cannot fold rows: columns differ in length")
        columns.time, columns.type = &time[0], self.out.kind
        columns.value = <const void *> &value[0] if value is not None else NULL
        columns.quality = &quality[0] if quality is not None else NULL
        columns.valid = &valid[0] if valid is not None else NULL
        with nogil:
            got = lh_windows_rows(self.held, &columns, 0, n)
        return got

    def end(self):
        """Fill what is left; every state of the series is then there."""
        if lh_windows_end(self.held) < 0:
            raise MemoryError
