"""The newest sample of every series, as columns indexed by stream id."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from storage_engine.columns import STRINGS
from storage_engine.sample import (
    DTYPES,
    AnyArray,
    Int64Array,
    UInt32Array,
    UInt64Array,
    ValueType,
)

# Flags; see kernels/head.h.
PRESENT, VALID, REWRITTEN, DOUBTFUL, STALE, FIRST = 1, 2, 4, 8, 16, 32


@dataclass(slots=True)
class Newest:
    """Columns of newest samples.

    ``cell`` holds the bits of a number, or for strings a code of the front head's dictionary.

    Attributes
    ----------
    time : int64, shape (streams,)
    cell : uint64, shape (streams,)
    stamp : uint64, shape (streams,)
    quality : uint32, shape (streams,)
    flags : uint8, shape (streams,)
    """

    time: Int64Array
    cell: UInt64Array
    stamp: UInt64Array
    quality: UInt32Array
    flags: npt.NDArray[np.uint8]

    @classmethod
    def empty(cls, streams: int) -> "Newest":
        """Make a table in which no series has a sample."""
        return cls(
            np.zeros(streams, np.int64),
            np.zeros(streams, np.uint64),
            np.zeros(streams, np.uint64),
            np.zeros(streams, np.uint32),
            np.zeros(streams, np.uint8),
        )

    def grow(self, streams: int) -> None:
        """Make room for ids below ``streams``."""
        have = len(self.time)
        if streams <= have:
            return
        bigger = Newest.empty(max(streams, 2 * have))
        for name in ("time", "cell", "stamp", "quality", "flags"):
            getattr(bigger, name)[:have] = getattr(self, name)
            setattr(self, name, getattr(bigger, name))

    def mark_stale(self, ids: Iterable[int]) -> None:
        """Leave the newest samples of series to the next look, which reads them."""
        for stream_id in ids:
            self.grow(stream_id + 1)
            self.flags[stream_id] |= STALE

    def use_first(self, stream_id: int, first: bool) -> None:
        """Follow the rule of duplicates of a series; what it changes the next look finds."""
        self.grow(stream_id + 1)
        if bool(self.flags[stream_id] & FIRST) is not first:
            self.flags[stream_id] ^= FIRST
            self.flags[stream_id] |= STALE

    def use_firsts(self, ids: Int64Array, first: npt.NDArray[np.bool_]) -> None:
        """Follow the rules of duplicates of many series, as :meth:`use_first` does of one."""
        self.grow(int(ids.max(initial=0)) + 1)
        other = ids[((self.flags[ids] & FIRST) != 0) != first]
        self.flags[other] = (self.flags[other] ^ FIRST) | STALE

    def take(self, ids: npt.NDArray[np.intp]) -> "Newest":
        """Copy the rows of some streams."""
        return Newest(
            self.time[ids], self.cell[ids], self.stamp[ids], self.quality[ids], self.flags[ids]
        )

    def copy(self) -> "Newest":
        """Copy the whole table."""
        return Newest(
            self.time.copy(),
            self.cell.copy(),
            self.stamp.copy(),
            self.quality.copy(),
            self.flags.copy(),
        )


def cells_of(value_type: ValueType, value: AnyArray) -> UInt64Array:
    """Numbers as 64-bit cells: their bits, narrower ones widened with zeros.

    Parameters
    ----------
    value_type : ValueType
        A number type.
    value : array, shape (n,)

    Returns
    -------
    uint64, shape (n,)
    """
    assert value_type not in STRINGS, "strings have codes"
    if value_type is ValueType.FLOAT32:
        return np.ascontiguousarray(value, np.float32).view(np.uint32).astype(np.uint64)
    if value_type is ValueType.BOOL:
        return value.astype(np.uint64)
    return np.ascontiguousarray(value, DTYPES[value_type]).view(np.uint64)


def values_of(value_type: ValueType, cell: UInt64Array, texts: list[object]) -> AnyArray:
    """Undo :func:`cells_of`; for strings look codes up in ``texts``.

    Parameters
    ----------
    value_type : ValueType
    cell : uint64, shape (n,)
    texts : list
        Dictionary of the head; used for strings only.

    Returns
    -------
    array, shape (n,)
    """
    if value_type in STRINGS:
        out = np.empty(len(cell), np.object_)
        out[:] = [texts[code] for code in cell.tolist()]
        return out
    if value_type is ValueType.FLOAT32:
        narrow: AnyArray = cell.astype(np.uint32).view(np.float32)
        return narrow
    if value_type is ValueType.BOOL:
        return np.not_equal(cell, 0)
    values: AnyArray = cell.view(DTYPES[value_type])
    return values
