"""What may be asked. Times are int64 nanoseconds UTC; windows are half-open."""

from dataclasses import dataclass
from typing import Literal

Bounds = Literal["none", "outside", "interpolated"]
PlotMethod = Literal["pi", "m4", "minmaxlttb", "lttb"]


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """Bounds of one answer and of the work behind it.

    Attributes
    ----------
    rows_max : int
        Rows of one raw answer.
    intervals_max : int
        Intervals of one aggregate answer, windows of one join.
    pixels_max : int
        Pixel columns of one plot.
    tags_max : int
        Tags of one latest read.
    chunk_rows : int
        Rows held in memory at a time while scanning; 28 bytes each plus working copies.
    scan_rows_max : int
        Samples one question may read of a tag, so that no question runs for hours.
    overlaps_max : int
        Moving windows that hold one moment.
    values_max : int
        Values of one answer about several tags: windows or times by tags.
    """

    rows_max: int = 1_000_000
    intervals_max: int = 200_000
    pixels_max: int = 16_384
    tags_max: int = 20_000
    chunk_rows: int = 131_072
    scan_rows_max: int = 200_000_000
    overlaps_max: int = 1_000
    values_max: int = 5_000_000


@dataclass(frozen=True, slots=True)
class RawRequest:
    """Stored samples of a tag.

    Attributes
    ----------
    tag : str
        Name of the tag.
    start_ns, end_ns : int or None
        Window [start, end), ascending. ``end < start`` means descending from start (included)
        to end (left out). One of them may be None when ``max_count`` is given: no end reads
        ascending without end, no start reads descending from the end.
    bounds : {"none", "outside", "interpolated"}
        Rows that make the window's edges known: the nearest real samples outside, or values
        computed at the edges themselves.
    max_count : int or None
        Rows of one answer; the rest follows by ``continuation``.
    backward : bool
        Descending order over the same half-open window.
    all_revisions : bool
        Every kept revision of a time, in (time, lsn) order; else the newest alone.
    known_at_lsn : int or None
        Answer as known when this log sequence number was the newest.
    continuation : str or None
        From the answer before; every other field must be as it was.
    treat_uncertain_as_bad : bool
        Whether interpolated bounds skip uncertain samples, and filters do not know their values.
    where : str or None
        A filter: samples at whose time it is true, alone; without bounds.
    hold_last : bool
        The newest sample of each tag of the filter holds until now.
    eng_unit : str or None
        Unit of measure that values are told in; None: the tag's own.
    """

    tag: str
    start_ns: int | None
    end_ns: int | None
    bounds: Bounds = "none"
    max_count: int | None = None
    backward: bool = False
    all_revisions: bool = False
    known_at_lsn: int | None = None
    continuation: str | None = None
    treat_uncertain_as_bad: bool = True
    where: str | None = None
    hold_last: bool = False
    eng_unit: str | None = None


@dataclass(frozen=True, slots=True)
class CutRequest:
    """Intervals of a window.

    Attributes
    ----------
    start_ns, end_ns : int
        Window; ``end < start`` cuts backwards and gives the newest first.
    interval_ns : int
        Length of an interval; 0 means one interval over the whole window.
    step, zone, calendar
        Cuts by the calendar instead; as of ``AggregateRequest``.
    """

    start_ns: int
    end_ns: int
    interval_ns: int = 0
    step: str = ""
    zone: str = "UTC"
    calendar: str | None = None


@dataclass(frozen=True, slots=True)
class AggregateRequest:
    """Aggregates of a tag per interval, by the rules of OPC 10000-13.

    Attributes
    ----------
    tag : str
        Name of the tag.
    start_ns, end_ns : int
        Window. Intervals are cut from the start; the last may be shorter. ``end < start`` cuts
        from the later end backwards and answers newest first.
    interval_ns : int
        Length of an interval; 0 means one interval over the whole window.
    step : str
        Cuts by the calendar instead: ``15m``, ``6h``, ``1d``, ``1w``, ``1mo``, ``1q``, ``1y`` on
        the clocks of ``zone``, or ``shift``. The first and last interval are cut at the window.
    zone : str
        Of the IANA database.
    calendar : str or None
        Shift calendar; None takes the only one.
    aggregates : tuple of str
        Names in ``query/aggregates/registry.py``.
    treat_uncertain_as_bad : bool
        Uncertain samples count as bad (the standard's default).
    percent_data_bad, percent_data_good : float
        Shares, in percent, from which a result is Bad or Good.
    use_sloped_extrapolation : bool
        After the last sample go on with the last slope; else hold.
    stepped : bool or None
        Overrides the tag's own interpolation; None takes the tag's.
    hold_last : bool
        The newest sample holds until now, for sources that send changes only. Else data ends
        with the newest sample, as the standard has it.
    resolution_ns : int
        Tick of the clock: the newest sample covers one tick.
    gaps : bool
        After the tag's longest hold, and where nobody collected it, the value is not known.
    known_at_lsn : int or None
        Answer as known when this log sequence number was the newest.
    where : str or None
        A filter: of each interval the time alone in which it is true. Its tags go by the same
        rules, but for ``stepped``.
    moving_ns : int
        Answers for windows of this length, one that ends with each interval; 0: the intervals.
    eng_unit : str or None
        Unit of measure that values are told in; None: the tag's own.
    """

    tag: str
    start_ns: int
    end_ns: int
    interval_ns: int
    aggregates: tuple[str, ...]
    treat_uncertain_as_bad: bool = True
    percent_data_bad: float = 100.0
    percent_data_good: float = 100.0
    use_sloped_extrapolation: bool = False
    stepped: bool | None = None
    hold_last: bool = False
    resolution_ns: int = 1
    known_at_lsn: int | None = None
    step: str = ""
    zone: str = "UTC"
    calendar: str | None = None
    gaps: bool = True
    where: str | None = None
    moving_ns: int = 0
    eng_unit: str | None = None


@dataclass(frozen=True, slots=True)
class SpansRequest:
    """When a filter over tags is true, false, and not known.

    Attributes
    ----------
    where : str
        The filter.
    start_ns, end_ns : int
        Window [start, end), start < end.
    min_length_ns : int
        True spans shorter than this count as false.
    treat_uncertain_as_bad : bool
        The value of an uncertain sample is not known.
    hold_last : bool
        The newest sample of each tag holds until now.
    resolution_ns : int
        Tick of the clock: the newest sample covers one tick.
    gaps : bool
        After a tag's longest hold, and where nobody collected it, its value is not known.
    known_at_lsn : int or None
        Answer as known when this log sequence number was the newest.
    """

    where: str
    start_ns: int
    end_ns: int
    min_length_ns: int = 0
    treat_uncertain_as_bad: bool = True
    hold_last: bool = False
    resolution_ns: int = 1
    gaps: bool = True
    known_at_lsn: int | None = None


@dataclass(frozen=True, slots=True)
class PlotRequest:
    """Few real samples that draw the same line as all of them.

    Attributes
    ----------
    tag : str
        Name of the tag.
    start_ns, end_ns : int
        Window [start, end), start < end.
    pixels : int
        Width of the drawing.
    known_at_lsn : int or None
        Answer as known when this log sequence number was the newest.
    method : {"pi", "m4", "minmaxlttb", "lttb"}
        Per pixel column first, lowest, highest, last and first mark; the same without marks; or
        about one sample a pixel by the largest triangles, of extremes or of all samples.
    eng_unit : str or None
        Unit of measure that values are told in; None: the tag's own.
    where : str or None
        A filter: samples of the time alone in which it is true, and a mark where that ends.
    treat_uncertain_as_bad, hold_last : bool
        Of the tags of the filter, as of ``RawRequest``.
    """

    tag: str
    start_ns: int
    end_ns: int
    pixels: int
    known_at_lsn: int | None = None
    method: PlotMethod = "pi"
    eng_unit: str | None = None
    where: str | None = None
    treat_uncertain_as_bad: bool = True
    hold_last: bool = False


@dataclass(frozen=True, slots=True)
class MomentsRequest:
    """Values of tags at times.

    Attributes
    ----------
    tags : tuple of str
        Names of tags.
    times_ns : tuple of int
        Times, in any order; or empty for the beginnings of intervals.
    start_ns, end_ns : int
        Window [start, end) of the beginnings; ``end < start`` gives the newest first.
    interval_ns : int
        From beginning to beginning, the first at the start.
    step, zone, calendar
        Beginnings by the calendar instead, as for aggregates.
    bounds : {"interpolated", "simple"}
        From the nearest usable samples, or from the two neighbouring ones alone.
    treat_uncertain_as_bad : bool
        Uncertain samples are not used.
    use_sloped_extrapolation : bool
        After the last sample go on with the last slope; else hold.
    stepped : bool or None
        Overrides the tags' own interpolation; None takes it.
    hold_last : bool
        The newest sample holds until now.
    resolution_ns : int
        Tick of the clock: the newest sample covers one tick.
    gaps : bool
        After the tag's longest hold, and where nobody collected it, the value is not known.
    known_at_lsn : int or None
        Answer as known when this log sequence number was the newest.
    where : str or None
        A filter: at times at which it is not true there is no value. Its tags go by the same
        rules, but for ``stepped``.
    eng_unit : str or None
        Unit of measure that values are told in; None: the tag's own.
    """

    tags: tuple[str, ...]
    times_ns: tuple[int, ...] = ()
    start_ns: int = 0
    end_ns: int = 0
    interval_ns: int = 0
    step: str = ""
    zone: str = "UTC"
    calendar: str | None = None
    bounds: Literal["interpolated", "simple"] = "interpolated"
    treat_uncertain_as_bad: bool = True
    use_sloped_extrapolation: bool = False
    stepped: bool | None = None
    hold_last: bool = False
    resolution_ns: int = 1
    known_at_lsn: int | None = None
    gaps: bool = True
    where: str | None = None
    eng_unit: str | None = None


@dataclass(frozen=True, slots=True)
class StatesRequest:
    """Time in each state of a tag that holds its value, per interval.

    Attributes
    ----------
    tag : str
    start_ns, end_ns, interval_ns, step, zone, calendar
        As of ``AggregateRequest``.
    treat_uncertain_as_bad : bool
        The value of an uncertain sample is not known.
    stepped : bool or None
        True: the tag holds its value, though it is declared to slope.
    hold_last : bool
        The newest sample holds until now.
    resolution_ns : int
        Tick of the clock: the newest sample covers one tick.
    gaps : bool
        After the tag's longest hold, and where nobody collected it, the value is not known.
    known_at_lsn : int or None
        Answer as known when this log sequence number was the newest.
    """

    tag: str
    start_ns: int
    end_ns: int
    interval_ns: int = 0
    step: str = ""
    zone: str = "UTC"
    calendar: str | None = None
    treat_uncertain_as_bad: bool = True
    stepped: bool | None = None
    hold_last: bool = False
    resolution_ns: int = 1
    gaps: bool = True
    known_at_lsn: int | None = None


@dataclass(frozen=True, slots=True)
class CorrelationRequest:
    """Correlation of two tags, both taken at equal steps, per interval and shift.

    Attributes
    ----------
    x, y : str
        Names of tags.
    start_ns, end_ns, interval_ns, step, zone, calendar
        As of ``AggregateRequest``.
    every_ns : int
        From one pair of values to the next; the first at the start of the window.
    shifts_ns : tuple of int
        Of a pair, y is taken so much later than x.
    treat_uncertain_as_bad, hold_last, resolution_ns, gaps, known_at_lsn
        As of ``StatesRequest``.
    """

    x: str
    y: str
    start_ns: int
    end_ns: int
    every_ns: int
    interval_ns: int = 0
    shifts_ns: tuple[int, ...] = (0,)
    step: str = ""
    zone: str = "UTC"
    calendar: str | None = None
    treat_uncertain_as_bad: bool = True
    hold_last: bool = False
    resolution_ns: int = 1
    gaps: bool = True
    known_at_lsn: int | None = None
