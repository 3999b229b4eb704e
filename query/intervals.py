"""Cuts a window into intervals: of one length from its start, by the calendar, or by shifts."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from query.calendar.relative import calendar_of
from query.calendar.shifts import ShiftCalendar
from query.calendar.steps import beginnings, parse_step
from query.calendar.zone import Zone
from query.errors import BadRequest, LimitExceeded
from query.request import (
    AggregateRequest,
    CorrelationRequest,
    CutRequest,
    MomentsRequest,
    QueryLimits,
    StatesRequest,
)
from query.series import TIME_MAX_NS, TIME_MIN_NS
from storage_engine.sample import Int64Array

Calendars = Mapping[str, ShiftCalendar]
NO_CALENDARS: Calendars = MappingProxyType({})
Cuttable = CutRequest | AggregateRequest | MomentsRequest | StatesRequest | CorrelationRequest


class Intervals(NamedTuple):
    """Intervals in the order of the answer; ``labels`` are names of shifts, else empty."""

    start_ns: Int64Array
    end_ns: Int64Array
    labels: tuple[str, ...]


def cut(
    what: str, request: Cuttable, limits: QueryLimits, calendars: Calendars = NO_CALENDARS
) -> Intervals:
    """Intervals of a window; ``end_ns < start_ns`` cuts backwards and gives the newest first.

    Parameters
    ----------
    what : str
        What is done, for errors.
    request : Cuttable
    limits : QueryLimits
    calendars : mapping of str to ShiftCalendar

    Raises
    ------
    BadRequest
        For an empty window, a negative interval, times too far away, a wrong step or zone.
    LimitExceeded
        When there would be more than ``limits.intervals_max`` intervals.
    """
    start, end, interval = request.start_ns, request.end_ns, request.interval_ns
    _check(what, request)
    if request.step:
        return _by_calendar(what, request, limits, calendars)
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
        return Intervals(starts, np.append(starts[1:], np.int64(end)), ())
    ends = start - steps
    return Intervals(np.append(ends[1:], np.int64(end)), ends, ())


def moments(
    what: str, request: Cuttable, limits: QueryLimits, calendars: Calendars = NO_CALENDARS
) -> Int64Array:
    """Beginnings of intervals inside the window; raises as :func:`cut`."""
    found = cut(what, request, limits, calendars)
    starts = found.start_ns
    if request.step and len(starts):
        low, high = sorted((request.start_ns, request.end_ns))
        first = 0 if request.start_ns < request.end_ns else -1
        true = next(iter(_spans(request, calendars, low, high)))[0]
        if true < low:  # cut off at the window's edge: its beginning lies before
            starts = np.delete(starts, first)
    return starts


def check_times(what: str, *times: int | None) -> None:
    """Refuse times too far away."""
    for time_ns in times:
        if time_ns is not None and not TIME_MIN_NS < time_ns < TIME_MAX_NS:
            raise BadRequest(
                what,
                got=time_ns,
                want=f"nanoseconds between {TIME_MIN_NS} and {TIME_MAX_NS}",
                where="start_ns, end_ns",
            )


def _check(what: str, request: Cuttable) -> None:
    start, end, interval = request.start_ns, request.end_ns, request.interval_ns
    if start == end:
        raise BadRequest(what, got="an empty window", want="start other than end", where="end_ns")
    if interval < 0:
        raise BadRequest(what, got=interval, want="0 or more nanoseconds", where="interval_ns")
    if request.step and interval:
        raise BadRequest(
            what, got="interval_ns and step", want="one of them", where="interval_ns, step"
        )
    check_times(what, start, end)


def _by_calendar(
    what: str, request: Cuttable, limits: QueryLimits, calendars: Calendars
) -> Intervals:
    """Intervals by the calendar, cut off at the window."""
    low, high = sorted((request.start_ns, request.end_ns))
    starts: list[int] = []
    ends: list[int] = []
    labels: list[str] = []
    for start, end, label in _spans(request, calendars, low, high):
        if len(starts) == limits.intervals_max:
            raise LimitExceeded(
                what,
                got=f"more than {limits.intervals_max} intervals",
                want="a shorter window, or longer intervals",
                where="step",
            )
        starts.append(max(start, low))
        ends.append(min(end, high))
        labels.append(label)
    order = slice(None, None, 1 if request.start_ns < request.end_ns else -1)
    return Intervals(
        np.array(starts[order], dtype=np.int64),
        np.array(ends[order], dtype=np.int64),
        tuple(labels[order]) if request.step == "shift" else (),
    )


def _spans(
    request: Cuttable, calendars: Calendars, low: int, high: int
) -> Iterator[tuple[int, int, str]]:
    if request.step == "shift":
        shifts = calendar_of(calendars, request.calendar, "calendar")
        if shifts is None:
            raise BadRequest(
                "cut by shifts", got="no shift calendar", want="one configured", where="calendar"
            )
        yield from shifts.during(low, high)
        return
    zone = Zone(request.zone)
    edges = beginnings(zone, parse_step(request.step, "step"), zone.day_of(low), zone.day_of(high))
    yield from ((a, b, "") for a, b in pairwise(edges) if a < high and b > low)
