"""constant: one value for all rows."""

import numpy as np

from storage_engine.codec.base import AnyNumbers, want_size


class Constant:
    """One value, however many rows."""

    id = 2
    name = "constant"

    def encode(self, values: AnyNumbers) -> bytes | None:
        """Bytes of the first value when all rows have its bits."""
        if len(values) == 0:
            return None
        size = values.dtype.itemsize
        plain = np.ascontiguousarray(values).view(np.uint8).reshape(len(values), size)
        if (plain != plain[0]).any():
            return None
        return values[:1].tobytes()

    def decode(self, data: memoryview, rows: int, dtype: np.dtype[np.generic]) -> AnyNumbers:
        """Repeat the value."""
        want_size(self.name, len(data), dtype.itemsize)
        return np.repeat(np.frombuffer(data, dtype), rows)
