"""Aggregates after raw samples went are those of before: summaries answer, and say that they do."""

import math
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from query.aggregates.registry import AGGREGATES
from query.engine import Query
from query.errors import BadRequest, LimitExceeded
from query.joins.aggregates import window_aggregates
from query.ports import Tag
from query.request import AggregateRequest, MomentsRequest, QueryLimits
from query.summarised import TOLD
from query.testing import MemoryResolver
from storage_engine.changes import Change, Verb
from storage_engine.config import EngineConfig
from storage_engine.engine import Engine
from storage_engine.frame import SlotKind
from storage_engine.recording import RecordingFileSystem
from storage_engine.retention import Rule
from storage_engine.sample import BAD, UNCERTAIN, Column, ValueType
from storage_engine.testing import DAY_NS, SECOND_NS, Producer, SampleRow, SetClock

sys.path.insert(0, str(Path(__file__).parent))
from folding import reader_of

HOUR_NS = 3600 * SECOND_NS
NOW = SetClock().time_ns // DAY_NS * DAY_NS
F64, I64, BOOL = ValueType.FLOAT64, ValueType.INT64, ValueType.BOOL
NAMES = tuple(name for name, one in AGGREGATES.items() if set(one.facts) <= set(TOLD))
VALUES = {
    F64: [0.1, -7.25, 3.5, 1e5, math.nan, None],
    I64: [2**60 + 1, 2**60, 5, -3, None],
    BOOL: [True, False, None],
}


class Holder:
    """An engine with one series per type, and a query over it."""

    def __init__(self, *types, seed=3, days=4, per_day=90, quality=(0, 0, 0, 0, UNCERTAIN, BAD)):
        self.clock = SetClock(NOW)
        self.fs = RecordingFileSystem()
        self.engine = Engine.open(self.fs, EngineConfig(free_bytes_min=0), self.clock)
        self.series = [
            self.engine.create_stream(bytes([n]) * 16, SlotKind.SERIES, (Column("value", type_),))
            for n, type_ in enumerate(types)
        ]
        self.engine.bind(b"p" * 16, 1, dict(enumerate(self.series)))
        self.producer = Producer(b"p" * 16)
        rng = np.random.default_rng(seed)
        for day in range(days, 0, -1):
            for slot, type_ in enumerate(types):
                # Clusters, so that many hours hold nothing at all.
                hours = rng.choice(24, 9, replace=False)
                times = np.unique(
                    rng.choice(hours, per_day) * 3600 + rng.integers(0, 3600, per_day)
                )
                held = VALUES[type_]
                self.write(
                    [
                        SampleRow(
                            slot,
                            type_,
                            NOW - day * DAY_NS + int(second) * SECOND_NS,
                            held[rng.integers(len(held))],
                            int(rng.choice(quality)),
                        )
                        for second in np.unique(times)
                    ]
                )
            self.engine.flush()
        self.tags = [
            Tag(f"t{n}", (one,), type_, stepped=False)
            for n, (one, type_) in enumerate(zip(self.series, types, strict=True))
        ]
        self.limits = QueryLimits()

    def write(self, rows):
        lsn = self.engine.append(self.producer.frame(rows)).lsn
        self.engine.wait_durable(lsn)

    def expire(self, days=2, summary_ns=HOUR_NS):
        rules = {"default": Rule(age_ns=max(1, days * DAY_NS), summary_ns=summary_ns)}
        return self.engine.expire(rules, now_ns=NOW, uptime_ns=0, force=True)

    def ask(self, start, end, interval, tag=0, names=NAMES, **rules):
        query = Query(
            reader_of(self.engine),
            MemoryResolver(*self.tags),
            lambda: NOW + 5 * HOUR_NS,
            self.limits,
        )
        return query.aggregate(AggregateRequest(f"t{tag}", start, end, interval, names, **rules))


def same(before, after, areas=1e-9):
    """Exact but for the sums that time averages are made of."""
    assert before.tag == after.tag
    for name in ("start_ns", "end_ns", "percent_good", "samples_used", "partial"):
        assert getattr(before, name).tolist() == getattr(after, name).tolist(), name
    for name, column in before.columns.items():
        other = after.columns[name]
        assert column.status.tolist() == other.status.tolist(), name
        assert column.valid.tolist() == other.valid.tolist(), name
        kept = column.valid
        if name.startswith(("TimeAverage", "Total", "Average", "Integral")):
            assert np.allclose(column.value[kept], other.value[kept], rtol=areas, atol=1e-7), name
        else:
            assert column.value[kept].tolist() == other.value[kept].tolist(), name


WINDOWS = [
    (NOW - 4 * DAY_NS, NOW, HOUR_NS),
    (NOW - 4 * DAY_NS, NOW, 6 * HOUR_NS),
    (NOW - 5 * DAY_NS, NOW + DAY_NS, 3 * HOUR_NS),
    (NOW - 4 * DAY_NS, NOW, DAY_NS),
    (NOW - 4 * DAY_NS + 5 * HOUR_NS, NOW - 2 * HOUR_NS + 77, 0),  # across the horizon
    (NOW - 3 * DAY_NS, NOW - 3 * DAY_NS + 5 * HOUR_NS, 0),
    (NOW, NOW - 4 * DAY_NS, 7 * HOUR_NS),
    (NOW - 2 * DAY_NS, NOW, 77 * SECOND_NS),  # raw, next to the horizon
]
RULES = [
    {},
    {"stepped": True},
    {"hold_last": True},
    {"stepped": True, "hold_last": True, "percent_data_bad": 50.0, "percent_data_good": 60.0},
]


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("days", [2, 0])
def test_answers_are_those_of_before(rules, days):
    """Every aggregate, by hours, days and wholes, over summaries, raw and both."""
    holder = Holder(F64, I64, BOOL)
    asked = [(*window, tag) for window in WINDOWS for tag in range(3)]
    before = [holder.ask(*one, **rules) for one in asked]
    assert not any(answer.summary_ns.any() for answer in before)
    assert holder.expire(days).classes[0].summary_rows > 50
    stands = set()
    for one, old in zip(asked, before, strict=True):
        if days == 0 and one[2] == 77 * SECOND_NS:
            continue
        new = holder.ask(*one, **rules)
        same(old, new)
        stands |= set(new.summary_ns.tolist())
    assert {0, HOUR_NS} <= stands


@pytest.mark.parametrize("seed", range(4))
def test_answers_stay_through_many_runs(seed):
    """Runs at any hour, intervals of any length, compaction, a reopen: days are as before."""
    rng = np.random.default_rng(seed)
    holder = Holder(F64, I64, seed=seed, days=12, per_day=60)
    windows = [(NOW - 12 * DAY_NS, NOW, DAY_NS), (NOW - 12 * DAY_NS, NOW, 0)]
    asked = [(*window, tag) for window in windows for tag in range(2)]
    before = [holder.ask(*one) for one in asked]
    now_ns = NOW - 9 * DAY_NS
    while now_ns < NOW + 2 * DAY_NS:
        now_ns += int(rng.integers(1, 40)) * HOUR_NS // 2
        length = int(rng.choice([HOUR_NS, 2 * HOUR_NS, 6 * HOUR_NS, DAY_NS, 900 * SECOND_NS]))
        rules = {"default": Rule(age_ns=2 * DAY_NS, summary_ns=length)}
        holder.engine.expire(rules, now_ns=now_ns, uptime_ns=0, force=True)
        if rng.random() < 0.3:
            holder.clock.time_ns = now_ns + 100 * DAY_NS
            holder.engine.compact(lambda size_bytes: None)
        if rng.random() < 0.3:
            holder.engine.close()
            holder.engine = Engine.open(holder.fs, EngineConfig(free_bytes_min=0), holder.clock)
        for one, old in zip(asked, before, strict=True):
            same(old, holder.ask(*one))
    assert len(holder.engine.summaries(holder.series[0], NOW - 20 * DAY_NS, NOW)) >= 12


@pytest.mark.parametrize("lowest", [0, 30, 60, 120])
def test_info_bits_tell_where_an_extreme_stands(lowest):
    """At the start, at the horizon inside the interval, twice: bits as before."""
    holder = Holder(F64, days=0)
    base = NOW - 3 * DAY_NS
    for first in (0, 60):
        minutes = range(first, first + 60 + first, 15)
        low = {lowest, lowest + 45}
        rows = [(m, 1.0 if m in low else 5.0) for m in minutes]
        holder.write([SampleRow(0, F64, base + m * 60 * SECOND_NS, v) for m, v in rows])
        holder.engine.flush()
    windows = [(base, base + 3 * HOUR_NS, 0), (base, base + 3 * HOUR_NS, HOUR_NS)]
    names = ("Minimum", "Maximum")
    before = [holder.ask(*window, names=names) for window in windows]
    rules = {"default": Rule(age_ns=2 * DAY_NS, summary_ns=HOUR_NS)}
    now_ns = base + 2 * DAY_NS + HOUR_NS + SECOND_NS
    report = holder.engine.expire(rules, now_ns=now_ns, uptime_ns=0, force=True)
    assert (4, 1) == (report.classes[0].rows, report.classes[0].summary_rows)
    for window, old in zip(windows, before, strict=True):
        new = holder.ask(*window, names=names)
        same(old, new)
        assert HOUR_NS == new.summary_ns[0]


def test_answers_stay_when_rows_are_read_in_small_pieces():
    """A few rows in memory at a time."""
    holder = Holder(F64)
    before = [holder.ask(*window) for window in WINDOWS]
    holder.expire()
    holder.limits = QueryLimits(chunk_rows=7)
    for window, old in zip(WINDOWS, before, strict=True):
        same(old, holder.ask(*window))


def test_time_averages_are_within_a_bound_of_exact_sums():
    """Good samples alone: the integral by math.fsum, relative error below samples x 2**-52."""
    holder = Holder(I64, quality=(0,))
    found = holder.engine.read(holder.series[0], NOW - 4 * DAY_NS, NOW)
    rows = [
        (t, v)
        for t, v in zip(found.timestamp_ns.tolist(), found.value.objects(), strict=True)
        if v is not None
    ]
    start, end = NOW - 3 * DAY_NS, NOW - 2 * DAY_NS - 6 * HOUR_NS
    points = [r for r in rows if start <= r[0] < end]
    outer = (max(r for r in rows if r[0] < start), min(r for r in rows if r[0] >= end))

    def at(time, one, two):
        return one[1] + (two[1] - one[1]) * (time - one[0]) / (two[0] - one[0])

    points = [
        (start, at(start, outer[0], points[0])),
        *points,
        (end, at(end, points[-1], outer[1])),
    ]
    parts = [(v + w) / 2 * ((u - t) / 1e9) for (t, v), (u, w) in pairwise(points)]
    holder.expire()
    [value] = holder.ask(start, end, 0, names=("TimeAverage",)).columns["TimeAverage"].value
    size = math.fsum(map(abs, parts)) / ((end - start) / 1e9)
    exact = math.fsum(parts) / ((end - start) / 1e9)
    assert abs(value - exact) <= len(parts) * 2**-52 * size * 2


def test_a_window_that_cuts_a_summary_is_null_and_says_no_data():
    """Ten minutes where only hours are left; hours of another grid too; raw goes on."""
    holder = Holder(F64)
    holder.expire()
    rows = holder.engine.summaries(holder.series[0], NOW - 4 * DAY_NS, NOW)
    start = int(rows.timestamp_ns[5])
    cut = holder.ask(start + 60 * SECOND_NS, start + 660 * SECOND_NS, 0)
    assert [0] == cut.summary_ns.tolist()
    for column in cut.columns.values():
        assert not column.valid.any()
        assert [0x809B0000] == column.status.tolist()
    assert holder.ask(NOW - DAY_NS, NOW, 600 * SECOND_NS).columns["Count"].valid.any()


def test_rules_that_summaries_were_not_made_by_are_refused():
    """Uncertain samples used, sloped extrapolation: refused where raw went, not elsewhere."""
    holder = Holder(F64)
    holder.expire()
    old, young = (NOW - 4 * DAY_NS, NOW, HOUR_NS), (NOW - DAY_NS, NOW, HOUR_NS)
    for rules in ({"treat_uncertain_as_bad": False}, {"use_sloped_extrapolation": True}):
        with pytest.raises(BadRequest, match="only summaries are left"):
            holder.ask(*old, **rules)
        assert holder.ask(*young, **rules).columns["Count"].valid.any()
    calm = Holder(F64, quality=(0, 0, BAD))
    before = calm.ask(*old, treat_uncertain_as_bad=False)
    calm.expire()
    same(before, calm.ask(*old, treat_uncertain_as_bad=False))


def test_too_many_summaries_are_refused():
    """With the limit of rows; a shorter window is answered."""
    holder = Holder(F64)
    holder.expire()
    holder.limits = QueryLimits(rows_max=12)
    with pytest.raises(LimitExceeded, match="more than 12 summaries"):
        holder.ask(NOW - 4 * DAY_NS, NOW, DAY_NS)
    assert holder.ask(NOW - 4 * DAY_NS, NOW - 3 * DAY_NS, DAY_NS).samples_used.any()


def test_a_tag_whose_type_changed_joins_its_series():
    """Whole numbers, then floats, in one hour of the change too."""
    holder = Holder(I64, F64, days=0)
    change = NOW - 3 * DAY_NS + 30 * 60 * SECOND_NS
    minute = 60 * SECOND_NS
    holder.write([SampleRow(0, I64, change - k * 7 * minute, k % 5) for k in range(1, 50)])
    holder.write([SampleRow(1, F64, change + k * 7 * minute, k % 3 + 0.5) for k in range(50)])
    holder.engine.flush()
    holder.tags = [Tag("t0", tuple(holder.series), F64, stepped=False)]
    window = (NOW - 4 * DAY_NS, NOW, HOUR_NS)
    before = holder.ask(*window)
    holder.expire()
    assert 0 == len(holder.engine.read(holder.series[1], NOW - 9 * DAY_NS, NOW))
    same(before, holder.ask(*window))


def test_series_that_went_side_by_side_are_no_answer():
    """Samples of two series alternate: their summaries cannot be joined, and are not."""
    holder = Holder(I64, F64, days=0)
    base = NOW - 3 * DAY_NS
    for slot, type_ in enumerate((I64, F64)):
        holder.write(
            [SampleRow(slot, type_, base + (k * 2 + slot) * SECOND_NS, k) for k in range(9)]
        )
    holder.engine.flush()
    holder.tags = [Tag("t0", tuple(holder.series), F64, stepped=False)]
    holder.expire()
    answer = holder.ask(base, base + HOUR_NS, 0)
    assert not answer.columns["Count"].valid.any()


def test_an_erased_window_is_not_told_by_summaries():
    """What an erasure touches is gone from every answer; what lies beside it is as before."""
    holder = Holder(F64)
    window = (NOW - 4 * DAY_NS, NOW, HOUR_NS)
    before = holder.ask(*window, names=("Count",))
    holder.expire()
    start = NOW - 4 * DAY_NS + 6 * HOUR_NS
    change = Change(Verb.ERASE, holder.series[0], start + 1, start + 3 * HOUR_NS, "ann", "wrong")
    holder.engine.wait_durable(holder.engine.change(change))
    after = holder.ask(*window, names=("Count",))
    gone = (before.start_ns >= start) & (before.start_ns < start + 3 * HOUR_NS)
    assert 0 == after.samples_used[gone].sum()
    assert before.samples_used[~gone].tolist() == after.samples_used[~gone].tolist()


def test_windows_given_one_by_one_are_answered_too():
    """Overlapping, in any order, whole hours and not."""
    holder = Holder(F64)
    starts = [NOW - DAY_NS - 5 * HOUR_NS, NOW - 3 * DAY_NS, NOW - 3 * DAY_NS + HOUR_NS]
    ends = [NOW - DAY_NS, NOW - 2 * DAY_NS + 4 * HOUR_NS, NOW - 3 * DAY_NS + 9 * HOUR_NS]
    names = ("Count", "Minimum", "Maximum", "TimeAverage", "TimeAverage2", "PercentGood")
    asked = (reader_of(holder.engine), holder.tags[0], starts, ends, names)
    before = window_aggregates(*asked)
    holder.expire()
    after = window_aggregates(*asked)
    same(before, after)
    assert [0, HOUR_NS, HOUR_NS] == after.summary_ns.tolist()


def test_as_known_before_summaries_were_made_nothing_is_left():
    """They are known from their own lsn on."""
    holder = Holder(F64)
    lsn = holder.engine.durable_lsn
    holder.expire()
    window = (NOW - 4 * DAY_NS, NOW - 3 * DAY_NS, 0)
    assert not holder.ask(*window, known_at_lsn=lsn).columns["Count"].valid.any()
    assert holder.ask(*window, known_at_lsn=holder.engine.durable_lsn).samples_used.any()


@pytest.mark.parametrize("bounds", ["interpolated", "simple"])
def test_values_at_times_are_those_of_before_or_unknown(bounds):
    """Between the first and the last sample of a summary nobody knows the value any more."""
    holder = Holder(F64, I64)
    times = [NOW - 4 * DAY_NS + k * 1_111 * SECOND_NS for k in range(-20, 330)]

    def ask():
        query = Query(reader_of(holder.engine), MemoryResolver(*holder.tags), lambda: NOW)
        return query.at(MomentsRequest(("t0", "t1"), tuple(times), bounds=bounds)).columns

    before = ask()
    assert holder.expire(2).classes[0].summary_rows > 20
    after = ask()

    for old, new in zip(before, after, strict=True):
        unknown = (new.status == 0x809B_0000) & (old.status != 0x809B_0000)
        assert 10 < unknown.sum() < 300
        kept = ~unknown
        assert old.status[kept].tolist() == new.status[kept].tolist()
        good = kept & old.valid
        assert old.value[good].tolist() == new.value[good].tolist()
        assert not unknown[np.array(times) > NOW - 2 * DAY_NS + HOUR_NS].any()
