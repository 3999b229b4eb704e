"""genealogy: the hard cases of units, visits, carriers and results, one test each."""

from typing import Any

import pytest

from historian.genealogy.genealogy import Genealogy
from historian.genealogy.records import AmbiguousUnit, Evidence, UnitKey, UnknownLot, UnknownUnit
from historian.genealogy.testing import SECOND as S
from historian.genealogy.testing import Event, History, MemoryEventReader, stay, traced


def consumed(unit: str, lot: str | None, time_s: int, **facts: Any) -> History:
    at = {"unit": unit, "lot": lot, "station": "st1", "quantity": 1.0, **facts}
    return [("material_consumed", time_s * S, at)]


def bounds(genealogy: Genealogy, unit: str) -> list[tuple[Any, ...]]:
    return [
        (v.station, v.in_ns // S, None if v.out_ns is None else v.out_ns // S, v.flags)
        for v in genealogy.visits(unit)
    ]


def test_one_serial_on_two_products_gives_candidates():
    """A serial is unique within a product; what names only the serial is shared, and says so."""
    g = traced(
        [
            ("unit_created", 0, {"unit": "7", "product": "A"}),
            *stay("7", "st1", 1),
            ("unit_created", 20 * S, {"unit": "7", "product": "B"}),
            *stay("7", "st2", 30),
            ("test_result", 31 * S, {"unit": "7", "attributes": '{"product": "B"}'}),
        ]
    )

    assert (UnitKey("7", "A"), UnitKey("7", "B")) == g.resolve("7")
    with pytest.raises(AmbiguousUnit):
        g.visits("7")
    assert ["st1", "st2"] == [v.station for v in g.visits("7", "A")]
    assert ["st2"] == [v.station for v in g.visits("7", "B")]
    assert "shared_serial" not in g.visits("7", "A")[0].flags
    assert "shared_serial" in g.visits("7", "A")[1].flags
    assert [0, 1] == [len(g.tests("7", p)) for p in ("A", "B")]


def test_boards_inherit_the_panel_up_to_the_split():
    """Visits and materials of the whole panel; of what names a position only their own."""
    g = traced(
        [
            *stay("P", "st1", 0),
            *consumed("P", "L-all", 3),
            *consumed("P", "L-one", 4, position=1),
            *consumed("P", "L-two", 4, position=2),
            ("panel_split", 20 * S, {"panel": "P", "unit": "B1", "position": 1}),
            ("panel_split", 20 * S, {"panel": "P", "unit": "B2", "position": 2}),
            *consumed("P", "L-late", 30),
            *stay("B2", "st2", 40),
        ]
    )

    assert [("st1", "P"), ("st2", None)] == [(v.station, v.inherited_from) for v in g.visits("B2")]
    assert {"L-all", "L-one"} == {u.lot for u in g.materials("B1")}
    assert {"L-all", "L-two"} == {u.lot for u in g.materials("B2")}
    assert {"P", "B1", "B2"} == set(g.where_used("L-all").serials())
    assert {"P", "B2"} == set(g.where_used("L-two").serials())
    assert (("P",), ("B1", "B2")) == (g.parents("B1"), g.children("P"))


def test_a_board_still_on_its_panel_inherits_all_of_it():
    """Boards may be named before they are split."""
    g = traced(
        [
            ("unit_created", 0, {"unit": "B1", "parent": "P", "position": 1}),
            *stay("P", "st1", 1),
            *consumed("P", "L2", 4, position=2),
        ]
    )

    assert ["st1"] == [v.station for v in g.visits("B1")]
    assert [] == g.materials("B1")


def test_a_stay_goes_on_across_the_split():
    """The panel came to the splitter, a board left it, and its end is the panel's end."""
    arrived = {"station": "split"}
    g = traced(
        [
            ("unit_arrived", 0, {"unit": "P", **arrived}),
            ("work_started", 1 * S, {"unit": "P", **arrived}),
            ("panel_split", 5 * S, {"panel": "P", "unit": "B1", "position": 1}),
            ("panel_split", 5 * S, {"panel": "P", "unit": "B2", "position": 2}),
            ("unit_departed", 6 * S, {"unit": "B1", **arrived}),
            ("work_completed", 7 * S, {"unit": "P", "verdict": "PASS", **arrived}),
            ("unit_departed", 8 * S, {"unit": "P", **arrived}),
            ("unit_arrived", 20 * S, {"unit": "B2", "station": "st6"}),
        ]
    )

    assert [("split", 0, 6, ())] == bounds(g, "B1")
    assert ("split", 0, 8, ("out_from_panel",)) == bounds(g, "B2")[0]
    assert (7 * S, "PASS") == (g.visits("B2")[0].end_ns, g.visits("B2")[0].verdict)


def test_a_carrier_stands_for_its_units_only_while_they_are_in_it():
    """Carriers are used again and again."""
    moved = {"carrier": "C", "station": "oven"}
    g = traced(
        [
            ("unit_arrived", 0, moved),
            ("carrier_loaded", 1 * S, {"carrier": "C", "unit": "U1", "nest": "1"}),
            ("unit_arrived", 2 * S, moved),
            ("unit_departed", 3 * S, moved),
            ("carrier_unloaded", 4 * S, {"carrier": "C", "unit": "U1"}),
            ("carrier_loaded", 5 * S, {"carrier": "C", "unit": "U2", "nest": "1"}),
            ("unit_arrived", 6 * S, moved),
            ("unit_departed", 7 * S, moved),
        ]
    )

    assert [("oven", 2, 3, ())] == bounds(g, "U1")
    assert [("oven", 6, 7, ())] == bounds(g, "U2")
    assert [("C", 1 * S, 4 * S)] == [(c.carrier, c.start_ns, c.end_ns) for c in g.carriers("U1")]


def test_a_nest_holds_one_unit():
    """A missed unload ends where the next unit is put into the same nest."""
    g = traced(
        [
            ("carrier_loaded", 1 * S, {"carrier": "C", "unit": "U1", "nest": "1"}),
            ("carrier_loaded", 5 * S, {"carrier": "C", "unit": "U2", "nest": "1"}),
        ]
    )

    (session,) = g.carriers("U1")
    assert (5 * S, ("unload_inferred",)) == (session.end_ns, session.flags)


def test_a_missing_departure_is_inferred_from_the_next_arrival():
    """In without out: never dropped, always flagged."""
    g = traced([("unit_arrived", 1 * S, {"unit": "U", "station": "st1"}), *stay("U", "st2", 10)])

    assert [("st1", 1, 10, ("out_inferred",)), ("st2", 10, 18, ())] == bounds(g, "U")


def test_a_missing_arrival_is_inferred_from_what_came_before():
    """Out without in: it begins where the last visit ended, or at birth."""
    g = traced(
        [
            ("unit_created", 1 * S, {"unit": "U"}),
            ("unit_departed", 5 * S, {"unit": "U", "station": "st1"}),
            ("unit_departed", 9 * S, {"unit": "U", "station": "st2"}),
        ]
    )

    expected = [("st1", 1, 5, ("in_inferred",)), ("st2", 5, 9, ("in_inferred",))]
    assert expected == bounds(g, "U")


def test_clocks_that_differ_let_visits_overlap():
    """A departure seen after the next arrival closes its own visit, not another one."""
    g = traced(
        [
            ("unit_arrived", 0, {"unit": "U", "station": "st1"}),
            ("unit_arrived", 10 * S, {"unit": "U", "station": "st2"}),
            ("unit_departed", 11 * S, {"unit": "U", "station": "st1"}),
            ("unit_departed", 20 * S, {"unit": "U", "station": "st2"}),
        ]
    )

    assert [("st1", 0, 11, ("overlaps_next",)), ("st2", 10, 20, ())] == bounds(g, "U")


def test_a_late_departure_never_swallows_the_visit_between():
    """A missed scan must not make one visit of two."""
    g = traced(
        [
            ("unit_arrived", 0, {"unit": "U", "station": "st1"}),
            *stay("U", "st2", 10),
            ("unit_departed", 30 * S, {"unit": "U", "station": "st1"}),
        ]
    )

    assert [
        ("st1", 0, 10, ("out_inferred",)),
        ("st2", 10, 18, ()),
        ("st1", 18, 30, ("in_inferred",)),
    ] == bounds(g, "U")


def test_work_again_in_one_stay_is_another_attempt():
    """A tester repeats without letting the unit go."""
    at = {"unit": "U", "station": "st6"}
    g = traced(
        [
            ("unit_arrived", 0, at),
            ("work_started", 1 * S, at),
            ("work_completed", 2 * S, {**at, "verdict": "FAIL"}),
            ("work_started", 3 * S, at),
            ("work_completed", 4 * S, {**at, "verdict": "PASS"}),
            ("unit_departed", 5 * S, at),
        ]
    )

    assert [(1, "FAIL"), (2, "PASS")] == [(v.attempt, v.verdict) for v in g.visits("U")]


@pytest.mark.parametrize("kind", ["unit_arrived", "work_started", "work_completed"])
def test_leaving_and_coming_back_at_one_instant_is_two_visits(kind: str):
    """Times of a coarse clock are equal; leaving comes first."""
    at = {"unit": "U", "station": "st1"}
    g = traced(
        [
            (kind, 0, at),
            ("unit_arrived", 5 * S, at),
            ("unit_departed", 5 * S, at),
            ("unit_departed", 9 * S, at),
        ]
    )

    assert [5, 9] == [b[2] for b in bounds(g, "U")]


def test_a_voided_event_never_happened_and_a_voided_void_did():
    """Corrections are events; the newest word counts."""
    wrong = Event("material_consumed", 4 * S, {"unit": "U", "lot": "L1"}, 1, 1)
    void = Event("material_consumed", 4 * S, {"voids": wrong.id.hex()}, 2, 2)
    pardon = Event("material_consumed", 4 * S, {"voids": void.id.hex()}, 3, 3)
    g = Genealogy(MemoryEventReader())
    seen = []
    for event in (wrong, void, pardon):
        g.apply(event.kind, event.batch(), event.lsn)
        seen.append(len(g.where_used("L1").uses))

    assert [1, 0, 1] == seen


def test_voids_in_a_circle_void_nothing():
    """A contradiction removes no data."""
    a = Event("unit_arrived", 0, {"unit": "U", "station": "st1"}, 1)
    b = Event("unit_arrived", 1, {"unit": "U", "station": "st2", "voids": a.id.hex()}, 2)
    a = Event("unit_arrived", 0, {**a.facts, "voids": b.id.hex()}, 1)
    g = Genealogy(MemoryEventReader([a, b]))
    g.rebuild()

    assert ["st1", "st2"] == [v.station for v in g.visits("U")]


@pytest.mark.parametrize("mode", ["test", "simulated"])
def test_trial_runs_are_left_out_unless_asked_for(mode: str):
    """A golden sample run through the line must not enter a recall."""
    history = [*stay("U", "st1", 0, mode=mode), *stay("V", "st1", 20)]

    assert () == traced(history).resolve("U")
    assert 1 == len(traced(history, modes=frozenset({mode})).visits("U"))


def test_a_result_without_a_unit_belongs_to_who_was_there():
    """Alone at the station: by time. Two at once: one of them."""
    g = traced(
        [
            *stay("U1", "st1", 0),
            ("vision_event", 3 * S, {"station": "st1", "camera": "c"}),
            *stay("U2", "st1", 20),
            *stay("U3", "st1", 24),
            ("test_result", 25 * S, {"station": "st1", "value": 5.0, "high": 4.0}),
        ]
    )

    assert [Evidence.WINDOW] == [v.evidence for v in g.vision("U1")]
    assert [Evidence.AMBIGUOUS] == [t.evidence for t in g.tests("U2")]
    assert ["FAIL"] == [t.recomputed for t in g.tests("U3")]


def test_moves_of_a_cart_are_moves_of_what_it_carries():
    """A tray is loaded, and later goes to the warehouse as a whole."""
    g = traced(
        [
            ("carrier_loaded", 1 * S, {"carrier": "T", "unit": "U", "nest": "1"}),
            ("cart_moved", 5 * S, {"cart": "T", "to_location": "warehouse"}),
        ]
    )

    assert [("T", "warehouse")] == [(m.cart, m.to_location) for m in g.moves("U")]


def test_unknown_names_are_refused_by_name():
    """A typing error is not an empty answer."""
    g = traced(stay("U", "st1", 0))

    with pytest.raises(UnknownUnit, match="'X'"):
        g.visits("X")
    with pytest.raises(UnknownLot, match="'X'"):
        g.where_used("X")


def test_units_are_listed_newest_first_and_found_by_part_of_the_serial():
    """The page of units."""
    g = traced([*stay("A1", "st1", 0), *stay("A2", "st1", 20), *stay("B1", "st1", 40)])

    assert ["B1", "A2", "A1"] == [u.key.serial for u in g.units()]
    assert ["A2"] == [u.key.serial for u in g.units("A", limit=1)]
    assert 3 == g.unit_count()


def test_kinds_of_other_rooms_move_the_watermark_alone():
    """The listener gets every kind of event."""
    g = Genealogy(MemoryEventReader())
    event = Event("meter_read", 0, {"meter": "m", "register": 1.0})
    g.apply(event.kind, event.batch(), 17)

    assert (17, 0) == (g.watermark_lsn, g.unit_count())
