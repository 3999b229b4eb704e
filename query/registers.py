"""A register unrolled: what a counter rose by between any two of its samples, or why it is unknown.

A register only rises, until it wraps at its declared modulus or is declared reset or replaced.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from storage_engine.sample import BoolArray, Int64Array

Float64Array = npt.NDArray[np.float64]

# Why energy is not known. The position is the code; 0 is known.
REASONS = (
    "",
    "no read at or before the start",
    "no read at or after the end",
    "reads around a bound are further apart than the gap limit",
    "register fell and no wrap or declaration explains it",
    "register fell; a wrap needs a declared modulus and a declared maximum rate to be believed",
    "register rose faster than the declared maximum rate",
    "register may have turned more than once between two reads",
    "register is outside its declared modulus",
    "two reads at one time disagree",
    "a declared reset or replacement does not say the register before and after",
    "register is not a number",
)
KNOWN, _BEFORE, _AFTER, _GAP, _FALL, _FALL_UNDECLARED = range(6)
_FAST, _TURNS, _OUTSIDE, _DISAGREE, _UNDECLARED, _NAN = range(6, 12)


@dataclass(frozen=True, slots=True)
class Register:
    """A meter's register unrolled: energy since its first read, at reads and declarations.

    Attributes
    ----------
    time_ns : int64, shape (k,)
        Ascending; equal times where a declaration meets a read.
    total : float64, shape (k,)
        Sum of the known steps up to here.
    reason : uint8, shape (k,)
        Of the step that ends here; 0 when its energy is known (and for the first).
    unknown : int64, shape (k,)
        Unknown steps up to here.
    """

    time_ns: Int64Array
    total: Float64Array
    reason: npt.NDArray[np.uint8]
    unknown: Int64Array

    def windows(
        self, start_ns: Int64Array, end_ns: Int64Array, gap_ns_max: int
    ) -> tuple[Float64Array, BoolArray, npt.NDArray[np.uint8]]:
        """Energy, whether a bound was interpolated, and reason, per window.

        Parameters
        ----------
        start_ns, end_ns : int64, shape (n,)
            start <= end.
        gap_ns_max : int
            A bound is interpolated only between reads that are at most this far apart.
        """
        if len(self.time_ns) == 0:
            none = np.full(len(start_ns), _BEFORE, dtype=np.uint8)
            return np.full(len(start_ns), np.nan), np.zeros(len(start_ns), np.bool_), none
        at_start, low, estimated_start, why_start = self._at(start_ns, gap_ns_max)
        at_end, high, estimated_end, why_end = self._at(end_ns, gap_ns_max)
        reason = np.where(why_start != KNOWN, why_start, why_end)
        broken = (reason == KNOWN) & (self.unknown[high] > self.unknown[low])
        bad = np.flatnonzero(self.reason)
        if broken.any():
            first = bad[np.searchsorted(bad, low[broken], side="right")]
            reason[broken] = self.reason[first]
        energy = np.where(reason == KNOWN, at_end - at_start, np.nan)
        return energy, (estimated_start | estimated_end) & (reason == KNOWN), reason

    def _at(
        self, when_ns: Int64Array, gap_ns_max: int
    ) -> tuple[Float64Array, Int64Array, BoolArray, npt.NDArray[np.uint8]]:
        """Total at times: value, position at or before, interpolated, reason."""
        count = len(self.time_ns)
        at = np.searchsorted(self.time_ns, when_ns, side="right").astype(np.int64) - 1
        low = np.clip(at, 0, count - 1)
        following = np.minimum(low + 1, count - 1)
        exact = (at >= 0) & (self.time_ns[low] == when_ns)
        gap_ns = self.time_ns[following] - self.time_ns[low]
        reason = np.where(~exact, self.reason[following], KNOWN).astype(np.uint8)
        reason[~exact & (reason == KNOWN) & (gap_ns > gap_ns_max)] = _GAP
        reason[at < 0] = _BEFORE
        reason[~exact & (at >= count - 1)] = _AFTER
        part = (when_ns - self.time_ns[low]) / np.maximum(gap_ns, 1)
        rise = self.total[following] - self.total[low]
        value = self.total[low] + np.where(exact, 0.0, rise * part)
        return value, low, ~exact, reason


@dataclass(frozen=True, slots=True)
class Declaration:
    """A register was set: at ``time_ns`` it went from ``old`` to ``new`` (None: not said)."""

    time_ns: int
    old: float | None
    new: float | None


def unroll(
    time_ns: Int64Array,
    register: Float64Array,
    declarations: Sequence[Declaration],
    *,
    modulus: float | None,
    rate_max_per_s: float | None,
    resets: bool = False,
) -> Register:
    """Unroll the reads of a register.

    Parameters
    ----------
    time_ns : int64, shape (n,)
        Ascending.
    register : float64, shape (n,)
        As read.
    declarations : sequence of Declaration
        Ascending. One that repeats the one before, with no read between, counts once.
    modulus : float, optional
        Value that the register never shows: it starts again at zero instead.
    rate_max_per_s : float, optional
        A rise beyond it is not energy. A wrap is believed only below it, since a fall may as
        well be an exchange of the meter that nobody declared.
    resets : bool
        A fall that is no wrap is a start from zero, as somebody has declared of this register.

    Returns
    -------
    Register
    """
    marks = _distinct(declarations, time_ns)
    times = np.concatenate([time_ns, np.array([d.time_ns for d in marks], dtype=np.int64)])
    old = [np.nan if d.old is None else d.old for d in marks]
    new = [np.nan if d.new is None else d.new for d in marks]
    before = np.concatenate([register, np.array(old, dtype=np.float64)])
    after = np.concatenate([register, np.array(new, dtype=np.float64)])
    declared = np.arange(len(times)) >= len(time_ns)
    rank = np.where(declared, 1, 2)
    for d in marks:
        # A read at the instant of a reset is before it only if it shows the old register.
        rank[: len(time_ns)][(time_ns == d.time_ns) & (register == d.old) & (d.old != d.new)] = 0
    order = np.lexsort((rank, times))
    times, before, after, declared = times[order], before[order], after[order], declared[order]
    step, reason = _steps(
        after[:-1],
        before[1:],
        np.diff(times),
        declared[:-1] | declared[1:],
        modulus=modulus,
        rate_max_per_s=rate_max_per_s,
        resets=resets,
    )
    first = np.zeros(min(len(times), 1))
    reason = np.concatenate([first.astype(np.uint8), reason])
    total = np.cumsum(np.concatenate([first, np.where(reason[1:] == KNOWN, step, 0.0)]))
    return Register(times, total, reason, np.cumsum(reason != KNOWN).astype(np.int64))


def _steps(
    r1: Float64Array,
    r2: Float64Array,
    gap_ns: Int64Array,
    declared: BoolArray,
    *,
    modulus: float | None,
    rate_max_per_s: float | None,
    resets: bool,
) -> tuple[Float64Array, npt.NDArray[np.uint8]]:
    """Energy of each step from register ``r1`` to ``r2``, and why it is not known.

    Parameters
    ----------
    declared : bool, shape (n,)
        One end of the step is a declaration, so that a missing register is one not declared.
    """
    size = np.inf if modulus is None else modulus
    gap_s = gap_ns / 1e9
    limit = np.full(len(r1), np.inf) if rate_max_per_s is None else rate_max_per_s * gap_s
    limit = limit * (1 + 1e-9)
    falls = r2 < r1
    rise = r2 - r1
    step = np.where(falls, size - r1 + r2, rise) if modulus is not None else rise
    reason = np.zeros(len(r1), dtype=np.uint8)
    if rate_max_per_s is not None:
        reason[step > limit] = _FAST
        reason[step + size <= limit] = _TURNS
        reason[falls & (step > limit)] = _FALL
    if modulus is None or rate_max_per_s is None:
        reason[falls] = _FALL_UNDECLARED
    if resets:
        fallen = ((reason == _FALL) | (reason == _FALL_UNDECLARED)) & (r2 <= limit)
        step, reason = np.where(fallen, r2, step), np.where(fallen, KNOWN, reason)
    reason[(gap_ns == 0) & (r1 != r2)] = _DISAGREE
    reason[(r1 < 0) | (r1 >= size) | (r2 < 0) | (r2 >= size)] = _OUTSIDE
    missing = ~(np.isfinite(r1) & np.isfinite(r2))
    reason[missing] = np.where(declared[missing], _UNDECLARED, _NAN)
    return np.where(missing, 0.0, step), reason


def _distinct(declarations: Sequence[Declaration], time_ns: Int64Array) -> list[Declaration]:
    kept: list[Declaration] = []
    for d in declarations:
        if kept and (kept[-1].old, kept[-1].new) == (d.old, d.new):
            low, high = np.searchsorted(time_ns, [kept[-1].time_ns, d.time_ns + 1])
            if low == high:
                continue
        kept.append(d)
    return kept
