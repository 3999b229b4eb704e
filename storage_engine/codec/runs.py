"""runs: lengths and values of runs of equal rows. For stamps, quality, states, validity."""

import struct

import numpy as np

from storage_engine.codec.base import AnyNumbers
from storage_engine.codec.raw import Raw
from storage_engine.codec.shuffle import Shuffle
from storage_engine.errors import CorruptData

_PART = struct.Struct("<BI")
_COUNT = struct.Struct("<I")
_PARTS = {codec.id: codec for codec in (Raw(), Shuffle())}


def _pack(values: AnyNumbers) -> bytes:
    body = _PARTS[4].encode(values) if len(values) > 16 else None
    plain = values.tobytes()
    if body is None or len(body) >= len(plain):
        return _PART.pack(1, len(plain)) + plain
    return _PART.pack(4, len(body)) + body


def _unpack(
    data: memoryview, rows: int, dtype: np.dtype[np.generic]
) -> tuple[AnyNumbers, memoryview]:
    if len(data) < _PART.size:
        raise CorruptData(f"cannot decode runs: got {len(data)} bytes, want >= {_PART.size}")
    codec, size = _PART.unpack_from(data)
    body = data[_PART.size : _PART.size + size]
    if codec not in _PARTS or len(body) != size:
        raise CorruptData(f"cannot decode runs: got codec {codec} with {len(body)} of {size} bytes")
    return _PARTS[codec].decode(body, rows, dtype), data[_PART.size + size :]


class Runs:
    """Lengths and values of runs."""

    id = 5
    name = "runs"

    def encode(self, values: AnyNumbers) -> bytes | None:
        """Bytes of the runs; None when they are too short to pay."""
        rows, size = len(values), values.dtype.itemsize
        if rows == 0:
            return None
        plain = np.ascontiguousarray(values)
        if size in (1, 2, 4, 8):
            bits = plain.view(f"u{size}")
            change = np.flatnonzero(bits[1:] != bits[:-1])
        else:
            wide = plain.view(np.uint8).reshape(rows, size)
            change = np.flatnonzero((wide[1:] != wide[:-1]).any(axis=1))
        if 2 * len(change) > rows:
            return None
        starts = np.concatenate(([0], change + 1))
        lengths = np.diff(np.append(starts, rows)).astype(np.uint32)
        return _COUNT.pack(len(starts)) + _pack(lengths) + _pack(plain[starts])

    def decode(self, data: memoryview, rows: int, dtype: np.dtype[np.generic]) -> AnyNumbers:
        """Repeat each value over its run."""
        if len(data) < _COUNT.size:
            raise CorruptData(f"cannot decode runs: got {len(data)} bytes, want >= {_COUNT.size}")
        (count,) = _COUNT.unpack_from(data)
        if count > rows:
            raise CorruptData(f"cannot decode runs: got {count} runs, want <= {rows}")
        lengths, rest = _unpack(data[_COUNT.size :], count, np.dtype(np.uint32))
        values, rest = _unpack(rest, count, dtype)
        total = int(lengths.astype(np.int64).sum())
        if total != rows or len(rest):
            raise CorruptData(f"cannot decode runs: got {total} rows, want {rows}")
        out: AnyNumbers = np.repeat(values, lengths.astype(np.int64))
        return out
