"""Gaps: times at which the value of a tag is not known although no bad sample says so.

A gap begins where a sample has told the value for as long as one may, or where collecting ended
and nothing came of what was missed. It ends with the next sample; that of a value that holds ends
when collecting goes on, too: a source tells what has changed meanwhile. To what goes by time a gap
is a bad sample that nobody wrote; whatever counts samples does not see it.
"""

from dataclasses import dataclass, replace

import numpy as np

from query.facts.regions import Regions
from query.facts.rules import Rules, Windows
from query.series import Signal, join_signals
from storage_engine.sample import BAD_NO_DATA, Int64Array


@dataclass(frozen=True, slots=True)
class GapFacts:
    """Time in gaps; int64, shape (windows,)."""

    gap_ns: Int64Array


def gap_facts(signal: Signal, windows: Windows, rules: Rules) -> GapFacts:
    """Time in gaps per window."""
    if signal.gap is None:
        return GapFacts(np.zeros(len(windows.start_ns), np.int64))
    cut = Regions(signal, windows, rules)
    return GapFacts(cut.time(signal.gap[cut.left], signal.gap))


def has_gaps(rules: Rules) -> bool:
    """Whether these rules can make gaps at all."""
    return rules.hold_max_ns is not None or len(rules.holes.start_ns) > 0


def with_gaps(
    before: Signal, piece: Signal, after: Signal, rules: Rules, *, going_on: bool = True
) -> Signal:
    """Three signals as one, with rows where gaps begin and end.

    Parameters
    ----------
    before, after : Signal
        Samples around; between them and the piece there is no other, between themselves may be.
    piece : Signal
        All samples of a stretch of time.
    rules : Rules
    going_on : bool
        With a row, too, where a value that holds goes on.
    """
    if not has_gaps(rules):
        return join_signals([before, piece, after])
    near = join_signals([before.take(slice(-1, None)), piece, after.take(slice(0, 1))])
    told = _with_gaps(near, rules, newest=len(after) == 0, going_on=going_on)
    return join_signals([before.take(slice(0, -1)), told, after.take(slice(1, None))])


def _with_gaps(signal: Signal, rules: Rules, *, newest: bool, going_on: bool) -> Signal:
    """``newest``: the last sample is the newest of all."""
    if len(signal) == 0:
        return signal
    times = signal.timestamp_ns
    missed, ends = _not_collected(times, rules)
    begins = np.unique(np.concatenate([_held_too_long(times, rules), missed]))
    ends = ends[~np.isin(ends, begins)] if going_on else ends[:0]
    made = np.concatenate([begins, ends])
    begin = np.arange(len(made)) < len(begins)
    inside = made < (rules.data_end_ns if newest else times[-1])
    made, begin = made[inside], begin[inside]
    if len(made) == 0:
        return signal
    order = np.argsort(np.concatenate([times, made]), kind="stable")
    before = np.searchsorted(times, made) - 1
    rows = signal.take(np.concatenate([np.arange(len(times)), before])[order])
    gap = np.concatenate([np.zeros(len(times), np.bool_), begin])[order]
    return replace(
        rows,
        timestamp_ns=np.concatenate([times, made])[order],
        severity=np.where(gap, np.uint8(2), rows.severity),
        code=np.where(gap, np.uint32(BAD_NO_DATA), rows.code),
        number=np.where(gap, 0.0, rows.number),
        gap=gap,
    )


def _held_too_long(times: Int64Array, rules: Rules) -> Int64Array:
    """Where samples have told the value for as long as one may."""
    if rules.hold_max_ns is None:
        return np.zeros(0, np.int64)
    until = np.append(times[1:], max(rules.data_end_ns, int(times[-1])))
    return (times + rules.hold_max_ns)[until - times > rules.hold_max_ns]


def _not_collected(times: Int64Array, rules: Rules) -> tuple[Int64Array, Int64Array]:
    """Where collecting ended and nothing has come of what was missed, and where it goes on."""
    start, end = rules.holes.start_ns, rules.holes.end_ns
    behind = np.searchsorted(times, start)
    missed = (np.searchsorted(times, end) == behind) & (behind > 0)
    begins, ends, behind = start[missed], end[missed], behind[missed]
    if not rules.stepped:
        return begins, ends[:0]
    goes_on = ~np.isin(ends, times)
    if rules.hold_max_ns is not None:
        goes_on &= ends - times[behind - 1] < rules.hold_max_ns
    return begins, ends[goes_on]
