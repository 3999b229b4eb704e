"""Values for filters where raw samples have gone and only summaries are left of them."""

from dataclasses import replace

import numpy as np

from query.facts.rules import Rules
from query.ports import Holes
from query.request import QueryLimits
from query.series import TagSamples
from query.summaries import SkeletonSamples, SummaryRows, load


def with_summaries(
    samples: TagSamples, rules: Rules, window: tuple[int, int], limits: QueryLimits
) -> tuple[TagSamples, Rules]:
    """Give samples and rules by which the few samples that summaries tell are known, alone.

    Parameters
    ----------
    samples : TagSamples
        Raw.
    rules : Rules
    window : pair of int
        Start and end.
    limits : QueryLimits

    Raises
    ------
    LimitExceeded
        For more than ``limits.rows_max`` summaries under the window.
    """
    low, high = (np.array([edge], np.int64) for edge in window)
    rows = load(samples, (low, high), limits)
    if rows is None:
        return samples, rules
    return SkeletonSamples(samples, rows), replace(rules, holes=_both(_gone(rows), rules.holes))


def _gone(rows: SummaryRows) -> Holes:
    """Times between two samples that one summary tells, and those that none can tell."""
    times = rows.skeleton().timestamp_ns
    row = np.searchsorted(rows.start, times, side="right") - 1
    inside = (row[1:] == row[:-1]) & (times[:-1] + 1 < times[1:])
    start = np.concatenate([times[:-1][inside] + 1, rows.hole_start])
    end = np.concatenate([times[1:][inside], rows.hole_end])
    order = np.argsort(start, kind="stable")
    return Holes(start[order], end[order])


def _both(gone: Holes, holes: Holes) -> Holes:
    """All holes; one that ends where samples have gone ends with these times."""
    end = holes.end_ns
    if len(gone.start_ns):
        at = np.maximum(np.searchsorted(gone.start_ns, end, side="right") - 1, 0)
        within = (gone.start_ns[at] <= end) & (end < gone.end_ns[at])
        end = np.where(within, gone.end_ns[at], end)
    start = np.concatenate([gone.start_ns, holes.start_ns])
    order = np.argsort(start, kind="stable")
    return Holes(start[order], np.concatenate([gone.end_ns, end])[order])
