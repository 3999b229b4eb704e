"""Joins of times and windows with samples: what held at a moment, what a window averaged."""

from collections.abc import Sequence

import numpy as np

from query.columns import join_columns, take_columns
from query.errors import LimitExceeded
from query.interval import aggregate_windows
from query.plan import plan_windows
from query.ports import SampleReader, Tag
from query.request import AggregateRequest, QueryLimits
from query.result import AggregateResult, AsOfResult
from query.series import TagSamples
from storage_engine.sample import DTYPES, ColumnData, Int64Array, SampleColumns

# Up to this many moments are looked up one by one; more are cheaper in one pass.
_LOOKUPS_MAX = 1024


def window_aggregates(
    reader: SampleReader,
    tag: Tag,
    starts_ns: Int64Array | Sequence[int],
    ends_ns: Int64Array | Sequence[int],
    aggregates: tuple[str, ...],
    *,
    treat_uncertain_as_bad: bool = True,
    stepped: bool | None = None,
    hold_until_ns: int | None = None,
    limits: QueryLimits | None = None,
) -> AggregateResult:
    """Aggregates of one tag over many windows, which may overlap and come in any order.

    Parameters
    ----------
    reader : SampleReader
        Holds the samples.
    tag : Tag
        Of which tag.
    starts_ns, ends_ns : int64, shape (n,)
        Windows [start, end), start < end.
    aggregates : tuple of str
        Names of the registry. ``TimeAverage2`` is the time-weighted mean that honours stepped
        tags and leaves bad time out; ``TimeAverage`` draws a line over bad samples.
    treat_uncertain_as_bad : bool
        Uncertain samples count as bad.
    stepped : bool or None
        Overrides the tag's own interpolation.
    hold_until_ns : int or None
        Until when the newest sample is known to hold; None: data ends with it.
    limits : QueryLimits or None
        Bounds of the work.

    Returns
    -------
    AggregateResult
        One row per window, in the order given.

    Raises
    ------
    BadRequest, LimitExceeded
        See ``plan_windows``.
    """
    bounds = limits or QueryLimits()
    start, end = np.asarray(starts_ns, dtype=np.int64), np.asarray(ends_ns, dtype=np.int64)
    plan = plan_windows(start, end, aggregates, tag, limits=bounds)
    request = AggregateRequest(
        tag.name,
        0,
        0,
        0,
        aggregates,
        treat_uncertain_as_bad=treat_uncertain_as_bad,
        stepped=stepped,
    )
    return aggregate_windows(TagSamples(reader, tag), plan, request, bounds, now_ns=hold_until_ns)


def as_of(
    reader: SampleReader,
    tag: Tag,
    times_ns: Int64Array | Sequence[int],
    *,
    max_age_ns: int | None = None,
    limits: QueryLimits | None = None,
) -> AsOfResult:
    """Newest sample at or before each time, of any quality.

    Parameters
    ----------
    reader : SampleReader
        Holds the samples.
    tag : Tag
        Of which tag.
    times_ns : int64, shape (n,)
        Any order, repeats allowed.
    max_age_ns : int or None
        A sample older than this, seen from its time, does not count.
    limits : QueryLimits or None
        Bounds of the work.

    Returns
    -------
    AsOfResult
        One row per time, in the order given.

    Raises
    ------
    LimitExceeded
        When more than ``limits.scan_rows_max`` samples would be read.
    """
    bounds = limits or QueryLimits()
    times = np.asarray(times_ns, dtype=np.int64)
    samples = TagSamples(reader, tag)
    moments, back = np.unique(times, return_inverse=True)
    if len(moments) <= _LOOKUPS_MAX:
        found, row = _looked_up(samples, moments)
    else:
        found, row = _passed_over(samples, moments, bounds)
    present = row[back] >= 0
    if len(found) == 0:
        return AsOfResult(present, _nothing(tag, len(times)))
    columns = take_columns(found, np.maximum(row[back], 0))
    if max_age_ns is not None:
        present &= times - columns.timestamp_ns <= max_age_ns
    return AsOfResult(present, columns)


def _looked_up(samples: TagSamples, moments: Int64Array) -> tuple[SampleColumns, Int64Array]:
    parts = [samples.previous(int(moment), inclusive=True) for moment in moments]
    sizes = np.array([len(part) for part in parts], dtype=np.int64)
    row = np.where(sizes > 0, np.cumsum(sizes) - 1, -1)
    return (join_columns(parts) if parts else _nothing(samples.tag, 0)), row


def _passed_over(
    samples: TagSamples, moments: Int64Array, limits: QueryLimits
) -> tuple[SampleColumns, Int64Array]:
    """One pass over the samples between the first and the last moment, piece by piece."""
    kept = [samples.previous(int(moments[0]), inclusive=True)]
    row = np.full(len(moments), len(kept[0]) - 1, dtype=np.int64)
    held, rows = len(kept[0]), 0
    position, complete = int(moments[0]) + 1, False
    while not complete:
        piece, complete = samples.read(position, int(moments[-1]) + 1, max_count=limits.chunk_rows)
        rows += len(piece)
        if rows > limits.scan_rows_max:
            raise LimitExceeded(
                "join times with samples",
                got=f"more than {limits.scan_rows_max} samples",
                want="times closer together",
                where=f"tag {samples.tag.name!r}",
            )
        if len(piece) == 0:
            continue
        position = int(piece.timestamp_ns[-1]) + 1
        newest = np.searchsorted(piece.timestamp_ns, moments, side="right") - 1
        wanted, place = np.unique(newest[newest >= 0], return_inverse=True)
        row[newest >= 0] = held + place
        kept.append(take_columns(piece, wanted))
        held += len(wanted)
    return join_columns(kept), row


def _nothing(tag: Tag, count: int) -> SampleColumns:
    return SampleColumns(
        np.zeros(count, dtype=np.int64),
        np.zeros(count, dtype=np.uint32),
        ColumnData(tag.type, np.zeros(count, DTYPES[tag.type]), np.zeros(count, dtype=np.bool_)),
        np.zeros(count, dtype=np.uint64),
    )
