"""retention.py: who is kept how long, by name and by group; units on hold; runs and clocks."""

import asyncio
import sqlite3

import numpy as np
import pytest

from historian.catalog_database import _SCHEMA, Database
from historian.catalog_records import TagDraft
from historian.catalog_retention import RetentionCatalog
from historian.clock import SystemClock
from historian.config import parse_config
from historian.errors import Conflict, NotFound, RequestInvalid
from historian.genealogy.records import UnknownUnit
from historian.genealogy.testing import Event
from historian.ingest import SeriesInput
from historian.retention_rules import Assignment, Assignments, RetentionClass
from historian.runtime import Historian
from query.request import RawRequest
from storage_engine.recording import RecordingFileSystem
from storage_engine.retention import DAY_NS
from storage_engine.sample import ColumnData, ValueType

SECOND_NS = 1_000_000_000
NOW = 20_000 * DAY_NS


class SetClock(SystemClock):
    """Time of day and uptime as they were set; sleeping is real and short."""

    def __init__(self):
        self.time_ns = NOW
        self.uptime_s = 0.0

    def now_ns(self):
        """Time of day."""
        return self.time_ns

    def monotonic_s(self):
        """Uptime."""
        return self.uptime_s

    async def sleep(self, seconds):
        """A moment."""
        await super().sleep(min(seconds, 0.02))

    def wait(self, seconds):
        """Both go on."""
        self.time_ns += int(seconds * 1e9)
        self.uptime_s += seconds


TABLES = {
    "store": {"path": "store", "free_bytes_min": 0},
    "retention": {"enabled": False, "hold_margin_s": 10.0},
    "stations": [
        {"name": "ST10", "tags": ["st10/*"]},
        {"name": "ST20", "tags": ["st20/torque"]},
    ],
}


class Plant:
    """A historian on a disk in memory, with ten days of samples of three tags."""

    def __init__(self, folder, **tables):
        self.clock = SetClock()
        self.fs = RecordingFileSystem()
        self.config = parse_config({**TABLES, **tables}, base=folder)

    def run(self, work):
        """Open, start, work, stop."""

        async def main():
            historian = Historian.open(self.config, self.clock, filesystem=self.fs)
            try:
                await historian.start()
                await work(historian)
            finally:
                await historian.stop()

        asyncio.run(main())

    async def write(self, historian, days=10, tags=("st10/force", "st20/torque", "hall/temp")):
        """A sample every tenth of a day, flushed day by day."""
        for tag in tags:
            if historian.catalog.find(tag) is None:
                historian.catalog.declare_tag(TagDraft(tag, ValueType.FLOAT64), "ann")
        for day in range(days - 1, -1, -1):
            time = NOW - day * DAY_NS - np.arange(10, 0, -1, dtype=np.int64) * (DAY_NS // 10)
            series = [
                SeriesInput(
                    tag,
                    time,
                    np.zeros(10, np.uint32),
                    ColumnData(ValueType.FLOAT64, np.arange(10.0)),
                )
                for tag in tags
            ]
            await historian.ingest.put_samples(series, "ann")
            await asyncio.to_thread(historian.engine.flush)

    async def visit(self, historian, unit, station, start_ns):
        """A unit at a station for eight seconds."""
        at = {"unit": unit, "station": station}
        for number, (kind, after_s) in enumerate(
            [("unit_arrived", 0), ("work_started", 2), ("work_completed", 6), ("unit_departed", 8)]
        ):
            event = Event(kind, start_ns + after_s * SECOND_NS, at, number)
            await historian.ingest.put_events(event.batch(), "mes")


def times(historian, tag):
    """Times of the samples that a tag has."""
    return historian.query.raw(RawRequest(tag, -DAY_NS, NOW + DAY_NS)).columns.timestamp_ns


def count(historian, tag):
    """Samples that a tag has."""
    return len(times(historian, tag))


async def until(done):
    """Wait for the historian's own round to do it."""
    for _ in range(500):
        if done():
            return
        await asyncio.sleep(0.02)
    raise TimeoutError("it never came")


def put(historian, name, days=None, bytes_max=None):
    """Make a class."""
    age_ns = None if days is None else int(days * DAY_NS)
    historian.retention.stored.put_class(RetentionClass(name, age_ns, bytes_max), "ann")


@pytest.mark.parametrize(
    ("name", "asset", "expected"),
    [
        ("st10/force", "", "one"),
        ("st10/other", "", "station"),
        ("st10/other", "plant/line1/st10", "asset"),  # the path says more than the pattern
        ("st10/other", "plant/line1/st1", "line"),
        ("st20/x", "plant/line1/st20", "line"),
        ("st20/x", "plant/line10", "default"),  # a path, not the beginning of a word
        ("hall", "", "default"),
        ("x.force", "", "force"),
    ],
)
def test_the_name_decides_then_the_group_that_says_most_then_the_default(name, asset, expected):
    """Tag before group, longest group first."""
    assigned = Assignments(
        [
            Assignment("tag", "st10/force", "one"),
            Assignment("pattern", "st10/*", "station"),
            Assignment("pattern", "*force", "force"),
            Assignment("asset", "plant/line1", "line"),
            Assignment("asset", "plant/line1/st10", "asset"),
            Assignment("event", "vision_event", "seen"),
        ]
    )

    assert expected == assigned.class_of_tag(name, asset)
    assert ("seen", "events") == tuple(
        assigned.class_of_event(kind) for kind in ("vision_event", "unit_created")
    )


def test_streams_follow_their_assignments_also_of_tags_that_come_later(tmp_path):
    """Assigned now, made later, moved by an edit of the asset: the engine has the class."""
    plant = Plant(tmp_path)

    async def work(historian):
        def class_of(tag):
            stream = historian.catalog.find(tag).series[0].stream_id
            return historian.engine.streams()[stream].retention_class

        stored = historian.retention.stored
        await plant.write(historian, days=1)
        put(historian, "short", 3)
        stored.assign("pattern", "st10/*", "short", "ann")
        stored.assign("asset", "plant/hall", "short", "ann")
        await asyncio.to_thread(historian.retention.apply)
        assert ("short", "default") == (class_of("st10/force"), class_of("hall/temp"))
        historian.catalog.declare_tag(TagDraft("st10/new", ValueType.BOOL), "ann")
        historian.catalog.edit_tag("hall/temp", {"asset": "plant/hall/north"}, "ann")
        await until(lambda: {class_of("st10/new"), class_of("hall/temp")} == {"short"})
        stored.assign("pattern", "st10/*", None, "ann")
        await asyncio.to_thread(historian.retention.apply)
        assert "default" == class_of("st10/new")
        kinds = historian.retention._event_streams()
        assert {"events"} == {historian.engine.streams()[s].retention_class for s in kinds.values()}
        assert 0 == historian.retention.apply()

    plant.run(work)


def test_every_change_is_in_the_audit(tmp_path):
    """Who, what it was, what it is; what changes nothing leaves nothing."""
    plant = Plant(tmp_path)

    async def work(historian):
        stored, audit = historian.retention.stored, historian.catalog.database.audit
        put(historian, "short", 3)
        put(historian, "short", 3)
        put(historian, "short", 4)
        stored.assign("tag", "a", "short", "bob")
        stored.assign("tag", "a", "short", "bob")
        stored.assign("tag", "a", None, "bob")
        told = [(e.principal, e.action, e.subject) for e in audit(limit=4)][::-1]
        assert told == [
            ("ann", "put retention class", "short"),
            ("ann", "put retention class", "short"),
            ("bob", "assign retention", "tag a"),
            ("bob", "assign retention", "tag a"),
        ]
        changed = audit(limit=3)[2]
        ages = (changed.before["age_ns"], changed.after["age_ns"])
        assert (3 * DAY_NS, 4 * DAY_NS) == ages

    plant.run(work)


def test_what_cannot_be_is_refused_and_changes_nothing(tmp_path):
    """Unknown classes, kinds and tags; names and limits that cannot be; classes in use."""
    plant = Plant(tmp_path)

    async def work(historian):
        stored, holds = historian.retention.stored, historian.retention.holds
        put(historian, "short", 3)
        stored.assign("tag", "a", "short", "ann")
        for wanted in (
            RetentionClass(""),
            RetentionClass("changes"),
            RetentionClass("a/b"),
            RetentionClass("x" * 101),
            RetentionClass("x", age_ns=0),
            RetentionClass("x", bytes_max=-1),
        ):
            with pytest.raises(RequestInvalid):
                stored.put_class(wanted, "ann")
        for refused, arguments in (
            (RequestInvalid, ("group", "x", "short")),
            (RequestInvalid, ("tag", "", "short")),
            (RequestInvalid, ("event", "no such", "short")),
            (NotFound, ("tag", "x", "none")),
            (NotFound, ("tag", "x", None)),
        ):
            with pytest.raises(refused):
                stored.assign(*arguments, "ann")
        for name, refused in (("short", Conflict), ("default", Conflict), ("none", NotFound)):
            with pytest.raises(refused):
                stored.remove_class(name, "ann")
        told = {"until_ns": None, "reason": "complaint", "principal": "ann"}
        with pytest.raises(NotFound):
            holds.hold_window(["none/*"], 0, 1, **told)
        with pytest.raises(UnknownUnit):
            holds.hold_unit("none", "", **told)
        await plant.write(historian, days=1)
        for wrong in ({"reason": ""}, {"until_ns": NOW}):
            with pytest.raises(RequestInvalid):
                holds.hold_window(["hall/temp"], 0, 1, **{**told, **wrong})
        with pytest.raises(NotFound):
            stored.release(7, "ann")
        assert [] == stored.holds()
        assert ["default", "events", "short"] == [c.name for c in stored.classes()]

    plant.run(work)


def test_a_plan_tells_a_run_does_and_a_report_is_kept(tmp_path):
    """Three days of one tag are kept, everything of the others."""
    plant = Plant(tmp_path)

    async def work(historian):
        await plant.write(historian)
        put(historian, "short", 3)
        historian.retention.stored.assign("tag", "st10/force", "short", "ann")
        await asyncio.to_thread(historian.retention.apply)
        plan = await asyncio.to_thread(historian.retention.plan, force=True)
        assert (100, 100) == (count(historian, "st10/force"), count(historian, "hall/temp"))
        report = await asyncio.to_thread(historian.retention.run, "ann", force=True)

        assert (30, 100) == (count(historian, "st10/force"), count(historian, "hall/temp"))
        [plan.pop(key) for key in ("dry_run",)]
        for key in plan:
            assert plan[key] == report[key], key
        assert 70 == report["rows"]
        [kept] = historian.retention.stored.runs()
        assert ("ann", 70) == (kept["principal"], kept["rows"])
        assert "run retention" == historian.catalog.database.audit(limit=1)[0].action

    plant.run(work)


def test_a_unit_on_hold_keeps_what_was_measured_at_its_stations(tmp_path):
    """Its stations' tags around its visits, until it is released; other tags go."""
    plant = Plant(tmp_path)
    at = NOW - 7 * DAY_NS - DAY_NS // 10  # a sample's time
    later = NOW - 6 * DAY_NS - DAY_NS // 10

    async def work(historian):
        await plant.write(historian)
        await plant.visit(historian, "SN1", "ST10", at - 4 * SECOND_NS)
        await plant.visit(historian, "SN1", "ST20", later + 9 * SECOND_NS)  # within the margin
        put(historian, "default", 3)
        put(historian, "events", 3)
        await asyncio.to_thread(historian.engine.flush)
        held = historian.retention.holds.hold_unit(
            "SN1", "", until_ns=None, reason="complaint 17", principal="ann"
        )
        assert {"ST10", "ST20", ""} == {station for station, _, _ in held.windows}
        await asyncio.to_thread(historian.retention.run, "ann", force=True)
        counts = [count(historian, t) for t in ("st10/force", "st20/torque", "hall/temp")]
        assert [31, 31, 30] == counts
        assert at == times(historian, "st10/force")[0]
        assert 2 == len(historian.genealogy.visits("SN1"))
        historian.genealogy.rebuild()  # its events were kept too
        assert 2 == len(historian.genealogy.visits("SN1"))
        historian.retention.stored.release(held.id, "bob")
        await asyncio.to_thread(historian.retention.run, "ann", force=True)
        assert [30, 30] == [count(historian, t) for t in ("st10/force", "st20/torque")]

    plant.run(work)
    plant.run(_released)


async def _released(historian):
    """The release is remembered by a restart."""
    [hold] = historian.retention.stored.holds()
    assert hold.released_ns is not None
    assert [] == historian.retention.holds.pins(NOW)


def test_a_hold_follows_its_unit_and_ends_on_its_day(tmp_path):
    """A visit after the hold was made is kept too; the end date frees all windows."""
    plant = Plant(tmp_path)
    at = NOW - 7 * DAY_NS - DAY_NS // 10

    async def work(historian):
        await plant.write(historian)
        await plant.visit(historian, "SN1", "ST10", at)
        put(historian, "default", 3)
        holds = historian.retention.holds
        holds.hold_unit("SN1", "", until_ns=NOW + DAY_NS, reason="audit", principal="ann")
        await plant.visit(historian, "SN1", "ST20", at + DAY_NS)
        await asyncio.to_thread(historian.retention.run, force=True)
        assert [31, 31] == [count(historian, t) for t in ("st10/force", "st20/torque")]
        plant.clock.wait(86_400)
        await asyncio.to_thread(historian.retention.run, force=True)
        assert [20, 20] == [count(historian, t) for t in ("st10/force", "st20/torque")]

    plant.run(work)


def test_a_window_by_hand_is_kept(tmp_path):
    """Names and patterns, one day."""
    plant = Plant(tmp_path)

    async def work(historian):
        await plant.write(historian)
        put(historian, "default", 3)
        start = NOW - 8 * DAY_NS
        historian.retention.holds.hold_window(
            ["st?0/*"], start, start + DAY_NS, until_ns=None, reason="trial", principal="ann"
        )
        await asyncio.to_thread(historian.retention.run, force=True)
        counts = [count(historian, t) for t in ("st10/force", "st20/torque", "hall/temp")]
        assert [40, 40, 30] == counts

    plant.run(work)


def test_hourly_runs_after_a_jump_delete_a_days_share_and_health_says_so(tmp_path):
    """The clock goes ten years ahead; a restart changes nothing; an order by hand does."""
    plant = Plant(tmp_path, retention={"period_s": 3600.0, "share": 0.05})

    async def before(historian):
        await plant.write(historian, days=10, tags=("hall/temp",))
        put(historian, "default", 9)
        await until(lambda: historian.retention.health()["last_run_ns"] is not None)

    async def after(historian):
        await until(lambda: historian.retention.health()["last_run_ns"] == plant.clock.time_ns)
        assert count(historian, "hall/temp") >= 80
        health = historian.health()["retention"]
        [held] = health["held"]
        assert ("default", "more than a day's share") == (held["retention_class"], held["why"])
        assert held["rows"] >= 70

    async def by_hand(historian):
        await asyncio.to_thread(historian.retention.run, "ann", force=True)
        assert 0 == count(historian, "hall/temp")
        assert [] == historian.health()["retention"]["held"]

    plant.run(before)
    plant.clock.time_ns += 3650 * DAY_NS
    plant.run(after)
    plant.clock.wait(3600)
    plant.run(after)
    plant.run(by_hand)


def test_a_jump_between_two_runs_is_named(tmp_path):
    """Uptime says an hour, the time of day says ten years."""
    plant = Plant(tmp_path)

    async def work(historian):
        await asyncio.to_thread(historian.retention.run)
        plant.clock.wait(3600)
        assert 0.0 == (await asyncio.to_thread(historian.retention.run))["clock_jump_s"]
        plant.clock.wait(3600)
        plant.clock.time_ns += 3650 * DAY_NS
        await asyncio.to_thread(historian.retention.run)
        assert 3650 * 86_400.0 == historian.retention.health()["clock_jump_s"]

    plant.run(work)


def test_a_catalog_of_the_version_before_gets_its_tables(tmp_path):
    """Opened for writing it is upgraded; opened for reading it reads as having no rules."""
    path = tmp_path / "catalog.sqlite"
    with sqlite3.connect(path) as old:
        old.executescript(_SCHEMA + "PRAGMA user_version=1;")
    old.close()
    clock = SetClock()
    reading = Database(path, clock, read_only=True)
    assert [] == RetentionCatalog(reading, clock).assignments()
    reading.close()
    writing = Database(path, clock)
    stored = RetentionCatalog(writing, clock)
    stored.put_class(RetentionClass("short", 1), "ann")
    writing.close()
    again = Database(path, clock)
    assert "short" in [c.name for c in RetentionCatalog(again, clock).classes()]
    again.close()


def test_reports_are_bounded(tmp_path):
    """The newest are kept."""
    clock = SetClock()
    database = Database(tmp_path / "c.sqlite", clock)
    stored = RetentionCatalog(database, clock, runs_kept=3)
    for number in range(7):
        stored.add_run("ann", {"rows": number}, audit=False)

    assert [6, 5, 4] == [run["rows"] for run in stored.runs()]
    database.close()
