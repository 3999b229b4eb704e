"""retention.py: who is kept how long, by name and by group; runs, their reports, and clocks."""

import asyncio
import sqlite3
import sys
from pathlib import Path

import pytest

from historian.catalog_database import _SCHEMA, Database
from historian.catalog_records import TagDraft
from historian.catalog_retention import RetentionCatalog
from historian.errors import Conflict, NotFound, RequestInvalid
from historian.genealogy.records import UnknownUnit
from historian.retention_rules import Assignment, Assignments, RetentionClass
from storage_engine.retention import DAY_NS
from storage_engine.sample import ValueType

sys.path.insert(0, str(Path(__file__).parent))
from retention_plant import NOW, Plant, SetClock, count, put, until


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
