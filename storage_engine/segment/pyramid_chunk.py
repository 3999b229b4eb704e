"""Summaries of the vectors of a stream as the bytes of a chunk, and back.

Derived data: whatever is wrong with a chunk, the vectors themselves still tell the same.
Layout: docs/format/segment.md, section Pyramid.
"""

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from storage_engine.checksum import crc32c
from storage_engine.codec import decode_numbers, encode_numbers
from storage_engine.codec.kernels import column_decode, packed_encode
from storage_engine.errors import CorruptData, DataError
from storage_engine.fold import FoldColumns
from storage_engine.fold_state import CODE, EVERY_SUM, NOTHING, STATE, SUMS
from storage_engine.fold_words import WORDS_MAX, extents, from_words, to_words
from storage_engine.sample import Int64Array
from storage_engine.segment.lengths import length_bytes, read_lengths
from storage_engine.segment.pyramid_states import decode_states, encode_states
from storage_engine.segment.summary import VECTOR_ROWS

MAGIC = b"LHPY"
_HEAD = struct.Struct("<4sIIBBHQqQ")
_SUM = struct.Struct("<HBB")
_PACKED = 8
_INT64 = np.dtype(np.int64)
_IDENTITY = struct.Struct("<16sQI")
_CRC_END = 8
_ENDS = 15  # flags of a vector whose first and last rows are good
_BIT_MAX = 3000
_WORD_BITS = 64 * WORDS_MAX - 2
_FIELDS = 18  # columns before the words of the sums
_VECTORS_MAX = 1 << 24
_STATES = 1 << 63  # of the mask: values held follow the columns
_DTYPES = {0: "<f8", 1: "<f4", 2: "<i8", 3: "<u8", 4: "u1", 5: "<u8"}
_TIME_OF = ("first_good", "last_good", "minimum", "maximum")


@dataclass(frozen=True, slots=True)
class PyramidIdentity:
    """What a chunk's checksum covers beside its bytes, so that no other chunk passes for it."""

    incarnation: bytes
    segment_id: int
    stream: int

    def seed(self) -> int:
        """CRC of the identity, from which the chunk's CRC goes on."""
        return crc32c(_IDENTITY.pack(self.incarnation, self.segment_id, self.stream))


def encode_pyramid(vectors: FoldColumns, identity: PyramidIdentity) -> bytes:
    """Bytes of a chunk.

    Parameters
    ----------
    vectors : FoldColumns, n rows
        None without rows; a sum that is not known, not finite, or needs more than 256 bits beside
        the others is left out.
    identity : PyramidIdentity

    Returns
    -------
    bytes
    """
    table = vectors.table
    period = _period(table)
    known, specs, words = _words(vectors, period)
    columns = [*_columns(table, known), *(word for block in words for word in block)]
    codec, values = 0, b""
    if vectors.kind in _DTYPES:
        codec, values = encode_numbers(_values(vectors.kind, table))
    mask, bodies = 0, []
    for place, column in enumerate(columns):
        if column.any():
            mask |= 1 << place
            bodies.append(packed_encode(np.ascontiguousarray(column).view(np.int64)))
    first = int(table["first_time"][0]) if len(table) else 0
    states = encode_states(vectors)
    mask |= _STATES if states else 0
    rest = _HEAD.pack(MAGIC, 0, len(table), vectors.kind, codec, len(bodies), period, first, mask)
    rest += b"".join(_SUM.pack(*spec) for spec in specs)
    rest += b"".join(length_bytes(len(body)) for body in (values, *bodies))
    rest = rest[_CRC_END:] + values + b"".join(bodies) + states
    return MAGIC + crc32c(rest, identity.seed()).to_bytes(4, "little") + rest


def _period(table: npt.NDArray[Any]) -> int:
    """Usual time from row to row, to three digits: what integrals are foretold by."""
    many = table["rows"] > 1
    if not many.any():
        return 0
    length = (table["last_time"] - table["first_time"])[many] / (table["rows"][many] - 1)
    usual = float(np.median(length))
    return max(0, int(float(f"{usual:.3g}")))


def _columns(table: npt.NDArray[Any], known: npt.NDArray[np.uint8]) -> list[Int64Array]:
    """All but values and sums, mostly zero each."""
    first, last, some = table["first_time"], table["last_time"], table["good"] > 0
    length = last - first
    ranked = some & (table["minimum_time"] >= first) & (table["minimum_time"] <= last)
    columns = [
        VECTOR_ROWS - table["rows"],
        table["uncertain"],
        table["bad"],
        np.append(0, first[1:] - last[:-1])[: len(table)],
        length,
        np.where(some, table["first_good_time"] - first, 0),
        np.where(some, last - table["last_good_time"], 0),
        np.where(ranked, table["minimum_time"] - first, 0),
        np.where(ranked, table["maximum_time"] - first, 0),
        table["first_quality"],
        table["last_quality"],
        table["flags"] ^ _ENDS,
        known ^ EVERY_SUM,
        length - table["covered_ns"].view(np.int64),
        table["resets"],
        table["transitions"],
        (table["first"] ^ table["first_good"]).view(np.int64),
        (table["last"] ^ table["last_good"]).view(np.int64),
    ]
    return [column.astype(np.int64) for column in columns]


def _values(kind: int, table: npt.NDArray[Any]) -> npt.NDArray[Any]:
    names = _TIME_OF[:2] if kind == CODE else _TIME_OF
    cells = np.concatenate([table[name] for name in names])
    return np.ascontiguousarray(cells.astype(_cell_dtype(kind)).view(_DTYPES[kind]))


def _cell_dtype(kind: int) -> str:
    return {1: "<u4", 4: "u1"}.get(kind, "<u8")


def _words(
    vectors: FoldColumns, period: int
) -> tuple[npt.NDArray[np.uint8], list[tuple[int, int, int]], list[npt.NDArray[np.uint64]]]:
    """Which sums are kept, (bit, fives, words) of each, and the words."""
    low, high, fives, known = extents(vectors, period)
    specs = []
    for k in range(len(SUMS)):
        has = (known >> k & 1).astype(np.bool_) & (high[k] >= 0)
        if not has.any():
            specs.append((0, 0, 0))
            continue
        bit = _lowest_bit(low[k][has], high[k][has])
        fits = ~has | ((low[k] >= bit) & (high[k] - bit < _WORD_BITS))
        known &= np.where(fits, np.uint8(255), np.uint8(255 ^ 1 << k))
        has &= fits
        if k == 0 and not fits.all():
            known &= np.where(fits, np.uint8(255), np.uint8(0b10011))
        if k == SUMS.index("stepped") and not fits.all():
            known &= np.where(fits, np.uint8(255), np.uint8(255 ^ 8))
        five = int(fives[k][has].min(initial=255))
        five = 0 if five == 255 else five
        top = int(high[k][has].max(initial=bit)) - bit - int(five * 2.32) + 2
        specs.append((bit, five, -(-top // 64)))
    words = to_words(
        vectors,
        period,
        known,
        np.array([bit for bit, _, _ in specs], np.int32),
        np.array([5**five for _, five, _ in specs], np.uint32),
        np.array([count for _, _, count in specs], np.int32),
    )
    return known, specs, words


def _lowest_bit(low: npt.NDArray[np.int32], high: npt.NDArray[np.int32]) -> int:
    """Bit from which the words hold as many sums as can be."""
    low, high = low[low <= _BIT_MAX], high[low <= _BIT_MAX]
    if len(low) == 0:
        return _BIT_MAX
    least = int(low.min())
    if int(high.max()) - least < _WORD_BITS:
        return least
    tried = np.unique(low)
    held = [int(((low >= bit) & (high - bit < _WORD_BITS)).sum()) for bit in tried[:64].tolist()]
    return int(tried[int(np.argmax(held))])


def decode_pyramid(data: bytes | memoryview, identity: PyramidIdentity, *, at: str) -> FoldColumns:
    """Read a chunk.

    Parameters
    ----------
    data : bytes
        The whole chunk.
    identity : PyramidIdentity
        Which chunk it must be.
    at : str
        Segment and stream, for messages.

    Returns
    -------
    FoldColumns
        A row per vector: those of the stream's runs, in the order of the directory. Sums that are
        not known there are not in the chunk.

    Raises
    ------
    CorruptData
        When checksum or structure does not hold.
    """
    view = memoryview(data)
    if len(view) < _HEAD.size or view[:4] != MAGIC:
        raise CorruptData(f"cannot read pyramid: got no {MAGIC.decode()}, at {at}", path=at)
    if crc32c(view[_CRC_END:], identity.seed()) != int.from_bytes(view[4:8], "little"):
        raise CorruptData(f"cannot read pyramid: got a bad crc32c, at {at}", path=at)
    try:
        return _decode(view)
    except (struct.error, ValueError, IndexError, OverflowError, DataError) as error:
        raise CorruptData(f"cannot read pyramid: {error}, at {at}", path=at) from error


def _decode(view: memoryview) -> FoldColumns:
    _, _, rows, kind, codec, bodies, period, first, mask = _HEAD.unpack_from(view)
    states, mask = mask & _STATES, mask & ~_STATES
    if rows > _VECTORS_MAX or kind > NOTHING or mask.bit_count() != bodies:
        raise ValueError(f"got {rows} vectors of type {kind}")
    at = _HEAD.size
    specs = [_SUM.unpack_from(view, at + _SUM.size * k) for k in range(len(SUMS))]
    at += _SUM.size * len(SUMS)
    (size, *sizes), at = read_lengths(view, at, bodies + 1)
    places = _FIELDS + sum(count for _, _, count in specs)
    behind = at + size + sum(sizes)
    if mask >> places or behind > len(view) or (behind < len(view)) != bool(states):
        raise ValueError("got columns that do not fill the chunk")
    if any(bit > _BIT_MAX or five > 13 or count > WORDS_MAX for bit, five, count in specs):
        raise ValueError("got sums too wide")
    dtype = np.dtype(_DTYPES.get(kind, "u1"))
    cells = 0 if kind == NOTHING else (2 if kind == CODE else 4)
    values = decode_numbers(codec, view[at : at + size], cells * rows, dtype) if cells else None
    at += size
    columns = [np.zeros(rows, np.int64)] * places
    for place in range(places):
        if mask >> place & 1:
            end = at + sizes.pop(0)
            body = view[at:end]
            columns[place] = column_decode(_PACKED, body, rows, _INT64).view(np.int64)
            at = end
    table = _table(columns, first, kind, values)
    words, place = [], _FIELDS
    for _, _, count in specs:
        words.append(np.array(columns[place : place + count], np.int64).reshape(count, rows))
        place += count
    known = (columns[12] ^ EVERY_SUM).astype(np.uint8) & np.uint8(EVERY_SUM)
    given = [
        (bit, 5**five, word.view(np.uint64))
        for (bit, five, _), word in zip(specs, words, strict=True)
    ]
    found = from_words(kind, table, period, known, given)
    if states:
        decode_states(view[behind:], found)
    return found


def _table(
    columns: list[Int64Array], first: int, kind: int, values: npt.NDArray[Any] | None
) -> npt.NDArray[Any]:
    """States without sums."""
    rows, uncertain, bad, gap, length, *times = columns[:9]
    table = np.zeros(len(rows), STATE)
    table["rows"], table["uncertain"], table["bad"] = VECTOR_ROWS - rows, uncertain, bad
    table["good"] = table["rows"] - uncertain - bad
    if len(table) and min(int(table[name].min()) for name in ("good", "uncertain", "bad")) < 0:
        raise ValueError("got fewer than no rows")
    start = first + np.cumsum(gap) + np.append(0, np.cumsum(length)[:-1])[: len(rows)]
    end = start + length
    some = table["good"] > 0
    ranked = some & (kind < CODE)
    table["first_time"], table["last_time"] = start, end
    for name, column, base, sign, own in (
        ("first_good", times[0], start, 1, some),
        ("last_good", times[1], end, -1, some),
        ("minimum", times[2], start, 1, ranked),
        ("maximum", times[3], start, 1, ranked),
    ):
        table[f"{name}_time"] = np.where(own, base + sign * column, 0)
    table["first_quality"], table["last_quality"] = columns[9], columns[10]
    table["flags"] = columns[11] ^ _ENDS
    table["covered_ns"] = (length - columns[13]).view(np.uint64)
    table["resets"], table["transitions"] = columns[14], columns[15]
    if values is not None:
        cells = values.view(_cell_dtype(kind)).astype(np.uint64).reshape(-1, len(rows))
        for name, cell in zip(_TIME_OF, cells, strict=False):
            table[name] = cell
    table["first"] = table["first_good"] ^ columns[16].view(np.uint64)
    table["last"] = table["last_good"] ^ columns[17].view(np.uint64)
    return table
