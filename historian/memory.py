"""Keeps glibc from holding on to memory that was freed.

A flush and a large request use tens of megabytes for a moment, in several threads. By default each
thread has an arena of its own, and thresholds grow with use, so that such memory stays with the
process: measured with 10,000 tags at 1 Hz, the resident size doubles within ten minutes.
"""

import ctypes

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
ARENAS_MAX = 2
KEPT_BYTES = 4 * 1024 * 1024  # less makes an answer of a megabyte pay for page faults
MAPPED_BYTES = 256 * 1024  # blocks from this size on go back to the system when freed


def bound_allocator() -> bool:
    """Set fixed bounds; call it before threads start.

    Returns
    -------
    bool
        False where the C library has no such settings; nothing was changed then.

    References
    ----------
    mallopt(3).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = {
        _M_ARENA_MAX: ARENAS_MAX,
        _M_TRIM_THRESHOLD: KEPT_BYTES,
        _M_MMAP_THRESHOLD: MAPPED_BYTES,
    }
    taken = [mallopt(name, value) == 1 for name, value in settings.items()]
    return all(taken)
