"""What is answered: numpy columns, and what each answer stands on."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from query.ports import Tag
from storage_engine.sample import (
    AnyArray,
    BoolArray,
    ColumnData,
    Damage,
    Int64Array,
    SampleColumns,
    UInt32Array,
    ValueType,
)

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LatestResult:
    """Newest sample of each tag, one row per name asked for, in that order.

    ``present`` is False where a tag holds no sample; its other entries mean nothing then.
    ``value`` holds Python values, None for null. ``stale`` is True where the tag says after how
    long its newest sample is stale, and it is older, or there is none.
    """

    tags: tuple[Tag, ...]
    present: BoolArray
    timestamp_ns: Int64Array
    quality: UInt32Array
    value: list[object]
    stale: BoolArray


@dataclass(frozen=True, slots=True)
class RawResult:
    """Samples of one tag in the order asked for.

    Attributes
    ----------
    tag : Tag
        Whose samples.
    columns : SampleColumns, n rows
        A row that was computed or that stands for a missing bound has lsn 0.
    bound : bool, shape (n,)
        Row is outside the half-open window, or computed at its edge.
    interpolated : bool, shape (n,)
        Row was computed, never written.
    continuation : str or None
        Hand it back to get what follows; None at the end.
    damage : tuple of Damage
        What had to be left out because it cannot be read; empty when the answer is whole.
    """

    tag: Tag
    columns: SampleColumns
    bound: BoolArray
    interpolated: BoolArray
    continuation: str | None
    damage: tuple[Damage, ...] = ()

    def __len__(self) -> int:
        return len(self.columns)


@dataclass(frozen=True, slots=True)
class AggregateColumn:
    """One aggregate over all intervals.

    Attributes
    ----------
    type : ValueType
        Type of ``value``.
    value : array, shape (n,)
        Means nothing where ``valid`` is False.
    valid : bool, shape (n,)
        False: the result is null.
    status : uint32, shape (n,)
        OPC UA status code with the info bits of OPC 10000-13: calculated 0x01, interpolated 0x02,
        partial 0x04, multiple values 0x10, each with 0x400.
    time_ns : int64, shape (n,), or None
        Time of each value, of aggregates that tell it (start of the interval where null); None:
        the start of the interval.
    estimated : bool, shape (n,), or None
        Which results are estimates, of aggregates that may be; None: none is.
    eng_unit : str or None
        Unit of ``value`` where it is another than the tag's.
    """

    type: ValueType
    value: AnyArray
    valid: BoolArray
    status: UInt32Array
    time_ns: Int64Array | None = None
    estimated: BoolArray | None = None
    eng_unit: str | None = None


@dataclass(frozen=True, slots=True)
class AggregateResult:
    """Aggregates per interval and what they stand on, one row per interval.

    Attributes
    ----------
    tag : Tag
        Of which tag.
    start_ns, end_ns : int64, shape (n,)
        Interval [start, end).
    columns : dict of str to AggregateColumn
        By name of the aggregate, in the order asked for.
    percent_good : float64, shape (n,)
        Share of the covered time whose status is Good; 0 where there is no data.
    samples_used : int64, shape (n,)
        Stored samples inside the interval, of any quality.
    partial : bool, shape (n,)
        The data begins or ends inside the interval.
    summary_ns : int64, shape (n,)
        Length of the summaries that the interval stands on; 0: raw samples alone.
    labels : tuple of str
        Name of the shift of each interval; empty unless cut by shifts.
    damage : tuple of Damage
        As for a raw read.
    gap_ns : int64, shape (n,)
        Covered time at which the value is not known although no bad sample says so.
    edited : bool, shape (n,)
        Somebody edited, deleted or erased samples inside.
    true_ns, unknown_ns : int64, shape (n,)
        Of a filtered read, the time in which the filter was true, and was not known; else empty.
    """

    tag: Tag
    start_ns: Int64Array
    end_ns: Int64Array
    columns: dict[str, AggregateColumn]
    percent_good: Float64Array
    samples_used: Int64Array
    partial: BoolArray
    summary_ns: Int64Array
    labels: tuple[str, ...] = ()
    damage: tuple[Damage, ...] = ()
    gap_ns: Int64Array = field(default_factory=lambda: np.zeros(0, np.int64))
    edited: BoolArray = field(default_factory=lambda: np.zeros(0, np.bool_))
    true_ns: Int64Array = field(default_factory=lambda: np.zeros(0, np.int64))
    unknown_ns: Int64Array = field(default_factory=lambda: np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.start_ns)


@dataclass(frozen=True, slots=True)
class SpansResult:
    """Spans that tile a window, ascending; no two neighbours are of one state.

    Attributes
    ----------
    tags : tuple of Tag
        Tags of the filter, in the order of the text.
    start_ns, end_ns : int64, shape (n,)
        Span [start, end).
    state : int8, shape (n,)
        1 true, -1 false, 0 not known.
    true_ns, false_ns, unknown_ns : int
        Time in each state, of the whole window.
    samples_used : int
        Samples of the window that were read.
    damage : tuple of Damage
        As for a raw read.
    """

    tags: tuple[Tag, ...]
    start_ns: Int64Array
    end_ns: Int64Array
    state: npt.NDArray[np.int8]
    true_ns: int
    false_ns: int
    unknown_ns: int
    samples_used: int
    damage: tuple[Damage, ...] = ()

    def __len__(self) -> int:
        return len(self.start_ns)


@dataclass(frozen=True, slots=True)
class StatesResult:
    """Time in states: one row per interval and state that the tag had in it.

    Attributes
    ----------
    tag : Tag
    start_ns, end_ns : int64, shape (n,)
        Interval [start, end); rows in the order of the intervals, then of the states by value.
    state : ColumnData, n rows
        Null: the time in which the value was not known. The rows of an interval fill it.
    duration_ns : int64, shape (n,)
    percent : float64, shape (n,)
        Of the interval.
    entries : int64, shape (n,)
        How often the state was entered inside: a value that differs from the one known last.
    longest_ns : int64, shape (n,)
        The longest single stay, as far as inside.
    first_ns : int64, shape (n,)
        First entry inside; means nothing where ``entered`` is False.
    entered : bool, shape (n,)
    labels : tuple of str
        Name of the shift of each row; empty unless cut by shifts.
    damage : tuple of Damage
        As for a raw read.
    """

    tag: Tag
    start_ns: Int64Array
    end_ns: Int64Array
    state: ColumnData
    duration_ns: Int64Array
    percent: Float64Array
    entries: Int64Array
    longest_ns: Int64Array
    first_ns: Int64Array
    entered: BoolArray
    labels: tuple[str, ...] = ()
    damage: tuple[Damage, ...] = ()

    def __len__(self) -> int:
        return len(self.start_ns)


@dataclass(frozen=True, slots=True)
class CorrelationResult:
    """Correlation of two tags: one row per interval and shift.

    Attributes
    ----------
    x, y : Tag
    start_ns, end_ns : int64, shape (n,)
        Interval [start, end).
    shift_ns : int64, shape (n,)
    count : int64, shape (n,)
        Pairs of which both values are Good.
    r : float64, shape (n,)
        Coefficient of Pearson; NaN with fewer than two pairs, or where one does not vary.
    slope, intercept : float64, shape (n,)
        Of y on x by least squares; NaN where x does not vary.
    covariance, x_mean, y_mean, x_deviation, y_deviation : float64, shape (n,)
        Of samples, by count - 1; NaN with too few.
    best : bool, shape (n,)
        The shift of the interval at which ``r`` is furthest from 0; the first of equals.
    damage : tuple of Damage
        As for a raw read.
    """

    x: Tag
    y: Tag
    start_ns: Int64Array
    end_ns: Int64Array
    shift_ns: Int64Array
    count: Int64Array
    r: Float64Array
    slope: Float64Array
    intercept: Float64Array
    covariance: Float64Array
    x_mean: Float64Array
    y_mean: Float64Array
    x_deviation: Float64Array
    y_deviation: Float64Array
    best: BoolArray
    damage: tuple[Damage, ...] = ()

    def __len__(self) -> int:
        return len(self.start_ns)


@dataclass(frozen=True, slots=True)
class PlotResult:
    """Real samples for a drawing, ascending.

    With a filter there are rows that nobody wrote, too: null, Bad_NoData, lsn 0, where the time in
    which it is true ends.

    Attributes
    ----------
    tag : Tag
        Whose samples.
    columns : SampleColumns, n rows
        At most five per pixel column, plus the two at the edges.
    mark : bool, shape (n,)
        Row has no usable value (bad or null): the line breaks here.
    bound : bool, shape (n,)
        Row lies outside the window, for the line to reach its edges.
    samples_used : int
        Samples of the window that the drawing stands for.
    damage : tuple of Damage
        As for a raw read.
    true_ns, unknown_ns : int or None
        Of a filtered drawing, the time in which the filter was true, and was not known.
    """

    tag: Tag
    columns: SampleColumns
    mark: BoolArray
    bound: BoolArray
    samples_used: int
    damage: tuple[Damage, ...] = ()
    true_ns: int | None = None
    unknown_ns: int | None = None

    def __len__(self) -> int:
        return len(self.columns)


@dataclass(frozen=True, slots=True)
class MomentsColumn:
    """Values of one tag at times.

    Attributes
    ----------
    tag : Tag
    type : ValueType
        Type of ``value``.
    value : array, shape (n,)
        Means nothing where ``valid`` is False.
    valid : bool, shape (n,)
        False: the result is null.
    status : uint32, shape (n,)
        OPC UA status code, with the info bit interpolated 0x402 where no sample stands there.
    damage : tuple of Damage
        As for a raw read.
    """

    tag: Tag
    type: ValueType
    value: AnyArray
    valid: BoolArray
    status: UInt32Array
    damage: tuple[Damage, ...] = ()


@dataclass(frozen=True, slots=True)
class MomentsResult:
    """Values of tags at the same times.

    Attributes
    ----------
    time_ns : int64, shape (n,)
        In the order asked for.
    columns : tuple of MomentsColumn
        In the order of the tags asked for.
    state : int8, shape (n,), or None
        Of a filtered read, 1 where the filter is true, -1 false, 0 not known; else None.
    damage : tuple of Damage
        What the filter had to leave out.
    """

    time_ns: Int64Array
    columns: tuple[MomentsColumn, ...]
    state: npt.NDArray[np.int8] | None = None
    damage: tuple[Damage, ...] = ()


@dataclass(frozen=True, slots=True)
class AsOfResult:
    """The newest sample at or before each time asked for, one row per time, in that order.

    ``present`` is False where there is none, or where it is older than allowed.
    """

    present: BoolArray
    columns: SampleColumns
