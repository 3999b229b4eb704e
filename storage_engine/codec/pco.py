"""pco: the standalone format of the pcodec library, for columns grown cold. Only here imported."""

import struct

import numpy as np
from pcodec import ChunkConfig, standalone

from storage_engine.codec.base import AnyNumbers
from storage_engine.errors import CorruptData

_LEVEL = 12
_GRID = struct.Struct("<QQ")
_KINDS = {"i8", "u8", "u4", "f4", "f8"}
_LIBRARY_ERRORS = (RuntimeError, TypeError, ValueError)


def _unpacked(data: memoryview, rows: int, dtype: np.dtype[np.generic]) -> AnyNumbers:
    out = np.empty(rows, dtype)
    try:
        progress = standalone.simple_decompress_into(bytes(data), out)
    except BaseException as error:
        # A panic of the library is no Exception; nothing else of that kind is ours to keep.
        if isinstance(error, _LIBRARY_ERRORS) or type(error).__name__ == "PanicException":
            raise CorruptData(f"cannot decode pco: got {error}, want {rows} rows") from error
        raise
    if progress.n_processed != rows or not progress.finished:
        raise CorruptData(f"cannot decode pco: got {progress.n_processed} rows, want {rows}")
    return out


class Pco:
    """Numbers of 4 or 8 bytes; 64-bit integers as steps from the lowest."""

    id = 15
    name = "pco"

    def encode(self, values: AnyNumbers) -> bytes | None:
        """Bytes of the values; None for other types and for no rows."""
        if len(values) == 0 or values.dtype.str[1:] not in _KINDS:
            return None
        head, plain = b"", np.ascontiguousarray(values)
        if values.dtype.kind in "iu" and values.dtype.itemsize == 8:
            words = plain.view(np.uint64)
            anchor = plain.min().view(np.uint64)
            step = np.gcd.reduce(words - anchor) or np.uint64(1)
            head, plain = _GRID.pack(int(anchor), int(step)), (words - anchor) // step
        packed: bytes = standalone.simple_compress(plain, ChunkConfig(compression_level=_LEVEL))
        return head + packed

    def decode(self, data: memoryview, rows: int, dtype: np.dtype[np.generic]) -> AnyNumbers:
        """Decode with the library; what it refuses is damage."""
        if dtype.str[1:] not in _KINDS:
            raise CorruptData(f"cannot decode pco: got {dtype}, want numbers of 4 or 8 bytes")
        if dtype.kind == "f" or dtype.itemsize == 4:
            return _unpacked(memoryview(data), rows, dtype)
        if len(data) < _GRID.size:
            raise CorruptData(f"cannot decode pco: got {len(data)} bytes, want >= {_GRID.size}")
        anchor, step = _GRID.unpack_from(data)
        steps = _unpacked(memoryview(data)[_GRID.size :], rows, np.dtype(np.uint64))
        words = steps.astype(np.uint64, copy=False) * np.uint64(step) + np.uint64(anchor)
        return words.view(dtype)
