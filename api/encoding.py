"""JSON bytes: the only file that knows the JSON library."""

from typing import Any

import orjson

JsonError = orjson.JSONDecodeError


def encode(value: Any) -> bytes:
    """JSON bytes of plain values and of contiguous numpy arrays (numbers and bools).

    Parameters
    ----------
    value : object
        dict, list, str, int, float, bool, None, dataclass; numpy arrays inside are written as
        lists, their NaN as null: columns go through ``api.serialize`` first, which keeps NaN.

    Returns
    -------
    bytes
    """
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)


def decode(data: bytes | bytearray | memoryview) -> Any:
    """Plain values of JSON bytes.

    Raises
    ------
    JsonError
        If it is no JSON; ``NaN`` and ``Infinity`` as bare words are none.
    """
    return orjson.loads(data)


def encode_sorted(value: Any) -> bytes:
    """JSON bytes with sorted keys: the same bytes for the same content."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
