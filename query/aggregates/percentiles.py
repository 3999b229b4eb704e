"""Percentiles of the Good samples; the status weighs samples."""

from functools import partial

from query.aggregates.evidence import Aggregate, Evidence, column, no_data_where, status_by_samples
from query.aggregates.measure import VALUE
from query.result import AggregateColumn
from query.status import CALCULATED
from storage_engine.sample import ValueType


def percentile(argument: str) -> Aggregate | None:
    """Make ``Percentile(argument)``; None where that is no number from 0 to 100."""
    try:
        share = float(argument)
    except ValueError:
        return None
    if not 0 <= share <= 100:
        return None
    return Aggregate(partial(_percentile, share=share), VALUE, percentile=share)


def _percentile(evidence: Evidence, *, share: float) -> AggregateColumn:
    """Find the value that ``share`` percent of the Good samples do not exceed."""
    empty = evidence.facts.counts.good == 0
    status = no_data_where(status_by_samples(evidence), empty)
    found = evidence.percentiles
    assert found is not None, "the registry asks for them"
    value = found.values[share]
    return column(evidence, ValueType.FLOAT64, value, status, CALCULATED, estimated=found.estimated)
