"""Structured parts of a payload, which are rare: data sets, properties, what describes a template.

A protobuf reader over the rules of kernels/sparkplug.h, in Python.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from connectors.sparkplug.values import scalar

_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5
_DEPTH_MAX = 20
# Distance from the field of a value here to that of the same kind in a metric.
_PROPERTY, _ELEMENT = 7, 9


def fields(raw: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    """Number, wire type and value of each field.

    Raises
    ------
    ValueError
        Where it is no protobuf.
    """
    at, size = 0, len(raw)
    while at < size:
        key, at = _varint(raw, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(raw, at)
            yield number, wire, value
            continue
        if wire == _BYTES:
            length, at = _varint(raw, at)
        else:
            length = {_EIGHT: 8, _FOUR: 4}.get(wire, size)
        if number == 0 or length > size - at:
            raise ValueError(f"got a field that cannot be at byte {at} of {size}, want a whole one")
        part = raw[at : at + length]
        at += length
        yield number, wire, part if wire == _BYTES else int.from_bytes(part, "little")


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = 0
    for k, byte in enumerate(raw[at : at + 10]):
        value |= (byte & 127) << 7 * k
        if byte < 128:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at + k + 1
    raise ValueError(f"got a number that is cut or too long at byte {at}, want at most 10 bytes")


def _text(value: int | bytes) -> str:
    if isinstance(value, int):
        raise ValueError(f"got the number {value}, want a text")
    return value.decode()


def _inner(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError(f"got the number {value}, want a structure")
    return value


def _count(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise ValueError(f"got {len(value)} bytes, want a number")
    return value


@dataclass(slots=True)
class TemplateHead:
    """What a template says beside its metrics."""

    ref: str = ""
    is_definition: bool = False


def template_head(raw: bytes) -> TemplateHead:
    """Definition or instance, and of what."""
    found = TemplateHead()
    for number, _, value in fields(raw):
        if number == 4:
            found.ref = _text(value)
        elif number == 5:
            found.is_definition = bool(_count(value))
    return found


def properties_of(metric: bytes) -> tuple[dict[str, Any], str]:
    """Property set and description of a metric, given whole."""
    found: dict[str, Any] = {}
    description = ""
    for number, _, value in fields(metric):
        if number == 9:
            found = _property_set(_inner(value), 0)
        elif number == 8:
            for inner, _, text in fields(_inner(value)):
                if inner == 8:
                    description = _text(text)
    return found, description


def _property_set(raw: bytes, depth: int) -> dict[str, Any]:
    if depth > _DEPTH_MAX:
        raise ValueError(f"got property sets {depth} deep, want at most {_DEPTH_MAX}")
    keys, values = [], []
    for number, _, value in fields(raw):
        if number == 1:
            keys.append(_text(value))
        elif number == 2:
            values.append(_property(_inner(value), depth))
    if len(keys) != len(values):
        raise ValueError(f"got {len(keys)} keys and {len(values)} values of properties, want pairs")
    return dict(zip(keys, values, strict=True))


def _property(raw: bytes, depth: int) -> Any:
    datatype, null, kind = 0, False, 0
    held: int | bytes = 0
    for number, _, value in fields(raw):
        if number == 1:
            datatype = _count(value)
        elif number == 2:
            null = bool(_count(value))
        else:
            kind, held = number, value
    if null or kind == 0:
        return None
    if kind == 9:
        return _property_set(_inner(held), depth + 1)
    if kind == 10:
        sets = (value for number, _, value in fields(_inner(held)) if number == 1)
        return [_property_set(_inner(one), depth + 1) for one in sets]
    return scalar(datatype, kind + _PROPERTY, held)


def data_set(raw: bytes) -> dict[str, Any]:
    """Columns, and rows of values, of a data set.

    Raises
    ------
    ValueError
        If names, types and rows do not agree.
    """
    columns: list[str] = []
    types: list[int] = []
    rows: list[bytes] = []
    width = -1
    for number, wire, value in fields(raw):
        if number == 1:
            width = _count(value)
        elif number == 2:
            columns.append(_text(value))
        elif number == 3:
            types += _packed(value) if wire == _BYTES else [_count(value)]
        elif number == 4:
            rows.append(_inner(value))
    if not len(columns) == len(types) == (len(columns) if width < 0 else width):
        raise ValueError(
            f"got a data set of {width} columns with {len(columns)} names and {len(types)} types, "
            f"want as many"
        )
    return {"columns": columns, "rows": [_row(row, types) for row in rows]}


def _packed(value: int | bytes) -> list[int]:
    raw, at, found = _inner(value), 0, []
    while at < len(raw):
        one, at = _varint(raw, at)
        found.append(one)
    return found


def _row(raw: bytes, types: list[int]) -> list[Any]:
    elements = [_inner(value) for number, _, value in fields(raw) if number == 1]
    if len(elements) != len(types):
        raise ValueError(f"got a row of {len(elements)} elements, want {len(types)}")
    return [_element(one, datatype) for one, datatype in zip(elements, types, strict=True)]


def _element(raw: bytes, datatype: int) -> Any:
    found = None
    for number, _, value in fields(raw):
        found = scalar(datatype, number + _ELEMENT, value)
    return found


def encode_field(number: int, value: float | bytes) -> bytes:
    """One field: an int as a varint, a float as 8 bytes, bytes with their length."""
    if isinstance(value, float):
        return _number(number << 3 | _EIGHT) + struct.pack("<d", value)
    if isinstance(value, bytes):
        return _number(number << 3 | _BYTES) + _number(len(value)) + value
    return _number(number << 3 | _VARINT) + _number(value & 0xFFFF_FFFF_FFFF_FFFF)


def _number(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
