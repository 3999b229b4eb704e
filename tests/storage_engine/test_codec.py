"""codec: every codec gives back the same bits, or says that it does not fit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from storage_engine.codec import (
    NUMBER_CODECS,
    STRING_CODECS,
    decode_numbers,
    decode_strings,
    encode_numbers,
    encode_strings,
    zstd,
)
from storage_engine.errors import CorruptData, DataError, UnsupportedFormat

DTYPES = ["<f8", "<f4", "<i8", "<u8", "<u4", "|u1", "|V16"]
SAMPLES = {
    "one row": lambda dtype: np.zeros(1, dtype),
    "constant": lambda dtype: (
        np.ones(500, "|u1").astype(dtype) if dtype != "|V16" else np.zeros(9, dtype)
    ),
    "runs": lambda dtype: np.repeat(random(9, dtype), 100),
    "noise": lambda dtype: random(777, dtype),
}


def random(rows: int, dtype: str) -> np.ndarray:
    size = np.dtype(dtype).itemsize
    return np.random.default_rng(rows).integers(0, 256, rows * size, np.uint8).view(dtype)


@pytest.mark.parametrize("codec", NUMBER_CODECS.values(), ids=lambda codec: codec.name)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SAMPLES)
def test_numbers_come_back_bit_for_bit(codec, dtype, shape):
    """NaN payloads, -0.0 and wrapped integers are bits like any other."""
    values = SAMPLES[shape](dtype)

    body = codec.encode(values)

    if body is not None:
        decoded = codec.decode(memoryview(body), len(values), values.dtype)
        assert (values.dtype, values.tobytes()) == (decoded.dtype, decoded.tobytes())


@given(hnp.arrays(st.sampled_from(DTYPES[:6]), st.integers(1, 200)))
def test_the_choice_is_lossless_and_never_larger_than_raw(values):
    """The best codec is raw at worst."""
    codec, body = encode_numbers(values)

    decoded = decode_numbers(codec, memoryview(body), len(values), values.dtype)

    assert values.tobytes() == decoded.tobytes()
    assert len(body) <= values.nbytes


@given(st.lists(st.binary(max_size=12), min_size=1, max_size=60))
def test_strings_come_back(values):
    """Empty strings and zero bytes, too."""
    for codec in STRING_CODECS.values():
        body = codec.encode(values)
        assert body is None or values == codec.decode(memoryview(body), len(values))
    codec_id, body = encode_strings(values)
    assert values == decode_strings(codec_id, memoryview(body), len(values))


def test_regular_time_costs_next_to_nothing():
    """The usual time column is a regular grid."""
    time = np.arange(8192, dtype=np.int64) * 1_000_000_000 + 1_750_000_000_000_000_000

    _, body = encode_numbers(time)

    assert len(body) < 100


@pytest.mark.parametrize("codec", list(NUMBER_CODECS))
@pytest.mark.parametrize("dtype", ["<i8", "<u4"])
def test_damaged_numbers_raise_data_errors_only(codec, dtype):
    """A checksum may be forged or a writer wrong: decoding must not crash or hang."""
    values = np.repeat(random(9, dtype), 100)
    body = NUMBER_CODECS[codec].encode(values) or b"\0" * 40
    for place in range(0, len(body), max(len(body) // 40, 1)):
        for damaged in (
            body[:place],
            body[:place] + bytes([body[place] ^ 0xFF]) + body[place + 1 :],
        ):
            try:
                decode_numbers(codec, memoryview(damaged), len(values), values.dtype)
            except DataError:
                continue


@pytest.mark.parametrize("codec", list(STRING_CODECS))
def test_damaged_strings_raise_data_errors_only(codec):
    """As for numbers."""
    values = [b"RUN", b"STOP", b""] * 30
    body = STRING_CODECS[codec].encode(values)
    for place in range(len(body)):
        for damaged in (
            body[:place],
            body[:place] + bytes([body[place] ^ 0xFF]) + body[place + 1 :],
        ):
            try:
                decode_strings(codec, memoryview(damaged), len(values))
            except DataError:
                continue


def test_unknown_codecs_ask_for_an_upgrade():
    """A newer version may have written them."""
    with pytest.raises(UnsupportedFormat, match="got codec 99"):
        decode_numbers(99, memoryview(b""), 1, np.dtype("<i8"))
    with pytest.raises(UnsupportedFormat, match="got codec 99"):
        decode_strings(99, memoryview(b""), 1)


def test_a_frame_that_announces_too_much_is_not_decompressed():
    """Memory is bounded by what the caller expects."""
    with pytest.raises(CorruptData, match="want 10"):
        zstd.decompress(zstd.compress(bytes(1 << 20)), 10)
