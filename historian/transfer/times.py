"""Texts and numbers of foreign clocks to nanoseconds UTC, exactly; refusals row by row."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

import numpy as np

from historian.transfer.texts import Bad
from storage_engine.sample import Int64Array

NS_PER_UNIT = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_QUARTER_NS = 900 * 1_000_000_000  # offsets of zones change at quarters of an hour
_YEAR_FIRST, _YEAR_LAST = 1678, 2261  # years whose every nanosecond fits 64 bits
_UTC_TEXT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z", re.ASCII)
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)? ?"
    r"(Z|z|[+-]\d\d:?\d\d)?",
    re.ASCII,
)
_BOUND = 2**63


@dataclass(frozen=True, slots=True)
class TimeForm:
    """How a file writes its times.

    Attributes
    ----------
    unit : str
        ``ns``, ``us``, ``ms`` or ``s`` since 1970, for times that are numbers.
    zone : ZoneInfo or None
        Of times that name none; None refuses these.
    pattern : str
        As of ``strptime``; empty for ISO 8601 and numbers.
    """

    unit: str = "ns"
    zone: ZoneInfo | None = None
    pattern: str = ""


def parse_times(texts: Sequence[str], form: TimeForm) -> tuple[Int64Array, Bad]:
    """Read times: numbers since 1970 in the form's unit, or ISO 8601, row by row.

    Parameters
    ----------
    texts : sequence of str, n items
    form : TimeForm

    Returns
    -------
    int64, shape (n,)
        Nanoseconds UTC; 0 in refused rows.
    bad : dict of int to str
    """
    quick = _quick(texts, form)
    if quick is not None:
        return quick, {}
    out = np.zeros(len(texts), np.int64)
    bad: Bad = {}
    reader = _Reader(form)
    for row, text in enumerate(texts):
        try:
            out[row] = reader.read(text.strip())
        except ValueError as error:
            bad[row] = str(error)
    return out, bad


def _quick(texts: Sequence[str], form: TimeForm) -> Int64Array | None:
    """All at once, when they are plain; None when one is not."""
    if form.pattern or not texts:
        return None
    if form.unit == "ns" and texts[0][-1:].isdigit() and "_" not in "".join(texts):
        try:
            return np.array(list(map(int, texts)), np.int64)
        except (ValueError, OverflowError):
            return None
    if texts[0][-1:] == "Z" and all(map(_UTC_TEXT.fullmatch, texts)):
        if not f"{_YEAR_FIRST}" <= min(texts)[:4] <= max(texts)[:4] <= f"{_YEAR_LAST}":
            return None
        try:
            return np.array([t[:-1] for t in texts], "datetime64[ns]").astype(np.int64)
        except ValueError:
            return None
    return None


class _Reader:
    """One time after the other; remembers offsets of the zone."""

    def __init__(self, form: TimeForm) -> None:
        self._form = form
        self._offsets: dict[int, int | None] = {}

    def read(self, text: str) -> int:
        """Nanoseconds, or ValueError."""
        if self._form.pattern:
            return self._patterned(text)
        found = _ISO.fullmatch(text)
        if found is None:
            return self._number(text)
        year, month, day, hour, minute = map(int, found.groups()[:5])
        second, fraction = int(found[6] or 0), (found[7] or "").ljust(9, "0")
        local = _plain_ns(datetime(year, month, day, hour, minute, second, tzinfo=UTC))
        local += int(fraction)
        return _checked(self._utc(local, found[8]), text)

    def _number(self, text: str) -> int:
        try:
            number = Decimal(text) * NS_PER_UNIT[self._form.unit]
        except InvalidOperation:
            raise ValueError(f"got time {text[:64]!r}, want ISO 8601 or a number") from None
        if not number.is_finite() or abs(number) >= _BOUND:
            raise ValueError(f"got time {text[:64]!r}, want one that fits 64 bits of nanoseconds")
        return int(number)

    def _patterned(self, text: str) -> int:
        try:
            moment = datetime.strptime(text, self._form.pattern)  # noqa: DTZ007 - below
        except ValueError:
            raise ValueError(f"got time {text[:64]!r}, want {self._form.pattern!r}") from None
        if moment.tzinfo is not None:
            return _checked(_plain_ns(moment.astimezone(UTC)), text)
        return _checked(self._utc(_plain_ns(moment.replace(tzinfo=UTC)), None), text)

    def _utc(self, local_ns: int, offset: str | None) -> int:
        if offset in {"Z", "z"}:
            return local_ns
        if offset is not None:
            sign = -1 if offset[0] == "-" else 1
            digits = offset[1:].replace(":", "")
            return local_ns - sign * (int(digits[:2]) * 60 + int(digits[2:])) * 60 * 10**9
        if self._form.zone is None:
            raise ValueError("got a time without a zone, want Z, an offset, or a zone by mapping")
        quarter = local_ns // _QUARTER_NS
        if quarter not in self._offsets:
            self._offsets[quarter] = _offset_ns(quarter * _QUARTER_NS, self._form.zone)
        found = self._offsets[quarter]
        if found is None:
            raise ValueError("got a time that the change to summer time leaves out")
        return local_ns - found


def _offset_ns(local_ns: int, zone: ZoneInfo) -> int | None:
    """Offset of a local time, the earlier of two; None where the clocks jump over it."""
    wall = datetime(1970, 1, 1) + timedelta(microseconds=local_ns // 1_000)  # noqa: DTZ001
    aware = wall.replace(tzinfo=zone)
    back = aware.astimezone(UTC).astimezone(zone).replace(tzinfo=None)
    offset = aware.utcoffset()
    if back != wall or offset is None:
        return None
    return int(offset.total_seconds()) * 1_000_000_000


def _plain_ns(moment: datetime) -> int:
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1_000


def _checked(time_ns: int, text: str) -> int:
    if not -_BOUND < time_ns < _BOUND - 1:
        raise ValueError(f"got time {text[:64]!r}, want one that fits 64 bits of nanoseconds")
    return time_ns
