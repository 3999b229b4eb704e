"""Area under the line through the usable samples, with interpolated bounds."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from query.facts.ranges import fold_ranges, rows_of, sum_ranges
from query.facts.regions import piece_of
from query.facts.rules import Rules, Windows, usable
from query.series import Signal
from storage_engine.sample import BoolArray, Int64Array

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class AreaFacts:
    """Area under the line through all usable samples, with interpolated bounds.

    ``area`` is in value times seconds, ``covered_ns`` int64; ``uncertain`` where anything but
    Good was used, skipped or extrapolated.
    """

    area: Float64Array
    covered_ns: Int64Array
    uncertain: BoolArray


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
    head = piece_of(
        np.maximum(first - 1, 0),
        start,
        np.where(first < behind, times[np.minimum(first, count - 1)], upto),
        (times, values, slope),
    )
    no_head = first == 0
    tail_from = times[np.maximum(behind - 1, 0)]
    tail = piece_of(
        np.maximum(behind - 1, 0), tail_from, np.maximum(upto, tail_from), (times, values, slope)
    )
    no_tail = behind == first
    whole = fold_ranges(np.add, (values[1:] + values[:-1]) * (span * 0.5e-9), first, behind - 1)
    area = np.where(no_head, 0.0, head[0]) + whole + np.where(no_tail, 0.0, tail[0])
    inner = np.where(no_tail, 0, tail_from - times[np.minimum(first, count - 1)])
    covered = np.where(no_head, 0, head[1]) + inner + np.where(no_tail, 0, tail[1])
    outer = sum_ranges(signal.severity > 0, *rows_of(signal.timestamp_ns, windows)) > 0
    outer |= np.where(
        times[np.minimum(first, count - 1)] == start, False, no_head | doubtful[first - 1]
    )
    at_end = (behind < count) & (times[np.minimum(behind, count - 1)] == end)
    outer |= np.where(
        at_end, level[np.minimum(behind, count - 1)] > 0, (behind == 0) | doubtful[behind - 1]
    )
    return AreaFacts(area, covered, outer)
