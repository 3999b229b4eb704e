"""Log files and records as constants, types and bytes: ``docs/format/wal.md`` in Python."""

import enum
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage_engine.checksum import crc32c
from storage_engine.errors import CorruptData, UnsupportedFormat
from storage_engine.sample import Int64Array, UInt32Array, UInt64Array

if TYPE_CHECKING:
    from typing_extensions import Buffer

VERSION = 1
FILE_MAGIC = b"LHWL"
RECORD_MAGIC = b"LHWR"

# magic, version, header_bytes, number, first_lsn, created_ns, flags, size_bytes, 16 zeros; the crc.
_FILE = struct.Struct("<4sHHQQqIQ16x")
_CRC = struct.Struct("<I")
FILE_HEADER_BYTES = _FILE.size + _CRC.size
assert FILE_HEADER_BYTES == 64, "the file header of version 1 has 64 bytes"
FLAG_RECYCLED = 1

# magic, body_bytes, lsn, record_time_ns, kind, 3 zeros, body_crc; then the header_crc and 4 zeros.
_RECORD = struct.Struct("<4sIQqB3xI")
_RECORD_CRC_AT = _RECORD.size
RECORD_HEADER_BYTES = 40

KIND_DURABLE = 255
SPARE = "spare.log"
DAMAGED = "damaged"
_NAME = re.compile(r"(\d{16})\.log")


class RecordKind(enum.IntEnum):
    """What a record carries. The numbers are part of the format."""

    FRAME = 1
    STREAM = 2
    BIND = 3
    CHECKPOINT = 4
    NOTE = 5
    CHANGE = 6
    IMPORT = 7


OPTIONAL_KINDS = 128  # kinds from here on may be stepped over by a reader that knows them not
KINDS = {int(kind): kind for kind in RecordKind}


@dataclass(frozen=True, slots=True)
class Record:
    """One replayed record; ``body`` is its own copy."""

    lsn: int
    kind: RecordKind
    record_time_ns: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Frames:
    """FRAME records of consecutive lsns, still in the bytes of their file.

    Attributes
    ----------
    data : bytes
        The file.
    body : int64, shape (n,)
        Offset of each record's body in it.
    body_bytes : uint32, shape (n,)
    lsn : uint64, shape (n,)
    record_time_ns : int64, shape (n,)
    """

    data: bytes
    body: Int64Array
    body_bytes: UInt32Array
    lsn: UInt64Array
    record_time_ns: Int64Array


@dataclass(frozen=True, slots=True)
class Finding:
    """A damaged place: file, byte, and what is wrong or lost there.

    ``size`` is the number of bytes that make no sense, 0 when it is not bytes but lsns that miss.
    """

    path: str
    offset: int
    what: str
    size: int = 0


@dataclass(frozen=True, slots=True)
class FileHeader:
    """Header of a log file; ``size_bytes`` it was made with and never falls below as the last."""

    number: int
    first_lsn: int
    created_ns: int
    flags: int = 0
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class RecordHeader:
    """A record header whose own sum holds; ``end`` is where the record ends, padding included."""

    offset: int
    end: int
    body_bytes: int
    lsn: int
    record_time_ns: int
    kind: int
    body_crc: int

    @property
    def body(self) -> int:
        """Offset of the body."""
        return self.offset + RECORD_HEADER_BYTES


def file_name(number: int) -> str:
    """Name of a log file within its directory."""
    return f"{number:016}.log"


def file_number(name: str) -> int | None:
    """Number in a log file's name, None for other names."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else None


def file_seed(number: int) -> int:
    """Start of every checksum in a file: records of its earlier life are not valid in it."""
    return crc32c(number.to_bytes(8, "little"))


def padded(size: int) -> int:
    """Next multiple of 8."""
    return (size + 7) & ~7


def pack_file_header(header: FileHeader) -> bytes:
    """Lay a file header out."""
    head = _FILE.pack(
        FILE_MAGIC,
        VERSION,
        FILE_HEADER_BYTES,
        header.number,
        header.first_lsn,
        header.created_ns,
        header.flags,
        header.size_bytes,
    )
    return head + _CRC.pack(crc32c(head))


def unpack_file_header(data: bytes, path: str) -> FileHeader:
    """Read a file header.

    Raises
    ------
    CorruptData
        When it does not hold; the file's records may still do.
    UnsupportedFormat
        When a newer version wrote the file.
    """
    if len(data) < FILE_HEADER_BYTES:
        raise CorruptData(
            f"cannot read log file: got {len(data)} bytes, want {FILE_HEADER_BYTES}, at {path}"
        )
    found, (want,) = crc32c(data[: _FILE.size]), _CRC.unpack_from(data, _FILE.size)
    magic, version, size, number, first_lsn, created_ns, flags, made = _FILE.unpack_from(data)
    if magic != FILE_MAGIC or found != want:
        raise CorruptData(
            f"cannot read log file: crc32c of the header is {found:#010x}, want {want:#010x}, "
            f"at {path}",
            path=path,
        )
    if version != VERSION or size != FILE_HEADER_BYTES:
        raise UnsupportedFormat(
            f"cannot read log file: got version {version}, want {VERSION}, at {path}", path=path
        )
    return FileHeader(number, first_lsn, created_ns, flags, made)


def pack_record(
    seed: int, lsn: int, kind: int, record_time_ns: int, parts: Sequence["Buffer"]
) -> bytes:
    """Lay one record out; the same bytes as the committer in C writes."""
    body = b"".join(parts)
    content = body.ljust(padded(len(body)), b"\0")
    head = _RECORD.pack(RECORD_MAGIC, len(body), lsn, record_time_ns, kind, crc32c(content, seed))
    return b"".join((head, _CRC.pack(crc32c(head, seed)), bytes(4), content))


def unpack_record(data: bytes, offset: int, seed: int) -> RecordHeader | None:
    """Header of the record at ``offset``, None when there is no sound one."""
    if data[offset : offset + 4] != RECORD_MAGIC or offset + RECORD_HEADER_BYTES > len(data):
        return None
    (want,) = _CRC.unpack_from(data, offset + _RECORD_CRC_AT)
    if crc32c(data[offset : offset + _RECORD_CRC_AT], seed) != want:
        return None
    _, size, lsn, time_ns, kind, body_crc = _RECORD.unpack_from(data, offset)
    end = offset + RECORD_HEADER_BYTES + padded(size)
    return RecordHeader(offset, end, size, lsn, time_ns, kind, body_crc)
