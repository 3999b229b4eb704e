"""What the query room needs from whoever holds samples and names; others fulfil these."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from storage_engine.sample import (
    ColumnData,
    EventColumns,
    Int64Array,
    SampleColumns,
    UInt32Array,
    ValueType,
)


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag as query sees it.

    ``series`` lists its series ids oldest first (a new one when its type changed); reads join them.
    """

    name: str
    series: tuple[int, ...]
    type: ValueType  # of the newest series
    stepped: bool  # value holds until the next sample; else sloped between samples
    eng_unit: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class LatestColumns:
    """Newest sample per series; ``present`` is False where a series holds none.

    All arrays have one row per series asked for. ``value`` holds Python values (None = null).
    """

    present: npt.NDArray[np.bool_]
    timestamp_ns: npt.NDArray[np.int64]
    quality: UInt32Array
    value: list[object]


class SampleReader(Protocol):
    """Reads of one store. Every window is half-open, in nanoseconds UTC."""

    def read(
        self,
        series_id: int,
        start_ns: int,
        end_ns: int,
        *,
        all_revisions: bool = False,
        known_at_lsn: int | None = None,
        max_count: int | None = None,
        backward: bool = False,
        distinct: bool = False,
    ) -> SampleColumns:
        """Give the samples with start <= time < end, ascending (descending when ``backward``).

        By default one revision per time, the newest unless the series has another rule; with
        ``all_revisions`` every one, in (time, lsn) order. ``distinct`` gives one per time also of
        a series whose rule is to give all.
        """
        ...

    def keeps_all(self, series_ids: Sequence[int]) -> bool:
        """Whether a plain read of one of the series gives every revision of a time."""
        ...

    def previous(self, series_id: int, time_ns: int, *, inclusive: bool = False) -> SampleColumns:
        """Find the last sample before ``time_ns`` (at or before, if inclusive): 0 or 1 row."""
        ...

    def next(self, series_id: int, time_ns: int, *, inclusive: bool = False) -> SampleColumns:
        """Find the first sample after ``time_ns`` (at or after, if inclusive): 0 or 1 row."""
        ...

    def latest(self, series_ids: Sequence[int]) -> LatestColumns:
        """Newest sample of each series."""
        ...

    def summaries(
        self, series_id: int, start_ns: int, end_ns: int, *, known_at_lsn: int | None = None
    ) -> EventColumns | None:
        """Find summaries of intervals that begin in [start, end): docs/format/summary.md."""
        ...

    def summary_extent(self, series_id: int) -> tuple[int, int] | None:
        """First and last time that summaries of a series begin at, seen or not; None for none."""
        ...

    def annotations(
        self, series_ids: Sequence[int], *, known_at_lsn: int | None = None
    ) -> Int64Array:
        """Times of the annotations of series, each of the series together once; ascending."""
        ...


class TagResolver(Protocol):
    """Names to tags."""

    def resolve(self, name: str) -> Tag:
        """Raise query.errors.UnknownTag when there is none."""
        ...


__all__ = ["ColumnData", "LatestColumns", "SampleReader", "Tag", "TagResolver"]
