"""engine_summaries.py: what is left of rows that went is right, there once, and goes with them."""

import contextlib
import errno
import sys
from pathlib import Path

import pytest

from storage_engine.changes import Verb
from storage_engine.engine import Engine
from storage_engine.errors import DiskError, EngineClosed, InvalidArgument
from storage_engine.frame import SlotKind
from storage_engine.pins import Pin
from storage_engine.recording_tree import RecordingTree
from storage_engine.restore import restore_backup
from storage_engine.retention import Rule
from storage_engine.sample import Column, ValueType
from storage_engine.subtree import Below
from storage_engine.summaries import companion_uuid
from storage_engine.testing import DAY_NS, SECOND_NS, SampleRow

sys.path.insert(0, str(Path(__file__).parent))
from expiry_plant import CONFIG, EVERYTHING, HOUR_NS, NOW, A, B, Plant
from summary_plant import check_rows, expected, fill, samples, stored

F64 = ValueType.FLOAT64
RULES = {"default": Rule(age_ns=2 * DAY_NS, summary_ns=HOUR_NS)}
MINUTE_NS = 60 * SECOND_NS


def test_what_went_is_told_per_interval_as_loops_over_the_rows_tell_it():
    """Bad, uncertain, null, NaN and corrected samples of two series; a dry run counts the rows."""
    plant = Plant()
    fill(plant)
    wanted = {slot: expected([r for r in samples(plant, slot) if r[0] < NOW - 2 * DAY_NS])
              for slot in (A, B)}  # fmt: skip
    before = plant.fs.position
    dry = plant.expire(RULES, dry_run=True)
    assert before == plant.fs.position
    wet = plant.expire(RULES)

    assert dry.classes == wet.classes
    assert sum(map(len, wanted.values())) == wet.classes[0].summary_rows
    assert min(plant.times()) >= NOW - 2 * DAY_NS
    for slot in (A, B):
        check_rows(stored(plant, slot), wanted[slot])
    plant.reopen()
    assert 0 == plant.expire(RULES).classes[0].summary_rows
    for slot in (A, B):
        check_rows(stored(plant, slot), wanted[slot])
    info = next(i for i in plant.engine.streams().values() if i.retention_class[:4] == "summ")
    assert ("summaries/default", SlotKind.EVENTS) == (info.retention_class, info.kind)


@pytest.mark.parametrize(
    ("value_type", "values"),
    [
        (ValueType.INT64, [2**62 + 1, 2**62, -(2**63) + 1]),
        (ValueType.UINT64, [2**64 - 1, 2**63, 1]),
        (ValueType.BOOL, [True, False, True]),
        (ValueType.FLOAT32, [1.5, -2.5, 0.25]),
    ],
)
def test_extremes_are_exact_in_the_type_of_the_series(value_type, values):
    """Whole numbers beyond 2**53, booleans, single floats."""
    plant = Plant()
    columns = (Column("value", value_type),)
    plant.slots[A] = plant.engine.create_stream(b"t" * 16, SlotKind.SERIES, columns)
    plant.engine.bind(b"p" * 16, 1, {A: plant.slots[A]})
    rows = [
        SampleRow(A, value_type, NOW - 9 * DAY_NS + k * SECOND_NS, v) for k, v in enumerate(values)
    ]
    plant.write(rows)
    plant.engine.flush()
    plant.expire(RULES)

    [(_, row)] = stored(plant).values()
    assert (min(values), max(values)) == (row["minimum"], row["maximum"])
    assert (values[0], values[-1]) == (row["first"], row["last_good"])


def test_only_whole_intervals_go_and_none_that_is_not_over():
    """The cut falls between two segments of one hour: both stay until the hour is old enough."""
    plant = Plant()
    hour = NOW - 3 * DAY_NS
    for minute in (10, 50):
        plant.write([SampleRow(A, F64, hour + minute * MINUTE_NS, float(minute))])
        plant.engine.flush()
    cut_ns = hour + 30 * MINUTE_NS
    plant.expire(RULES, now_ns=cut_ns + 2 * DAY_NS)
    assert 2 == len(plant.times())
    assert {} == stored(plant)
    plain = {"default": Rule(age_ns=2 * DAY_NS)}
    assert 1 == plant.expire(plain, now_ns=cut_ns + 2 * DAY_NS, dry_run=True).classes[0].rows
    budget = {"default": Rule(bytes_max=0, summary_ns=HOUR_NS)}
    assert 0 == plant.expire(budget, now_ns=cut_ns, dry_run=True).classes[0].rows
    plant.expire(RULES, now_ns=hour + HOUR_NS + 2 * DAY_NS)
    assert [] == plant.times()
    [(length, row)] = stored(plant).values()
    assert (HOUR_NS, 2, 10.0, 50.0) == (length, row["good"], row["minimum"], row["maximum"])


def test_a_summary_is_made_once_whatever_comes_late_or_is_pinned():
    """Late rows of an interval that is summarised go without a word; a new interval gets a row."""
    plant = Plant()
    fill(plant)
    pins = (Pin(None, NOW - 4 * DAY_NS, NOW - 3 * DAY_NS),)
    plant.expire(RULES, pins)
    before = stored(plant)
    assert min(plant.times()) < NOW - 3 * DAY_NS
    hour = min(before)
    plant.write([SampleRow(A, F64, hour + 7, 1.0), SampleRow(A, F64, NOW - 9 * DAY_NS, 2.0)])
    plant.engine.flush()
    report = plant.expire(RULES)

    assert min(plant.times()) >= NOW - 2 * DAY_NS
    assert 1 == report.classes[0].summary_rows
    after = stored(plant)
    assert 2.0 == after.pop(NOW - 9 * DAY_NS)[1]["last"]
    assert before == after


def test_intervals_of_another_length_lie_around_those_that_are_there():
    """Hours of half a day, then days: the rest of the day is one shorter interval."""
    plant = Plant()
    day = NOW - 9 * DAY_NS
    plant.write([SampleRow(A, F64, day + k * HOUR_NS, float(k)) for k in range(12)])
    plant.engine.flush()
    plant.write([SampleRow(A, F64, day + k * HOUR_NS + 1, float(k)) for k in range(12, 24)])
    plant.engine.flush()
    plant.expire(RULES, now_ns=day + 12 * HOUR_NS + 2 * DAY_NS)
    assert 12 == len(stored(plant))
    plant.expire({"default": Rule(age_ns=2 * DAY_NS, summary_ns=DAY_NS)})

    found = stored(plant)
    assert 13 == len(found)
    length, row = found[day + 12 * HOUR_NS]
    assert (12 * HOUR_NS, 12) == (length, row["good"])


@pytest.mark.parametrize("verb", [Verb.DELETE, Verb.ERASE])
def test_a_removal_takes_the_summaries_that_it_touches(verb):
    """Of the window, of the interval it begins in, no other; after a reopen and a rewrite too."""
    plant = Plant()
    fill(plant)
    plant.expire(RULES)
    before = stored(plant)
    starts = sorted(before)
    start = starts[3] + HOUR_NS - 1
    plant.change(verb, A, start, starts[5])
    kept = {t: row for t, row in before.items() if t + HOUR_NS <= start or t >= starts[5]}
    assert len(before) - 2 == len(kept)
    assert kept == stored(plant)
    assert len(stored(plant, B)) > len(kept) - 20
    plant.engine.flush()
    plant.reopen()
    plant.engine.compact(lambda size_bytes: None)
    assert kept == stored(plant)
    plant.write([SampleRow(A, F64, starts[4] + 5, 8.5)])  # written again: summarised again
    plant.engine.flush()
    plant.expire(RULES)
    assert 8.5 == stored(plant)[starts[4]][1]["sum"]


def test_a_removal_while_summaries_are_made_is_seen_by_them():
    """Erased after its rows were read, before the commit: the summary is not seen."""
    plant = Plant()
    fill(plant, days=3)
    done = []
    window = (NOW - 3 * DAY_NS, NOW - 3 * DAY_NS + 12 * HOUR_NS)

    def pace(size_bytes):
        if plant.engine.companion(plant.slots[A]) and not done and size_bytes > 5_000:
            done.append(size_bytes)
            plant.change(Verb.ERASE, A, window[0] + 1, window[1])

    plant.expire(RULES, pace=pace)
    assert done
    found = stored(plant)
    assert found
    assert min(found) >= window[1]
    assert min(stored(plant, B)) < window[1]


def test_a_removal_of_rows_that_are_not_summarised_is_one_change():
    """Behind the horizon there is nothing to take along."""
    plant = Plant()
    fill(plant)
    plant.expire(RULES)
    before = stored(plant)
    for reopened in (False, True):
        if reopened:
            plant.reopen()
        plant.change(Verb.DELETE, A, NOW - DAY_NS, NOW)
        changes = plant.engine.read_events(plant.engine.changes_stream(), *EVERYTHING)
        assert {plant.slots[A]} == set(changes.data["stream"].value.tolist())
    plant.change(Verb.DELETE, A, min(before) + 1, min(before) + 2)  # in a process without a run
    assert min(stored(plant)) > min(before)


def test_a_summary_read_as_known_before_it_was_made_is_none():
    """Summaries are known from their lsn on."""
    plant = Plant()
    fill(plant)
    lsn = plant.engine.durable_lsn
    plant.expire(RULES)
    assert 0 == len(plant.engine.summaries(plant.slots[A], *EVERYTHING, known_at_lsn=lsn))
    assert len(plant.engine.summaries(plant.slots[A], *EVERYTHING))


def test_compaction_backup_and_restore_keep_summaries():
    """Into months, into a backup, out of it: the same rows under the same uuid."""
    plant = Plant()
    fill(plant, days=24, per_day=5)
    plant.expire(RULES)
    before = {slot: stored(plant, slot) for slot in (A, B)}
    plant.clock.time_ns = NOW + 70 * DAY_NS
    assert plant.engine.compact(lambda size_bytes: None).jobs
    assert before == {slot: stored(plant, slot) for slot in (A, B)}
    names = {i.partition for i in plant.engine._state.segments if "summ" in i.retention_class}
    assert {"2025-05", "2025-06"} == names
    repository = RecordingTree()
    plant.engine.backup(repository, "one")
    target = RecordingTree()
    options = {"config": CONFIG, "clock": plant.clock}
    restore_backup(repository, "one", target, "data", **options)
    for fs in (Below(repository, "one/engine"), Below(target, "data/engine")):
        engine = Engine.open(fs, CONFIG, plant.clock, read_only=True)
        assert before == {slot: stored(plant, slot, engine) for slot in (A, B)}
        engine.close()


def test_summaries_have_an_age_of_their_own():
    """They go by the rule of their class."""
    plant = Plant()
    fill(plant)
    plant.expire(RULES)
    assert min(stored(plant)) < NOW - 3 * DAY_NS
    plant.expire({**RULES, "summaries/default": Rule(age_ns=3 * DAY_NS)})
    assert min(stored(plant)) >= NOW - 3 * DAY_NS


def test_a_power_cut_leaves_raw_or_summaries_and_never_both_counted():
    """At every operation of a run: every interval has its rows or its one right summary."""
    plant = Plant()
    fill(plant, days=3, per_day=6)
    rows = [r for r in samples(plant) if r[0] < NOW - 2 * DAY_NS]
    wanted, young = expected(rows), [t for t in plant.times() if t >= NOW - 2 * DAY_NS]
    start = plant.fs.position
    plant.expire(RULES)
    seen = set()
    for moment in range(start, plant.fs.position + 1):
        for what, disk in plant.fs.crash_states(moment, limit=4):
            engine = Engine.open(disk, CONFIG, plant.clock)
            assert [] == engine.findings(), what
            times, found = plant.times(A, engine), stored(plant, A, engine)
            assert young == [t for t in times if t >= NOW - 2 * DAY_NS], what
            if found:
                check_rows(found, wanted)
                horizon = engine.horizons()["default"]
                assert all(t < horizon for t in times if t < NOW - 2 * DAY_NS)
            else:
                assert [r[0] for r in rows] == [t for t in times if t not in young], what
            seen.add(bool(found))
            engine.close()
    assert {True, False} == seen


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_refuses_costs_nothing(number):
    """The Nth write, sync, create or rename fails: raw or summaries, and the next run goes on."""
    for step in range(80):
        plant = Plant()
        fill(plant, days=3, per_day=4)
        wanted = expected([r for r in samples(plant) if r[0] < NOW - 2 * DAY_NS])
        calls = {"left": step, "hit": False}

        def fault(operation, path, calls=calls):
            if operation in {"read", "open", "remove"} or "wal" in path:
                return None
            calls["left"] -= 1
            calls["hit"] |= calls["left"] == -1
            return number if calls["left"] == -1 else None

        plant.fs.fault = fault
        with contextlib.suppress(DiskError):
            plant.expire(RULES)
        plant.fs.fault = None
        if not stored(plant):
            assert set(wanted) <= {t // HOUR_NS * HOUR_NS for t in plant.times()}, step
        plant.expire(RULES)
        check_rows(stored(plant), wanted)
        plant.reopen()
        check_rows(stored(plant), wanted)
        plant.engine.close()
        if not calls["hit"]:
            assert step > 10
            return
    raise AssertionError("the run never got through")


def test_a_run_that_is_called_off_leaves_no_file():
    """The pace raises behind the first summaries."""
    plant = Plant()
    fill(plant)

    def stop(size_bytes):
        if size_bytes > 5_000:
            raise EngineClosed("cannot go on: the server is ending")

    with pytest.raises(EngineClosed):
        plant.expire(RULES, pace=stop)
    assert {} == stored(plant)
    names = [n for p in plant.fs.list("segments") for n in plant.fs.list(f"segments/{p}")]
    assert len(plant.engine._state.segments) == len(names)


def test_refusals():
    """Intervals that do not divide a day; a series that is unknown."""
    with pytest.raises(InvalidArgument, match="part of a day"):
        Rule(summary_ns=7 * HOUR_NS)
    plant = Plant()
    with pytest.raises(InvalidArgument):
        plant.engine.summaries(99, *EVERYTHING)
    assert plant.engine.summaries(plant.slots[A], *EVERYTHING) is None
    assert 16 == len(companion_uuid(b"a" * 16))
