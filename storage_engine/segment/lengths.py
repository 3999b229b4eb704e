"""Lengths in chunks: seven bits a byte, the lowest first, the top bit set on all but the last."""


def length_bytes(size: int) -> bytes:
    """Bytes of a length.

    Parameters
    ----------
    size : int
        Not negative.

    Returns
    -------
    bytes
    """
    out = bytearray()
    while size > 0x7F:
        out.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*out, size])


def read_lengths(view: memoryview, at: int, count: int) -> tuple[list[int], int]:
    """Undo :func:`length_bytes`, some times.

    Parameters
    ----------
    view : memoryview
    at : int
        Where they begin.
    count : int

    Returns
    -------
    sizes : list of int
    at : int
        Behind them.

    Raises
    ------
    IndexError
        When they go beyond the end.
    """
    sizes = []
    for _ in range(count):
        size, shift = 0, 0
        while view[at] > 0x7F:
            size |= (view[at] & 0x7F) << shift
            shift += 7
            at += 1
        sizes.append(size | view[at] << shift)
        at += 1
    return sizes, at
