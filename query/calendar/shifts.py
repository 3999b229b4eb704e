"""Shifts of a plant: local times on days of the week, and days on which nobody works."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from query.calendar.zone import DAY_S, Zone
from query.errors import BadRequest

_BACK = timedelta(days=62)  # how far back the shift before is looked for: longer than any holidays


@dataclass(frozen=True, slots=True)
class Shift:
    """A shift.

    Attributes
    ----------
    name : str
    days : frozenset of int
        Days of the week on which it begins; 0 is Monday.
    start_s, end_s : int
        Seconds after midnight on the clock; an end at or before the start is on the day after.
    """

    name: str
    days: frozenset[int]
    start_s: int
    end_s: int


@dataclass(frozen=True, slots=True)
class ShiftCalendar:
    """Shifts of a plant.

    Attributes
    ----------
    name : str
    zone : str
        Of the IANA database.
    shifts : tuple of Shift
    closed : frozenset of date
        Days on which no shift begins.
    """

    name: str
    zone: str
    shifts: tuple[Shift, ...]
    closed: frozenset[date] = frozenset()

    def between(self, first: date, last: date) -> Iterator[tuple[int, int, str]]:
        """Shifts that begin on days ``first`` to ``last``: start, end, name; by start."""
        zone, day = Zone(self.zone), first
        while day <= last:
            found = []
            for shift in self.shifts:
                if shift.days >= {day.weekday()} and day not in self.closed:
                    end_s = shift.end_s + (DAY_S if shift.end_s <= shift.start_s else 0)
                    start, end = (zone.instants(day, s)[0] for s in (shift.start_s, end_s))
                    # Clocks set forward may leave nothing of a short one.
                    found += [(start, end, shift.name)] if start < end else []
            yield from sorted(found)
            day += timedelta(days=1)

    def during(self, start_ns: int, end_ns: int) -> Iterator[tuple[int, int, str]]:
        """Shifts that share time with a window, by start."""
        zone = Zone(self.zone)
        first, last = zone.day_of(start_ns) - timedelta(days=2), zone.day_of(end_ns)
        for one in self.between(first, last):
            if one[0] < end_ns and one[1] > start_ns:
                yield one

    def begun(self, time_ns: int, back: int = 0) -> int:
        """Start of the newest shift that has begun, or of the one ``back`` before it.

        Raises
        ------
        BadRequest
            When there is none in two months.
        """
        day = Zone(self.zone).day_of(time_ns)
        starts = sorted({one[0] for one in self.between(day - _BACK, day) if one[0] <= time_ns})
        if back >= len(starts):
            raise BadRequest(
                "find the shift",
                got=f"{len(starts)} shifts in the 62 days before",
                want=f"at least {back + 1}",
                where=f"calendar {self.name!r}",
            )
        return starts[-1 - back]
