"""A frame as constants and types: the format of ``docs/format/frame.md`` in Python."""

import enum
import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from storage_engine.sample import Column, ColumnData, Int64Array, UInt32Array

MAGIC = b"LHF1"
VERSION = 1

# magic, version, header_bytes, frame_bytes, flags, incarnation, producer_id, epoch, sequence,
# min_time_ns, max_time_ns, row_count, section_count, previous_crc; then the crc.
HEADER = struct.Struct("<4sHHII16s16sQQqqIII")
CRC = struct.Struct("<I")
CRC_AT = HEADER.size
HEADER_BYTES = HEADER.size + CRC.size
assert HEADER_BYTES == 96, "the header of version 1 has 96 bytes"

# type, flags, column_count, count, section_bytes, slot
SECTION = struct.Struct("<BBHIII")
# slot, kind, 0, column_count, source_bytes, address_bytes
DECLARATION = struct.Struct("<IBBHII")
# type, 0, name_bytes
DECLARED_COLUMN = struct.Struct("<BBH")
NOTICE = struct.Struct("<II")

FLAG_OBSERVED = 1
FLAG_ONE_SHOT = 2
FLAGS_MUST_KNOW = 0xFFFF_0000

SECTION_HAS_QUALITY = 1

ROWS_MAX = 1_000_000
BYTES_MAX = 64 << 20
ITEMS_MAX = 131_072  # sections, declarations and columns of one frame

ZERO_ID = bytes(16)
ALIGN = 8
PADDING = tuple(bytes(n) for n in range(ALIGN))


class SectionType(enum.IntEnum):
    """What a section holds; sections stand in this order."""

    DECLARATIONS = 1
    SAMPLES = 2
    EVENTS = 3
    NOTICE = 4


class SlotKind(enum.IntEnum):
    """What a slot carries."""

    SERIES = 0
    EVENTS = 1


@dataclass(frozen=True, slots=True)
class Envelope:
    """Header of a frame: who made it, which one it is, what it holds.

    Attributes
    ----------
    incarnation : bytes
        16 bytes; of the store it is meant for, zeros when not learnt yet.
    producer_id : bytes
        16 bytes.
    epoch, sequence : int
        (producer_id, epoch, sequence) is the key of a frame.
    previous_crc : int
        ``crc`` of this producer's frame before this one, 0 for its first.
    row_count : int
        Rows of all samples and events sections.
    min_time_ns, max_time_ns : int
        Bounds of the rows' times, inclusive; both 0 without rows.
    flags : int
        ``FLAG_OBSERVED``, ``FLAG_ONE_SHOT``.
    crc : int
        CRC-32C of header and body.
    """

    incarnation: bytes
    producer_id: bytes
    epoch: int
    sequence: int
    previous_crc: int
    row_count: int
    min_time_ns: int
    max_time_ns: int
    flags: int
    crc: int


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a producer's slot stands for: series have one column named ``value``."""

    slot: int
    kind: SlotKind
    source: str
    address: str
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class SampleSection:
    """Samples of one value type and many slots; all n rows, in order of arrival."""

    slot: UInt32Array
    timestamp_ns: Int64Array
    quality: UInt32Array
    value: ColumnData

    def __len__(self) -> int:
        return len(self.timestamp_ns)


@dataclass(frozen=True, slots=True)
class EventSection:
    """Events of one slot; ``data`` in the declared order of its columns."""

    slot: int
    timestamp_ns: Int64Array
    event_id: npt.NDArray[np.void]
    data: tuple[ColumnData, ...]

    def __len__(self) -> int:
        return len(self.timestamp_ns)


@dataclass(frozen=True, slots=True)
class Notice:
    """What is said beside the data: gap, source_state, metadata, reject, heartbeat."""

    kind: str
    facts: dict[str, object]


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded frame. Rows are numbered over ``samples``, then ``events``.

    ``raw`` holds the bytes; number columns are read-only views of it.
    """

    envelope: Envelope
    declarations: tuple[Declaration, ...]
    samples: tuple[SampleSection, ...]
    events: tuple[EventSection, ...]
    notices: tuple[Notice, ...]
    raw: bytes
