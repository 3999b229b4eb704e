"""Datatypes of Sparkplug B (3.0.0, 6.4.16) and the values that go with them."""

import struct
from typing import Any

from connectors.sparkplug.decode import number
from storage_engine.sample import ValueType

_NAMES = (
    "Unknown", "Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", "Float",
    "Double", "Boolean", "String", "DateTime", "Text", "UUID", "DataSet", "Bytes", "File",
    "Template", "PropertySet", "PropertySetList", "Int8Array", "Int16Array", "Int32Array",
    "Int64Array", "UInt8Array", "UInt16Array", "UInt32Array", "UInt64Array", "FloatArray",
    "DoubleArray", "BooleanArray", "StringArray", "DateTimeArray",
)  # fmt: skip
NAMES = dict(enumerate(_NAMES))
FLOAT, DOUBLE, BOOLEAN, DATA_SET, TEMPLATE = 9, 10, 11, 16, 19
_BOOLEAN_ARRAY, _STRING_ARRAY = 32, 33
_TEXT_KIND, _BYTES_KIND = 15, 16

TYPES: dict[int, ValueType] = {
    **dict.fromkeys((1, 2, 3, 4, 5, 6, 7, 13), ValueType.INT64),
    8: ValueType.UINT64,
    FLOAT: ValueType.FLOAT32,
    DOUBLE: ValueType.FLOAT64,
    BOOLEAN: ValueType.BOOL,
    **dict.fromkeys((12, 14, 15, DATA_SET), ValueType.TEXT),
    **dict.fromkeys((17, 18), ValueType.BYTES),
}
# Array -> type of its elements, and how one is packed, little-endian.
ELEMENTS: dict[int, ValueType] = {
    **dict.fromkeys((22, 23, 24, 25, 26, 27, 28, 34), ValueType.INT64),
    29: ValueType.UINT64,
    30: ValueType.FLOAT32,
    31: ValueType.FLOAT64,
    _BOOLEAN_ARRAY: ValueType.BOOL,
    _STRING_ARRAY: ValueType.TEXT,
}
_PACKED = {
    22: "b", 23: "h", 24: "i", 25: "q", 26: "B", 27: "H", 28: "I", 29: "Q", 30: "f", 31: "d",
    34: "Q",
}  # fmt: skip


def name_of(datatype: int) -> str:
    """Name of a datatype, its number where nobody gave it one."""
    return NAMES.get(datatype, f"datatype {datatype}")


def scalar(datatype: int, kind: int, value: int | bytes) -> Any:
    """Python value of a number, a text, bytes, or an array (a list).

    Parameters
    ----------
    datatype : int
    kind : int
        Field of a metric that the value came in.
    value : int or bytes
        Bits of a number as they came, or the bytes.

    Raises
    ------
    ValueError
        If the value is not of the datatype.
    """
    type_ = TYPES.get(datatype)
    if isinstance(value, bytes):
        if kind == _TEXT_KIND and type_ is ValueType.TEXT and datatype != DATA_SET:
            return value.decode()
        if kind == _BYTES_KIND and type_ is ValueType.BYTES:
            return value
        if kind == _BYTES_KIND and datatype in ELEMENTS:
            return _array(datatype, value)
        raise ValueError(f"got {len(value)} bytes in field {kind}, want {name_of(datatype)}")
    bits = number(datatype, kind, value - (1 << 64) if value >> 63 > 0 else value)
    if bits is None:
        raise ValueError(f"got {value:#x} in field {kind}, want {name_of(datatype)}")
    if type_ is ValueType.FLOAT64:
        return struct.unpack("<d", struct.pack("<q", bits))[0]
    if type_ is ValueType.FLOAT32:
        return struct.unpack("<f", struct.pack("<I", bits & 0xFFFF_FFFF))[0]
    if type_ is ValueType.BOOL:
        return bits != 0
    return bits % (1 << 64) if type_ is ValueType.UINT64 else bits


def _array(datatype: int, raw: bytes) -> list[Any]:
    if datatype == _STRING_ARRAY:
        if raw and raw[-1]:
            raise ValueError(f"got {len(raw)} bytes of strings, want a zero byte at the end")
        return [text.decode() for text in raw.split(b"\0")[:-1]]
    if datatype == _BOOLEAN_ARRAY:
        count = int.from_bytes(raw[:4], "little")
        if len(raw) != 4 + (count + 7) // 8:
            raise ValueError(f"got {len(raw)} bytes, want 4 and the bits of {count} booleans")
        return [bool(raw[4 + k // 8] >> 7 - k % 8 & 1) for k in range(count)]
    code = _PACKED[datatype]
    width = struct.calcsize(f"<{code}")
    if len(raw) % width:
        raise ValueError(f"got {len(raw)} bytes, want {name_of(datatype)}: a multiple of {width}")
    return list(struct.unpack(f"<{len(raw) // width}{code}", raw))
