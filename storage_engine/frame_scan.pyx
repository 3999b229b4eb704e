"""Door to kernels/plain_frame.h: where the columns of a frame lie, and whom its slots mean."""

from libc.stdint cimport int64_t, uint8_t, uint32_t

from storage_engine.kernels.crc32c cimport lh_crc32c_best, lh_crc32c_fn
from storage_engine.kernels.plain_frame cimport (
    lh_plain_frame,
    lh_plain_in_bounds,
    lh_plain_section,
    lh_plain_sections,
    lh_plain_sound,
)

import numpy as np

cdef lh_crc32c_fn BEST = lh_crc32c_best()

# Below this giving up the GIL costs more than the work.
cdef enum:
    GIL_BYTES = 65536


def plain_sections(bytes raw not None):
    """Sections of a sound frame that holds samples of numbers only; None for any other bytes.

    Each as (type, rows, times, slots, qualities, validity, values): offsets in ``raw``, -1 for a
    part that is not there.
    """
    cdef const uint8_t *at = <const uint8_t *> (<char *> raw)
    cdef int64_t size = len(raw)
    cdef lh_plain_frame frame
    cdef bint good
    if not lh_plain_sections(at, size, &frame):
        return None
    if size > GIL_BYTES:
        with nogil:
            good = lh_plain_sound(BEST, at, size) and lh_plain_in_bounds(at, &frame)
    else:
        good = lh_plain_sound(BEST, at, size) and lh_plain_in_bounds(at, &frame)
    if not good:
        return None
    return [_places(at, &frame.section[k]) for k in range(frame.sections)]


def bound_streams(
    const uint32_t[::1] slot not None, const uint32_t[::1] table not None,
    const uint8_t[::1] types not None, uint8_t wanted,
):
    """Streams of slots by a dense table; None when one is not bound to a series of this type."""
    cdef int64_t n = slot.shape[0], slots = table.shape[0], streams = types.shape[0], i
    cdef uint32_t stream
    out = np.empty(n, np.uint32)
    cdef uint32_t[::1] view = out
    for i in range(n):
        if slot[i] >= slots:
            return None
        stream = table[slot[i]]
        if stream >= streams or types[stream] != wanted:
            return None
        view[i] = stream
    return out


cdef tuple _places(const uint8_t *at, const lh_plain_section *s):
    return (
        s.type, s.rows, s.time - at, s.slot - at, s.quality - at if s.quality != NULL else -1,
        s.valid - at if s.valid != NULL else -1, s.value - at,
    )
