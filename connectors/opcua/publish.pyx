"""Door to kernels/publish.h and settle.h: a message to changes, changes to rows."""

import uuid

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from connectors.kernels.publish cimport (
    LH_PLACE_GUID,
    lh_changes,
    lh_publish,
    lh_publish_open,
    lh_publish_rows,
    lh_settle,
    lh_settled,
)

import numpy as np

cdef enum:
    BLOB = 8
    TYPES = 9
    GIL_BYTES = 65536  # below this giving up the GIL costs more than the work


def decode(const uint8_t[::1] body not None):
    """Subscription, sequence, publish time, whether there are data, columns, objects, statuses.

    ``body``, an answer to Publish or Republish, is untrusted: ValueError for all but the plain
    case. Columns and objects are those of ``notification.Changes``, in its order.
    """
    cdef int64_t size = body.shape[0]
    if not size:
        raise ValueError("no bytes")
    cdef const uint8_t *at = &body[0]
    cdef lh_publish found
    cdef lh_changes rows = lh_changes(NULL, NULL, NULL, NULL, NULL, NULL, NULL)
    cdef const char *reason = lh_publish_open(at, size, &found)
    if reason != NULL:
        raise ValueError(reason.decode())
    columns = _columns(found.rows)
    rows = _pointers(columns)
    statuses = np.empty(found.statuses, np.uint32)
    cdef uint32_t[::1] codes = statuses
    cdef uint32_t *code = &codes[0] if found.statuses else NULL
    if size > GIL_BYTES:
        with nogil:
            reason = lh_publish_rows(at, size, &found, &rows, code)
    else:
        reason = lh_publish_rows(at, size, &found, &rows, code)
    if reason != NULL:
        raise ValueError(reason.decode())
    objects = _objects(at, found.rows, &rows) if found.objects else []
    return (
        found.subscription, found.sequence, found.published_ns if found.has_published else None,
        found.parts > 0, columns, objects, statuses.tolist(),
    )


def settle(
    tuple columns not None, uint8_t[::1] types not None, int64_t[::1] last_ns not None,
    int64_t received_ns,
):
    """Find series, time and validity of every change.

    Parameters
    ----------
    columns : tuple of arrays, shape (n,)
        As ``decode`` gives them.
    types : uint8, shape (items,)
        Type that each item had last, 0 for none; learns from the changes, in order.
    last_ns : int64, shape (items,)
        Latest time of each item; learns as well.
    received_ns : int
        Time of receipt, for changes without any time.

    Returns
    -------
    series : uint8, shape (n,)
        Value type of the series; 0 for a handle beyond ``items``.
    valid : bool, shape (n,)
    time_ns, before_ns : int64, shape (n,)
        ``before_ns``, the item's latest time before, is set for rows with the overflow bit alone.
    rows, nulls : list of int
        By value type: how many rows, how many of them without a value.
    overflows, gone, newest_ns : int
        Rows with the overflow bit; rows whose status says that there is no such node; latest time.
    """
    cdef lh_changes changes = _pointers(columns)
    cdef int64_t n = len(columns[0]), items = types.shape[0]
    cdef lh_settled out
    if last_ns.shape[0] != items:
        raise ValueError("cannot settle: got types and times of different lengths, want one length")
    series, valid = np.empty(n, np.uint8), np.empty(n, np.uint8)
    time_ns, before_ns = np.empty(n, np.int64), np.empty(n, np.int64)
    cdef uint8_t[::1] s = series, v = valid
    cdef int64_t[::1] t = time_ns, b = before_ns
    memset(&out, 0, sizeof(out))
    if n:
        lh_settle(
            &changes, n, &types[0] if items else NULL, &last_ns[0] if items else NULL, items,
            received_ns, &s[0], &v[0], &t[0], &b[0], &out,
        )
    return (
        series, valid.view(np.bool_), time_ns, before_ns, [out.rows[k] for k in range(TYPES)],
        [out.nulls[k] for k in range(TYPES)], out.overflows, out.gone, out.newest_ns,
    )


cdef tuple _columns(int64_t n):
    kinds = (np.uint32, np.uint8, np.uint64, np.uint32, np.int64, np.int64, np.uint8)
    return tuple([np.empty(n, kind) for kind in kinds])


cdef lh_changes _pointers(tuple columns) except *:
    cdef uint32_t[::1] handle = columns[0], status = columns[3]
    cdef uint8_t[::1] type_ = columns[1], present = columns[6]
    cdef uint64_t[::1] cell = columns[2]
    cdef int64_t[::1] source = columns[4], server = columns[5]
    cdef int64_t n = handle.shape[0]
    cdef lh_changes rows = lh_changes(NULL, NULL, NULL, NULL, NULL, NULL, NULL)
    if {len(column) for column in columns} != {n}:
        raise ValueError("cannot use changes: got columns of different lengths, want one length")
    if n:
        rows.handle, rows.type, rows.cell, rows.status = &handle[0], &type_[0], &cell[0], &status[0]
        rows.source_ns, rows.server_ns, rows.present = &source[0], &server[0], &present[0]
    return rows


cdef list _objects(const uint8_t *message, int64_t n, lh_changes *rows):
    """Strings and bytes behind the cells, which become places in the list."""
    cdef list found = []
    cdef int64_t i
    cdef uint64_t cell
    cdef const char *at
    for i in range(n):
        if rows.type[i] < 6:
            continue
        cell = rows.cell[i]
        at = <const char *> message + <uint32_t> cell
        rows.cell[i] = len(found)
        if cell & LH_PLACE_GUID:
            found.append(str(uuid.UUID(bytes_le=PyBytes_FromStringAndSize(at, 16))))
        elif rows.type[i] == BLOB:
            found.append(PyBytes_FromStringAndSize(at, cell >> 32))
        else:
            found.append(PyUnicode_DecodeUTF8(at, cell >> 32, NULL))
    return found
