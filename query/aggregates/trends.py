"""How fast the value changes."""

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
)
from query.aggregates.integrals import per_second
from query.result import AggregateColumn
from query.status import CALCULATED
from storage_engine.sample import UInt32Array, ValueType


def slope(evidence: Evidence) -> AggregateColumn:
    """Slope of the line of least squares through the Good samples, per second."""
    facts = given(evidence.facts.trend)
    status = no_data_where(status_by_samples(evidence), facts.count < 2)
    return _per_second(evidence, ratio(facts.products, facts.times), status)


def rate_of_change(evidence: Evidence) -> AggregateColumn:
    """Last Good sample less the first, by the time between them, per second."""
    facts = given(evidence.facts.edges)
    span_s = np.where(facts.good, facts.last_good_ns - facts.first_good_ns, 0) * 1e-9
    rise = facts.last_good.astype(np.float64) - facts.first_good.astype(np.float64)
    status = no_data_where(status_by_samples(evidence), span_s == 0)
    return _per_second(evidence, ratio(rise, span_s), status)


def _per_second(evidence: Evidence, value: Float64Array, status: UInt32Array) -> AggregateColumn:
    found = column(evidence, ValueType.FLOAT64, value, status, CALCULATED)
    return replace(found, eng_unit=per_second(evidence.eng_unit))
