"""retention_holds.py: what a unit on hold needs is kept, and nothing else."""

import asyncio
import sys
from pathlib import Path

from storage_engine.retention import DAY_NS

sys.path.insert(0, str(Path(__file__).parent))
from retention_plant import NOW, SECOND_NS, Plant, count, put, times


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


def test_a_renamed_tag_keeps_its_hold_and_the_class_it_was_given(tmp_path):
    """What must not go does not go because somebody called it differently since."""
    plant = Plant(tmp_path)

    async def work(historian):
        await plant.write(historian)
        put(historian, "short", 3)
        put(historian, "long", 8)
        stored, catalog = historian.retention.stored, historian.catalog
        stored.assign("pattern", "*", "short", "ann")
        stored.assign("tag", "hall/temp", "long", "ann")
        start = NOW - 8 * DAY_NS
        historian.retention.holds.hold_window(
            ["st10/*"], start, start + DAY_NS, until_ns=None, reason="trial", principal="ann"
        )
        for old, new in (("st10/force", "press/force"), ("hall/temp", "yard/temp")):
            catalog.edit_tag(old, {"name": new}, "bob")
        assert {"long": 1, "short": 2} == {
            name: members["tags"]
            for name, members in historian.retention.members().items()
            if members["tags"]
        }
        await asyncio.to_thread(historian.retention.run, force=True)
        counts = [count(historian, t) for t in ("press/force", "st20/torque", "yard/temp")]
        assert [40, 30, 80] == counts

    plant.run(work)
