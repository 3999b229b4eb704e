"""engine_retention.py against the plain model, through power cuts and disks that refuse."""

import contextlib
import errno
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from storage_engine.changes import Verb
from storage_engine.engine import Engine
from storage_engine.errors import DiskError
from storage_engine.pins import Pin
from storage_engine.retention import Rule
from storage_engine.sample import ValueType
from storage_engine.testing import DAY_NS, SECOND_NS, EventRow, Producer, SampleRow

sys.path.insert(0, str(Path(__file__).parent))
from expiry_plant import CONFIG, EVENTS, HOUR_NS, NOW, YEAR_NS, A, B, Plant


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


@pytest.mark.parametrize("what", ["rename", "sync directory", "sync"])
def test_power_goes_right_after_a_disk_refused(what):
    """A commit that failed may have reached the disk: what it names must be there then."""
    for step in range(12):
        plant, rules, pins = expiring()
        calls = {"left": step}

        def fault(operation, path, calls=calls):
            if operation != what or "wal" in path:
                return None
            calls["left"] -= 1
            return errno.EIO if calls["left"] == -1 else None

        plant.fs.fault = fault
        with contextlib.suppress(DiskError):
            plant.expire(rules, pins)
        plant.fs.fault = None
        for told, disk in plant.fs.crash_states(plant.fs.position, limit=4):
            engine = Engine.open(disk, CONFIG, plant.clock)
            assert [] == engine.findings(), (step, told)
            assert 15 == len(plant.times(B, engine)), (step, told)
            found = plant.times(A, engine)
            assert [t for t in found if t >= NOW - DAY_NS][-6:], (step, told)
            kept = {NOW - 3 * DAY_NS, NOW - 3 * DAY_NS + SECOND_NS}
            assert kept <= set(found), (step, told)
            engine.close()


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
    summary_ns=st.none() | st.sampled_from([HOUR_NS, DAY_NS]),
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

    @rule(
        verb=st.sampled_from([Verb.DELETE, Verb.DELETE, Verb.ERASE]),
        slot=st.sampled_from([A, B, EVENTS]),
        start=st.sampled_from(TIMES),
        length=st.sampled_from([1, SECOND_NS, 60 * DAY_NS]),
    )
    def change(self, verb, slot, start, length):
        self.plant.change(verb, slot, start, start + length)

    @rule(years=st.sampled_from([0, 0, 0, 10]))
    def compact(self, years):
        """As the historian does beside the rules; now and then under a clock that jumped."""
        clock = self.plant.clock
        clock.time_ns += years * YEAR_NS
        self.plant.engine.compact(lambda size_bytes: None)
        clock.time_ns -= years * YEAR_NS

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
    max_examples=60,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestRetentionAgainstModel = RetentionMachine.TestCase
