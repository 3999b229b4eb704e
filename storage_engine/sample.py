"""What a sample and an event are: columns, types, quality. The one room connectors may import.

Time is int64 nanoseconds UTC everywhere. A column is nullable: ``valid`` is a bool mask, or None
when every row has a value; where ``valid`` is False the entry of ``value`` means nothing.
"""

import enum
import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Int64Array = npt.NDArray[np.int64]
UInt32Array = npt.NDArray[np.uint32]
UInt64Array = npt.NDArray[np.uint64]
BoolArray = npt.NDArray[np.bool_]
AnyArray = npt.NDArray[np.generic] | npt.NDArray[np.object_]


class ValueType(enum.IntEnum):
    """Type of a column. The numbers are part of every format and never change."""

    FLOAT64 = 1
    FLOAT32 = 2
    INT64 = 3
    UINT64 = 4
    BOOL = 5
    SYMBOL = 6  # string of few distinct values, dictionary coded
    TEXT = 7
    BYTES = 8


DTYPES: dict[ValueType, np.dtype[np.generic]] = {
    ValueType.FLOAT64: np.dtype(np.float64),
    ValueType.FLOAT32: np.dtype(np.float32),
    ValueType.INT64: np.dtype(np.int64),
    ValueType.UINT64: np.dtype(np.uint64),
    ValueType.BOOL: np.dtype(np.bool_),
    ValueType.SYMBOL: np.dtype(np.object_),  # str
    ValueType.TEXT: np.dtype(np.object_),  # str
    ValueType.BYTES: np.dtype(np.object_),  # bytes
}

# OPC 10000-4 status codes that we write ourselves; any other 32-bit code is kept as it came.
GOOD = 0x0000_0000
UNCERTAIN = 0x4000_0000
UNCERTAIN_LAST_USABLE_VALUE = 0x4090_0000
BAD = 0x8000_0000
BAD_NO_COMMUNICATION = 0x8031_0000
BAD_WAITING_FOR_INITIAL_DATA = 0x8032_0000
BAD_NOT_CONNECTED = 0x808A_0000
BAD_OUT_OF_SERVICE = 0x808D_0000
BAD_NO_DATA = 0x809B_0000


def severity(quality: UInt32Array) -> npt.NDArray[np.uint8]:
    """Severity of status codes: 0 good, 1 uncertain, 2 bad (3 is reserved and counts as bad).

    Parameters
    ----------
    quality : uint32, shape (n,)
        OPC UA status codes.

    Returns
    -------
    uint8, shape (n,)

    References
    ----------
    OPC 10000-4, 7.39: the top two bits.
    """
    level: npt.NDArray[np.uint8] = np.minimum(quality >> np.uint32(30), 2).astype(np.uint8)
    return level


@dataclass(frozen=True, slots=True)
class Column:
    """Name and type of a nullable column."""

    name: str
    type: ValueType


@dataclass(frozen=True, slots=True)
class ColumnData:
    """Values of a column: ``value`` shape (n,) of the type's dtype, ``valid`` bool (n,) or None."""

    type: ValueType
    value: AnyArray
    valid: BoolArray | None = None

    def __len__(self) -> int:
        return len(self.value)

    def objects(self) -> list[object]:
        """Python values, None where null; for edges and tests, never for a hot path."""
        values: list[object] = self.value.tolist()
        if self.valid is None:
            return values
        return [v if ok else None for v, ok in zip(values, self.valid.tolist(), strict=True)]


SERIES_QUALITY = "quality"
SERIES_VALUE = "value"


@dataclass(frozen=True, slots=True)
class SampleBatch:
    """Samples of many source addresses and one value type, as columns, in order of arrival.

    Attributes
    ----------
    addresses : tuple of str
        Distinct source addresses (node ids, topics with paths); rows may use some only. Who passes
        the same tuple again, batch after batch, saves its look-up.
    address_index : int32, shape (n,)
        Row -> position in ``addresses``.
    timestamp_ns : int64, shape (n,)
        Source time.
    quality : uint32, shape (n,)
        OPC UA status codes.
    value : ColumnData, n rows
        A Bad sample may be null.
    """

    addresses: tuple[str, ...]
    address_index: npt.NDArray[np.int32]
    timestamp_ns: Int64Array
    quality: UInt32Array
    value: ColumnData

    def __len__(self) -> int:
        return len(self.timestamp_ns)


EVENT_ID_DTYPE = np.dtype("V16")


@dataclass(frozen=True, slots=True)
class EventBatch:
    """Events of one kind, as columns. Key of an event: (timestamp_ns, event_id).

    Attributes
    ----------
    kind : str
        Name of the event stream, for example ``vision_event``.
    timestamp_ns : int64, shape (n,)
        Event time.
    event_id : V16, shape (n,)
        128 bits, from :func:`source_event_id` or :func:`content_event_id`.
    columns : tuple of Column
        Names and types, in order.
    data : tuple of ColumnData
        One per column, n rows each.
    """

    kind: str
    timestamp_ns: Int64Array
    event_id: npt.NDArray[np.void]
    columns: tuple[Column, ...]
    data: tuple[ColumnData, ...]

    def __len__(self) -> int:
        return len(self.timestamp_ns)


@dataclass(frozen=True, slots=True)
class Damage:
    """A place that a read had to leave out.

    Attributes
    ----------
    path : str
        File below the store.
    first_ns, last_ns : int
        Rows that miss lie between these times, inclusive.
    what : str
    """

    path: str
    first_ns: int
    last_ns: int
    what: str


@dataclass(frozen=True, slots=True)
class SampleColumns:
    """Samples of one series in time order, as a read gives them.

    ``lsn`` is the log sequence number that wrote each row; ``damage`` names what could not be
    read, and is empty when the answer is whole.
    """

    timestamp_ns: Int64Array
    quality: UInt32Array
    value: ColumnData
    lsn: UInt64Array
    damage: tuple[Damage, ...] = ()

    def __len__(self) -> int:
        return len(self.timestamp_ns)


@dataclass(frozen=True, slots=True)
class EventColumns:
    """Events of one stream in (time, id) order, as a read gives them; as for samples."""

    timestamp_ns: Int64Array
    event_id: npt.NDArray[np.void]
    data: dict[str, ColumnData]
    lsn: UInt64Array
    damage: tuple[Damage, ...] = ()

    def __len__(self) -> int:
        return len(self.timestamp_ns)


def source_event_id(source: str, sequence: str | int) -> bytes:
    """Id of an event whose source numbers its messages.

    Parameters
    ----------
    source : str
        Who sent it: a device id, a CFX handle.
    sequence : str or int
        The source's own id of the message.

    Returns
    -------
    bytes
        16 bytes, equal for every redelivery.
    """
    return hashlib.blake2b(
        f"{source}\x00{sequence}".encode(), digest_size=16, person=b"lh-source"
    ).digest()


def content_event_id(canonical: bytes) -> bytes:
    """Id of an event that carries none: a hash of its canonical content.

    Parameters
    ----------
    canonical : bytes
        The same bytes for the same event, for example JSON with sorted keys.

    Returns
    -------
    bytes
        16 bytes.
    """
    return hashlib.blake2b(canonical, digest_size=16, person=b"lh-content").digest()
