"""The newest sample of each of many tags."""

from collections.abc import Callable, Sequence

import numpy as np

from query.ports import SampleReader, Tag
from query.result import LatestResult
from storage_engine.sample import BoolArray, Int64Array


def read_latest(
    reader: SampleReader, tags: tuple[Tag, ...], clock_now: Callable[[], int]
) -> LatestResult:
    """Newest sample of each tag, one row per tag in the order given.

    Parameters
    ----------
    reader : SampleReader
    tags : tuple of Tag
    clock_now : callable
        Nanoseconds since 1970, UTC: what is stale goes by it.
    """
    series = [series_id for tag in tags for series_id in tag.series]
    owner = np.array([i for i, tag in enumerate(tags) for _ in tag.series], dtype=np.int64)
    if not series:
        none = np.zeros(len(tags), dtype=np.int64)
        empty: list[object] = [None] * len(tags)
        stale = _stale(clock_now, tags, none > 0, none)
        return LatestResult(tags, none > 0, none, none.astype(np.uint32), empty, stale)
    found = reader.latest(series)
    if len(series) == len(tags) and found.present.all() and (np.diff(owner) == 1).all():
        stale = _stale(clock_now, tags, found.present, found.timestamp_ns)
        columns = (found.present, found.timestamp_ns, found.quality, found.value)
        return LatestResult(tags, *columns, stale)
    # Per tag the newest time; among series that share it, the newest series.
    order = np.lexsort((np.arange(len(series)), found.timestamp_ns, found.present, owner))
    row = np.full(len(tags), -1, dtype=np.int64)
    row[owner[order]] = order
    held = row >= 0
    present = held & found.present[row]
    values = [
        found.value[r] if ok else None for r, ok in zip(row.tolist(), present.tolist(), strict=True)
    ]
    times = np.where(present, found.timestamp_ns[row], 0)
    quality = np.where(present, found.quality[row], 0).astype(np.uint32)
    stale = _stale(clock_now, tags, present, times)
    return LatestResult(tags, present, times, quality, values, stale)


def _stale(
    clock_now: Callable[[], int], tags: Sequence[Tag], present: BoolArray, times: Int64Array
) -> BoolArray:
    """Where the newest sample is older than its tag allows, or missing."""
    if all(tag.stale_after_ns is None for tag in tags):
        return np.zeros(len(tags), np.bool_)
    now_ns = clock_now()
    rows = zip(tags, present.tolist(), times.tolist(), strict=True)
    stale = [
        tag.stale_after_ns is not None and (not there or now_ns - time > tag.stale_after_ns)
        for tag, there, time in rows
    ]
    return np.array(stale, np.bool_)
