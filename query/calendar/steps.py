"""Lengths of intervals that follow the calendar, and where they begin."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from query.calendar.zone import DAY_S, SECOND_NS, Zone
from query.errors import BadRequest

Unit = Literal["second", "day", "month"]
_STEP = re.compile(r"(\d{1,6})(s|m|h|d|w|mo|q|y)", re.ASCII)
_UNITS: dict[str, tuple[Unit, int]] = {
    "s": ("second", 1),
    "m": ("second", 60),
    "h": ("second", 3600),
    "d": ("day", 1),
    "w": ("day", 7),
    "mo": ("month", 1),
    "q": ("month", 3),
    "y": ("month", 12),
}
_LONGEST: dict[Unit, int] = {"second": DAY_S, "day": 36_600, "month": 1_200}
_MONDAY = date(1970, 1, 5).toordinal()  # weeks begin on Mondays (ISO 8601)


@dataclass(frozen=True, slots=True)
class Step:
    """A length by the calendar: so many seconds of the day, days or months."""

    unit: Unit
    count: int


def parse_step(text: str, where: str) -> Step:
    """Read ``15m``, ``6h``, ``1d``, ``1w``, ``1mo``, ``1q``, ``1y``.

    Raises
    ------
    BadRequest
        For anything else, and for a part of a day that is longer than a day.
    """
    found = _STEP.fullmatch(text.strip())
    count = int(found[1]) if found is not None else 0
    want = (
        "a whole number of s, m, h (up to a day), d, w, mo, q or y (up to 100 years), such as 15m"
    )
    if found is None or not count:
        raise BadRequest("read the step", got=repr(text[:64]), want=want, where=where)
    unit, size = _UNITS[found[2]]
    if count * size > _LONGEST[unit]:
        raise BadRequest("read the step", got=repr(text[:64]), want=want, where=where)
    return Step(unit, count * size)


def beginnings(zone: Zone, step: Step, first: date, last: date) -> Iterator[int]:
    """Instants at which intervals begin, from the one that holds ``first`` to after ``last``.

    Notes
    -----
    Parts of a day begin at local midnight and at every multiple of their length on the clock, so
    the last of a day may be shorter. Days are counted from 1970-01-01, weeks from Mondays,
    months from January of year 0. Where clocks are set back, a time that they show twice begins
    two intervals if these are no longer than what clocks were set back; where they are set
    forward over it, the interval begins at that moment.
    """
    day = floor(step, first)
    while True:
        if step.unit == "second":
            yield from _of_day(zone, step.count, day)
        else:
            yield zone.midnight(day)
        if day > last:
            return
        day = following(step, day)


def floor(step: Step, day: date) -> date:
    """First day of the step that holds ``day``."""
    if step.unit == "month":
        months = (day.year * 12 + day.month - 1) // step.count * step.count
        return date(months // 12, months % 12 + 1, 1)
    if step.unit == "second":
        return day
    base = _MONDAY if step.count % 7 == 0 else date(1970, 1, 1).toordinal()
    return day - timedelta(days=(day.toordinal() - base) % step.count)


def following(step: Step, day: date, count: int = 1) -> date:
    """Day on which the step after begins; ``count`` steps on, or back if negative."""
    if step.unit == "month":
        months = day.year * 12 + day.month - 1 + step.count * count
        return date(months // 12, months % 12 + 1, 1)
    return day + timedelta(days=(step.count if step.unit == "day" else 1) * count)


def _of_day(zone: Zone, seconds: int, day: date) -> Iterator[int]:
    start, end = zone.midnight(day), zone.midnight(day + timedelta(days=1))
    set_back_s = (end - start) // SECOND_NS - DAY_S
    if not set_back_s:
        yield from range(start, end, seconds * SECOND_NS)
        return
    found: set[int] = set()
    for wall in range(0, DAY_S, seconds):
        shown = zone.instants(day, wall)
        found.update(shown if seconds <= set_back_s else shown[:1])
    yield from sorted(instant for instant in found if start <= instant < end)
