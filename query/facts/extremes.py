"""Smallest and largest samples."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from query.facts.joining import Firsts
from query.facts.ranges import first_of_each, fold_ranges, rows_of, spread
from query.facts.rules import Rules, Windows, usable
from query.series import TIME_MAX_NS, Signal
from storage_engine.sample import AnyArray, BoolArray, Int64Array


@dataclass(frozen=True, slots=True)
class ExtremeFacts:
    """Smallest and largest sample, how often each occurs, and when first.

    ``minimum`` and ``maximum`` have the samples' own dtype; all mean nothing where ``ties`` is 0.
    """

    minimum: AnyArray
    minimum_ties: Int64Array
    minimum_ns: Int64Array
    maximum: AnyArray
    maximum_ties: Int64Array
    maximum_ns: Int64Array


def extreme_facts(signal: Signal, windows: Windows, _rules: Rules) -> ExtremeFacts:
    """Smallest and largest good sample per window."""
    return _extremes(signal, windows, signal.severity == 0)


def usable_extreme_facts(signal: Signal, windows: Windows, rules: Rules) -> ExtremeFacts:
    """Smallest and largest usable sample per window."""
    return _extremes(signal, windows, usable(signal, rules))


def _extremes(signal: Signal, windows: Windows, chosen: BoolArray) -> ExtremeFacts:
    kept = np.flatnonzero(chosen)
    times, values = signal.timestamp_ns[kept], signal.native[kept]
    first, behind = rows_of(times, windows)
    window, rows = spread(first, behind)
    found: list[Any] = []
    for fold in (np.minimum, np.maximum):
        extreme = fold_ranges(fold, values, first, behind)
        same = values[rows] == extreme[window]
        place = first_of_each(window, same, len(first))
        held = place >= 0
        when = np.zeros(len(first), dtype=np.int64)
        when[held] = times[rows[place[held]]]
        found += [extreme, np.bincount(window[same], minlength=len(first)), when]
    return ExtremeFacts(*found)


def join_extremes(facts: ExtremeFacts, firsts: Firsts) -> ExtremeFacts:
    """Extremes of all pieces; of equal ones the oldest."""
    columns: list[Any] = []
    sizes = np.diff(np.append(firsts, len(facts.minimum)))
    for values, ties, when, fold in (
        (facts.minimum, facts.minimum_ties, facts.minimum_ns, np.minimum),
        (facts.maximum, facts.maximum_ties, facts.maximum_ns, np.maximum),
    ):
        held = ties > 0
        filled: BoolArray = np.logical_or.reduceat(held, firsts)
        kept = np.flatnonzero(held)
        extreme = np.zeros(len(firsts), dtype=values.dtype)
        if len(kept):
            starts = np.searchsorted(kept, firsts[filled])
            extreme[filled] = fold.reduceat(values[kept], starts)
        same = held & (values == np.repeat(extreme, sizes))
        columns += [
            extreme,
            np.add.reduceat(np.where(same, ties, 0), firsts),
            np.minimum.reduceat(np.where(same, when, TIME_MAX_NS), firsts),
        ]
    return ExtremeFacts(*columns)
