"""Interval join: what tags did during many windows, each tag read once."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from query.columns import NUMERIC
from query.errors import LimitExceeded
from query.facts.gaps import with_gaps
from query.facts.rules import Rules
from query.joins.request import JoinTag
from query.joins.window_fold import HELD, WINDOW, join_windows
from query.ports import PlainRows
from query.request import QueryLimits
from query.scan import neighbours, spans
from query.series import TIME_MAX_NS, Signal, TagSamples
from query.work import check_work
from storage_engine.sample import AnyArray, BoolArray, Int64Array, UInt32Array

_MARGIN_NS = 10_000_000_000
_GAP_NS = 300_000_000_000  # between windows that is read rather than left out
_PIECE_FIRST_NS = 3_600_000_000_000  # of a tag about which nothing is known yet


@dataclass(frozen=True, slots=True)
class JoinedWindows:
    """What one tag did during windows; one row per window, in the order given.

    Attributes
    ----------
    rows, count : int64
        Samples inside of any quality, and usable ones.
    first, last, minimum, maximum : float64, and their times first_ns ... maximum_ns : int64
        Of the usable samples inside; mean nothing where ``count`` is 0.
    held : float64
        Value at the start, carried in from before; means nothing where ``has_held`` is False.
    covered_ns : int64
        Time at which the value is known.
    in_band_ns : int64
        Time in the band.
    mean, deviation : float64
        Weighted by time, of what is covered; integral : float64, in value times seconds. Mean
        nothing where ``covered_ns`` is 0.
    """

    rows: Int64Array
    count: Int64Array
    first: AnyArray
    first_ns: Int64Array
    last: AnyArray
    last_ns: Int64Array
    minimum: AnyArray
    minimum_ns: Int64Array
    maximum: AnyArray
    maximum_ns: Int64Array
    held: AnyArray
    has_held: BoolArray
    covered_ns: Int64Array
    in_band_ns: Int64Array
    mean: AnyArray
    deviation: AnyArray
    integral: AnyArray


def join_tag_windows(
    samples: TagSamples,
    tag: JoinTag,
    windows: tuple[Int64Array, Int64Array],
    rules: Rules,
    limits: QueryLimits,
) -> JoinedWindows:
    """Join windows with the samples of one numeric tag.

    Parameters
    ----------
    samples : TagSamples
    tag : JoinTag
        Shift and band.
    windows : pair of int64, shape (n,)
        Starts and ends, start < end, not shifted yet.
    rules : Rules
        Shifted already: of the tag's own time.
    limits : QueryLimits

    Raises
    ------
    LimitExceeded
        When more than ``limits.scan_rows_max`` samples would be read.
    """
    assert samples.tag.type in NUMERIC, "the plan refuses others"
    order = np.argsort(windows[0], kind="stable")
    table = np.zeros(len(order), WINDOW)
    table["start"], table["end"] = (edge[order] + tag.shift_ns for edge in windows)
    latest_end = np.maximum.accumulate(table["end"])
    hold_max = TIME_MAX_NS if rules.hold_max_ns is None else rules.hold_max_ns
    given: dict[str, Any] = {
        "data_end": rules.data_end_ns,
        "hold_max": hold_max,
        "band_low": tag.low,
        "band_high": tag.high,
        "worst": 0 if rules.treat_uncertain_as_bad else 1,
        "stepped": rules.stepped,
    }
    for low, high, piece in _pieces(samples, table["start"], latest_end, rules, limits):
        first = int(np.searchsorted(latest_end, low, side="right"))
        behind = int(np.searchsorted(table["start"], high))
        join_windows(table, first, behind, *piece, low=low, high=high, **given)
    back = np.empty(len(order), np.int64)
    back[order] = np.arange(len(order))
    return _joined(table[back], tag.shift_ns)


def _joined(table: npt.NDArray[Any], shift_ns: int) -> JoinedWindows:
    plain = {name: np.ascontiguousarray(table[name]) for name in WINDOW.names or ()}
    covered = plain["covered_ns"]
    weight = np.maximum(covered, 1)
    away = plain["sum"] / weight
    spread = np.maximum(plain["squares"] / weight - away * away, 0.0)
    times = {f"{name}_ns": plain[f"{name}_ns"] - shift_ns for name in _PICKED}
    return JoinedWindows(
        rows=plain["rows"],
        count=plain["count"],
        **{name: plain[name] for name in _PICKED},
        **times,
        held=plain["held"],
        has_held=(plain["flags"] & HELD) != 0,
        covered_ns=covered,
        in_band_ns=plain["band_ns"],
        mean=plain["origin"] + away,
        deviation=np.sqrt(spread),
        integral=(plain["origin"] * covered + plain["sum"]) * 1e-9,
    )


_C = TypeVar("_C", UInt32Array, BoolArray)
_PICKED = ("first", "last", "minimum", "maximum")
# Times, values, qualities, which have a value, which nobody wrote.
_Columns = tuple[
    Int64Array, npt.NDArray[np.float64], UInt32Array | None, BoolArray | None, BoolArray | None
]


def _pieces(
    samples: TagSamples,
    start: Int64Array,
    latest_end: Int64Array,
    rules: Rules,
    limits: QueryLimits,
) -> Iterator[tuple[int, int, _Columns]]:
    """Samples under windows, each piece with the sample before it and the one behind."""
    rows, length = 0, _PIECE_FIRST_NS
    holes = len(rules.holes.start_ns) > 0
    for begin, end in spans(samples, start, latest_end, gap_ns=_GAP_NS):
        low = begin
        while low < end:
            high = min(low + length, end)
            found = None if holes else _arrays(samples, low, high, limits)
            if found is None:
                piece, complete = samples.signal(low, high, max_count=limits.chunk_rows)
                high = high if complete else int(piece.timestamp_ns[-1]) + 1
                found = _around(samples, (low, high), piece, rules, limits)
            count = len(found[0])
            rows += count
            if rows > limits.scan_rows_max:
                raise LimitExceeded(
                    "join windows with samples",
                    got=f"more than {limits.scan_rows_max} samples",
                    want="fewer or shorter windows",
                    where=f"tag {samples.tag.name!r}",
                )
            yield low, high, found
            # About as many rows as may be in memory, by how dense they lay here.
            length = max((high - low) * limits.chunk_rows // max(2 * count, 1), 1)
            length = min(length, 64 * max(high - low, _PIECE_FIRST_NS))
            low = high


def _arrays(samples: TagSamples, low: int, high: int, limits: QueryLimits) -> _Columns | None:
    """Decoded columns; None where only an ordinary read can tell, or there are too many."""
    if len(samples.tag.series) != 1:
        return None
    # The samples next to both edges are mostly near; only where they are not they are looked up.
    margin = min(high - low, _MARGIN_NS)
    begin, end = low - margin, high + margin
    found = _read(samples, begin, end, limits)
    if found is None:
        return None
    times = found.timestamp_ns
    if len(times) == 0 or times[0] >= low or times[-1] < high:
        before, after = samples.previous(low), samples.next(high, inclusive=True)
        if len(before):
            begin = min(int(before.timestamp_ns[0]), begin)
        if len(after):
            end = max(int(after.timestamp_ns[0]) + 1, end)
        found = _read(samples, begin, end, limits)
        if found is None:
            return None
        times = found.timestamp_ns
    near = slice(
        max(int(np.searchsorted(times, low)) - 1, 0), int(np.searchsorted(times, high)) + 1
    )
    return (
        times[near],
        found.value[near].astype(np.float64, copy=False),
        _told(found.quality, near, 0),
        _told(found.valid, near, 1),
        None,
    )


def _told(column: _C | None, near: slice, usual: int) -> _C | None:
    """Part of a column; None where it has nothing but the usual."""
    part = None if column is None else column[near]
    return None if part is None or (part == usual).all() else part


def _read(samples: TagSamples, begin: int, end: int, limits: QueryLimits) -> PlainRows | None:
    check_work()
    found = samples.reader.read_arrays(
        samples.tag.series[0], begin, end, limits.chunk_rows, known_at_lsn=samples.known_at_lsn
    )
    if found is not None:
        samples.note(found.damage)
    return found


def _around(
    samples: TagSamples, edges: tuple[int, int], piece: Signal, rules: Rules, limits: QueryLimits
) -> _Columns:
    before = neighbours(samples, edges[0], rules, 0, before=True, limits=limits)
    after = neighbours(samples, edges[1], rules, 0, before=False, limits=limits)
    told = with_gaps(before, piece, after, rules)
    written = np.concatenate([part.timestamp_ns for part in (before, piece, after)])
    made = None if told.gap is None else ~np.isin(told.timestamp_ns, written)
    return told.timestamp_ns, told.number, told.code, told.severity < 2, made
