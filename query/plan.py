"""Request -> steps: checks what was asked and lays out intervals. Pure; reads nothing."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

import numpy as np

from query.aggregates.registry import AGGREGATES
from query.calendar.relative import calendar_of
from query.calendar.shifts import ShiftCalendar
from query.calendar.steps import beginnings, parse_step
from query.calendar.zone import Zone
from query.errors import BadRequest, LimitExceeded
from query.ports import Tag
from query.request import AggregateRequest, PlotRequest, QueryLimits, RawRequest
from query.series import NUMERIC, TIME_MAX_NS, TIME_MIN_NS
from storage_engine.sample import Int64Array


@dataclass(frozen=True, slots=True)
class RawPlan:
    """Window of a raw read, ascending whatever the order of the answer.

    ``low_ns`` or ``high_ns`` is None when that side is open; rows with
    ``first_ns <= time < behind_ns`` are inside the half-open window that was asked for.
    """

    low_ns: int | None
    high_ns: int | None
    first_ns: int
    behind_ns: int
    descending: bool
    max_count: int | None


@dataclass(frozen=True, slots=True)
class AggregatePlan:
    """Intervals in the order of the answer, which facts are wanted, and names of intervals."""

    start_ns: Int64Array
    end_ns: Int64Array
    facts: tuple[str, ...]
    labels: tuple[str, ...] = ()


def plan_raw(request: RawRequest, limits: QueryLimits) -> RawPlan:
    """Check a raw request and lay out its window.

    Raises
    ------
    BadRequest
        For no window, an unknown ``bounds``, or a count that is not positive.
    LimitExceeded
        When ``max_count`` is above ``limits.rows_max``.
    """
    start, end, count = request.start_ns, request.end_ns, request.max_count
    if request.bounds not in ("none", "outside", "interpolated"):
        raise BadRequest(
            "read raw",
            got=repr(request.bounds),
            want="none, outside or interpolated",
            where="bounds",
        )
    if count is not None and count < 1:
        raise BadRequest("read raw", got=count, want="1 or more", where="max_count")
    if count is not None and count > limits.rows_max:
        raise LimitExceeded(
            "read raw", got=count, want=f"at most {limits.rows_max}", where="max_count"
        )
    if (start is None or end is None) and (count is None or start == end):
        raise BadRequest(
            "read raw",
            got="an open window",
            want="two of start, end and max_count",
            where="start_ns, end_ns",
        )
    _check_times("read raw", start, end)
    if start is None:
        assert end is not None, "checked above"
        return RawPlan(None, end, TIME_MIN_NS, end + 1, True, count)
    if end is None:
        return RawPlan(start, None, start, TIME_MAX_NS, request.backward, count)
    if end < start:
        return RawPlan(end, start, end + 1, start + 1, True, count)
    behind = end + 1 if start == end else end
    return RawPlan(start, end, start, behind, request.backward, count)


def plan_aggregate(
    request: AggregateRequest,
    tag: Tag,
    limits: QueryLimits,
    calendars: Mapping[str, ShiftCalendar] = MappingProxyType({}),
) -> AggregatePlan:
    """Check an aggregate request and cut its window into intervals.

    Raises
    ------
    BadRequest
        For an empty window, a negative interval, no or unknown aggregates, a numeric aggregate
        of a tag that is no number, or shares outside the standard's limits.
    LimitExceeded
        When there would be more than ``limits.intervals_max`` intervals.
    """
    what = "aggregate"
    facts = wanted_facts(request.aggregates, tag)
    start, end, interval = request.start_ns, request.end_ns, request.interval_ns
    if start == end:
        raise BadRequest(what, got="an empty window", want="start other than end", where="end_ns")
    if interval < 0:
        raise BadRequest(what, got=interval, want="0 or more nanoseconds", where="interval_ns")
    if request.resolution_ns < 1:
        raise BadRequest(what, got=request.resolution_ns, want="1 or more", where="resolution_ns")
    good, bad = request.percent_data_good, request.percent_data_bad
    if not (0 <= bad <= 100 and 100 - bad <= good <= 100):
        raise BadRequest(
            what,
            got=f"{good} good and {bad} bad",
            want="shares up to 100, good at least 100 - bad",
            where="percent_data_good, percent_data_bad",
        )
    _check_times(what, start, end)
    if request.step:
        return _cut(request, limits, calendars, facts)
    length = abs(end - start)
    interval = interval or length
    count = -(-length // interval)
    if count > limits.intervals_max:
        raise LimitExceeded(
            what,
            got=f"{count} intervals",
            want=f"at most {limits.intervals_max}",
            where="interval_ns",
        )
    steps = np.arange(count, dtype=np.int64) * interval
    if start < end:
        starts = start + steps
        return AggregatePlan(starts, np.append(starts[1:], np.int64(end)), facts)
    ends = start - steps
    return AggregatePlan(np.append(ends[1:], np.int64(end)), ends, facts)


def _cut(
    request: AggregateRequest,
    limits: QueryLimits,
    calendars: Mapping[str, ShiftCalendar],
    facts: tuple[str, ...],
) -> AggregatePlan:
    """Intervals by the calendar, cut off at the window."""
    if request.interval_ns:
        raise BadRequest(
            "aggregate", got="interval_ns and step", want="one of them", where="interval_ns, step"
        )
    low, high = sorted((request.start_ns, request.end_ns))
    starts: list[int] = []
    ends: list[int] = []
    labels: list[str] = []
    if request.step == "shift":
        shifts = calendar_of(calendars, request.calendar, "calendar")
        if shifts is None:
            raise BadRequest(
                "cut by shifts", got="no shift calendar", want="one configured", where="calendar"
            )
        found: Iterator[tuple[int, int, str]] = shifts.during(low, high)
    else:
        zone = Zone(request.zone)
        step = parse_step(request.step, "step")
        edges = beginnings(zone, step, zone.day_of(low), zone.day_of(high))
        found = ((a, b, "") for a, b in pairwise(edges) if a < high and b > low)
    for start, end, label in found:
        if len(starts) == limits.intervals_max:
            raise LimitExceeded(
                "aggregate",
                got=f"more than {limits.intervals_max} intervals",
                want="a shorter window, or longer intervals",
                where="step",
            )
        starts.append(max(start, low))
        ends.append(min(end, high))
        labels.append(label)
    order = slice(None, None, 1 if request.start_ns < request.end_ns else -1)
    return AggregatePlan(
        np.array(starts[order], dtype=np.int64),
        np.array(ends[order], dtype=np.int64),
        facts,
        tuple(labels[order]) if request.step == "shift" else (),
    )


def plan_windows(
    start: Int64Array,
    end: Int64Array,
    names: tuple[str, ...],
    tag: Tag,
    *,
    limits: QueryLimits,
) -> AggregatePlan:
    """Check windows [start, end) given one by one, which may overlap and come in any order.

    Raises
    ------
    BadRequest
        For an empty window, columns of different length, or a name as in ``wanted_facts``.
    LimitExceeded
        For more than ``limits.intervals_max`` windows.
    """
    what = "aggregate windows"
    facts = wanted_facts(names, tag)
    if start.shape != end.shape or start.ndim != 1:
        raise BadRequest(
            what,
            got=f"shapes {start.shape} and {end.shape}",
            want="one start and one end per window",
            where="starts_ns, ends_ns",
        )
    empty = np.flatnonzero(end <= start)
    if len(empty):
        row = int(empty[0])
        raise BadRequest(
            what,
            got=f"[{start[row]}, {end[row]})",
            want="start before end",
            where=f"window {row}",
        )
    if len(start) > limits.intervals_max:
        raise LimitExceeded(
            what,
            got=f"{len(start)} windows",
            want=f"at most {limits.intervals_max}",
            where="starts_ns",
        )
    if len(start):
        _check_times(what, int(start.min()), int(end.max()))
    return AggregatePlan(start, end, facts)


def wanted_facts(names: tuple[str, ...], tag: Tag) -> tuple[str, ...]:
    """Kinds of facts that aggregates of a tag want, each once.

    Raises
    ------
    BadRequest
        For no name, an unknown one, or one that wants numbers of a tag that has none.
    """
    if not names:
        raise BadRequest("aggregate", got="none", want="one or more aggregates", where="aggregates")
    for name in names:
        if name not in AGGREGATES:
            raise BadRequest(
                "aggregate", got=repr(name), want=", ".join(AGGREGATES), where="aggregates"
            )
        if AGGREGATES[name].numeric and tag.type not in NUMERIC:
            able = ", ".join(n for n, a in AGGREGATES.items() if not a.numeric)
            raise BadRequest(
                f"compute {name} of a {tag.type.name.lower()} tag",
                got=name,
                want=f"a numeric tag, or one of {able}",
                where=f"tag {tag.name!r}",
            )
    return tuple(dict.fromkeys(kind for name in names for kind in AGGREGATES[name].facts))


def plan_plot(request: PlotRequest, limits: QueryLimits) -> Int64Array:
    """Check a plot request and return the edges of its pixel columns; int64, shape (pixels + 1,).

    Raises
    ------
    BadRequest
        For an empty or reversed window, or no pixel.
    LimitExceeded
        For more than ``limits.pixels_max`` pixels.
    """
    start, end, pixels = request.start_ns, request.end_ns, request.pixels
    if end <= start:
        raise BadRequest("plot", got=f"end {end}", want=f"after start {start}", where="end_ns")
    if pixels < 1:
        raise BadRequest("plot", got=pixels, want="1 or more", where="pixels")
    if pixels > limits.pixels_max:
        raise LimitExceeded("plot", got=pixels, want=f"at most {limits.pixels_max}", where="pixels")
    _check_times("plot", start, end)
    width, rest = divmod(end - start, pixels)
    column = np.arange(pixels + 1, dtype=np.int64)
    return start + column * width + column * rest // pixels


def _check_times(what: str, *times: int | None) -> None:
    for time_ns in times:
        if time_ns is not None and not TIME_MIN_NS < time_ns < TIME_MAX_NS:
            raise BadRequest(
                what,
                got=time_ns,
                want=f"nanoseconds between {TIME_MIN_NS} and {TIME_MAX_NS}",
                where="start_ns, end_ns",
            )
