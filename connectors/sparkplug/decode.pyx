"""Door to kernels/sparkplug.h: a payload into columns, and its metrics bound to known series."""

import numpy as np

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

from connectors.kernels.sparkplug cimport (
    LH_SP_COLUMNS, LH_SP_HAS_ALIAS, LH_SP_HAS_NAME, LH_SP_INFO, LH_SP_NAME, LH_SP_NO_TIME,
    lh_sp_bind, lh_sp_head, lh_sp_metrics, lh_sp_number, lh_sp_read_head,
)

ALIAS, TIME, BITS, SIZE, AT, END, NAME, INFO = range(8)
IS_NULL, HISTORICAL, TRANSIENT, PROPERTIES, HAS_ALIAS, HAS_NAME, METADATA = (
    1 << k for k in range(7)
)
NO_TIME = LH_SP_NO_TIME

WRONG = {
    -1: "a number of more than 10 bytes, or a cut one",
    -2: "a field longer than what holds it",
    -3: "a field of a type that it does not have",
    -4: "more metrics than before",
}
cdef enum:
    SIZE_MAX = 0x7FFFFFFF


cdef class Payload:
    """What a payload (or the value of a template) says.

    ``columns`` is int64 of shape (8, n): alias, time in ms (NO_TIME where there is none), the value
    as 64 bits or where it begins and its size, where the metric begins and ends, name (beginning
    << 32 | size), and datatype << 16 | field of the value << 8 | flags. ``time_ms`` is NO_TIME and
    ``seq`` -1 where the payload has none.
    """

    cdef readonly bytes raw
    cdef readonly int64_t time_ms, seq, count
    cdef readonly object columns

    def __init__(self, bytes raw not None, bint template=False):
        """Read it. Raises ValueError which says what is wrong, and where."""
        cdef lh_sp_head head
        cdef int64_t[:, ::1] columns
        cdef const uint8_t *data = <const uint8_t *> PyBytes_AS_STRING(raw)
        cdef int64_t size = PyBytes_GET_SIZE(raw)
        if size > SIZE_MAX:
            raise ValueError(f"cannot read payload: got {size} bytes, want less than 2 GiB")
        cdef int got = lh_sp_read_head(data, size, template, &head)
        if got == 0:
            self.columns = np.empty((<int> LH_SP_COLUMNS, head.count), np.int64)
            if head.count:
                columns = self.columns
                got = lh_sp_metrics(data, size, &columns[0, 0], head.count, &head.wrong)
        if got < 0:
            raise ValueError(f"cannot read payload of {size} bytes: got {WRONG[got]} at byte "
                             f"{head.wrong}, want a payload of Sparkplug B")
        self.raw, self.time_ms, self.seq, self.count = raw, head.time, head.seq, head.count

    def name(self, int64_t row):
        """Name of a metric, None where it has none. Raises ValueError if it is no UTF-8."""
        cdef int64_t place = self.columns[<int> LH_SP_NAME, row]
        if not self.columns[<int> LH_SP_INFO, row] & LH_SP_HAS_NAME:
            return None
        return self.raw[place >> 32:(place >> 32) + (place & 0xFFFFFFFF)].decode()


def bind(
    Payload payload not None,
    const uint64_t[::1] aliases not None,
    const uint8_t[::1] datatypes not None,
    const int32_t[::1] series not None,
    dict names not None,
    int64_t early_ms,
):
    """Bind the metrics of a payload to the rows of a node's table.

    The first rows of the table are those with an alias, in order of ``aliases``; ``names`` are
    rows by name (bytes), for metrics that come without alias. ``series`` is -1 for a row that is
    not to be bound here. Metrics without a time get ``early_ms``.

    Gives int64 of shape (5, n), and how many of the n are left to the caller: series (-1: left to
    the caller), time in ns, value as 64 bits, value type, row of the table (-1: unknown).
    """
    cdef int64_t n = payload.count, k, place
    cdef int32_t nothing = 0
    out = np.empty((5, n), np.int64)
    if n == 0:
        return out, 0
    if datatypes.shape[0] != series.shape[0] or aliases.shape[0] > series.shape[0]:
        raise ValueError(f"cannot bind: got {aliases.shape[0]} aliases, {datatypes.shape[0]} "
                         f"datatypes and {series.shape[0]} series, want rows of one table")
    cdef int64_t known = series.shape[0]
    cdef int64_t[:, ::1] columns = payload.columns, bound = out
    cdef const char *data = PyBytes_AS_STRING(payload.raw)
    for k in range(n):
        bound[4, k] = -1
        if columns[<int> LH_SP_INFO, k] & (LH_SP_HAS_ALIAS | LH_SP_HAS_NAME) == LH_SP_HAS_NAME:
            place = columns[<int> LH_SP_NAME, k]
            row = names.get(PyBytes_FromStringAndSize(data + (place >> 32), place & 0xFFFFFFFF))
            if row is not None and 0 <= <int64_t> row < known:
                bound[4, k] = row
    return out, lh_sp_bind(
        &columns[0, 0], n, &aliases[0] if aliases.shape[0] else <const uint64_t *> &nothing,
        aliases.shape[0], &datatypes[0] if known else <const uint8_t *> &nothing,
        &series[0] if known else &nothing, early_ms, &bound[0, 0],
    )


def number(int datatype, int kind, int64_t bits):
    """The 64 bits of a value of this datatype that came in field ``kind``; None if it is none."""
    cdef int64_t found = 0
    if 0 <= datatype < 256 and lh_sp_number(datatype, kind, bits, &found):
        return found
    return None
