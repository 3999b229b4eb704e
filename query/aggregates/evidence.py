"""What an aggregate judges by, and how it says what it found."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from query.aggregates.measure import Measure
from query.facts.registry import Facts
from query.percentiles import Percentiles
from query.result import AggregateColumn, MomentsColumn
from query.status import BAD_OUT_OF_RANGE, PARTIAL, UNCERTAIN_DATA_SUB_NORMAL
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
_T = TypeVar("_T")
WHOLE = frozenset({ValueType.INT64, ValueType.UINT64, ValueType.BOOL})


@dataclass(frozen=True, slots=True)
class Evidence:
    """What an aggregate judges by, one row per interval.

    Attributes
    ----------
    facts : Facts
        Counts, regions, and what else the aggregate wants.
    start_ns, end_ns : int64, shape (n,)
        Intervals.
    before : bool, shape (n,)
        Interval wholly before the first sample, or nothing is left that could answer.
    outside : bool, shape (n,)
        Interval wholly before the first or after the last sample.
    partial : bool, shape (n,)
        The data begins or ends inside.
    data_end_ns : int
        Where the covered time ends.
    resolution_ns : int
        Tick of the clock.
    stepped : bool
        A value holds until the next sample.
    treat_uncertain_as_bad : bool
        Uncertain counts as bad in shares.
    percent_data_bad, percent_data_good : float
        Shares, in percent, from which a result is Bad or Good.
    annotations_ns : int64, shape (m,)
        Times of the tag's annotations, ascending.
    percentiles : Percentiles or None
        Those of all shares that are asked for.
    eng_unit : str
        Of the tag.
    elsewhere : callable or None
        Name of another tag, times -> its values there.
    """

    facts: Facts
    start_ns: Int64Array
    end_ns: Int64Array
    before: BoolArray
    outside: BoolArray
    partial: BoolArray
    data_end_ns: int
    resolution_ns: int
    stepped: bool
    treat_uncertain_as_bad: bool
    percent_data_bad: float
    percent_data_good: float
    annotations_ns: Int64Array
    eng_unit: str
    percentiles: Percentiles | None = None
    elsewhere: Callable[[str, Int64Array], MomentsColumn] | None = None


@dataclass(frozen=True, slots=True)
class Aggregate:
    """An entry of the registry.

    Attributes
    ----------
    compute : callable
        Evidence -> column.
    measure : Measure
        What its result is of the values, which says how it goes into another unit.
    facts : tuple of str
        Kinds of facts that it wants beside counts and regions.
    numeric : bool
        Wants numbers; refused for text tags.
    annotations : bool
        Wants the tag's annotations.
    percentile : float or None
        Share, in percent, whose percentile it wants.
    other : str
        Name of another tag whose values it wants; empty: none.
    """

    compute: Callable[[Evidence], AggregateColumn]
    measure: Measure
    facts: tuple[str, ...] = ()
    numeric: bool = True
    annotations: bool = False
    percentile: float | None = None
    other: str = ""


def given(facts: _T | None) -> _T:
    """Facts that the registry asks for."""
    assert facts is not None, "the registry asks for them"
    return facts


def column(
    evidence: Evidence,
    type_: ValueType,
    value: AnyArray,
    status: UInt32Array,
    bits: UInt32Array | int,
    *,
    bits_when_null: BoolArray | None = None,
    time_ns: Int64Array | None = None,
    tells_partial: bool = True,
    estimated: BoolArray | None = None,
) -> AggregateColumn:
    """Null where Bad or outside the data, with info bits as far as the result has some.

    Parameters
    ----------
    bits_when_null : bool, shape (n,)
        Where a null keeps its info bits.
    time_ns : int64, shape (n,)
        Times of the values, for aggregates that have their own; else the start.
    tells_partial : bool
        Whether the result says that the data begins or ends inside.
    estimated : bool, shape (n,)
        Of results that may be estimated, which are.
    """
    status = np.where(evidence.outside, BAD_NO_DATA, status).astype(np.uint32)
    null = status >= BAD
    flags = bits | np.where(evidence.partial & tells_partial, PARTIAL, 0)
    bare = null if bits_when_null is None else null & ~bits_when_null
    flagged = status | np.where(bare | evidence.outside, 0, flags).astype(np.uint32)
    if time_ns is not None:
        time_ns = np.where(bare | evidence.outside, evidence.start_ns, time_ns)
    return AggregateColumn(type_, value, ~null, flagged.astype(np.uint32), time_ns, estimated)


def status_by_share(
    evidence: Evidence, good: Int64Array, bad: Int64Array, total: Int64Array
) -> UInt32Array:
    """Status by shares; with nothing to weigh, Good. Where both tests hold, Good decides."""
    enough = good * 100.0 >= evidence.percent_data_good * total
    spoilt = bad * 100.0 >= evidence.percent_data_bad * total
    status = np.where(enough, GOOD, np.where(spoilt, BAD, UNCERTAIN_DATA_SUB_NORMAL))
    return status.astype(np.uint32)


def status_by_samples(evidence: Evidence) -> UInt32Array:
    """Status by the share of good samples among those inside."""
    counts = evidence.facts.counts
    bad = counts.bad + (counts.uncertain if evidence.treat_uncertain_as_bad else 0)
    total = counts.good + counts.uncertain + counts.bad
    return status_by_share(evidence, counts.good, bad, total)


def status_by_time(evidence: Evidence) -> UInt32Array:
    """Status by the share of the time in good regions."""
    facts = evidence.facts.regions
    used = facts.good_ns + facts.uncertain_ns
    doubt = 0 if not evidence.treat_uncertain_as_bad else facts.uncertain_ns
    return status_by_share(evidence, used - doubt, facts.bad_ns + doubt, used + facts.bad_ns)


def no_data_where(status: UInt32Array, empty: BoolArray) -> UInt32Array:
    """Bad_NoData where there is nothing."""
    return np.where(empty, BAD_NO_DATA, status).astype(np.uint32)


def ratio(part: npt.NDArray[np.generic], whole: npt.NDArray[np.generic]) -> Float64Array:
    """Part by whole; 0 where there is no whole."""
    result = np.zeros(len(part))
    np.divide(part, whole, out=result, where=np.asarray(whole) != 0)
    return result


def difference(
    more: AnyArray, less: AnyArray, type_: ValueType, status: UInt32Array
) -> tuple[ValueType, AnyArray, UInt32Array]:
    """``more - less`` in the tag's type, of whole numbers exactly; Bad_OutOfRange beyond int64."""
    if type_ not in WHOLE:
        return type_, np.subtract(more, less, dtype=more.dtype), status
    if type_ == ValueType.BOOL:
        more, less = more.astype(np.int64), less.astype(np.int64)
    value = (more.astype(np.uint64) - less.astype(np.uint64)).view(np.int64)
    beyond = (value < 0) != np.less(more, less)  # it has wrapped around
    status = np.where(beyond & (status < BAD), BAD_OUT_OF_RANGE, status).astype(np.uint32)
    return ValueType.INT64, value, status
