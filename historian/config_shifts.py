"""Settings of shift calendars."""

import re
from dataclasses import dataclass
from datetime import date

from query.calendar.shifts import Shift, ShiftCalendar
from query.calendar.zone import Zone
from query.errors import BadRequest

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|24:00", re.ASCII)


@dataclass(frozen=True, slots=True)
class ShiftConfig:
    """``[[shift_calendars.shifts]]``: one shift of the day.

    Attributes
    ----------
    name : str
        As answers call it.
    start : str
        When it begins on the clock, ``06:00``.
    end : str
        When it ends; at or before the start: on the day after.
    days : tuple of str
        Days of the week on which it begins: mon, tue, wed, thu, fri, sat, sun.
    """

    name: str
    start: str
    end: str
    days: tuple[str, ...] = _DAYS

    def __post_init__(self) -> None:
        for clock in (self.start, self.end):
            if _CLOCK.fullmatch(clock) is None:
                raise ValueError(f"got {clock!r}, want a time of day such as 06:00")
        for day in self.days:
            if day not in _DAYS:
                raise ValueError(f"got day {day!r}, want one of {', '.join(_DAYS)}")
        if not self.days:
            raise ValueError(f"got no days for shift {self.name!r}, want at least one")

    def shift(self) -> Shift:
        """As queries want it."""
        start_s, end_s = (60 * (60 * int(t[:2]) + int(t[3:])) for t in (self.start, self.end))
        return Shift(self.name, frozenset(_DAYS.index(day) for day in self.days), start_s, end_s)


@dataclass(frozen=True, slots=True)
class ShiftCalendarConfig:
    """``[[shift_calendars]]``: when people work, for intervals by shift and ``start of shift``.

    Attributes
    ----------
    name : str
        Unique name.
    zone : str
        Whose clocks, by the IANA database: ``Europe/Berlin``.
    shifts : tuple of ShiftConfig
        ``[[shift_calendars.shifts]]``.
    closed : tuple of str
        Dates on which no shift begins, ``2026-12-25``.
    """

    name: str
    zone: str
    shifts: tuple[ShiftConfig, ...]
    closed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        try:
            Zone(self.zone)
        except BadRequest as error:
            raise ValueError(f"got zone {self.zone!r}, want {error.want}") from error
        if not self.shifts:
            raise ValueError(f"got no shifts in calendar {self.name!r}, want at least one")
        for day in self.closed:
            if not re.fullmatch(r"\d{4}-\d\d-\d\d", day, re.ASCII):
                raise ValueError(f"got {day!r}, want a date such as 2026-12-25")
            date.fromisoformat(day)

    def calendar(self) -> ShiftCalendar:
        """As queries want it."""
        shifts = tuple(each.shift() for each in self.shifts)
        closed = frozenset(date.fromisoformat(day) for day in self.closed)
        return ShiftCalendar(self.name, self.zone, shifts, closed)
