"""Times as messages write them, to int64 nanoseconds UTC, exact to the last written digit."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from connectors.payload.values import shown

UNITS = ("iso", "s", "ms", "us", "ns")
_FACTOR = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d+))?(Z|z|[+-]\d\d:?\d\d)?"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INT64 = 1 << 63
_SET_SINCE_NS = 946_684_800 * 1_000_000_000  # 2000-01-01


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
        raise ValueError(
            f"cannot read time: got {shown(value)}, want int64 nanoseconds around 1970"
        )
    return found


def _iso_ns(value: object) -> int:
    match = _ISO.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(
            f"cannot read time: got {shown(value)}, want ISO 8601 like 2026-11-22T11:52:56Z"
        )
    try:
        year, month, day, hour, minute, second = (int(text) for text in match.groups()[:6])
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError as error:
        raise ValueError(f"cannot read time: got {shown(value)}, {error}") from None
    zone = match[8]
    if zone and zone not in "Zz":
        digits = zone.replace(":", "")
        offset = timedelta(hours=int(digits[1:3]), minutes=int(digits[3:5]))
        try:
            moment -= offset if zone[0] == "+" else -offset
        except OverflowError as error:
            raise ValueError(f"cannot read time: got {shown(value)}, {error}") from None
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
    raise ValueError(f"cannot read time: got {shown(value)}, want a number of {unit} since 1970")


def is_set(timestamp_ns: int) -> bool:
    """Whether a device's clock was set: those that were not count from 1970, or from year 1."""
    return timestamp_ns >= _SET_SINCE_NS


def local_time_ns(text: object, zone: ZoneInfo, near_ns: int) -> int:
    """Nanoseconds since 1970 UTC of a time written without its zone.

    Parameters
    ----------
    text : object
        ISO 8601; one that has a zone is taken as it is.
    zone : ZoneInfo
        Where the device's clock hangs.
    near_ns : int
        An hour that a clock shows twice is the one nearest to this.

    Raises
    ------
    ValueError
        If it is no such time.
    """
    as_utc_ns = time_ns(text, "iso")
    match = _ISO.fullmatch(text) if isinstance(text, str) else None
    if match is None or match[8] or not is_set(as_utc_ns):
        return as_utc_ns
    wall = datetime.fromtimestamp(as_utc_ns // 1_000_000_000, UTC).replace(tzinfo=zone)
    offsets = {wall.replace(fold=fold).utcoffset() or timedelta() for fold in (0, 1)}
    found = (as_utc_ns - offset // timedelta(microseconds=1) * 1_000 for offset in offsets)
    return min(found, key=lambda one: (abs(one - near_ns), one))
