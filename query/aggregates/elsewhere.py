"""What another tag had when this one was smallest or largest."""

from functools import partial

import numpy as np

from query.aggregates import extremes
from query.aggregates.evidence import Aggregate, Evidence
from query.aggregates.measure import OTHER
from query.result import AggregateColumn
from query.status import UNCERTAIN_DATA_SUB_NORMAL
from storage_engine.sample import BAD, GOOD, UNCERTAIN


def value_at_minimum(tag: str) -> Aggregate | None:
    """Make ``ValueAtMinimum(tag)``; None for no name."""
    return _made(tag, smallest=True)


def value_at_maximum(tag: str) -> Aggregate | None:
    """Make ``ValueAtMaximum(tag)``; None for no name."""
    return _made(tag, smallest=False)


def _made(tag: str, *, smallest: bool) -> Aggregate | None:
    compute = partial(_value_at, tag=tag, smallest=smallest)
    return Aggregate(compute, OTHER, ("extremes",), other=tag) if tag else None


def _value_at(evidence: Evidence, *, tag: str, smallest: bool) -> AggregateColumn:
    """Value of another tag at the time of this one's extreme: its simple bound there."""
    name = "minimum_actual_time" if smallest else "maximum_actual_time"
    when = getattr(extremes, name)(evidence)
    assert evidence.elsewhere is not None, "the registry asks for it"
    assert when.time_ns is not None, "it has its own time"
    found = evidence.elsewhere(tag, when.time_ns)
    doubt = when.valid & (when.status & 0xFFFF0000 != GOOD) & (found.status < UNCERTAIN)
    status = np.where(doubt, found.status | UNCERTAIN_DATA_SUB_NORMAL, found.status)
    status = np.where(when.valid, status, when.status).astype(np.uint32)
    unit = found.tag.eng_unit
    return AggregateColumn(
        found.type, found.value, status < BAD, status, when.time_ns, eng_unit=unit
    )
