"""downsample.py: few real samples draw the line of all of them."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from query.columns import take_columns
from query.downsample import candidates, select
from query.engine import Query
from query.errors import BadRequest, LimitExceeded
from query.ports import Tag
from query.request import PlotRequest, QueryLimits
from query.series import Signal, as_signal
from query.testing import MemoryReader, MemoryResolver
from storage_engine.sample import BAD, GOOD, UNCERTAIN, ValueType

F64 = ValueType.FLOAT64
ROWS = st.dictionaries(
    st.integers(-20, 120),
    st.tuples(
        st.one_of(st.none(), st.integers(-3, 3).map(float)),
        st.sampled_from([GOOD, GOOD, GOOD, UNCERTAIN, BAD]),
    ),
    max_size=60,
)


def _query(rows, type_=F64, **limits):
    reader = MemoryReader()
    reader.add(1, type_, rows)
    resolver = MemoryResolver(Tag("t", (1,), type_, stepped=False))
    return Query(reader, resolver, lambda: 0, QueryLimits(**limits))


def _plain_column(rows):
    """Times to draw of one pixel column: rows are (time, value, usable), ascending."""
    good = [r for r in rows if r[2]]
    kept = set()
    if good:
        low, high = min(r[1] for r in good), max(r[1] for r in good)
        kept |= {good[0][0], good[-1][0]}
        kept |= {next(r[0] for r in good if r[1] == low), next(r[0] for r in good if r[1] == high)}
    bad = [r[0] for r in rows if not r[2]]
    ending = [t for t in bad if not good or t > good[-1][0]]
    marks = {bad[0]} if bad else set()
    marks |= {ending[0]} if ending else set()
    if len(kept | marks) > 5:
        marks.discard(bad[0])
    return sorted(kept | marks)


@settings(max_examples=400, deadline=None)
@given(
    rows=ROWS,
    start=st.integers(0, 20),
    width=st.integers(1, 80),
    pixels=st.integers(1, 12),
    chunk_rows=st.sampled_from([1, 3, 1000]),
)
def test_each_pixel_keeps_first_low_high_last_and_the_break(rows, start, width, pixels, chunk_rows):
    """The rule of docs/query.md, one pixel at a time; also when read in pieces."""
    listed = [(t, v, q) for t, (v, q) in sorted(rows.items())]
    query = _query(listed, chunk_rows=chunk_rows)

    result = query.plot(PlotRequest("t", start, start + width, pixels))

    plain = [(t, v, v is not None and q != BAD) for t, v, q in listed]
    edges = [start + width * i // pixels for i in range(pixels + 1)]
    expected = [max((r[0] for r in plain if r[0] < start), default=None)]
    for low, high in pairwise(edges):
        column = _plain_column([r for r in plain if low <= r[0] < high])
        assert len(column) <= 5
        expected += column
    expected.append(min((r[0] for r in plain if r[0] >= start + width), default=None))
    assert [t for t in expected if t is not None] == result.columns.timestamp_ns.tolist()
    assert [t < start or t >= start + width for t in result.columns.timestamp_ns.tolist()] == (
        result.bound.tolist()
    )
    usable = {r[0]: r[2] for r in plain}
    assert [not usable[t] for t in result.columns.timestamp_ns.tolist()] == result.mark.tolist()
    assert sum(start <= r[0] < start + width for r in plain) == result.samples_used


@given(
    levels=st.lists(st.sampled_from([0, 0, 1, 2]), max_size=40),
    cut=st.integers(0, 40),
    pixels=st.integers(1, 6),
)
def test_reading_in_two_pieces_selects_the_same(levels, cut, pixels):
    """What a column keeps of its pieces is what it keeps of the whole."""
    count = len(levels)
    number = np.array([(i * 7) % 5 for i in range(count)], dtype=np.float64)
    severity = np.array(levels, dtype=np.uint8)
    code = severity.astype(np.uint32) << np.uint32(30)
    whole = Signal(np.arange(count, dtype=np.int64), severity, code, number, number, F64)
    edges = np.arange(pixels + 1, dtype=np.int64) * 41 // pixels
    rows = np.arange(count)
    left = candidates(whole.take(rows[:cut]), edges, numeric=True)
    right = candidates(whole.take(rows[cut:]), edges, numeric=True) + len(rows[:cut])
    pieces = np.concatenate([left, right])

    chosen = pieces[select(whole.take(pieces), edges, numeric=True)]

    assert select(whole, edges, numeric=True).tolist() == chosen.tolist()


def test_the_line_of_every_pixel_spans_the_same_values():
    """A spike of one sample in a hundred thousand is seen."""
    rng = np.random.default_rng(5)
    values = np.cumsum(rng.normal(size=20_000))
    values[12_345] = 1e6
    query = _query([(i * 10, float(v)) for i, v in enumerate(values)])

    result = query.plot(PlotRequest("t", 0, 200_000, 100))

    drawn = take_columns(result.columns, ~result.bound)
    signal = as_signal(drawn, numeric=True)
    pixel = signal.timestamp_ns // 2_000
    assert len(drawn) <= 5 * 100
    for column in range(100):
        part = values[column * 200 : (column + 1) * 200]
        mine = signal.number[pixel == column]
        assert (part[0], part.min(), part.max(), part[-1]) == (
            mine[0],
            mine.min(),
            mine.max(),
            mine[-1],
        )


def test_text_tags_keep_first_last_and_the_break():
    """There is no lowest state; the carry-in still says what held at the left edge."""
    rows = [(0, "idle"), (10, "run"), (12, "stop"), (14, "run"), (16, None, BAD), (40, "idle")]
    query = _query(rows, ValueType.SYMBOL)

    result = query.plot(PlotRequest("t", 5, 25, 1))

    assert ["idle", "run", "run", None, "idle"] == result.columns.value.objects()
    assert [True, False, False, False, True] == result.bound.tolist()


@pytest.mark.parametrize(
    ("request_", "error", "where"),
    [
        (PlotRequest("t", 5, 5, 10), BadRequest, "end_ns"),
        (PlotRequest("t", 5, 4, 10), BadRequest, "end_ns"),
        (PlotRequest("t", 0, 5, 0), BadRequest, "pixels"),
        (PlotRequest("t", 0, 5, 99), LimitExceeded, "pixels"),
        (PlotRequest("t", 0, 2**63, 9), BadRequest, "start_ns, end_ns"),
        (PlotRequest("t", 0, 9, 9), LimitExceeded, "tag 't'"),
    ],
)
def test_a_wrong_question_is_refused_by_name(request_, error, where):
    """The caller learns which field to change."""
    query = _query([(i, 1.0) for i in range(9)], pixels_max=20, scan_rows_max=5)

    with pytest.raises(error) as refused:
        query.plot(request_)

    assert where == refused.value.where
