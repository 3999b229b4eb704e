"""Tables as segments of version 2 hold them: known names as numbers, arrays by the number codecs.

Small segments are mostly directory, and a plant that sends a little late makes many of them.
Layout: docs/format/segment.md, section Directory.
"""

import struct
from collections.abc import Mapping

import numpy as np

from storage_engine.codec import decode_numbers, encode_numbers, zstd
from storage_engine.errors import CorruptData, UnsupportedFormat
from storage_engine.table import AnyColumn, Table, decode_table

COMPACT = 1 << 31  # bit of the count that says so
_COUNT = struct.Struct("<I")
_KNOWN_BIT = 0x80
_PLAIN, _ZSTD, _ZEROS, _STEPS, _SAME, _NEAR, _CODED = 0, 1, 2, 3, 4, 5, 16
_BROKEN = (ValueError, TypeError, IndexError, OverflowError, MemoryError)
_SMALL = 256  # elements up to which arrays are written as steps
_NEAR_ROWS = 4096  # elements up to which an array like this one is looked for
_BYTES_MAX = 1 << 30
_KINDS = "iufV"
# Part of the format: only ever grows, at its end.
KNOWN = (
    *(("block_offset", "<u8"), ("block_length", "<u4"), ("block_rows", "<u4")),
    *(("run_stream", "<u4"), ("run_block", "<u4"), ("run_start", "<u4"), ("run_rows", "<u4")),
    *(("run_first", "<i8"), ("run_last", "<i8"), ("run_stamp_min", "<u8")),
    *(("run_stamp_max", "<u8"), ("run_flags", "|u1")),
    *((f"run_{name}", "<u4") for name in ("good", "uncertain", "bad")),
    *((f"run_{name}", "<u8") for name in ("minimum", "maximum", "first_good", "last_good")),
    *((f"run_{name}_value", "<u8") for name in ("first", "last")),
    *((f"run_{name}_time", "<i8") for name in ("minimum", "maximum", "first_good", "last_good")),
    *((f"run_{name}_quality", "<u4") for name in ("first", "last")),
    *((f"run_{name}", "<i8") for name in ("covered_ns", "resets", "transitions")),
    *((f"run_{name}", "|u1") for name in ("ends", "exact")),
    *(
        (f"run_{name}{part}", "<f8")
        for name in ("sum", "squares", "stepped_ns", "forward_ns", "increase")
        for part in ("", "_middle", "_low")
    ),
    *(("stream_id", "<u4"), ("stream_uuid", "|V16"), ("stream_kind", "|u1")),
    *(("stream_schema", "<u4"), ("stream_pyramid_offset", "<u8")),
    *(("stream_pyramid_length", "<u4"), ("schemas", "|u1"), ("facts", "|u1")),
)
_NUMBERS = {pair: number for number, pair in enumerate(KNOWN)}


def encode_compact(columns: Mapping[str, AnyColumn]) -> bytes:
    """Write arrays under their names.

    Parameters
    ----------
    columns : mapping of str to array, shape (n,)
        Little-endian fixed-size dtypes; names of at most 127 ASCII characters.

    Returns
    -------
    bytes
    """
    head, bodies = bytearray(_COUNT.pack(len(columns) | COMPACT)), []
    seen: dict[bytes, int] = {}
    rows = 0
    for place, (name, values) in enumerate(columns.items()):
        dtype = values.dtype.str
        number = _NUMBERS.get((name, dtype))
        if number is not None:
            head.append(_KNOWN_BIT | number)
        else:
            head += bytes([len(name)]) + name.encode("ascii")
            head += bytes([len(dtype)]) + dtype.encode("ascii")
        plain = values.tobytes()
        if len(values) == rows and plain.count(0) == len(plain):
            head.append(_ZEROS)
            continue
        packing, body = _packed(values, plain, seen.get(plain))
        near = b"" if packing == _SAME else _near(plain, values.dtype.itemsize, seen)
        if near and len(near) < len(body):
            packing, body = _NEAR, near
        seen.setdefault(plain, place)
        rows = len(values)
        head.append(packing)
        head += _varint(rows) + _varint(len(body))
        bodies.append(body)
    return bytes(head) + b"".join(bodies)


def _packed(values: AnyColumn, plain: bytes, same: int | None) -> tuple[int, bytes]:
    """Packing and body of the fewest bytes."""
    if same is not None and same < 256:
        return _SAME, bytes([same])
    tried = [(_PLAIN, plain)]
    kind, size = values.dtype.kind, values.dtype.itemsize
    if kind in "iu" and size > 1 and len(values) <= _SMALL:
        tried.append((_STEPS, _steps(values)))
    if len(plain) > 64:
        tried.append((_ZSTD, zstd.compress(plain)))
        if kind in "iuf" and size in (1, 4, 8):
            codec, body = encode_numbers(np.ascontiguousarray(values))
            tried.append((_CODED + codec, body))
    return min(tried, key=lambda pair: len(pair[1]))


def _near(plain: bytes, size: int, seen: Mapping[bytes, int]) -> bytes:
    """The earlier array that differs in the fewest elements, where it does, and those; or b""."""
    if size != 8 or not size < len(plain) <= size * _NEAR_ROWS:
        return b""
    cells = np.frombuffer(plain, np.uint64)
    best, found = len(cells), b""
    for other, place in seen.items():
        if len(other) != len(plain) or place > 255:
            continue
        differs = cells != np.frombuffer(other, np.uint64)
        count = int(np.count_nonzero(differs))
        if count < best:
            mask = np.packbits(differs, bitorder="little").tobytes()
            best, found = count, bytes([place]) + mask + cells[differs].tobytes()
    return found


def _steps(values: AnyColumn) -> bytes:
    """Differences to the element before, the first to 0, modulo 2^64, zigzagged, as varints."""
    out, before = bytearray(), 0
    for value in values.tolist():
        step = (value - before + 2**63) % 2**64 - 2**63
        out += _varint(step << 1 if step >= 0 else ~(step << 1))
        before = value
    return bytes(out)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= 128:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def decode_directory(data: bytes, *, at: str) -> Table:
    """Read a directory of either version.

    Parameters
    ----------
    data : bytes
    at : str
        Where it came from, for messages.

    Returns
    -------
    dict of str to array
        Read-only arrays.

    Raises
    ------
    CorruptData
        When the structure does not hold.
    UnsupportedFormat
        For a codec that this version does not know.
    """
    if len(data) < _COUNT.size or not _COUNT.unpack_from(data)[0] & COMPACT:
        return decode_table(data, at=at)
    try:
        return _decode(memoryview(data))
    except UnsupportedFormat:
        raise
    except (CorruptData, struct.error, *_BROKEN) as error:
        raise CorruptData(f"cannot read table: got a broken structure, at {at}", path=at) from error


def _decode(view: memoryview) -> Table:
    reader = _Reader(view)
    (count,) = _COUNT.unpack(reader.take(_COUNT.size))
    entries, rows = [], 0
    for _ in range(count & ~COMPACT):
        first = reader.take(1)[0]
        if first & _KNOWN_BIT:
            if first - _KNOWN_BIT >= len(KNOWN):
                raise ValueError(first)
            name, dtype = KNOWN[first - _KNOWN_BIT]
        else:
            name = bytes(reader.take(first)).decode("ascii")
            dtype = bytes(reader.take(reader.take(1)[0])).decode("ascii")
        if not dtype or dtype[1:2] not in _KINDS:
            raise ValueError(dtype)
        packing, size = reader.take(1)[0], 0
        if packing != _ZEROS:
            rows, size = reader.varint(), reader.varint()
        entries.append((name, np.dtype(dtype), packing, rows, size))
    columns: list[AnyColumn] = []
    for _, kind, packing, rows, size in entries:
        columns.append(_unpacked(packing, reader.take(size), rows, kind, columns))
    return {entry[0]: column for entry, column in zip(entries, columns, strict=True)}


def _unpacked(
    packing: int,
    body: memoryview,
    rows: int,
    dtype: np.dtype[np.generic],
    before: list[AnyColumn],
) -> AnyColumn:
    size = rows * dtype.itemsize
    if size > _BYTES_MAX:  # a few bytes must not ask for all memory
        raise ValueError(size)
    if packing == _ZEROS:
        plain = bytes(size)
    elif packing == _SAME:
        plain = before[body[0]].tobytes() if len(body) == 1 and body[0] < len(before) else b""
    elif packing == _NEAR:
        plain = _changed(body, size, dtype.itemsize, before)
    elif packing == _STEPS:
        return _added(body, rows, dtype)
    elif packing >= _CODED:
        column = decode_numbers(packing - _CODED, body, rows, dtype)
        column.setflags(write=False)
        return column
    else:
        plain = zstd.decompress(body, size) if packing == _ZSTD else bytes(body)
    if len(plain) != size or packing > _NEAR:
        raise ValueError(packing)
    return np.frombuffer(plain, dtype)


def _changed(body: memoryview, size: int, item: int, before: list[AnyColumn]) -> bytes:
    """The bytes of an earlier array, but for the elements that a mask names."""
    rows = size // item
    end = 1 + (rows + 7) // 8
    cells = np.frombuffer(before[body[0]].tobytes(), f"V{item}").copy()
    differs = np.unpackbits(np.frombuffer(body[1:end], np.uint8), bitorder="little")
    if len(cells) != rows or differs[rows:].any():
        raise ValueError(rows)
    cells[differs[:rows].view(np.bool_)] = np.frombuffer(body[end:], cells.dtype)
    return cells.tobytes()


def _added(body: memoryview, rows: int, dtype: np.dtype[np.generic]) -> AnyColumn:
    reader, value, found = _Reader(body), 0, []
    if rows > len(body) or dtype.kind not in "iu":
        raise ValueError(rows)
    for _ in range(rows):
        step = reader.varint()
        value = (value + (step >> 1 ^ -(step & 1))) % 2**64
        found.append(value)
    reader.end()
    column: AnyColumn = np.array(found, np.uint64).astype(f"<u{dtype.itemsize}").view(dtype)
    column.setflags(write=False)
    return column


class _Reader:
    """Bytes taken from the front."""

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self._at = 0

    def take(self, size: int) -> memoryview:
        begin, self._at = self._at, self._at + size
        if self._at > len(self._view):
            raise ValueError(size)
        return self._view[begin : self._at]

    def varint(self) -> int:
        number, shift = 0, 0
        while True:
            byte = self.take(1)[0]
            number |= (byte & 127) << shift
            if byte < 128:
                break
            shift += 7
            if shift > 63:
                raise ValueError(shift)
        if number >= 2**64:
            raise ValueError(number)
        return number

    def end(self) -> None:
        """Raise unless all was taken."""
        if self._at != len(self._view):
            raise ValueError(self._at)
