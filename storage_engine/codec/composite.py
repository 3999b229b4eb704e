"""decimal, scaled, ordered, real, distinct, rle: codecs over integers, through the kernels.

The integers below decimal, scaled, ordered and distinct may have a last stage that the kernels do
not have (codecs 3, 4 and 15): then they are decoded here and given to the kernels raw.
"""

import struct

import numpy as np

from storage_engine.codec.base import AnyNumbers, NumberCodec
from storage_engine.codec.delta import Delta
from storage_engine.codec.kernels import column_decode
from storage_engine.codec.pco import Pco
from storage_engine.codec.plans import Plan, find_plans
from storage_engine.codec.shuffle import Shuffle
from storage_engine.errors import CorruptData, UnsupportedFormat

_CHILD = struct.Struct("<BI")
_LAST: dict[int, NumberCodec] = {3: Delta(), 4: Shuffle(), 15: Pco()}
_RAW = 1
_FLOATS = {4, 8}
_INT64 = np.dtype(np.int64)
DECIMAL, SCALED, ORDERED, REAL, DISTINCT, RLE = range(9, 15)


def _integers_at(codec: int, body: bytes | memoryview) -> int:
    """Where the child that may have a last stage begins; past the end when there is none."""
    if codec == DISTINCT and len(body) >= 4 + _CHILD.size:
        size: int = _CHILD.unpack_from(body, 4)[1]
        return 4 + _CHILD.size + size
    return {DECIMAL: 2, SCALED: 25, ORDERED: 0}.get(codec, len(body))


def with_last_stage(codec: int, body: bytes, last: int) -> bytes | None:
    """Replace the raw integers of a body by ones with a last stage.

    Parameters
    ----------
    codec : int
        9, 10, 11 or 13.
    body : bytes
        Made by a plan that left its integers plain.
    last : int
        3, 4 or 15.

    Returns
    -------
    bytes or None
        None when they do not fit it.
    """
    at = _integers_at(codec, body)
    _, size = _CHILD.unpack_from(body, at)
    start = at + _CHILD.size
    packed = _LAST[last].encode(np.frombuffer(body, np.int64, size // 8, start))
    if packed is None:
        return None
    return body[:at] + _CHILD.pack(last, len(packed)) + packed + body[start + size :]


def _without_last_stage(codec: int, body: memoryview, rows: int) -> bytes:
    at = _integers_at(codec, body)
    if at + _CHILD.size > len(body):
        raise CorruptData(f"cannot decode codec {codec}: got {len(body)} bytes for {rows} rows")
    last, size = _CHILD.unpack_from(body, at)
    start = at + _CHILD.size
    if last not in _LAST or start + size > len(body):
        raise CorruptData(
            f"cannot decode codec {codec}: got integers of codec {last}, {size} bytes"
        )
    plain = _LAST[last].decode(body[start : start + size], rows, _INT64).tobytes()
    return b"".join((body[:at], _CHILD.pack(_RAW, len(plain)), plain, body[start + size :]))


class Composite:
    """A codec over integers: 9 to 14."""

    def __init__(self, codec: int, name: str) -> None:
        self.id = codec
        self.name = name

    def encode(self, values: AnyNumbers) -> bytes | None:
        """Bytes by the first plan of this codec that fits, or None."""
        values = np.ascontiguousarray(values)
        for plan in plans_of(values):
            if plan.codec == self.id:
                body = plan.encode(values)
                if body is not None:
                    return body
        return None

    def decode(self, data: memoryview, rows: int, dtype: np.dtype[np.generic]) -> AnyNumbers:
        """Decode with the kernels, the last stage of the integers here."""
        if dtype.itemsize not in {1, 2, 4, 8}:
            raise CorruptData(f"cannot decode {self.name}: got {dtype}, want 1, 2, 4 or 8 bytes")
        try:
            return column_decode(self.id, data, rows, dtype)
        except UnsupportedFormat:
            plain = _without_last_stage(self.id, memoryview(data), rows)
        try:
            return column_decode(self.id, plain, rows, dtype)
        except UnsupportedFormat as error:
            raise CorruptData(
                f"cannot decode {self.name}: got a child of no known codec"
            ) from error


def plans_of(values: AnyNumbers) -> list[Plan]:
    """Plans that may fit, those of the values themselves first, then distinct and runs of them.

    Parameters
    ----------
    values : contiguous, shape (n,)
        Of 1, 4 or 8 bytes; other sizes and no values have no plan.

    Returns
    -------
    list of Plan
    """
    size = values.dtype.itemsize
    if len(values) == 0 or size not in {1, 4, 8} or values.dtype.kind not in "iufb":
        return []
    floats = values.dtype.kind == "f"
    plans = find_plans(values) if floats else [Plan(8)]
    return [*plans, plans[0].of(DISTINCT), plans[0].of(RLE)]
