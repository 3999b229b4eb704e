"""Means and totals: of samples, and over time."""

from dataclasses import replace

import numpy as np

from query.aggregates.evidence import (
    Evidence,
    Float64Array,
    column,
    given,
    no_data_where,
    ratio,
    status_by_samples,
    status_by_time,
)
from query.aggregates.integrals import integral_of
from query.result import AggregateColumn
from query.status import CALCULATED, UNCERTAIN_DATA_SUB_NORMAL
from storage_engine.sample import GOOD, UInt32Array, ValueType


def average(evidence: Evidence) -> AggregateColumn:
    """Mean of the Good samples; the status weighs samples."""
    good = evidence.facts.counts.good
    status = no_data_where(status_by_samples(evidence), good == 0)
    value = ratio(given(evidence.facts.sums).total, good)
    return column(evidence, ValueType.FLOAT64, value, status, CALCULATED, tells_partial=False)


def time_average(evidence: Evidence) -> AggregateColumn:
    """Average by time with interpolated bounds; always sloped, as the standard has it."""
    facts = given(evidence.facts.area)
    value = ratio(facts.area, facts.covered_ns * 1e-9)
    return column(evidence, ValueType.FLOAT64, value, _interpolated_status(evidence), CALCULATED)


def total(evidence: Evidence) -> AggregateColumn:
    """Integral over time of what TimeAverage averages, in value times seconds."""
    value = given(evidence.facts.area).area
    return column(evidence, ValueType.FLOAT64, value, _interpolated_status(evidence), CALCULATED)


def time_average_2(evidence: Evidence) -> AggregateColumn:
    """Average by time with simple bounds: stepped or sloped as the tag is, bad time left out."""
    facts = evidence.facts.regions
    used = facts.good_ns + facts.uncertain_ns
    value = ratio(facts.area, used * 1e-9)
    return _over_regions(evidence, value)


def total_2(evidence: Evidence) -> AggregateColumn:
    """Integral over time of what TimeAverage2 averages, in value times seconds."""
    return _over_regions(evidence, evidence.facts.regions.area)


def integral(evidence: Evidence) -> AggregateColumn:
    """Total2 in the unit that people use for it: of kW in kWh, of l/min in l."""
    unit = integral_of(evidence.eng_unit)
    found = _over_regions(evidence, evidence.facts.regions.area * unit.factor)
    return replace(found, eng_unit=unit.eng_unit)


def _interpolated_status(evidence: Evidence) -> UInt32Array:
    facts = given(evidence.facts.area)
    status = np.where(facts.uncertain, UNCERTAIN_DATA_SUB_NORMAL, GOOD).astype(np.uint32)
    return no_data_where(status, facts.covered_ns == 0)


def _over_regions(evidence: Evidence, value: Float64Array) -> AggregateColumn:
    facts = evidence.facts.regions
    empty = facts.good_ns + facts.uncertain_ns == 0
    status = no_data_where(status_by_time(evidence), empty)
    return column(evidence, ValueType.FLOAT64, value, status, CALCULATED, bits_when_null=~empty)
