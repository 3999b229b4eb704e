"""The seven codecs and the table of named arrays, from segment.md."""

import numpy as np
import zstandard
from second_reader.words import Cursor, DamagedError

RAW, CONSTANT, DELTA, SHUFFLE, RUNS, DICTIONARY, TEXTS = range(1, 8)


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


def read_table(data: bytes) -> dict[str, np.ndarray]:
    """A table of named arrays (segment.md, Directory)."""
    part = Cursor(data)
    entries = []
    for _ in range(part.number(4)):
        name = part.take(part.number(1)).decode()
        dtype = np.dtype(part.take(part.number(1)).decode())
        entries.append((name, dtype, part.number(1), part.number(8), part.number(8)))
    table = {}
    for name, dtype, packing, rows, length in entries:
        stored = part.take(length)
        if packing not in (0, 1):
            raise DamagedError(f"packing {packing} of {name}")
        plain = unzstd(stored) if packing else stored
        if len(plain) != rows * dtype.itemsize:
            raise DamagedError(f"array {name} has {len(plain)} bytes, want {rows * dtype.itemsize}")
        table[name] = np.frombuffer(plain, dtype)
    return table
