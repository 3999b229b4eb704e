"""Doors to kernels/records.h and kernels/plain_frame.h: a log into records, and into a head."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp

from storage_engine.head_rows cimport RowLog
from storage_engine.kernels.crc32c cimport lh_crc32c_best, lh_crc32c_fn
from storage_engine.kernels.head cimport lh_head_newest
from storage_engine.kernels.plain_frame cimport (
    lh_plain_append,
    lh_plain_bind,
    lh_plain_frame,
    lh_plain_frame_at,
)
from storage_engine.kernels.records cimport lh_records, lh_sound_records

from operator import itemgetter

import numpy as np

from storage_engine.errors import InvalidArgument

cdef lh_crc32c_fn BEST = lh_crc32c_best()

cdef enum:
    ROOM = 16384
    OBSERVED = 1


def sound_records(const uint8_t[::1] data not None, int64_t at, uint32_t seed, int64_t budget):
    """Records from byte ``at`` on that are sound, back to back, some thousands at most.

    Returns (offset, body_bytes, lsn, time_ns, kind) as arrays, the byte behind the last of them,
    and what is left of the budget of body bytes.
    """
    if at < 0:
        raise InvalidArgument(f"cannot look for records: got byte {at}, want >= 0")
    offset, size = np.empty(ROOM, np.int64), np.empty(ROOM, np.uint32)
    lsn, time, kind = np.empty(ROOM, np.uint64), np.empty(ROOM, np.int64), np.empty(ROOM, np.uint8)
    cdef int64_t[::1] offset_view = offset
    cdef uint32_t[::1] size_view = size
    cdef uint64_t[::1] lsn_view = lsn
    cdef int64_t[::1] time_view = time
    cdef uint8_t[::1] kind_view = kind
    cdef lh_records out
    out.offset, out.body_bytes, out.lsn = &offset_view[0], &size_view[0], &lsn_view[0]
    out.time_ns, out.kind = &time_view[0], &kind_view[0]
    cdef int64_t n = 0, length = data.shape[0]
    if length:
        with nogil:
            n = lh_sound_records(
                BEST, &data[0], length, seed, &at, &budget, &out, ROOM)
    found = tuple(column[:n].copy() for column in (offset, size, lsn, time, kind))
    return found, at, budget


cdef class _Known:
    """A producer of the frames at hand: its slots, and its last frame."""

    cdef object key
    cdef const uint32_t[::1] table
    cdef uint64_t epoch, sequence, lsn
    cdef uint32_t crc


def plain_frames(
    RowLog log not None, const uint8_t[::1] data not None, const int64_t[::1] body not None,
    const uint32_t[::1] size not None, const uint64_t[::1] lsn not None,
    const uint8_t[::1] types not None, newest not None, int64_t streams, int64_t room,
    slots not None,
):
    """Append plain frames to a head until one is not plain, or does not fit.

    ``body`` and ``size`` say where each record's body lies in ``data``; ``slots`` gives the table
    of streams by slot of a producer's id and epoch, or None. Returns how many frames were taken,
    and (producer, epoch, sequence, crc, lsn) of each producer's last, in order.
    """
    cdef int64_t n = body.shape[0], k = 0, length = data.shape[0]
    if not (size.shape[0] == lsn.shape[0] == n):
        raise InvalidArgument("cannot take frames: columns differ in length")
    if streams > log.streams:
        log.grow(max(streams, 2 * log.streams))
    streams = min(streams, types.shape[0], len(newest.time))
    room = min(room, log.capacity - log.used)
    cdef lh_head_newest table
    log.table_of(newest, &table)
    cdef lh_plain_frame frame
    cdef dict known = {}
    cdef _Known one = None
    cdef const uint8_t *last = NULL
    while k < n:
        if body[k] < 0 or body[k] > length - size[k] or size[k] == 0:
            raise InvalidArgument("cannot take frames: got one outside of the data")
        if not lh_plain_frame_at(&data[body[k]], size[k], &frame) or frame.rows > room:
            break
        if last == NULL or memcmp(last, frame.producer, 16) != 0:
            one = _known(known, frame.producer[:16], frame.epoch, slots)
            last = frame.producer
        if one is None or one.epoch != frame.epoch:
            break
        if not lh_plain_bind(&frame, &one.table[0], one.table.shape[0], &types[0], streams,
                             log.rows.stream + log.used):
            break
        lh_plain_append(
            &log.rows, &table, &frame, 2 * lsn[k] + (frame.flags & OBSERVED), log.used)
        log.end_batch(2 * lsn[k] + (frame.flags & OBSERVED), frame.rows)
        one.sequence, one.crc, one.lsn = frame.sequence, frame.crc, lsn[k]
        room -= frame.rows
        k += 1
    taken = []
    for one in known.values():
        if one is not None and one.lsn:
            taken.append((one.key, one.epoch, one.sequence, one.crc, one.lsn))
    return k, sorted(taken, key=itemgetter(4))


cdef _Known _known(dict known, bytes key, uint64_t epoch, slots):
    if key in known:
        return known[key]
    found = slots(key, epoch)
    cdef _Known one = None
    if found is not None and len(found):
        one = _Known()
        one.key, one.epoch, one.table = key, epoch, found
    known[key] = one
    return one
