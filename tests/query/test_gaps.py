"""facts/gaps.py: a gap is a bad sample that nobody wrote, to what goes by time, and to it alone."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from query.aggregates.registry import AGGREGATES
from query.engine import Query
from query.ports import Holes, Tag
from query.request import AggregateRequest, MomentsRequest, QueryLimits
from query.testing import MemoryReader, MemoryResolver
from storage_engine.sample import BAD, BAD_NO_DATA, GOOD, UNCERTAIN, ValueType

sys.path.insert(0, str(Path(__file__).parent))
from folding import FoldingReader

F64 = ValueType.FLOAT64
# What looks at samples, not at time: a gap changes nothing in it.
SAMPLES = {
    "Average", "Minimum", "Maximum", "MinimumActualTime", "MaximumActualTime", "Range",
    "AnnotationCount", "Count", "NumberOfTransitions", "Start", "End", "Delta", "WorstQuality",
    "StandardDeviationSample", "StandardDeviationPopulation", "VarianceSample",
    "VariancePopulation", "RateOfChange", "Slope",
}  # fmt: skip
# Draws lines through samples, also where a value holds.
LINES = {"TimeAverage", "Total", "CounterIncrease", "CounterRate"}
# Its status looks at both.
BOTH = {"WorstQuality2"}


def _gaps(rows, hold_max, holes, data_end, stepped):
    """The rows that somebody would have to write, sample by sample."""
    found = {}
    ordered = sorted(rows)
    for row, following in zip(ordered, [*ordered[1:], None], strict=False):
        time, until = row[0], data_end if following is None else following[0]
        ends = time + (hold_max or 10**6)
        if time < ends < until:
            found[ends] = (ends, None, BAD_NO_DATA)
        for start, end in holes:
            if start > time and (following is None or end <= following[0]) and start < until:
                found[start] = (start, None, BAD_NO_DATA)
                if stepped and end < ends and end < until and end not in found:
                    found[end] = (end, *row[1:])
    return list(found.values())


def _tag(*, stepped, hold_max=None):
    return Tag("t", (1,), F64, stepped=stepped, hold_max_ns=hold_max)


ROWS = st.lists(
    st.tuples(
        st.integers(0, 60),
        st.one_of(st.none(), st.integers(-3, 3).map(float)),
        st.sampled_from([GOOD, GOOD, GOOD, GOOD, UNCERTAIN, BAD]),
    ),
    max_size=20,
    unique_by=lambda row: row[0],
)
HOLES = st.lists(st.integers(-5, 75), max_size=6, unique=True).map(
    lambda edges: list(zip(sorted(edges)[::2], sorted(edges)[1::2], strict=False))
)


@settings(max_examples=400, deadline=None)
@given(
    rows=ROWS,
    holes=HOLES,
    hold_max=st.sampled_from([None, 1, 4, 30]),
    window=st.tuples(st.integers(-10, 40), st.integers(1, 50), st.sampled_from([0, 3, 16])),
    rules=st.tuples(st.booleans(), st.booleans(), st.booleans(), st.sampled_from([3, 1000])),
)
def test_gaps_are_bad_samples_to_time_and_nothing_to_samples(rows, holes, hold_max, window, rules):
    """Against the same series with bad samples written by hand where the gaps begin."""
    stepped, hold, uncertain, chunk_rows = rules
    request = AggregateRequest(
        "t", window[0], window[0] + window[1], window[2], tuple(AGGREGATES),
        treat_uncertain_as_bad=uncertain, hold_last=hold,
    )  # fmt: skip
    now = 70
    times = sorted(row[0] for row in rows)
    data_end = max(times[-1] + 1, now) if hold and times else times[-1] + 1 if times else 0
    by_others = _gaps(rows, hold_max, holes, data_end, stepped)
    limits = QueryLimits(chunk_rows=chunk_rows)
    edges = np.array(holes, np.int64).reshape(-1, 2)

    for holder in (MemoryReader, FoldingReader):
        reader, written, drawn, plain = holder(), *(MemoryReader() for _ in range(3))
        for each in (reader, written, drawn, plain):
            each.add(1, F64, rows)
        written.add(1, F64, by_others)
        drawn.add(1, F64, [row for row in by_others if row[2] == BAD_NO_DATA])
        resolver = MemoryResolver(_tag(stepped=stepped, hold_max=hold_max))
        resolver.holes["t"] = Holes(edges[:, 0], edges[:, 1])
        found = Query(reader, resolver, lambda: now, limits).aggregate(request)
        bare = MemoryResolver(_tag(stepped=stepped))
        by_hand, lines, without = (
            Query(each, bare, lambda: now, limits).aggregate(request)
            for each in (written, drawn, plain)
        )
        told = Query(reader, resolver, lambda: now, limits).aggregate(replace(request, gaps=False))
        assert found.percent_good.tolist() == pytest.approx(by_hand.percent_good.tolist())
        assert found.samples_used.tolist() == without.samples_used.tolist()
        for name in set(AGGREGATES) - BOTH:
            mine = found.columns[name]
            told_by = without if name in SAMPLES else lines if name in LINES else by_hand
            want = told_by.columns[name]
            assert list(map(hex, want.status)) == list(map(hex, mine.status)), name
            assert want.value[want.valid] == pytest.approx(mine.value[mine.valid]), name
            same = told.columns[name]
            assert without.columns[name].status.tolist() == same.status.tolist(), name


def test_bad_gap_and_hold_are_three_things():
    """A tag that sends changes only, a dead line, a bad sensor: each interval says which."""
    reader = MemoryReader()
    reader.add(1, F64, [(0, 5.0), (20, None, BAD), (30, 7.0)])
    resolver = MemoryResolver(_tag(stepped=True, hold_max=15))
    resolver.holes["t"] = Holes(np.array([32, 34]), np.array([33, 60]))
    query = Query(reader, resolver, lambda: 60)
    request = AggregateRequest("t", 0, 60, 10, ("DurationBad", "TimeAverage2"), hold_last=True)

    found = query.aggregate(request)

    # Held; held for 15, then a gap until the bad sample; bad; held, but not collected from 32
    # to 33 nor from 34 on.
    assert [0, 5, 0, 7, 10, 10] == found.gap_ns.tolist()
    assert [0, 5, 10, 7, 10, 10] == (found.columns["DurationBad"].value * 1e6).round().tolist()
    assert [100, 50, 0, 30, 0, 0] == found.percent_good.tolist()
    assert 5.0 == found.columns["TimeAverage2"].value[1]
    assert not found.columns["TimeAverage2"].valid[4]


def test_values_at_times_in_a_gap():
    """The value of the nearest sample is doubtful; simple bounds say nothing."""
    reader = MemoryReader()
    reader.add(1, F64, [(0, 5.0), (40, 7.0)])
    query = Query(reader, MemoryResolver(_tag(stepped=True, hold_max=15)), lambda: 60)
    times = (0, 10, 20, 40)

    def ask(**more):
        return query.at(MomentsRequest(("t",), times, **more)).columns[0]

    assert [GOOD, 0x402, 0x40A4_0402, GOOD] == ask().status.tolist()
    assert [True, True, False, True] == ask(bounds="simple").valid.tolist()
    assert ask(bounds="simple", gaps=False).valid.all()
