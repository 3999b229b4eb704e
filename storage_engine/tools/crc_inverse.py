"""CRC-32C backwards: from a block's bytes to the stream that its checksum names.

A CRC is linear, so the state before some bytes follows from the state behind them. A block's
checksum starts from that of its identity; what is left after undoing the bytes is the identity,
whose last field is the first stream.
"""

from functools import cache

from storage_engine.checksum import crc32c

_POLYNOMIAL = 0x82F63B78
_ONES = 0xFFFFFFFF
Matrix = tuple[int, ...]


def _table() -> list[int]:
    table = []
    for byte in range(256):
        state = byte
        for _ in range(8):
            state = state >> 1 ^ (_POLYNOMIAL if state & 1 else 0)
        table.append(state)
    return table


_TABLE = _table()
_BY_TOP = {entry >> 24: byte for byte, entry in enumerate(_TABLE)}


def _undo_byte(state: int) -> int:
    """State before one zero byte."""
    byte = _BY_TOP[state >> 24]
    return (state ^ _TABLE[byte]) << 8 & _ONES | byte


def _times(matrix: Matrix, state: int) -> int:
    out = 0
    for column in matrix:
        if state & 1:
            out ^= column
        state >>= 1
    return out


@cache
def _undo_power(exponent: int) -> Matrix:
    """Operator that undoes 2 ** exponent zero bytes."""
    if exponent == 0:
        return tuple(_undo_byte(1 << bit) for bit in range(32))
    half = _undo_power(exponent - 1)
    return tuple(_times(half, column) for column in half)


def _undo(state: int, size: int) -> int:
    """State before ``size`` zero bytes."""
    exponent = 0
    while size:
        if size & 1:
            state = _times(_undo_power(exponent), state)
        size >>= 1
        exponent += 1
    return state


def seed_of(data: bytes | memoryview, crc: int) -> int:
    """Seed with which ``crc32c(data, seed)`` is ``crc``.

    Parameters
    ----------
    data : bytes
    crc : int

    Returns
    -------
    int
        There is always exactly one.
    """
    from_zero = crc32c(data, _ONES) ^ _ONES
    return _undo(crc ^ _ONES ^ from_zero, len(data)) ^ _ONES


def last_field(prefix: bytes, crc: int) -> int:
    """Number u32 that, appended to ``prefix``, gives this CRC-32C.

    Parameters
    ----------
    prefix : bytes
    crc : int

    Returns
    -------
    int
        There is always exactly one.
    """
    before = crc32c(prefix) ^ _ONES
    return _undo(crc ^ _ONES, 4) ^ before
