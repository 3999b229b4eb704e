"""Fields of OPC UA PubSub JSON: raw values, variants and data values, in both encodings.

References
----------
OPC 10000-6, 5.4 (JSON); OPC 10000-14, 7.2.5. Since 1.05.04 a variant is
``{"UaType": 11, "Value": 1.5}``, before it was ``{"Type": 11, "Body": 1.5}``.
"""

from dataclasses import dataclass
from typing import Any

from connectors.payload.times import is_set, time_ns
from connectors.payload.values import Refused, shown
from storage_engine.sample import ValueType

_DATA_VALUE = {
    "UaType",
    "Value",
    "Dimensions",
    "Status",
    "StatusCode",
    "SourceTimestamp",
    "SourcePicoseconds",
    "ServerTimestamp",
    "ServerPicoseconds",
}
_STATED = _DATA_VALUE - {"UaType", "Value", "Dimensions"}
_BOOL, _INT64, _UINT64 = 1, 8, 9
_FLOATS = {10, 11, 26}
_LATEST_NS = 9_000_000_000 * 1_000_000_000  # year 2255: the standard's end of time, not a time
# In 64 bits as text, because JavaScript could not hold them; floats in words where JSON has none.
_TYPES = {
    _BOOL: ValueType.BOOL,
    **dict.fromkeys((2, 3, 4, 5, 6, 7, _INT64), ValueType.INT64),
    _UINT64: ValueType.UINT64,
    10: ValueType.FLOAT64,
    11: ValueType.FLOAT64,
    26: ValueType.FLOAT64,
}
_NO_NUMBER = {"NaN", "Infinity", "-Infinity"}


@dataclass(frozen=True, slots=True)
class Field:
    """A field as sent: the value, its built-in type where told, its status and time."""

    value: Any
    type: int | None
    status: int | None
    timestamp_ns: int | None


def field_of(raw: object) -> Field:
    """Read one entry of a payload, whatever its form.

    Raises
    ------
    Refused
        For a status or a time that is none.
    """
    if not isinstance(raw, dict):
        return Field(raw, None, None, None)
    if raw.keys() <= {"Type", "Body", "Dimensions"} and "Body" in raw:
        return Field(raw["Body"], _type(raw.get("Type")), None, None)
    is_data_value = raw.keys() <= _DATA_VALUE and ("Value" in raw or raw.keys() & _STATED)
    if not is_data_value:
        return Field(raw, None, None, None)  # a structure
    inner = raw.get("Value")
    type_ = _type(raw.get("UaType"))
    if isinstance(inner, dict) and inner.keys() <= {"Type", "Body", "Dimensions"}:
        type_, inner = _type(inner.get("Type")), inner.get("Body")
    status = raw.get("Status", raw.get("StatusCode"))
    time = date_time_ns(raw.get("SourceTimestamp"))
    if time is None:
        time = date_time_ns(raw.get("ServerTimestamp"))
    return Field(inner, type_, None if status is None else status_code(status), time)


def _type(raw: object) -> int | None:
    return raw if isinstance(raw, int) and not isinstance(raw, bool) else None


def status_code(raw: object) -> int:
    """Read a status: a number, or an object with ``Code``, which is left out where good.

    Raises
    ------
    Refused
        If it is no 32-bit code.
    """
    code = raw.get("Code", 0) if isinstance(raw, dict) else raw
    if isinstance(code, bool) or not isinstance(code, int) or not 0 <= code < 1 << 32:
        raise Refused(f"cannot read status: got {shown(raw)}, want a 32-bit code")
    return code


def date_time_ns(raw: object) -> int | None:
    """Read a DateTime; its least and its greatest value mean that there is none.

    Raises
    ------
    Refused
        If it is no ISO 8601 text.
    """
    if raw is None:
        return None
    if isinstance(raw, str) and raw.startswith(("0001-", "1601-", "9999-")):
        return None
    try:
        found = time_ns(raw, "iso")
    except ValueError as error:
        raise Refused(str(error)) from None
    return found if is_set(found) and found < _LATEST_NS else None


def scalar(value: object, type_: int | None, key: str) -> tuple[object, ValueType | None]:
    """Value and type of a sample; a float that is no number is null.

    ``type_`` is the built-in type in the message, or in the metadata of its writer. Numbers of
    messages without it are float64, as those of any JSON.

    Raises
    ------
    Refused
        If the value contradicts its type.
    """
    wanted = None if type_ is None else _TYPES.get(type_)
    if wanted is None or not isinstance(value, str):
        return value, wanted
    if type_ in _FLOATS and value in _NO_NUMBER:
        return None, wanted
    if wanted in {ValueType.INT64, ValueType.UINT64} and len(value) <= 20:
        digits = value.removeprefix("-")
        if digits.isascii() and digits.isdigit():
            return int(value), wanted
    raise Refused(f"cannot read {key[:80]!r}: got {shown(value)}, want built-in type {type_}")
