"""What a codec owes its caller: bytes that decode to the same bits, or None.

Numbers and strings differ in what they can share, so there are two kinds of codec. Codec ids are
part of the segment format and never change.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from storage_engine.errors import CorruptData

AnyNumbers = npt.NDArray[np.generic]


class NumberCodec(Protocol):
    """A lossless way to write fixed-size values."""

    id: int
    name: str

    def encode(self, values: AnyNumbers) -> bytes | None:
        """Bytes for the values, or None when this codec does not fit them."""
        ...

    def decode(self, data: memoryview, rows: int, dtype: np.dtype[np.generic]) -> AnyNumbers:
        """Values back, bit for bit. Raise CorruptData when the bytes cannot be of ``rows`` rows."""
        ...


class StringCodec(Protocol):
    """A lossless way to write byte strings."""

    id: int
    name: str

    def encode(self, values: Sequence[bytes]) -> bytes | None:
        """Bytes for the strings, or None when this codec does not fit them."""
        ...

    def decode(self, data: memoryview, rows: int) -> list[bytes]:
        """Strings back. Raise CorruptData when the bytes cannot be of ``rows`` rows."""
        ...


def want_size(codec: str, got: int, want: int) -> None:
    """Raise CorruptData unless a body has the size its rows ask for.

    Parameters
    ----------
    codec : str
        Name for the message.
    got, want : int
        Bytes.
    """
    if got != want:
        raise CorruptData(
            f"cannot decode {codec}: got {got} bytes, want {want}", codec=codec, got=got, want=want
        )


def transpose_bytes(values: AnyNumbers) -> bytes:
    """Bytes of an array with all first bytes in front, then all second ones, and so on.

    Parameters
    ----------
    values : any fixed-size dtype, shape (n,)

    Returns
    -------
    bytes
        ``n * itemsize`` bytes.
    """
    size = values.dtype.itemsize
    if size == 1:
        return values.tobytes()
    plain = np.ascontiguousarray(values).view(np.uint8).reshape(len(values), size)
    return plain.T.tobytes()


def restore_bytes(data: bytes, rows: int, dtype: np.dtype[np.generic]) -> AnyNumbers:
    """Undo :func:`transpose_bytes`.

    Parameters
    ----------
    data : bytes
        ``rows * itemsize`` bytes.
    rows : int
    dtype : dtype

    Returns
    -------
    ndarray, shape (rows,)
    """
    plain = np.frombuffer(data, np.uint8).reshape(dtype.itemsize, rows).T
    values: AnyNumbers = np.ascontiguousarray(plain).reshape(-1).view(dtype)
    return values
