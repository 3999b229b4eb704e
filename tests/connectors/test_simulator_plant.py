"""The simulated plant: the same every time, hard where a real one is, and true to itself."""

import itertools
from collections import defaultdict
from typing import Any

import pytest

from connectors.simulator.config import PlantConfig
from connectors.simulator.discrete import EventLoop, Places, Process
from connectors.simulator.meters import METERS
from connectors.simulator.node import Row
from connectors.simulator.output import Output, PlantEvent, PlantRows, Truth
from connectors.simulator.plant import Plant
from connectors.simulator.process import plant_nodes
from connectors.simulator.stations import STATIONS
from connectors.simulator.tags import COMMON, OWN
from storage_engine.sample import ValueType

CONFIG = PlantConfig(seed=7, boards=1_200, sample_period_s=None)
Facts = dict[str, Any]


def run(config: PlantConfig) -> list[Output]:
    return list(Plant(config).run())


@pytest.fixture(scope="module")
def output() -> list[Output]:
    return run(CONFIG)


@pytest.fixture(scope="module")
def events(output: list[Output]) -> list[PlantEvent]:
    return [item for item in output if isinstance(item, PlantEvent)]


@pytest.fixture(scope="module")
def truth(output: list[Output]) -> dict[str, list[Facts]]:
    found: dict[str, list[Facts]] = defaultdict(list)
    for item in output:
        if isinstance(item, Truth):
            found[item.facts["kind"]].append(item.facts)
    return found


def test_same_seed_gives_the_same_plant_to_the_last_digit() -> None:
    """A failed test must be repeatable."""
    config = PlantConfig(seed=3, boards=80)

    assert run(config) == run(config)


def test_another_seed_gives_another_plant() -> None:
    """The seed is used."""
    assert run(PlantConfig(seed=3, boards=40)) != run(PlantConfig(seed=4, boards=40))


def test_sampling_changes_neither_events_nor_truth() -> None:
    """Tests that need no samples see the plant that the others see."""
    with_samples = run(PlantConfig(seed=5, boards=160, sample_period_s=0.7))
    without = run(PlantConfig(seed=5, boards=160, sample_period_s=None))

    assert without == [item for item in with_samples if not isinstance(item, PlantRows)]


def test_output_is_in_order_of_time(output: list[Output]) -> None:
    """A live plant is paced by it."""
    assert all(a.time_ns <= b.time_ns for a, b in itertools.pairwise(output))


def test_every_board_is_finished_once(truth: dict[str, list[Facts]]) -> None:
    """The run ends when the line is empty."""
    boards = [facts["unit"] for facts in truth["unit"] if facts["unit_kind"] == "board"]

    assert CONFIG.boards == len(boards)
    assert sorted(boards) == sorted(facts["unit"] for facts in truth["finished"])


def test_first_board_is_finished_within_a_minute(output: list[Output]) -> None:
    """The demonstration shows finished units within two minutes of its start."""
    first = next(
        item for item in output if isinstance(item, Truth) and item.facts["kind"] == "finished"
    )

    assert first.time_ns - CONFIG.start_ns < 60e9


def test_line_has_six_stations_with_one_twice_and_loops(truth: dict[str, list[Facts]]) -> None:
    """Reprints and repairs visit a station again; each panel sees one of the parallel pair."""
    visits: dict[str, list[str]] = defaultdict(list)
    for facts in truth["visit"]:
        visits[facts["unit"]].append(facts["station"])
    panels = [stations for unit, stations in visits.items() if unit.startswith("P")]
    boards = [stations for unit, stations in visits.items() if unit.startswith("B")]

    assert {"st3a", "st3b"} == {station for p in panels for station in p if "st3" in station}
    assert all(sum("st3" in station for station in p) == 1 for p in panels)
    assert any(p.count("st1") > 1 for p in panels)
    assert any(b.count("st6") > 1 and "rework" in b for b in boards)


def test_reels_change_in_the_middle_of_a_unit(truth: dict[str, list[Facts]]) -> None:
    """Both ways: where consumption is reported, and where only loads are."""
    exact: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for facts in truth["saw"]:
        if facts["evidence"] == "EXACT":
            exact[facts["unit"], facts["station"], facts["slot"]].add(facts["lot"])

    assert any(len(lots) > 1 for lots in exact.values())
    assert any(facts["evidence"] == "AMBIGUOUS" for facts in truth["saw"])


def test_a_reel_comes_back_at_another_slot(truth: dict[str, list[Facts]]) -> None:
    """Partly used reels go back to the shelf and serve the twin station later."""
    places: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for facts in truth["load"]:
        places[facts["lot"]].add((facts["station"], facts["slot"]))

    assert any(len(found) > 1 for found in places.values())


def test_what_boards_saw_by_time_follows_from_loads_and_work(
    events: list[PlantEvent], truth: dict[str, list[Facts]]
) -> None:
    """A reader that has the events alone can know the truth."""
    loads: dict[tuple[str, str], list[list[Any]]] = defaultdict(list)
    work: dict[tuple[str, str], list[list[int]]] = defaultdict(list)
    for event in events:
        facts = event.payload
        if facts["kind"] == "material_loaded":
            loads[facts["station"], facts["slot"]].append([event.time_ns, 2**63, facts["lot"]])
        elif facts["kind"] == "material_unloaded":
            loads[facts["station"], facts["slot"]][-1][1] = event.time_ns
        elif facts["kind"] == "work_started":
            work[facts["unit"], facts["station"]].append([event.time_ns, 0])
        elif facts["kind"] == "work_completed":
            work[facts["unit"], facts["station"]][-1][1] = event.time_ns
    parent = {f["unit"]: f["parent"] for f in truth["unit"] if f["unit_kind"] == "board"}
    expected = set()
    for board, panel in parent.items():
        for (station, slot), found in loads.items():
            if station in {"st1", "st3a", "st3b"}:
                for start_ns, end_ns in work.get((panel, station), ()):
                    expected |= {
                        (board, lot, station, slot)
                        for begin_ns, until_ns, lot in found
                        if begin_ns < end_ns and until_ns > start_ns
                    }

    actual = {
        (f["unit"], f["lot"], f["station"], f["slot"])
        for f in truth["saw"]
        if f["evidence"] != "EXACT"
    }
    assert expected == actual


def test_exact_truth_is_what_was_reported(
    events: list[PlantEvent], truth: dict[str, list[Facts]]
) -> None:
    """Consumption on a panel names the board's position."""
    position = {
        (f["parent"], f["position"]): f["unit"] for f in truth["unit"] if f["unit_kind"] == "board"
    }
    expected = {
        (
            position.get((e.payload["unit"], e.payload.get("position")), e.payload["unit"]),
            *(e.payload[key] for key in ("lot", "station", "slot")),
        )
        for e in events
        if e.payload["kind"] == "material_consumed"
    }

    actual = {
        (f["unit"], f["lot"], f["station"], f["slot"])
        for f in truth["saw"]
        if f["evidence"] == "EXACT"
    }
    assert expected == actual


@pytest.mark.parametrize("spec", METERS, ids=lambda spec: spec.meter)
def test_true_energy_follows_from_registers_wrap_and_declarations(
    spec: Any, events: list[PlantEvent], truth: dict[str, list[Facts]]
) -> None:
    """Counted by hand: a fall is a wrap of the modulus, a declaration joins two registers."""
    register, total = None, 0.0
    totals = []
    for event in events:
        facts = event.payload
        if facts.get("meter") != spec.meter:
            continue
        now = facts["register"] if facts["kind"] == "meter_read" else facts["old_register"]
        if register is not None:
            step = now - register
            total += step if step >= 0 else step + spec.modulus_wh
        register = facts.get("new_register", now)
        if facts["kind"] == "meter_read":
            totals.append(total)

    expected = [f["total_wh"] for f in truth["energy"] if f["meter"] == spec.meter]
    assert expected[-1] > 0
    assert expected == totals


def test_one_meter_wraps_one_is_replaced_one_is_reset(events: list[PlantEvent]) -> None:
    """The three cases that an energy answer must survive."""
    registers = [
        e.payload["register"]
        for e in events
        if e.payload["kind"] == "meter_read" and e.payload["meter"] == "meter-st4"
    ]
    reasons = [e.payload["reason"] for e in events if e.payload["kind"] == "meter_declared"]

    assert any(b < a for a, b in itertools.pairwise(registers))
    assert ["replaced", "reset"] == reasons


def test_every_station_has_thirty_tags_of_four_types() -> None:
    """Numbers, counters, states as text, flags."""
    nodes = plant_nodes()
    per_station: dict[tuple[str, ...], int] = defaultdict(int)
    for node in nodes:
        per_station[node.path] += 1

    assert {30} == set(per_station.values())
    assert len(per_station) == sum(spec.kind in OWN for spec in STATIONS)
    assert {node.type for node in nodes} == {
        ValueType.FLOAT64,
        ValueType.INT64,
        ValueType.SYMBOL,
        ValueType.BOOL,
    }


def test_tags_react_to_what_is_processed() -> None:
    """Forces rise while a unit is worked on, and the serial is shown."""
    nodes = plant_nodes()
    force = next(i for i, n in enumerate(nodes) if n.identifier == "line1/st1/squeegee_force")
    unit = next(i for i, n in enumerate(nodes) if n.identifier == "line1/st1/current_unit")
    busy: str = ""
    idle_force, work_force = [], []
    rows: list[Row] = [
        row
        for item in run(PlantConfig(seed=7, boards=80, sample_period_s=0.5))
        if isinstance(item, PlantRows)
        for row in item.rows
    ]
    for node, _, quality, value in rows:
        if node == unit:
            busy = str(value)
        elif node == force and quality == 0:
            assert isinstance(value, float)
            (work_force if busy else idle_force).append(value)

    assert max(idle_force) < 5.0
    assert max(work_force) > 40.0


def test_a_failing_sensor_is_bad_and_has_no_value() -> None:
    """Passports must show gaps as gaps."""
    bad = [
        row
        for item in run(PlantConfig(seed=2, boards=1_200, sample_period_s=2.0))
        if isinstance(item, PlantRows)
        for row in item.rows
        if row[2]
    ]

    assert bad
    assert {None} == {row[3] for row in bad}
    assert all(row[0] % 30 >= len(COMMON) for row in bad)


def test_places_are_given_first_come_first_served() -> None:
    """The order of units at a station must not depend on anything else."""
    loop = EventLoop(0)
    place = Places(loop, 1)
    order: list[str] = []

    def visitor(name: str) -> Process:
        taken = yield place
        order.append(name)
        yield 10
        place.release(taken)

    for name in "abc":
        loop.start(visitor(name))
    while loop.next_ns is not None:
        loop.step()

    assert ["a", "b", "c"] == order
    assert loop.now_ns == 30
