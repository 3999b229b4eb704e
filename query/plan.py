"""Request -> steps: checks what was asked and lays out intervals. Pure; reads nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

import numpy as np

from query.aggregates.naming import aggregate_named
from query.aggregates.registry import AGGREGATES
from query.columns import NUMERIC
from query.errors import BadRequest, LimitExceeded
from query.facts.ranges import overlaps_of
from query.intervals import NO_CALENDARS, Calendars, check_times, cut, moments
from query.ports import Tag
from query.request import (
    AggregateRequest,
    MomentsRequest,
    PlotMethod,
    PlotRequest,
    QueryLimits,
    RawRequest,
)
from query.result import MomentsColumn
from query.series import TIME_MAX_NS, TIME_MIN_NS
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
    """Intervals in the order of the answer, which facts are wanted, and names of intervals.

    ``elsewhere`` gives values of another tag, by its name, at times.
    """

    start_ns: Int64Array
    end_ns: Int64Array
    facts: tuple[str, ...]
    labels: tuple[str, ...] = ()
    elsewhere: Callable[[str, Int64Array], MomentsColumn] | None = None


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
    check_times("read raw", start, end)
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
    calendars: Calendars = NO_CALENDARS,
) -> AggregatePlan:
    """Check an aggregate request and cut its window into intervals.

    Raises
    ------
    BadRequest
        For no or unknown aggregates, a numeric aggregate of a tag that is no number, shares
        outside the standard's limits, a negative length of moving windows; and see
        ``query.intervals.cut``.
    LimitExceeded
        When there would be more than ``limits.intervals_max`` intervals, or more than
        ``limits.overlaps_max`` moving windows over one moment.
    """
    what = "aggregate"
    facts = wanted_facts(request.aggregates, tag)
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
    start_ns, end_ns, labels = cut(what, request, limits, calendars)
    if request.moving_ns:
        start_ns = _moved(what, request.moving_ns, end_ns, limits)
    return AggregatePlan(start_ns, end_ns, facts, labels)


def _moved(what: str, length_ns: int, end_ns: Int64Array, limits: QueryLimits) -> Int64Array:
    """Starts of windows of one length that end with each interval; raises as its caller."""
    if length_ns < 0:
        raise BadRequest(what, got=length_ns, want="1 or more nanoseconds", where="moving_ns")
    check_times(what, int(end_ns.min()) - length_ns)
    start_ns = end_ns - length_ns
    most = overlaps_of(np.sort(start_ns), np.sort(end_ns))
    if most > limits.overlaps_max:
        got, want = f"{most} windows over one moment", f"at most {limits.overlaps_max}"
        raise LimitExceeded(what, got=got, want=want, where="moving_ns")
    return start_ns


def plan_moments(
    request: MomentsRequest, limits: QueryLimits, calendars: Calendars = NO_CALENDARS
) -> Int64Array:
    """Check a request for values at times and lay the times out; int64, shape (n,).

    Raises
    ------
    BadRequest
        For no tags, no times, unknown bounds, and see ``query.intervals.cut``.
    LimitExceeded
        For more than ``limits.tags_max`` tags, ``limits.intervals_max`` times, or more values of
        all tags than ``limits.rows_max``.
    """
    what = "read values at times"
    if request.bounds not in ("interpolated", "simple"):
        raise BadRequest(
            what, got=repr(request.bounds), want="interpolated or simple", where="bounds"
        )
    if not request.tags:
        raise BadRequest(what, got="no tags", want="one or more", where="tags")
    if len(request.tags) > limits.tags_max:
        got, want = f"{len(request.tags)} tags", f"at most {limits.tags_max}"
        raise LimitExceeded(what, got=got, want=want, where="tags")
    if request.times_ns:
        check_times(what, min(request.times_ns), max(request.times_ns))
        times = np.array(request.times_ns, dtype=np.int64)
    else:
        if not request.interval_ns and not request.step:
            raise BadRequest(
                what, got="neither times nor interval", want="one of them", where="times, interval"
            )
        times = moments(what, request, limits, calendars)
    for count, most, of in (
        (len(times), limits.intervals_max, "times"),
        (len(times) * len(request.tags), limits.rows_max, "values"),
    ):
        if count > most:
            raise LimitExceeded(what, got=f"{count} {of}", want=f"at most {most}", where="times")
    return times


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
    facts = wanted_facts(names, tag)
    check_windows("aggregate windows", start, end, limits)
    return AggregatePlan(start, end, facts)


def check_windows(what: str, start: Int64Array, end: Int64Array, limits: QueryLimits) -> None:
    """Refuse windows given one by one that are none, or too many; raises as ``plan_windows``."""
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
        check_times(what, int(start.min()), int(end.max()))


def wanted_facts(names: tuple[str, ...], tag: Tag) -> tuple[str, ...]:
    """Kinds of facts that aggregates of a tag want, each once.

    Raises
    ------
    BadRequest
        For no name, an unknown one, or one that wants numbers of a tag that has none.
    """
    if not names:
        raise BadRequest("aggregate", got="none", want="one or more aggregates", where="aggregates")
    wanted = {name: aggregate_named(name) for name in names}
    for name, aggregate in wanted.items():
        if aggregate.numeric and tag.type not in NUMERIC:
            able = ", ".join(n for n, a in AGGREGATES.items() if not a.numeric)
            raise BadRequest(
                f"compute {name} of a {tag.type.name.lower()} tag",
                got=name,
                want=f"a numeric tag, or one of {able}",
                where=f"tag {tag.name!r}",
            )
    return tuple(dict.fromkeys(kind for one in wanted.values() for kind in one.facts))


def plan_plot(request: PlotRequest, tag: Tag, limits: QueryLimits) -> Int64Array:
    """Check a plot request and return the edges of its pixel columns; int64, shape (pixels + 1,).

    Raises
    ------
    BadRequest
        For an empty or reversed window, no pixel, an unknown method, or triangles of a tag that
        is no number.
    LimitExceeded
        For more than ``limits.pixels_max`` pixels.
    """
    start, end, pixels = request.start_ns, request.end_ns, request.pixels
    if end <= start:
        raise BadRequest("plot", got=f"end {end}", want=f"after start {start}", where="end_ns")
    if request.method not in get_args(PlotMethod):
        want = ", ".join(get_args(PlotMethod))
        raise BadRequest("plot", got=repr(request.method), want=want, where="method")
    if "lttb" in request.method and tag.type not in NUMERIC:
        got = f"{request.method} of a {tag.type.name.lower()} tag"
        raise BadRequest("plot", got=got, want="pi or m4, or a numeric tag", where="method")
    if pixels < 1:
        raise BadRequest("plot", got=pixels, want="1 or more", where="pixels")
    if pixels > limits.pixels_max:
        raise LimitExceeded("plot", got=pixels, want=f"at most {limits.pixels_max}", where="pixels")
    check_times("plot", start, end)
    return columns_over(start, end, pixels)


def columns_over(start_ns: int, end_ns: int, count: int) -> Int64Array:
    """Edges of columns of about equal width; int64, shape (count + 1,)."""
    width, rest = divmod(end_ns - start_ns, count)
    column = np.arange(count + 1, dtype=np.int64)
    return start_ns + column * width + column * rest // count
