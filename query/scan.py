"""Reads the samples under many windows in pieces of bounded size and folds them into facts.

One piece of rows is in memory at a time. Around each piece stand the few samples outside it that
its edges need: the nearest of any quality, and the nearest usable ones.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from query.columns import as_values, common_type
from query.errors import LimitExceeded
from query.facts.gaps import has_gaps, with_gaps
from query.facts.registry import ALWAYS, KINDS, Facts, Kind
from query.facts.rules import Rules, Windows, usable
from query.request import QueryLimits
from query.series import TIME_MAX_NS, TIME_MIN_NS, Signal, TagSamples, join_signals
from storage_engine.sample import Int64Array, ValueType

_T = TypeVar("_T")
_FIRST_LOOK_ROWS = 16
# Windows by number, kinds of facts of each, in that order, and the type of their values if known.
Part = tuple[Int64Array, dict[str, Any], ValueType | None]


def scan(
    samples: TagSamples,
    windows: tuple[Int64Array, Int64Array],
    rules: Rules,
    limits: QueryLimits,
    wanted: Iterable[str] = (),
) -> Facts:
    """Facts of windows [start, end), which may overlap and come in any order.

    Parameters
    ----------
    samples : TagSamples
        Whose samples.
    windows : pair of int64, shape (n,)
        Starts and ends, start < end.
    rules : Rules
        How samples become facts.
    limits : QueryLimits
        Size of a piece, and how many samples may be read in all.
    wanted : iterable of str
        Which kinds of facts beside those that are always there.

    Raises
    ------
    LimitExceeded
        When more than ``limits.scan_rows_max`` samples would be read.
    """
    start, end = windows
    order = np.argsort(start, kind="stable")
    start, end = start[order], end[order]
    latest_end = np.maximum.accumulate(end)
    kinds = {name: KINDS[name] for name in (*ALWAYS, *wanted)}
    usable_around = any(kind.usable_around for kind in kinds.values())
    parts: list[Part] = []
    for low, high, piece in pieces(samples, spans(samples, start, latest_end), limits):
        candidates = np.arange(
            np.searchsorted(latest_end, low, side="right"), np.searchsorted(start, high)
        )
        inside = candidates[end[candidates] > low]
        if len(inside) == 0:
            continue
        three = _with_neighbours(
            samples, piece, (low, high), rules, limits, usable_around=usable_around
        )
        around = join_signals(three)
        in_time = drawn = around
        if has_gaps(rules):
            in_time = with_gaps(*three, rules)
            drawn = with_gaps(*three, rules, going_on=False)
        cut = Windows(np.maximum(start[inside], low), np.minimum(end[inside], high), start[inside])
        found = {
            name: kind.kernel(
                drawn if kind.draws else in_time if kind.by_time else around, cut, rules
            )
            for name, kind in kinds.items()
        }
        parts.append((order[inside], found, around.type if len(around) else None))
    if not parts:  # no window at all: facts of the right types and no rows
        none = samples.signal(0, 0)[0]
        empty = Windows(start, end, start)
        parts = [(start, {n: k.kernel(none, empty, rules) for n, k in kinds.items()}, None)]
    return join_facts(parts, len(start))


def join_facts(parts: Sequence[Part], count: int) -> Facts:
    """Facts of windows from facts of their parts.

    Parameters
    ----------
    parts : sequence of Part
        Those of one window in order of time, as far as a kind minds; of each kind that a part
        has, every window has one.
    count : int
        Windows.
    """
    types = {type_ for _, _, type_ in parts if type_ is not None}
    type_ = common_type(types, ValueType.FLOAT64)
    joined: dict[str, Any] = {}
    for name, kind in KINDS.items():
        held = [(owner, found[name]) for owner, found, _ in parts if name in found]
        if not held:
            continue
        window = np.concatenate([owner for owner, _ in held])
        place = np.argsort(window, kind="stable")
        firsts = np.searchsorted(window[place], np.arange(count))
        whole = _concatenated([_typed(facts, kind, type_) for _, facts in held], place)
        joined[name] = kind.join(whole, firsts) if count else whole
    return Facts(type_, **joined)


def _typed(facts: Any, kind: Kind, type_: ValueType) -> Any:
    """Facts with their values in one type; those of a part without samples mean nothing."""
    values = {field: as_values(getattr(facts, field), type_) for field in kind.native}
    return replace(facts, **values) if values else facts


def part_of(windows: Int64Array, facts: Facts) -> Part:
    """Facts of whole windows as a part."""
    kinds = {name: getattr(facts, name) for name in KINDS}
    found = {name: one for name, one in kinds.items() if one is not None}
    counts = facts.counts
    held = (counts.good + counts.uncertain + counts.bad).any()
    return windows, found, facts.number_type if held else None


def neighbours(
    samples: TagSamples,
    time_ns: int,
    rules: Rules,
    usable_count: int,
    *,
    before: bool,
    limits: QueryLimits,
) -> Signal:
    """Find the sample next to a time, and the usable ones nearest to it; ascending.

    Parameters
    ----------
    before : bool
        Look before ``time_ns``; else at it and after it.
    usable_count : int
        How many usable samples to look for, over however many others.

    Raises
    ------
    LimitExceeded
        When ``limits.scan_rows_max`` samples hold too few usable ones.
    """
    low, high, size, rows = TIME_MIN_NS, TIME_MAX_NS, _FIRST_LOOK_ROWS, 0
    low, high = (low, time_ns) if before else (time_ns, high)
    kept: list[Signal] = []
    while True:
        found, complete = samples.signal(low, high, max_count=size, backward=before)
        usable_rows = np.flatnonzero(usable(found, rules))[:usable_count]
        nearest = np.arange(min(len(found), 0 if kept else 1))
        kept.append(found.take(np.union1d(usable_rows, nearest).astype(np.int64)))
        usable_count -= len(usable_rows)
        rows += len(found)
        if complete or usable_count == 0:
            break
        if rows > limits.scan_rows_max:
            raise _too_many(samples, limits)
        edge = int(found.timestamp_ns[-1])
        low, high = (low, edge) if before else (edge + 1, high)
        size = min(size * 8, limits.chunk_rows)
    nearby = join_signals(kept)
    return nearby.take(slice(None, None, -1)) if before else nearby


def _with_neighbours(
    samples: TagSamples,
    piece: Signal,
    edges: tuple[int, int],
    rules: Rules,
    limits: QueryLimits,
    *,
    usable_around: bool,
) -> tuple[Signal, Signal, Signal]:
    reach = (2 if rules.use_sloped_extrapolation else 1) if usable_around else 0
    return (
        neighbours(samples, edges[0], rules, reach, before=True, limits=limits),
        piece,
        neighbours(samples, edges[1], rules, min(reach, 1), before=False, limits=limits),
    )


def spans(
    samples: TagSamples, start: Int64Array, latest_end: Int64Array, *, gap_ns: int = 0
) -> Iterator[tuple[int, int]]:
    """Disjoint spans that hold all windows; a gap shorter than the longest window is read too.

    ``start`` ascends, ``latest_end`` is the latest end so far; up to ``gap_ns`` a gap is read, too.
    """
    if len(start) == 0:
        return
    if samples.in_memory:
        yield int(start[0]), int(latest_end[-1])
        return
    gap = max(int(np.max(latest_end - start)), gap_ns)
    breaks = np.flatnonzero(start[1:] - latest_end[:-1] > gap) + 1
    for first, behind in zip([0, *breaks], [*breaks, len(start)], strict=True):
        yield int(start[first]), int(latest_end[behind - 1])


def pieces(
    samples: TagSamples, spans: Iterator[tuple[int, int]], limits: QueryLimits
) -> Iterator[tuple[int, int, Signal]]:
    """Samples of spans in pieces of at most ``limits.chunk_rows``: from, until, and what is there.

    Raises
    ------
    LimitExceeded
        When more than ``limits.scan_rows_max`` samples would be read.
    """
    rows = 0
    for low, high in spans:
        position, complete = low, False
        while not complete:
            piece, complete = samples.signal(position, high, max_count=limits.chunk_rows)
            rows += len(piece)
            if rows > limits.scan_rows_max:
                raise _too_many(samples, limits)
            cut = high if complete else int(piece.timestamp_ns[-1]) + 1
            yield position, cut, piece
            position = cut


def _too_many(samples: TagSamples, limits: QueryLimits) -> LimitExceeded:
    return LimitExceeded(
        "read the samples of the windows",
        got=f"more than {limits.scan_rows_max} samples",
        want="a shorter window",
        where=f"tag {samples.tag.name!r}",
    )


def _concatenated(parts: Sequence[_T], rows: npt.NDArray[np.intp]) -> _T:
    columns = [
        np.concatenate([getattr(part, field.name) for part in parts])[rows]
        for field in fields(parts[0])  # type: ignore[arg-type] # all facts are dataclasses
    ]
    return type(parts[0])(*columns)
