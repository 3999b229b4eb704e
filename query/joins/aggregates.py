"""The aggregates of OPC 10000-13 over windows given one by one."""

from collections.abc import Sequence

import numpy as np

from query.interval import aggregate_windows
from query.plan import plan_windows
from query.ports import SampleReader, Tag
from query.request import AggregateRequest, QueryLimits
from query.result import AggregateResult
from query.series import TagSamples
from storage_engine.sample import Int64Array


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
