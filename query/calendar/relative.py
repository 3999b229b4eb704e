"""Times as people say them: ``now-8h``, ``*-1d``, ``today``, ``start of shift``."""

import re
from collections.abc import Mapping
from datetime import date, timedelta

from query.calendar.shifts import ShiftCalendar
from query.calendar.steps import Step, floor, following
from query.calendar.zone import SECOND_NS, Zone
from query.errors import BadRequest

_WORDS = re.compile(
    r"(now|\*|today|yesterday|start of (hour|day|week|month|quarter|year|shift))(.*)", re.ASCII
)
_MORE = re.compile(r"\s*([ +-])\s*(\d{1,9}(?:\.\d{1,3})?)(ms|mo|m|shift|s|h|d|w|q|y)", re.ASCII)
_EXACT = {"ms": 1_000_000, "s": SECOND_NS, "m": 60 * SECOND_NS, "h": 3600 * SECOND_NS}
_FROM_NOW = {**_EXACT, "d": 86_400 * SECOND_NS, "w": 604_800 * SECOND_NS}
_STEPS = {
    "d": Step("day", 1),
    "w": Step("day", 7),
    "mo": Step("month", 1),
    "q": Step("month", 3),
    "y": Step("month", 12),
}
_STARTS = {"day": "d", "week": "w", "month": "mo", "quarter": "q", "year": "y"}

WANT = (
    "now or * (with steps, such as now-10m), today, yesterday, or start of hour, day, week, month, "
    "quarter, year or shift (with steps, such as start of week-1w)"
)


def is_relative(text: str) -> bool:
    """Whether a text begins with one of the words."""
    return _WORDS.match(text.strip()) is not None


def moment(text: str, now_ns: int, zone: Zone, shifts: ShiftCalendar | None, where: str) -> int:
    """Read a relative time.

    Parameters
    ----------
    text : str
        A word, and steps behind it. From ``now`` steps are lengths (a day is 24 h); from other
        words d, w, mo, q and y are steps of the calendar, so that ``start of day-1d`` is a
        midnight also where the day has 23 hours. A blank is a plus that URL decoding took away.
    now_ns : int
    zone : Zone
        Whose days; a shift has its calendar's.
    shifts : ShiftCalendar or None
        Whose shifts.
    where : str
        Name of the parameter, for errors.

    Returns
    -------
    int
        Nanoseconds UTC.

    Raises
    ------
    BadRequest
    """
    found = _WORDS.fullmatch(text.strip())
    steps = [] if found is None else list(_MORE.finditer(found[3]))
    if found is None or "".join(step[0] for step in steps) != found[3].rstrip():
        raise BadRequest("read time", got=repr(text[:64]), want=WANT, where=where)
    word, start_of = found[1], found[2]
    amounts = [(step[3], float(step[2]) * (-1 if step[1] == "-" else 1)) for step in steps]
    if start_of == "shift":
        return _of_shift(now_ns, amounts, shifts, where)
    if word in ("now", "*"):
        return now_ns + sum(_length(unit, amount, _FROM_NOW, where) for unit, amount in amounts)
    local = zone.local(now_ns)
    if start_of == "hour":
        into_ns = (local.minute * 60 + local.second) * SECOND_NS + now_ns % SECOND_NS
        hour_ns = now_ns - into_ns
        return hour_ns + sum(_length(unit, amount, _EXACT, where) for unit, amount in amounts)
    day = floor(_STEPS[_STARTS.get(start_of or "day", "d")], zone.day_of(now_ns))
    if word == "yesterday":
        day -= timedelta(days=1)
    beyond_ns = 0
    for unit, amount in amounts:
        if unit in _STEPS and amount == int(amount):
            day = _moved(day, unit, int(amount), where)
        else:
            beyond_ns += _length(unit, amount, _EXACT, where)
    return zone.midnight(day) + beyond_ns


def calendar_of(
    calendars: Mapping[str, ShiftCalendar], name: str | None, where: str
) -> ShiftCalendar | None:
    """Find a calendar by name; without one the only one there is.

    Raises
    ------
    BadRequest
        For a name that is none, or none where there are several.
    """
    if name is None and len(calendars) <= 1:
        return next(iter(calendars.values()), None)
    found = calendars.get(name or "")
    if found is None:
        known = ", ".join(calendars) or "none is configured"
        raise BadRequest("find the shift calendar", got=repr(name), want=known, where=where)
    return found


def _length(unit: str, amount: float, known: Mapping[str, int], where: str) -> int:
    if unit not in known:
        got, want = f"{amount:g}{unit}", f"steps of {', '.join(known)} here"
        raise BadRequest("read time", got=got, want=want, where=where)
    return int(amount * known[unit])


def _moved(day: date, unit: str, count: int, where: str) -> date:
    """Go on by steps; a day that the month does not have becomes its last."""
    step = _STEPS[unit]
    try:
        if step.unit == "day":
            return following(step, day, count)
        month = following(step, day.replace(day=1), count)
        last = following(_STEPS["mo"], month) - timedelta(days=1)
    except (ValueError, OverflowError) as error:
        got, want = f"{count:+d}{unit}", "a step that stays within the calendar"
        raise BadRequest("read time", got=got, want=want, where=where) from error
    return month.replace(day=min(day.day, last.day))


def _of_shift(
    now_ns: int, amounts: list[tuple[str, float]], shifts: ShiftCalendar | None, where: str
) -> int:
    if shifts is None:
        raise BadRequest(
            "read time", got="start of shift", want="a configured shift calendar", where=where
        )
    back, beyond_ns = 0.0, 0
    for unit, amount in amounts:
        if unit == "shift":
            back -= amount
        else:
            beyond_ns += _length(unit, amount, _EXACT, where)
    if back < 0 or back != int(back):
        raise BadRequest(
            "read time", got=f"{-back:+g} shifts", want="whole shifts back", where=where
        )
    return shifts.begun(now_ns, int(back)) + beyond_ns
