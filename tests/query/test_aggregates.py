"""aggregates.py, facts.py, scan.py: the fast path equals a plain reading of the rules."""

from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from query.aggregates import AGGREGATES
from query.engine import Query
from query.errors import BadRequest, LimitExceeded, UnknownTag
from query.ports import Tag
from query.request import AggregateRequest, QueryLimits
from query.testing import MemoryReader, MemoryResolver
from storage_engine.sample import BAD, GOOD, UNCERTAIN, ValueType

NO_DATA, DOUBT = 0x809B_0000, 0x40A4_0000
CALC, PART, MULTI = 0x401, 0x404, 0x410
NAMES = tuple(AGGREGATES)
LEVEL = {GOOD: 0, UNCERTAIN: 1, BAD: 2}


@dataclass
class Plain:
    """The rules of docs/query.md, one sample at a time, in exact fractions."""

    rows: list  # (time, value or None, severity), strictly ascending
    request: AggregateRequest
    stepped: bool
    now: int

    def __post_init__(self):
        hold = self.request.hold_last
        self.first = self.rows[0][0] if self.rows else None
        self.end = self.rows[-1][0] + 1 if self.rows else None
        if hold and self.rows:
            self.end = max(self.end, self.now)
        self.usable = [r for r in self.rows if self.can(r)]

    def can(self, row):
        return row[2] == 0 or (row[2] == 1 and not self.request.treat_uncertain_as_bad)

    def inside(self, a, b):
        return [r for r in self.rows if a <= r[0] < b]

    def interval(self, a, b):
        """Name -> (value or None, status) of [a, b)."""
        if not self.rows or b <= self.first or a >= self.end:
            return dict.fromkeys(NAMES, (None, NO_DATA))
        partial = PART if a < self.first or b > self.end else 0
        rules = {
            "Count": self.count,
            "Minimum": lambda a, b: self.extreme(a, b, min),
            "Maximum": lambda a, b: self.extreme(a, b, max),
            "TimeAverage": self.time_average,
            "TimeAverage2": self.time_average_2,
            "PercentGood": lambda a, b: (self.percent_good(a, b), GOOD | CALC),
        }
        answers = {}
        for name in NAMES:
            value, status = rules[name](a, b)
            bare = status in (NO_DATA, BAD)
            answers[name] = (value, status if bare else status | partial)
        return answers

    def share(self, good, bad, total):
        if total == 0 or Fraction(good, total) * 100 >= self.request.percent_data_good:
            return GOOD
        if Fraction(bad, total) * 100 >= self.request.percent_data_bad:
            return BAD
        return DOUBT

    def count(self, a, b):
        rows = self.inside(a, b)
        good = sum(r[2] == 0 for r in rows)
        status = self.share(good, sum(not self.can(r) for r in rows), len(rows))
        return (None, BAD) if status == BAD else (good, status | CALC)

    def extreme(self, a, b, choose):
        rows = self.inside(a, b)
        good = [r for r in rows if r[2] == 0]
        if not good:
            return None, NO_DATA
        value = choose(r[1] for r in good)
        ties = [r for r in good if r[1] == value]
        status = DOUBT if len(good) < len(rows) else GOOD
        status |= 0 if ties[0][0] == a else CALC
        return value, status | (MULTI if len(ties) > 1 else 0)

    def at(self, x):
        """Value of the line through the usable samples; None before the first of them."""
        before = [r for r in self.usable if r[0] <= x]
        after = [r for r in self.usable if r[0] > x]
        if not before:
            return None
        left, right = before[-1], (after[0] if after else None)
        if right is None and self.request.use_sloped_extrapolation and not self.request.hold_last:
            left, right = (before[-2], before[-1]) if len(before) > 1 else (left, None)
        if right is None:
            return Fraction(left[1])
        slope = Fraction(right[1] - left[1]) / (right[0] - left[0])
        return Fraction(left[1]) + slope * (x - left[0])

    def doubtful(self, x):
        """Whether the interpolated bound at x rests on anything but two good neighbours."""
        before = [r for r in self.usable if r[0] <= x]
        after = [r for r in self.usable if r[0] > x]
        if not before:
            return True
        if before[-1][0] == x:
            return before[-1][2] > 0
        if not after:
            held = self.request.hold_last and self.stepped and before[-1] is self.rows[-1]
            return not held or before[-1][2] > 0
        skipped = [r for r in self.rows if before[-1][0] < r[0] < after[0][0]]
        return bool(skipped) or before[-1][2] > 0 or after[0][2] > 0

    def time_average(self, a, b):
        reach = min(b, self.end) if self.request.hold_last else b
        if not self.usable or self.usable[0][0] >= reach:
            return None, NO_DATA
        start = max(a, self.usable[0][0])
        cuts = sorted({start, reach, *(r[0] for r in self.usable if start < r[0] < reach)})
        area = sum(self.at(Fraction(p + q, 2)) * (q - p) for p, q in pairwise(cuts))
        doubt = any(r[2] for r in self.inside(a, b)) or self.doubtful(a) or self.doubtful(b)
        return area / (reach - start), (DOUBT if doubt else GOOD) | CALC

    def regions(self, a, b):
        """(length, status, status at its start, mean value) of regions with simple bounds."""
        end = min(b, self.end)
        cuts = sorted({a, end, *(r[0] for r in self.rows if a < r[0] < end)})
        for p, q in pairwise(cuts):
            before = [r for r in self.rows if r[0] <= p]
            after = [r for r in self.rows if r[0] > p]
            if not before or not self.can(before[-1]):
                yield q - p, 2, 2, None
                continue
            left, right = before[-1], (after[0] if after else None)
            mean, status = Fraction(left[1]), left[2]
            if not self.stepped and right is not None and self.can(right):
                slope = Fraction(right[1] - left[1]) / (right[0] - left[0])
                mean, status = mean + slope * (Fraction(p + q, 2) - left[0]), max(left[2], right[2])
            elif not self.stepped and (right is not None or not self.request.hold_last):
                status = 1
            yield q - p, status, left[2] if left[0] == p else status, mean

    def time_average_2(self, a, b):
        regions = list(self.regions(a, b))
        used = sum(r[0] for r in regions if r[1] < 2)
        if used == 0:
            return None, NO_DATA
        bad_from = 1 if self.request.treat_uncertain_as_bad else 2
        total = sum(r[0] for r in regions)
        bad = sum(r[0] for r in regions if r[1] >= bad_from)
        status = self.share(total - bad, bad, total) | CALC
        value = sum(r[0] * r[3] for r in regions if r[1] < 2) / used
        return (None if status >= BAD else value), status

    def percent_good(self, a, b):
        regions = list(self.regions(a, b))
        return Fraction(100 * sum(r[0] for r in regions if r[2] == 0), sum(r[0] for r in regions))


VALUES = st.one_of(
    st.none(), st.integers(-3, 3).map(float), st.floats(-1e6, 1e6).map(lambda x: round(x, 3))
)
ROWS = st.lists(
    st.tuples(st.integers(0, 60), VALUES, st.sampled_from([GOOD, GOOD, GOOD, UNCERTAIN, BAD])),
    max_size=24,
)
REQUESTS = st.builds(
    AggregateRequest,
    tag=st.just("t"),
    start_ns=st.integers(-10, 75),
    end_ns=st.integers(-10, 75),
    interval_ns=st.sampled_from([0, 1, 3, 7, 16, 50]),
    aggregates=st.just(NAMES),
    treat_uncertain_as_bad=st.booleans(),
    percent_data_bad=st.sampled_from([100.0, 50.0]),
    percent_data_good=st.sampled_from([100.0, 50.0]),
    use_sloped_extrapolation=st.booleans(),
    hold_last=st.booleans(),
).filter(lambda r: r.start_ns != r.end_ns and r.percent_data_good + r.percent_data_bad >= 100)


def _newest(rows, scale):
    """The newest revision per time, with severity; a null counts as bad."""
    newest = {t * scale: (t * scale, v, 2 if v is None else LEVEL[q]) for t, v, q in rows}
    return [newest[t] for t in sorted(newest)]


@settings(max_examples=400, deadline=None)
@given(
    rows=ROWS,
    request_=REQUESTS,
    stepped=st.booleans(),
    scale=st.sampled_from([1, 1_000_000_007]),
    pieces=st.tuples(st.sampled_from([1, 2, 5, 1000]), st.sampled_from([1, 2])),
)
def test_every_aggregate_equals_the_plain_reading(rows, request_, stepped, scale, pieces):
    """Bad, uncertain, null, late and rewritten samples, any window, any size of a piece."""
    chunk_rows, types = pieces
    scaled = {f: getattr(request_, f) * scale for f in ("start_ns", "end_ns", "interval_ns")}
    asked, now = replace(request_, **scaled), 65 * scale
    reader = MemoryReader()
    for i, (t, v, q) in enumerate(rows):
        reader.add(1 + i * types // (len(rows) + 1), ValueType.FLOAT64, [(t * scale, v, q)])
    tag = Tag("t", tuple(range(1, types + 1)), ValueType.FLOAT64, stepped=stepped)
    limits = QueryLimits(chunk_rows=chunk_rows)

    result = Query(reader, MemoryResolver(tag), lambda: now, limits).aggregate(asked)

    plain = Plain(_newest(rows, scale), asked, stepped, now)
    for i, (a, b) in enumerate(zip(result.start_ns.tolist(), result.end_ns.tolist(), strict=True)):
        assert len(plain.inside(a, b)) == result.samples_used[i]
        for name, (value, status) in plain.interval(a, b).items():
            column = result.columns[name]
            assert hex(status) == hex(column.status[i]), (name, a, b)
            assert (value is not None) == column.valid[i], (name, a, b)
            if name in ("Count", "Minimum", "Maximum") and value is not None:
                assert value == column.value[i], (name, a, b)
            elif value is not None:
                assert float(value) == pytest.approx(column.value[i], rel=1e-9, abs=1e-6), name


@given(request_=REQUESTS)
def test_intervals_tile_the_window_in_the_order_asked(request_):
    """No time is counted twice or left out, also backwards and with a shorter last interval."""
    query = Query(
        MemoryReader(), MemoryResolver(Tag("t", (1,), ValueType.FLOAT64, stepped=True)), lambda: 0
    )

    result = query.aggregate(request_)

    starts, ends = result.start_ns.tolist(), result.end_ns.tolist()
    if request_.end_ns < request_.start_ns:
        starts, ends = starts[::-1], ends[::-1]
    low, high = sorted((request_.start_ns, request_.end_ns))
    assert [low, *ends] == [*starts, high]
    assert all(e > s for s, e in zip(starts, ends, strict=True))
    whole = request_.interval_ns or high - low
    assert all(e - s == whole for s, e in zip(starts[1:-1], ends[1:-1], strict=True))
    assert not any(column.valid.any() for column in result.columns.values())


def _query(type_, rows, **limits):
    reader = MemoryReader()
    reader.add(1, type_, rows)
    resolver = MemoryResolver(Tag("t", (1,), type_, stepped=True))
    return Query(reader, resolver, lambda: 100, QueryLimits(**limits))


@pytest.mark.parametrize("type_", [ValueType.SYMBOL, ValueType.TEXT])
def test_text_tags_have_counts_and_percent_good_but_no_average(type_):
    """A state is no number: say so, and say what can be asked."""
    query = _query(type_, [(0, "run"), (10, None, BAD), (20, "stop")])

    result = query.aggregate(AggregateRequest("t", 0, 20, 0, ("Count", "PercentGood")))

    assert 1 == result.columns["Count"].value[0]
    assert 50.0 == result.columns["PercentGood"].value[0]
    with pytest.raises(BadRequest, match="Count, PercentGood") as refused:
        query.aggregate(AggregateRequest("t", 0, 20, 0, ("TimeAverage",)))
    assert "TimeAverage" == refused.value.got


@pytest.mark.parametrize(
    ("type_", "low", "high"),
    [
        (ValueType.INT64, -(2**63), 2**63 - 1),
        (ValueType.UINT64, 3, 2**64 - 1),
        (ValueType.BOOL, False, True),
        (ValueType.FLOAT32, -0.5, 1.5),
    ],
)
def test_extremes_keep_the_type_and_every_digit(type_, low, high):
    """A 64-bit counter does not fit a double."""
    query = _query(type_, [(0, low), (5, high), (9, low)], chunk_rows=1)

    result = query.aggregate(AggregateRequest("t", 0, 10, 0, ("Minimum", "Maximum")))

    assert [low, high] == [result.columns[n].value[0].item() for n in ("Minimum", "Maximum")]
    assert {type_} == {column.type for column in result.columns.values()}
    assert result.columns["Minimum"].status[0] == GOOD | MULTI


def test_a_numeric_tag_reads_across_an_older_series_of_text():
    """What was no number counts as bad; it does not spoil what came later."""
    reader = MemoryReader()
    reader.add(1, ValueType.TEXT, [(0, "n/a")])
    reader.add(2, ValueType.INT64, [(10, 4), (20, 6)])
    query = Query(
        reader, MemoryResolver(Tag("t", (1, 2), ValueType.INT64, stepped=True)), lambda: 0
    )

    result = query.aggregate(AggregateRequest("t", 0, 20, 10, ("Maximum", "PercentGood")))

    assert [False, True] == result.columns["Maximum"].valid.tolist()
    assert 4 == result.columns["Maximum"].value[1]
    assert [0.0, 100.0] == result.percent_good.tolist()


@pytest.mark.parametrize(
    ("changes", "error", "where"),
    [
        ({"tag": "nobody"}, UnknownTag, "tag"),
        ({"aggregates": ()}, BadRequest, "aggregates"),
        ({"aggregates": ("Mean",)}, BadRequest, "aggregates"),
        ({"end_ns": 0}, BadRequest, "end_ns"),
        ({"interval_ns": -1}, BadRequest, "interval_ns"),
        ({"interval_ns": 1}, LimitExceeded, "interval_ns"),
        ({"percent_data_good": 20.0}, BadRequest, "percent_data_good, percent_data_bad"),
        ({"resolution_ns": 0}, BadRequest, "resolution_ns"),
        ({"start_ns": -(2**63)}, BadRequest, "start_ns, end_ns"),
        ({}, LimitExceeded, "tag 't'"),
    ],
)
def test_a_wrong_question_is_refused_by_name(changes, error, where):
    """The caller learns which field to change."""
    query = _query(
        ValueType.FLOAT64, [(i, 1.0) for i in range(9)], intervals_max=10, scan_rows_max=5
    )
    good = AggregateRequest("t", 0, 100, 10, ("Count",), percent_data_bad=50.0)

    with pytest.raises(error) as refused:
        query.aggregate(replace(good, **changes))

    assert where == refused.value.where
