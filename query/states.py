"""Time in each state: how long a tag that holds its value had each of its values."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from query.columns import common_type
from query.errors import BadRequest, LimitExceeded
from query.facts.gaps import with_gaps
from query.facts.ranges import spread
from query.facts.rules import Rules, usable
from query.interval import rules_for_others, rules_of
from query.intervals import Calendars, Intervals, cut
from query.request import QueryLimits, StatesRequest
from query.result import StatesResult
from query.scan import neighbours, pieces
from query.series import Signal, TagSamples
from storage_engine.sample import DTYPES, BoolArray, ColumnData, Int64Array, ValueType

UNKNOWN = -1
_FLOATS = frozenset({ValueType.FLOAT64, ValueType.FLOAT32})


@dataclass(frozen=True, slots=True)
class _Runs:
    """Stretches of time in one state, ascending; none over another.

    Attributes
    ----------
    start_ns, end_ns : int64, shape (n,)
    state : int64, shape (n,)
        Number of the state, ``UNKNOWN`` where the value is not known.
    entered : bool, shape (n,)
        The value known last was another.
    """

    start_ns: Int64Array
    end_ns: Int64Array
    state: Int64Array
    entered: BoolArray


def answer_states(
    samples: TagSamples,
    request: StatesRequest,
    limits: QueryLimits,
    calendars: Calendars,
    *,
    now_ns: int | None,
) -> StatesResult:
    """Time in each state of a tag per interval.

    Raises
    ------
    BadRequest
        For a tag whose value goes from sample to sample on a line; see ``query.intervals.cut``.
    LimitExceeded
        See ``query.intervals.cut`` and :func:`read_states`.
    """
    tag, what = samples.tag, "tell the time in states"
    stepped = tag.stepped if request.stepped is None else request.stepped
    if not stepped and tag.type in _FLOATS:
        got, want = f"sloped tag {tag.name!r}", "one that holds its value, or stepped true"
        raise BadRequest(what, got=got, want=want, where="tag")
    intervals = cut(what, request, limits, calendars)
    rules = replace(rules_of(samples, rules_for_others(request), now_ns), stepped=True)
    return replace(read_states(samples, intervals, rules, limits), damage=samples.damage)


def read_states(
    samples: TagSamples, intervals: Intervals, rules: Rules, limits: QueryLimits
) -> StatesResult:
    """Time in each state per interval.

    Parameters
    ----------
    samples : TagSamples
    intervals : Intervals
        One behind the other, in any direction.
    rules : Rules
        Stepped.
    limits : QueryLimits

    Raises
    ------
    LimitExceeded
        For more than ``limits.rows_max`` rows, or samples than ``limits.scan_rows_max``.
    """
    order = np.argsort(intervals.start_ns, kind="stable")
    start, end = intervals.start_ns[order], intervals.end_ns[order]
    book = _Book()
    found = _Sums(len(start))
    for runs in _runs(samples, (int(start[0]), int(end[-1])), rules, limits, book):
        found.add(runs, start, end)
        if len(found.rows()[0]) > limits.rows_max:
            raise LimitExceeded(
                "tell the time in states",
                got=f"more than {limits.rows_max} states in intervals",
                want="longer intervals, or a tag of fewer states",
                where=f"tag {samples.tag.name!r}",
            )
    row, state = found.rows()
    # In the order of the intervals as they were asked for, their states by value.
    place = np.lexsort((book.ranks()[state], state == UNKNOWN, np.argsort(order)[row]))
    row, state = row[place], state[place]
    duration, entries, longest, first = (column[place] for column in found.columns())
    length = end - start
    return StatesResult(
        samples.tag,
        start[row],
        end[row],
        book.values(state, samples.tag.type),
        duration,
        100.0 * duration / length[row],
        entries,
        longest,
        first,
        entries > 0,
        tuple(intervals.labels[order[r]] for r in row.tolist()) if intervals.labels else (),
    )


class _Book:
    """States by number, in the order in which they were met."""

    def __init__(self) -> None:
        self._numbers: dict[object, int] = {}
        self._types: set[ValueType] = set()

    def numbers(self, signal: Signal, known: BoolArray) -> Int64Array:
        """Number of the state of each row."""
        states = np.full(len(signal), UNKNOWN, np.int64)
        if known.any():
            self._types.add(signal.type)
            distinct, inverse = np.unique(signal.native[known], return_inverse=True)
            numbers = self._numbers
            met = [numbers.setdefault(value, len(numbers)) for value in distinct.tolist()]
            states[known] = np.array(met, np.int64)[inverse]
        return states

    def ranks(self) -> Int64Array:
        """Place of each state among all by value, and one more for what is not known."""
        names: list[Any] = list(self._numbers)
        places = sorted(range(len(names)), key=names.__getitem__)
        return np.append(np.argsort(np.array(places, np.int64)), 0)

    def values(self, state: Int64Array, default: ValueType) -> ColumnData:
        """Values of states; null where not known."""
        type_ = common_type(self._types, default)
        known = state != UNKNOWN
        names = list(self._numbers)
        if type_ == ValueType.TEXT and self._types != {ValueType.TEXT}:
            names = [value if isinstance(value, str) else str(value) for value in names]
        dtype = DTYPES[type_]
        values = (
            np.zeros(len(state), dtype) if dtype != np.object_ else np.full(len(state), "", "O")
        )
        values[known] = np.array(names, dtype)[state[known]] if names else values[known]
        return ColumnData(type_, values, known)


class _Sums:
    """What runs add up to, by interval and state."""

    def __init__(self, intervals: int) -> None:
        self._intervals = intervals
        self._key = np.zeros(0, np.int64)
        self._columns = [np.zeros(0, np.int64) for _ in range(4)]

    def rows(self) -> tuple[Int64Array, Int64Array]:
        """Interval and state of each row."""
        return self._key % self._intervals, self._key // self._intervals - 1

    def columns(self) -> list[Int64Array]:
        """Duration, entries, longest stay, time of the first entry, of each row."""
        return self._columns

    def add(self, runs: _Runs, start: Int64Array, end: Int64Array) -> None:
        """Take runs of which each is whole."""
        first = np.searchsorted(end, runs.start_ns, side="right")
        behind = np.maximum(np.searchsorted(start, runs.end_ns), first)
        run, row = spread(first, behind)
        begin = np.maximum(runs.start_ns[run], start[row])
        length = np.minimum(runs.end_ns[run], end[row]) - begin
        entered = runs.entered[run] & (runs.start_ns[run] >= start[row])
        never = np.int64(2**62)
        key = np.concatenate([self._key, (runs.state[run] + 1) * self._intervals + row])
        more = (length, entered.astype(np.int64), length, np.where(entered, begin, never))
        columns = [np.concatenate(pair) for pair in zip(self._columns, more, strict=True)]
        self._key, inverse = np.unique(key, return_inverse=True)
        folds = (np.add, np.add, np.maximum, np.minimum)
        for place, (fold, values) in enumerate(zip(folds, columns, strict=True)):
            into = np.full(len(self._key), never if fold is np.minimum else 0, np.int64)
            fold.at(into, inverse, values)
            self._columns[place] = into


def _runs(
    samples: TagSamples,
    window: tuple[int, int],
    rules: Rules,
    limits: QueryLimits,
    book: _Book,
) -> Iterator[_Runs]:
    """Runs that tile a window; a run that a piece of the scan cuts is given when it ends."""
    low, high = window
    open_: tuple[int, int, bool] | None = None  # start, state, entered
    last_known = UNKNOWN
    for begin, until, piece in pieces(samples, iter([window]), limits):
        before = neighbours(samples, begin, rules, 1, before=True, limits=limits)
        after = neighbours(samples, until, rules, 0, before=False, limits=limits)
        told = with_gaps(before, piece, after, rules)
        state = book.numbers(told, usable(told, rules))
        if begin == low:
            earlier = np.flatnonzero((told.timestamp_ns < low) & (state != UNKNOWN))
            last_known = int(state[earlier[-1]]) if len(earlier) else UNKNOWN
        at, state = _opened(told.timestamp_ns, state, begin, min(until, rules.data_end_ns), until)
        known = state != UNKNOWN
        # The state known last before each row, over whatever is not known.
        place = np.maximum.accumulate(np.where(known, np.arange(len(state)), -1))
        earlier_known = np.append(-1, place[:-1])
        previous = np.where(earlier_known >= 0, state[earlier_known], last_known)
        last_known = int(state[place[-1]]) if len(place) and place[-1] >= 0 else last_known
        entered = known & (previous != state)
        if open_ is not None and len(at):
            if open_[1] == state[0]:
                at[0], entered[0] = open_[0], open_[2]
            else:
                at, state = np.append(open_[0], at), np.append(open_[1], state)
                entered = np.append(open_[2], entered)
        changes = np.flatnonzero(np.append(True, state[1:] != state[:-1]))
        at, state, entered = at[changes], state[changes], entered[changes]
        if len(at):
            yield _Runs(at[:-1], at[1:], state[:-1], entered[:-1])
            open_ = int(at[-1]), int(state[-1]), bool(entered[-1])
    if open_ is not None:
        one = (np.array([value]) for value in (open_[0], high, open_[1], open_[2]))
        yield _Runs(*one)


def _opened(
    times: Int64Array, state: Int64Array, begin: int, data_end: int, until: int
) -> tuple[Int64Array, Int64Array]:
    """Where states begin in [begin, until): with each row, at the beginning, where data end."""
    first = int(np.searchsorted(times, begin, side="right"))
    behind = int(np.searchsorted(times, until))
    carried = state[first - 1] if first > 0 and begin < data_end else UNKNOWN
    at = np.append(begin, times[first:behind])
    states = np.append(carried, state[first:behind])
    if begin < data_end < until:
        at, states = np.append(at, data_end), np.append(states, UNKNOWN)
    return at.astype(np.int64), states.astype(np.int64)
