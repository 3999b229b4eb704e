"""Correlation of two tags: both are taken at equal steps, one of them perhaps later."""

from dataclasses import dataclass

import numpy as np

from query.columns import NUMERIC
from query.errors import BadRequest, LimitExceeded
from query.facts.rules import Rules
from query.interval import rules_for_others, rules_of
from query.intervals import Calendars, Intervals, check_times, cut
from query.moments import values_at
from query.ports import Tag
from query.request import CorrelationRequest, QueryLimits
from query.result import CorrelationResult, Float64Array
from query.series import TagSamples
from storage_engine.sample import UNCERTAIN, BoolArray, Damage, Int64Array

Source = tuple[TagSamples, Rules]
_WHAT = "correlate"


def answer_correlation(
    both: tuple[TagSamples, TagSamples],
    request: CorrelationRequest,
    limits: QueryLimits,
    calendars: Calendars,
    *,
    now_ns: int | None,
) -> CorrelationResult:
    """Correlation of two tags per interval and shift.

    Raises
    ------
    BadRequest, LimitExceeded
        See :func:`check_correlation`, ``query.intervals.cut`` and ``query.moments.values_at``.
    """
    check_correlation(request, (both[0].tag, both[1].tag), limits)
    intervals = cut(_WHAT, request, limits, calendars)
    rules = rules_for_others(request)
    x, y = ((samples, rules_of(samples, rules, now_ns)) for samples in both)
    return read_correlation(x, y, request, intervals, limits)


def check_correlation(
    request: CorrelationRequest, tags: tuple[Tag, Tag], limits: QueryLimits
) -> None:
    """Refuse what has no correlation.

    Raises
    ------
    BadRequest
        For tags of no numbers, no step, no shift, times too far away.
    LimitExceeded
        For more than ``limits.values_max`` pairs.
    """
    for where, tag in zip(("x", "y"), tags, strict=True):
        if tag.type not in NUMERIC:
            got = f"{tag.type.name.lower()} tag {tag.name!r}"
            raise BadRequest(_WHAT, got=got, want="a numeric tag", where=where)
    if request.every_ns < 1:
        got = f"{request.every_ns} nanoseconds"
        raise BadRequest(_WHAT, got=got, want="1 or more", where="every_ns")
    if not request.shifts_ns:
        raise BadRequest(_WHAT, got="no shift", want="one or more", where="shifts_ns")
    low, high = sorted((request.start_ns, request.end_ns))
    check_times(_WHAT, low + min(*request.shifts_ns, 0), high + max(*request.shifts_ns, 0))
    pairs = -(-(high - low) // request.every_ns) * len(request.shifts_ns)
    if pairs > limits.values_max:
        got, want = f"{pairs} pairs", f"at most {limits.values_max}"
        raise LimitExceeded(_WHAT, got=got, want=want, where="every_ns")


@dataclass(slots=True)
class _Sums:
    """Means of pairs and sums of products of distances from them, one row per interval."""

    count: Int64Array
    x: Float64Array
    y: Float64Array
    xx: Float64Array
    yy: Float64Array
    xy: Float64Array

    @staticmethod
    def none(rows: int) -> "_Sums":
        return _Sums(np.zeros(rows, np.int64), *(np.zeros(rows) for _ in range(5)))

    def add(self, row: Int64Array, x: Float64Array, y: Float64Array) -> None:
        """Take pairs of intervals: two passes over them, then the merge of Chan et al. (1979)."""
        rows = len(self.count)
        more = np.bincount(row, minlength=rows)
        least = np.maximum(more, 1)
        mean_x, mean_y = (np.bincount(row, each, rows) / least for each in (x, y))
        off_x, off_y = x - mean_x[row], y - mean_y[row]
        total = np.maximum(self.count + more, 1)
        apart_x, apart_y = mean_x - self.x, mean_y - self.y
        weight = self.count * more / total
        self.xx += np.bincount(row, off_x * off_x, rows) + apart_x * apart_x * weight
        self.yy += np.bincount(row, off_y * off_y, rows) + apart_y * apart_y * weight
        self.xy += np.bincount(row, off_x * off_y, rows) + apart_x * apart_y * weight
        self.x += apart_x * (more / total)
        self.y += apart_y * (more / total)
        self.count += more


def read_correlation(
    x: Source, y: Source, request: CorrelationRequest, intervals: Intervals, limits: QueryLimits
) -> CorrelationResult:
    """Correlation per interval and shift.

    Parameters
    ----------
    x, y : pair of TagSamples and Rules
    request : CorrelationRequest
        Checked.
    intervals : Intervals
        One behind the other.
    limits : QueryLimits

    Raises
    ------
    BadRequest, LimitExceeded
        See ``query.moments.values_at``.
    """
    count, shifts = len(intervals.start_ns), request.shifts_ns
    order = np.argsort(intervals.start_ns, kind="stable")
    starts = intervals.start_ns[order]
    low, high = sorted((request.start_ns, request.end_ns))
    sums = [_Sums.none(count) for _ in shifts]
    length = limits.chunk_rows * request.every_ns
    for begin in range(low, high, length):
        times = np.arange(begin, min(begin + length, high), request.every_ns, dtype=np.int64)
        row = order[np.searchsorted(starts, times, side="right") - 1]
        x_value, x_good = _values(x, times, limits)
        for shift, into in zip(shifts, sums, strict=True):
            y_value, good = _values(y, times + shift, limits)
            both = np.flatnonzero(x_good & good)
            into.add(row[both], x_value[both], y_value[both])
    tags, damage = (x[0].tag, y[0].tag), (*x[0].damage, *y[0].damage)
    return _result(tags, intervals, shifts, sums, tuple(dict.fromkeys(damage)))


def _values(
    source: Source, times: Int64Array, limits: QueryLimits
) -> tuple[Float64Array, BoolArray]:
    """Values at times by the tag's own interpolation, and whether each is Good."""
    samples, rules = source
    found = values_at(samples, times, rules, limits, simple=True)
    value = found.value.astype(np.float64)
    good = found.valid & (found.status < UNCERTAIN) & np.isfinite(value)
    return value, np.asarray(good)


def _result(
    tags: tuple[Tag, Tag],
    intervals: Intervals,
    shifts: tuple[int, ...],
    sums: list[_Sums],
    damage: tuple[Damage, ...],
) -> CorrelationResult:
    # One row per interval and shift, the shifts of an interval together.
    names = ("count", "x", "y", "xx", "yy", "xy")
    columns = {name: np.stack([getattr(one, name) for one in sums], 1) for name in names}
    n, xx, yy, xy = (columns[name] for name in ("count", "xx", "yy", "xy"))
    with np.errstate(divide="ignore", invalid="ignore"):
        varies = (xx > 0) & (n > 1)
        r = np.where(varies & (yy > 0), np.clip(xy / np.sqrt(xx * yy), -1, 1), np.nan)
        slope = np.where(varies, xy / xx, np.nan)
        fewer = np.where(n > 1, n - 1.0, np.nan)
        x_mean, y_mean = (np.where(n > 0, columns[name], np.nan) for name in ("x", "y"))
        spread = [each / fewer for each in (xy, xx, yy)]
    strength = np.where(np.isnan(r), -1.0, np.abs(r))
    best = np.arange(len(shifts)) == strength.argmax(1)[:, None]
    best &= strength >= 0
    many = len(shifts)
    return CorrelationResult(
        *tags,
        np.repeat(intervals.start_ns, many),
        np.repeat(intervals.end_ns, many),
        np.tile(np.array(shifts, np.int64), len(intervals.start_ns)),
        count=n.ravel(),
        r=r.ravel(),
        slope=slope.ravel(),
        intercept=(y_mean - slope * x_mean).ravel(),
        covariance=spread[0].ravel(),
        x_mean=x_mean.ravel(),
        y_mean=y_mean.ravel(),
        x_deviation=np.sqrt(spread[1]).ravel(),
        y_deviation=np.sqrt(spread[2]).ravel(),
        best=best.ravel(),
        damage=damage,
    )
