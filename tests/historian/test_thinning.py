"""collector/thinning.py: what is left out can be made again within the bound, exactly."""

import gzip
import math
import os
from bisect import bisect_right
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.sink import SourceItem
from historian.collector.thinning import Thinning
from historian.config import ThinningConfig
from historian.ingest_testing import SetClock
from storage_engine.sample import DTYPES, ColumnData, SampleBatch, ValueType

RECORDINGS = Path(os.environ.get("HISTORIAN_DATA", Path(__file__).parents[2] / "../shared/data"))
S = 1_000_000_000
FLOAT = ValueType.FLOAT64


def batch(rows, type_=FLOAT, addresses=("x",)):
    """Rows of (time, value[, quality[, address]]); None is null."""
    rows = [(*row, *(0, 0)[len(row) - 2 :]) for row in rows]
    values = np.array([0 if row[1] is None else row[1] for row in rows], DTYPES[type_])
    valid = np.array([row[1] is not None for row in rows])
    return SampleBatch(
        addresses,
        np.array([row[3] for row in rows], np.int32),
        np.array([row[0] for row in rows], np.int64),
        np.array([row[2] for row in rows], np.uint32),
        ColumnData(type_, values, None if valid.all() else valid),
    )


def rows_of(made):
    quality = made.quality.tolist()
    of = zip(made.timestamp_ns.tolist(), made.value.objects(), quality, strict=True)
    return list(of)


class Thinner:
    """Thinning of one address and a clock."""

    def __init__(self, kind, deviation=1.0, max_s=1e6, **more):
        self.clock = SetClock(0)
        rules = [ThinningConfig("x*", kind, deviation, max_s=max_s, **more)]
        self.thinning = Thinning(rules, self.clock)

    def __call__(self, *rows, type_=FLOAT):
        return rows_of(self.thinning.thin(batch(rows, type_))[0])

    def rest(self):
        made, _ = self.thinning.release(forget=True)
        return [row for one in made for row in rows_of(one)]

    def all(self, rows, step=3, type_=FLOAT):
        kept = []
        for at in range(0, len(rows), step):
            kept += self(*rows[at : at + step], type_=type_)
        return kept + self.rest()


def errors(kind, kept, original):
    """Exact distance of every original sample from what the kept ones draw; the last of a time."""
    of_time = {time: value for time, value, *_ in kept}
    times = sorted(of_time)
    for time, value in {row[0]: row[1] for row in original}.items():
        at = bisect_right(times, time) - 1
        assert at >= 0, "the first is kept"
        first = times[at]
        drawn = Fraction(of_time[first])
        if kind == "swinging_door" and first != time:
            last = times[at + 1]
            rise = Fraction(of_time[last]) - drawn
            drawn += rise * (time - first) / (last - first)
        yield abs(drawn - Fraction(value))


def check(kind, deviation, rows, type_=FLOAT, max_s=1e6):
    """The bound holds; what was kept is real, in order, and each row once; gives how many."""
    kept = Thinner(kind, deviation, max_s).all(rows, type_=type_)
    assert max(errors(kind, kept, rows), default=Fraction(0)) <= Fraction(deviation)
    pool = [(row[0], row[1]) for row in rows]
    for time, value, _ in kept:
        pool.remove((time, value))  # raises for what was never there, or came out twice
    times = [row[0] for row in kept]
    assert sorted(times) == times
    return len(kept)


finite = st.floats(allow_nan=False, allow_infinity=False)
steps_ns = st.one_of(
    st.integers(0, 5), st.sampled_from([0, 1, S, S]), st.integers(0, 10**6), st.just(10**16)
)
KINDS = ("exception", "swinging_door")


@st.composite
def walks(draw):
    """Random walks, noise, spikes, integers, huge and small, with repeated times."""
    count = draw(st.integers(1, 60))
    scale = draw(st.sampled_from([1e-300, 1e-12, 1.0, 1e6, 1e15, 1e300]))
    kind = draw(st.sampled_from(["walk", "noise", "integers", "any"]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    values = rng.normal(0, 1, count)
    if kind == "walk":
        values = np.cumsum(values)
    if kind == "integers":
        values = np.round(3 * values)
    values = values * scale
    spikes = rng.random(count) < 0.05
    values = np.where(spikes, values * 1e3, values)
    if kind == "any":
        values = draw(st.lists(finite, min_size=count, max_size=count))
    at = np.cumsum(draw(st.lists(steps_ns, min_size=count, max_size=count)))
    deviation = scale * draw(st.sampled_from([0.0, 1e-16, 0.1, 1.0, 3.0, 100.0]))
    rows = list(zip(at.tolist(), [float(v) for v in values], strict=True))
    return rows, deviation if math.isfinite(deviation) else 1.0


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=600, deadline=None)
@given(walks())
def test_every_original_sample_is_within_the_deviation(kind, walk):
    """The promise, in exact arithmetic: held for exception, on the line for swinging door."""
    rows, deviation = walk
    check(kind, deviation, rows)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-(2**63), 2**63 - 1))), st.data())
def test_whole_numbers_keep_the_bound(kind, steps, data):
    """Those that no double holds pass; all others are thinned like numbers."""
    rows, time = [], 0
    for step, value in steps:
        time += step
        near = data.draw(st.sampled_from([value, value % 7, 2**53 - 1 + value % 3]))
        rows.append((time, near))
    check(kind, data.draw(st.sampled_from([0.0, 1.0, 4.0, 1e18])), rows, ValueType.INT64)


@pytest.mark.parametrize("kind", KINDS)
def test_32_bit_floats_come_out_as_they_went_in(kind):
    """A held value is made of a double and is the same bits again."""
    values = np.cumsum(np.random.default_rng(1).normal(0, 1, 500)).astype(np.float32)
    rows = [(n * S, float(v)) for n, v in enumerate(values)]

    assert check(kind, 2.0, rows, ValueType.FLOAT32) < 250


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_worth_something(kind):
    """A slow wave with little noise becomes few samples, a flat line two."""
    rng = np.random.default_rng(2)
    wave = [(n * S, math.sin(n / 200) * 10 + float(rng.normal(0, 0.02))) for n in range(5_000)]

    assert check(kind, 0.2, wave) < {"exception": 1_500, "swinging_door": 300}[kind]
    assert 2 == check(kind, 0.0, [(n, 5.0) for n in range(1_000)])


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_plain_value_passes_with_its_neighbours(kind):
    """A change of status, a null, a NaN: each is there, and where the quiet ended before it."""
    odd = [(3, None), (8, math.nan), (13, math.inf)]
    rows = [(n, 1.0) for n in range(20)]
    for time, value in odd:
        rows[time] = (time, value, 0)
    rows[16:18] = [(16, 1.0, 0x8000_0000), (17, 1.0, 0x8000_0000)]

    kept = Thinner(kind).all(rows, step=7)

    times = [row[0] for row in kept]
    assert [0, 2, 3, 4, 7, 8, 9, 12, 13, 14, 15, 16, 17, 18, 19] == times
    assert str([(t, v) for t, v in odd]) == str([row[:2] for row in kept if row[0] in {3, 8, 13}])
    assert [0x8000_0000] * 2 == [row[2] for row in kept if row[0] in {16, 17}]


@pytest.mark.parametrize("kind", KINDS)
def test_late_samples_pass_and_disturb_nothing(kind):
    """Whatever is not newer than all before it is sent as it came."""
    thin = Thinner(kind)

    assert [(10, 1.0, 0)] == thin((10, 1.0), (20, 1.0), (30, 1.0))
    assert [(5, 1.0, 0), (15, 1.0, 0)] == thin((5, 1.0), (15, 1.0), (40, 1.0))
    assert [(40, 1.0, 0)] == thin.rest()


def test_a_repeated_time_keeps_the_order_of_revisions():
    """The correction comes out behind what it corrects, and what was left out stays on the line."""
    thin = Thinner("swinging_door")

    assert [(0, 0.0, 0)] == thin((0, 0.0), (1, 0.0), (2, 0.0), (3, 0.0))
    assert [(2, 0.0, 0), (3, 0.0, 0), (3, 900.0, 0)] == thin((3, 900.0))
    assert [(4, 0.0, 0)] == thin((4, 0.0))


@pytest.mark.parametrize("kind", KINDS)
def test_the_longest_time_holds_with_and_without_further_values(kind):
    """By source time between values; by the clock when none follows."""
    thin = Thinner(kind, max_s=10)
    kept = thin(*((n * S, 1.0) for n in range(25)))
    assert [0, 9, 10, 19, 20] == [row[0] // S for row in kept]

    thin.clock.ns = 9 * S
    assert [] == thin.thinning.release()[0]
    thin.clock.ns = 10 * S
    (made,), _ = thin.thinning.release()
    assert [(24 * S, 1.0, 0)] == rows_of(made)
    assert [] == thin.rest()


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_spool_refused_is_taken_back(kind):
    """The source sends the batch again; what was held before must not be gone meanwhile."""
    thin = Thinner(kind)
    thin((0, 0.0), (1, 0.0))
    again = batch([(2, 50.0), (3, 50.0)])

    first, undo = thin.thinning.thin(again)
    undo()
    second, _ = thin.thinning.thin(again)

    assert [(1, 0.0, 0), (2, 50.0, 0)] == rows_of(first) == rows_of(second)
    made, undo = thin.thinning.release(forget=True)
    undo()
    assert rows_of(made[0]) == thin.rest() == [(3, 50.0, 0)]
    assert 0 == thin.thinning.left_out


def test_each_series_is_thinned_by_its_own_rule():
    """First match; other addresses and types without numbers pass as they are."""
    rules = [
        ThinningConfig("raw/*", "none"),
        ThinningConfig("*/fine", "exception", 0.1),
        ThinningConfig("*", "exception", 10.0),
    ]
    thinning = Thinning(rules, SetClock(0))
    addresses = ("raw/fine", "a/fine", "a/rough")
    rows = [(n, float(n), 0, address) for n in range(6) for address in range(3)]

    made, _ = thinning.thin(batch(rows, addresses=addresses))
    words = batch([(n, "on", 0, 0) for n in range(3)], ValueType.SYMBOL)

    count = {made.addresses[k]: n for k, n in enumerate(np.bincount(made.address_index).tolist())}
    assert {"raw/fine": 6, "a/fine": 6, "a/rough": 1} == count
    assert words is thinning.thin(words)[0]
    assert [
        ("raw/fine", {"kind": "none"}),
        ("a/fine", {"kind": "exception", "deviation": 0.1, "max_s": 600.0}),
        ("a/rough", {"kind": "exception", "deviation": 10.0, "max_s": 600.0}),
    ] == [(item["address"], item["thinning"]) for item in thinning.news()]
    assert [] == thinning.news(), "each once"


def test_percent_waits_for_the_range():
    """Until the source has told its range nothing is left out; then the catalog hears the bound."""
    rules = [ThinningConfig("*", "exception", deviation_percent=2.0)]
    thinning = Thinning(rules, SetClock(0))

    assert 3 == len(thinning.thin(batch([(n, 1.0) for n in range(3)]))[0])
    assert [{"kind": "none"}] == [item["thinning"] for item in thinning.news()]
    thinning.learn([SourceItem("x", low=-50.0, high=150.0), SourceItem("y")])
    assert [4.0] == [item["thinning"]["deviation"] for item in thinning.news()]
    kept, _ = thinning.thin(batch([(5, 1.0), (6, 5.0), (7, 5.1)]))
    assert [5, 6, 7] == kept.timestamp_ns.tolist()


@pytest.mark.recording
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", [0.001, 0.01, 0.05])
def test_recordings_keep_the_bound(kind, part):
    """Real noise, real steps: a valve rig's sensors, with a part of their range as deviation."""
    text = gzip.decompress((RECORDINGS / "skab/valve1_1.csv.gz").read_bytes()).decode()
    columns = zip(*(line.split(";") for line in text.splitlines()[1:]), strict=True)

    for column in list(columns)[1:9]:
        values = [float(text) for text in column]
        deviation = part * (max(values) - min(values))
        check(kind, deviation, [(n * S, value) for n, value in enumerate(values)])


def test_a_broken_batch_passes_whole():
    """Whoever frames it names what is wrong; thinning is no judge."""
    thinning = Thinning([ThinningConfig("*", "exception", 1.0)], SetClock(0))
    good = batch([(1, 1.0), (2, 1.0)])
    far = SampleBatch(
        ("x",), np.array([0, 7], np.int32), good.timestamp_ns, good.quality, good.value
    )
    short = SampleBatch(("x",), good.address_index, good.timestamp_ns[:1], good.quality, good.value)

    assert far is thinning.thin(far)[0]
    assert short is thinning.thin(short)[0]
