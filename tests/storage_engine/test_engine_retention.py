"""engine_retention.py: rows go by rule, whole and for good, and everything else stays."""

import contextlib
import errno

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from storage_engine.config import EngineConfig
from storage_engine.engine import Engine
from storage_engine.errors import DiskError, EngineClosed, InvalidArgument
from storage_engine.frame import FLAG_OBSERVED, SlotKind
from storage_engine.pins import Pin
from storage_engine.recording import RecordingFileSystem
from storage_engine.retention import Rule
from storage_engine.sample import Column, ValueType
from storage_engine.testing import (
    DAY_NS,
    SECOND_NS,
    EventRow,
    Model,
    Producer,
    SampleRow,
    SetClock,
    plain_events,
    plain_samples,
)

CONFIG = EngineConfig(
    head_bytes_max=1 << 16,
    wal_file_bytes=8192,
    wal_pending_bytes_max=1 << 20,
    block_rows=8,
    free_bytes_min=0,
    block_cache_bytes=2048,
    record_time_step_ms=0,
)
EVERYTHING = (-(2**63), 2**63 - 1)
COLUMNS = (Column("unit", ValueType.TEXT),)
A, B, EVENTS = 0, 1, 2
NOW = SetClock().time_ns // DAY_NS * DAY_NS
HOUR_NS = 3600 * SECOND_NS
YEAR_NS = 365 * DAY_NS


class Plant:
    """An engine with two series and a kind of event, and the model of what it holds."""

    def __init__(self, fs=None):
        self.fs = fs or RecordingFileSystem()
        self.clock = SetClock(NOW)
        self.model = Model()
        self.producer = Producer(b"p" * 16)
        self.engine = Engine.open(self.fs, CONFIG, self.clock)
        self.slots = {
            A: self.engine.create_stream(b"a" * 16, SlotKind.SERIES, (_value(),)),
            B: self.engine.create_stream(b"b" * 16, SlotKind.SERIES, (_value(),)),
            EVENTS: self.engine.create_stream(b"e" * 16, SlotKind.EVENTS, COLUMNS),
        }
        self.engine.bind(b"p" * 16, 1, self.slots)
        self.uptime_ns = 0

    def write(self, samples=(), events=(), *, observed=True):
        """One durable frame."""
        flags = FLAG_OBSERVED if observed else 0
        frame = self.producer.frame(samples, events, COLUMNS, flags=flags)
        lsn = self.engine.append(frame).lsn
        self.engine.wait_durable(lsn)
        self.model.append(lsn, samples, events, slots=self.slots, observed=observed)

    def write_days(self, days, *, rows=10):
        """So many days back from now, flushed day by day."""
        for day in range(days - 1, -1, -1):
            at = NOW - day * DAY_NS
            samples = [
                SampleRow(slot, ValueType.FLOAT64, at + k * SECOND_NS, float(day * 100 + k))
                for slot in (A, B)
                for k in range(rows)
            ]
            self.write(samples, [EventRow(EVENTS, at, bytes([day % 256]) * 16, (f"U{day}",))])
            self.engine.flush()

    def expire(self, rules, pins=(), **options):
        """Run, and take from the model what the report says is gone."""
        options = {"now_ns": NOW, "uptime_ns": self.uptime_ns, "force": True, **options}
        report = self.engine.expire(rules, pins, **options)
        if not report.dry_run:
            self.forget(report, pins)
        return report

    def forget(self, report, pins):
        """Rows of a class before its cut are gone from the model, pinned ones apart."""
        cuts = {c.retention_class: c.cut_ns for c in report.classes if c.cut_ns is not None}
        for stored in (self.model.samples, self.model.events):
            for stream_id, rows in stored.items():
                cut = cuts.get(self.engine.streams()[stream_id].retention_class)
                if cut is not None:
                    stored[stream_id] = [
                        row for row in rows if row[0] >= cut or _pinned(pins, stream_id, row[0])
                    ]

    def check(self, engine=None):
        """The engine holds what the model holds, revisions included."""
        engine = engine or self.engine
        for slot in (A, B):
            stream = self.slots[slot]
            expected = self.model.read(stream, *EVERYTHING, engine.durable_lsn, every=True)
            found = engine.read(stream, *EVERYTHING, all_revisions=True)
            assert expected == plain_samples(found)
            plain = self.model.read(stream, *EVERYTHING, engine.durable_lsn)
            assert plain == plain_samples(engine.read(stream, *EVERYTHING))
        stream = self.slots[EVENTS]
        expected = self.model.read_events(stream, *EVERYTHING, engine.durable_lsn)
        assert expected == plain_events(engine.read_events(stream, *EVERYTHING))

    def times(self, slot=A, engine=None):
        """Times that a series has samples at."""
        return (engine or self.engine).read(self.slots[slot], *EVERYTHING).timestamp_ns.tolist()

    def reopen(self):
        """Close and open again."""
        self.engine.close()
        self.engine = Engine.open(self.fs, CONFIG, self.clock)


def _value():
    return Column("value", ValueType.FLOAT64)


def _pinned(pins, stream_id, time_ns):
    return any(
        pin.start_ns <= time_ns < pin.end_ns and (pin.streams is None or stream_id in pin.streams)
        for pin in pins
    )


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


def test_a_segment_without_a_directory_goes_by_what_the_manifest_says():
    """All of it is older than the rule: it goes, named; a pin over it holds it."""
    plant = Plant()
    plant.write_days(4)
    rules = {"default": Rule(age_ns=DAY_NS)}
    oldest = min(plant.engine._state.segments, key=lambda info: info.first)
    damage(plant, oldest, oldest.size - 70)
    plant.reopen()
    held = plant.expire(rules, (Pin(frozenset({999}), oldest.first, oldest.first + 1),))
    gone = plant.expire(rules)

    assert oldest.path not in held.dropped
    assert ((oldest.path,), (oldest.path,)) == (gone.dropped, gone.damaged)


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


def expiring(fs=None):
    """Five days, one series pinned in part and one moved; the expiry is still to come."""
    plant = Plant(fs)
    plant.write_days(5, rows=3)
    plant.engine.set_stream(plant.slots[B], retention_class="long")
    return plant, {"default": Rule(age_ns=DAY_NS)}, (
        Pin(frozenset({plant.slots[A]}), NOW - 3 * DAY_NS, NOW - 3 * DAY_NS + 2 * SECOND_NS),
    )  # fmt: skip


def test_a_power_cut_during_expiry_leaves_rows_and_their_rule():
    """Whatever the disk kept: each day is there as before or gone by rule, the rest untouched."""
    plant, rules, pins = expiring()
    before = {slot: plant.times(slot) for slot in (A, B)}
    start = plant.fs.position
    plant.expire(rules, pins)
    after = {slot: plant.times(slot) for slot in (A, B)}
    assert len(after[A]) < len(before[A])
    assert after[B] == before[B]
    end = plant.fs.position
    seen, states = set(), 0
    for moment in range(start, end + 1):
        for what, disk in plant.fs.crash_states(moment, limit=5):
            engine = Engine.open(disk, CONFIG, plant.clock)
            assert [] == engine.findings(), what
            assert before[B] == plant.times(B, engine), what
            found = plant.times(A, engine)
            assert set(after[A]) <= set(found) <= set(before[A]), what
            gone = set(before[A]) - set(found)
            horizon = engine.horizons().get("default")
            assert not gone or (horizon is not None and max(gone) < horizon), what
            for day in {time // DAY_NS for time in gone}:  # never half a day
                assert all(t in gone or t in after[A] for t in before[A] if t // DAY_NS == day)
            seen.add(len(found))
            engine.close()
            states += 1
    assert states > 60
    assert {len(before[A]), len(after[A])} <= seen


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_refuses_ends_the_run_and_loses_nothing(number):
    """The Nth write, sync, create or rename fails: nothing else is lost, the next run goes on."""
    for step in range(60):
        plant, rules, pins = expiring()
        calls = {"left": step, "hit": False}

        def fault(operation, path, calls=calls):
            if operation in {"read", "open", "remove"} or "wal" in path:
                return None
            calls["left"] -= 1
            calls["hit"] |= calls["left"] == -1
            return number if calls["left"] == -1 else None

        before = set(plant.times(A))
        plant.fs.fault = fault
        with contextlib.suppress(DiskError):
            plant.expire(rules, pins)
        plant.fs.fault = None
        assert set(plant.times(A)) <= before
        assert 15 == len(plant.times(B))
        report = plant.expire(rules, pins)
        assert not report.held
        plant.check()
        plant.reopen()
        plant.check()
        plant.engine.close()
        if not calls["hit"]:
            assert step > 10
            return
    raise AssertionError("the run never got through")


OFFSETS = [0, 1, DAY_NS, 2 * DAY_NS, 5 * DAY_NS, 40 * DAY_NS, 100 * DAY_NS, 900 * DAY_NS]
TIMES = [NOW - back + k * SECOND_NS for back in OFFSETS for k in range(3)]
sample_rows = st.lists(
    st.builds(
        SampleRow,
        slot=st.sampled_from([A, B]),
        type=st.just(ValueType.FLOAT64),
        time_ns=st.sampled_from(TIMES),
        value=st.sampled_from([0.0, 1.0, 2.0]),
    ),
    max_size=12,
)
event_rows = st.lists(
    st.builds(
        EventRow,
        slot=st.just(EVENTS),
        time_ns=st.sampled_from(TIMES),
        event_id=st.sampled_from([bytes([k]) * 16 for k in range(3)]),
        values=st.tuples(st.sampled_from(["U1", "U2"])),
    ),
    max_size=4,
)
some_rule = st.builds(
    Rule,
    age_ns=st.none() | st.sampled_from([SECOND_NS, DAY_NS, 30 * DAY_NS, 400 * DAY_NS]),
    bytes_max=st.none() | st.sampled_from([0, 2000, 8000]),
)


class RetentionMachine(RuleBasedStateMachine):
    """Writes, corrections, moves between classes, pins, expiry, flushes, reopens, power cuts."""

    @initialize()
    def open(self):
        self.plant = Plant()
        self.pins = ()

    @rule(samples=sample_rows, events=event_rows, observed=st.booleans())
    def write(self, samples, events, observed):
        self.plant.write(samples, events, observed=observed)

    @rule()
    def flush(self):
        self.plant.engine.flush()

    @rule(slot=st.sampled_from([A, B, EVENTS]), name=st.sampled_from(["default", "x", "y"]))
    def move(self, slot, name):
        self.plant.engine.set_stream(self.plant.slots[slot], retention_class=name)

    @rule(
        windows=st.lists(
            st.tuples(
                st.none() | st.sampled_from([A, B, EVENTS]),
                st.sampled_from(TIMES),
                st.sampled_from([1, SECOND_NS, 3 * DAY_NS]),
            ),
            max_size=3,
        )
    )
    def pin(self, windows):
        slots = self.plant.slots
        self.pins = tuple(
            Pin(None if slot is None else frozenset({slots[slot]}), start, start + length)
            for slot, start, length in windows
        )

    @rule(
        rules=st.dictionaries(st.sampled_from(["default", "x", "y"]), some_rule),
        force=st.booleans(),
        share=st.sampled_from([0.0, 0.05, 0.5]),
        later=st.sampled_from([0, HOUR_NS, DAY_NS]),
    )
    def expire(self, rules, force, share, later):
        plant = self.plant
        plant.engine.flush()
        plant.uptime_ns += later
        report = plant.expire(rules, self.pins, force=force, share=share)
        for told in report.classes:
            if told.cut_ns is None:
                continue
            limit = rules[told.retention_class]
            if limit.bytes_max is None:
                assert told.cut_ns <= NOW - limit.age_ns
        if force:
            again = plant.expire(rules, self.pins, force=True, dry_run=True)
            assert () == again.held
            if all(r.bytes_max is None for r in rules.values()):
                assert ((), ()) == (again.dropped, again.rewritten)

    @rule()
    def reopen(self):
        self.plant.reopen()
        assert [] == self.plant.engine.findings()

    @rule()
    def power_cut(self):
        plant = self.plant
        _, plant.fs = next(iter(plant.fs.crash_states(len(plant.fs.log), limit=2)))
        plant.engine = Engine.open(plant.fs, CONFIG, plant.clock)
        assert [] == plant.engine.findings()
        state = plant.engine.producer(b"p" * 16)
        plant.producer = Producer(
            b"p" * 16,
            sequence=state.sequence if state else 0,
            previous_crc=state.crc if state else 0,
        )
        plant.engine.bind(b"p" * 16, 1, plant.slots)

    @invariant()
    def the_engine_holds_what_the_model_holds(self):
        if hasattr(self, "plant"):
            self.plant.check()


RetentionMachine.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestRetentionAgainstModel = RetentionMachine.TestCase
