"""Values of decoded messages brought to the types of columns; what does not fit is refused."""

import math
import reprlib
from collections.abc import Iterator
from typing import Any

import orjson

from connectors.payload.path import MISSING
from storage_engine.sample import ValueType

_INTEGERS = {ValueType.INT64: (-(1 << 63), (1 << 63) - 1), ValueType.UINT64: (0, (1 << 64) - 1)}
_DEPTH_MAX = 16
# A bounded repr: of a thousand lists in each other, the usual one raises.
_REPR = reprlib.Repr()
_REPR.maxlevel, _REPR.maxstring, _REPR.maxother, _REPR.maxlong = 3, 80, 80, 40


class Refused(Exception):  # noqa: N818 - says what became of a message; the mapper catches it
    """The message does not fit its mapping; the text says what, got, want."""


def shown(value: object) -> str:
    """Write a value for a reason: short, and nothing where there is none."""
    if value is MISSING:
        return "nothing"
    return _REPR.repr(value)[:80]


def canonical(value: object) -> bytes:
    """Write JSON with sorted keys: the same bytes for the same content.

    Raises
    ------
    Refused
        If it is nested more deeply than can be written.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError as error:
        raise Refused(f"cannot keep content: got {error}, want plain JSON") from None


def typed(type_: ValueType | None, value: object, key: str) -> tuple[ValueType, Any]:
    """Type and value of a sample: without a type, numbers are float64 and text is symbol."""
    if type_ is None:
        if isinstance(value, bool):
            type_ = ValueType.BOOL
        elif isinstance(value, str):
            type_ = ValueType.SYMBOL
        else:
            type_ = ValueType.FLOAT64
    return type_, cast(type_, value, key)


def cast(type_: ValueType, value: object, key: str) -> Any:
    """Value of the type, None for null; never rounds silently.

    Raises
    ------
    Refused
        If it does not fit.
    """
    if value is None:
        return None
    if type_ in {ValueType.SYMBOL, ValueType.TEXT}:
        if isinstance(value, str):
            return value
    elif type_ is ValueType.BOOL:
        if isinstance(value, bool):
            return value
    elif type_ is ValueType.BYTES:
        if isinstance(value, str):
            return value.encode()
    elif isinstance(value, int | float) and not isinstance(value, bool):
        converted = _number(type_, value)
        if converted is not None:
            return converted
    raise Refused(f"cannot read {key[:80]!r}: got {shown(value)}, want {type_.name.lower()}")


def _number(type_: ValueType, value: float) -> int | float | None:
    limits = _INTEGERS.get(type_)
    if limits is not None:
        if isinstance(value, float) and not value.is_integer():
            return None
        return int(value) if limits[0] <= value <= limits[1] else None
    if type_ is ValueType.FLOAT32:
        return float(value) if abs(value) <= 3.4028235677973366e38 else None
    try:
        converted = float(value)
    except OverflowError:
        return None
    return converted if math.isfinite(converted) and converted == value else None


def leaves(
    value: object, key: str = "", separator: str = ".", depth: int = 0
) -> Iterator[tuple[str, object]]:
    """Scalars and lists below an object, with joined keys.

    Raises
    ------
    Refused
        If objects are nested too deeply.
    """
    if not isinstance(value, dict):
        yield key, value
        return
    if depth >= _DEPTH_MAX:
        raise Refused(f"cannot read values: got more than {_DEPTH_MAX} levels, want fewer")
    for name, inner in value.items():
        yield from leaves(inner, f"{key}{separator}{name}" if key else name, separator, depth + 1)
