"""Rows of one column set as the bytes of a block, and back. Layout: docs/format/segment.md."""

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from storage_engine.checksum import crc32c
from storage_engine.codec import decode_numbers, decode_strings, encode_numbers, encode_strings
from storage_engine.columns import STRINGS, Rows
from storage_engine.errors import CorruptData
from storage_engine.sample import (
    DTYPES,
    EVENT_ID_DTYPE,
    AnyArray,
    BoolArray,
    ColumnData,
    ValueType,
)

_HEAD = struct.Struct("<IIHH")
_ENTRY = struct.Struct("<BBBBHHIII")
_IDENTITY = struct.Struct("<16sQII")
_TIME, _STAMP, _QUALITY, _EVENT_ID, _DATA = range(5)
_FIXED: dict[int, np.dtype[Any]] = {
    _TIME: np.dtype(np.int64),
    _STAMP: np.dtype(np.uint64),
    _QUALITY: np.dtype(np.uint32),
    _EVENT_ID: EVENT_ID_DTYPE,
}
_ROWS_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class BlockIdentity:
    """What a block's checksum covers beside its bytes, so that no other block passes for it."""

    incarnation: bytes
    segment_id: int
    block: int
    first_stream: int

    def seed(self) -> int:
        """CRC of the identity, from which the block's CRC goes on."""
        return crc32c(
            _IDENTITY.pack(self.incarnation, self.segment_id, self.block, self.first_stream)
        )


def _encode_values(column: ColumnData) -> tuple[int, bytes]:
    value, valid = column.value, column.valid
    if column.type not in STRINGS:
        if valid is not None and not valid.all():
            value = np.where(valid, value, np.zeros(1, value.dtype))
        kept = value.view(np.uint8) if value.dtype == np.bool_ else value
        return encode_numbers(np.ascontiguousarray(kept))
    texts = value.tolist()
    if column.type is not ValueType.BYTES:
        texts = [text.encode("utf-8", "surrogatepass") if text else b"" for text in texts]
    if valid is not None:
        texts = [text if ok else b"" for text, ok in zip(texts, valid.tolist(), strict=True)]
    return encode_strings(texts)


def encode_block(rows: Rows, identity: BlockIdentity) -> bytes:
    """Encode rows.

    Parameters
    ----------
    rows : Rows
        1 to 2^20 rows.
    identity : BlockIdentity

    Returns
    -------
    bytes
    """
    assert 0 < len(rows) <= _ROWS_MAX, "a block holds rows"
    parts: list[tuple[int, int, int, bytes, int, bytes]] = []
    fixed = ((_TIME, rows.timestamp_ns), (_STAMP, rows.stamp), (_QUALITY, rows.quality))
    for role, values in (*fixed, (_EVENT_ID, rows.event_id)):
        if values is not None:
            parts.append((role, 0, 0, *_swap(encode_numbers(np.ascontiguousarray(values))), b""))
    for index, column in enumerate(rows.data):
        codec, body = _encode_values(column)
        mask, mask_body = 0, b""
        if column.valid is not None and not column.valid.all():
            mask, mask_body = encode_numbers(column.valid.astype(np.uint8))
        parts.append((_DATA, int(column.type) | mask << 8, index, body, codec, mask_body))
    table, payload = [], []
    for role, type_mask, index, body, codec, mask_body in parts:
        entry = (role, type_mask & 255, codec, type_mask >> 8, index, 0)
        table.append(_ENTRY.pack(*entry, len(body), len(mask_body), 0))
        payload += [body, mask_body]
    head = _HEAD.pack(0, len(rows), len(parts), 0)
    rest = b"".join([head[4:], *table, *payload])
    return crc32c(rest, identity.seed()).to_bytes(4, "little") + rest


def _swap(pair: tuple[int, bytes]) -> tuple[bytes, int]:
    return pair[1], pair[0]


def _decode_values(value_type: ValueType, codec: int, body: memoryview, rows: int) -> AnyArray:
    if value_type not in STRINGS:
        dtype = np.dtype(np.uint8) if value_type is ValueType.BOOL else DTYPES[value_type]
        values = decode_numbers(codec, body, rows, dtype)
        return values.view(np.bool_) if value_type is ValueType.BOOL else values
    raw = decode_strings(codec, body, rows)
    texts: list[bytes] | list[str] = raw
    if value_type is not ValueType.BYTES:
        # Few distinct strings are the rule: each is decoded once.
        known = {text: text.decode("utf-8", "surrogatepass") for text in set(raw)}
        texts = [known[text] for text in raw]
    out = np.empty(rows, np.object_)
    out[:] = texts
    return out


@dataclass(frozen=True, slots=True)
class ColumnEntry:
    """One column of a block, by the block's own table; sizes in bytes."""

    role: int
    type: int
    codec: int
    mask: int
    index: int
    size: int
    mask_size: int


def block_columns(data: bytes | memoryview, *, at: str) -> tuple[int, tuple[ColumnEntry, ...]]:
    """Read the column table of a block without checking or decoding what it describes.

    Parameters
    ----------
    data : bytes
        From the start of the block; what follows it does not matter.
    at : str
        For messages.

    Returns
    -------
    size : int
        Bytes of the whole block by its table.
    columns : tuple of ColumnEntry

    Raises
    ------
    CorruptData
        When no block can begin so.
    """
    rows, count, zero = 0, 0, 0
    if len(data) >= _HEAD.size:
        _, rows, count, zero = _HEAD.unpack_from(data)
    end = _HEAD.size + count * _ENTRY.size
    if not 0 < rows <= _ROWS_MAX or count < 2 or zero or len(data) < end:
        raise CorruptData(f"cannot read block: got {rows} rows, {count} columns, at {at}", path=at)
    columns = []
    for i in range(count):
        entry = _ENTRY.unpack_from(data, _HEAD.size + i * _ENTRY.size)
        role, kind, codec, mask, index, _, size, mask_size, _ = entry
        columns.append(ColumnEntry(role, kind, codec, mask, index, size, mask_size))
        end += size + mask_size
    if columns[0].role != _TIME or columns[1].role != _STAMP or end > len(data):
        raise CorruptData(f"cannot read block: got no time or {end} bytes, at {at}", path=at)
    return end, tuple(columns)


def decode_block(data: bytes, identity: BlockIdentity, *, at: str) -> Rows:
    """Decode a block.

    Parameters
    ----------
    data : bytes
        The whole block.
    identity : BlockIdentity
        Which block it must be.
    at : str
        Segment and block, for messages.

    Returns
    -------
    Rows
        Read-only arrays.

    Raises
    ------
    CorruptData
        When checksum or structure does not hold.
    UnsupportedFormat
        For an unknown codec.
    """
    if len(data) < _HEAD.size:
        raise CorruptData(f"cannot read block: got {len(data)} bytes, want >= 12, at {at}", path=at)
    crc, rows, count, _ = _HEAD.unpack_from(data)
    view = memoryview(data)
    found = crc32c(view[4:], identity.seed())
    if found != crc:
        raise CorruptData(
            f"cannot read block: crc32c is {found:#010x}, want {crc:#010x}, at {at}", path=at
        )
    if rows > _ROWS_MAX or len(data) < _HEAD.size + count * _ENTRY.size:
        raise CorruptData(f"cannot read block: got {rows} rows, {count} columns, at {at}", path=at)
    offset = _HEAD.size + count * _ENTRY.size
    fixed: dict[int, AnyArray] = {}
    columns: list[ColumnData] = []
    for i in range(count):
        entry = _ENTRY.unpack_from(data, _HEAD.size + i * _ENTRY.size)
        role, kind, codec, mask, _index, _, size, mask_size, _ = entry
        body = view[offset : offset + size]
        mask_body = view[offset + size : offset + size + mask_size]
        offset += size + mask_size
        if role in _FIXED:
            fixed[role] = decode_numbers(codec, body, rows, _FIXED[role])
            continue
        try:
            value_type = ValueType(kind)
        except ValueError as error:
            raise CorruptData(f"cannot read block: got type {kind}, at {at}", path=at) from error
        valid: BoolArray | None = None
        if mask:
            valid = decode_numbers(mask, mask_body, rows, np.dtype(np.uint8)).view(np.bool_)
        columns.append(ColumnData(value_type, _decode_values(value_type, codec, body, rows), valid))
    if _TIME not in fixed or _STAMP not in fixed:
        raise CorruptData(f"cannot read block: got no time or stamp column, at {at}", path=at)
    return _rows_of(fixed, tuple(columns))


def _rows_of(fixed: dict[int, AnyArray], columns: tuple[ColumnData, ...]) -> Rows:
    return Rows(
        fixed[_TIME],  # type: ignore[arg-type]
        fixed[_STAMP],  # type: ignore[arg-type]
        fixed.get(_QUALITY),  # type: ignore[arg-type]
        fixed.get(_EVENT_ID),  # type: ignore[arg-type]
        columns,
    )
