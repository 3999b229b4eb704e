"""Variance and standard deviation of the Good samples; the status weighs samples."""

import numpy as np

from query.aggregates.evidence import (
    Evidence,
    Float64Array,
    column,
    given,
    no_data_where,
    status_by_samples,
)
from query.result import AggregateColumn
from query.status import CALCULATED
from storage_engine.sample import ValueType


def variance_sample(evidence: Evidence) -> AggregateColumn:
    """Squares by n - 1; 0 for a single sample."""
    return _column(evidence, _variance(evidence, 1))


def variance_population(evidence: Evidence) -> AggregateColumn:
    """Squares by n."""
    return _column(evidence, _variance(evidence, 0))


def standard_deviation_sample(evidence: Evidence) -> AggregateColumn:
    """Root of VarianceSample."""
    return _column(evidence, np.sqrt(_variance(evidence, 1)))


def standard_deviation_population(evidence: Evidence) -> AggregateColumn:
    """Root of VariancePopulation."""
    return _column(evidence, np.sqrt(_variance(evidence, 0)))


def _variance(evidence: Evidence, fewer: int) -> Float64Array:
    facts = given(evidence.facts.moments)
    return np.asarray(facts.squares / np.maximum(facts.count - fewer, 1))


def _column(evidence: Evidence, value: Float64Array) -> AggregateColumn:
    empty = evidence.facts.counts.good == 0
    status = no_data_where(status_by_samples(evidence), empty)
    return column(evidence, ValueType.FLOAT64, value, status, CALCULATED)
