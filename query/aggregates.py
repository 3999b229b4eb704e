"""The aggregates: names and rules of OPC 10000-13. To add one, write a function and a line below.

An aggregate turns the facts of intervals into values and status codes; it never sees samples.
Where the standard's text and its example tables differ, or leave a choice, `docs/query.md` says
which reading is followed.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from query.facts import ExtremeFacts
from query.result import AggregateColumn
from query.scan import Facts
from storage_engine.sample import (
    BAD,
    BAD_NO_DATA,
    GOOD,
    AnyArray,
    BoolArray,
    Int64Array,
    UInt32Array,
    ValueType,
)

Float64Array = npt.NDArray[np.float64]

UNCERTAIN_DATA_SUB_NORMAL = 0x40A4_0000
CALCULATED = 0x401
INTERPOLATED = 0x402
PARTIAL = 0x404
MULTIPLE_VALUES = 0x410


@dataclass(frozen=True, slots=True)
class Evidence:
    """What an aggregate judges by, one row per interval.

    Attributes
    ----------
    facts : Facts
        Counts, regions, and what else the aggregate wants.
    outside : bool, shape (n,)
        Interval wholly before the first or after the last sample.
    partial : bool, shape (n,)
        The data begins or ends inside.
    treat_uncertain_as_bad : bool
        Uncertain counts as bad in shares.
    percent_data_bad, percent_data_good : float
        Shares, in percent, from which a result is Bad or Good.
    """

    facts: Facts
    outside: BoolArray
    partial: BoolArray
    treat_uncertain_as_bad: bool
    percent_data_bad: float
    percent_data_good: float


@dataclass(frozen=True, slots=True)
class Aggregate:
    """An entry of the registry.

    Attributes
    ----------
    compute : callable
        Evidence -> column.
    numeric : bool
        Wants numbers; refused for text tags.
    extremes, area : bool
        Optional facts it wants.
    """

    compute: Callable[[Evidence], AggregateColumn]
    numeric: bool = True
    extremes: bool = False
    area: bool = False


def count(evidence: Evidence) -> AggregateColumn:
    """Count Good samples; the status weighs samples, and a Bad result is null."""
    counts = evidence.facts.counts
    total = counts.good + counts.uncertain + counts.bad
    bad = counts.bad + (counts.uncertain if evidence.treat_uncertain_as_bad else 0)
    status = _status_by_share(evidence, counts.good, bad, total)
    return _column(evidence, ValueType.INT64, counts.good, status, CALCULATED)


def minimum(evidence: Evidence) -> AggregateColumn:
    """Find the smallest Good sample."""
    facts = _extremes(evidence)
    return _extreme(evidence, facts.minimum, facts.minimum_ties, facts.minimum_at_start)


def maximum(evidence: Evidence) -> AggregateColumn:
    """Find the largest Good sample."""
    facts = _extremes(evidence)
    return _extreme(evidence, facts.maximum, facts.maximum_ties, facts.maximum_at_start)


def time_average(evidence: Evidence) -> AggregateColumn:
    """Average by time with interpolated bounds; always sloped, as the standard has it."""
    facts = evidence.facts.area
    assert facts is not None, "the registry asks for areas"
    status = np.where(facts.uncertain, UNCERTAIN_DATA_SUB_NORMAL, GOOD).astype(np.uint32)
    status[facts.covered_ns == 0] = BAD_NO_DATA
    value = _ratio(facts.area, facts.covered_ns * 1e-9)
    return _column(evidence, ValueType.FLOAT64, value, status, CALCULATED)


def time_average_2(evidence: Evidence) -> AggregateColumn:
    """Average by time with simple bounds: stepped or sloped as the tag is, bad time left out."""
    facts = evidence.facts.regions
    used = facts.good_ns + facts.uncertain_ns
    doubt = 0 if not evidence.treat_uncertain_as_bad else facts.uncertain_ns
    status = _status_by_share(evidence, used - doubt, facts.bad_ns + doubt, used + facts.bad_ns)
    no_data = used == 0
    status[no_data] = BAD_NO_DATA
    bits = np.where(no_data, 0, CALCULATED).astype(np.uint32)
    value = _ratio(facts.area, used * 1e-9)
    return _column(evidence, ValueType.FLOAT64, value, status, bits, keep_bits=True)


def percent_good(evidence: Evidence) -> AggregateColumn:
    """Share of the covered time in regions that start Good, in percent."""
    status = np.full(len(evidence.outside), GOOD, dtype=np.uint32)
    return _column(evidence, ValueType.FLOAT64, good_share(evidence), status, CALCULATED)


# Name -> rule; one line each. Names are those of OPC 10000-13.
AGGREGATES: dict[str, Aggregate] = {
    "Count": Aggregate(count, numeric=False),
    "Minimum": Aggregate(minimum, extremes=True),
    "Maximum": Aggregate(maximum, extremes=True),
    "TimeAverage": Aggregate(time_average, area=True),
    "TimeAverage2": Aggregate(time_average_2),
    "PercentGood": Aggregate(percent_good, numeric=False),
}


def good_share(evidence: Evidence) -> Float64Array:
    """Percent of the covered time in regions that start Good; 0 where nothing is covered."""
    facts = evidence.facts.regions
    covered = facts.good_ns + facts.uncertain_ns + facts.bad_ns
    return np.where(evidence.outside, 0.0, _ratio(facts.start_good_ns * 100.0, covered))


def _extremes(evidence: Evidence) -> ExtremeFacts:
    assert evidence.facts.extremes is not None, "the registry asks for extremes"
    return evidence.facts.extremes


def _extreme(
    evidence: Evidence, value: AnyArray, ties: Int64Array, at_start: BoolArray
) -> AggregateColumn:
    """Status of a minimum or maximum: Uncertain when anything but Good lies in the interval."""
    counts = evidence.facts.counts
    doubt = counts.uncertain + counts.bad > 0
    status = np.where(doubt, UNCERTAIN_DATA_SUB_NORMAL, GOOD).astype(np.uint32)
    status[ties == 0] = BAD_NO_DATA
    bits = np.where(at_start, 0, CALCULATED) | np.where(ties > 1, MULTIPLE_VALUES, 0)
    return _column(evidence, evidence.facts.number_type, value, status, bits.astype(np.uint32))


def _status_by_share(
    evidence: Evidence, good: Int64Array, bad: Int64Array, total: Int64Array
) -> UInt32Array:
    """Status by shares; with nothing to weigh, Good. Where both tests hold, Good decides."""
    enough = good * 100.0 >= evidence.percent_data_good * total
    spoilt = bad * 100.0 >= evidence.percent_data_bad * total
    status = np.where(enough, GOOD, np.where(spoilt, BAD, UNCERTAIN_DATA_SUB_NORMAL))
    return status.astype(np.uint32)


def _column(
    evidence: Evidence,
    type_: ValueType,
    value: AnyArray,
    status: UInt32Array,
    bits: UInt32Array | int,
    *,
    keep_bits: bool = False,
) -> AggregateColumn:
    """Null where Bad or outside the data; info bits as far as the result has some."""
    status = np.where(evidence.outside, BAD_NO_DATA, status).astype(np.uint32)
    null = status >= BAD
    flags = bits | np.where(evidence.partial, PARTIAL, 0)
    bare = null & (status == BAD_NO_DATA) if keep_bits else null
    flagged = status | np.where(bare, 0, flags).astype(np.uint32)
    return AggregateColumn(type_, value, ~null, flagged.astype(np.uint32))


def _ratio(part: npt.NDArray[np.generic], whole: npt.NDArray[np.generic]) -> Float64Array:
    result = np.zeros(len(part))
    np.divide(part, whole, out=result, where=np.asarray(whole) != 0)
    return result
