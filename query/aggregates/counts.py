"""How many: samples, changes, annotations."""

import numpy as np

from query.aggregates.evidence import Evidence, column, given, status_by_samples
from query.result import AggregateColumn
from query.status import CALCULATED
from storage_engine.sample import GOOD, ValueType


def count(evidence: Evidence) -> AggregateColumn:
    """Count Good samples; the status weighs samples, and a Bad result is null."""
    good = evidence.facts.counts.good
    return column(evidence, ValueType.INT64, good, status_by_samples(evidence), CALCULATED)


def number_of_transitions(evidence: Evidence) -> AggregateColumn:
    """Count usable samples that differ from the usable one before; the status weighs samples."""
    changes = given(evidence.facts.transitions).transitions
    return column(evidence, ValueType.INT64, changes, status_by_samples(evidence), CALCULATED)


def annotation_count(evidence: Evidence) -> AggregateColumn:
    """Count annotations that begin inside."""
    times = evidence.annotations_ns
    edges = [np.searchsorted(times, t) for t in (evidence.start_ns, evidence.end_ns)]
    status = np.full(len(edges[0]), GOOD, dtype=np.uint32)
    return column(evidence, ValueType.INT64, edges[1] - edges[0], status, CALCULATED)
