"""Door to kernels/fold.h: exact summaries of windows of rows, and their algebra."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from storage_engine.kernels.fold cimport (
    LH_BRIEF, LH_EVERY, lh_fold_columns, lh_fold_free, lh_fold_groups, lh_fold_known,
    lh_fold_places, lh_fold_result, lh_fold_state,
)

import numpy as np

from storage_engine.codec.kernels import KERNEL
from storage_engine.errors import InvalidArgument
from storage_engine.fold_state import RESULTS, STATE

LANES = KERNEL  # whose room refuses a target that is not there
if sizeof(lh_fold_state) != STATE.itemsize:
    raise ImportError("a fold state is laid out otherwise here")


cdef class FoldColumns:
    """Fold states of windows or vectors of one value type, one a row of a fold_state.STATE table.

    A table that is given is copied; a sum whose ``exact`` bit is not set in it is not known, nor
    are durations by value where it has some.
    """

    def __cinit__(self, int kind, table not None):
        if table.dtype != STATE or table.ndim != 1 or not 0 <= kind <= 6:
            raise InvalidArgument(f"cannot hold fold states: got kind {kind}, {table.dtype}")
        held = np.empty(len(table), STATE)
        cdef uint8_t[::1] raw = held.view(np.uint8)
        self.n, self.kind = len(table), kind
        self.states = <lh_fold_state *> &raw[0] if self.n else NULL
        np.asarray(raw)[...] = np.ascontiguousarray(table).view(np.uint8)
        held["exact"] &= np.where(held["codes"], LH_EVERY, 255).astype(np.uint8)
        held["wide"], held["codes"] = 0, 0
        self.table = held.view()
        self.table.flags.writeable = False

    def __dealloc__(self):
        cdef int64_t i
        for i in range(self.n):
            lh_fold_free(&self.states[i])

    def __len__(self):
        return self.n

    cdef uint64_t address(self):
        return <uint64_t> self.states

    @staticmethod
    def fold(
        int kind, const int64_t[::1] time not None, value, quality, valid, edges not None,
        brief=False, wanted=None,
    ):
        """Fold the rows of each window [edges[k], edges[k + 1]) of m + 1 edges; gives m states.

        ``time`` must not fall; ``value`` is contiguous and of the kind (codes uint64, 6: None).
        ``brief``: counts, extremes, first, last and the sum alone. With ``wanted``, bits of what
        each window wants beside these, edges are numbers of rows. The GIL is released.
        """
        cdef int64_t n = time.shape[0], m = len(edges) - 1
        cdef const uint8_t[::1] values, marks, wants = wanted
        cdef const uint32_t[::1] levels
        cdef lh_fold_columns rows
        if m < 0 or np.any(edges[1:] < edges[:m]):
            raise InvalidArgument("cannot fold windows: got edges that fall, want ascending ones")
        if wanted is None:
            wants = np.full(m, LH_BRIEF if brief else LH_EVERY, np.uint8)
            edges = np.searchsorted(time, edges)
        cdef const int64_t[::1] places = edges
        if (kind < 6 and (value.size != n or value.itemsize != (8, 4, 8, 8, 1, 8)[kind])) or (
                any(x is not None and len(x) != n for x in (quality, valid)) or
                wants.shape[0] != m or places[0] < 0 or places[m] > n):
            raise InvalidArgument(f"cannot fold rows: got {edges} and values unlike {n} rows")
        cdef FoldColumns out = FoldColumns(kind, np.zeros(m, STATE))
        rows.type, rows.time, rows.value = kind, &time[0] if n else NULL, NULL
        rows.quality, rows.valid = NULL, NULL
        if kind < 6 and n:
            values = value.view(np.uint8)
            rows.value = <const void *> &values[0]
        if quality is not None and n:
            levels = quality
            rows.quality = &levels[0]
        if valid is not None and n:
            marks = valid.view(np.uint8)
            rows.valid = &marks[0]
        cdef int failed = 0
        if m:
            with nogil:
                failed = lh_fold_places(&rows, &places[0], m, &wants[0], out.states)
        if failed:
            raise MemoryError
        return out

    @staticmethod
    def gather(int kind, sources not None, const int64_t[::1] source not None,
               const int64_t[::1] row not None, const int64_t[::1] starts not None):
        """Merge states into groups: state i is row[i] of sources[source[i]], in order of time.

        Group k is [starts[k], starts[k + 1]), the last goes to the end. A sum is known where every
        state that has rows knows it.
        """
        cdef int64_t n = row.shape[0], m = starts.shape[0]
        cdef int failed = 0
        cdef FoldColumns out = FoldColumns(kind, np.zeros(m, STATE))
        held = np.array([len(part) for part in sources], np.int64)
        if source.shape[0] != n or np.any(np.diff(np.asarray(starts), append=n, prepend=0) < 0) or (
                any((<FoldColumns?> part).kind != kind for part in sources)) or (n and (
                np.min(source) < 0 or np.max(source) >= len(held) or np.min(row) < 0 or
                np.any(row >= held[np.asarray(source)]))):
            raise InvalidArgument(f"cannot merge {n} fold states: got ones that are not there")
        places = [(<FoldColumns> part).address() for part in sources]
        cdef uint64_t[::1] base = np.array(places, np.uint64)
        if m:
            with nogil:
                failed = lh_fold_groups(
                    kind, &base[0] if base.shape[0] else NULL, &source[0] if n else NULL,
                    &row[0] if n else NULL, n, &starts[0], m, out.states)
        if failed:
            raise MemoryError
        return out

    def merge(self, starts):
        """Merge adjoining rows into groups that begin at ``starts``."""
        every = np.arange(self.n)
        return FoldColumns.gather(self.kind, [self], 0 * every, every, starts)

    @property
    def known(self):
        """Bits of the sums that each row knows, in the order of fold_state.SUMS; DURATIONS."""
        cdef int64_t i
        out = np.zeros(self.n, np.uint8)
        cdef uint8_t[::1] view = out
        for i in range(self.n):
            view[i] = <uint8_t> lh_fold_known(&self.states[i])
        return out

    def result(self, name):
        """One of fold_state.RESULTS, rounded once to nearest even; float64, shape (n,).

        Integrals are in value x seconds. NaN where it is not known or has nothing to divide by.
        """
        cdef int64_t i, what = RESULTS.index(name)
        out = np.empty(self.n)
        cdef double[::1] view = out
        for i in range(self.n):
            view[i] = lh_fold_result(&self.states[i], what)
        return out
