"""What a counter rose by: between its samples exactly, and along its line at the edges."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from query.facts.joining import Firsts, lasts_of
from query.facts.rules import Rules, Windows, usable
from query.registers import Register, unroll
from query.series import Signal
from storage_engine.sample import BoolArray, Int64Array

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class IncreaseFacts:
    """What a counter rose by, one row per window.

    Attributes
    ----------
    held : bool
        A usable sample lies before the end.
    increase : float64
        Sum of the steps whose rise is known, in part where an edge lies in one.
    unknown : int64
        Steps that are not known.
    covered_ns : int64
        Time from the first usable sample of all to the newest, as far as inside.
    start_doubt, end_doubt : bool
        At an edge the register was not told well: by an uncertain sample, or over one not usable.
    """

    held: BoolArray
    increase: Float64Array
    unknown: Int64Array
    covered_ns: Int64Array
    start_doubt: BoolArray
    end_doubt: BoolArray


def increase_facts(signal: Signal, windows: Windows, rules: Rules) -> IncreaseFacts:
    """Rise of the register per window."""
    place = np.flatnonzero(usable(signal, rules))
    times, count = signal.timestamp_ns[place], len(windows.start_ns)
    if len(place) == 0:
        no, zero = np.zeros(count, np.bool_), np.zeros(count, np.int64)
        return IncreaseFacts(no, zero.astype(np.float64), zero, zero, no, no)
    counter = rules.counter
    register = unroll(
        times,
        signal.number[place],
        [d for d in counter.declarations if times[0] <= d.time_ns <= times[-1]],
        modulus=counter.modulus,
        rate_max_per_s=counter.rate_max_per_s,
        resets=counter.resets,
    )
    newest = place[-1] == len(signal) - 1
    reach = rules.data_end_ns if rules.hold and newest else int(times[-1])
    start = np.clip(windows.start_ns, times[0], max(reach, int(times[0])))
    end = np.clip(windows.end_ns, times[0], max(reach, int(times[0])))
    held = windows.end_ns > times[0]
    (low, low_step, _), (high, _, high_step) = (
        _at(register, edge, stepped=rules.stepped) for edge in (start, end)
    )
    return IncreaseFacts(
        held,
        np.where(held, high - low, 0.0),
        np.where(held & (end > start), register.unknown[high_step] - register.unknown[low_step], 0),
        np.where(held, end - start, 0),
        *(_doubt(signal, place, edge) for edge in (start, end)),
    )


def _at(
    register: Register, when_ns: Int64Array, *, stepped: bool
) -> tuple[Float64Array, npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Total at times, and the last point at or before, the first that a time needs."""
    times, total = register.time_ns, register.total
    low = np.maximum(np.searchsorted(times, when_ns, side="right") - 1, 0)
    if stepped:
        return total[low], low, low
    high = np.where(times[low] >= when_ns, low, np.minimum(low + 1, len(times) - 1))
    span = np.maximum(times[high] - times[low], 1)
    return total[low] + (total[high] - total[low]) * ((when_ns - times[low]) / span), low, high


def _doubt(signal: Signal, place: Int64Array, when_ns: Int64Array) -> BoolArray:
    """Whether the register at a time is told by an uncertain sample, or over one not usable."""
    times, level = signal.timestamp_ns[place], signal.severity[place]
    low = np.maximum(np.searchsorted(times, when_ns, side="right") - 1, 0)
    high = np.minimum(low + 1, len(place) - 1)
    skipped = np.append(np.diff(place) > 1, place[-1] != len(signal) - 1)
    between = (times[low] < when_ns) & (skipped[low] | (level[high] > 0))
    return np.asarray((level[low] > 0) | between)


def join_increase(facts: IncreaseFacts, firsts: Firsts) -> IncreaseFacts:
    """Add the pieces; doubts are those of the outer edges."""
    lasts = lasts_of(firsts, len(facts.held))
    return IncreaseFacts(
        np.logical_or.reduceat(facts.held, firsts),
        np.add.reduceat(facts.increase, firsts),
        np.add.reduceat(facts.unknown, firsts),
        np.add.reduceat(facts.covered_ns, firsts),
        facts.start_doubt[firsts],
        facts.end_doubt[lasts],
    )
