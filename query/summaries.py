"""Summaries of a tag whose raw samples have gone, and the few samples that they still tell.

A summary tells what lay between the first and the last sample of its interval, and these samples
themselves: the *skeleton* of the tag.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from query.errors import LimitExceeded
from query.request import QueryLimits
from query.series import TIME_MAX_NS, TIME_MIN_NS, Signal, TagSamples, join_signals
from storage_engine.sample import DTYPES, EventColumns, Int64Array, ValueType

_DAY_NS = 86_400 * 1_000_000_000
_PIECE_NS = 64 * _DAY_NS  # read at a time, so that too many are refused before they are in memory
_POINTS = ("first", "first_good", "last_good", "last")
_NATIVE = ("minimum", "maximum", *_POINTS)
Windows = tuple[Int64Array, Int64Array]


@dataclass(frozen=True, slots=True)
class SummaryRows:
    """Summaries in order of time, of all series of a tag; no two of them touch.

    Attributes
    ----------
    start, end : int64, shape (n,)
        Intervals.
    columns : dict of str to array, shape (n,)
        As docs/format/summary.md names them.
    type : ValueType
        Of the values; float64 where series of several types meet.
    hole_start, hole_end : int64, shape (h,)
        Times at which the summaries of two series of the tag cannot be told apart.
    """

    start: Int64Array
    end: Int64Array
    columns: dict[str, Any]
    type: ValueType
    hole_start: Int64Array
    hole_end: Int64Array

    def __len__(self) -> int:
        return len(self.start)

    def skeleton(self) -> Signal:
        """First and last sample of each row, and its first and last good one."""
        table = self.columns
        has = table["good"] > 0
        every = np.ones(len(self), np.bool_)
        times, levels, codes, values = [], [], [], []
        for name in _POINTS:
            kept = has if name.endswith("good") else every
            times.append(table[f"{name}_time"][kept])
            level = table.get(f"{name}_severity", np.zeros(len(self), np.int64))[kept]
            levels.append(level.astype(np.uint8))
            code = table.get(f"{name}_code")
            plain = level.astype(np.uint32) << np.uint32(30)
            codes.append(plain if code is None else code[kept])
            values.append(np.where(level < 2, table[name][kept], table[name].dtype.type(0)))
        time, order = np.unique(np.concatenate(times), return_index=True)
        native = np.concatenate(values)[order]
        level, code = np.concatenate(levels)[order], np.concatenate(codes)[order]
        return Signal(time, level, code, native.astype(np.float64), native, self.type)


class SkeletonSamples(TagSamples):
    """A tag whose samples are its skeleton where it has summaries, and raw before and after.

    Parameters
    ----------
    raw : TagSamples
    rows : SummaryRows
    extent : pair of int, optional
        Between which times the skeleton is the truth; no time outside is asked for but what lies
        nearest. By default as far as the summaries reach.
    """

    def __init__(
        self, raw: TagSamples, rows: SummaryRows, extent: tuple[int, int] | None = None
    ) -> None:
        super().__init__(raw.reader, raw.tag, known_at_lsn=raw.known_at_lsn, holes=raw.holes)
        self._raw = raw
        self._skeleton = rows.skeleton()
        self.in_memory = extent is not None
        low = min([*rows.start[:1].tolist(), *rows.hole_start.tolist(), TIME_MAX_NS])
        high = max([*rows.end[-1:].tolist(), *rows.hole_end.tolist(), TIME_MIN_NS])
        extent = (low, high) if extent is None else extent
        self.from_ns: int = extent[0]
        self.until_ns: int = extent[1]

    def decoded(self, start_ns: int, end_ns: int, rows_max: int | None) -> Signal | None:
        """None: what summaries tell of is in no array."""
        return None

    def signal(
        self,
        start_ns: int,
        end_ns: int,
        *,
        max_count: int | None = None,
        backward: bool = False,
    ) -> tuple[Signal, bool]:
        """As :meth:`TagSamples.signal`."""
        low, high = self.from_ns, self.until_ns
        spans = [
            (start_ns, min(end_ns, low), False),
            (max(start_ns, low), min(end_ns, high), True),
            (max(start_ns, high), end_ns, False),
        ]
        found, complete, left = [], True, max_count
        for start, end, known in reversed(spans) if backward else spans:
            if start >= end:
                continue
            if left == 0:
                complete = False
                break
            part, complete = (
                self._known(start, end, left, backward=backward)
                if known
                else self._raw.signal(start, end, max_count=left, backward=backward)
            )
            found.append(part)
            left = None if left is None else left - len(part)
            if not complete:
                break
        if not found:
            return self._skeleton.take(slice(0, 0)), True
        return join_signals(found), complete

    def _known(
        self, start_ns: int, end_ns: int, most: int | None, *, backward: bool
    ) -> tuple[Signal, bool]:
        time = self._skeleton.timestamp_ns
        rows = np.arange(np.searchsorted(time, start_ns), np.searchsorted(time, end_ns))
        rows = rows[::-1] if backward else rows
        return self._skeleton.take(rows[:most]), most is None or len(rows) <= most


def load(samples: TagSamples, windows: Windows, limits: QueryLimits) -> SummaryRows | None:
    """Read the summaries under windows, and the nearest on both sides that tell a good value.

    Parameters
    ----------
    samples : TagSamples
    windows : pair of int64, shape (n,)
        Starts and ends.
    limits : QueryLimits

    Returns
    -------
    SummaryRows or None
        None where the tag has none.

    Raises
    ------
    LimitExceeded
        For more than ``limits.rows_max`` summaries.
    """
    extent = samples.summary_extent()
    if extent is None or len(windows[0]) == 0:
        return None
    first, behind = extent[0], extent[1] + 1
    low = min(max(int(windows[0].min()), first), behind)
    under = windows[1][windows[0] < behind + _DAY_NS]
    high = min(max(int(under.max()) if len(under) else low, low), behind)
    found = list(_reach(samples, low, first, backward=True))
    for begin in range(low, high, _PIECE_NS):
        found += samples.summaries(begin, min(begin + _PIECE_NS, high))
        if sum(map(len, found)) > limits.rows_max:
            raise LimitExceeded(
                "read the summaries of the windows",
                got=f"more than {limits.rows_max} summaries",
                want="a shorter window",
                where=f"tag {samples.tag.name!r}",
            )
    found += _reach(samples, high, behind, backward=False)
    found = [part for part in found if len(part)]
    if not found:
        return None
    return _rows(found)


def summary_extent(samples: TagSamples) -> tuple[int, int] | None:
    """Times of the oldest and the newest sample that summaries of a tag tell of, None for none."""
    extent = samples.summary_extent()
    if extent is None:
        return None
    first, behind = extent[0], extent[1] + 1
    rows = [
        [part for part in _reach(samples, begin, end, backward=backward, good=False) if len(part)]
        for begin, end, backward in ((first, behind, False), (behind, first, True))
    ]
    if not rows[0] or not rows[1]:
        return None
    return (
        min(int(part.data["first_time"].value.min()) for part in rows[0]),
        max(int(part.data["last_time"].value.max()) for part in rows[1]),
    )


def _reach(
    samples: TagSamples, begin_ns: int, end_ns: int, *, backward: bool, good: bool = True
) -> Sequence[EventColumns]:
    """Summaries from a time on, until one with a good value, or any at all; or up to an end."""
    length = _DAY_NS
    while begin_ns != end_ns:
        low, high = (
            (max(begin_ns - length, end_ns), begin_ns)
            if backward
            else (begin_ns, min(begin_ns + length, end_ns))
        )
        found = samples.summaries(low, high)
        enough = any(
            bool((np.asarray(part.data["good"].value, np.int64) >= int(good)).any())
            for part in found
        )
        if enough or end_ns in {low, high}:
            return found
        length *= 8
    return []


def _rows(found: Sequence[EventColumns]) -> SummaryRows:
    """All of them in order; those that cannot be told apart become holes."""
    types = {part.data["minimum"].type for part in found}
    type_ = types.pop() if len(types) == 1 else ValueType.FLOAT64
    table: dict[str, Any] = {}
    for name in found[0].data:
        values = [part.data[name].value for part in found]
        if name in _NATIVE:
            values = [value.astype(DTYPES[type_]) for value in values]
        table[name] = np.concatenate(values)
    start = np.concatenate([part.timestamp_ns for part in found])
    ids = [np.ascontiguousarray(part.event_id).view(">i8")[::2] for part in found]
    end = start + np.concatenate(ids).astype(np.int64)
    order = np.lexsort((table["first_time"], start))
    hole_start, hole_end = [], []
    while True:
        first, last = table["first_time"][order], table["last_time"][order]
        clash = (last[:-1] >= first[1:]) | (end[order][:-1] > end[order][1:])
        if not clash.any():
            break
        lost = np.append(clash, False) | np.append(False, clash)
        hole_start.append(start[order][lost])
        hole_end.append(end[order][lost])
        order = order[~lost]
    none = np.empty(0, np.int64)
    return SummaryRows(
        start[order],
        end[order],
        {name: values[order] for name, values in table.items()},
        type_,
        np.concatenate([none, *hole_start]),
        np.concatenate([none, *hole_end]),
    )
