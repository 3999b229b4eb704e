"""engine_retention.py: rows go by rule, whole and for good, and everything else stays."""

import sys
from pathlib import Path

import pytest

from storage_engine.changes import Verb
from storage_engine.engine import Engine
from storage_engine.errors import EngineClosed, InvalidArgument
from storage_engine.pins import Pin
from storage_engine.retention import Rule
from storage_engine.sample import ValueType
from storage_engine.testing import DAY_NS, SECOND_NS, EventRow, SampleRow

sys.path.insert(0, str(Path(__file__).parent))
from expiry_plant import CONFIG, EVENTS, EVERYTHING, HOUR_NS, NOW, YEAR_NS, A, B, Plant


def test_days_go_when_their_age_is_reached_and_files_go_with_them():
    """Thirty days kept of forty, in memory, on disk, and after a reopen."""
    plant = Plant()
    plant.write_days(40)
    files = len(plant.engine._state.segments)
    report = plant.expire({"default": Rule(age_ns=30 * DAY_NS)})

    [told] = report.classes
    assert NOW - 29 * DAY_NS <= min(plant.times()) + DAY_NS
    assert min(plant.times()) >= NOW - 30 * DAY_NS
    assert len(report.dropped) == files - len(plant.engine._state.segments)
    assert (9 * 21, told.rows_before - 9 * 21) == (told.rows, plant.engine.stats().segment_rows)
    assert min(plant.times()) == told.oldest_after_ns
    assert told.cut_ns == told.horizon_ns == plant.engine.horizons()["default"]
    plant.check()
    plant.reopen()
    plant.check()
    assert told.horizon_ns == plant.engine.horizons()["default"]
    plant.engine.flush()  # the second generation: files that nobody names are collected
    plant.write_days(1)
    names = [n for p in plant.fs.list("segments") for n in plant.fs.list(f"segments/{p}")]
    assert len(plant.engine._state.segments) == len(names)


def test_a_dry_run_says_what_a_run_does_and_does_nothing():
    """The same words, and not one write."""
    plant = Plant()
    plant.write_days(40)
    before = plant.fs.position
    pins = (Pin(None, NOW - 35 * DAY_NS, NOW - 34 * DAY_NS),)
    rules = {"default": Rule(age_ns=30 * DAY_NS)}
    dry = plant.expire(rules, pins, dry_run=True)
    assert before == plant.fs.position
    plant.check()
    wet = plant.expire(rules, pins)

    assert (True, False) == (dry.dry_run, wet.dry_run)
    assert dry.classes == wet.classes
    assert (dry.dropped, dry.rewritten) == (wet.dropped, wet.rewritten)
    plant.check()


def test_a_budget_holds_after_a_run():
    """Segments of the class take no more bytes than the budget."""
    plant = Plant()
    plant.write_days(20)
    size = plant.engine.stats().segment_bytes
    plant.expire({"default": Rule(bytes_max=size // 2)})

    assert 0 < plant.engine.stats().segment_bytes <= size // 2
    plant.check()


def test_pinned_windows_stay_for_their_streams_alone():
    """A window of one series in a day that goes: that series is kept there, nothing else."""
    plant = Plant()
    plant.write_days(40)
    start = NOW - 35 * DAY_NS + 3 * SECOND_NS
    pins = (Pin(frozenset({plant.slots[A]}), start, start + 4 * SECOND_NS),)
    rules = {"default": Rule(age_ns=30 * DAY_NS)}
    report = plant.expire(rules, pins)

    assert [start + k * SECOND_NS for k in range(4)] == plant.times(A)[:4]
    assert NOW - 30 * DAY_NS == min(plant.times(B))
    assert 1 == len(report.rewritten)
    plant.check()
    again = plant.expire(rules, pins)
    assert ((), ()) == (again.dropped, again.rewritten)  # what is left is left in peace
    released = plant.expire(rules)
    assert 1 == len(released.dropped)
    assert NOW - 30 * DAY_NS == min(plant.times(A))
    plant.check()


def test_a_window_of_all_streams_keeps_its_part_of_every_run():
    """Each run is pinned in part: the rest of each goes all the same."""
    plant = Plant()
    plant.write_days(3)
    start = NOW - 2 * DAY_NS
    pins = (Pin(None, start, start + 4 * SECOND_NS),)
    report = plant.expire({"default": Rule(age_ns=DAY_NS)}, pins)

    assert 4 + 10 == len([t for t in plant.times(A) if t < NOW])
    assert (12, 9) == (report.classes[0].rows, report.classes[0].pinned_rows)
    plant.check()


def test_a_series_that_moved_to_another_class_is_judged_by_it():
    """Written as default; one series now kept long, another short."""
    plant = Plant()
    plant.write_days(10)
    plant.engine.set_stream(plant.slots[A], retention_class="long")
    plant.engine.set_stream(plant.slots[B], retention_class="short")
    rules = {"default": Rule(age_ns=6 * DAY_NS), "short": Rule(age_ns=3 * DAY_NS)}
    plant.expire(rules)

    assert NOW - 9 * DAY_NS == min(plant.times(A))
    assert NOW - 3 * DAY_NS == min(plant.times(B))
    first = plant.engine.read_events(plant.slots[EVENTS], *EVERYTHING).timestamp_ns[0]
    assert NOW - 6 * DAY_NS == first
    plant.check()


def test_an_old_revision_never_comes_back():
    """The original lies in a segment that stays for now, so its correction stays with it."""
    plant = Plant()
    at = NOW - 20 * DAY_NS
    plant.write([SampleRow(A, ValueType.FLOAT64, at + k * SECOND_NS, 1.0) for k in range(20)])
    plant.engine.flush()
    plant.write([SampleRow(A, ValueType.FLOAT64, at, 2.0)], observed=False)
    plant.engine.flush()
    now = at + 10 * DAY_NS + SECOND_NS  # the correction's segment is old enough, the first not
    plant.expire({"default": Rule(age_ns=10 * DAY_NS)}, now_ns=now)

    assert 2.0 == plant.engine.read(plant.slots[A], *EVERYTHING).value.value[0]
    plant.check()
    plant.expire({"default": Rule(age_ns=10 * DAY_NS)}, now_ns=now + DAY_NS)
    assert [] == plant.times(A)


@pytest.mark.parametrize("jump_ns", [10 * YEAR_NS, -10 * YEAR_NS, 2**31 * SECOND_NS - NOW, -NOW])
def test_a_clock_that_jumps_costs_a_days_share_whatever_restarts(jump_ns):
    """Ten years ahead, ten back, 2038, 1970: hourly runs and a restart take 5 % in a day."""
    plant = Plant()
    plant.write_days(40)
    size = plant.engine.stats().segment_bytes
    rules = {"default": Rule(age_ns=30 * DAY_NS)}
    started_ns = 0
    for hour in range(47):
        if hour == 20:  # restarts cannot make a day pass
            plant.reopen()
            started_ns = hour * HOUR_NS
        report = plant.expire(
            rules,
            now_ns=NOW + jump_ns + hour * HOUR_NS,
            uptime_ns=hour * HOUR_NS - started_ns,
            force=False,
        )
        if hour in {0, 23}:  # 5 % of 40 days is 2; sizes differ a little
            assert plant.engine.stats().segment_bytes >= 0.92 * size
    plant.check()
    if jump_ns < 0:
        assert NOW - 39 * DAY_NS == min(plant.times())
        return
    assert 0.80 * size < plant.engine.stats().segment_bytes < 0.94 * size
    [held] = report.held
    assert "share" in held.why
    assert held.size > 0.7 * size
    forced = plant.expire(rules, now_ns=NOW + jump_ns)
    assert () == forced.held
    assert [] == plant.times()


def test_one_segment_of_all_days_is_cut_day_by_day_after_a_jump():
    """Where compaction under a wrong clock joined everything, a run still takes its share only."""
    plant = Plant()
    for day in range(20):
        at = NOW - (20 - day) * DAY_NS
        rows = [SampleRow(s, ValueType.FLOAT64, at + k * SECOND_NS, 1.0)
                for s in (A, B) for k in range(20)]  # fmt: skip
        plant.write(rows, [EventRow(EVENTS, at, bytes([day]) * 16, (f"U{day}",))])
    plant.clock.time_ns = NOW + 10 * YEAR_NS
    plant.engine.flush()
    assert 1 == len(plant.engine._state.segments)
    rules = {"default": Rule(age_ns=30 * DAY_NS)}
    options = {"now_ns": plant.clock.time_ns, "force": False}
    pins = (Pin(frozenset({plant.slots[B]}), NOW - 20 * DAY_NS, NOW - 19 * DAY_NS),)
    dry = plant.expire(rules, pins, dry_run=True, **options)
    report = plant.expire(rules, pins, **options)

    assert dry.classes == report.classes
    assert 21 + 41 == report.classes[0].rows  # what is not pinned of a day by share, and a day
    assert NOW - 18 * DAY_NS == min(plant.times(A))
    plant.check()
    for hour in range(1, 24):
        plant.uptime_ns = hour * HOUR_NS
        assert () == plant.expire(rules, pins, **options).rewritten
    plant.uptime_ns = DAY_NS
    assert plant.expire(rules, pins, **options).rewritten
    assert NOW - 18 * DAY_NS < min(plant.times(A)) <= NOW - 16 * DAY_NS
    assert [r for r in report.held if r.size]
    plant.check()


def test_a_server_that_is_restarted_every_night_gets_on():
    """The ledger grows older on disk too, an hour at a time."""
    plant = Plant()
    plant.write_days(40)
    rules = {"default": Rule(age_ns=30 * DAY_NS)}
    for _ in range(6):
        for hour in range(20):
            plant.expire(rules, uptime_ns=hour * HOUR_NS, force=False)
        plant.reopen()

    assert min(plant.times()) >= NOW - 35 * DAY_NS
    plant.check()


def test_a_deletion_is_forgotten_when_no_row_is_left_under_it():
    """One under rows that went, one under rows that stay, an erasure, one too new to say."""
    plant = Plant()
    plant.write_days(6)
    old = (NOW - 5 * DAY_NS, NOW - 5 * DAY_NS + 3 * SECOND_NS)
    plant.change(Verb.DELETE, A, *old)
    plant.change(Verb.ERASE, B, *old)
    plant.change(Verb.DELETE, A, NOW - 5 * DAY_NS, NOW - DAY_NS)  # half of it stays
    plant.engine.flush()
    plant.change(Verb.DELETE, B, NOW - 5 * DAY_NS, NOW - 4 * DAY_NS)  # in the log alone
    plant.check()  # a read takes it in
    plant.expire({"default": Rule(age_ns=3 * DAY_NS)})
    plant.check()
    verbs = [(one.stream_id, one.erase) for one in plant.engine._state.tombstones]
    assert sorted(verbs) == [
        (plant.slots[A], False),
        (plant.slots[B], False),
        (plant.slots[B], True),
    ]
    plant.engine.flush()
    plant.reopen()
    plant.check()
    assert 3 == len(plant.engine._state.tombstones)
    plant.expire({"default": Rule(age_ns=DAY_NS)})
    plant.write([SampleRow(A, ValueType.FLOAT64, NOW + HOUR_NS, 1.0)])
    plant.engine.flush()
    plant.reopen()
    assert [True] == [one.erase for one in plant.engine._state.tombstones]
    plant.check()


def test_damage_is_named_and_never_a_reason_to_delete():
    """A bad block in a segment to be rewritten leaves it; one that goes whole is named."""
    plant = Plant()
    plant.write_days(4)
    rules = {"default": Rule(age_ns=DAY_NS)}
    oldest = min(plant.engine._state.segments, key=lambda info: info.first)
    damage(plant, oldest, 80)
    plant.engine._reader.forget()
    pins = (Pin(frozenset({plant.slots[A]}), oldest.first, oldest.first + SECOND_NS),)
    left = plant.expire(rules, pins)

    assert (oldest.path,) == left.damaged
    assert oldest.path not in (*left.dropped, *left.rewritten)
    assert oldest.id in plant.engine._state.segments.ids
    assert left.dropped
    again = plant.expire(rules, pins)
    assert ((), (oldest.path,)) == (again.dropped, again.damaged)
    plant.reopen()
    plant.engine.verify()
    gone = plant.expire(rules)
    assert ((oldest.path,), (oldest.path,)) == (gone.dropped, gone.damaged)


def test_damage_does_not_stand_in_the_way_of_the_rest():
    """One day a day: the damaged one is left alone once it was found, and its turn goes on."""
    plant = Plant()
    plant.write_days(6)
    oldest = min(plant.engine._state.segments, key=lambda info: info.first)
    damage(plant, oldest, 80)
    plant.engine._reader.forget()
    pins = (Pin(frozenset({plant.slots[A]}), oldest.first, oldest.first + SECOND_NS),)
    counts = []
    for day in range(3):
        options = {"uptime_ns": day * DAY_NS, "force": False, "share": 0.0}
        report = plant.engine.expire({"default": Rule(age_ns=DAY_NS)}, pins, now_ns=NOW, **options)
        counts.append(len(report.dropped))

    assert [0, 1, 1] == counts


def test_a_segment_without_a_directory_goes_when_its_blocks_tell_all_of_it():
    """All of it is older than the rule: it goes, named; a pin of one of its streams holds it."""
    plant = Plant()
    plant.write_days(4)
    rules = {"default": Rule(age_ns=DAY_NS)}
    oldest = min(plant.engine._state.segments, key=lambda info: info.first)
    damage(plant, oldest, oldest.size - 70)
    plant.reopen()
    pin = Pin(frozenset({plant.slots[A]}), oldest.first, oldest.first + SECOND_NS)
    held = plant.expire(rules, (pin,))
    assert oldest.path not in held.dropped
    plant.reopen()
    gone = plant.expire(rules)

    assert ((oldest.path,), (oldest.path,)) == (gone.dropped, gone.damaged)


def test_a_segment_of_which_a_part_is_lost_never_goes():
    """Nobody can say of which streams the lost rows were, and so by which class they go."""
    plant = Plant()
    plant.write_days(4)
    oldest = min(plant.engine._state.segments, key=lambda info: info.first)
    plant.fs.open_write(oldest.path).truncate(300)
    plant.reopen()

    report = plant.expire({"default": Rule(age_ns=DAY_NS)})

    assert oldest.path not in report.dropped
    assert oldest.path in report.damaged
    assert plant.fs.exists(oldest.path)


def damage(plant, info, offset):
    """Flip a byte of a segment."""
    file = plant.fs.open_write(info.path)
    [byte] = file.read_at(offset, 1)
    file.write_at(offset, bytes([byte ^ 1]))


def test_a_run_that_is_called_off_leaves_nothing_behind():
    """The pace raises in the middle of a rewrite: all rows are there, no file is left over."""
    plant = Plant()
    plant.write_days(4)
    pins = (Pin(frozenset({plant.slots[A]}), *EVERYTHING),)

    def stop(size_bytes):
        raise EngineClosed("cannot go on: the server is ending")

    with pytest.raises(EngineClosed):
        plant.engine.expire(
            {"default": Rule(age_ns=DAY_NS)}, pins, now_ns=NOW, uptime_ns=0, force=True, pace=stop
        )
    plant.check()
    names = [n for p in plant.fs.list("segments") for n in plant.fs.list(f"segments/{p}")]
    assert len(plant.engine._state.segments) == len(names)


def test_refusals():
    """A share beyond one, a store opened for reading; a plan may be asked there."""
    plant = Plant()
    plant.write_days(3)
    with pytest.raises(InvalidArgument):
        plant.expire({}, share=1.5)
    plant.engine.close()
    reader = Engine.open(plant.fs, CONFIG, plant.clock, read_only=True)
    with pytest.raises(InvalidArgument):
        reader.expire({}, now_ns=NOW, uptime_ns=0)
    rules = {"default": Rule(age_ns=DAY_NS)}
    assert reader.expire(rules, now_ns=NOW, uptime_ns=0, dry_run=True).dropped
    reader.close()
