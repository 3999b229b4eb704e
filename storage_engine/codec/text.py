"""text: lengths and bytes of strings, zstd. Always fits."""

from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np

from storage_engine.codec import zstd
from storage_engine.codec.base import restore_bytes, transpose_bytes, want_size
from storage_engine.errors import CorruptData


class Text:
    """Strings one after the other."""

    id = 7
    name = "text"

    def encode(self, values: Sequence[bytes]) -> bytes | None:
        """Size of the plain body as u64, then its zstd frame."""
        lengths = np.fromiter(map(len, values), np.uint32, len(values))
        plain = transpose_bytes(lengths) + b"".join(values)
        return len(plain).to_bytes(8, "little") + zstd.compress(plain)

    def decode(self, data: memoryview, rows: int) -> list[bytes]:
        """Cut the bytes at the lengths."""
        size = int.from_bytes(data[:8], "little")
        # zstd expands at most some 30,000 times; a wilder claim is damage, not data.
        if len(data) < 8 or size < 4 * rows or size > 32_768 * len(data) + 4 * rows:
            raise CorruptData(f"cannot decode text: got a body of {size} bytes for {rows} rows")
        plain = zstd.decompress(data[8:], size)
        lengths = restore_bytes(plain[: 4 * rows], rows, np.dtype(np.uint32)).tolist()
        ends = list(accumulate(lengths, initial=4 * rows))
        want_size(self.name, len(plain), ends[-1])
        return [plain[a:b] for a, b in pairwise(ends)]
