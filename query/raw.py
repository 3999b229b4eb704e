"""Raw samples in pages, with bounding values; the continuation is exact also among equal times."""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from query.columns import NUMERIC, join_columns, take_columns
from query.errors import BadRequest, LimitExceeded
from query.facts.rules import Rules
from query.interpolation import as_type, interpolate
from query.plan import RawPlan
from query.request import QueryLimits, RawRequest
from query.result import RawResult
from query.scan import neighbours
from query.series import TIME_MAX_NS, TIME_MIN_NS, TagSamples, join_signals
from storage_engine.sample import (
    BAD_NO_DATA,
    DTYPES,
    ColumnData,
    SampleColumns,
    ValueType,
)

BAD_BOUND_NOT_FOUND = 0x80D7_0000
_OPEN_EDGE_NS = 1_000_000_000  # a missing bound of an open side stands one second outside


@dataclass(frozen=True, slots=True)
class _Cursor:
    """Where a page ended: behind the first bound, and behind this many rows of (time, lsn)."""

    inner_done: bool = False
    time_ns: int | None = None
    lsn: int = 0
    taken: int = 0


@dataclass(frozen=True, slots=True)
class _Edges:
    """Rows that bound the window, and how far the rows between them reach."""

    low: SampleColumns | None
    high: SampleColumns | None
    first_ns: int
    behind_ns: int


def read_raw(
    samples: TagSamples, request: RawRequest, plan: RawPlan, limits: QueryLimits
) -> RawResult:
    """One page of a raw read.

    Parameters
    ----------
    samples : TagSamples
        Of the tag.
    request : RawRequest
        What was asked.
    plan : RawPlan
        Its window, checked.
    limits : QueryLimits
        Rows of an answer without ``max_count``.

    Raises
    ------
    BadRequest
        For a continuation that is none, or of another request.
    LimitExceeded
        For more than ``limits.rows_max`` rows and no ``max_count``.
    """
    cursor = None if request.continuation is None else _decoded(request)
    edges = _edges(samples, request, plan, limits)
    opening, closing = (edges.high, edges.low) if plan.descending else (edges.low, edges.high)
    room = limits.rows_max if plan.max_count is None else plan.max_count
    parts: list[SampleColumns] = []
    if cursor is None and opening is not None:
        parts.append(opening)
        room -= 1
    if cursor is None or not cursor.inner_done:
        inner = _inner(samples, request, plan, edges, cursor, want=room + 1)
    else:
        inner = take_columns(_null_row(samples.tag.type, 0, 0), slice(0, 0))
    more = len(inner) > room
    inner = take_columns(inner, slice(0, room)) if more else inner
    parts.append(inner)
    room -= len(inner)
    left = more or (closing is not None and room == 0)
    if closing is not None and not left:
        parts.append(closing)
    if left and plan.max_count is None:
        raise LimitExceeded(
            "read raw",
            got=f"more than {limits.rows_max} rows",
            want="a shorter window, or max_count",
            where=f"tag {samples.tag.name!r}",
        )
    columns = parts[0] if len(parts) == 1 else join_columns(parts)
    times = columns.timestamp_ns
    computed = np.zeros(len(columns), dtype=np.bool_)
    if request.bounds == "interpolated":
        computed = (columns.lsn == 0) & (columns.quality != BAD_NO_DATA)
    bound = (times < plan.first_ns) | (times >= plan.behind_ns) | (columns.lsn == 0)
    following = _advanced(cursor, inner, inner_done=not more) if left else None
    return RawResult(
        samples.tag,
        columns,
        bound,
        computed,
        None if following is None else _encoded(request, following),
    )


def read_pages(
    ask: Callable[[RawRequest], RawResult], request: RawRequest, rows: int
) -> Iterator[RawResult]:
    """All of a raw read, page after page; what ``ask`` raises, page by page, too.

    Parameters
    ----------
    ask : callable
        Answers one page.
    request : RawRequest
        Without ``max_count``.
    rows : int
        Of a page.
    """
    asked = replace(request, max_count=rows)
    while True:
        page = ask(asked)
        yield page
        if page.continuation is None:
            return
        asked = replace(asked, continuation=page.continuation)


def _inner(
    samples: TagSamples,
    request: RawRequest,
    plan: RawPlan,
    edges: _Edges,
    cursor: _Cursor | None,
    *,
    want: int,
) -> SampleColumns:
    """Rows between the bounds that follow the cursor, at most ``want``."""
    first, behind = edges.first_ns, edges.behind_ns
    if cursor is None or cursor.time_ns is None:
        return samples.read(
            first,
            behind,
            max_count=want,
            backward=plan.descending,
            all_revisions=request.all_revisions,
        )[0]
    step = 0 if request.all_revisions else 1
    if plan.descending:
        behind = cursor.time_ns + 1 - step
    else:
        first = cursor.time_ns + step
    size = want + (cursor.taken if request.all_revisions else 0)
    while True:
        found, complete = samples.read(
            first,
            behind,
            max_count=size,
            backward=plan.descending,
            all_revisions=request.all_revisions,
        )
        drop = _already_given(found, cursor, descending=plan.descending)
        if complete or len(found) - drop >= want:
            return take_columns(found, slice(drop, drop + want))
        size *= 2


def _already_given(found: SampleColumns, cursor: _Cursor, *, descending: bool) -> int:
    same = found.timestamp_ns == np.int64(cursor.time_ns or 0)
    lsn = np.uint64(cursor.lsn)
    passed = found.lsn > lsn if descending else found.lsn < lsn
    level = int(np.count_nonzero(same & (found.lsn == lsn)))
    return int(np.count_nonzero(same & passed)) + min(cursor.taken, level)


def _advanced(cursor: _Cursor | None, inner: SampleColumns, *, inner_done: bool) -> _Cursor:
    if len(inner) == 0:
        before = cursor or _Cursor()
        return _Cursor(inner_done, before.time_ns, before.lsn, before.taken)
    time_ns, lsn = int(inner.timestamp_ns[-1]), int(inner.lsn[-1])
    taken = int(np.count_nonzero((inner.timestamp_ns == time_ns) & (inner.lsn == lsn)))
    if cursor is not None and (cursor.time_ns, cursor.lsn) == (time_ns, lsn):
        taken += cursor.taken
    return _Cursor(inner_done, time_ns, lsn, taken)


def _edges(samples: TagSamples, request: RawRequest, plan: RawPlan, limits: QueryLimits) -> _Edges:
    first, behind = plan.first_ns, plan.behind_ns
    if request.bounds == "none":
        return _Edges(None, None, first, behind)
    low: SampleColumns | None = None
    high: SampleColumns | None = None
    if request.bounds == "outside" and (plan.low_ns is None or plan.high_ns is None):
        low, high = _open_edges(samples, plan)
    if plan.low_ns is not None:
        if len(samples.read(plan.low_ns, plan.low_ns + 1, max_count=1)[0]):
            first = min(first, plan.low_ns)
        else:
            low = _edge(samples, request, plan.low_ns, limits, before=True)
    if plan.high_ns is not None:
        if len(samples.read(plan.high_ns, plan.high_ns + 1, max_count=1)[0]):
            behind = max(behind, plan.high_ns + 1)
        elif request.bounds == "outside" or plan.low_ns != plan.high_ns:
            high = _edge(samples, request, plan.high_ns, limits, before=False)
    return _Edges(low, high, first, behind)


def _open_edges(
    samples: TagSamples, plan: RawPlan
) -> tuple[SampleColumns | None, SampleColumns | None]:
    """Stand-ins for the bound that an open side can never have."""
    type_ = samples.tag.type
    extent = samples.extent()
    if plan.low_ns is None:
        at = extent[0] if extent is not None else plan.behind_ns - 1
        return _null_row(type_, at - _OPEN_EDGE_NS, BAD_BOUND_NOT_FOUND), None
    at = extent[1] if extent is not None else plan.low_ns
    return None, _null_row(type_, at + _OPEN_EDGE_NS, BAD_BOUND_NOT_FOUND)


def _edge(
    samples: TagSamples, request: RawRequest, time_ns: int, limits: QueryLimits, *, before: bool
) -> SampleColumns:
    """Bound at a time that holds no sample."""
    if request.bounds == "interpolated":
        return _interpolated_row(samples, time_ns, request, limits)
    found = samples.previous(time_ns) if before else samples.next(time_ns)
    return found if len(found) else _null_row(samples.tag.type, time_ns, BAD_BOUND_NOT_FOUND)


def _interpolated_row(
    samples: TagSamples, time_ns: int, request: RawRequest, limits: QueryLimits
) -> SampleColumns:
    tag = samples.tag
    extent = samples.extent()
    stepped = tag.stepped or tag.type not in NUMERIC or tag.type == ValueType.BOOL
    rules = Rules(
        stepped=stepped,
        treat_uncertain_as_bad=request.treat_uncertain_as_bad,
        use_sloped_extrapolation=False,
        data_end_ns=(extent[1] if extent is not None else TIME_MIN_NS) + 1,
        hold=False,
    )
    signal = join_signals(
        [
            neighbours(samples, time_ns, rules, 1, before=True, limits=limits),
            neighbours(samples, time_ns, rules, 1, before=False, limits=limits),
        ]
    )
    found = interpolate(signal, np.array([time_ns], dtype=np.int64), rules)
    if found.row[0] < 0:
        return _null_row(tag.type, time_ns, BAD_NO_DATA)
    held = samples.previous(int(signal.timestamp_ns[found.row[0]]), inclusive=True)
    value = held.value
    if not stepped:
        value = ColumnData(value.type, as_type(found.number, value.type))
    return SampleColumns(
        np.array([time_ns], dtype=np.int64), found.status, value, np.zeros(1, dtype=np.uint64)
    )


def _null_row(type_: ValueType, time_ns: int, quality: int) -> SampleColumns:
    return SampleColumns(
        np.array([min(max(time_ns, TIME_MIN_NS), TIME_MAX_NS)], dtype=np.int64),
        np.array([quality], dtype=np.uint32),
        ColumnData(type_, np.zeros(1, dtype=DTYPES[type_]), np.zeros(1, dtype=np.bool_)),
        np.zeros(1, dtype=np.uint64),
    )


def _digest(request: RawRequest) -> str:
    """What a continuation belongs to: everything but itself and the size of a page."""
    fields = (
        request.tag,
        request.start_ns,
        request.end_ns,
        request.bounds,
        request.backward,
        request.all_revisions,
        request.known_at_lsn,
        request.treat_uncertain_as_bad,
        request.where,
        request.hold_last,
    )
    return hashlib.blake2b(repr(fields).encode(), digest_size=8).hexdigest()


def _encoded(request: RawRequest, cursor: _Cursor) -> str:
    fields = [_digest(request), cursor.inner_done, cursor.time_ns, cursor.lsn, cursor.taken]
    return base64.urlsafe_b64encode(json.dumps(fields).encode()).decode()


def _decoded(request: RawRequest) -> _Cursor:
    refused = BadRequest(
        "continue the raw read",
        got=repr(request.continuation),
        want="the continuation of the same request",
        where="continuation",
    )
    try:
        fields = json.loads(base64.urlsafe_b64decode((request.continuation or "").encode()))
        digest, inner_done, time_ns, lsn, taken = fields
    except (binascii.Error, ValueError, TypeError) as error:
        raise refused from error
    numbers = [lsn, taken, 0 if time_ns is None else time_ns]
    sound = all(type(n) is int for n in numbers) and type(inner_done) is bool
    if digest != _digest(request) or not sound or not 0 <= lsn < 2**64 or taken < 0:
        raise refused
    if time_ns is not None and not TIME_MIN_NS <= time_ns <= TIME_MAX_NS:
        raise refused
    return _Cursor(inner_done, time_ns, lsn, taken)
