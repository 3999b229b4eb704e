"""Values at the edges of windows: simple and interpolated bounds."""

from dataclasses import dataclass

import numpy as np

from query.facts.joining import Firsts, lasts_of, picked
from query.facts.rules import Rules, Windows, usable
from query.interpolation import as_type, interpolate
from query.series import Signal
from query.status import INTERPOLATED, UNCERTAIN_DATA_SUB_NORMAL
from storage_engine.sample import (
    BAD_NO_DATA,
    DTYPES,
    GOOD,
    UNCERTAIN,
    AnyArray,
    BoolArray,
    Int64Array,
    UInt32Array,
    ValueType,
)


@dataclass(frozen=True, slots=True)
class BoundFacts:
    """Simple bounds at the start and the end of each window.

    Values have the samples' own dtype and mean nothing where the status is bad. A status has the
    info bit for interpolated where no sample stands at the edge. ``held_code`` is the status code
    of the newest sample at or before the end; Bad_NoData without one.
    """

    start: AnyArray
    start_status: UInt32Array
    end: AnyArray
    end_status: UInt32Array
    held_code: UInt32Array


@dataclass(frozen=True, slots=True)
class InterpolatedFacts:
    """Interpolated bound at the start of each window; as :class:`BoundFacts`."""

    value: AnyArray
    status: UInt32Array


def bound_facts(signal: Signal, windows: Windows, rules: Rules) -> BoundFacts:
    """Simple bounds per window."""
    start, start_status, _ = simple_bounds(signal, windows.start_ns, rules)
    end, end_status, held_code = simple_bounds(signal, windows.end_ns, rules)
    return BoundFacts(start, start_status, end, end_status, held_code)


def join_bounds(facts: BoundFacts, firsts: Firsts) -> BoundFacts:
    """Bounds of the first and the last piece."""
    lasts = lasts_of(firsts, len(facts.start))
    return BoundFacts(
        *picked(facts, firsts, "start", "start_status"),
        *picked(facts, lasts, "end", "end_status", "held_code"),
    )


def simple_bounds(
    signal: Signal, time_ns: Int64Array, rules: Rules
) -> tuple[AnyArray, UInt32Array, UInt32Array]:
    """Values at times from the two neighbouring samples alone.

    Parameters
    ----------
    signal : Signal
        Holds, for each time, the nearest samples on both sides.
    time_ns : int64, shape (n,)
    rules : Rules

    Returns
    -------
    array, uint32, uint32, shape (n,)
        Values, statuses, and status codes of the samples at or before the times.

    References
    ----------
    OPC 10000-13, Simple Bounding Values.
    """
    count = len(signal)
    status = np.full(len(time_ns), BAD_NO_DATA, dtype=np.uint32)
    if count == 0:
        return np.zeros(len(time_ns), DTYPES[signal.type]), status, status
    times, level, can = signal.timestamp_ns, signal.severity, usable(signal, rules)
    found = np.searchsorted(times, time_ns, side="right") - 1
    left, right = np.maximum(found, 0), np.minimum(found + 1, count - 1)
    exact = times[left] == time_ns
    ended = left == count - 1
    known = (found >= 0) & can[left]
    known &= exact | ~ended | (np.bool_(rules.hold) & (time_ns <= rules.data_end_ns))
    value, doubt = signal.native[left], level[left] > 0
    if not rules.stepped and signal.type != ValueType.BOOL:
        line = ~exact & ~ended & can[right]
        value = _on_line(signal, time_ns, left, line)
        doubt = doubt | (~exact & ~ended & (~can[right] | (level[right] > 0)))
    between = np.where(doubt, UNCERTAIN_DATA_SUB_NORMAL, GOOD) | INTERPOLATED
    at = np.where(level[left] > 0, UNCERTAIN, GOOD)
    status = np.where(known, np.where(exact, at, between), BAD_NO_DATA).astype(np.uint32)
    code = np.where(found >= 0, signal.code[left], BAD_NO_DATA).astype(np.uint32)
    return value, status, code


def _on_line(signal: Signal, time_ns: Int64Array, left: Int64Array, line: BoolArray) -> AnyArray:
    """Values that the samples ``left`` open; where ``line``, on the way to the next sample."""
    value = signal.native[left]
    rows = left[line]
    times, number = signal.timestamp_ns, signal.number
    slope = (number[rows + 1] - number[rows]) / (times[rows + 1] - times[rows])
    value[line] = as_type(number[rows] + slope * (time_ns[line] - times[rows]), signal.type)
    return value


def interpolated_facts(signal: Signal, windows: Windows, rules: Rules) -> InterpolatedFacts:
    """Interpolated bound at the start of each window."""
    return InterpolatedFacts(*interpolated_bounds(signal, windows.start_ns, rules))


def interpolated_bounds(
    signal: Signal, time_ns: Int64Array, rules: Rules
) -> tuple[AnyArray, UInt32Array]:
    """Values at times from the nearest usable samples, and statuses; as :func:`interpolate`."""
    if len(signal) == 0:
        none = np.full(len(time_ns), BAD_NO_DATA, dtype=np.uint32)
        return np.zeros(len(none), DTYPES[signal.type]), none
    found = interpolate(signal, time_ns, rules)
    value = signal.native[np.maximum(found.row, 0)]
    between = (found.status & INTERPOLATED) == INTERPOLATED
    if not rules.stepped and signal.type != ValueType.BOOL:
        value[between] = as_type(found.number[between], signal.type)
    return value, found.status


def join_interpolated(facts: InterpolatedFacts, firsts: Firsts) -> InterpolatedFacts:
    """Bound of the first piece."""
    return InterpolatedFacts(*picked(facts, firsts, "value", "status"))
