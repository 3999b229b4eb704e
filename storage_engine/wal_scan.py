"""The bytes of a log file -> sound records as columns, and the bad places between them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from storage_engine.checksum import crc32c
from storage_engine.log_scan import sound_records
from storage_engine.sample import Int64Array, UInt32Array, UInt64Array
from storage_engine.wal_record import (
    FILE_HEADER_BYTES,
    KIND_DURABLE,
    RECORD_HEADER_BYTES,
    RECORD_MAGIC,
    Frames,
    RecordHeader,
    RecordKind,
    padded,
    unpack_record,
)

_SCAN_FACTOR = 8  # bodies checked while looking for the next sound record, in file sizes
_SEARCH_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Bad:
    """Bytes that are no sound record."""

    offset: int
    end: int


@dataclass(frozen=True, slots=True)
class Sound:
    """Sound records back to back, as columns; never empty.

    Attributes
    ----------
    offset : int64, shape (n,)
    body_bytes : uint32, shape (n,)
    lsn : uint64, shape (n,)
    record_time_ns : int64, shape (n,)
    kind : uint8, shape (n,)
    end : int
        Byte behind the last of them.
    """

    offset: Int64Array
    body_bytes: UInt32Array
    lsn: UInt64Array
    record_time_ns: Int64Array
    kind: npt.NDArray[np.uint8]
    end: int

    def header(self, place: int) -> RecordHeader:
        """One of them."""
        offset, size = int(self.offset[place]), int(self.body_bytes[place])
        end = offset + RECORD_HEADER_BYTES + padded(size)
        time_ns, kind = int(self.record_time_ns[place]), int(self.kind[place])
        return RecordHeader(offset, end, size, int(self.lsn[place]), time_ns, kind, 0)

    def without_marks(self) -> "Sound":
        """Those that are no marks of durability; maybe none."""
        keep = self.kind != KIND_DURABLE
        columns = (self.offset, self.body_bytes, self.lsn, self.record_time_ns, self.kind)
        offset, size, lsn, time_ns, kind = (column[keep] for column in columns)
        return Sound(offset, size, lsn, time_ns, kind, self.end)

    def frames(self, data: bytes, start: int, end: int) -> Frames:
        """Some of them, which are FRAME records."""
        part = slice(start, end)
        body = self.offset[part] + RECORD_HEADER_BYTES
        columns = (self.body_bytes[part], self.lsn[part], self.record_time_ns[part])
        return Frames(data, body, *columns)

    def stretches(self) -> Int64Array:
        """Where each record's stretch of frames of consecutive lsns ends; its own place if none.

        Returns
        -------
        int64, shape (n,)
        """
        joined = np.zeros(len(self.lsn), np.bool_)
        joined[:-1] = (np.diff(self.lsn) == 1) & (self.kind[:-1] == self.kind[1:])
        ends = np.flatnonzero(~joined) + 1
        out = ends[np.searchsorted(ends, np.arange(len(self.lsn)), "right")]
        return np.where(self.kind == RecordKind.FRAME, out, np.arange(len(out)))


def scan(data: bytes, seed: int) -> Iterator[Sound | Bad]:
    """Sound records in order, and the bad places between them; ends at the last sound header.

    Parameters
    ----------
    data : bytes
        A whole log file.
    seed : int
        Of its checksums.
    """
    at = FILE_HEADER_BYTES
    budget = _SCAN_FACTOR * len(data)
    view = memoryview(data)
    while True:
        columns, end, budget = sound_records(data, at, seed, budget)
        if len(columns[0]):
            at = end
            yield Sound(*columns, at)
            continue
        header = unpack_record(data, at, seed)
        if header is None:
            found = _next_header(data, at, seed)
            if found is None:
                return
            yield Bad(at, found)
            at = found
            continue
        content = view[header.body : header.end]
        budget -= len(content)
        whole = header.end <= len(data) and budget >= 0
        if whole and crc32c(content, seed) == header.body_crc:
            yield _one(header)
            at = header.end
            continue
        # The header vouches for the extent; should that lie beyond the file, look behind it.
        end = header.end if whole else header.body
        yield Bad(at, end)
        at = end


def _one(header: RecordHeader) -> Sound:
    return Sound(
        np.array([header.offset], np.int64),
        np.array([header.body_bytes], np.uint32),
        np.array([header.lsn], np.uint64),
        np.array([header.record_time_ns], np.int64),
        np.array([header.kind], np.uint8),
        header.end,
    )


def _next_header(data: bytes, at: int, seed: int) -> int | None:
    """Offset of the next sound record header behind ``at``."""
    found = at
    last = len(data) - RECORD_HEADER_BYTES
    while found < last:
        # In pieces: a search keeps other threads from running, and the rest of a file is long.
        piece = min(found + 1 + _SEARCH_BYTES, last + len(RECORD_MAGIC))
        hit = data.find(RECORD_MAGIC, found + 1, piece)
        if hit < 0:
            found = piece - len(RECORD_MAGIC)
            continue
        found = hit
        if found % 8 == 0 and unpack_record(data, found, seed) is not None:
            return found
    return None
