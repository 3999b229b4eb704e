"""packed: integers in vectors of 1,024, each bit-packed over an offset, a line or differences."""

import numpy as np

from storage_engine.codec.base import AnyNumbers
from storage_engine.codec.kernels import PackedHint, column_decode, packed_encode
from storage_engine.errors import CorruptData


class Packed:
    """Integers and booleans of 1, 2, 4 or 8 bytes."""

    id = 8
    name = "packed"

    def encode(self, values: AnyNumbers, hint: PackedHint | None = None) -> bytes | None:
        """Bytes of integers; None for any other type and for no rows.

        Parameters
        ----------
        values : integers or bool, shape (n,)
        hint : PackedHint, optional
            What won in the column before; updated.

        Returns
        -------
        bytes or None
        """
        if len(values) == 0 or values.dtype.kind not in "iub":
            return None
        if values.dtype.itemsize == 8:
            return packed_encode(np.ascontiguousarray(values).view(np.int64), hint)
        return packed_encode(values.astype(np.int64), hint)

    def decode(self, data: memoryview, rows: int, dtype: np.dtype[np.generic]) -> AnyNumbers:
        """Unpack; narrower values are the low bytes of the integers."""
        if dtype.kind not in "iub":
            raise CorruptData(f"cannot decode packed: got {dtype}, want integers")
        return column_decode(self.id, data, rows, dtype)
