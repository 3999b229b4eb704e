"""checksum.pyx: every kernel gives the bits of kernel 0, at any length, offset and seed."""

import random

import numpy as np
import pytest

from storage_engine.checksum import KERNEL, crc32c, crc32c_scalar


def test_the_check_value_of_the_standard():
    """RFC 3720 and the catalogue of CRCs agree on these."""
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c_scalar(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(b"") == 0
    assert KERNEL in {"scalar", "sse42"}


def test_the_fast_kernel_equals_kernel_0():
    """Lengths around the 8-byte words and the 3 x 1,024-byte lanes, at every alignment."""
    data = random.Random(1).randbytes(20_000)
    view = memoryview(data)
    lengths = [*range(40), *range(3060, 3085), *range(6130, 6160), 9216, 12_345]
    for i, length in enumerate(lengths):
        piece = view[i % 9 : i % 9 + length]
        assert crc32c(piece, i * 7919) == crc32c_scalar(piece, i * 7919), length


def test_a_seed_goes_on_from_the_bytes_before():
    """Header and body are summed without joining them; large buffers give up the GIL."""
    data = random.Random(2).randbytes(200_000)
    for cut in (0, 1, 92, 70_000, 199_999, 200_000):
        assert crc32c(data) == crc32c(data[cut:], crc32c(data[:cut]))


def test_any_contiguous_buffer_is_taken_and_nothing_else():
    """Columns are summed where they lie."""
    array = np.arange(100, dtype=np.int64)
    assert crc32c(array) == crc32c(array.tobytes())
    for wrong in ("text", None, 7):
        with pytest.raises(TypeError):
            crc32c(wrong)
    with pytest.raises((ValueError, BufferError)):
        crc32c(array[::2])
