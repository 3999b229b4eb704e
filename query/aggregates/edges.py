"""First and last samples of an interval, and their difference."""

import numpy as np

from query.aggregates.evidence import Evidence, column, difference, given, no_data_where
from query.result import AggregateColumn
from query.status import CALCULATED, UNCERTAIN_DATA_SUB_NORMAL
from storage_engine.sample import BAD_NO_DATA, GOOD


def start(evidence: Evidence) -> AggregateColumn:
    """First sample of any status, at its own time, with its own status."""
    facts = given(evidence.facts.edges)
    status = np.where(facts.held, facts.first_code, BAD_NO_DATA).astype(np.uint32)
    return column(
        evidence, evidence.facts.number_type, facts.first, status, 0,
        bits_when_null=facts.held, time_ns=facts.first_ns,
    )  # fmt: skip


def end(evidence: Evidence) -> AggregateColumn:
    """Last sample of any status, at its own time, with its own status."""
    facts = given(evidence.facts.edges)
    status = np.where(facts.held, facts.last_code, BAD_NO_DATA).astype(np.uint32)
    return column(
        evidence, evidence.facts.number_type, facts.last, status, 0,
        bits_when_null=facts.held, time_ns=facts.last_ns,
    )  # fmt: skip


def delta(evidence: Evidence) -> AggregateColumn:
    """Last Good sample less the first; Uncertain when others lie before or behind them."""
    facts = given(evidence.facts.edges)
    skipped = (facts.first_ns != facts.first_good_ns) | (facts.last_ns != facts.last_good_ns)
    status = np.where(skipped, UNCERTAIN_DATA_SUB_NORMAL, GOOD).astype(np.uint32)
    status = no_data_where(status, ~facts.good)
    return column(
        evidence,
        *difference(facts.last_good, facts.first_good, evidence.facts.number_type, status),
        CALCULATED,
    )
