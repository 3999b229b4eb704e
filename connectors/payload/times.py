"""Times as messages write them, to int64 nanoseconds UTC, exact to the last written digit."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

UNITS = ("iso", "s", "ms", "us", "ns")
_FACTOR = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d+))?(Z|z|[+-]\d\d:?\d\d)?"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INT64 = 1 << 63


def time_ns(value: object, unit: str) -> int:
    """Nanoseconds since 1970 UTC.

    Parameters
    ----------
    value : object
        A number, a number as text, or ISO 8601 text.
    unit : str
        One of ``UNITS``. ISO text without a zone is UTC; digits beyond nanoseconds are cut.

    Raises
    ------
    ValueError
        If it is no such time, or outside of int64.
    """
    found = _iso_ns(value) if unit == "iso" else _number_ns(value, unit)
    if not -_INT64 <= found < _INT64:
        raise ValueError(f"cannot read time: got {value!r}, want int64 nanoseconds around 1970")
    return found


def _iso_ns(value: object) -> int:
    match = _ISO.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(
            f"cannot read time: got {value!r}, want ISO 8601 like 2026-11-22T11:52:56Z"
        )
    try:
        year, month, day, hour, minute, second = (int(text) for text in match.groups()[:6])
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError as error:
        raise ValueError(f"cannot read time: got {value!r}, {error}") from None
    zone = match[8]
    if zone and zone not in "Zz":
        digits = zone.replace(":", "")
        offset = timedelta(hours=int(digits[1:3]), minutes=int(digits[3:5]))
        moment -= offset if zone[0] == "+" else -offset
    since = moment - _EPOCH
    fraction = int((match[7] or "0")[:9].ljust(9, "0"))
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + fraction


def _number_ns(value: object, unit: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value * _FACTOR[unit]
    if isinstance(value, float | str):
        # A float holds its shortest decimal text: that is what the sender wrote.
        try:
            number = Decimal(str(value))
        except ArithmeticError:
            number = Decimal("NaN")
        if number.is_finite() and abs(number.adjusted()) < 40:
            return int(number * _FACTOR[unit])
    raise ValueError(f"cannot read time: got {value!r}, want a number of {unit} since 1970")
