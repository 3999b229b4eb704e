"""Filtered reads: when a filter is true, and what tags did meanwhile."""

from query.errors import BadRequest
from query.expression.condition import Condition
from query.intervals import check_times
from query.request import SpansRequest
from query.result import SpansResult


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
