"""calendar/: zones, days of 23 and 25 hours, parts of days, months, shifts, spoken times."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from query.calendar.relative import calendar_of, moment
from query.calendar.shifts import Shift, ShiftCalendar
from query.calendar.steps import Step, beginnings, parse_step
from query.calendar.zone import Zone
from query.engine import Query
from query.errors import BadRequest, LimitExceeded
from query.ports import Tag
from query.request import AggregateRequest, QueryLimits
from query.testing import MemoryReader, MemoryResolver
from storage_engine.sample import ValueType

S = 1_000_000_000
H = 3600 * S
WEEKDAYS = frozenset(range(5))
EARLY = Shift("early", WEEKDAYS, 6 * 3600, 14 * 3600)
LATE = Shift("late", WEEKDAYS, 14 * 3600, 22 * 3600)
NIGHT = Shift("night", WEEKDAYS | {6}, 22 * 3600, 6 * 3600)
PLANT = ShiftCalendar("plant", "Europe/Berlin", (EARLY, LATE, NIGHT), frozenset({date(2026, 5, 1)}))


def ns(text):
    """Instant of an ISO time."""
    return int(datetime.fromisoformat(text).timestamp()) * S


def plain(zone, seconds, day):
    """Beginnings in a local day, found by looking at the clock every minute."""
    at = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(days=1)
    clock = [at + timedelta(minutes=m) for m in range(3 * 1440)]
    clock = [(t, t.astimezone(ZoneInfo(zone))) for t in clock]
    today = [(t, 3600 * w.hour + 60 * w.minute) for t, w in clock if w.date() == day]
    found, seen, before = [], set(), -60
    for t, wall in today:
        passed = [m for m in range(0, 86_400, seconds) if before < m <= wall]
        set_back = before + 60 - wall
        again = set_back > 0 and seconds <= set_back
        if again:
            seen -= {m for m in seen if m >= wall}
            passed = [wall] if wall % seconds == 0 else []
        fresh = [m for m in passed if m not in seen]
        if fresh:
            found.append(int(t.timestamp()) * S)
        seen.update(fresh)
        before = wall
    return found


DAYS = [
    ("UTC", date(2026, 3, 29)),
    ("Europe/Berlin", date(2026, 3, 29)),
    ("Europe/Berlin", date(2026, 10, 25)),
    ("Europe/Berlin", date(2026, 7, 1)),
    ("America/New_York", date(2026, 11, 1)),
    ("America/Havana", date(2025, 3, 9)),  # midnight does not exist
    ("America/Havana", date(2025, 11, 2)),  # midnight comes twice
    ("Australia/Lord_Howe", date(2026, 4, 5)),  # half an hour back
    ("Australia/Lord_Howe", date(2026, 10, 4)),
    ("America/Santiago", date(2026, 4, 4)),  # the last hour of the day comes twice
    ("Asia/Kathmandu", date(2026, 1, 1)),
]


@pytest.mark.parametrize(("zone", "day"), DAYS)
@pytest.mark.parametrize("text", ["1m", "15m", "30m", "1h", "90m", "2h", "6h", "7h", "12h", "24h"])
def test_parts_of_a_day_begin_where_the_clock_says(zone, day, text):
    """Against a look at the clock every minute; 25 hours have as many parts."""
    step = parse_step(text, "step")

    found = list(beginnings(Zone(zone), step, day, day))

    end = Zone(zone).midnight(day + timedelta(days=1))
    assert plain(zone, step.count, day) == [t for t in found if t < end]


@pytest.mark.parametrize(
    ("text", "first", "begins", "after"),
    [
        ("1d", "2026-10-25", "2026-10-25T00:00+02:00", "2026-10-26T00:00+01:00"),
        ("2d", "2026-01-02", "2026-01-01T00:00+01:00", "2026-01-03T00:00+01:00"),
        ("1w", "2026-11-22", "2026-11-16T00:00+01:00", "2026-11-23T00:00+01:00"),
        ("1mo", "2026-02-28", "2026-02-01T00:00+01:00", "2026-03-01T00:00+01:00"),
        ("1q", "2026-05-09", "2026-04-01T00:00+02:00", "2026-07-01T00:00+02:00"),
        ("1y", "2026-05-09", "2026-01-01T00:00+01:00", "2027-01-01T00:00+01:00"),
        ("6mo", "2026-12-31", "2026-07-01T00:00+02:00", "2027-01-01T00:00+01:00"),
    ],
)
def test_days_weeks_and_months_begin_at_local_midnight(text, first, begins, after):
    """Weeks on Mondays, quarters and halves with the year."""
    day = date.fromisoformat(first)

    found = beginnings(Zone("Europe/Berlin"), parse_step(text, "step"), day, day)

    assert [ns(begins), ns(after)] == [next(found), next(found)]


@pytest.mark.parametrize(
    "text", ["", "0d", "1", "25h", "1.5d", "-1d", "1 fortnight", "9999y", "٣d"]
)
def test_a_length_that_is_none_is_refused_by_name(text):
    with pytest.raises(BadRequest) as refused:
        parse_step(text, "step")
    assert "step" == refused.value.where
    assert "mo" in refused.value.want


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../../etc/passwd", "Europe", "a" * 5000])
def test_a_zone_that_is_none_is_refused(name):
    with pytest.raises(BadRequest, match="IANA") as refused:
        Zone(name)
    assert "zone" == refused.value.where


def test_shifts_keep_their_clock_times_over_a_change_of_the_clocks():
    """The night of the change has seven hours, that of the other nine; holidays have none."""
    every = (Shift("night", frozenset(range(7)), 22 * 3600, 6 * 3600),)
    nights = ShiftCalendar("nights", "Europe/Berlin", every, frozenset({date(2026, 5, 1)}))
    for begin, end, hours in (
        ("2026-03-28T12:00+01:00", "2026-03-30T12:00+02:00", [7, 8]),
        ("2026-10-24T12:00+02:00", "2026-10-26T12:00+01:00", [9, 8]),
        ("2026-04-30T12:00+02:00", "2026-05-03T12:00+02:00", [8, 8]),
    ):
        found = list(nights.during(ns(begin), ns(end)))
        assert [(h * H, "night") for h in hours] == [(e - s, name) for s, e, name in found]


NOW = ns("2026-11-23T15:30:20+01:00")  # a Monday
SPOKEN = [
    ("now", "2026-11-23T15:30:20+01:00"),
    ("*", "2026-11-23T15:30:20+01:00"),
    ("*-1d", "2026-11-22T15:30:20+01:00"),
    ("now-8h", "2026-11-23T07:30:20+01:00"),
    ("now 30m", "2026-11-23T16:00:20+01:00"),
    ("today", "2026-11-23T00:00+01:00"),
    ("yesterday+6h", "2026-11-22T06:00+01:00"),
    ("start of hour", "2026-11-23T15:00+01:00"),
    ("start of day-29d", "2026-10-25T00:00+02:00"),
    ("start of day-29d+24h", "2026-10-25T23:00+01:00"),
    ("start of week", "2026-11-23T00:00+01:00"),
    ("start of week-1w", "2026-11-16T00:00+01:00"),
    ("start of month", "2026-11-01T00:00+01:00"),
    ("start of month-1mo", "2026-10-01T00:00+02:00"),
    ("start of quarter", "2026-10-01T00:00+02:00"),
    ("start of year-1y+1d", "2025-01-02T00:00+01:00"),
    ("start of shift", "2026-11-23T14:00+01:00"),
    ("start of shift-1shift", "2026-11-23T06:00+01:00"),
    ("start of shift-2shift+30m", "2026-11-22T22:30+01:00"),
]


@pytest.mark.parametrize(("text", "wanted"), SPOKEN)
def test_spoken_times(text, wanted):
    """From now steps are lengths, from the start of something they are steps of the calendar."""
    assert ns(wanted) == moment(text, NOW, Zone("Europe/Berlin"), PLANT, "start")


@pytest.mark.parametrize(
    "text",
    ["noon", "now-", "now-1", "now-1mo", "start of lunch", "start of day-1.5d", "start of hour-1d",
     "start of shift+1shift", "start of shift-900shift", "start of year-99999y", "today-1x",
     "now--1h"],
)  # fmt: skip
def test_what_nobody_says_is_refused_by_name(text):
    with pytest.raises(BadRequest) as refused:
        moment(text, NOW, Zone("Europe/Berlin"), PLANT, "start")
    assert refused.value.where in ("start", "calendar 'plant'")


def test_a_calendar_is_found_by_name_or_because_it_is_the_only_one():
    assert calendar_of({"plant": PLANT}, None, "calendar") is PLANT
    assert calendar_of({}, None, "calendar") is None
    for known, name in (({"a": PLANT, "b": PLANT}, None), ({"a": PLANT}, "b")):
        with pytest.raises(BadRequest, match="a"):
            calendar_of(known, name, "calendar")
    with pytest.raises(BadRequest, match="a configured shift calendar"):
        moment("start of shift", NOW, Zone("UTC"), None, "start")


def _query(**limits):
    reader = MemoryReader()
    rows = [(ns("2026-10-24T00:00+02:00") + k * H, float(k)) for k in range(96)]
    reader.add(1, ValueType.FLOAT64, rows)
    tag = Tag("t", (1,), ValueType.FLOAT64, stepped=True)
    return Query(reader, MemoryResolver(tag), lambda: 0, QueryLimits(**limits), {"plant": PLANT})


def _ask(query, start, end, **more):
    return query.aggregate(AggregateRequest("t", ns(start), ns(end), 0, ("Count",), **more))


def test_aggregates_by_the_day_count_23_24_and_25_hours():
    found = _ask(
        _query(),
        "2026-10-24T12:00+02:00",
        "2026-10-27T00:00+01:00",
        step="1d",
        zone="Europe/Berlin",
    )

    assert [12, 25, 24] == found.columns["Count"].value.tolist()
    lengths = (found.end_ns - found.start_ns) // H
    assert [12, 25, 24] == lengths.tolist(), "the first is cut at the window"


def test_intervals_by_the_calendar_come_backwards_too():
    window = ("2026-10-27T00:00+01:00", "2026-10-24T12:00+02:00")
    found = _ask(_query(), *window, step="6h", zone="Europe/Berlin")

    assert found.end_ns[0] == ns(window[0])
    assert found.start_ns[:-1].tolist() == found.end_ns[1:].tolist()
    assert [6, 6, 6, 6, 6, 6, 6, 7, 6, 6] == found.columns["Count"].value.tolist()


def test_aggregates_by_shift_have_its_name():
    found = _ask(_query(), "2026-10-25T12:00+01:00", "2026-10-26T20:00+01:00", step="shift")

    assert ("night", "early", "late") == found.labels
    assert [8, 8, 6] == found.columns["Count"].value.tolist()
    none = _ask(_query(), "2026-10-24T12:00+02:00", "2026-10-24T13:00+02:00", step="shift")
    assert (0, ()) == (len(none.start_ns), none.labels), "on a Saturday nobody works"


@pytest.mark.parametrize(
    ("more", "where"),
    [
        ({"step": "1d", "zone": "Mars/Olympus"}, "zone"),
        ({"step": "1x"}, "step"),
        ({"step": "shift", "calendar": "moon"}, "calendar"),
    ],
)
def test_a_wrong_cut_is_refused_by_name(more, where):
    with pytest.raises(BadRequest) as refused:
        _ask(_query(), "2026-10-24T12:00+02:00", "2026-10-26T12:00+01:00", **more)
    assert where == refused.value.where


def test_too_many_intervals_are_refused_before_they_are_cut():
    with pytest.raises(LimitExceeded) as refused:
        _ask(
            _query(intervals_max=10), "1900-01-01T00:00+00:00", "2100-01-01T00:00+00:00", step="1m"
        )
    assert "step" == refused.value.where
    assert Step("second", 60) == parse_step("1m", "step")
