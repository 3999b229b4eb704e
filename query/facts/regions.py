"""Time by status of the regions between samples, with simple bounds."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from query.facts.ranges import fold_ranges, sum_ranges
from query.facts.rules import Rules, Windows, usable
from query.series import Signal
from storage_engine.sample import BoolArray, Int64Array

Float64Array = npt.NDArray[np.float64]


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


@dataclass(frozen=True, slots=True)
class StateFacts:
    """Time in ns of regions that start Good with the value zero, false."""

    zero_ns: Int64Array


class Regions:
    """Regions that the samples of a signal open, cut by windows.

    A window is its head (from its start to the first sample inside), the whole regions between
    samples inside, and its tail (from the last sample inside to its end).

    Parameters
    ----------
    signal : Signal
        At least one sample.
    windows : Windows
    rules : Rules
    """

    def __init__(self, signal: Signal, windows: Windows, rules: Rules) -> None:
        times, count = signal.timestamp_ns, len(signal)
        start = windows.start_ns
        end = np.maximum(np.minimum(windows.end_ns, rules.data_end_ns), start)
        self.kind, self.slope = _regions(signal, rules)
        self.first, self.behind = np.searchsorted(times, start), np.searchsorted(times, end)
        self.left, self.right = np.maximum(self.first - 1, 0), np.maximum(self.behind - 1, 0)
        self.has_head, has_tail = self.first > 0, self.behind > self.first
        head_end = np.where(has_tail, times[np.minimum(self.first, count - 1)], end)
        line = (times, signal.number, self.slope)
        head_area, head_ns = piece_of(self.left, start, head_end, line)
        tail_from = times[self.right]
        tail_area, tail_ns = piece_of(self.right, tail_from, np.maximum(end, tail_from), line)
        self.before_ns = np.where(self.has_head, 0, head_end - start)
        self.head_ns = np.where(self.has_head, head_ns, 0)
        self.tail_ns = np.where(has_tail, tail_ns, 0)
        self.head_area = np.where(self.has_head, head_area, 0.0)
        self.tail_area = np.where(has_tail, tail_area, 0.0)
        self.span = np.diff(times)
        # A region that starts with a bound has the bound's status; one that starts with a sample
        # inside the interval keeps the sample's, also where the interval is read in pieces.
        self.by_sample = times[self.left] >= windows.origin_ns
        level = signal.severity
        self.head_good = np.where(self.by_sample, level[self.left] == 0, self.kind[self.left] == 0)

    def time(self, head: BoolArray, regions: BoolArray) -> Int64Array:
        """Time of chosen regions per window.

        Parameters
        ----------
        head : bool, shape (windows,)
            Whether the region at the window's start is chosen.
        regions : bool, shape (samples,)
            Which other regions are, by the sample that opens them.
        """
        inner = sum_ranges(
            np.where(regions[:-1], self.span, np.int64(0)), self.first, self.behind - 1
        )
        tail = np.where(regions[self.right], self.tail_ns, 0)
        return np.asarray(np.where(head, self.head_ns, 0) + tail + inner, dtype=np.int64)


def region_facts(signal: Signal, windows: Windows, rules: Rules) -> RegionFacts:
    """Time by status of the regions between samples, per window."""
    if len(signal) == 0:
        zero = np.zeros(len(windows.start_ns), dtype=np.int64)
        end = np.maximum(np.minimum(windows.end_ns, rules.data_end_ns), windows.start_ns)
        return RegionFacts(zero, zero, zero, end - windows.start_ns, zero.astype(np.float64))
    cut = Regions(signal, windows, rules)
    kind, span = cut.kind, cut.span
    by_kind = [cut.time(kind[cut.left] == k, kind == k) for k in (0, 1, 2)]
    # Before the first sample of all there is nothing, and nothing counts as bad.
    by_kind[2] += cut.before_ns
    start_good = cut.time(cut.head_good, signal.severity == 0)
    middle = signal.number[:-1] + 0.5 * cut.slope[:-1] * (span * 1e-9)
    inner = np.where(kind[:-1] < 2, middle * (span * 1e-9), 0.0)
    area = (
        np.where(kind[cut.left] < 2, cut.head_area, 0.0)
        + fold_ranges(np.add, inner, cut.first, cut.behind - 1)
        + np.where(kind[cut.right] < 2, cut.tail_area, 0.0)
    )
    return RegionFacts(start_good, by_kind[0], by_kind[1], by_kind[2], area)


def state_facts(signal: Signal, windows: Windows, rules: Rules) -> StateFacts:
    """Time in the state zero per window; a region that starts with a bound has its value."""
    if len(signal) == 0:
        return StateFacts(np.zeros(len(windows.start_ns), dtype=np.int64))
    cut = Regions(signal, windows, rules)
    times, number = signal.timestamp_ns, signal.number
    left, right = cut.left, np.minimum(cut.left + 1, len(signal) - 1)
    slope = (number[right] - number[left]) / np.maximum(times[right] - times[left], 1)
    on_line = ~cut.by_sample & (cut.slope[left] != 0)
    value = number[left] + np.where(on_line, slope * (windows.origin_ns - times[left]), 0.0)
    regions = (signal.severity == 0) & (signal.number == 0)
    return StateFacts(cut.time(cut.head_good & (value == 0), regions))


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


def piece_of(
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
