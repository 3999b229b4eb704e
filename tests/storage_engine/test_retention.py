"""retention.py: what may go, by property and by the clocks that plants have."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage_engine.errors import InvalidArgument
from storage_engine.pins import Pin, Pins
from storage_engine.retention import (
    DAY_NS,
    Candidate,
    Part,
    Rule,
    Spent,
    plan_expiry,
)
from storage_engine.segment.layout import SegmentInfo

HOUR_NS = DAY_NS // 24
TODAY = 20_000
YEAR_NS = 365 * DAY_NS


def info_of(number, first, last, rows=100, *, size=1000, name="default"):
    """A segment of the manifest."""
    return SegmentInfo(number, "2024-10-04", name, size, rows, first, last, 1, 2)


def whole(number, first, last, *, rows=100, pinned=0, size=1000, name="default"):
    """A segment whose rows are all of the class it was written under."""
    part = Part(name, first, last, rows, pinned)
    return Candidate(info_of(number, first, last, rows, size=size, name=name), (part,))


def days(count, *, name="default", size=1000):
    """One segment per day, the newest from today."""
    return [
        whole(d + 1, day * DAY_NS, (day + 1) * DAY_NS - 1, name=name, size=size)
        for d, day in enumerate(range(TODAY - count + 1, TODAY + 1))
    ]


def gone(candidates, plan):
    """Numbers of segments that lose all their rows."""
    return [c.info.id for c in candidates if plan.free_rows(c) == c.info.rows]


NOW = TODAY * DAY_NS + 12 * HOUR_NS


def test_rows_go_by_age_and_never_before():
    """A day's segment goes when its last row is too old, not a moment earlier."""
    stored = days(40)
    rules = {"default": Rule(age_ns=30 * DAY_NS)}
    early = plan_expiry(stored, rules, now_ns=stored[0].info.last + 30 * DAY_NS, share=1)
    later = plan_expiry(stored, rules, now_ns=stored[0].info.last + 30 * DAY_NS + 1, share=1)

    assert ([], [1]) == (gone(stored, early), gone(stored, later))
    assert {"default": stored[0].info.last + 1} == later.cuts


def test_a_class_without_a_rule_is_kept_for_ever():
    """Nothing is deleted because nobody thought of it."""
    stored = days(3, name="press")
    plan = plan_expiry(stored, {"default": Rule(age_ns=1)}, now_ns=NOW + 100 * YEAR_NS, share=1)

    assert {} == plan.cuts


def test_a_budget_takes_the_oldest_and_no_more_than_it_needs():
    """Ten segments of 1,000 bytes, 7,500 allowed: three go."""
    stored = days(10)
    plan = plan_expiry(stored, {"default": Rule(bytes_max=7500)}, now_ns=NOW, share=1)

    assert [1, 2, 3] == gone(stored, plan)


def test_a_late_segment_goes_with_the_rows_it_overlaps():
    """A revision in a segment of its own may not outlive, nor be outlived by, what it revises."""
    day = stored = days(40)
    late = whole(99, day[0].info.first, day[1].info.last, rows=2, size=20)
    rules = {"default": Rule(age_ns=30 * DAY_NS)}
    middle = plan_expiry([*stored, late], rules, now_ns=day[0].info.last + 30 * DAY_NS + 1, share=1)
    after = plan_expiry([*stored, late], rules, now_ns=day[1].info.last + 30 * DAY_NS + 1, share=1)

    assert {} == middle.cuts
    assert [1, 2, 99] == gone([*stored, late], after)


def test_streams_that_moved_are_judged_by_the_class_they_have_now():
    """One segment, two classes: the rows of one go, those of the other stay."""
    first, last = 0, DAY_NS
    parts = (Part("default", first, last, 60, 0), Part("press", first, last, 40, 0))
    mixed = Candidate(info_of(1, first, last), parts)
    short, long = Rule(age_ns=DAY_NS), Rule(age_ns=YEAR_NS)
    plan = plan_expiry([mixed], {"default": long, "press": short}, now_ns=10 * DAY_NS, share=1)

    assert 40 == plan.free_rows(mixed)
    assert {"press"} == set(plan.cuts)


@pytest.mark.parametrize(
    "jump_ns", [10 * YEAR_NS, -10 * YEAR_NS, 2**31 * 1_000_000_000 - NOW, -NOW, -NOW - YEAR_NS]
)
def test_a_jump_of_the_clock_takes_a_days_share_and_then_waits(jump_ns):
    """Ten years ahead, ten back, 2038, 1970 and before: 5 % or a day, until a day of uptime."""
    stored = days(100)
    rules = {"default": Rule(age_ns=30 * DAY_NS)}
    plan = plan_expiry(stored, rules, now_ns=NOW + jump_ns)
    left = [c for c in stored if c.info.id not in gone(stored, plan)]
    again = plan_expiry(left, rules, now_ns=NOW + jump_ns + HOUR_NS, spent=plan.spent)

    assert 100 - len(left) <= 5 + 1
    assert [] == gone(left, again)
    assert (jump_ns > 0) == bool(again.held)
    if jump_ns > 0:
        assert 94 == sum(h.size for h in again.held) // 1000
        next_day = plan_expiry(left, rules, now_ns=NOW + jump_ns + DAY_NS)
        assert 1 <= len(gone(left, next_day)) <= 6
        forced = plan_expiry(left, rules, now_ns=NOW + jump_ns, spent=plan.spent, force=True)
        assert len(left) == len(gone(left, forced))
        assert () == forced.held


@pytest.mark.parametrize("age_days", [1, 2, 7, 30, 400])
def test_what_expires_day_by_day_is_never_held_for_long(age_days):
    """A week's class loses a seventh a day, far above the share, and does not fall behind."""
    stored = days(age_days + 1)
    rules = {"default": Rule(age_ns=age_days * DAY_NS)}
    for day in range(1, 20):
        plan = plan_expiry(stored, rules, now_ns=NOW + day * DAY_NS)
        stored = [c for c in stored if c.info.id not in gone(stored, plan)]
        new = TODAY + day
        stored.append(whole(1000 + day, new * DAY_NS, (new + 1) * DAY_NS - 1))
        assert len(stored) <= age_days + 3


def by_days(stored):
    """Rows of segments spread evenly over their days, the first days getting what is left."""

    def spread(name, first, last):
        found = {}
        for candidate in stored:
            for part in candidate.parts:
                free = part.rows - part.pinned
                if part.retention_class != name or not free:
                    continue
                if part.first > last or part.last < first:
                    continue
                days = range(part.first // DAY_NS, part.last // DAY_NS + 1)
                each, rest = divmod(free, len(days))
                found[candidate.info.id] = {
                    d: each + (k < rest) for k, d in enumerate(days) if each + (k < rest)
                }
        return found

    return spread


def test_a_year_in_one_piece_is_cut_at_midnight():
    """Where the clock made one segment of all, 5 % of it go in a day, and the days are whole."""
    year = whole(1, 0, YEAR_NS - 1, rows=36_500, size=1_000_000)
    rules = {"default": Rule(age_ns=DAY_NS)}
    plan = plan_expiry([year], rules, now_ns=20 * YEAR_NS, spread=by_days([year]))

    assert 0 == plan.cuts["default"] % DAY_NS
    assert 18 <= plan.cuts["default"] // DAY_NS <= 19  # 5 % of 365 days, and one day
    assert plan.cuts["default"] // DAY_NS * 100 == plan.free_rows(year)
    assert 36_500 - plan.free_rows(year) == plan.held[0].rows
    rest = whole(2, plan.cuts["default"], YEAR_NS - 1, rows=34_600, size=947_000)
    again = plan_expiry(
        [rest], rules, now_ns=20 * YEAR_NS, spent=plan.spent, spread=by_days([rest])
    )
    assert {} == again.cuts
    unread = plan_expiry([year], rules, now_ns=20 * YEAR_NS)
    assert ({}, 36_500) == (unread.cuts, unread.held[0].rows)


PIECE_NS = DAY_NS // 4
times = st.integers(-40, 400).map(lambda k: k * PIECE_NS)


@st.composite
def candidates(draw):
    """Segments of two classes, some mixed, some pinned in part."""
    found = []
    for number in range(draw(st.integers(0, 14))):
        parts = []
        for name in draw(st.sampled_from([("a",), ("b",), ("a", "b")])):
            first = draw(times)
            last = first + draw(st.sampled_from([0, 1, PIECE_NS, 9 * PIECE_NS]))
            rows = draw(st.integers(1, 50))
            parts.append(Part(name, first, last, rows, draw(st.sampled_from([0, 0, 1, rows]))))
        rows = sum(p.rows for p in parts)
        first, last = min(p.first for p in parts), max(p.last for p in parts)
        size = draw(st.integers(1, 5000))
        info = SegmentInfo(number + 1, "2024", parts[0].retention_class, size, rows, first, last,
                           1, 2)  # fmt: skip
        found.append(Candidate(info, tuple(parts)))
    return found


rules_of = st.builds(
    Rule,
    age_ns=st.none() | st.integers(1, 100 * DAY_NS),
    bytes_max=st.none() | st.integers(0, 20_000),
)


@settings(max_examples=300, deadline=None)
@given(
    stored=candidates(),
    rules=st.dictionaries(st.sampled_from(["a", "b"]), rules_of),
    now_ns=st.integers(-YEAR_NS, YEAR_NS),
    share=st.sampled_from([0.0, 0.05, 0.5, 1.0]),
    spent=st.dictionaries(
        st.sampled_from(["a", "b"]),
        st.builds(Spent, st.integers(0, 9000), st.none() | st.integers(0, 90)),
    ),
    force=st.booleans(),
)
def test_whatever_is_stored_the_plan_keeps_its_promises(
    *, stored, rules, now_ns, share, spent, force
):
    """No unexpired row, no pinned row, pieces whole, the budget met, the share kept."""
    options = {"now_ns": now_ns, "share": share, "spent": spent, "force": force}
    plan = plan_expiry(stored, rules, spread=by_days(stored), **options)

    assert set(plan.cuts) <= set(rules)
    for name in ("a", "b"):
        parts = [(p, c) for c in stored for p in c.parts if p.retention_class == name]
        free = [(p, c) for p, c in parts if p.rows > p.pinned]
        cut = plan.cuts.get(name)
        went = [(p, c) for p, c in free if cut is not None and p.last < cut]
        rule = rules.get(name, Rule())
        if rule.bytes_max is None:
            assert all(rule.age_ns is not None and p.last < now_ns - rule.age_ns for p, _ in went)
        if cut is not None and [p for p, _ in free if p.first < cut <= p.last]:
            assert cut % DAY_NS == 0  # a piece is cut at midnight only
        total = sum(c.size_of(p.rows) for p, c in parts)
        lost = sum(c.size_of(plan.free_of(c, p)) for p, c in parts)
        left = [(p, c) for p, c in free if plan.free_of(c, p) < p.rows - p.pinned]
        if force and rule.bytes_max is not None and left:
            assert total - lost <= rule.bytes_max
        if not force:
            before = spent.get(name, Spent())
            limit = share * (total + before.size)
            rounding = 60 * len(parts)  # bytes are whole per segment and day
            beyond = _own_day(stored, name, free, cut, before)
            assert before.size * bool(lost) + lost - beyond <= max(limit, before.size) + rounding
        held = [h for h in plan.held if h.retention_class == name]
        assert not (force and held)
        if rule.age_ns is not None and not held:
            assert not _whole_pieces_left(left, now_ns - rule.age_ns)


def _components(parts):
    found = []
    for part, candidate in sorted(parts, key=lambda pair: (pair[0].first, pair[0].last)):
        if not found or part.first > found[-1][1]:
            found.append([part.first, part.last, 0])
        found[-1][1] = max(found[-1][1], part.last)
        found[-1][2] += candidate.size_of(part.rows - part.pinned)
    return found


def _own_day(stored, name, free, cut, before):
    """Most that the day's turn may have let go beside the share: one day of history."""
    spread = by_days(stored)(name, -(2**63), 2**63)
    by_day = {}
    for part, candidate in free:
        for day, rows in spread[candidate.info.id].items():
            if cut is not None and (part.last < cut or (day + 1) * DAY_NS <= cut):
                by_day[day] = by_day.get(day, 0) + candidate.size_of(rows)
    if before.day is not None:
        return by_day.get(before.day, 0)
    return max(by_day.values(), default=0)


def _whole_pieces_left(left, horizon):
    components = _components(left)
    return bool(components) and components[0][1] < horizon


windows = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 8)), max_size=6)


@settings(max_examples=200, deadline=None)
@given(wide=windows, own=windows, first=st.integers(-2, 40), length=st.integers(0, 9))
def test_pins_answer_as_a_loop_over_windows_does(wide, own, first, length):
    """Masks, overlaps and covers, for a stream with windows and for one without."""
    pins = Pins(
        [Pin(None, s, s + n) for s, n in wide] + [Pin(frozenset({1}), s, s + n) for s, n in own]
    )
    last = first + length
    for stream, held in ((1, wide + own), (2, wide)):
        inside = [any(s <= t < s + n for s, n in held) for t in range(first, last + 1)]
        mask = pins.mask(stream, np_range(first, last))
        assert inside == mask.tolist()
        assert any(inside) == pins.overlaps(stream, first, last)
        assert all(inside) == pins.covers(stream, first, last)
    every = [any(s <= t < s + n for s, n in wide + own) for t in range(first, last + 1)]
    assert any(every) == pins.touches(first, last)


def np_range(first, last):
    """Times from first to last, both in."""
    return np.arange(first, last + 1, dtype=np.int64)


def test_rules_that_cannot_be_are_refused():
    """Nothing is kept for less than no time."""
    with pytest.raises(InvalidArgument):
        Rule(age_ns=0)
    with pytest.raises(InvalidArgument):
        Rule(bytes_max=-1)
    with pytest.raises(InvalidArgument):
        plan_expiry([], {}, now_ns=0, share=2)
