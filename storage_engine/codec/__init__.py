"""The codecs, one line each, and the choice among them.

To add one: a file, a line here, a row in docs/format/codecs.md.
"""

from collections.abc import Sequence

import numpy as np

from storage_engine.codec.base import AnyNumbers, NumberCodec, StringCodec
from storage_engine.codec.choice import Recipe, choose, choose_cold
from storage_engine.codec.composite import Composite
from storage_engine.codec.constant import Constant
from storage_engine.codec.delta import Delta
from storage_engine.codec.dictionary import Dictionary
from storage_engine.codec.packed import Packed
from storage_engine.codec.pco import Pco
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
    9: Composite(9, "decimal"),
    10: Composite(10, "scaled"),
    11: Composite(11, "ordered"),
    12: Composite(12, "real"),
    13: Composite(13, "distinct"),
    14: Composite(14, "rle"),
    15: Pco(),
}
STRING_CODECS: dict[int, StringCodec] = {
    6: Dictionary(),
    7: Text(),
}


def _same_bits(left: AnyNumbers, right: AnyNumbers) -> bool:
    return left.dtype == right.dtype and left.tobytes() == right.tobytes()


def encode_numbers(values: AnyNumbers, recipe: Recipe | None = None) -> tuple[int, bytes]:
    """Encode fixed-size values with the codec that gives fewest bytes.

    Parameters
    ----------
    values : any fixed-size dtype, shape (n,)
    recipe : Recipe, optional
        What won in the column's block before: tried first, and updated.

    Returns
    -------
    codec : int
        Its id.
    body : bytes

    Notes
    -----
    A candidate counts only after its own decoder has given back the same bits. Constant, and runs
    or packed that pay well, end the search, since trying the rest costs more than it could save.
    What needs zstd alone must save a tenth: it decodes thirty times slower than packed.
    """
    values = np.ascontiguousarray(values)
    best = (1, values.tobytes())
    if len(values) == 0:
        return best
    if values.dtype.kind in "iufb" and values.dtype.itemsize in {1, 4, 8}:
        found = choose(values, recipe)
        if found is not None:
            return found
    for codec_id in (2, 5, 4):
        body = NUMBER_CODECS[codec_id].encode(values)
        if body is None or 11 * len(body) >= 10 * len(best[1]):
            continue
        if _same_bits(
            values, decode_numbers(codec_id, memoryview(body), len(values), values.dtype)
        ):
            best = (codec_id, body)
    return best


def encode_cold(values: AnyNumbers) -> tuple[int, bytes]:
    """Encode fixed-size values as small as they get, taking a hundred times as long.

    Parameters
    ----------
    values : any fixed-size dtype, shape (n,)
        Blocks of 16,384 rows and more pay best.

    Returns
    -------
    codec : int
    body : bytes
    """
    values = np.ascontiguousarray(values)
    best = encode_numbers(values)
    if len(best[1]) <= max(64, values.dtype.itemsize):
        return best
    for codec_id, body in sorted(choose_cold(values), key=lambda pair: len(pair[1])):
        if len(body) >= len(best[1]):
            break
        if _same_bits(
            values, decode_numbers(codec_id, memoryview(body), len(values), values.dtype)
        ):
            return codec_id, body
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
