"""Rows of one column set as the bytes of a block, and back. Layout: docs/format/segment.md."""

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from storage_engine.checksum import crc32c
from storage_engine.codec import (
    decode_numbers,
    decode_strings,
    encode_cold,
    encode_numbers,
    encode_strings,
)
from storage_engine.codec.choice import Recipes
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
from storage_engine.shared_columns import (
    SHARED,
    ColumnPlace,
    ColumnSharing,
    Resolve,
    take_shared,
)

_HEAD = struct.Struct("<IIHH")
_ENTRY = struct.Struct("<BBBBHHIII")
_IDENTITY = struct.Struct("<16sQII")
_TIME, _STAMP, _QUALITY, _EVENT_ID, _DATA = range(5)
_MASK = 5  # a role for recipes alone
_PAGES = -1  # a stream for recipes alone
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


@dataclass(frozen=True, slots=True)
class _Encoder:
    """Columns of one block, those that an earlier block has by reference."""

    block: int
    owner: int  # of recipes
    sharing: ColumnSharing | None
    recipes: Recipes | None
    cold: bool

    def encode(self, values: AnyArray, role: int, index: int) -> tuple[int, bytes]:
        """Codec and body of values of a fixed size."""
        if self.cold:
            return encode_cold(values)
        recipe = self.recipes.of(self.owner, role, index) if self.recipes is not None else None
        return encode_numbers(values, recipe)

    def numbers(
        self, values: AnyArray, role: int, index: int = 0, *, mask: bool = False
    ) -> tuple[int, bytes]:
        """Codec and body of what blocks may have in common."""
        values = np.ascontiguousarray(values)
        if self.sharing is None or bool((values == values[0]).all()):
            return self.encode(values, role, index)
        place = ColumnPlace(self.block, role, index, mask)
        reference = self.sharing.reference(place, values)
        if reference is not None:
            return SHARED, reference
        codec, body = self.encode(values, _MASK if mask else role, index)
        self.sharing.keep(place, values, codec, body)
        return codec, body

    def values(self, column: ColumnData, index: int) -> tuple[int, bytes]:
        """Codec and body of a data column."""
        value, valid = column.value, column.valid
        if column.type not in STRINGS:
            if valid is not None and not valid.all():
                value = np.where(valid, value, np.zeros(1, value.dtype))
            kept = value.view(np.uint8) if value.dtype == np.bool_ else value
            return self.encode(np.ascontiguousarray(kept), _DATA, index)
        texts = value.tolist()
        if column.type is not ValueType.BYTES:
            texts = [text.encode("utf-8", "surrogatepass") if text else b"" for text in texts]
        if valid is not None:
            texts = [text if ok else b"" for text, ok in zip(texts, valid.tolist(), strict=True)]
        return encode_strings(texts)


def encode_block(
    rows: Rows,
    identity: BlockIdentity,
    *,
    sharing: ColumnSharing | None = None,
    recipes: Recipes | None = None,
    cold: bool = False,
    paged: bool = False,
) -> bytes:
    """Encode rows.

    Parameters
    ----------
    rows : Rows
        1 to 2^20 rows.
    identity : BlockIdentity
    sharing : ColumnSharing, optional
        Of the segment: columns that an earlier block has are written as references.
    recipes : Recipes, optional
        What won in the blocks before is tried first.
    cold : bool
        Take the time to make it as small as it gets.
    paged : bool
        Rows of several streams: what won is of pages, not of the first stream.

    Returns
    -------
    bytes
    """
    assert 0 < len(rows) <= _ROWS_MAX, "a block holds rows"
    owner = _PAGES if paged else identity.first_stream
    one = _Encoder(identity.block, owner, sharing, recipes, cold)
    parts: list[tuple[int, int, int, bytes, int, bytes]] = []
    fixed = ((_TIME, rows.timestamp_ns), (_STAMP, rows.stamp), (_QUALITY, rows.quality))
    for role, values in (*fixed, (_EVENT_ID, rows.event_id)):
        if values is not None:
            codec, body = one.numbers(values, role)
            parts.append((role, 0, 0, body, codec, b""))
    for index, column in enumerate(rows.data):
        codec, body = one.values(column, index)
        mask, mask_body = 0, b""
        if column.valid is not None and not column.valid.all():
            valid = column.valid.astype(np.uint8)
            mask, mask_body = one.numbers(valid, _DATA, index, mask=True)
        parts.append((_DATA, int(column.type) | mask << 8, index, body, codec, mask_body))
    table, payload = [], []
    for role, type_mask, index, body, codec, mask_body in parts:
        entry = (role, type_mask & 255, codec, type_mask >> 8, index, 0)
        table.append(_ENTRY.pack(*entry, len(body), len(mask_body), 0))
        payload += [body, mask_body]
    head = _HEAD.pack(0, len(rows), len(parts), 0)
    rest = b"".join([head[4:], *table, *payload])
    return crc32c(rest, identity.seed()).to_bytes(4, "little") + rest


def _decode_strings(value_type: ValueType, codec: int, body: memoryview, rows: int) -> AnyArray:
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


class _Decoder:
    """A block whose checksum holds, column by column."""

    def __init__(self, data: bytes, identity: BlockIdentity, at: str) -> None:
        if len(data) < _HEAD.size:
            raise CorruptData(
                f"cannot read block: got {len(data)} bytes, want >= 12, at {at}", path=at
            )
        crc, rows, count, _ = _HEAD.unpack_from(data)
        view = memoryview(data)
        found = crc32c(view[4:], identity.seed())
        if found != crc:
            raise CorruptData(
                f"cannot read block: crc32c is {found:#010x}, want {crc:#010x}, at {at}", path=at
            )
        if rows > _ROWS_MAX or len(data) < _HEAD.size + count * _ENTRY.size:
            raise CorruptData(
                f"cannot read block: got {rows} rows, {count} columns, at {at}", path=at
            )
        self.rows = rows
        self.block = identity.block
        self.at = at
        self.columns: list[tuple[ColumnEntry, memoryview, memoryview]] = []
        offset = _HEAD.size + count * _ENTRY.size
        for i in range(count):
            entry = _ENTRY.unpack_from(data, _HEAD.size + i * _ENTRY.size)
            role, kind, codec, mask, index, _, size, mask_size, _ = entry
            middle, end = offset + size, offset + size + mask_size
            one = ColumnEntry(role, kind, codec, mask, index, size, mask_size)
            self.columns.append((one, view[offset:middle], view[middle:end]))
            offset = end

    def numbers(
        self,
        codec: int,
        body: memoryview,
        dtype: np.dtype[Any],
        resolve: Resolve | None,
        *,
        mask: bool = False,
    ) -> AnyArray:
        """Values of a fixed size."""
        if codec == SHARED:
            like = np.empty(self.rows, dtype)
            return take_shared(body, like, mask=mask, block=self.block, resolve=resolve)
        return decode_numbers(codec, body, self.rows, dtype)

    def validity(self, entry: ColumnEntry, body: memoryview, resolve: Resolve | None) -> BoolArray:
        """Mask of a column that has one."""
        held = self.numbers(entry.mask, body, np.dtype(np.uint8), resolve, mask=True)
        return held.view(np.bool_)

    def type_of(self, entry: ColumnEntry) -> ValueType:
        """Value type of a data column."""
        try:
            return ValueType(entry.type)
        except ValueError as error:
            raise CorruptData(
                f"cannot read block: got type {entry.type}, at {self.at}", path=self.at
            ) from error

    def data(self, entry: ColumnEntry, body: memoryview, resolve: Resolve | None) -> AnyArray:
        """Values of a data column."""
        value_type = self.type_of(entry)
        if value_type in STRINGS:
            return _decode_strings(value_type, entry.codec, body, self.rows)
        if value_type is ValueType.BOOL:
            return self.numbers(entry.codec, body, np.dtype(np.uint8), resolve).view(np.bool_)
        return self.numbers(entry.codec, body, DTYPES[value_type], resolve)


def decode_block(
    data: bytes, identity: BlockIdentity, *, at: str, resolve: Resolve | None = None
) -> Rows:
    """Decode a block.

    Parameters
    ----------
    data : bytes
        The whole block.
    identity : BlockIdentity
        Which block it must be.
    at : str
        Segment and block, for messages.
    resolve : callable, optional
        Gives columns of earlier blocks that this one shares; see :func:`decode_column`.

    Returns
    -------
    Rows
        Read-only arrays.

    Raises
    ------
    CorruptData
        When checksum or structure does not hold; what ``resolve`` raises.
    UnsupportedFormat
        For an unknown codec.
    """
    held = _Decoder(data, identity, at)
    fixed: dict[int, AnyArray] = {}
    columns: list[ColumnData] = []
    for entry, body, mask_body in held.columns:
        if entry.role in _FIXED:
            fixed[entry.role] = held.numbers(entry.codec, body, _FIXED[entry.role], resolve)
            continue
        values = held.data(entry, body, resolve)
        valid = held.validity(entry, mask_body, resolve) if entry.mask else None
        columns.append(ColumnData(held.type_of(entry), values, valid))
    if _TIME not in fixed or _STAMP not in fixed:
        raise CorruptData(f"cannot read block: got no time or stamp column, at {at}", path=at)
    return _rows_of(fixed, tuple(columns))


def decode_column(data: bytes, identity: BlockIdentity, place: ColumnPlace, *, at: str) -> AnyArray:
    """Decode one column of a block: the owner of a shared one.

    Parameters
    ----------
    data : bytes
        The whole block.
    identity : BlockIdentity
        Which block it must be.
    place : ColumnPlace
        Fixed-size values.
    at : str
        Segment and block, for messages.

    Returns
    -------
    array, shape (rows,)
        Read-only.

    Raises
    ------
    CorruptData
        As for a block; also when there is no such column, or it is itself shared.
    UnsupportedFormat
        For an unknown codec.
    """
    held = _Decoder(data, identity, at)
    for entry, body, mask_body in held.columns:
        if (entry.role, entry.index) != (place.role, place.index):
            continue
        if place.mask and entry.mask:
            values: AnyArray = held.validity(entry, mask_body, None).view(np.uint8)
        elif place.mask or (entry.role == _DATA and held.type_of(entry) in STRINGS):
            break
        elif entry.role in _FIXED:
            values = held.numbers(entry.codec, body, _FIXED[entry.role], None)
        else:
            values = held.data(entry, body, None)
        values.setflags(write=False)
        return values
    raise CorruptData(f"cannot read block: got no {place} to share, at {at}", path=at)


def _rows_of(fixed: dict[int, AnyArray], columns: tuple[ColumnData, ...]) -> Rows:
    return Rows(
        fixed[_TIME],  # type: ignore[arg-type]
        fixed[_STAMP],  # type: ignore[arg-type]
        fixed.get(_QUALITY),  # type: ignore[arg-type]
        fixed.get(_EVENT_ID),  # type: ignore[arg-type]
        columns,
    )
