"""A segment as constants: docs/format/segment.md in Python."""

import struct
from dataclasses import dataclass
from typing import Any

from storage_engine.checksum import crc32c
from storage_engine.errors import CorruptData, UnsupportedFormat
from storage_engine.table import Table, json_column, read_json

VERSION = 2  # what is written
VERSIONS = (1, 2)  # what is read
HEADER_MAGIC = b"LHSEGMT1"
TRAILER_MAGIC = b"LHSEGEND"
EDGE_BYTES = 64
DIRECTORY = "segments"

_EDGE = struct.Struct("<8sII16sQQQI")
_CRC = struct.Struct("<I")
assert _EDGE.size + _CRC.size == EDGE_BYTES, "header and trailer have 64 bytes"


@dataclass(frozen=True, slots=True)
class SegmentInfo:
    """A live segment, as the manifest lists it.

    Attributes
    ----------
    id : int
        Never reused.
    partition : str
        ``2026-11-22``, ``2026-11`` or ``2026``.
    retention_class : str
    size : int
        Bytes of the file.
    rows : int
    first, last : int
        Times in nanoseconds, inclusive.
    lsn_min, lsn_max : int
    late : bool
        Its rows came behind rows of their streams that were in segments already.
    erased_lsn : int
        Rows that an erasure up to this lsn covers were left out when it was written.
    cold : bool
        Encoded for good, as small as it gets.
    """

    id: int
    partition: str
    retention_class: str
    size: int
    rows: int
    first: int
    last: int
    lsn_min: int
    lsn_max: int
    late: bool = False
    erased_lsn: int = 0
    cold: bool = False

    @property
    def path(self) -> str:
        """Where the file lies below the store."""
        return segment_path(self.partition, self.id)

    def facts(self) -> Table:
        """Array of the directory: what its other arrays do not tell, and is not as usual."""
        facts: dict[str, object] = {
            "partition": self.partition,
            "retention_class": self.retention_class,
        }
        unusual = {"late": self.late, "erased_lsn": self.erased_lsn, "cold": self.cold}
        facts |= {name: value for name, value in unusual.items() if value}
        return {"facts": json_column(facts)}


def read_facts(table: Table, *, at: str) -> dict[str, Any]:
    """Facts of a segment, by its directory.

    Parameters
    ----------
    table : dict of str to array
        The directory.
    at : str
        For messages.

    Returns
    -------
    dict
        Those of :class:`SegmentInfo` but id and size; what is not told has its default.

    Raises
    ------
    CorruptData
        When there are none.
    """
    told = dict(read_json(table, "facts", at=at))
    if len(table["run_first"]) == 0:
        return told
    held = {
        "rows": int(table["block_rows"].sum()),
        "first": int(table["run_first"].min()),
        "last": int(table["run_last"].max()),
        "lsn_min": int(table["run_stamp_min"].min()) >> 1,
        "lsn_max": int(table["run_stamp_max"].max()) >> 1,
    }
    return held | told


def segment_path(partition: str, segment_id: int) -> str:
    """Path of a segment below the store.

    Parameters
    ----------
    partition : str
    segment_id : int

    Returns
    -------
    str
    """
    return f"{DIRECTORY}/{partition}/{segment_id:016x}.segment"


def segment_number(name: str) -> int | None:
    """Id in the name of a segment file, half-written ones too; None for other names."""
    digits, _, rest = name.rpartition("/")[2].partition(".")
    if rest not in {"segment", "segment.new"} or len(digits) != 16:
        return None
    return int(digits, 16) if set(digits) <= set("0123456789abcdef") else None


@dataclass(frozen=True, slots=True)
class Edge:
    """Header or trailer of a segment.

    ``number`` is the header's size, or the directory's crc32c; ``offset`` and ``length`` are those
    of the directory, zero in the header.
    """

    incarnation: bytes
    segment_id: int
    number: int
    offset: int = 0
    length: int = 0
    version: int = VERSION

    def encode(self, magic: bytes) -> bytes:
        """64 bytes."""
        body = _EDGE.pack(
            magic,
            self.version,
            self.number,
            self.incarnation,
            self.segment_id,
            self.offset,
            self.length,
            0,
        )
        return body + _CRC.pack(crc32c(body))


def decode_edge(data: bytes, magic: bytes, *, at: str) -> Edge:
    """Read a header or trailer.

    Parameters
    ----------
    data : bytes
    magic : bytes
        Which of the two.
    at : str
        For messages.

    Returns
    -------
    Edge

    Raises
    ------
    CorruptData
        When magic or checksum does not hold.
    UnsupportedFormat
        When a newer version wrote it.
    """
    if len(data) != EDGE_BYTES or data[:8] != magic:
        raise CorruptData(f"cannot read segment: got no {magic.decode()}, at {at}", path=at)
    (crc,) = _CRC.unpack_from(data, _EDGE.size)
    found = crc32c(data[: _EDGE.size])
    if found != crc:
        raise CorruptData(
            f"cannot read segment: crc32c is {found:#010x}, want {crc:#010x}, at {at}", path=at
        )
    _, version, number, incarnation, segment_id, offset, length, _ = _EDGE.unpack_from(data)
    if version not in VERSIONS:
        raise UnsupportedFormat(
            f"cannot read segment: got version {version}, want one of {VERSIONS}, at {at}", path=at
        )
    return Edge(incarnation, segment_id, number, offset, length, version)
