"""Samples of one series as bare arrays: what a fast read decodes into, and Arrow takes as it is."""

from dataclasses import dataclass

import numpy as np

from storage_engine.arrow_capsules import array_capsules, schema_capsule, stream_capsule
from storage_engine.columns import STRINGS
from storage_engine.sample import (
    DTYPES,
    AnyArray,
    BoolArray,
    Damage,
    Int64Array,
    UInt32Array,
    ValueType,
)

_ALIGN = 64


def aligned(rows: int, dtype: np.dtype[np.generic]) -> AnyArray:
    """Memory that begins at a multiple of 64 bytes.

    Parameters
    ----------
    rows : int
    dtype : dtype

    Returns
    -------
    array, shape (rows,)
        Not initialised; of objects, None.
    """
    if dtype.hasobject:
        return np.empty(rows, dtype)
    room = np.empty(rows * dtype.itemsize + _ALIGN, np.uint8)
    begin = -room.__array_interface__["data"][0] % _ALIGN
    return room[begin : begin + rows * dtype.itemsize].view(dtype)


@dataclass(frozen=True, slots=True)
class SampleArrays:
    """Samples of one series in time order, decoded straight into aligned arrays.

    Attributes
    ----------
    type : ValueType
    timestamp_ns : int64, shape (n,)
        Nanoseconds UTC.
    value : array, shape (n,)
        Of the type's dtype; entries without a value mean nothing.
    quality : uint32, shape (n,), or None
        OPC UA status codes; None when every one is 0.
    valid : bool, shape (n,), or None
        None when every row has a value.
    damage : tuple of Damage
        What could not be read; empty when the answer is whole.

    Notes
    -----
    It gives itself to any reader of the Arrow C data interface without a copy of times and
    numbers: columns ``time`` (timestamp[ns, UTC]), ``value`` (nullable) and ``quality`` (uint32).
    """

    type: ValueType
    timestamp_ns: Int64Array
    value: AnyArray
    quality: UInt32Array | None = None
    valid: BoolArray | None = None
    damage: tuple[Damage, ...] = ()

    def __len__(self) -> int:
        return len(self.timestamp_ns)

    def __arrow_c_schema__(self) -> object:
        return schema_capsule(self.type)

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        return array_capsules(self.type, *self._buffers())

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return stream_capsule(self.type, *self._buffers())

    def _buffers(
        self,
    ) -> tuple[Int64Array, UInt32Array, AnyArray | None, int, tuple[AnyArray, ...]]:
        """Times, qualities, validity bits, nulls, and the buffers of the values."""
        quality = np.zeros(len(self), np.uint32) if self.quality is None else self.quality
        bits, nulls = None, 0
        if self.valid is not None:
            bits = np.packbits(self.valid, bitorder="little")
            nulls = len(self) - int(np.count_nonzero(self.valid))
        return self.timestamp_ns, quality, bits, nulls, self._values()

    def _values(self) -> tuple[AnyArray, ...]:
        if self.type is ValueType.BOOL:
            return (np.packbits(self.value.view(np.bool_), bitorder="little"),)
        if self.type not in STRINGS:
            return (self.value,)
        texts = self.value.tolist()
        if self.valid is not None:
            texts = [t if ok else "" for t, ok in zip(texts, self.valid.tolist(), strict=True)]
        raw = [t.encode("utf-8", "replace") if isinstance(t, str) else t for t in texts]
        ends = np.cumsum([0, *map(len, raw)], dtype=np.int64)
        return ends, np.frombuffer(b"".join(raw) or b"\0", np.uint8)


def sample_arrays(
    value_type: ValueType, rows: int, out: SampleArrays | None
) -> tuple[Int64Array, AnyArray]:
    """Room for times and values, in the memory of an earlier answer where that is enough.

    Parameters
    ----------
    value_type : ValueType
    rows : int
    out : SampleArrays or None

    Returns
    -------
    timestamp_ns : int64, shape (rows,)
    value : array, shape (rows,)
    """
    dtype = DTYPES[value_type]
    found: list[AnyArray] = []
    for want, have in (
        (np.dtype(np.int64), None if out is None else out.timestamp_ns),
        (dtype, None if out is None else out.value),
    ):
        whole = None if have is None else _whole(have)
        if whole is not None and whole.dtype == want and len(whole) >= rows:
            found.append(whole[:rows])
        else:
            found.append(aligned(rows, want))
    return found[0], found[1]  # type: ignore[return-value]


def _whole(array: AnyArray) -> AnyArray | None:
    """All of the aligned memory that an array is the beginning of; None when it is not ours."""
    base = array.base
    if not isinstance(base, np.ndarray) or base.dtype != np.uint8 or not base.flags.writeable:
        return None
    begin = array.__array_interface__["data"][0] - base.__array_interface__["data"][0]
    room = (len(base) - begin) // array.itemsize * array.itemsize
    if not 0 <= begin < _ALIGN or room < array.nbytes:
        return None
    return base[begin : begin + room].view(array.dtype)
