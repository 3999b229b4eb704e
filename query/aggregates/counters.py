"""What a counter rose by, whatever resets, wraps and replacements lie between."""

from dataclasses import replace

import numpy as np

from query.aggregates.evidence import Evidence, column, given, no_data_where, ratio
from query.aggregates.integrals import per_second
from query.result import AggregateColumn
from query.status import (
    BAD_AGGREGATE_INVALID_INPUTS,
    CALCULATED,
    UNCERTAIN_DATA_SUB_NORMAL,
)
from storage_engine.sample import GOOD, UInt32Array, ValueType


def counter_increase(evidence: Evidence) -> AggregateColumn:
    """Rise of the register from the start to the end."""
    value = given(evidence.facts.increase).increase
    return column(evidence, ValueType.FLOAT64, value, _status(evidence), CALCULATED)


def counter_rate(evidence: Evidence) -> AggregateColumn:
    """Rise of the register by the time that its samples cover, per second."""
    facts = given(evidence.facts.increase)
    value = ratio(facts.increase, facts.covered_ns * 1e-9)
    status = no_data_where(_status(evidence), facts.covered_ns == 0)
    found = column(evidence, ValueType.FLOAT64, value, status, CALCULATED)
    return replace(found, eng_unit=per_second(evidence.eng_unit))


def _status(evidence: Evidence) -> UInt32Array:
    facts = given(evidence.facts.increase)
    doubt = facts.start_doubt | facts.end_doubt
    status = np.where(doubt, UNCERTAIN_DATA_SUB_NORMAL, GOOD)
    status = np.where(facts.unknown > 0, BAD_AGGREGATE_INVALID_INPUTS, status)
    return no_data_where(status.astype(np.uint32), ~facts.held)
