"""genealogy on a whole plant: what is derived equals what the simulator knows to be true."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import pytest

from connectors.simulator.config import PlantConfig
from connectors.simulator.output import PlantEvent, Truth
from connectors.simulator.plant import Plant
from historian.config_plant import MeterConfig
from historian.energy import Energy
from historian.genealogy.genealogy import Genealogy
from historian.genealogy.testing import MemoryEventReader
from historian.ingest_events import build_events
from storage_engine.sample import EventBatch, source_event_id

BOARDS = 240
_ENVELOPE = {"kind", "ts", "source", "seq"}


@dataclass
class Run:
    """One run of the plant: its events as batches, and its truth by kind."""

    batches: list[EventBatch] = field(default_factory=list)
    truth: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))


def run_plant(boards: int) -> Run:
    run = Run()
    rows: dict[str, list[tuple[int, bytes, dict[str, Any]]]] = defaultdict(list)
    for item in Plant(PlantConfig(seed=7, boards=boards, sample_period_s=None)).run():
        if isinstance(item, Truth):
            run.truth[item.facts["kind"]].append(item.facts)
        elif isinstance(item, PlantEvent):
            payload = item.payload
            key = source_event_id(payload["source"], payload["seq"])
            facts = {k: v for k, v in payload.items() if k not in _ENVELOPE}
            rows[payload["kind"]].append((item.time_ns, key, facts))
    run.batches = [build_events(kind, found) for kind, found in rows.items()]
    return run


@pytest.fixture(scope="module")
def run() -> Run:
    return run_plant(BOARDS)


@pytest.fixture(scope="module")
def genealogy(run: Run) -> Genealogy:
    made = Genealogy(MemoryEventReader())
    for lsn, batch in enumerate(run.batches, 1):
        made.apply(batch.kind, batch, lsn)
    return made


def boards(run: Run) -> Iterator[str]:
    return (u["unit"] for u in run.truth["unit"] if u["unit_kind"] == "board")


def seen(run: Run) -> set[tuple[Any, ...]]:
    return {(s["unit"], s["lot"], s["station"], s["slot"], s["evidence"]) for s in run.truth["saw"]}


def test_materials_of_every_board_are_the_truth(run: Run, genealogy: Genealogy) -> None:
    """Reported, inferred from load windows, ambiguous at reel changes, inherited from the panel."""
    found = {
        (board, u.lot, u.station, u.slot, u.evidence.value)
        for board in boards(run)
        for u in genealogy.materials(board)
    }

    assert seen(run) == found
    assert {"EXACT", "WINDOW", "AMBIGUOUS"} == {evidence for *_, evidence in found}


def test_where_used_of_every_lot_is_the_truth(run: Run, genealogy: Genealogy) -> None:
    """A recall asks for the boards of a reel, never for the reels of a board."""
    expected = defaultdict(set)
    for unit, lot, *_ in seen(run):
        expected[lot].add(unit)
    known = set(boards(run))

    found = {
        lot: {s for s in genealogy.where_used(lot).serials() if s in known} for lot in expected
    }

    assert dict(expected) == found


def test_removed_parts_are_marked(run: Run, genealogy: Genealogy) -> None:
    """A reworked board contains what replaced the part, and once contained the part."""
    removed = {(r["unit"], r["lot"], r["part"]) for r in run.truth["removed"]}
    found = {
        (board, u.lot, u.part)
        for board in boards(run)
        for u in genealogy.materials(board)
        if u.removed_ns is not None or u.removed_quantity
    }

    assert removed == found
    assert removed


def test_visits_are_the_truth(run: Run, genealogy: Genealogy) -> None:
    """Panels and boards; what a board did on its panel is listed as inherited."""
    expected = defaultdict(list)
    for v in run.truth["visit"]:
        bounds = (v["in_ns"], v["start_ns"], v["end_ns"], v["out_ns"])
        expected[v["unit"]].append((v["station"], v["nest"], v["verdict"], *bounds))
    found = {}
    for unit in {u["unit"] for u in run.truth["unit"]}:
        own = [v for v in genealogy.visits(unit) if v.inherited_from is None]
        assert all(not v.flags for v in own)
        found[unit] = [
            (v.station, v.nest, v.verdict, v.in_ns, v.start_ns, v.end_ns, v.out_ns) for v in own
        ]

    assert {k: sorted(v) for k, v in expected.items()} == {k: sorted(v) for k, v in found.items()}


def test_a_board_inherits_the_visits_of_its_panel(run: Run, genealogy: Genealogy) -> None:
    """Printed, placed, soldered on the panel, and split from it."""
    for unit in run.truth["unit"]:
        if unit["unit_kind"] != "board":
            continue
        panel = [v.station for v in genealogy.visits(unit["parent"])]
        visits = genealogy.visits(unit["unit"])
        assert panel == [v.station for v in visits if v.inherited_from == unit["parent"]]
        assert genealogy.unit(unit["unit"]).position == unit["position"]


def test_tests_of_every_unit_are_the_truth(run: Run, genealogy: Genealogy) -> None:
    """Reported verdicts, and the same recomputed from value and limits."""
    expected = {(t["unit"], t["station"], t["test"], t["value"]) for t in run.truth["test"]}
    units = {u["unit"] for u in run.truth["unit"]}
    own = [(unit, t) for unit in units for t in genealogy.tests(unit) if t.inherited_from is None]

    assert expected == {(unit, t.station, t.test, t.value) for unit, t in own}
    assert all(t.recomputed == t.verdict for _, t in own)


def test_energy_of_every_meter_is_the_truth(run: Run) -> None:
    """Across wrap, replacement and reset; every pair of neighbouring reads."""
    meters = {t["meter"] for t in run.truth["energy"]}
    energy = Energy(
        MemoryEventReader(),
        [MeterConfig(m, "Wh", 10_000.0 if m == "meter-st4" else None, 50.0) for m in meters],
    )
    for lsn, batch in enumerate(run.batches, 1):
        energy.apply(batch.kind, batch, lsn)
    for meter in meters:
        true = [(t["time_ns"], t["total_wh"]) for t in run.truth["energy"] if t["meter"] == meter]
        times = np.array([t for t, _ in true])
        totals = np.array([float(wh) for _, wh in true])
        found = energy.windows(meter, np.full(len(times), times[0]), times)
        assert found.valid.all(), found.reasons()
        np.testing.assert_allclose(totals - totals[0], found.energy, atol=1e-6)
        assert not found.estimated.any()


def test_simulated_times_are_what_the_payload_says() -> None:
    """The events of this test carry the time that the broker's message would carry."""
    for item in Plant(PlantConfig(seed=7, boards=4, sample_period_s=None)).run():
        if isinstance(item, PlantEvent):
            stamp = datetime.fromisoformat(item.payload["ts"][:26] + "+00:00")
            assert abs(stamp.timestamp() * 1e9 - item.time_ns) < 2_000


def test_settling_a_busy_spell_ends(run: Run) -> None:
    """Panels and boards that wait together must not bring each other back for ever."""
    made = Genealogy(MemoryEventReader())
    for lsn, batch in enumerate(run.batches, 1):
        made.apply(batch.kind, batch, lsn)
    rounds = 1
    while made._settle(1):
        rounds += 1
        assert rounds <= len(run.truth["unit"]), "a unit was derived twice"
