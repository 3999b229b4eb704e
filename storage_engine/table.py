"""A table of named arrays as bytes: the body of a manifest and the directory of a segment.

The caller guards it with a checksum. Layout: docs/format/segment.md, section Directory.
"""

import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from storage_engine.codec import zstd
from storage_engine.errors import CorruptData

_COUNT = struct.Struct("<I")
_TAIL = struct.Struct("<BQQ")
_KINDS = "iufV"
AnyColumn = npt.NDArray[Any]
Table = dict[str, AnyColumn]


def encode_table(columns: Mapping[str, AnyColumn]) -> bytes:
    """Write arrays under their names.

    Parameters
    ----------
    columns : mapping of str to array, shape (n,)
        Little-endian fixed-size dtypes; names of at most 255 ASCII characters.

    Returns
    -------
    bytes
    """
    head, bodies = [_COUNT.pack(len(columns))], []
    for name, values in columns.items():
        plain = values.tobytes()
        packed = zstd.compress(plain) if len(plain) > 64 else plain
        packing = int(len(packed) < len(plain))
        body = packed if packing else plain
        label, dtype = name.encode("ascii"), values.dtype.str.encode("ascii")
        head.append(bytes([len(label)]) + label + bytes([len(dtype)]) + dtype)
        head.append(_TAIL.pack(packing, len(values), len(body)))
        bodies.append(body)
    return b"".join(head + bodies)


def decode_table(data: bytes, *, at: str) -> Table:
    """Read what :func:`encode_table` wrote.

    Parameters
    ----------
    data : bytes
    at : str
        Where it came from, for messages.

    Returns
    -------
    dict of str to array
        Read-only arrays.

    Raises
    ------
    CorruptData
        When the structure does not hold.
    """
    view, offset, entries = memoryview(data), _COUNT.size, []
    try:
        (count,) = _COUNT.unpack_from(view)
        for _ in range(count):
            name, offset = _short(view, offset)
            dtype, offset = _short(view, offset)
            if not dtype or dtype[1:2] not in _KINDS:
                raise ValueError(dtype)
            entries.append((name, np.dtype(dtype), *_TAIL.unpack_from(view, offset)))
            offset += _TAIL.size
        table: Table = {}
        for name, kind, packing, rows, stored in entries:
            body = view[offset : offset + stored]
            offset += stored
            plain = zstd.decompress(body, rows * kind.itemsize) if packing else bytes(body)
            if len(plain) != rows * kind.itemsize:
                raise ValueError(name)
            table[name] = np.frombuffer(plain, kind)
    except (struct.error, ValueError, TypeError, OverflowError, MemoryError) as error:
        raise CorruptData(f"cannot read table: got a broken structure, at {at}", path=at) from error
    return table


def _short(view: memoryview, offset: int) -> tuple[str, int]:
    size = view[offset] if offset < len(view) else 0
    return bytes(view[offset + 1 : offset + 1 + size]).decode("ascii"), offset + 1 + size


def json_column(value: object) -> npt.NDArray[np.uint8]:
    """JSON as a column of bytes.

    Parameters
    ----------
    value : object
        What json can write.

    Returns
    -------
    uint8, shape (n,)
    """
    return np.frombuffer(json.dumps(value, separators=(",", ":")).encode(), np.uint8)


def read_json(table: Table, name: str, *, at: str) -> Any:
    """Read a column made by :func:`json_column`.

    Parameters
    ----------
    table : dict
    name : str
    at : str
        For messages.

    Returns
    -------
    object

    Raises
    ------
    CorruptData
        When it is missing or no JSON.
    """
    try:
        return json.loads(table[name].tobytes())
    except (KeyError, ValueError) as error:
        raise CorruptData(f"cannot read {name}: got no JSON, at {at}", path=at) from error
