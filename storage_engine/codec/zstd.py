"""Last-stage compression: zstd frames (RFC 8878). Only this file imports zstandard."""

import threading

import zstandard

from storage_engine.errors import CorruptData

LEVEL = 1

_LOCAL = threading.local()


def compress(data: bytes | memoryview) -> bytes:
    """Compress bytes into one frame.

    Parameters
    ----------
    data : bytes-like
        Contiguous.

    Returns
    -------
    bytes

    Notes
    -----
    Contexts are not thread-safe, so each thread keeps its own. The GIL is released meanwhile.
    """
    context = getattr(_LOCAL, "compressor", None)
    if context is None:
        context = _LOCAL.compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=False)
    packed: bytes = context.compress(data)
    return packed


def decompress(data: bytes | memoryview, size: int) -> bytes:
    """Undo :func:`compress`.

    Parameters
    ----------
    data : bytes-like
        One frame.
    size : int
        Bytes that must come out; memory is bounded by it.

    Returns
    -------
    bytes

    Raises
    ------
    CorruptData
        When it is not a frame of exactly that size.
    """
    context = getattr(_LOCAL, "decompressor", None)
    if context is None:
        context = _LOCAL.decompressor = zstandard.ZstdDecompressor()
    try:
        announced = zstandard.frame_content_size(data)
        # A frame that announces more than it may is not decompressed at all.
        plain: bytes = context.decompress(data) if announced == size else b""
    except zstandard.ZstdError as error:
        raise CorruptData(f"cannot decompress: got a bad zstd frame, want {size} bytes") from error
    if announced != size or len(plain) != size:
        raise CorruptData(
            f"cannot decompress: got a zstd frame of {announced} bytes, want {size}",
            got=announced,
            want=size,
        )
    return plain
