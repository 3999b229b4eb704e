"""Values at the edges of an interval."""

import numpy as np

from query.aggregates.evidence import Evidence, column, difference, given
from query.result import AggregateColumn
from query.status import CALCULATED, INTERPOLATED
from storage_engine.sample import BAD_NO_DATA, BoolArray, UInt32Array

_ALL_BITS = 0x0000_FFFF


def interpolative(evidence: Evidence) -> AggregateColumn:
    """Interpolated bound at the start; goes on after the last sample, Uncertain."""
    facts = given(evidence.facts.interpolated)
    status = np.where(evidence.before, BAD_NO_DATA, facts.status).astype(np.uint32)
    null = status == BAD_NO_DATA
    return AggregateColumn(evidence.facts.number_type, facts.value, ~null, status)


def start_bound(evidence: Evidence) -> AggregateColumn:
    """Simple bound at the start."""
    facts = given(evidence.facts.bounds)
    return column(
        evidence, evidence.facts.number_type, facts.start, facts.start_status, 0,
        bits_when_null=_always(evidence),
    )  # fmt: skip


def end_bound(evidence: Evidence) -> AggregateColumn:
    """Simple bound at the end."""
    facts = given(evidence.facts.bounds)
    status = bare(facts.end_status)
    bits = np.where(status == BAD_NO_DATA, 0, CALCULATED).astype(np.uint32)
    return column(
        evidence, evidence.facts.number_type, facts.end, status, bits,
        bits_when_null=_always(evidence),
    )  # fmt: skip


def delta_bounds(evidence: Evidence) -> AggregateColumn:
    """EndBound less StartBound, with the worse status of both."""
    facts = given(evidence.facts.bounds)
    status = np.maximum(bare(facts.start_status), bare(facts.end_status))
    bits = np.where(status == BAD_NO_DATA, 0, CALCULATED).astype(np.uint32)
    type_ = evidence.facts.number_type
    return column(
        evidence,
        *difference(facts.end, facts.start, type_, status),
        bits,
        bits_when_null=_always(evidence),
    )


def bare(status: UInt32Array) -> UInt32Array:
    """Status codes without info bits."""
    return status & np.uint32(~_ALL_BITS & 0xFFFF_FFFF)


def is_interpolated(status: UInt32Array) -> BoolArray:
    """Whether a bound stands between samples."""
    return np.asarray((status & INTERPOLATED) == INTERPOLATED)


def _always(evidence: Evidence) -> BoolArray:
    return np.ones(len(evidence.outside), dtype=np.bool_)
