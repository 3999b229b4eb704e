"""Deletions that cover no row any more: nothing is left for them to hide."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from storage_engine.segment.layout import SegmentInfo
from storage_engine.segment.reader import Directory
from storage_engine.tombstones import Tombstone


def bare_deletions(
    tombstones: Iterable[Tombstone],
    segments: Sequence[SegmentInfo],
    directory: Callable[[SegmentInfo], Directory | None],
    flushed_lsn: int,
) -> frozenset[Tombstone]:
    """Find deletions that no live row lies under.

    Parameters
    ----------
    tombstones : iterable of Tombstone
        Erasures among them stay: their end is looked after elsewhere.
    segments : sequence of SegmentInfo
        All live ones, read after ``flushed_lsn``.
    directory : callable
        Directory of a segment, None when it cannot be read.
    flushed_lsn : int
        All rows up to it are in segments.

    Returns
    -------
    frozenset of Tombstone
    """
    return frozenset(
        one
        for one in tombstones
        if not one.erase
        and one.lsn <= flushed_lsn
        and not any(_under(one, info, directory) for info in segments)
    )


def _under(
    one: Tombstone, info: SegmentInfo, directory: Callable[[SegmentInfo], Directory | None]
) -> bool:
    """Whether a segment may hold a row that the deletion covers."""
    if not one.touches(info.first, info.last, info.lsn_min):
        return False
    found = directory(info)
    if found is None:
        return True
    runs, table = found.runs_of(one.stream_id), found.table
    inside = (table["run_first"][runs] < one.end_ns) & (table["run_last"][runs] >= one.start_ns)
    return bool((inside & (table["run_stamp_min"][runs] < np.uint64(one.lsn * 2))).any())
