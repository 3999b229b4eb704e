"""The worst status of an interval; the value is a status code."""

import numpy as np

from query.aggregates.bounds import bare, is_interpolated
from query.aggregates.evidence import Evidence, column, given, no_data_where
from query.result import AggregateColumn
from query.status import CALCULATED, MULTIPLE_VALUES
from storage_engine.sample import GOOD, BoolArray, Int64Array, UInt32Array, ValueType, severity


def worst_quality(evidence: Evidence) -> AggregateColumn:
    """Worst status of the samples; of equal severities the first."""
    facts = given(evidence.facts.worst)
    return _column(evidence, facts.severity, facts.code, facts.ties)


def worst_quality_2(evidence: Evidence) -> AggregateColumn:
    """Worst status of simple bounds and samples; of equal severities the first.

    The end of a stepped interval has the status of the sample that holds there.
    """
    facts, bounds = given(evidence.facts.worst), given(evidence.facts.bounds)
    start, end = bare(bounds.start_status), bare(bounds.end_status)
    # A sample at the start is among the samples.
    is_bound = is_interpolated(bounds.start_status) | (start >= 0x8000_0000)
    is_bound &= ~((facts.severity >= 0) & _sample_at_start(evidence))
    end_code = bounds.held_code if evidence.stepped else end
    levels = [
        np.where(is_bound, severity(start).astype(np.int64), -1),
        facts.severity,
        severity(end_code).astype(np.int64),
    ]
    worst = np.maximum(np.maximum(levels[0], levels[1]), levels[2])
    from_start, from_sample = levels[0] == worst, levels[1] == worst
    code = np.where(from_start, start, np.where(from_sample, facts.code, end_code))
    ties = from_start.astype(np.int64) + np.where(from_sample, facts.ties, 0)
    ties += levels[2] == worst
    return _column(evidence, worst, code.astype(np.uint32), ties)


def _sample_at_start(evidence: Evidence) -> BoolArray:
    edges = given(evidence.facts.edges)
    return np.asarray(edges.held & (edges.first_ns == evidence.start_ns))


def _column(
    evidence: Evidence, worst: Int64Array, code: UInt32Array, ties: Int64Array
) -> AggregateColumn:
    status = no_data_where(np.full(len(worst), GOOD, dtype=np.uint32), worst < 0)
    bits = np.where(ties > 1, MULTIPLE_VALUES, 0)
    # Only what is not Good can be worst more than once.
    bits = np.where(worst > 0, bits, 0) | CALCULATED
    value = code.astype(np.uint64)
    return column(evidence, ValueType.UINT64, value, status, bits.astype(np.uint32))
