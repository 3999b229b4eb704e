"""Codecs 9 to 15, from codecs.md: values as bits, one after the other."""

import struct
from collections.abc import Callable

import numpy as np
from pcodec import standalone
from second_reader.words import Cursor, DamagedError

DECIMAL, SCALED, ORDERED, REAL, DISTINCT, RLE, PCO = range(9, 16)
WORD = 1 << 64
Child = Callable[[Cursor, str, int], np.ndarray]


def decode_composite(codec: int, body: bytes, size: int, rows: int, child: Child) -> list[int]:
    """Bits of `rows` values of `size` bytes; `child` reads a column that lies in another."""
    part = Cursor(body)
    if codec in (DECIMAL, SCALED):
        values = _grid(codec, part, size, rows, child)
    elif codec == ORDERED:
        half = 1 << (8 * size - 1)
        integers = [n % (2 * half) for n in _integers(part, rows, child)]
        values = [n if n < half else n ^ (half - 1) for n in integers]
    elif codec == REAL:
        values = _real(part, size, rows, child)
    else:
        count = part.number(4)
        entries = child(part, f"<u{size}", count).tolist()
        codes = _integers(part, rows if codec == DISTINCT else count, child)
        if codec == DISTINCT:
            values = [entries[code] for code in codes]
        else:
            values = [v for v, n in zip(entries, codes, strict=True) for _ in range(n)]
    if part.at != len(body) or len(values) != rows:
        raise DamagedError(f"codec {codec}: {len(values)} of {rows} rows, {part.at} bytes")
    return values


def _integers(part: Cursor, rows: int, child: Child) -> list[int]:
    return child(part, "<i8", rows).tolist()


def _grid(codec: int, part: Cursor, size: int, rows: int, child: Child) -> list[int]:
    if codec == DECIMAL:
        a, b, c = 1.0, float(10 ** part.number(1)), 0.0
    else:
        a, b, c = struct.unpack("<3d", part.take(24))
    flags = part.number(1)
    integers = _integers(part, rows, child)
    moves = _integers(part, rows, child) if flags & 1 else [0] * rows
    values = []
    for integer, move in zip(integers, moves, strict=True):
        value = float(integer) * a / b + c
        bits = np.float64(value) if size == 8 else np.float32(value)
        values.append((int(bits.view(f"u{size}")) + move) % (1 << 8 * size))
    return _excepted(part, values, size, child) if flags & 2 else values


def _real(part: Cursor, size: int, rows: int, child: Child) -> list[int]:
    width, count, flags = part.number(1), part.number(1), part.number(1)
    fronts = [part.number(2) for _ in range(count)] + [0] * (8 - count)
    codes, rights = _integers(part, rows, child), _integers(part, rows, child)
    mask, whole = (1 << width) - 1, (1 << 8 * size) - 1
    pairs = zip(codes, rights, strict=True)
    values = [(fronts[code % 8] << width | right & mask) & whole for code, right in pairs]
    return _excepted(part, values, size, child) if flags & 1 else values


def _excepted(part: Cursor, values: list[int], size: int, child: Child) -> list[int]:
    count = part.number(4)
    places = _integers(part, count, child)
    kept = child(part, f"<u{size}", count).tolist()
    for place, value in zip(places, kept, strict=True):
        values[place] = value
    return values


def decode_pco(body: bytes, size: int, rows: int) -> list[int]:
    """Bits of `rows` values; 64-bit integers have anchor and step before the file."""
    grid = not body.startswith(b"pco!")
    anchor, step = struct.unpack("<QQ", body[:16]) if grid else (0, 1)
    values = standalone.simple_decompress(body[16 if grid else 0 :])
    if values is None or len(values) != rows or values.itemsize != size:
        raise DamagedError(f"pco does not hold {rows} rows")
    return [(anchor + step * n) % WORD for n in values.view(f"u{size}").tolist()]
