"""The codecs, one line each, and the choice among them.

To add one: a file, a line here, a row in docs/format/codecs.md.
"""

from collections.abc import Sequence

import numpy as np

from storage_engine.codec.base import AnyNumbers, NumberCodec, StringCodec
from storage_engine.codec.constant import Constant
from storage_engine.codec.delta import Delta
from storage_engine.codec.dictionary import Dictionary
from storage_engine.codec.packed import Packed
from storage_engine.codec.raw import Raw
from storage_engine.codec.runs import Runs
from storage_engine.codec.shuffle import Shuffle
from storage_engine.codec.text import Text
from storage_engine.errors import UnsupportedFormat

NUMBER_CODECS: dict[int, NumberCodec] = {
    1: Raw(),
    2: Constant(),
    3: Delta(),
    4: Shuffle(),
    5: Runs(),
    8: Packed(),
}
STRING_CODECS: dict[int, StringCodec] = {
    6: Dictionary(),
    7: Text(),
}


def _same_bits(left: AnyNumbers, right: AnyNumbers) -> bool:
    return left.dtype == right.dtype and left.tobytes() == right.tobytes()


def encode_numbers(values: AnyNumbers) -> tuple[int, bytes]:
    """Encode fixed-size values with the codec that gives fewest bytes.

    Parameters
    ----------
    values : any fixed-size dtype, shape (n,)

    Returns
    -------
    codec : int
        Its id.
    body : bytes

    Notes
    -----
    A candidate counts only after its own decoder has given back the same bits. Constant, and runs
    or packed that pay well, end the search, since trying the rest costs more than it could save.
    What needs zstd must save a tenth: it decodes thirty times slower than packed.
    """
    plain = values.tobytes()
    enough = {2: len(plain), 8: len(plain) // 32, 5: len(plain) // 8}
    wide = values.dtype.kind in "iu" and values.dtype.itemsize == 8
    best, weight = (1, plain), 10 * len(plain) + 1
    for codec_id in (2, 8, 5, 3 if wide else 4):
        body = NUMBER_CODECS[codec_id].encode(values)
        if body is None or (10 if codec_id in {2, 8} else 11) * len(body) >= weight:
            continue
        decoded = NUMBER_CODECS[codec_id].decode(memoryview(body), len(values), values.dtype)
        if _same_bits(values, decoded):
            best, weight = (codec_id, body), (10 if codec_id in {2, 8} else 11) * len(body)
            if len(body) <= enough.get(codec_id, 0):
                break
    return best


def decode_numbers(
    codec: int, data: memoryview, rows: int, dtype: np.dtype[np.generic]
) -> AnyNumbers:
    """Decode what :func:`encode_numbers` gave.

    Parameters
    ----------
    codec : int
        Codec id.
    data : memoryview
    rows : int
    dtype : dtype

    Returns
    -------
    ndarray, shape (rows,)

    Raises
    ------
    UnsupportedFormat
        For a codec id that this version does not know.
    CorruptData
        When the bytes do not hold.
    """
    found = NUMBER_CODECS.get(codec)
    if found is None:
        raise UnsupportedFormat(
            f"cannot decode numbers: got codec {codec}, want one of {sorted(NUMBER_CODECS)}"
        )
    return found.decode(data, rows, dtype)


def encode_strings(values: Sequence[bytes]) -> tuple[int, bytes]:
    """Encode byte strings with the codec that gives fewest bytes; verified like numbers.

    Parameters
    ----------
    values : sequence of bytes

    Returns
    -------
    codec : int
    body : bytes
    """
    tried = []
    for codec_id, codec in STRING_CODECS.items():
        body = codec.encode(values)
        if body is not None and codec.decode(memoryview(body), len(values)) == list(values):
            tried.append((codec_id, body))
    assert tried, "text takes any strings"
    return min(tried, key=lambda pair: len(pair[1]))


def decode_strings(codec: int, data: memoryview, rows: int) -> list[bytes]:
    """Decode what :func:`encode_strings` gave.

    Parameters
    ----------
    codec : int
    data : memoryview
    rows : int

    Returns
    -------
    list of bytes

    Raises
    ------
    UnsupportedFormat, CorruptData
        As :func:`decode_numbers`.
    """
    found = STRING_CODECS.get(codec)
    if found is None:
        raise UnsupportedFormat(
            f"cannot decode strings: got codec {codec}, want one of {sorted(STRING_CODECS)}"
        )
    return found.decode(data, rows)
