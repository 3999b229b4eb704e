"""Times at the door: text and numbers in five units to int64 nanoseconds UTC, and back.

Inside the house time is ``*_ns``; here alone it is also ISO 8601 or *ten minutes ago*.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Literal

import numpy as np

from api.errors import ApiError
from historian.durations import WANT as DURATION_WANT
from historian.durations import duration_ns
from query.calendar.relative import WANT as RELATIVE_WANT
from query.calendar.relative import calendar_of, is_relative, moment
from query.calendar.shifts import ShiftCalendar
from query.calendar.zone import Zone
from query.errors import BadRequest
from storage_engine.sample import Int64Array

TimeUnit = Literal["ns", "us", "ms", "s", "iso"]
NS_PER_UNIT: dict[str, int] = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}

_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?"
    r"(Z|z|[ +-]\d\d:?\d\d)",
    re.ASCII,
)
_UTC_SECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z", re.ASCII)
_DIGITS = re.compile(r"[+-]?\d{1,19}", re.ASCII)
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
# Years whose every nanosecond fits int64; numpy would wrap others without a word.
_YEAR_FIRST, _YEAR_LAST = 1678, 2261

TIME_WANT = f"nanoseconds since 1970 as digits, ISO 8601 with Z or an offset, or {RELATIVE_WANT}"
Calendars = Mapping[str, ShiftCalendar]


def iso_to_ns(text: str) -> int:
    """One ISO 8601 time with Z or an offset, to the nanosecond.

    Parameters
    ----------
    text : str
        ``2026-03-01T08:00:00.123456789+01:00``. A space before the offset stands for the plus
        that URL decoding took away.

    Returns
    -------
    int
        Nanoseconds since 1970, UTC.

    Raises
    ------
    ValueError
        If it is no such time, or its year is outside 1678..2261.
    """
    found = _ISO.fullmatch(text)
    if found is None:
        raise ValueError(f"cannot read time: got {text[:64]!r}, want ISO 8601 with Z or an offset")
    year, month, day, hour, minute = (int(found[i]) for i in range(1, 6))
    if not _YEAR_FIRST <= year <= _YEAR_LAST:
        raise ValueError(f"cannot read time: got year {year}, want {_YEAR_FIRST}..{_YEAR_LAST}")
    moment = datetime(year, month, day, hour, minute, int(found[6] or 0), tzinfo=UTC)
    seconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // _SECOND
    fraction = int((found[7] or "").ljust(9, "0"))
    return (seconds - _offset_s(found[8])) * 1_000_000_000 + fraction


_SECOND = datetime(1970, 1, 1, 0, 0, 1) - datetime(1970, 1, 1)  # noqa: DTZ001 - a difference


def _offset_s(text: str) -> int:
    if text in "Zz":
        return 0
    digits = text[1:].replace(":", "")
    hours, minutes = int(digits[:2]), int(digits[2:])
    if hours > 18 or minutes > 59:
        raise ValueError(f"cannot read time: got offset {text!r}, want at most 18:00")
    seconds = hours * 3600 + minutes * 60
    return -seconds if text[0] == "-" else seconds


def parse_time(
    text: str,
    now_ns: int,
    where: str,
    *,
    zone: str = "UTC",
    shifts: tuple[Calendars, str | None] = (MappingProxyType({}), None),
) -> int:
    """One time of a query: digits, ISO 8601, or as people say it.

    Parameters
    ----------
    text : str
        What the caller sent.
    now_ns : int
        The server's clock.
    where : str
        Name of the parameter, for the error.
    zone : str
        Whose days, weeks and months ``today`` and ``start of month`` mean.
    shifts : tuple
        Shift calendars, and the name of the one meant; None: the only one.

    Returns
    -------
    int
        Nanoseconds since 1970, UTC.

    Raises
    ------
    ApiError
        ``invalid_time`` (400).
    """
    text = text.strip()
    if is_relative(text):
        try:
            calendar = calendar_of(*shifts, "calendar") if "shift" in text else None
            result = moment(text, now_ns, Zone(zone), calendar, where)
        except BadRequest as error:
            raise ApiError(
                400, "invalid_time", "cannot read time",
                got=str(error.got), want=error.want, where=error.where,
            ) from error  # fmt: skip
    elif _DIGITS.fullmatch(text):
        result = int(text)
    else:
        try:
            result = iso_to_ns(text)
        except ValueError:
            raise _bad_time(text, TIME_WANT, where) from None
    if not INT64_MIN <= result <= INT64_MAX:
        raise _bad_time(text, "a time that fits 64 bits of nanoseconds", where)
    return result


def parse_duration(text: str, where: str) -> int:
    """One positive duration: ``500ms``, ``1s``, ``10m``, ``1.5h``, or nanoseconds as digits.

    Raises
    ------
    ApiError
        ``invalid_duration`` (400).
    """
    result = duration_ns(text)
    if result is None:
        raise ApiError(
            400,
            "invalid_duration",
            "cannot read duration",
            got=text[:64],
            want=DURATION_WANT,
            where=where,
        )
    return result


def _bad_time(got: object, want: str, where: str) -> ApiError:
    return ApiError(
        400, "invalid_time", "cannot read time", got=str(got)[:64], want=want, where=where
    )


def parse_times(values: Sequence[object], unit: str, where: str) -> Int64Array:
    """Times of a columnar write.

    Parameters
    ----------
    values : sequence, n items
        Integers, strings of digits, floats (not for ``ns``), or ISO 8601 for unit ``iso``.
    unit : str
        ``ns``, ``us``, ``ms``, ``s`` or ``iso``.
    where : str
        Path of the list in the body, for the error.

    Returns
    -------
    int64, shape (n,)
        Nanoseconds since 1970, UTC.

    Raises
    ------
    ApiError
        ``invalid_time`` (400) naming the first wrong row. A write whose times cannot be read is
        refused as a whole: the caller's clock format is wrong, not a row.
    """
    if unit == "iso":
        return _iso_column(values, where)
    kinds = set(map(type, values))
    if kinds <= {int}:
        return _integers(values, NS_PER_UNIT[unit], where)
    if kinds <= {int, float} and unit != "ns":
        return _floats(values, NS_PER_UNIT[unit], where)
    if kinds <= {int, str}:
        return _integers(
            [_digits(v, i, where) for i, v in enumerate(values)], NS_PER_UNIT[unit], where
        )
    allowed = (int, str) if unit == "ns" else (int, float, str)
    row = next((i for i, v in enumerate(values) if type(v) not in allowed), 0)
    want = "integers or strings of digits" + ("" if unit == "ns" else ", or numbers")
    raise _bad_time(values[row], want, f"{where}[{row}]")


def _digits(value: object, row: int, where: str) -> int:
    if isinstance(value, int):
        return value
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return int(value)
    raise _bad_time(value, "an integer or a string of digits", f"{where}[{row}]")


def _integers(values: Sequence[object], factor: int, where: str) -> Int64Array:
    low, high = INT64_MIN // factor + 1, INT64_MAX // factor
    try:
        column = np.array(values, dtype=np.int64)
    except (OverflowError, ValueError):
        column = None
    if column is None or (
        factor > 1 and len(column) and bool(((column < low) | (column > high)).any())
    ):
        row = next(i for i, v in enumerate(values) if not low <= int(str(v)) <= high)
        raise _bad_time(values[row], "a time that fits 64 bits of nanoseconds", f"{where}[{row}]")
    return column * factor


def _floats(values: Sequence[object], factor: int, where: str) -> Int64Array:
    column = np.array(values, dtype=np.float64)
    wrong = np.flatnonzero(~(np.abs(column) < INT64_MAX / factor))
    if len(wrong):
        row = int(wrong[0])
        raise _bad_time(values[row], "a time that fits 64 bits of nanoseconds", f"{where}[{row}]")
    whole = np.floor(column)
    # The fraction apart: a double holds no nanosecond of a time of today.
    return whole.astype(np.int64) * factor + np.rint((column - whole) * factor).astype(np.int64)


def _iso_column(values: Sequence[object], where: str) -> Int64Array:
    texts: list[str] = []
    for row, value in enumerate(values):
        if not isinstance(value, str):
            raise _bad_time(value, "ISO 8601 with Z or an offset", f"{where}[{row}]")
        texts.append(value)
    plain = all(map(_UTC_SECONDS.fullmatch, texts))
    if plain and texts and f"{_YEAR_FIRST}" <= min(texts)[:4] and max(texts)[:4] <= f"{_YEAR_LAST}":
        try:
            return np.array([t[:-1] for t in texts], dtype="datetime64[ns]").astype(np.int64)
        except ValueError:
            pass  # a month 13: the slow path below names the row
    result = np.empty(len(texts), dtype=np.int64)
    for row, text in enumerate(texts):
        try:
            result[row] = iso_to_ns(text)
        except ValueError:
            raise _bad_time(text, "ISO 8601 with Z or an offset", f"{where}[{row}]") from None
    return result


def times_json(timestamp_ns: Int64Array, form: str) -> list[str]:
    """Times of an answer.

    Parameters
    ----------
    timestamp_ns : int64, shape (n,)
        Nanoseconds since 1970, UTC.
    form : str
        ``ns``: strings of digits, because JSON readers round integers beyond 2**53; ``iso``: RFC
        3339 with nine digits and Z.

    Returns
    -------
    list of str
    """
    if form == "iso":
        moments = timestamp_ns.astype("datetime64[ns]")
        texts: list[str] = np.datetime_as_string(moments, unit="ns").tolist()
        return [f"{t}Z" for t in texts]
    return list(map(str, timestamp_ns.tolist()))


def time_json(timestamp_ns: int, form: str) -> str:
    """One time of an answer, as :func:`times_json` writes it."""
    return times_json(np.array([timestamp_ns], dtype=np.int64), form)[0]
