"""Filtered reads: when a filter is true, and what tags did meanwhile."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from query.columns import join_columns, take_columns
from query.errors import BadRequest, LimitExceeded
from query.expression.condition import Condition
from query.expression.feed import too_many
from query.expression.pieces import Int8Array
from query.interval import aggregate_windows
from query.intervals import check_times
from query.parts import Parts, parts_in
from query.plan import AggregatePlan, RawPlan
from query.raw import read_raw
from query.request import AggregateRequest, QueryLimits, RawRequest, SpansRequest
from query.result import (
    AggregateColumn,
    AggregateResult,
    MomentsColumn,
    RawResult,
    SpansResult,
)
from query.series import TagSamples
from storage_engine.sample import BAD_NO_DATA, Int64Array


def plan_spans(request: SpansRequest) -> None:
    """Check a request for spans.

    Raises
    ------
    BadRequest
        For an empty or reversed window, a negative length, no tick, times too far away.
    """
    what = "find spans"
    start, end = request.start_ns, request.end_ns
    if end <= start:
        raise BadRequest(what, got=f"end {end}", want=f"after start {start}", where="end_ns")
    if request.min_length_ns < 0:
        got = request.min_length_ns
        raise BadRequest(what, got=got, want="0 or more nanoseconds", where="min_length_ns")
    if request.resolution_ns < 1:
        raise BadRequest(what, got=request.resolution_ns, want="1 or more", where="resolution_ns")
    check_times(what, start, end)


def read_spans(condition: Condition, request: SpansRequest) -> SpansResult:
    """Spans of a condition over the window of a request; raises as ``Condition.spans``."""
    spans = condition.spans(request.start_ns, request.end_ns)
    if request.min_length_ns:
        spans = spans.without_short(request.min_length_ns)
    return SpansResult(
        condition.tags,
        spans.start_ns,
        spans.end_ns,
        spans.state,
        spans.time(1),
        spans.time(-1),
        spans.time(0),
        condition.samples_used,
        condition.damage,
    )


def read_raw_where(
    condition: Condition,
    samples: TagSamples,
    request: RawRequest,
    plan: RawPlan,
    limits: QueryLimits,
) -> RawResult:
    """One page of the samples at whose time a condition is true.

    Raises
    ------
    BadRequest
        For bounds, and see ``query.raw.read_raw``.
    LimitExceeded
        As ``query.raw.read_raw``, and for more than ``limits.scan_rows_max`` samples read.
    """
    if request.bounds != "none":
        raise BadRequest("read raw", got="bounds and where", want="one of them", where="bounds")
    room = limits.rows_max if plan.max_count is None else plan.max_count
    asked = request
    pages: list[RawResult] = []
    rows, more = 0, True
    while more:
        page = _page(samples, asked, plan, limits, min(limits.chunk_rows, limits.rows_max))
        rows += len(page)
        if rows > limits.scan_rows_max:
            raise too_many(limits)
        true = _true(condition, page)
        if len(true) > room:
            if plan.max_count is None:
                raise LimitExceeded(
                    "read raw",
                    got=f"more than {limits.rows_max} rows",
                    want="a shorter window, or max_count",
                    where=f"tag {samples.tag.name!r}",
                )
            # Read once more up to the last row given: what follows goes on right behind it.
            page = _page(samples, asked, plan, limits, int(true[room - 1]) + 1)
            true = true[:room]
        room -= len(true)
        pages.append(_taken(page, true))
        asked = replace(asked, continuation=page.continuation)
        more = page.continuation is not None and (room > 0 or plan.max_count is None)
    columns = join_columns([page.columns for page in pages])
    none = np.zeros(len(columns), np.bool_)
    return RawResult(samples.tag, columns, none, none, asked.continuation)


def _page(
    samples: TagSamples, request: RawRequest, plan: RawPlan, limits: QueryLimits, rows: int
) -> RawResult:
    return read_raw(samples, request, replace(plan, max_count=rows), limits)


def _true(condition: Condition, page: RawResult) -> Int64Array:
    """Rows of a page at whose time a condition is true."""
    times = page.columns.timestamp_ns
    if len(times) == 0:
        return np.zeros(0, np.int64)
    spans = condition.spans(int(times.min()), int(times.max()) + 1)
    return np.flatnonzero(spans.at(times) == 1)


def _taken(page: RawResult, rows: Int64Array) -> RawResult:
    return replace(page, columns=take_columns(page.columns, rows))


def aggregate_where(
    condition: Condition,
    samples: TagSamples,
    plan: AggregatePlan,
    request: AggregateRequest,
    limits: QueryLimits,
    *,
    now_ns: int | None,
) -> AggregateResult:
    """Aggregates over the time of each interval in which a condition is true.

    An interval without such time has null, Bad_NoData.

    Raises
    ------
    LimitExceeded
        See ``query.interval.aggregate_windows`` and ``Condition.spans``.
    """
    windows = (plan.start_ns, plan.end_ns)
    count = len(plan.start_ns)
    if count == 0:
        return aggregate_windows(samples, plan, request, limits, now_ns=now_ns)
    spans = condition.spans(int(plan.start_ns.min()), int(plan.end_ns.max()))
    parts = parts_in(spans, 1, windows)
    held, owner = np.unique(parts.owner, return_inverse=True)
    first = np.searchsorted(parts.owner, held)
    last = np.searchsorted(parts.owner, held, side="right") - 1
    starts, ends = parts.start_ns[first], parts.end_ns[last]
    narrow = AggregatePlan(starts, ends, plan.facts, elsewhere=plan.elsewhere)
    cut = Parts(owner.astype(np.int64), parts.start_ns, parts.end_ns)
    found = aggregate_windows(
        samples, narrow, request, limits, now_ns=now_ns, parts=cut if len(cut) else None
    )
    columns = {name: _spread(one, held, windows[0]) for name, one in found.columns.items()}
    return AggregateResult(
        samples.tag,
        *windows,
        columns,
        _placed(found.percent_good, held, count),
        _placed(found.samples_used, held, count),
        _placed(found.partial, held, count),
        _placed(found.summary_ns, held, count),
        plan.labels,
        gap_ns=_placed(found.gap_ns, held, count),
        edited=_placed(found.edited, held, count),
        true_ns=parts.time(count),
        unknown_ns=parts_in(spans, 0, windows).time(count),
    )


def among_others(column: MomentsColumn, state: Int8Array) -> MomentsColumn:
    """Values of the times at which a filter is true among those at which it is not."""
    held, count = np.flatnonzero(state == 1), len(state)
    status = np.full(count, BAD_NO_DATA, np.uint32)
    status[held] = column.status
    return replace(
        column,
        value=_placed(column.value, held, count),
        valid=_placed(column.valid, held, count),
        status=status,
    )


def _placed(values: npt.NDArray[Any], held: Int64Array, count: int) -> npt.NDArray[Any]:
    """Values of some of ``count`` intervals; zero of the others."""
    placed = np.zeros(count, values.dtype)
    placed[held] = values
    return placed


def _spread(column: AggregateColumn, held: Int64Array, start_ns: Int64Array) -> AggregateColumn:
    """Column of all intervals from that of some; the others have no data."""
    count = len(start_ns)
    status = np.full(count, BAD_NO_DATA, np.uint32)
    status[held] = column.status
    time_ns = None
    if column.time_ns is not None:
        time_ns = start_ns.copy()
        time_ns[held] = column.time_ns
    estimated = None if column.estimated is None else _placed(column.estimated, held, count)
    return AggregateColumn(
        column.type,
        _placed(column.value, held, count),
        _placed(column.valid, held, count),
        status,
        time_ns,
        estimated,
        column.eng_unit,
    )
