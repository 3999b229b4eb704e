"""delta: differences of neighbours modulo 2^64, byte-transposed, zstd. For times and counters.

Differences wrap, so every int64 and uint64 sequence round-trips, however wild.
"""

import numpy as np

from storage_engine.codec import zstd
from storage_engine.codec.base import AnyNumbers, restore_bytes, transpose_bytes
from storage_engine.errors import CorruptData


class Delta:
    """First value, then differences."""

    id = 3
    name = "delta"

    def encode(self, values: AnyNumbers) -> bytes | None:
        """Bytes of an array of 64-bit integers; None for any other type and for no rows."""
        if len(values) == 0 or values.dtype.kind not in "iu" or values.dtype.itemsize != 8:
            return None
        words = np.ascontiguousarray(values).view(np.uint64)
        return words[:1].tobytes() + zstd.compress(transpose_bytes(words[1:] - words[:-1]))

    def decode(self, data: memoryview, rows: int, dtype: np.dtype[np.generic]) -> AnyNumbers:
        """Add the differences up again."""
        if rows == 0 or len(data) < 8 or dtype.itemsize != 8:
            raise CorruptData(
                f"cannot decode delta: got {len(data)} bytes for {rows} rows of {dtype}, want >= 8"
            )
        words = np.empty(rows, np.uint64)
        words[:1] = np.frombuffer(data[:8], np.uint64)
        steps = zstd.decompress(data[8:], 8 * (rows - 1))
        words[1:] = restore_bytes(steps, rows - 1, np.dtype(np.uint64))
        np.cumsum(words, out=words)
        return words.view(dtype)
