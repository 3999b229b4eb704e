"""The codecs and the table of named arrays, from codecs.md and segment.md."""

import numpy as np
import zstandard
from second_reader.composite import decode_composite, decode_pco
from second_reader.packed import decode_packed
from second_reader.words import Cursor, DamagedError

RAW, CONSTANT, DELTA, SHUFFLE, RUNS, DICTIONARY, TEXTS, PACKED = range(1, 9)


def unzstd(data: bytes) -> bytes:
    """One whole frame of RFC 8878."""
    frame = zstandard.ZstdDecompressor().decompressobj()
    try:
        plain = frame.decompress(data)
    except zstandard.ZstdError as problem:
        raise DamagedError(f"zstd: {problem}") from None
    if not frame.eof or frame.unused_data:
        raise DamagedError("zstd: not one whole frame")
    return plain


def transposed(data: bytes, dtype: np.dtype, rows: int) -> np.ndarray:
    """Values whose first bytes lie first, then all second bytes, and so on."""
    if len(data) != rows * dtype.itemsize:
        raise DamagedError(f"transposed array has {len(data)} bytes, want {rows * dtype.itemsize}")
    planes = np.frombuffer(data, np.uint8).reshape(dtype.itemsize, rows)
    return np.ascontiguousarray(planes.T).reshape(-1).view(dtype)


def decode(codec: int, body: bytes, dtype: str | None, rows: int) -> np.ndarray | list[bytes]:
    """`rows` values of a column; `dtype` None means strings."""
    part = Cursor(body)
    if dtype is None:
        return _strings(codec, part, rows)
    if codec == RUNS:
        count = part.number(4)
        lengths = _nested(part, "<u4", count)
        values = _nested(part, dtype, count)
        if int(np.sum(lengths, dtype=np.int64)) != rows or part.at != len(body):
            raise DamagedError("run lengths and rows differ")
        return np.repeat(values, lengths)
    return _numbers(codec, body, dtype, rows)


def _nested(part: Cursor, dtype: str | None, rows: int) -> np.ndarray | list[bytes]:
    codec, length = part.number(1), part.number(4)
    return decode(codec, part.take(length), dtype, rows)


def _numbers(codec: int, body: bytes, dtype: str, rows: int) -> np.ndarray:
    kind = np.dtype(dtype)
    if codec == RAW and len(body) == rows * kind.itemsize:
        return np.frombuffer(body, kind)
    if codec == CONSTANT and len(body) == kind.itemsize:
        return np.repeat(np.frombuffer(body, kind), rows)
    if codec == SHUFFLE:
        return transposed(unzstd(body), kind, rows)
    if codec == DELTA and rows:
        steps = transposed(unzstd(body[8:]), np.dtype("<u8"), rows - 1)
        first = np.frombuffer(body[:8], "<u8")
        whole = np.cumsum(np.concatenate([first, steps]), dtype=np.uint64)
        return whole.astype(f"<u{kind.itemsize}").view(kind)
    if codec == PACKED:
        integers = np.array(decode_packed(body, rows), np.uint64)
        return integers.astype(f"<u{kind.itemsize}").view(kind)
    if codec == 15 or 9 <= codec <= 14:
        size = kind.itemsize
        if codec == 15:
            bits = decode_pco(body, size, rows)
        else:
            bits = decode_composite(codec, body, size, rows, _nested)
        return np.array(bits, np.uint64).astype(f"<u{size}").view(kind)
    raise DamagedError(f"codec {codec} with {len(body)} bytes for {rows} rows")


def _strings(codec: int, part: Cursor, rows: int) -> list[bytes]:
    if codec == TEXTS:
        size = part.number(8)
        plain = unzstd(part.data[8:])
        if len(plain) != size:
            raise DamagedError(f"text has {len(plain)} bytes, want {size}")
        lengths = transposed(plain[: 4 * rows], np.dtype("<u4"), rows).tolist()
        text = Cursor(plain, 4 * rows)
        found = [text.take(n) for n in lengths]
        if text.at != len(plain):
            raise DamagedError("text longer than its lengths")
        return found
    if codec == DICTIONARY:
        entries = part.number(4)
        codes = _nested(part, "<u4", rows)
        words = _strings(TEXTS, Cursor(part.data[part.at :]), entries)
        if rows and int(max(codes)) >= entries:
            raise DamagedError("code without an entry")
        return [words[int(code)] for code in codes]
    raise DamagedError(f"codec {codec} for strings")


# Known arrays of a directory, by number, and their types.
KNOWN = """
    block_offset <u8, block_length <u4, block_rows <u4,
    run_stream <u4, run_block <u4, run_start <u4, run_rows <u4,
    run_first <i8, run_last <i8, run_stamp_min <u8, run_stamp_max <u8, run_flags |u1,
    run_good <u4, run_uncertain <u4, run_bad <u4, run_minimum <u8, run_maximum <u8,
    run_first_good <u8, run_last_good <u8, run_first_value <u8, run_last_value <u8,
    run_minimum_time <i8, run_maximum_time <i8, run_first_good_time <i8, run_last_good_time <i8,
    run_first_quality <u4, run_last_quality <u4, run_covered_ns <i8, run_resets <i8,
    run_transitions <i8, run_ends |u1, run_exact |u1,
    run_sum <f8, run_sum_middle <f8, run_sum_low <f8,
    run_squares <f8, run_squares_middle <f8, run_squares_low <f8,
    run_stepped_ns <f8, run_stepped_ns_middle <f8, run_stepped_ns_low <f8,
    run_forward_ns <f8, run_forward_ns_middle <f8, run_forward_ns_low <f8,
    run_increase <f8, run_increase_middle <f8, run_increase_low <f8,
    stream_id <u4, stream_uuid |V16, stream_kind |u1, stream_schema <u4,
    stream_pyramid_offset <u8, stream_pyramid_length <u4, schemas |u1, facts |u1
"""
KNOWN_ARRAYS = [tuple(pair.split()) for pair in KNOWN.split(",")]
PLAIN, ZSTD, ZEROS, STEPS, SAME, NEAR, CODED = 0, 1, 2, 3, 4, 5, 16


def read_table(data: bytes) -> dict[str, np.ndarray]:
    """A table of named arrays (segment.md, Directory)."""
    part = Cursor(data)
    count = part.number(4)
    compact = count >= 1 << 31
    entries, rows = [], 0
    for _ in range(count % (1 << 31)):
        length = part.number(1)
        if compact and length >= 128:
            name, kind = KNOWN_ARRAYS[length - 128]
        else:
            name = part.take(length).decode()
            kind = part.take(part.number(1)).decode()
        packing = part.number(1)
        length = 0
        if not (compact and packing == ZEROS):
            rows, length = (varint(part) if compact else part.number(8) for _ in range(2))
        entries.append((name, np.dtype(kind), packing, rows, length))
    table: dict[str, np.ndarray] = {}
    for name, dtype, packing, rows, length in entries:
        stored = part.take(length)
        if packing > (255 if compact else ZSTD):
            raise DamagedError(f"packing {packing} of {name}")
        plain = _unpacked(packing, stored, rows, dtype, list(table.values()))
        if len(plain) != rows * dtype.itemsize:
            raise DamagedError(f"array {name} has {len(plain)} bytes, want {rows * dtype.itemsize}")
        table[name] = np.frombuffer(plain, dtype)
    return table


def varint(part: Cursor) -> int:
    """A number of 7 bits a byte, the lowest first."""
    number = shift = 0
    while True:
        byte = part.number(1)
        number |= (byte % 128) << shift
        shift += 7
        if byte < 128:
            return number


def _unpacked(
    packing: int, stored: bytes, rows: int, dtype: np.dtype, before: list[np.ndarray]
) -> bytes:
    """The bytes of one array of a table."""
    if packing == ZSTD:
        return unzstd(stored)
    if packing == ZEROS:
        return bytes(rows * dtype.itemsize)
    if packing == SAME:
        return before[stored[0]].tobytes()
    if packing == NEAR:
        size, end = dtype.itemsize, 1 + (rows + 7) // 8
        out, changed = bytearray(before[stored[0]].tobytes()), Cursor(stored[end:])
        for row in range(rows):
            if stored[1 + row // 8] >> row % 8 & 1:
                out[row * size : (row + 1) * size] = changed.take(size)
        return bytes(out)
    if packing >= CODED:
        return np.asarray(decode(packing - CODED, stored, dtype.str, rows)).tobytes()
    if packing != STEPS:
        return stored
    part, value, out = Cursor(stored), 0, b""
    for _ in range(rows):
        step = varint(part)
        value += -((step + 1) // 2) if step % 2 else step // 2
        out += (value % (1 << 64)).to_bytes(8, "little")[: dtype.itemsize]
    return out
