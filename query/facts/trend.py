"""The straight line that is closest to the good samples."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from query.facts.joining import Firsts
from query.facts.ranges import fold_ranges, rows_of, spread
from query.facts.rules import Rules, Windows
from query.series import Signal
from storage_engine.sample import Int64Array

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TrendFacts:
    """Means of times and values of the good samples, and sums of products of distances from them.

    Attributes
    ----------
    count : int64, shape (n,)
    base_ns : int64, shape (n,)
        What ``time_s`` is measured from.
    time_s, value : float64, shape (n,)
        Means.
    times, products : float64, shape (n,)
        Sums of squares of distances in time, and of distances in time by distances in value.
    """

    count: Int64Array
    base_ns: Int64Array
    time_s: Float64Array
    value: Float64Array
    times: Float64Array
    products: Float64Array


def trend_facts(signal: Signal, windows: Windows, _rules: Rules) -> TrendFacts:
    """Means and products of each window, in two passes."""
    good = np.flatnonzero(signal.severity == 0)
    first, behind = rows_of(signal.timestamp_ns[good], windows)
    count = np.maximum(behind - first, 0)
    window, rows = spread(first, first + count)
    base_ns = windows.start_ns
    after_s = (signal.timestamp_ns[good][rows] - base_ns[window]) * 1e-9
    value = signal.number[good]
    least = np.maximum(count, 1)
    time_s = np.bincount(window, after_s, minlength=len(count)) / least
    mean = fold_ranges(np.add, value, first, first + count) / least
    off = after_s - time_s[window]
    times, products = (
        np.bincount(window, each, minlength=len(count)).astype(np.float64)
        for each in (off * off, off * (value[rows] - mean[window]))
    )
    return TrendFacts(count, base_ns, time_s, mean, times, products)


def join_trends(facts: TrendFacts, firsts: Firsts) -> TrendFacts:
    """Merge means and products of pieces; as ``query.facts.moments.join_moments``."""
    sizes = np.diff(np.append(firsts, len(facts.count)))
    base_ns = facts.base_ns[firsts]
    from_base_s = facts.time_s + (facts.base_ns - np.repeat(base_ns, sizes)) * 1e-9
    count = np.add.reduceat(facts.count, firsts)
    time_s, value = (
        np.add.reduceat(column * facts.count, firsts) / np.maximum(count, 1)
        for column in (from_base_s, facts.value)
    )
    off_s, off = from_base_s - np.repeat(time_s, sizes), facts.value - np.repeat(value, sizes)
    return TrendFacts(
        count,
        base_ns,
        time_s,
        value,
        np.add.reduceat(facts.times + facts.count * off_s * off_s, firsts),
        np.add.reduceat(facts.products + facts.count * off_s * off, firsts),
    )
