"""shuffle: byte-transposed array, zstd. For floats: signs and exponents lie together."""

import numpy as np

from storage_engine.codec import zstd
from storage_engine.codec.base import AnyNumbers, restore_bytes, transpose_bytes


class Shuffle:
    """Transposed bytes, compressed."""

    id = 4
    name = "shuffle"

    def encode(self, values: AnyNumbers) -> bytes | None:
        """Bytes of any fixed-size array."""
        return zstd.compress(transpose_bytes(values))

    def decode(self, data: memoryview, rows: int, dtype: np.dtype[np.generic]) -> AnyNumbers:
        """Decompress and transpose back."""
        return restore_bytes(zstd.decompress(data, rows * dtype.itemsize), rows, dtype)
