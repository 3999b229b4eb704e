"""Values of a tag at given times, from the samples around each."""

import numpy as np

from query.columns import as_values, common_type
from query.facts.bounds import interpolated_bounds, simple_bounds
from query.facts.gaps import with_gaps
from query.facts.rules import Rules
from query.request import QueryLimits
from query.result import MomentsColumn
from query.scan import neighbours
from query.series import TagSamples
from query.summaries import SkeletonSamples, SummaryRows, load
from query.summarised import check_told
from storage_engine.sample import (
    BAD,
    BAD_NO_DATA,
    DTYPES,
    AnyArray,
    BoolArray,
    Int64Array,
    UInt32Array,
    ValueType,
)

# Rows that are read at once between the first and the last of many times, and for each of them,
# also where they are decoded straight into arrays; where there are more the times are looked at in
# halves, in the end one by one.
_ROWS_MIN, _ROWS_EACH, _ROWS_EACH_DECODED = 1_024, 16, 4_096


def values_at(
    samples: TagSamples, time_ns: Int64Array, rules: Rules, limits: QueryLimits, *, simple: bool
) -> MomentsColumn:
    """Interpolated, or simple, bounding values at times.

    Parameters
    ----------
    samples : TagSamples
    time_ns : int64, shape (n,)
        Any order, repeats allowed.
    rules : Rules
    limits : QueryLimits
    simple : bool
        From the two neighbouring samples alone; else from the nearest usable ones.

    Returns
    -------
    MomentsColumn

    Raises
    ------
    BadRequest
        Where only summaries are left, for rules that they were not made by.
    LimitExceeded
        When more than ``limits.scan_rows_max`` samples would be read.
    """
    times, back = np.unique(time_ns, return_inverse=True)
    rows = load(samples, (times, times + 1), limits)
    holder = samples
    if rows is not None:
        holder = joined = SkeletonSamples(samples, rows)
        if times[0] < joined.until_ns:
            check_told(samples, rows, rules)
    found = _found(holder, times, rules, limits, simple=simple) if len(times) else []
    type_ = common_type({type_ for type_, _, _ in found if type_ is not None}, samples.tag.type)
    status, value = np.zeros(0, np.uint32), np.zeros(0, DTYPES[type_])
    if found:
        status = np.concatenate([part for _, _, part in found])
        value = np.concatenate([as_values(part, type_) for _, part, _ in found])
    if rows is not None:
        status = np.where(_unknown(rows, times), BAD_NO_DATA, status).astype(np.uint32)
    status, value = status[back], value[back]
    return MomentsColumn(samples.tag, type_, value, status < BAD, status, samples.damage)


def _unknown(rows: SummaryRows, times: Int64Array) -> BoolArray:
    """Whether a time lies between samples of which a summary alone is left."""
    row = np.searchsorted(rows.start, times, side="right") - 1
    first, last = rows.columns["first_time"], rows.columns["last_time"]
    held = row >= 0
    row = np.maximum(row, 0)
    unknown = held & (times > first[row]) & (times < last[row]) if len(rows) else held & False
    for low, high in zip(rows.hole_start.tolist(), rows.hole_end.tolist(), strict=True):
        unknown |= (times >= low) & (times < high)
    return np.asarray(unknown)


_Part = tuple[ValueType | None, AnyArray, UInt32Array]


def _found(
    samples: TagSamples, times: Int64Array, rules: Rules, limits: QueryLimits, *, simple: bool
) -> list[_Part]:
    low, high = int(times[0]), int(times[-1]) + 1
    piece = samples.decoded(low, high, _room(len(times), _ROWS_EACH_DECODED, limits))
    complete = piece is not None
    if piece is None:
        rows_max = _room(len(times), _ROWS_EACH, limits)
        piece, complete = samples.signal(low, high, max_count=rows_max)
    if not complete and len(times) > 1:
        half = len(times) // 2
        return [
            part
            for some in (times[:half], times[half:])
            for part in _found(samples, some, rules, limits, simple=simple)
        ]
    reach = 0 if simple else 2 if rules.use_sloped_extrapolation else 1
    parts = (
        neighbours(samples, low, rules, reach, before=True, limits=limits),
        piece,
        neighbours(samples, high, rules, min(reach, 1), before=False, limits=limits),
    )
    around = with_gaps(*parts, rules)
    if simple:
        value, status, _ = simple_bounds(around, times, rules)
    else:
        value, status = interpolated_bounds(around, times, rules)
    return [(around.type if len(around) else None, value, status)]


def _room(times: int, each: int, limits: QueryLimits) -> int:
    return min(_ROWS_MIN + each * times, limits.chunk_rows)
