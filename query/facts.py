"""What an aggregate needs to know of an interval: small sums that join.

An aggregate sees only facts, never samples. Facts of adjoining windows join into the facts of
their union, so an interval may be read in pieces, and whoever holds summaries may answer instead
of the samples. Counts, durations and extremes are exact; areas are sums of a shape fixed by the
request.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from query.series import Signal
from storage_engine.sample import AnyArray, BoolArray, Int64Array

Float64Array = npt.NDArray[np.float64]
_T = TypeVar("_T", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Rules:
    """How samples become facts.

    Attributes
    ----------
    stepped : bool
        A value holds until the next sample; else a line joins them.
    treat_uncertain_as_bad : bool
        Uncertain samples are not usable.
    use_sloped_extrapolation : bool
        Interpolated bounds after the last usable sample follow the last slope.
    data_end_ns : int
        Where the covered time ends: one tick after the newest sample, or later when it holds.
    hold : bool
        The newest sample is known to hold until ``data_end_ns``.
    """

    stepped: bool
    treat_uncertain_as_bad: bool
    use_sloped_extrapolation: bool
    data_end_ns: int
    hold: bool


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows [start, end), each a piece of an interval that began at ``origin_ns``."""

    start_ns: Int64Array
    end_ns: Int64Array
    origin_ns: Int64Array


@dataclass(frozen=True, slots=True)
class CountFacts:
    """Samples inside, by severity; int64, shape (windows,)."""

    good: Int64Array
    uncertain: Int64Array
    bad: Int64Array


@dataclass(frozen=True, slots=True)
class ExtremeFacts:
    """Smallest and largest good sample, how often each occurs, and whether it sits at the start.

    ``minimum`` and ``maximum`` have the samples' own dtype and mean nothing where ``ties`` is 0.
    """

    minimum: AnyArray
    minimum_ties: Int64Array
    minimum_at_start: BoolArray
    maximum: AnyArray
    maximum_ties: Int64Array
    maximum_at_start: BoolArray


@dataclass(frozen=True, slots=True)
class AreaFacts:
    """Area under the line through all usable samples, with interpolated bounds.

    ``area`` is in value times seconds, ``covered_ns`` int64; ``uncertain`` where anything but
    Good was used, skipped or extrapolated.
    """

    area: Float64Array
    covered_ns: Int64Array
    uncertain: BoolArray


@dataclass(frozen=True, slots=True)
class RegionFacts:
    """Time by status of regions with simple bounds, in ns, and the area over what is not bad.

    ``start_good_ns`` counts a region by the status it starts with; the other three by the status
    of the whole region, which a sloped line takes from both ends.
    """

    start_good_ns: Int64Array
    good_ns: Int64Array
    uncertain_ns: Int64Array
    bad_ns: Int64Array
    area: Float64Array


def usable(signal: Signal, rules: Rules) -> BoolArray:
    """Mask of samples that are not bad by these rules."""
    return signal.severity < (1 if rules.treat_uncertain_as_bad else 2)


def count_facts(signal: Signal, windows: Windows, _rules: Rules) -> CountFacts:
    """Count samples per window."""
    first, behind = _rows(signal.timestamp_ns, windows)
    counts = [sum_ranges(signal.severity == level, first, behind) for level in (0, 1, 2)]
    return CountFacts(*counts)


def extreme_facts(signal: Signal, windows: Windows, _rules: Rules) -> ExtremeFacts:
    """Smallest and largest good sample per window."""
    good = np.flatnonzero(signal.severity == 0)
    times = signal.timestamp_ns[good]
    values = signal.native[good]
    first, behind = _rows(times, windows)
    sizes = behind - first
    window = np.repeat(np.arange(len(first)), sizes)
    rows = np.arange(len(window)) + np.repeat(first - np.cumsum(sizes) + sizes, sizes)
    at_start = np.zeros(len(first), dtype=np.bool_)
    filled = sizes > 0
    at_start[filled] = times[first[filled]] == windows.origin_ns[filled]
    found: list[AnyArray | Int64Array | BoolArray] = []
    for smaller in (np.minimum, np.maximum):
        extreme = fold_ranges(smaller, values, first, behind)
        ties = np.bincount(window[values[rows] == extreme[window]], minlength=len(first))
        oldest = np.zeros(len(first), dtype=np.bool_)
        oldest[filled] = values[first[filled]] == extreme[filled]
        found += [extreme, ties.astype(np.int64), at_start & oldest]
    return ExtremeFacts(*found)  # type: ignore[arg-type] # two runs of the same three


def area_facts(signal: Signal, windows: Windows, rules: Rules) -> AreaFacts:
    """Area under the line through the usable samples, per window."""
    place = np.flatnonzero(usable(signal, rules))
    times, values, level = (
        signal.timestamp_ns[place],
        signal.number[place],
        signal.severity[place],
    )
    start, end, count = windows.start_ns, windows.end_ns, len(place)
    if count == 0:
        zero = np.zeros(len(start), dtype=np.int64)
        return AreaFacts(zero.astype(np.float64), zero, np.ones(len(start), dtype=np.bool_))
    span = np.diff(times)
    slope = np.append(np.diff(values) / (span * 1e-9), 0.0)
    doubtful = np.append((np.diff(place) > 1) | (level[:-1] > 0) | (level[1:] > 0), True)
    if rules.hold and rules.stepped:
        doubtful[-1] = level[-1] > 0 or place[-1] != len(signal) - 1
    elif not rules.hold and rules.use_sloped_extrapolation and count > 1:
        slope[-1] = slope[-2]
    first, behind = np.searchsorted(times, start), np.searchsorted(times, end)
    # The line after the last usable sample reaches the window's end, or as far as it holds.
    reach = np.maximum(np.minimum(end, rules.data_end_ns), start) if rules.hold else end
    upto = np.where(behind < count, end, reach)
    head = _piece(
        np.maximum(first - 1, 0),
        start,
        np.where(first < behind, times[np.minimum(first, count - 1)], upto),
        (times, values, slope),
    )
    no_head = first == 0
    tail_from = times[np.maximum(behind - 1, 0)]
    tail = _piece(
        np.maximum(behind - 1, 0), tail_from, np.maximum(upto, tail_from), (times, values, slope)
    )
    no_tail = behind == first
    whole = fold_ranges(np.add, (values[1:] + values[:-1]) * (span * 0.5e-9), first, behind - 1)
    area = np.where(no_head, 0.0, head[0]) + whole + np.where(no_tail, 0.0, tail[0])
    inner = np.where(no_tail, 0, tail_from - times[np.minimum(first, count - 1)])
    covered = np.where(no_head, 0, head[1]) + inner + np.where(no_tail, 0, tail[1])
    outer = sum_ranges(signal.severity > 0, *_rows(signal.timestamp_ns, windows)) > 0
    outer |= np.where(
        times[np.minimum(first, count - 1)] == start, False, no_head | doubtful[first - 1]
    )
    at_end = (behind < count) & (times[np.minimum(behind, count - 1)] == end)
    outer |= np.where(
        at_end, level[np.minimum(behind, count - 1)] > 0, (behind == 0) | doubtful[behind - 1]
    )
    return AreaFacts(area, covered, outer)


def region_facts(signal: Signal, windows: Windows, rules: Rules) -> RegionFacts:
    """Time by status of the regions between samples, per window."""
    times, level, count = signal.timestamp_ns, signal.severity, len(signal)
    start, origin = windows.start_ns, windows.origin_ns
    end = np.maximum(np.minimum(windows.end_ns, rules.data_end_ns), start)
    if count == 0:
        zero = np.zeros(len(start), dtype=np.int64)
        return RegionFacts(zero, zero, zero, end - start, zero.astype(np.float64))
    kind, slope = _regions(signal, rules)
    first, behind = np.searchsorted(times, start), np.searchsorted(times, end)
    left, right = np.maximum(first - 1, 0), np.maximum(behind - 1, 0)
    head_end = np.where(first < behind, times[np.minimum(first, count - 1)], end)
    has_head, has_tail = first > 0, behind > first
    line = (times, signal.number, slope)
    head_area, head_ns = _piece(left, start, head_end, line)
    tail_area, tail_ns = _piece(right, times[right], np.maximum(end, times[right]), line)
    head_ns, tail_ns = np.where(has_head, head_ns, 0), np.where(has_tail, tail_ns, 0)
    span = np.diff(times)
    by_kind = [
        np.where(kind[left] == k, head_ns, 0)
        + np.where(kind[right] == k, tail_ns, 0)
        + sum_ranges(np.where(kind[:-1] == k, span, 0), first, behind - 1)
        for k in (0, 1, 2)
    ]
    # Before the first sample of all there is nothing, and nothing counts as bad.
    by_kind[2] += np.where(has_head, 0, head_end - start)
    # A region that starts with a bound has the bound's status; one that starts with a sample
    # inside the interval keeps the sample's, also where the interval is read in pieces.
    starts_good = np.where(times[left] >= origin, level[left] == 0, kind[left] == 0)
    start_good = (
        np.where(starts_good, head_ns, 0)
        + np.where(level[right] == 0, tail_ns, 0)
        + sum_ranges(np.where(level[:-1] == 0, span, 0), first, behind - 1)
    )
    middle = signal.number[:-1] + 0.5 * slope[:-1] * (span * 1e-9)
    inner = middle * (span * 1e-9)
    area = (
        np.where(has_head & (kind[left] < 2), head_area, 0.0)
        + fold_ranges(np.add, np.where(kind[:-1] < 2, inner, 0.0), first, behind - 1)
        + np.where(has_tail & (kind[right] < 2), tail_area, 0.0)
    )
    return RegionFacts(start_good, by_kind[0], by_kind[1], by_kind[2], area)


def _regions(signal: Signal, rules: Rules) -> tuple[npt.NDArray[np.uint8], Float64Array]:
    """Status and slope of the region that each sample opens."""
    level, can = signal.severity, usable(signal, rules)
    flat = np.zeros(len(signal))
    if rules.stepped:
        return np.where(can, level, np.uint8(2)), flat
    last_level = level[-1] if rules.hold else np.uint8(1)
    both = np.append(can[1:] & can[:-1], False)
    kind = np.where(both, np.maximum(level, np.append(level[1:], np.uint8(0))), np.uint8(1))
    if rules.hold:
        kind[-1] = last_level
    slope = flat
    slope[:-1] = np.diff(signal.number) / (np.diff(signal.timestamp_ns) * 1e-9)
    return np.where(can, kind, np.uint8(2)), np.where(both, slope, 0.0)


def _piece(
    sample: Int64Array,
    start_ns: Int64Array,
    end_ns: Int64Array,
    line: tuple[Int64Array, Float64Array, Float64Array],
) -> tuple[Float64Array, Int64Array]:
    """Area and length of the line that ``sample`` opens, between two times."""
    times, values, slope = line
    length = end_ns - start_ns
    middle = ((start_ns - times[sample]) + 0.5 * length) * 1e-9
    return (values[sample] + slope[sample] * middle) * (length * 1e-9), length


def _rows(times: Int64Array, windows: Windows) -> tuple[Int64Array, Int64Array]:
    return np.searchsorted(times, windows.start_ns), np.searchsorted(times, windows.end_ns)


def sum_ranges(
    values: npt.NDArray[np.int64] | BoolArray, first: Int64Array, behind: Int64Array
) -> Int64Array:
    """Integer sums over row ranges; exact, so differences of running sums will do.

    Parameters
    ----------
    values : int64 or bool, shape (n,)
    first, behind : int64, shape (m,)
        first <= row < behind.

    Returns
    -------
    int64, shape (m,)
    """
    running = np.zeros(len(values) + 1, dtype=np.int64)
    np.cumsum(values, out=running[1:])
    behind = np.maximum(behind, first)
    return running[np.minimum(behind, len(values))] - running[np.minimum(first, len(values))]


def fold_ranges(
    function: np.ufunc, values: npt.NDArray[_T], first: Int64Array, behind: Int64Array
) -> npt.NDArray[_T]:
    """Fold row ranges, which may overlap; 0 where a range is empty.

    Parameters
    ----------
    function : ufunc
    values : array, shape (n,)
    first, behind : int64, shape (m,)
        first <= row < behind.

    Returns
    -------
    array, shape (m,)
        Of the dtype of ``values``.
    """
    result = np.zeros(len(first), dtype=values.dtype)
    filled = behind > first
    if filled.any():
        ranges = np.empty(2 * int(filled.sum()), dtype=np.int64)
        ranges[::2], ranges[1::2] = first[filled], behind[filled]
        # reduceat wants every index inside, also the end of the last range.
        result[filled] = function.reduceat(np.append(values, values[-1:]), ranges)[::2]
    return result
