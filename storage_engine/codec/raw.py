"""raw: the array as it lies in memory. Always fits."""

import numpy as np

from storage_engine.codec.base import AnyNumbers, want_size


class Raw:
    """The array itself."""

    id = 1
    name = "raw"

    def encode(self, values: AnyNumbers) -> bytes | None:
        """Bytes of the array."""
        return values.tobytes()

    def decode(self, data: memoryview, rows: int, dtype: np.dtype[np.generic]) -> AnyNumbers:
        """Read the array; a view of ``data``."""
        want_size(self.name, len(data), rows * dtype.itemsize)
        return np.frombuffer(data, dtype)
