"""Encoded answers to Publish requests: doubles of a plant's tags with status and both times."""

import struct
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.datasets import plant

_EPOCH_TICKS = 116_444_736_000_000_000  # 1601 to 1970 in 100 ns
_CYCLE_NS = 100_000_000
_SERVER_NS = 1_000_000  # later than the source
_VALUE = np.dtype(
    [
        ("handle", "<u4"),
        ("mask", "u1"),  # value, status, source and server time: 34 bytes
        ("encoding", "u1"),
        ("value", "<f8"),
        ("status", "<u4"),
        ("source", "<i8"),
        ("server", "<i8"),
    ]
)
_RESPONSE = struct.Struct("<BBHqIIBiHBIiBIqi")
_PART = struct.Struct("<BBHBii")
TAIL = struct.pack("<i", -1)


class Values(NamedTuple):
    """Columns of shape (n,): what every side must have found."""

    handle: npt.NDArray[np.uint32]
    value: npt.NDArray[np.float64]
    status: npt.NDArray[np.uint32]
    source_ns: npt.NDArray[np.int64]
    server_ns: npt.NDArray[np.int64]

    def part(self, rows: slice) -> "Values":
        """Some of the rows."""
        return Values(*(column[rows] for column in self))


def values(items: int, cycles: int) -> Values:
    """Each item once a cycle of 100 ms; times in whole microseconds, as asyncua can hold them."""
    handle = np.tile(np.arange(items, dtype=np.uint32), cycles)
    cycle = np.repeat(np.arange(cycles, dtype=np.int64), items)
    source_ns = plant.START_NS + cycle * _CYCLE_NS + handle.astype(np.int64) % 3_000 * 1_000
    status = np.where((handle + cycle) % 97 == 0, 0x4000_0000, 0).astype(np.uint32)
    flat = plant.scan(items, cycles, seed=1).reshape(-1)
    return Values(handle, flat, status, source_ns, source_ns + _SERVER_NS)


def notification(found: Values) -> bytes:
    """DataChangeNotification in its extension object."""
    rows = np.empty(len(found.handle), _VALUE)
    rows["handle"], rows["value"], rows["status"] = found.handle, found.value, found.status
    rows["mask"], rows["encoding"] = 0x0F, 11
    rows["source"] = found.source_ns // 100 + _EPOCH_TICKS
    rows["server"] = found.server_ns // 100 + _EPOCH_TICKS
    return _PART.pack(1, 0, 811, 1, rows.nbytes + 8, len(rows)) + rows.tobytes() + TAIL


def response(request: int, subscription: int, sequence: int, part: bytes = b"") -> bytes:
    """PublishResponse around a notification; a keep-alive without one."""
    fields = (0, request, 0, 0, -1, 0, 0, subscription, -1, 0, sequence, 0, 1 if part else -1)
    return _RESPONSE.pack(1, 0, 829, *fields) + part + TAIL + TAIL


def bodies(found: Values, rows: int) -> list[bytes]:
    """Messages of so many rows each."""
    return [
        response(1, 1, 1 + at // rows, notification(found.part(slice(at, at + rows))))
        for at in range(0, len(found.handle), rows)
    ]
