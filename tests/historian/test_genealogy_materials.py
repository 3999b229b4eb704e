"""genealogy: the hard cases of materials, one test each."""

from typing import Any

from historian.genealogy.genealogy import Genealogy
from historian.genealogy.records import Evidence
from historian.genealogy.testing import SECOND as S
from historian.genealogy.testing import History, stay, traced


def load(lot: str, time_s: int, slot: str | None = "1", **facts: Any) -> History:
    at = {"lot": lot, "station": "st1", "slot": slot, **facts}
    return [("material_loaded", time_s * S, at)]


def unload(lot: str | None, time_s: int, slot: str | None = "1") -> History:
    return [("material_unloaded", time_s * S, {"lot": lot, "station": "st1", "slot": slot})]


def consumed(unit: str, lot: str | None, time_s: int, **facts: Any) -> History:
    at = {"unit": unit, "lot": lot, "station": "st1", "quantity": 1.0, **facts}
    return [("material_consumed", time_s * S, at)]


def uses(genealogy: Genealogy, unit: str) -> list[tuple[Any, ...]]:
    return [(u.lot, u.slot, u.evidence.value) for u in genealogy.materials(unit)]


def test_materials_of_a_shared_serial_are_ambiguous():
    """An exact report about one of two units is exact about neither."""
    g = traced(
        [
            ("unit_created", 0, {"unit": "7", "product": "A"}),
            ("unit_created", 0, {"unit": "7", "product": "B"}),
            *stay("7", "st1", 1),
            *consumed("7", "L1", 4),
        ]
    )

    assert ["AMBIGUOUS"] == [u.evidence.value for u in g.materials("7", "A")]
    assert ("7",) == g.where_used("L1").serials(Evidence.AMBIGUOUS)
    assert () == g.where_used("L1").serials(Evidence.EXACT)


def test_rework_is_numbered_and_the_removed_part_keeps_its_interval():
    """As shipped is not ever contained."""
    g = traced(
        [
            *stay("U", "st1", 0),
            *consumed("U", "L1", 4, slot="1", part="R"),
            *stay("U", "rework", 20),
            ("material_removed", 23 * S, {"unit": "U", "lot": "L1", "quantity": 1.0}),
            *consumed("U", "L2", 24, station="rework", slot="bin", part="R"),
            *stay("U", "st1", 40),
        ]
    )

    assert [(1, 0), (1, 0), (2, 1)] == [(v.attempt, v.loop) for v in g.visits("U")]
    assert [1, 2] == [v.attempt for v in g.attempts("U", "st1")]
    assert [("L1", 23 * S), ("L2", None)] == [(u.lot, u.removed_ns) for u in g.materials("U")]
    assert 23 * S == g.where_used("L1").uses[0].use.removed_ns


def test_a_part_removed_that_nobody_saw_go_in_was_in():
    """The history before the historian is unknown, the removal is not."""
    g = traced([("material_removed", 9 * S, {"unit": "U", "lot": "L9"})])

    (use,) = g.materials("U")
    assert (9 * S, ("installation_unknown",)) == (use.removed_ns, use.flags)
    assert ("U",) == g.where_used("L9").serials()


def test_material_by_window_and_by_change_of_reel():
    """One reel during the work is WINDOW; two are both named, as AMBIGUOUS."""
    g = traced(
        [
            *load("L1", 0, part="R", supplier_lot="S1"),
            *stay("U1", "st1", 10),
            *unload("L1", 24),
            *load("L2", 25, part="R", supplier_lot="S1"),
            *stay("U2", "st1", 20),
            *stay("U3", "st1", 30),
        ]
    )

    assert [("L1", "1", "WINDOW")] == uses(g, "U1")
    assert [("L1", "1", "AMBIGUOUS"), ("L2", "1", "AMBIGUOUS")] == uses(g, "U2")
    assert ("L1", "L2") == g.materials("U2")[0].alternatives
    assert [("L2", "1", "WINDOW")] == uses(g, "U3")
    assert ("U1", "U2", "U3") == g.where_used("S1").serials()
    assert ("L1", "L2", "S1") == g.where_used("S1").lots
    assert ("U1",) == g.where_used("L1").serials(Evidence.WINDOW)


def test_a_reel_changed_outside_the_work_is_not_in_the_unit():
    """Loaded after the work ended, though before the unit left."""
    g = traced([*load("L1", 0), *stay("U", "st1", 10), *unload("L1", 17), *load("L2", 17)])

    assert [("L1", "1", "WINDOW")] == uses(g, "U")


def test_a_reel_without_unload_ends_at_the_next():
    """A slot holds one reel."""
    g = traced([*load("L1", 0), *load("L2", 9), *stay("U", "st1", 10)])

    assert [("L2", "1", "WINDOW")] == uses(g, "U")
    assert ("unload_inferred",) == g.where_used("L1").loads[0].flags


def test_a_reel_without_load_was_there_before():
    """The first unload after the historian came tells of the time before; it is flagged."""
    g = traced([*stay("U", "st1", 10), *unload("L0", 40)])

    (use,) = g.materials("U")
    assert ("L0", Evidence.WINDOW, ("load_inferred",)) == (use.lot, use.evidence, use.flags)


def test_a_reel_unloaded_after_the_next_was_loaded_overlaps_it():
    """Records of a splice cross; both reels are candidates, neither is lost."""
    g = traced([*load("L1", 0), *load("L2", 13), *unload("L1", 14), *stay("U", "st1", 10)])

    assert {"L1", "L2"} == {u.lot for u in g.materials("U")}
    assert {Evidence.AMBIGUOUS} == {u.evidence for u in g.materials("U")}


def test_a_machine_that_reports_slots_is_believed_when_silent():
    """What it did not report for a unit did not go into it, however long it was loaded."""
    g = traced(
        [
            *load("L1", 0, slot="1"),
            *load("L2", 0, slot="2"),
            *stay("U1", "st1", 10),
            *consumed("U1", "L1", 13, slot="1"),
            *stay("U2", "st1", 20),
        ]
    )

    assert [("L1", "1", "EXACT")] == uses(g, "U1")
    assert [("L2", "2", "WINDOW")] == uses(g, "U2")


def test_a_scanned_part_speaks_for_its_own_lot_only():
    """A key component is scanned, the reels beside it are known by time."""
    g = traced(
        [*load("L1", 0), *load("IC", 0, slot="2"), *stay("U", "st1", 10), *consumed("U", "IC", 13)]
    )

    assert [("IC", None, "EXACT"), ("L1", "1", "WINDOW")] == sorted(uses(g, "U"))


def test_a_report_without_a_lot_takes_what_the_slot_held():
    """The machine knows the slot, the feeder setup knows the lot."""
    g = traced([*load("L1", 0), *stay("U", "st1", 10), *consumed("U", None, 13, slot="1")])

    assert [("L1", "1", "WINDOW")] == uses(g, "U")
    assert ("U",) == g.where_used("L1").serials()


def test_bulk_material_without_a_slot_is_told_apart_by_part():
    """Paste and flux are loaded at one station; new paste replaces paste."""
    g = traced(
        [
            *load("P1", 0, slot=None, part="paste"),
            *load("F1", 1, slot=None, part="flux"),
            *load("P2", 5, slot=None, part="paste"),
            *stay("U", "st1", 10),
        ]
    )

    assert {("F1", None, "WINDOW"), ("P2", None, "WINDOW")} == set(uses(g, "U"))


def test_an_open_visit_does_not_take_every_later_reel():
    """A unit that was scrapped without a word must not collect reels for ever."""
    hour = 3_600
    g = traced(
        [
            *load("L1", 0),
            ("unit_arrived", 10 * S, {"unit": "U", "station": "st1"}),
            *unload("L1", 9 * hour),
            *load("L2", 9 * hour),
        ]
    )

    assert [("L1", "1", "WINDOW")] == uses(g, "U")
