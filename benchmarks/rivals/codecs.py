"""Libraries that only make bytes of columns: pcodec and zstd."""

import numpy as np

from benchmarks.rivals.base import Floats, Ints, MissingError


class Pcodec:
    """Standalone pages at the library's defaults (level 8)."""

    def __init__(self) -> None:
        try:
            import pcodec
            from pcodec import ChunkConfig, standalone
        except ImportError as error:
            raise MissingError(str(error)) from error
        self._module, self._pages, self._config = pcodec, standalone, ChunkConfig()

    def version(self) -> str:
        """Of the package."""
        from importlib.metadata import version

        return version("pcodec")

    def encode(self, column: Ints | Floats) -> bytes:
        """One page."""
        return bytes(self._pages.simple_compress(np.ascontiguousarray(column), self._config))

    def decode(self, page: bytes, dtype: str) -> Ints | Floats:
        """The same values."""
        found: Ints | Floats = self._pages.simple_decompress(page)
        return found


class Zstd:
    """Frames at level 3."""

    def __init__(self) -> None:
        try:
            import zstandard
        except ImportError as error:
            raise MissingError(str(error)) from error
        self._module = zstandard
        self._pack, self._unpack = zstandard.ZstdCompressor(3), zstandard.ZstdDecompressor()

    def version(self) -> str:
        """Of the package."""
        return str(self._module.__version__)

    def encode(self, column: Ints | Floats) -> bytes:
        """One frame."""
        return bytes(self._pack.compress(np.ascontiguousarray(column).tobytes()))

    def decode(self, page: bytes, dtype: str) -> Ints | Floats:
        """The same values."""
        found: Ints | Floats = np.frombuffer(self._unpack.decompress(page), dtype)
        return found
