"""Summaries that outlive raw rows: what one interval of a series held, from its own samples alone.

A row tells nothing of samples outside its interval, so an interval may be deleted, erased or late
without spoiling its neighbours. What lies between the last sample of one row and the first of the
next is known from these two samples; whoever asks works it out then (docs/format/summary.md).
"""

import hashlib

import numpy as np
import numpy.typing as npt

from storage_engine.bulk import BulkRows
from storage_engine.sample import (
    EVENT_ID_DTYPE,
    AnyArray,
    BoolArray,
    Column,
    ColumnData,
    EventColumns,
    Int64Array,
    SampleColumns,
    ValueType,
    severity,
)

DAY_NS = 86_400 * 1_000_000_000
CLASS_PREFIX = "summaries/"
NUMERIC = frozenset(
    {ValueType.FLOAT64, ValueType.FLOAT32, ValueType.INT64, ValueType.UINT64, ValueType.BOOL}
)
_ID_END = b"summary1"
_INT, _FLOAT = ValueType.INT64, ValueType.FLOAT64
_COUNTS = ("good", "uncertain", "bad")
_EXTREMES = ("minimum", "maximum")
_POINTS = ("first", "last", "first_good", "last_good")


def companion_uuid(uuid: bytes) -> bytes:
    """Uuid of the stream that holds the summaries of a series.

    Parameters
    ----------
    uuid : bytes
        16 bytes, the series' own.

    Returns
    -------
    bytes
        16 bytes: blake2b of it with ``person`` ``summaries``.
    """
    return hashlib.blake2b(uuid, digest_size=16, person=b"summaries").digest()


def summary_columns(value_type: ValueType) -> tuple[Column, ...]:
    """Columns of the summaries of a series of this type; docs/format/summary.md explains them."""
    columns = [Column(name, _INT) for name in _COUNTS]
    for name in _EXTREMES:
        columns += [Column(name, value_type), Column(f"{name}_time", _INT)]
        columns += [Column(f"{name}_count", _INT)]
    for name in _POINTS:
        columns += [Column(name, value_type), Column(f"{name}_time", _INT)]
    columns += [Column(f"{name}_severity", _INT) for name in _POINTS[:2]]
    columns += [Column(name, _INT) for name in ("good_ns", "line_ns")]
    columns += [Column(name, _FLOAT) for name in ("sum", "stepped", "sloped", "through")]
    return tuple(columns)


def interval_ids(length_ns: Int64Array) -> npt.NDArray[np.void]:
    """Ids of summaries: the length of the interval, big-endian, then ``summary1``.

    Parameters
    ----------
    length_ns : int64, shape (n,)

    Returns
    -------
    V16, shape (n,)
    """
    raw = np.empty((len(length_ns), 16), np.uint8)
    raw[:, :8] = length_ns.astype(">i8").view(np.uint8).reshape(-1, 8)
    raw[:, 8:] = np.frombuffer(_ID_END, np.uint8)
    return raw.reshape(-1).view(EVENT_ID_DTYPE)


def lengths_of(event_id: npt.NDArray[np.void]) -> Int64Array:
    """Undo :func:`interval_ids`; int64, shape (n,)."""
    halves = np.ascontiguousarray(event_id).view(">i8").reshape(-1, 2)
    return halves[:, 0].astype(np.int64)


class Places:
    """Where samples belong: intervals of one length, around those that have a summary already.

    Parameters
    ----------
    length_ns : int
        Divides a day; intervals begin at its multiples since 1970 UTC.
    taken : EventColumns or None
        Summaries that are there.
    """

    def __init__(self, length_ns: int, taken: EventColumns | None) -> None:
        self._length_ns = length_ns
        none = np.empty(0, np.int64)
        self._start: Int64Array = none if taken is None else taken.timestamp_ns
        self._end = none if taken is None else self._start + lengths_of(taken.event_id)

    def of(self, time_ns: Int64Array) -> tuple[BoolArray, Int64Array, Int64Array]:
        """Find the interval of each time.

        Parameters
        ----------
        time_ns : int64, shape (n,)

        Returns
        -------
        free : bool, shape (n,)
            False where a summary is there already.
        start, end : int64, shape (n,)
            Of the interval, cut where it would overlap such a summary.
        """
        start = time_ns // self._length_ns * self._length_ns
        end = start + self._length_ns
        if len(self._start) == 0:
            return np.ones(len(time_ns), np.bool_), start, end
        before = np.searchsorted(self._start, time_ns, "right") - 1
        ended = np.where(before >= 0, self._end[np.maximum(before, 0)], -(2**63))
        after = np.minimum(before + 1, len(self._start) - 1)
        begins = np.where(before + 1 < len(self._start), self._start[after], 2**63 - 1)
        return time_ns >= ended, np.maximum(start, ended), np.minimum(end, begins)


def summaries_of(stream_id: int, columns: SampleColumns, places: Places) -> BulkRows:
    """Summaries of the intervals that samples lie in.

    Parameters
    ----------
    stream_id : int
        Of the companion.
    columns : SampleColumns
        All samples of these intervals, ascending, one per time, numeric.
    places : Places

    Returns
    -------
    BulkRows
        One row per interval that holds a sample and has no summary yet.
    """
    free, start, end = places.of(columns.timestamp_ns)
    kept = np.flatnonzero(free)
    start, end = start[kept], end[kept]
    firsts = np.flatnonzero(np.append(True, start[1:] != start[:-1])) if len(kept) else kept
    value = columns.value
    facts = _Facts(
        columns.timestamp_ns[kept],
        severity(columns.quality)[kept],
        ColumnData(
            value.type, value.value[kept], None if value.valid is None else value.valid[kept]
        ),
        firsts,
    ).table()
    data = tuple(facts[column.name] for column in summary_columns(value.type))
    length = end[firsts] - start[firsts]
    return BulkRows(stream_id, start[firsts], None, interval_ids(length), data)


class _Facts:
    """Works out the columns; ``firsts`` are the first rows of the intervals."""

    def __init__(
        self,
        time: Int64Array,
        level: npt.NDArray[np.uint8],
        value: ColumnData,
        firsts: npt.NDArray[np.intp],
    ) -> None:
        has = np.ones(len(time), np.bool_) if value.valid is None else value.valid
        if value.value.dtype.kind == "f":
            has = has & ~np.isnan(value.value)
        self._time = time
        self._value = value.value
        self._type = value.type
        self._has = has
        self._level = np.where(has, level, np.uint8(2))
        self._good = self._level == 0
        self._firsts = firsts
        self._lasts = np.append(firsts[1:], len(time)) - 1 if len(firsts) else firsts
        self._group = np.repeat(np.arange(len(firsts)), self._lasts - firsts + 1)

    def table(self) -> dict[str, ColumnData]:
        """All columns by name."""
        good = self._good
        levels = zip(_COUNTS, (0, 1, 2), strict=True)
        found = {name: self._whole(self._level == level) for name, level in levels}
        place = np.flatnonzero(good)
        low = np.full(len(self._firsts), -1, np.intp)
        high = low.copy()
        low[self._group[place][::-1]] = place[::-1]
        high[self._group[place]] = place
        found |= self._extreme("minimum", place, np.minimum)
        found |= self._extreme("maximum", place, np.maximum)
        found |= self._point("first", self._firsts) | self._point("last", self._lasts)
        found |= self._point("first_good", low) | self._point("last_good", high)
        for name, rows in (("first", self._firsts), ("last", self._lasts)):
            found[f"{name}_severity"] = ColumnData(_INT, self._level[rows].astype(np.int64))
        return found | self._sums(place)

    def _extreme(
        self, name: str, place: npt.NDArray[np.intp], fold: np.ufunc
    ) -> dict[str, ColumnData]:
        """Smallest or largest good value, its oldest time, and how often it occurs."""
        values, group, count = self._value[place], self._group[place], len(self._firsts)
        found = np.zeros(count, self._value.dtype)
        filled = np.unique(group)
        if len(place):
            found[filled] = fold.reduceat(values, np.searchsorted(group, filled))
        same = values == found[group]
        ties = np.bincount(group[same], minlength=count).astype(np.int64)
        at = np.full(count, -1, np.intp)
        at[group[same][::-1]] = place[same][::-1]
        valid = at >= 0
        return {
            name: ColumnData(self._type, found, valid),
            f"{name}_time": self._times(at),
            f"{name}_count": ColumnData(_INT, ties),
        }

    def _point(self, name: str, rows: npt.NDArray[np.intp]) -> dict[str, ColumnData]:
        """Values at rows, null where the row is -1 or has none."""
        valid = (rows >= 0) & self._has[rows] if len(rows) else np.zeros(0, np.bool_)
        value = np.where(valid, self._value[rows], np.zeros(1, self._value.dtype))
        return {
            name: ColumnData(self._type, value, valid),
            f"{name}_time": self._times(rows),
        }

    def _times(self, rows: npt.NDArray[np.intp]) -> ColumnData:
        valid = rows >= 0
        return ColumnData(_INT, np.where(valid, self._time[rows], 0), valid)

    def _whole(self, counted: AnyArray) -> ColumnData:
        if len(self._firsts) == 0:
            return ColumnData(_INT, np.zeros(0, np.int64))
        return ColumnData(_INT, np.add.reduceat(counted.astype(np.int64), self._firsts))

    def _sums(self, place: npt.NDArray[np.intp]) -> dict[str, ColumnData]:
        """Sum of good values, and time and integrals from the first sample to the last."""
        with np.errstate(all="ignore"):
            number = np.where(self._has, self._value, 0).astype(np.float64)
            following = np.append(number[1:], 0.0)
            span = np.append(np.diff(self._time), 0)
            span[self._lasts] = 0
            line = self._good & np.append(self._good[1:], False)
            seconds = span * 1e-9
            held = np.where(self._good, number * seconds, 0.0)
            sloped = np.where(line, (number + following) * 0.5 * seconds, held)
            through = np.zeros(len(number))
            if len(place) > 1:
                area = (number[place[1:]] + number[place[:-1]]) * 0.5
                area *= np.diff(self._time[place]) * 1e-9
                inside = self._group[place[1:]] == self._group[place[:-1]]
                through[place[:-1]] = np.where(inside, area, 0.0)
            return {
                "good_ns": self._whole(np.where(self._good, span, 0)),
                "line_ns": self._whole(np.where(line, span, 0)),
                "sum": self._added(np.where(self._good, number, 0.0)),
                "stepped": self._added(held),
                "sloped": self._added(sloped),
                "through": self._added(through),
            }

    def _added(self, values: npt.NDArray[np.float64]) -> ColumnData:
        if len(self._firsts) == 0:
            return ColumnData(_FLOAT, np.zeros(0))
        return ColumnData(_FLOAT, np.add.reduceat(values, self._firsts))
