"""Reads the samples under many windows in pieces of bounded size and folds them into facts.

One piece of rows is in memory at a time. Around each piece stand the few samples outside it that
its edges need: the nearest of any quality, and the nearest usable ones.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from query.errors import LimitExceeded
from query.facts import (
    AreaFacts,
    CountFacts,
    ExtremeFacts,
    RegionFacts,
    Rules,
    Windows,
    area_facts,
    count_facts,
    extreme_facts,
    region_facts,
    usable,
)
from query.request import QueryLimits
from query.series import TIME_MAX_NS, TIME_MIN_NS, Signal, TagSamples, join_signals
from storage_engine.sample import DTYPES, BoolArray, Int64Array, ValueType

_T = TypeVar("_T")
_FIRST_LOOK_ROWS = 16


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts of every window, in the order the windows were given.

    ``extremes`` and ``area`` are None unless asked for. ``number_type`` is the type of the
    extremes: the samples' own, or float64 where series of several types met.
    """

    counts: CountFacts
    regions: RegionFacts
    extremes: ExtremeFacts | None
    area: AreaFacts | None
    number_type: ValueType


def scan(
    samples: TagSamples,
    windows: tuple[Int64Array, Int64Array],
    rules: Rules,
    limits: QueryLimits,
    *,
    extremes: bool,
    area: bool,
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
    extremes, area : bool
        Which of the optional facts are wanted.

    Raises
    ------
    LimitExceeded
        When more than ``limits.scan_rows_max`` samples would be read.
    """
    start, end = windows
    order = np.argsort(start, kind="stable")
    start, end = start[order], end[order]
    latest_end = np.maximum.accumulate(end)
    found: list[tuple[Int64Array, tuple[Any, ...]]] = []
    types: set[ValueType] = set()
    kernels = [count_facts, region_facts]
    kernels += [extreme_facts] if extremes else []
    kernels += [area_facts] if area else []
    for low, high, piece in _pieces(samples, _spans(start, latest_end), limits):
        candidates = np.arange(
            np.searchsorted(latest_end, low, side="right"), np.searchsorted(start, high)
        )
        inside = candidates[end[candidates] > low]
        if len(inside) == 0:
            continue
        around = _with_neighbours(samples, piece, (low, high), rules, limits, area=area)
        if len(around):
            types.add(around.type)
        cut = Windows(np.maximum(start[inside], low), np.minimum(end[inside], high), start[inside])
        found.append((inside, tuple(kernel(around, cut, rules) for kernel in kernels)))
    if not found:  # no window at all: facts of the right types and no rows
        none = samples.signal(0, 0)[0]
        empty = Windows(start, end, start)
        found.append((start, tuple(kernel(none, empty, rules) for kernel in kernels)))
    groups = _joined(found, len(start), np.argsort(order, kind="stable"))
    counts, regions, *rest = groups
    number_type = types.pop() if len(types) == 1 else ValueType.FLOAT64
    if extremes:
        dtype = DTYPES[number_type]
        smallest, largest = rest[0].minimum.astype(dtype), rest[0].maximum.astype(dtype)
        rest[0] = replace(rest[0], minimum=smallest, maximum=largest)
    return Facts(
        counts, regions, rest[0] if extremes else None, rest[-1] if area else None, number_type
    )


def join_facts(
    parts: Sequence[tuple[Int64Array, Facts]], count: int, *, extremes: bool, area: bool
) -> Facts:
    """Facts of windows from facts of their parts.

    Parameters
    ----------
    parts : sequence of (int64 array, Facts)
        Number of the window that each row belongs to, and the rows; every window has one.
    count : int
        Windows.
    extremes, area : bool
        Which of the optional facts there are.
    """
    types = {
        facts.number_type
        for _, facts in parts
        if facts.extremes is not None and facts.extremes.minimum_ties.any()
    }
    number_type = types.pop() if len(types) == 1 else ValueType.FLOAT64
    found: list[tuple[Int64Array, tuple[Any, ...]]] = []
    for owner, facts in parts:
        optional: list[Any] = []
        if extremes:
            assert facts.extremes is not None, "every part was asked for extremes"
            dtype = DTYPES[number_type]
            smallest, largest = facts.extremes.minimum, facts.extremes.maximum
            optional.append(
                replace(
                    facts.extremes, minimum=smallest.astype(dtype), maximum=largest.astype(dtype)
                )
            )
        optional += [facts.area] if area else []
        found.append((owner, (facts.counts, facts.regions, *optional)))
    counts, regions, *rest = _joined(found, count, np.arange(count))
    return Facts(
        counts, regions, rest[0] if extremes else None, rest[-1] if area else None, number_type
    )


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
    area: bool,
) -> Signal:
    reach = (2 if rules.use_sloped_extrapolation else 1) if area else 0
    return join_signals(
        [
            neighbours(samples, edges[0], rules, reach, before=True, limits=limits),
            piece,
            neighbours(samples, edges[1], rules, min(reach, 1), before=False, limits=limits),
        ]
    )


def _spans(start: Int64Array, latest_end: Int64Array) -> Iterator[tuple[int, int]]:
    """Disjoint spans that hold all windows; a gap shorter than the longest window is read too."""
    if len(start) == 0:
        return
    gap = int(np.max(latest_end - start))
    breaks = np.flatnonzero(start[1:] - latest_end[:-1] > gap) + 1
    for first, behind in zip([0, *breaks], [*breaks, len(start)], strict=True):
        yield int(start[first]), int(latest_end[behind - 1])


def _pieces(
    samples: TagSamples, spans: Iterator[tuple[int, int]], limits: QueryLimits
) -> Iterator[tuple[int, int, Signal]]:
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


def _joined(
    found: list[tuple[Int64Array, tuple[Any, ...]]], count: int, back: npt.NDArray[np.intp]
) -> list[Any]:
    """Facts of whole windows from facts of their pieces, in the order of the request."""
    window = np.concatenate([inside for inside, _ in found])
    place = np.argsort(window, kind="stable")
    firsts = np.searchsorted(window[place], np.arange(count))
    groups = []
    for parts in zip(*(facts for _, facts in found), strict=True):
        whole = _concatenated(parts, place)
        joined = (
            _joined_extremes(whole, firsts)
            if isinstance(whole, ExtremeFacts)
            else _added(whole, firsts)
        )
        groups.append(_concatenated((joined,), back))
    return groups


def _concatenated(parts: Sequence[_T], rows: npt.NDArray[np.intp]) -> _T:
    columns = [
        np.concatenate([getattr(part, field.name) for part in parts])[rows]
        for field in fields(parts[0])  # type: ignore[arg-type] # all facts are dataclasses
    ]
    return type(parts[0])(*columns)


def _added(facts: _T, firsts: npt.NDArray[np.intp]) -> _T:
    """Counts, durations and areas add up; doubts join by or."""
    columns = []
    for field in fields(facts):  # type: ignore[arg-type]
        values = getattr(facts, field.name)
        fold = np.logical_or if values.dtype == np.bool_ else np.add
        columns.append(fold.reduceat(values, firsts))
    return type(facts)(*columns)


def _joined_extremes(facts: ExtremeFacts, firsts: npt.NDArray[np.intp]) -> ExtremeFacts:
    columns: list[Any] = []
    sizes = np.diff(np.append(firsts, len(facts.minimum)))
    for values, ties, at_start, fold in (
        (facts.minimum, facts.minimum_ties, facts.minimum_at_start, np.minimum),
        (facts.maximum, facts.maximum_ties, facts.maximum_at_start, np.maximum),
    ):
        held = ties > 0
        filled: BoolArray = np.logical_or.reduceat(held, firsts)
        kept = np.flatnonzero(held)
        extreme = np.zeros(len(firsts), dtype=values.dtype)
        if len(kept):
            starts = np.searchsorted(kept, firsts[filled])
            extreme[filled] = fold.reduceat(values[kept], starts)
        same = held & (values == np.repeat(extreme, sizes))
        columns += [
            extreme,
            np.add.reduceat(np.where(same, ties, 0), firsts),
            np.logical_or.reduceat(same & at_start, firsts),
        ]
    return ExtremeFacts(*columns)
