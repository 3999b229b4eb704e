"""How long: in good and bad regions, and in states. Durations are in milliseconds."""

import numpy as np

from query.aggregates.evidence import (
    Evidence,
    Float64Array,
    column,
    given,
    ratio,
    status_by_time,
)
from query.result import AggregateColumn
from query.status import CALCULATED
from storage_engine.sample import GOOD, Int64Array, ValueType


def duration_good(evidence: Evidence) -> AggregateColumn:
    """Time in regions that start Good."""
    return _always_good(evidence, _ms(evidence.facts.regions.start_good_ns))


def duration_bad(evidence: Evidence) -> AggregateColumn:
    """Time in regions that start bad, and before the first sample."""
    return _always_good(evidence, _ms(evidence.facts.regions.bad_ns))


def percent_good(evidence: Evidence) -> AggregateColumn:
    """Share of the covered time in regions that start Good, in percent."""
    return _always_good(evidence, good_share(evidence))


def percent_bad(evidence: Evidence) -> AggregateColumn:
    """Share of the covered time in regions that start bad, in percent."""
    return _always_good(evidence, _share(evidence, evidence.facts.regions.bad_ns))


def duration_in_state_zero(evidence: Evidence) -> AggregateColumn:
    """Time in regions that start Good and zero, or false; the status weighs time."""
    value = _ms(given(evidence.facts.states).zero_ns)
    return _by_time(evidence, value)


def duration_in_state_non_zero(evidence: Evidence) -> AggregateColumn:
    """Time in regions that start Good and not zero, or true; the status weighs time."""
    value = _ms(evidence.facts.regions.start_good_ns - given(evidence.facts.states).zero_ns)
    return _by_time(evidence, value)


def good_share(evidence: Evidence) -> Float64Array:
    """Percent of the covered time in regions that start Good; 0 where nothing is covered."""
    return _share(evidence, evidence.facts.regions.start_good_ns)


def _share(evidence: Evidence, part_ns: Int64Array) -> Float64Array:
    facts = evidence.facts.regions
    covered = facts.good_ns + facts.uncertain_ns + facts.bad_ns
    return np.where(evidence.outside, 0.0, ratio(part_ns * 100.0, covered))


def _by_time(evidence: Evidence, value: Float64Array) -> AggregateColumn:
    inside = ~evidence.outside
    return column(
        evidence, ValueType.FLOAT64, value, status_by_time(evidence), CALCULATED,
        bits_when_null=inside,
    )  # fmt: skip


def _always_good(evidence: Evidence, value: Float64Array) -> AggregateColumn:
    status = np.full(len(evidence.outside), GOOD, dtype=np.uint32)
    return column(evidence, ValueType.FLOAT64, value, status, CALCULATED)


def _ms(time_ns: Int64Array) -> Float64Array:
    return np.asarray(time_ns / 1e6)
