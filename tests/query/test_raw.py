"""raw.py, series.py: every stored row once and in order, over pages, series and revisions."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from query.engine import Query
from query.errors import BadRequest, LimitExceeded, UnknownTag
from query.ports import Tag
from query.request import QueryLimits, RawRequest
from query.testing import MemoryReader, MemoryResolver
from storage_engine.sample import BAD, GOOD, UNCERTAIN, ValueType

F64 = ValueType.FLOAT64
NOT_FOUND, NO_DATA, DOUBT, INTERPOLATED = 0x80D7_0000, 0x809B_0000, 0x40A4_0000, 0x402


def _query(series, *, stepped=False, rows_max=1_000_000, type_=F64):
    """Query of tag ``t`` over series given as lists of frames, each a list of rows."""
    reader, lsn = MemoryReader(), 0
    for series_id, (kind, frames) in enumerate(series, start=1):
        for frame in frames:
            lsn += 1
            reader.add(series_id, kind, frame, lsn=lsn)
    tag = Tag("t", tuple(range(1, len(series) + 1)), type_, stepped=stepped)
    return Query(reader, MemoryResolver(tag), lambda: 0, QueryLimits(rows_max=rows_max)), reader


def _rows(result):
    columns = result.columns
    return list(
        zip(
            columns.timestamp_ns.tolist(),
            columns.value.objects(),
            columns.quality.tolist(),
            columns.lsn.tolist(),
            strict=True,
        )
    )


FRAMES = st.lists(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 9).map(float)), max_size=5), max_size=5
)


def _plain(frames, request):
    """Rows (time, value, lsn) the request asks for, without bounds."""
    rows = [(t, v, lsn) for lsn, frame in enumerate(frames, start=1) for t, v in frame]
    known = request.known_at_lsn
    rows = [r for r in rows if known is None or r[2] <= known]
    rows = sorted(rows, key=lambda r: (r[0], r[2]))
    if not request.all_revisions:
        rows = list({r[0]: r for r in rows}.values())
    start, end = request.start_ns, request.end_ns
    descending = request.backward or end < start
    low, high = (start, end) if start <= end else (end + 1, start + 1)
    high += start == end
    rows = [r for r in rows if low <= r[0] < high]
    return rows[::-1] if descending else rows


@settings(max_examples=300, deadline=None)
@given(
    older=FRAMES,
    newer=FRAMES,
    request_=st.builds(
        RawRequest,
        tag=st.just("t"),
        start_ns=st.integers(-2, 14),
        end_ns=st.integers(-2, 14),
        bounds=st.sampled_from(["none", "outside", "interpolated"]),
        backward=st.booleans(),
        all_revisions=st.booleans(),
        known_at_lsn=st.sampled_from([None, 2, 4]),
    ),
    page=st.integers(1, 4),
)
def test_pages_together_are_the_whole_answer(older, newer, request_, page):
    """Equal times, revisions, two series and bounds: nothing twice, nothing missing."""
    query, _ = _query([(F64, older), (F64, newer)])

    whole = query.raw(request_)
    pages, token = [], None
    while True:
        part = query.raw(replace(request_, max_count=page, continuation=token))
        pages += _rows(part)
        assert 1 <= len(part) <= page or (token is None and len(part) == 0)
        token = part.continuation
        if token is None:
            break

    assert _rows(whole) == pages
    stored = [(t, v, lsn) for t, v, _, lsn in _rows(whole)]
    inside = [r for r, bound in zip(stored, whole.bound.tolist(), strict=True) if not bound]
    assert _plain([*older, *newer], request_) == inside


@settings(max_examples=200, deadline=None)
@given(frames=FRAMES, start=st.integers(-2, 14), end=st.integers(-2, 14), backward=st.booleans())
def test_bounds_outside_are_the_nearest_samples(frames, start, end, backward):
    """At the edge itself if there is one, else the nearest beyond it, else a named absence."""
    query, _ = _query([(F64, frames)])

    result = query.raw(RawRequest("t", start, end, bounds="outside", backward=backward))

    times = sorted({t for frame in frames for t, _ in frame})
    low, high = min(start, end), max(start, end)
    before = max((t for t in times if t <= low), default=None)
    after = min((t for t in times if t >= high), default=None)
    expected = [(low, None) if before is None else (before, "held")]
    expected += [(t, "held") for t in times if low < t < high]
    expected += [(high, None) if after is None else (after, "held")]
    if low == high and before == after == low:
        expected = expected[:1]
    if end < start or backward:
        expected.reverse()
    assert expected == [(t, None if q == NOT_FOUND else "held") for t, _, q, _ in _rows(result)]


@pytest.mark.parametrize(
    ("stepped", "time_ns", "value", "status"),
    [
        (False, 5, 15.0, GOOD | INTERPOLATED),
        (True, 5, 10.0, GOOD | INTERPOLATED),
        (False, 15, 25.0, DOUBT | INTERPOLATED),  # 12 is bad: skipped
        (True, 15, 20.0, DOUBT | INTERPOLATED),
        (False, 35, 40.0, DOUBT | INTERPOLATED),  # after the end: held
        (False, -5, None, NO_DATA),
    ],
)
def test_interpolated_bounds_stand_at_the_edge(stepped, time_ns, value, status):
    """A trend's first pixel needs the value at the edge, and how sure it is."""
    rows = [(0, 10.0), (10, 20.0), (12, None, BAD), (20, 30.0), (30, 40.0)]
    query, _ = _query([(F64, [rows])], stepped=stepped)

    result = query.raw(RawRequest("t", time_ns, 100, bounds="interpolated"))

    assert (time_ns, value, status, 0) == _rows(result)[0]
    assert result.bound[0]
    assert (value is not None) == result.interpolated[0]


def test_interpolated_bounds_keep_the_type_of_whole_numbers_and_hold_texts():
    """A computed value of an integer tag is rounded; a state is held, never mixed."""
    counts, _ = _query([(ValueType.INT64, [[(0, 1), (10, 4)]])], type_=ValueType.INT64)
    states, _ = _query([(ValueType.SYMBOL, [[(0, "run"), (10, "stop")]])], type_=ValueType.SYMBOL)

    assert 3 == _rows(counts.raw(RawRequest("t", 6, 9, bounds="interpolated")))[0][1]
    assert "run" == _rows(states.raw(RawRequest("t", 6, 9, bounds="interpolated")))[0][1]


def test_uncertain_samples_may_carry_a_bound_when_asked():
    """The standard's default treats them as bad."""
    query, _ = _query([(F64, [[(0, 0.0), (10, 10.0, UNCERTAIN), (20, 0.0)]])])
    asked = RawRequest("t", 5, 6, bounds="interpolated")

    assert 0.0 == _rows(query.raw(asked))[0][1]
    assert 5.0 == _rows(query.raw(replace(asked, treat_uncertain_as_bad=False)))[0][1]


def test_a_revision_written_between_pages_is_neither_doubled_nor_shifts_the_rest():
    """A page may be asked for much later; the token names rows, not positions."""
    for backward in (False, True):
        query, reader = _query([(F64, [[(1, 1.0), (2, 2.0)], [(2, 2.5), (3, 3.0)]])])
        asked = RawRequest("t", 0, 9, max_count=2, all_revisions=True, backward=backward)
        first = query.raw(asked)
        reader.add(1, F64, [(2, 2.75)], lsn=9)

        rest = query.raw(replace(asked, max_count=9, continuation=first.continuation))

        given_ = [row[1] for row in _rows(first)] + [row[1] for row in _rows(rest)]
        forward = [1.0, 2.0, 2.5, 2.75, 3.0]
        assert ([3.0, 2.5, 2.0, 1.0] if backward else forward) == given_


@pytest.mark.parametrize(
    ("older", "newer", "type_", "values"),
    [
        ((ValueType.INT64, 7), (F64, 0.5), F64, [7.0, 0.5]),
        ((ValueType.INT64, 2**53 + 1), (F64, 0.5), ValueType.TEXT, [str(2**53 + 1), "0.5"]),
        ((F64, 0.5), (ValueType.SYMBOL, "run"), ValueType.TEXT, ["0.5", "run"]),
        ((ValueType.BOOL, True), (ValueType.BYTES, b"\x01"), ValueType.TEXT, ["true", "01"]),
        ((ValueType.SYMBOL, None), (ValueType.INT64, 3), ValueType.INT64, [None, 3]),
    ],
)
def test_series_of_several_types_join_without_changing_a_value(older, newer, type_, values):
    """A large integer does not become a nearby float."""
    series = [(older[0], [[(1, older[1])]]), (newer[0], [[(2, newer[1])]])]
    query, _ = _query(series, type_=newer[0])

    result = query.raw(RawRequest("t", 0, 9))

    assert type_ == result.columns.value.type
    assert values == result.columns.value.objects()


def test_the_newer_series_wins_a_time_that_both_hold():
    """The tag's type changed while the source sent the same time again."""
    series = [(F64, [[(1, 1.0), (2, 2.0)]]), (F64, [[(2, 5.0), (3, 3.0)]])]
    query, _ = _query(series)

    assert [1.0, 5.0, 3.0] == [r[1] for r in _rows(query.raw(RawRequest("t", 0, 9)))]
    both = query.raw(RawRequest("t", 0, 9, all_revisions=True))
    assert [1.0, 2.0, 5.0, 3.0] == [r[1] for r in _rows(both)]


def test_latest_is_the_newest_over_all_series_of_each_tag():
    """A tag whose type changed has one latest; a tag without samples says so."""
    reader = MemoryReader()
    reader.add(1, ValueType.INT64, [(5, 1), (30, 3)])
    reader.add(2, F64, [(20, 2.5, BAD)])
    resolver = MemoryResolver(
        Tag("a", (1, 2), F64, stepped=False),
        Tag("none", (7,), F64, stepped=False),
        Tag("b", (2,), F64, stepped=False),
        Tag("empty", (), F64, stepped=False),
    )
    query = Query(reader, resolver, lambda: 0, QueryLimits(tags_max=4))

    result = query.latest(["b", "none", "a", "empty"])

    assert [True, False, True, False] == result.present.tolist()
    assert [20, 0, 30, 0] == result.timestamp_ns.tolist()
    assert [BAD, 0, GOOD, 0] == result.quality.tolist()
    assert [2.5, None, 3, None] == result.value
    assert ["b", "none", "a", "empty"] == [tag.name for tag in result.tags]
    assert [] == query.latest(["empty"] * 0).value
    with pytest.raises(UnknownTag, match="'x'"):
        query.latest(["x"])
    with pytest.raises(LimitExceeded, match="5 tags"):
        query.latest(["a"] * 5)


@pytest.mark.parametrize(
    ("changes", "error", "where"),
    [
        ({"tag": "x"}, UnknownTag, "tag"),
        ({"bounds": "inside"}, BadRequest, "bounds"),
        ({"max_count": 0}, BadRequest, "max_count"),
        ({"max_count": 6}, LimitExceeded, "max_count"),
        ({"start_ns": None}, BadRequest, "start_ns, end_ns"),
        ({"start_ns": None, "end_ns": None, "max_count": 1}, BadRequest, "start_ns, end_ns"),
        ({"end_ns": 2**63}, BadRequest, "start_ns, end_ns"),
        ({"continuation": "%%%"}, BadRequest, "continuation"),
        ({"continuation": "WzEsMl0="}, BadRequest, "continuation"),
        ({}, LimitExceeded, "tag 't'"),
    ],
)
def test_a_wrong_question_is_refused_by_name(changes, error, where):
    """The caller learns which field to change."""
    query, _ = _query([(F64, [[(i, 1.0) for i in range(9)]])], rows_max=5)

    with pytest.raises(error) as refused:
        query.raw(replace(RawRequest("t", 0, 9), **changes))

    assert where == refused.value.where


def test_a_continuation_of_another_question_is_refused():
    """It would silently leave rows out."""
    query, _ = _query([(F64, [[(i, 1.0) for i in range(9)]])])
    token = query.raw(RawRequest("t", 0, 9, max_count=2)).continuation

    with pytest.raises(BadRequest, match="same request"):
        query.raw(RawRequest("t", 1, 9, max_count=2, continuation=token))
