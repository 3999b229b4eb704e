"""What the query room needs from whoever holds samples and names; others fulfil these."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from query.registers import Declaration
from storage_engine.sample import (
    AnyArray,
    BoolArray,
    ColumnData,
    Damage,
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

    Attributes
    ----------
    hold_max_ns : int or None
        A sample holds its value at most so long; None: until the next.
    stale_after_ns : int or None
        A newest sample older than this is stale; None: never.
    counter_modulus : float or None
        Value at which a counter starts again at zero; None: not a counter that does.
    counter_rate_max : float or None
        Largest plausible rise of a counter per second; None: not known.
    counter_resets : bool
        A counter that falls, and has not wrapped, has started again from zero.
    """

    name: str
    series: tuple[int, ...]
    type: ValueType  # of the newest series
    stepped: bool  # value holds until the next sample; else sloped between samples
    eng_unit: str = ""
    description: str = ""
    hold_max_ns: int | None = None
    stale_after_ns: int | None = None
    counter_modulus: float | None = None
    counter_rate_max: float | None = None
    counter_resets: bool = False


@dataclass(frozen=True, slots=True)
class LatestColumns:
    """Newest sample per series; ``present`` is False where a series holds none.

    All arrays have one row per series asked for. ``value`` holds Python values (None = null).
    """

    present: npt.NDArray[np.bool_]
    timestamp_ns: npt.NDArray[np.int64]
    quality: UInt32Array
    value: list[object]


@dataclass(frozen=True, slots=True)
class FoldedWindows:
    """What the samples of windows fold to; every array has one row per window.

    Attributes
    ----------
    good, uncertain, bad : int64
        Samples inside; a null or NaN is bad.
    first_ns, last_ns, first_good_ns, last_good_ns, minimum_ns, maximum_ns : int64
        Times; of extremes the oldest. Mean nothing where there is no such sample.
    first, last, first_good, last_good, minimum, maximum : array
        Values in the type of the series; extremes of the good samples.
    first_code, last_code : uint32
        Status codes as written.
    first_valid, last_valid : bool
        The sample has a value.
    more_minima, more_maxima : bool
        The extreme occurs again; all False unless ``ties`` were asked for.
    sums : dict of str to float64
        ``sum``, ``mean``, ``variance`` of the good samples, ``stepped`` and ``sloped`` integrals in
        value times seconds from the first sample to the last; those asked for.
    transitions, zero_ns : int64
        Changes from one good sample to the next inside; time from a sample of value zero to the
        next. 0 unless asked for.
    known : bool
        False where ``zero_ns`` could not be told.
    damage : tuple of Damage
    """

    good: Int64Array
    uncertain: Int64Array
    bad: Int64Array
    first_ns: Int64Array
    last_ns: Int64Array
    first_good_ns: Int64Array
    last_good_ns: Int64Array
    minimum_ns: Int64Array
    maximum_ns: Int64Array
    first: AnyArray
    last: AnyArray
    first_good: AnyArray
    last_good: AnyArray
    minimum: AnyArray
    maximum: AnyArray
    first_code: UInt32Array
    last_code: UInt32Array
    first_valid: BoolArray
    last_valid: BoolArray
    more_minima: BoolArray
    more_maxima: BoolArray
    sums: dict[str, npt.NDArray[np.float64]]
    transitions: Int64Array
    zero_ns: Int64Array
    known: BoolArray
    damage: tuple[Damage, ...] = ()


@dataclass(frozen=True, slots=True)
class PlainRows:
    """Samples ascending in time, one per time, as bare columns.

    ``quality`` is None where every code is 0, ``valid`` where every row has a value.
    """

    timestamp_ns: Int64Array
    value: AnyArray
    quality: UInt32Array | None
    valid: BoolArray | None
    damage: tuple[Damage, ...] = ()


FOLDS = ("sum", "moments", "area", "ties", "transitions", "zero")


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

    def fold(
        self,
        series_id: int,
        edges_ns: Int64Array,
        wanted: Collection[str] = (),
        *,
        known_at_lsn: int | None = None,
    ) -> FoldedWindows | None:
        """Fold the windows between edges that rise, without a row of them in Python.

        ``wanted`` has some of ``FOLDS``. None where only a read can tell: a series that is no
        number, or that gives every revision of a time.
        """
        ...

    def read_arrays(
        self,
        series_id: int,
        start_ns: int,
        end_ns: int,
        rows_max: int,
        *,
        known_at_lsn: int | None = None,
    ) -> PlainRows | None:
        """Samples with start <= time < end, decoded at once.

        None where the window may hold more than ``rows_max``, or a read must choose revisions.
        """
        ...

    def read_recent(
        self, series_ids: Sequence[int], start_ns: int, end_ns: int
    ) -> list[SampleColumns | None]:
        """Samples of many series with start <= time < end, as a plain :meth:`read` gives them.

        None for a series of which only a read of its own tells.
        """
        ...

    def annotations(
        self, series_ids: Sequence[int], *, known_at_lsn: int | None = None
    ) -> Int64Array:
        """Times of the annotations of series, each of the series together once; ascending."""
        ...

    def edits(
        self, series_ids: Sequence[int], *, known_at_lsn: int | None = None
    ) -> tuple[Int64Array, Int64Array]:
        """Windows of series that people edited, deleted or erased samples in; in any order."""
        ...


@dataclass(frozen=True, slots=True)
class Holes:
    """Times at which a tag was not collected: ``[start, end)``, ascending, none over another."""

    start_ns: Int64Array
    end_ns: Int64Array

    @staticmethod
    def none() -> "Holes":
        """No such times are known."""
        return Holes(np.zeros(0, np.int64), np.zeros(0, np.int64))


class TagResolver(Protocol):
    """Names to tags."""

    def resolve(self, name: str) -> Tag:
        """Raise query.errors.UnknownTag when there is none."""
        ...

    def not_collected(self, tag: Tag) -> Holes:
        """When nobody collected a tag, as far as that is known, up to now."""
        ...

    def declarations(self, tag: Tag) -> Sequence[Declaration]:
        """When a counter was reset or replaced, ascending."""
        ...


__all__ = [
    "FOLDS",
    "ColumnData",
    "FoldedWindows",
    "Holes",
    "LatestColumns",
    "PlainRows",
    "SampleReader",
    "Tag",
    "TagResolver",
]
