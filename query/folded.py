"""Aggregates from folds: the engine folds whole windows, and no sample of them is read.

A fold tells all of a window whose samples are all good; windows with others among them are read.
What lies between the last sample of a window and the first of the next is told by these samples
themselves, as it is for summaries.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from query.columns import NUMERIC
from query.facts.ranges import overlaps_of
from query.facts.registry import Facts
from query.facts.rules import Rules
from query.ports import FoldedWindows
from query.request import QueryLimits
from query.scan import Part, join_facts, part_of, scan
from query.series import TagSamples, as_signal
from query.summaries import SkeletonSamples, SummaryRows, Windows
from query.whole import Whole
from query.work import check_work
from storage_engine.sample import BoolArray, ColumnData, Int64Array, SampleColumns

# Kind of facts -> what the fold is asked for, beside what it always tells.
_ASKS: dict[str, tuple[str, ...]] = {
    "extremes": ("ties",),
    "usable_extremes": ("ties",),
    "area": (),
    "sums": ("sum",),
    "moments": ("moments",),
    "edges": (),
    "bounds": (),
    "interpolated": (),
    "states": ("zero",),
    "transitions": ("transitions",),
    "worst": (),
    "gaps": (),
}


# Sets of windows, none over another, that a scan takes at once: each sample is held once per set.
_SCANNED_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class _Laid:
    """Windows in order of time, none over another, and the edges that cut them out."""

    edges: Int64Array
    place: Int64Array  # of each window, in the order given, among what lies between the edges


def found_in(
    samples: TagSamples,
    windows: Windows,
    rules: Rules,
    limits: QueryLimits,
    wanted: tuple[str, ...] = (),
) -> Facts:
    """Facts of windows, folded where that tells them, else from a scan of the samples."""
    start, end = windows
    parts: list[Part] = []
    unfolded: list[Int64Array] = []
    apart = _apart(start, end)
    for place in apart:
        cut = (start[place], end[place])
        facts = None if unfolded else fold(samples, cut, rules, limits, wanted)
        if facts is None:
            unfolded.append(place)
        else:
            parts.append(part_of(place, facts))
    for first in range(0, len(unfolded), _SCANNED_AT_ONCE):
        place = np.concatenate(unfolded[first : first + _SCANNED_AT_ONCE])
        facts = scan(samples, (start[place], end[place]), rules, limits, wanted)
        parts.append(part_of(place, facts))
    if len(apart) > 1:
        return join_facts(parts, len(start))
    assert facts is not None, "there is one part"
    return facts


def _apart(start: Int64Array, end: Int64Array) -> list[Int64Array]:
    """Windows by number in sets of which none lies over another; all in one where that is hard."""
    order = np.argsort(start, kind="stable")
    first, last = start[order], end[order]
    if (np.diff(last) < 0).any():
        return [np.arange(len(start))]
    most = overlaps_of(first, last)
    if most < 2:
        return [np.arange(len(start))]
    return [order[place::most] for place in range(most)]


def fold(
    samples: TagSamples,
    windows: Windows,
    rules: Rules,
    limits: QueryLimits,
    wanted: tuple[str, ...] = (),
) -> Facts | None:
    """Facts of windows as :func:`query.scan.scan` gives them; None where samples must be read.

    Parameters
    ----------
    samples : TagSamples
    windows : pair of int64, shape (n,)
        Starts and ends, start < end.
    rules : Rules
    limits : QueryLimits
    wanted : tuple of str
        Which kinds of facts beside those that are always there.
    """
    tag = samples.tag
    if len(tag.series) != 1 or tag.type not in NUMERIC or rules.use_sloped_extrapolation:
        return None
    if not set(wanted) <= set(_ASKS):
        return None
    laid = _lay(windows)
    if laid is None:
        return None
    check_work()
    asked = {"area", *(name for kind in wanted for name in _ASKS[kind])}
    found = samples.reader.fold(tag.series[0], laid.edges, asked, known_at_lsn=samples.known_at_lsn)
    if found is None or (not rules.treat_uncertain_as_bad and found.uncertain.any()):
        return None
    samples.note(found.damage)
    clean = (found.uncertain == 0) & (found.bad == 0) & found.known
    clean &= _gapless(found, laid.edges, rules)
    clean = clean[laid.place]
    start, end = windows
    parts: list[Part] = []
    place = np.flatnonzero(~clean)
    if len(place):
        read = scan(samples, (start[place], end[place]), rules, limits, wanted)
        parts.append(part_of(place, read))
    place = np.flatnonzero(clean)
    if len(place):
        rows = _rows(found, laid, samples)
        joined = SkeletonSamples(samples, rows, (int(laid.edges[0]), int(laid.edges[-1])))
        cut = (start[place], end[place])
        inside = (np.searchsorted(rows.start, cut[0]), np.searchsorted(rows.start, cut[1]))
        made = Whole(samples, joined, rows, rules, limits).parts(cut, inside, wanted)
        parts += [(place[own], facts, type_) for own, facts, type_ in made]
    return join_facts(parts, len(start))


def _gapless(found: FoldedWindows, edges: Int64Array, rules: Rules) -> BoolArray:
    """Whether no gap lies between the first and the last sample of a window, and no hole in it."""
    begun = np.searchsorted(rules.holes.start_ns, edges[1:])
    whole = begun <= np.searchsorted(rules.holes.end_ns, edges[:-1])
    if rules.hold_max_ns is not None:
        short = found.last_ns - found.first_ns <= rules.hold_max_ns
        whole &= short | (found.good == 0)
    return np.asarray(whole)


def _lay(windows: Windows) -> _Laid | None:
    """Lay windows in order; None where some overlap, or there are none."""
    start, end = windows
    if len(start) == 0:
        return None
    order = np.argsort(start, kind="stable")
    if (start[order][1:] < end[order][:-1]).any():
        return None
    edges = np.unique(np.concatenate([start, end]))
    return _Laid(edges, np.searchsorted(edges, start))


def _rows(found: FoldedWindows, laid: _Laid, samples: TagSamples) -> SummaryRows:
    """What was folded, as summaries of the windows that hold samples."""
    held = np.flatnonzero(found.good + found.uncertain + found.bad > 0)
    table: dict[str, Any] = {
        name: getattr(found, name)[held]
        for name in ("good", "uncertain", "bad", "transitions", "zero_ns")
    }
    for name in ("first", "last", "first_good", "last_good", "minimum", "maximum"):
        table[name] = getattr(found, name)[held]
        table[f"{name}_time"] = getattr(found, f"{name}_ns")[held]
    for name in ("first", "last"):
        seen = SampleColumns(
            table[f"{name}_time"],
            getattr(found, f"{name}_code")[held],
            ColumnData(samples.tag.type, table[name], getattr(found, f"{name}_valid")[held]),
            np.zeros(len(held), np.uint64),
        )
        as_read = as_signal(seen, numeric=True)
        table[f"{name}_severity"], table[f"{name}_code"] = as_read.severity, as_read.code
    for name, more in (("minimum", found.more_minima), ("maximum", found.more_maxima)):
        table[f"{name}_count"] = 1 + more[held].astype(np.int64)
    table |= {name: values[held] for name, values in found.sums.items()}
    table["good_ns"] = table["line_ns"] = table["last_time"] - table["first_time"]
    table["through"] = table["sloped"]
    none = np.empty(0, np.int64)
    edges = laid.edges
    return SummaryRows(edges[:-1][held], edges[1:][held], table, samples.tag.type, none, none)
