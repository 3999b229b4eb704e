"""genealogy: the state depends on the set of events, never on their order or on repetition."""

import random
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from historian.genealogy.genealogy import Genealogy
from historian.genealogy.testing import Event, MemoryEventReader

SECOND = 1_000_000_000
MODES = st.sampled_from([None, None, None, "production", "test"])
UNITS = st.sampled_from(["P1", "B1", "B2", None])
STATIONS = st.sampled_from(["st1", "st2"])
NESTS = st.sampled_from([None, "1", "2"])
LOTS = st.sampled_from(["L1", "L2", None])
SLOTS = st.sampled_from(["s1", "s2", None])
PARTS = st.sampled_from(["r", "c", None])
CARRIERS = st.sampled_from(["C1", "C2", None])
VERDICTS = st.sampled_from([None, "PASS", "FAIL"])
POSITIONS = st.sampled_from([None, 1, 2])
ATTRIBUTES = st.sampled_from([None, None, '{"product": "Q"}', '{"position": 1}', "not json"])

FACTS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "unit_created": {
        "unit": UNITS,
        "product": st.sampled_from(["P", "Q", None]),
        "unit_kind": st.sampled_from(["panel", "board"]),
        "parent": UNITS,
        "position": POSITIONS,
    },
    "unit_arrived": {"unit": UNITS, "station": STATIONS, "nest": NESTS, "carrier": CARRIERS},
    "work_started": {"unit": UNITS, "station": STATIONS, "nest": NESTS},
    "work_completed": {"unit": UNITS, "station": STATIONS, "verdict": VERDICTS},
    "unit_departed": {"unit": UNITS, "station": STATIONS, "carrier": CARRIERS, "verdict": VERDICTS},
    "panel_split": {"panel": UNITS, "unit": UNITS, "position": POSITIONS, "station": STATIONS},
    "material_loaded": {"lot": LOTS, "part": PARTS, "station": STATIONS, "slot": SLOTS,
                        "supplier_lot": st.sampled_from(["S1", None])},
    "material_unloaded": {"lot": LOTS, "station": STATIONS, "slot": SLOTS},
    "material_consumed": {"unit": UNITS, "lot": LOTS, "part": PARTS, "station": STATIONS,
                          "slot": SLOTS, "quantity": st.sampled_from([None, 1.0, 2.0]),
                          "position": POSITIONS},
    "material_removed": {"unit": UNITS, "lot": LOTS, "part": PARTS, "station": STATIONS,
                         "quantity": st.sampled_from([None, 1.0, 3.0]), "position": POSITIONS},
    "carrier_loaded": {"carrier": CARRIERS, "unit": UNITS, "nest": NESTS},
    "carrier_unloaded": {"carrier": CARRIERS, "unit": UNITS},
    "cart_moved": {"cart": CARRIERS, "unit": UNITS, "to_location": STATIONS},
    "test_result": {"unit": UNITS, "station": STATIONS, "verdict": VERDICTS},
    "vision_event": {"unit": UNITS, "station": STATIONS, "event": st.just("cycle")},
}  # fmt: skip


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Events of a small plant, some of which void others, with keys of their own."""
    events: list[Event] = []
    for number in range(draw(st.integers(1, 28))):
        kind = draw(st.sampled_from(sorted(FACTS)))
        facts = {name: draw(values) for name, values in FACTS[kind].items()}
        facts["mode"] = draw(MODES)
        facts["attributes"] = draw(ATTRIBUTES)
        if events and draw(st.integers(0, 5)) == 0:
            facts["voids"] = draw(st.sampled_from(events)).id.hex()
        events.append(Event(kind, draw(st.integers(0, 12)) * SECOND, facts, number, lsn=number + 1))
    return events


def state(genealogy: Genealogy) -> dict[str, Any]:
    """Everything that genealogy answers, in names."""
    answers: dict[str, Any] = {"units": genealogy.units(limit=1000), "lots": genealogy.lots()}
    for unit in answers["units"]:
        serial, product = unit.key.serial, unit.key.product
        answers[f"{serial}/{product}"] = (
            genealogy.resolve(serial),
            genealogy.visits(serial, product),
            genealogy.materials(serial, product),
            genealogy.tests(serial, product),
            genealogy.vision(serial, product),
            genealogy.carriers(serial, product),
            genealogy.moves(serial, product),
            genealogy.parents(serial),
            genealogy.children(serial),
        )
    for lot in answers["lots"]:
        found = genealogy.where_used(lot)
        answers[f"lot {lot}"] = (found.lots, found.uses, found.loads)
    answers["stays"] = [genealogy.stays(s).start_ns.tolist() for s in ("st1", "st2")]
    return answers


def applied(events: Sequence[Event], *, ask_every: int = 0) -> Genealogy:
    genealogy = Genealogy(MemoryEventReader())
    for count, event in enumerate(events):
        genealogy.apply(event.kind, event.batch(), event.lsn)
        if ask_every and count % ask_every == 0:
            state(genealogy)
    return genealogy


def rebuilt(events: Sequence[Event]) -> Genealogy:
    genealogy = Genealogy(MemoryEventReader(events))
    genealogy.rebuild()
    return genealogy


@settings(max_examples=100, deadline=None)
@given(histories(), st.randoms(use_true_random=False), st.integers(0, 4))
def test_order_and_repetition_change_nothing(
    events: list[Event], chance: random.Random, ask_every: int
) -> None:
    """Late, out of order, delivered twice, asked in between: the same as rebuilt from streams."""
    expected = rebuilt(events)
    shuffled = [*events, *chance.sample(events, k=min(len(events), 7))]
    chance.shuffle(shuffled)

    found = applied(shuffled, ask_every=ask_every)

    assert state(expected) == state(found)
    assert expected.watermark_lsn == found.watermark_lsn


@settings(max_examples=150, deadline=None)
@given(histories())
def test_where_used_is_the_inverse_of_materials(events: list[Event]) -> None:
    """A lot is in the materials of exactly those units that its where-used names, as often."""
    genealogy = rebuilt(events)
    forward = sorted(
        (unit.key.serial, unit.key.product or "", repr(use))
        for unit in genealogy.units(limit=1000)
        for use in genealogy.materials(unit.key.serial, unit.key.product)
        if use.lot is not None
    )
    backward = sorted(
        (use.key.serial, use.key.product or "", repr(use.use))
        for lot in genealogy.lots()
        for use in genealogy.where_used(lot).uses
    )

    assert forward == backward


@settings(max_examples=40, deadline=None)
@given(histories())
def test_a_conflict_changes_nothing(events: list[Event]) -> None:
    """Of two events with one key the first written counts, whichever is seen first."""
    first = events[0]
    other = Event(first.kind, first.time_ns, {"unit": "B2"}, first.number, lsn=1_000)

    assert state(rebuilt(events)) == state(applied([other, *events]))


@settings(max_examples=40, deadline=None)
@given(histories())
def test_settling_in_pieces_changes_nothing(events: list[Event]) -> None:
    """The maintenance loop works in pieces while events come; a question works all at once."""
    genealogy = Genealogy(MemoryEventReader())
    for event in events:
        genealogy.apply(event.kind, event.batch(), event.lsn)
        genealogy.settle()

    assert state(rebuilt(events)) == state(genealogy)
