"""Smallest and largest values: of the samples, and with simple bounds."""

from dataclasses import dataclass

import numpy as np

from query.aggregates.bounds import bare, is_interpolated
from query.aggregates.evidence import (
    Evidence,
    column,
    difference,
    given,
    no_data_where,
    status_by_time,
)
from query.result import AggregateColumn
from query.status import (
    CALCULATED,
    INTERPOLATED,
    MULTIPLE_VALUES,
    UNCERTAIN_DATA_SUB_NORMAL,
)
from storage_engine.sample import BAD, GOOD, AnyArray, BoolArray, Int64Array, UInt32Array


def minimum(evidence: Evidence) -> AggregateColumn:
    """Find the smallest Good sample."""
    return _of_samples(evidence, smallest=True)


def maximum(evidence: Evidence) -> AggregateColumn:
    """Find the largest Good sample."""
    return _of_samples(evidence, smallest=False)


def minimum_actual_time(evidence: Evidence) -> AggregateColumn:
    """Find the smallest Good sample, at its own time."""
    return _of_samples(evidence, smallest=True, own_time=True)


def maximum_actual_time(evidence: Evidence) -> AggregateColumn:
    """Find the largest Good sample, at its own time."""
    return _of_samples(evidence, smallest=False, own_time=True)


def range_(evidence: Evidence) -> AggregateColumn:
    """Maximum less Minimum."""
    facts = given(evidence.facts.extremes)
    status = _status_of_samples(evidence, facts.minimum_ties)
    type_ = evidence.facts.number_type
    return column(evidence, *difference(facts.maximum, facts.minimum, type_, status), CALCULATED)


def minimum_2(evidence: Evidence) -> AggregateColumn:
    """Find the smallest usable sample or simple bound."""
    return _with_bounds(evidence, smallest=True)


def maximum_2(evidence: Evidence) -> AggregateColumn:
    """Find the largest usable sample or simple bound."""
    return _with_bounds(evidence, smallest=False)


def minimum_actual_time_2(evidence: Evidence) -> AggregateColumn:
    """Find the smallest usable sample or simple bound, at its own time."""
    return _with_bounds(evidence, smallest=True, own_time=True)


def maximum_actual_time_2(evidence: Evidence) -> AggregateColumn:
    """Find the largest usable sample or simple bound, at its own time."""
    return _with_bounds(evidence, smallest=False, own_time=True)


def range_2(evidence: Evidence) -> AggregateColumn:
    """Maximum2 less Minimum2."""
    low, high = _extreme_2(evidence, smallest=True), _extreme_2(evidence, smallest=False)
    status = no_data_where(status_by_time(evidence), ~low.held)
    type_ = evidence.facts.number_type
    return column(
        evidence, *difference(high.value, low.value, type_, status), CALCULATED,
        bits_when_null=low.held,
    )  # fmt: skip


def _status_of_samples(evidence: Evidence, ties: Int64Array) -> UInt32Array:
    """Uncertain when anything but Good lies in the interval."""
    counts = evidence.facts.counts
    doubt = counts.uncertain + counts.bad > 0
    status = np.where(doubt, UNCERTAIN_DATA_SUB_NORMAL, GOOD).astype(np.uint32)
    return no_data_where(status, ties == 0)


def _of_samples(evidence: Evidence, *, smallest: bool, own_time: bool = False) -> AggregateColumn:
    facts = given(evidence.facts.extremes)
    value, ties, when = (
        (facts.minimum, facts.minimum_ties, facts.minimum_ns)
        if smallest
        else (facts.maximum, facts.maximum_ties, facts.maximum_ns)
    )
    moved = (when != evidence.start_ns) & (not own_time)
    bits = np.where(moved, CALCULATED, 0) | np.where(ties > 1, MULTIPLE_VALUES, 0)
    status = _status_of_samples(evidence, ties)
    time_ns = when if own_time else None
    type_ = evidence.facts.number_type
    return column(evidence, type_, value, status, bits.astype(np.uint32), time_ns=time_ns)


@dataclass(frozen=True, slots=True)
class _Extreme:
    """An extreme with simple bounds: where from, when, and whether it occurs again."""

    held: BoolArray
    value: AnyArray
    time_ns: Int64Array
    at_start: BoolArray  # a sample at the start
    interpolated: BoolArray  # a bound between samples
    at_end: BoolArray
    again: BoolArray


def _extreme_2(evidence: Evidence, *, smallest: bool) -> _Extreme:
    """Of equal ones the oldest counts: the start, the samples, the end (of a sloped tag)."""
    samples, bounds = given(evidence.facts.usable_extremes), given(evidence.facts.bounds)
    value, ties, when = (
        (samples.minimum, samples.minimum_ties, samples.minimum_ns)
        if smallest
        else (samples.maximum, samples.maximum_ties, samples.maximum_ns)
    )
    # A bound at which a sample stands is that sample; at the end it is outside.
    with_start = (bare(bounds.start_status) < BAD) & is_interpolated(bounds.start_status)
    with_end = (bare(bounds.end_status) < BAD) & (not evidence.stepped)
    held = [with_start, ties > 0, with_end]
    values = [bounds.start, value, bounds.end]
    fold = np.minimum if smallest else np.maximum
    best, found = values[0], held[0]
    for one, there in zip(values[1:], held[1:], strict=True):
        both = np.where(there & found, fold(best, one), np.where(there, one, best))
        best, found = both.astype(best.dtype), found | there
    from_start, from_sample, from_end = (
        there & (one == best) for there, one in zip(held, values, strict=True)
    )
    counted = from_start.astype(np.int64) + np.where(from_sample, ties, 0) + from_end
    last_ns = np.minimum(evidence.end_ns, evidence.data_end_ns) - evidence.resolution_ns
    only_end = ~from_start & ~from_sample
    return _Extreme(
        found,
        best,
        np.where(from_start, evidence.start_ns, np.where(from_sample, when, last_ns)),
        ~from_start & from_sample & (when == evidence.start_ns),
        from_start | (only_end & is_interpolated(bounds.end_status)),
        only_end,
        counted > 1,
    )


def _with_bounds(evidence: Evidence, *, smallest: bool, own_time: bool = False) -> AggregateColumn:
    one = _extreme_2(evidence, smallest=smallest)
    status = no_data_where(status_by_time(evidence), ~one.held)
    if own_time:
        bits = np.where(one.interpolated | one.at_end, INTERPOLATED, 0)
    else:
        bits = np.where(one.interpolated, INTERPOLATED, np.where(one.at_start, 0, CALCULATED))
    bits = (bits | np.where(one.again, MULTIPLE_VALUES, 0)).astype(np.uint32)
    return column(
        evidence, evidence.facts.number_type, one.value, status, bits,
        bits_when_null=one.held, time_ns=one.time_ns if own_time else None,
    )  # fmt: skip
