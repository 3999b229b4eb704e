"""Every read in another unit of measure, against the same read converted by plain arithmetic."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from query.aggregates.measure import Measure
from query.aggregates.naming import aggregate_named
from query.aggregates.registry import AGGREGATES
from query.engine import Query
from query.errors import BadRequest
from query.joins.request import JoinTag, JoinTimesRequest, JoinWindowsRequest
from query.ports import Tag
from query.request import AggregateRequest, MomentsRequest, PlotRequest, RawRequest
from query.testing import MemoryReader, MemoryResolver
from storage_engine.sample import BAD, GOOD, UNCERTAIN, ValueType

S = 1_000_000_000
ROWS = st.lists(
    st.tuples(
        st.integers(0, 30).map(lambda t: t * S),
        st.none() | st.integers(-500, 500),
        st.sampled_from([GOOD, GOOD, GOOD, UNCERTAIN, BAD]),
    ),
    max_size=12,
    unique_by=lambda row: row[0],
).map(lambda rows: [(t, v, q if v is not None else BAD) for t, v, q in rows])
# Factor and offset, in whole numbers and fractions of them.
UNITS = {
    ("degC", "degF"): (Fraction(9, 5), Fraction(32)),
    ("degF", "K"): (Fraction(5, 9), Fraction(45967, 180)),
    ("bar", "mbar"): (Fraction(1000), Fraction(0)),
    ("l/min", "m3/h"): (Fraction(3, 50), Fraction(0)),
    ("mm", "m"): (Fraction(1, 1000), Fraction(0)),
}
# By hand, so that a measure in the registry that is wrong is found.
NOT_VALUES = {
    "difference": ["Range", "Range2", "Delta", "DeltaBounds", "CounterIncrease", "Slope",
                   "RateOfChange", "CounterRate", "StandardDeviationSample",
                   "StandardDeviationPopulation", "Total", "Total2"],
    "square": ["VarianceSample", "VariancePopulation"],
    "same": ["AnnotationCount", "Count", "NumberOfTransitions", "DurationGood", "DurationBad",
             "DurationInStateZero", "DurationInStateNonZero", "PercentGood", "PercentBad",
             "WorstQuality", "WorstQuality2"],
}  # fmt: skip
OVER_TIME = ("Total", "Total2", "Integral")


def _query(rows, unit, type_=ValueType.FLOAT64, *, stepped=False):
    reader = MemoryReader()
    reader.add(1, type_, rows)
    tag = Tag("t", (1,), type_, stepped=stepped, eng_unit=unit)
    return Query(reader, MemoryResolver(tag), lambda: 40 * S)


def _near(values, told):
    """Whether values are those told, a null where None."""
    assert [v is None for v in values] == [t is None for t in told]
    numbers = [t for t in told if t is not None]
    assert [v for v in values if v is not None] == pytest.approx(numbers, rel=1e-12, abs=1e-10)


def _listed(column):
    return [v if ok else None for v, ok in zip(column.value.tolist(), column.valid, strict=True)]


def _by(values, factor, offset):
    return [None if v is None else float(Fraction(v) * factor + offset) for v in values]


@settings(max_examples=150, deadline=None)
@given(ROWS, st.sampled_from(sorted(UNITS)), st.booleans(), st.booleans())
def test_aggregates_are_converted_as_what_they_are(rows, units, stepped, whole):
    """Values with the offset, differences without, squares twice, the others not at all."""
    (have, want), (factor, offset) = units, UNITS[units]
    names = tuple(n for n in AGGREGATES if offset == 0 or n not in OVER_TIME)
    query = _query(rows, have, ValueType.INT64 if whole else ValueType.FLOAT64, stepped=stepped)
    asked = AggregateRequest("t", -S, 33 * S, 7 * S, names)

    before, after = query.aggregate(asked), query.aggregate(replace(asked, eng_unit=want))

    assert after.tag.eng_unit == want
    for name in names:
        plain, made = before.columns[name], after.columns[name]
        assert made.status.tolist() == plain.status.tolist()
        if name == "Integral":
            continue
        if name in NOT_VALUES["same"]:
            told, unit = _listed(plain), plain.eng_unit
        elif name in NOT_VALUES["difference"]:
            told = _by(_listed(plain), factor, 0)
            over = {"Slope": "/s", "RateOfChange": "/s", "CounterRate": "/s", "Total": "·s"}
            over["Total2"] = "·s"
            unit = want + over[name] if name in over else None
        elif name in NOT_VALUES["square"]:
            told, unit = _by(_listed(plain), factor**2, 0), made.eng_unit
            assert unit == (f"({want})²" if "/" in want else f"{want}²")
        else:
            told, unit = _by(_listed(plain), factor, offset), None
        _near(_listed(made), told)
        assert made.eng_unit == unit, name


@settings(max_examples=100, deadline=None)
@given(ROWS, st.sampled_from(sorted(UNITS)), st.booleans(), st.booleans())
def test_samples_and_values_at_times_are_converted(rows, units, stepped, whole):
    """Raw with interpolated bounds, a drawing, values at times and the newest."""
    (have, want), (factor, offset) = units, UNITS[units]
    query = _query(rows, have, ValueType.INT64 if whole else ValueType.FLOAT64, stepped=stepped)
    raw = RawRequest("t", 3 * S, 25 * S, bounds="interpolated")
    plot = PlotRequest("t", 3 * S, 25 * S, 5)
    times = MomentsRequest(("t",), tuple(range(-S, 33 * S, 3 * S)))

    for ask, asked in ((query.raw, raw), (query.plot, plot)):
        before, after = ask(asked), ask(replace(asked, eng_unit=want))
        assert (after.tag.eng_unit, after.tag.type) == (want, ValueType.FLOAT64)
        assert after.columns.timestamp_ns.tolist() == before.columns.timestamp_ns.tolist()
        _near(after.columns.value.objects(), _by(before.columns.value.objects(), factor, offset))
    (before,), (after,) = query.at(times).columns, query.at(replace(times, eng_unit=want)).columns
    assert (after.tag.eng_unit, after.type) == (want, ValueType.FLOAT64)
    _near(_listed(after), _by(_listed(before), factor, offset))
    before, after = query.latest(["t"]), query.latest(["t"], want)
    assert after.tags[0].eng_unit == want
    _near(after.value, _by(before.value, factor, offset))


@settings(max_examples=100, deadline=None)
@given(ROWS, st.sampled_from(sorted(UNITS)), st.booleans(), st.integers(-500, 500))
def test_joins_are_converted_with_their_bands(rows, units, stepped, low):
    """An integral takes the offset over the time that is covered."""
    (have, want), (factor, offset) = units, UNITS[units]
    query = _query(rows, have, stepped=stepped)
    start = np.arange(-2, 30, 5) * S
    band = (low + 0.25, low + 100.25)
    asked = JoinTag("t", 0, *band)
    made = JoinTag("t", 0, *_by(band, factor, offset), want)

    before = query.join_windows(JoinWindowsRequest((asked,), start, start + 7 * S)).columns[0]
    found = query.join_windows(JoinWindowsRequest((made,), start, start + 7 * S))

    after, known, inside = found.columns[0], before.covered_ns > 0, before.count > 0
    assert found.tags[0].eng_unit == want
    for name, where in [(n, inside) for n in ("first", "last", "minimum", "maximum")] + [
        ("held", before.has_held), ("mean", known),
    ]:  # fmt: skip
        told = _by(getattr(before, name)[where].tolist(), factor, offset)
        _near(getattr(after, name)[where].tolist(), told)
    _near(after.deviation[known].tolist(), _by(before.deviation[known].tolist(), factor, 0))
    covered = [Fraction(int(c), S) for c in before.covered_ns]
    integral = [
        float(Fraction(v) * factor + offset * c)
        for v, c in zip(before.integral.tolist(), covered, strict=True)
    ]
    _near(after.integral[known].tolist(), [v for v, k in zip(integral, known, strict=True) if k])
    assert np.abs(after.in_band_ns - before.in_band_ns).max() <= 2
    times = JoinTimesRequest((JoinTag("t"),), start)
    plain, told = (
        query.join_times(replace(times, tags=(JoinTag("t", eng_unit=unit),)))
        for unit in (None, want)
    )
    assert told.tags[0].eng_unit == want
    there = plain.columns[0].present
    _near(
        [v for v, p in zip(told.columns[0].columns.value.objects(), there, strict=True) if p],
        _by([v for v, p in zip(plain.columns[0].columns.value.objects(), there, strict=True) if p],
            factor, offset),
    )  # fmt: skip


def test_an_integral_goes_into_the_unit_of_its_unit():
    """KW gives kWh, MW gives MWh."""
    query = _query([(0, 360.0, GOOD), (36 * S, 360.0, GOOD)], "kW")
    asked = AggregateRequest("t", 0, 36 * S, 0, ("Integral",), eng_unit="MW")

    column = query.aggregate(asked).columns["Integral"]

    assert (column.value.tolist(), column.eng_unit) == ([pytest.approx(0.0036)], "MWh")


@pytest.mark.parametrize("name", OVER_TIME)
def test_an_integral_over_time_has_no_answer_where_the_zero_moves(name):
    """20 degrees Celsius for a minute are no number of Fahrenheit seconds that anybody means."""
    query = _query([(0, 1.0, GOOD)], "degC")

    with pytest.raises(BadRequest, match="different zeros") as refused:
        query.aggregate(AggregateRequest("t", 0, S, 0, ("Average", name), eng_unit="degF"))

    assert refused.value.where == "eng_unit"


@pytest.mark.parametrize("type_", [ValueType.SYMBOL, ValueType.BOOL])
def test_a_tag_that_is_no_number_is_refused_by_every_read(type_):
    """Also where it would be counted only: the unit has nothing to be of."""
    query = _query([], "bar", type_)
    window = JoinWindowsRequest((JoinTag("t", eng_unit="mbar"),), np.array([0]), np.array([S]))
    times = JoinTimesRequest(window.tags, np.array([0]))
    for ask in (
        lambda: query.latest(["t"], "mbar"),
        lambda: query.raw(RawRequest("t", 0, S, eng_unit="mbar")),
        lambda: query.plot(PlotRequest("t", 0, S, 1, eng_unit="mbar")),
        lambda: query.at(MomentsRequest(("t",), (0,), eng_unit="mbar")),
        lambda: query.aggregate(AggregateRequest("t", 0, S, 0, ("Count",), eng_unit="mbar")),
        lambda: query.join_times(times),
    ):
        with pytest.raises(BadRequest, match="want a tag of numbers"):
            ask()


def test_the_tags_own_unit_leaves_every_value_as_it_is():
    """Whole numbers beyond doubles stay whole."""
    query = _query([(0, 2**63 - 1, GOOD)], "mm", ValueType.INT64)

    same = query.raw(RawRequest("t", 0, S, eng_unit="mm")).columns
    other = query.raw(RawRequest("t", 0, S, eng_unit="m")).columns

    assert same.value.objects() == [2**63 - 1]
    assert other.value.objects() == [2**63 / 1000]


def test_series_of_other_types_are_read_as_numbers_where_they_are_some():
    """A tag that was a text before: its texts are null, not its numbers texts."""
    reader = MemoryReader()
    reader.add(1, ValueType.SYMBOL, [(0, "off"), (2 * S, "7")])
    reader.add(2, ValueType.INT64, [(4 * S, 2**60)])
    reader.add(3, ValueType.FLOAT64, [(6 * S, 1.5)])
    tag = Tag("t", (1, 2, 3), ValueType.FLOAT64, stepped=False, eng_unit="m")
    query = Query(reader, MemoryResolver(tag), lambda: 9 * S)
    want = [None, None, 2**60 * 1000.0, 1_500.0]

    raw = query.raw(RawRequest("t", 0, 9 * S, eng_unit="mm", bounds="outside")).columns
    times = JoinTimesRequest((JoinTag("t", eng_unit="mm"),), np.array([0, 2, 4, 6]) * S)

    assert raw.value.objects()[:4] == want
    assert query.join_times(times).columns[0].columns.value.objects() == want


def test_values_of_another_tag_keep_its_unit():
    """ValueAtMaximum tells a tag that nobody asked to convert."""
    assert aggregate_named("ValueAtMaximum(x)").measure is Measure.OTHER
    assert aggregate_named("Percentile(5)").measure is Measure.VALUE
