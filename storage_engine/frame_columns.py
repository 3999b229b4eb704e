"""One column of a frame <-> bytes, as ``docs/format/frame.md`` lays it out."""

import struct
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from storage_engine.errors import CorruptData, InvalidArgument
from storage_engine.frame_layout import ALIGN, PADDING
from storage_engine.sample import DTYPES, AnyArray, BoolArray, ColumnData, ValueType

COLUMN = struct.Struct("<BBHI")  # type, flags, 0, column_bytes
_WORDS = struct.Struct("<II")
_HAS_VALIDITY = 1

_FIXED: dict[int, np.dtype[np.generic]] = {
    ValueType.FLOAT64: np.dtype("<f8"),
    ValueType.FLOAT32: np.dtype("<f4"),
    ValueType.INT64: np.dtype("<i8"),
    ValueType.UINT64: np.dtype("<u8"),
    ValueType.BOOL: np.dtype("<u1"),
}
_TYPES = {int(t): t for t in ValueType}

Part = Any  # bytes, or an array: whatever bytes.join takes


def padding(size: int) -> bytes:
    """Zeros up to the next multiple of 8."""
    return PADDING[-size % ALIGN]


def encode_column(column: ColumnData, count: int) -> tuple[list[Part], int]:
    """Lay a column out.

    Parameters
    ----------
    column : ColumnData
        ``count`` rows, dtype exactly that of its type.
    count : int
        Rows of the section.

    Returns
    -------
    parts : list
        Buffers to join.
    size : int
        Bytes of all parts, a multiple of 8.

    Raises
    ------
    InvalidArgument
        On a wrong length, dtype or string.
    """
    value, valid, kind = column.value, column.valid, column.type
    if value.dtype != DTYPES[kind] or value.shape != (count,):
        raise InvalidArgument(
            f"cannot encode column: got {value.dtype} {value.shape}, "
            f"want {DTYPES[kind]} ({count},), at a {kind.name} column"
        )
    parts: list[Part] = [b""]
    size = COLUMN.size
    flags = 0
    if valid is not None:
        if valid.dtype != np.bool_ or valid.shape != (count,):
            raise InvalidArgument(
                f"cannot encode column: got validity {valid.dtype} {valid.shape}, "
                f"want bool ({count},), at a {kind.name} column"
            )
        flags = _HAS_VALIDITY
        bits = np.packbits(valid, bitorder="little").tobytes()
        parts += (bits, padding(len(bits)))
        size += len(bits) + len(parts[-1])
    fixed = _FIXED.get(kind)
    if fixed is not None:
        numbers = value if valid is None else np.where(valid, value, value.dtype.type(0))
        if kind is ValueType.BOOL:
            numbers = numbers.view(np.uint8)
        body: list[Part] = [np.ascontiguousarray(numbers, dtype=fixed)]
        length = body[0].nbytes
    else:
        body, length = _encode_strings(kind, value, valid)
    parts += body
    parts.append(padding(length))
    size += length + len(parts[-1])
    parts[0] = COLUMN.pack(kind, flags, 0, size)
    return parts, size


def _encode_strings(
    kind: ValueType, value: AnyArray, valid: BoolArray | None
) -> tuple[list[Part], int]:
    strings: list[Any] = value.tolist()
    want = bytes if kind is ValueType.BYTES else str
    if valid is not None:
        empty = want()
        strings = [s if ok else empty for s, ok in zip(strings, valid.tolist(), strict=True)]
    if set(map(type, strings)) - {want}:
        other = next(s for s in strings if type(s) is not want)
        raise InvalidArgument(
            f"cannot encode column: got {type(other).__name__}, want {want.__name__}, "
            f"at row {strings.index(other)} of a {kind.name} column"
        )
    if kind is not ValueType.SYMBOL:
        return _packed(strings)
    code = {word: i for i, word in enumerate(dict.fromkeys(strings))}
    codes = np.fromiter(map(code.__getitem__, strings), dtype="<u4", count=len(strings))
    words, length = _packed(list(code))
    head = _WORDS.pack(len(code), length - 4 * (len(code) + 1))
    return [head, codes, *words], len(head) + codes.nbytes + length


def _packed(strings: list[Any]) -> tuple[list[Part], int]:
    """Offsets and bytes of a list of str or bytes."""
    try:
        pieces = [s.encode() if isinstance(s, str) else s for s in strings]
    except UnicodeEncodeError as error:
        raise InvalidArgument(
            f"cannot encode column: got a lone surrogate, want UTF-8 text, at {error.object!r:.60}"
        ) from error
    offset = np.zeros(len(pieces) + 1, dtype=np.int64)
    np.cumsum(list(map(len, pieces)), out=offset[1:])
    if offset[-1] >= 1 << 32:
        raise InvalidArgument(f"cannot encode column: got {offset[-1]} bytes, want below 2**32")
    blob = b"".join(pieces)
    return [offset.astype("<u4"), blob], 4 * len(offset) + len(blob)


class Reader:
    """Walks the parts of a column within bounds; every overrun is CorruptData."""

    __slots__ = ("at", "end", "raw")

    def __init__(self, raw: bytes, at: int, end: int) -> None:
        self.raw, self.at, self.end = raw, at, end

    def take(self, size: int) -> int:
        """Offset of the next ``size`` bytes."""
        at = self.at
        if size > self.end - at:
            raise CorruptData(
                f"cannot decode frame: got {self.end - at} bytes, want {size}, at byte {at}",
                offset=at,
            )
        self.at = at + size
        return at

    def align(self) -> None:
        """Step over padding."""
        self.at = min(self.end, self.at + -self.at % ALIGN)

    def array(self, dtype: np.dtype[Any], count: int) -> npt.NDArray[Any]:
        """View of the next ``count`` items; moves on to the next multiple of 8."""
        at = self.take(dtype.itemsize * count)
        self.align()
        return np.frombuffer(self.raw, dtype, count, at)


_U1 = np.dtype("<u1")
_U4 = np.dtype("<u4")


def decode_column(reader: Reader, count: int) -> ColumnData:
    """Read one column of ``count`` rows; numbers are views of the frame's bytes.

    Raises
    ------
    CorruptData
        When the structure does not hold.
    """
    start = reader.at
    code, flags, zero, size = COLUMN.unpack_from(reader.raw, reader.take(COLUMN.size))
    kind = _TYPES.get(code)
    if kind is None or flags > _HAS_VALIDITY or zero or size % ALIGN or size < COLUMN.size:
        raise CorruptData(
            f"cannot decode frame: got column type {code}, flags {flags}, {size} bytes, "
            f"want a known column, at byte {start}",
            offset=start,
        )
    reader.take(size - COLUMN.size)
    inner = Reader(reader.raw, start + COLUMN.size, start + size)
    valid: BoolArray | None = None
    if flags:
        bits = inner.array(_U1, (count + 7) // 8)
        valid = np.unpackbits(bits, count=count, bitorder="little").view(np.bool_)
    fixed = _FIXED.get(kind)
    if fixed is None:
        value = _STRINGS[kind](inner, count)
    else:
        value = inner.array(fixed, count)
        if kind is ValueType.BOOL:
            if value.max() > 1:
                raise CorruptData("cannot decode frame: got a bool above 1", offset=start)
            value = value.view(np.bool_)
    if inner.at != inner.end:
        raise CorruptData(
            f"cannot decode frame: got {inner.end - inner.at} bytes too many, want none, "
            f"at byte {inner.at}",
            offset=inner.at,
        )
    return ColumnData(kind, value, valid)


def numbers_at(raw: bytes, code: int, count: int, value: int, valid: int) -> ColumnData:
    """Views of a column of numbers in checked bytes.

    Parameters
    ----------
    raw : bytes
    code : int
        Number of a type of numbers.
    count : int
    value, valid : int
        Where its parts lie; -1 for no validity.

    Returns
    -------
    ColumnData
    """
    kind = _TYPES[code]
    values = np.frombuffer(raw, _FIXED[kind], count, value)
    if kind is ValueType.BOOL:
        values = values.view(np.bool_)
    if valid < 0:
        return ColumnData(kind, values)
    bits = np.frombuffer(raw, _U1, (count + 7) // 8, valid)
    return ColumnData(kind, values, np.unpackbits(bits, count=count, bitorder="little").view(bool))


def _blob(reader: Reader, offset: npt.NDArray[Any], size: int | None) -> bytes:
    """Bytes under checked offsets; ``size`` is None when the last offset alone tells it."""
    last = int(offset[-1])
    if offset[0] != 0 or (offset[1:] < offset[:-1]).any() or size not in {None, last}:
        raise CorruptData(
            f"cannot decode frame: got offsets that do not grow from 0 to {last}, "
            f"at byte {reader.at}",
            offset=reader.at,
        )
    at = reader.take(last)
    reader.align()
    return reader.raw[at : at + last]


def _offsets(reader: Reader, count: int) -> npt.NDArray[Any]:
    """View of ``count + 1`` offsets; no padding stands behind them."""
    return np.frombuffer(reader.raw, _U4, count + 1, reader.take(4 * (count + 1)))


def _text(blob: bytes, offset: npt.NDArray[Any]) -> list[Any]:
    bounds = offset.tolist()
    try:
        if blob.isascii():
            text = blob.decode("ascii")
            return [text[a:b] for a, b in pairwise(bounds)]
        return [blob[a:b].decode() for a, b in pairwise(bounds)]
    except UnicodeDecodeError as error:
        raise CorruptData("cannot decode frame: got text that is not UTF-8") from error


def _objects(values: list[Any]) -> AnyArray:
    array = np.empty(len(values), dtype=np.object_)
    array[:] = values
    return array


def _decode_text(reader: Reader, count: int) -> AnyArray:
    offset = _offsets(reader, count)
    return _objects(_text(_blob(reader, offset, None), offset))


def _decode_bytes(reader: Reader, count: int) -> AnyArray:
    offset = _offsets(reader, count)
    blob = _blob(reader, offset, None)
    bounds = offset.tolist()
    return _objects([blob[a:b] for a, b in pairwise(bounds)])


def _decode_symbol(reader: Reader, count: int) -> AnyArray:
    start = reader.at
    words, size = _WORDS.unpack_from(reader.raw, reader.take(_WORDS.size))
    codes = np.frombuffer(reader.raw, _U4, count, reader.take(4 * count))
    if not 0 < words <= count or codes.max() >= words:
        raise CorruptData(
            f"cannot decode frame: got codes beyond {words} words, at byte {start}", offset=start
        )
    offset = _offsets(reader, words)
    blob = _blob(reader, offset, size)
    return _objects(_text(blob, offset))[codes]


_STRINGS: dict[int, Callable[[Reader, int], AnyArray]] = {
    ValueType.SYMBOL: _decode_symbol,
    ValueType.TEXT: _decode_text,
    ValueType.BYTES: _decode_bytes,
}
