"""Percentiles of the Good samples of intervals: exact where these fit into memory, else estimated.

Intervals are read in groups that hold no more samples together than one piece of a scan.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from query.digest import Digest
from query.facts.ranges import rows_of, spread
from query.facts.rules import Windows
from query.request import QueryLimits
from query.scan import pieces, spans
from query.series import TagSamples
from storage_engine.sample import BoolArray, Int64Array

Float64Array = npt.NDArray[np.float64]
_Owned = tuple[Int64Array, Windows]


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Percentiles of intervals.

    Attributes
    ----------
    values : dict of float to float64, shape (n,)
        By the share in percent; 0 where an interval holds no Good sample.
    estimated : bool, shape (n,)
        From a t-digest: the interval holds more Good samples than are kept at a time.
    """

    values: dict[float, Float64Array]
    estimated: BoolArray


def percentiles(
    samples: TagSamples,
    owned: tuple[Int64Array, Int64Array, Int64Array],
    good: Int64Array,
    shares: Collection[float],
    limits: QueryLimits,
) -> Percentiles:
    """Percentiles of intervals: linear between the two samples next to the rank.

    Parameters
    ----------
    samples : TagSamples
    owned : triple of int64, shape (m,)
        Numbers of intervals, ascending, and starts and ends of what counts of each.
    good : int64, shape (n,)
        Good samples of each interval.
    shares : collection of float
        In percent, 0 to 100.
    limits : QueryLimits

    Raises
    ------
    LimitExceeded
        When more than ``limits.scan_rows_max`` samples would be read for one group.
    """
    values = {share: np.zeros(len(good)) for share in shares}
    estimated = good > limits.chunk_rows
    every = np.arange(len(good))
    first, behind = (np.searchsorted(owned[0], every, side) for side in ("left", "right"))
    for group in _groups(good, owned, limits.chunk_rows):
        _, rows = spread(first[group], behind[group])
        owner, start, end = (column[rows] for column in owned)
        order = np.argsort(start, kind="stable")
        start, end = start[order], end[order]
        found = _good_samples(samples, (owner[order], Windows(start, end, start)), limits)
        if estimated[group[0]]:
            digest = Digest()
            for _, part in found:
                digest.add(part)
            for share, column in values.items():
                column[group] = digest.percentile(share)
            continue
        parts = list(found)
        place = np.concatenate([place for place, _ in parts])
        number = np.concatenate([part for _, part in parts])
        number = number[np.lexsort((number, place))]
        # Counted anew: samples may have come since the intervals were counted.
        count = np.bincount(np.searchsorted(group, place), minlength=len(group))
        held = count > 0
        for share, column in values.items():
            column[group[held]] = _at(number, count[held], share)
    return Percentiles(values, estimated)


def _groups(
    good: Int64Array, owned: tuple[Int64Array, Int64Array, Int64Array], rows_max: int
) -> Iterator[Int64Array]:
    """Intervals that hold Good samples, ascending, in groups; one that holds many is alone."""
    held = np.flatnonzero(good > 0)
    first_start = owned[1][np.searchsorted(owned[0], held)]
    in_time = held[np.argsort(first_start, kind="stable")]
    many = good[in_time] > rows_max
    yield from (np.array([one]) for one in in_time[many].tolist())
    few = in_time[~many]
    if len(few):
        filled = np.cumsum(good[few]) // rows_max
        yield from (np.sort(some) for some in np.split(few, np.flatnonzero(np.diff(filled)) + 1))


def _good_samples(
    samples: TagSamples, owned: _Owned, limits: QueryLimits
) -> Iterator[tuple[Int64Array, Float64Array]]:
    """Good samples with the number of the interval that each is in, by pieces of the scan."""
    owner, windows = owned
    latest_end = np.maximum.accumulate(windows.end_ns)
    for _, _, piece in pieces(samples, spans(samples, windows.start_ns, latest_end), limits):
        kept = np.flatnonzero(piece.severity == 0)
        window, rows = spread(*rows_of(piece.timestamp_ns[kept], windows))
        yield owner[window], piece.number[kept][rows]


def _at(number: Float64Array, count: Int64Array, share: float) -> Float64Array:
    """Percentile of runs of ascending values, one behind the other."""
    first = np.cumsum(count) - count
    rank = share / 100 * (count - 1)
    below = np.minimum(np.floor(rank).astype(np.int64), count - 1)
    part = rank - below
    low = number[first + below]
    high = number[first + np.minimum(below + 1, count - 1)]
    with np.errstate(invalid="ignore"):
        between = low * (1 - part) + high * part
    return np.asarray(np.where((part == 0) | (low == high), low, between))
