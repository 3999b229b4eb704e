"""What every part of the reader shares: value types, columns, rows, and the two ways to fail."""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np

FLOAT64, FLOAT32, INT64, UINT64, BOOL, SYMBOL, TEXT, BYTES = range(1, 9)
# Floats are held as their bits: equality is bitwise (decision 0003).
FIXED = {FLOAT64: "<u8", FLOAT32: "<u4", INT64: "<i8", UINT64: "<u8", BOOL: "u1"}
VARIABLE = {SYMBOL, TEXT, BYTES}


class DamagedError(ValueError):
    """Bytes that are not what was written."""


class NewerError(ValueError):
    """A version, flag or kind this reader must not overlook."""


class Row(NamedTuple):
    """A row as stored; a null cell is None, floats are their bits, strings are bytes."""

    time: int
    stamp: int
    event_id: bytes
    quality: int
    cells: tuple[int | bytes | None, ...]

    @property
    def lsn(self) -> int:
        return self.stamp >> 1

    @property
    def observed(self) -> bool:
        return bool(self.stamp & 1)

    def padded(self, width: int) -> "Row":
        """The row with nulls for columns that came later."""
        return self._replace(cells=self.cells + (None,) * (width - len(self.cells)))


class Tombstone(NamedTuple):
    """A deleted or erased range of a stream."""

    lsn: int
    stream: int
    start: int
    end: int
    erase: bool

    def covers(self, row: Row) -> bool:
        return row.lsn < self.lsn and self.start <= row.time < self.end


@dataclass
class Stream:
    """A stream as the manifest or the log names it."""

    stream_id: int
    uuid: bytes
    kind: int
    columns: list[tuple[str, int]]
    duplicates: int = 0
    retention_class: str = ""


class Finding(NamedTuple):
    """A place that could not be read."""

    path: str
    what: str


@dataclass
class Column:
    """Values of one column and which of them are there."""

    value_type: int
    values: np.ndarray | list[bytes]
    valid: np.ndarray | None = field(default=None)

    def cells(self) -> list[int | bytes | None]:
        plain = self.values.tolist() if isinstance(self.values, np.ndarray) else self.values
        if self.valid is None:
            return list(plain)
        return [v if ok else None for v, ok in zip(plain, self.valid.tolist(), strict=True)]


class Cursor:
    """Bytes taken from the front; taking too many is damage."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data = data
        self.at = at

    def take(self, size: int) -> bytes:
        if size < 0 or self.at + size > len(self.data):
            raise DamagedError(f"ends early: got {len(self.data) - self.at} bytes, want {size}")
        part = self.data[self.at : self.at + size]
        self.at += size
        return part

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def array(self, dtype: str, rows: int) -> np.ndarray:
        kind = np.dtype(dtype)
        return np.frombuffer(self.take(kind.itemsize * rows), kind)

    def align(self, to: int = 8) -> None:
        if any(self.take(-self.at % to)):
            raise DamagedError(f"padding is not zero before {self.at}")


def signed(number: int) -> int:
    """The two's complement reading of 64 bits."""
    return number - (1 << 64) if number >> 63 else number


def cut(offsets: np.ndarray, data: bytes) -> list[bytes]:
    """Strings by their offsets, which start at 0, never fall, and end at the number of bytes."""
    marks = offsets.tolist()
    if marks[0] != 0 or marks[-1] != len(data) or any(np.diff(offsets.astype(np.int64)) < 0):
        raise DamagedError("offsets of strings are out of order")
    return [data[a:b] for a, b in pairwise(marks)]
