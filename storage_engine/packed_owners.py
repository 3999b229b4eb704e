"""Columns that another block of the segment owns, found packed (codec 16)."""

import struct

import numpy as np

from storage_engine.block import block_columns
from storage_engine.checksum import crc32c
from storage_engine.codec.kernels import column_decode
from storage_engine.errors import CorruptData, UnsupportedFormat
from storage_engine.shared_columns import ColumnPlace, plain_bytes

_HEAD_BYTES, _ENTRY_BYTES = 12, 20  # of a block and of a column entry
_ROWS = struct.Struct("<4xI")


def owned_column(
    data: bytes, place: ColumnPlace, *, crc: int, rows: int, item: int
) -> tuple[int, int, int] | None:
    """Find a shared column in the block that owns it.

    Parameters
    ----------
    data : bytes
        Of that block; its checksum holds.
    place : ColumnPlace
    crc : int
        crc32c of the decoded values.
    rows : int
        Values that it must have.
    item : int
        Bytes of a value.

    Returns
    -------
    codec, offset, size : int
        Where its packed bytes lie in ``data``. None instead of the three when it is another
        column than was shared, or one that no kernel decodes.
    """
    try:
        columns = block_columns(data, at="")[1]
        offset = _HEAD_BYTES + _ENTRY_BYTES * len(columns)
        for column in columns:
            if (column.role, column.index) == (place.role, place.index):
                begin = offset + (column.size if place.mask else 0)
                size = column.mask_size if place.mask else column.size
                codec = column.mask if place.mask else column.codec
                if _ROWS.unpack_from(data)[0] != rows:
                    return None
                body = memoryview(data)[begin : begin + size]
                values = column_decode(codec, body, rows, np.dtype(f"<u{item}"))
                return (codec, begin, size) if crc32c(plain_bytes(values)) == crc else None
            offset += column.size + column.mask_size
    except (CorruptData, UnsupportedFormat):
        return None
    return None
