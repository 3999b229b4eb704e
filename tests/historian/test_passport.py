"""passport: one answer with everything known of a unit, and every gap named."""

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from historian.config_plant import MeterConfig, StationConfig
from historian.energy import Energy
from historian.genealogy.genealogy import Genealogy
from historian.genealogy.records import UnknownUnit
from historian.genealogy.testing import Event, MemoryEventReader, numbered
from historian.passport import PassportBuilder
from query.engine import Query
from query.ports import Tag
from query.testing import MemoryReader, MemoryResolver
from storage_engine.sample import BAD, GOOD, ValueType

S = 1_000_000_000


@dataclass(frozen=True)
class Plant:
    """A configuration with stations."""

    stations: tuple[StationConfig, ...]


@dataclass
class Tags:
    """A catalog of tags in a list."""

    tags: list[Tag] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.tags)

    def every(self) -> list[Tag]:
        return self.tags


TEMPERATURE = Tag("l1/oven/temperature", (1,), ValueType.FLOAT64, stepped=False, eng_unit="degC")
STATE = Tag("l1/oven/state", (2,), ValueType.SYMBOL, stepped=True)
SILENT = Tag("l1/oven/silent", (3,), ValueType.FLOAT64, stepped=False)
OTHER = Tag("l1/printer/speed", (4,), ValueType.FLOAT64, stepped=False)
STATIONS = (
    StationConfig("printer", "l1", ("l1/printer/*",)),
    StationConfig("oven", "l1", ("l1/oven/*",)),
)
METERS = (MeterConfig("m-oven", "Wh", None, 100.0, "oven"),)


def visit(unit: str, station: str, start_s: int, end_s: int) -> list[tuple[str, int, Any]]:
    at = {"unit": unit, "station": station}
    return [
        ("unit_arrived", start_s * S, at),
        ("unit_departed", end_s * S, {**at, "verdict": "PASS"}),
    ]


def metered(last_s: int, watt_seconds: float = 1.0) -> list[tuple[str, int, Any]]:
    return [
        ("meter_read", t * S, {"meter": "m-oven", "register": t * watt_seconds})
        for t in range(0, last_s + 1, 10)
    ]


def builder(history: list[tuple[str, int, Any]], *, samples: bool = True) -> PassportBuilder:
    reader = MemoryEventReader(numbered(history))
    genealogy, energy = Genealogy(reader), Energy(reader, METERS)
    genealogy.rebuild()
    energy.rebuild()
    stored = MemoryReader()
    for number, type_ in ((1, ValueType.FLOAT64), (2, ValueType.SYMBOL), (3, ValueType.FLOAT64)):
        stored.add(number, type_, [])
    stored.add(4, ValueType.FLOAT64, [(t * S, 1.0) for t in range(200)])
    if samples:
        stored.add(1, ValueType.FLOAT64, [(t * S, float(t), GOOD) for t in range(0, 200, 5)])
        stored.add(2, ValueType.SYMBOL, [(0, "hot"), (150 * S, "cold")])
        stored.add(3, ValueType.FLOAT64, [(0, None, BAD)])
    tags = [TEMPERATURE, STATE, SILENT, OTHER]
    query = Query(stored, MemoryResolver(*tags), lambda: 200 * S)
    return PassportBuilder(genealogy, energy, query, Tags(tags), Plant(STATIONS))


HISTORY = [
    ("unit_created", 0, {"unit": "U", "product": "P", "unit_kind": "board", "order": "W1"}),
    *visit("U", "oven", 10, 30),
    ("material_consumed", 15 * S, {"unit": "U", "lot": "L", "station": "oven", "quantity": 2.0}),
    ("test_result", 25 * S, {"unit": "U", "station": "oven", "verdict": "PASS", "value": 1.0}),
    ("vision_event", 26 * S, {"unit": "U", "station": "oven", "camera": "c", "clip": "x.mp4"}),
    ("test_result", 5 * S, {"unit": "U", "verdict": "FAIL"}),
    ("gap", 40 * S, {"collector": "c1", "start_ns": 20 * S, "end_ns": 22 * S, "count": 7}),
    ("gap", 90 * S, {"collector": "c1", "start_ns": 80 * S, "end_ns": 82 * S, "count": 1}),
    *metered(60),
]


def test_a_passport_is_plain_json():
    """Whoever serves it needs no knowledge of it."""
    found = builder(HISTORY).passport("U")

    assert found == json.loads(json.dumps(found, allow_nan=False))


def test_each_visit_tells_what_was_measured_there():
    """Bound tags by pattern; the numbers are those of the visit's window."""
    (found,) = builder(HISTORY).passport("U")["visits"]
    rows = {row["tag"]: row for row in found["statistics"]}

    assert ["l1/oven/temperature", "l1/oven/state", "l1/oven/silent"] == found["tags"]
    temperature = rows["l1/oven/temperature"]
    assert (10.0, 25.0, 4, "degC") == tuple(
        temperature[k] for k in ("minimum", "maximum", "count", "eng_unit")
    )
    assert 20.0 == pytest.approx(temperature["time_average"])
    assert (None, 100.0) == (
        rows["l1/oven/state"]["minimum"],
        rows["l1/oven/state"]["percent_good"],
    )
    assert rows["l1/oven/silent"]["maximum"] is None


def test_each_visit_tells_what_was_seen_tested_and_consumed():
    """What belongs to no visit is listed as well, apart."""
    found = builder(HISTORY).passport("U")
    (oven,) = found["visits"]

    assert ["L"] == [use["lot"] for use in oven["materials"]]
    assert ["PASS"] == [test["verdict"] for test in oven["tests"]]
    assert ["x.mp4"] == [seen["clip"] for seen in oven["vision"]]
    assert ["FAIL"] == [test["verdict"] for test in found["unplaced"]["tests"]]
    assert ("P", "board", "W1") == (
        found["product"],
        found["unit"]["kind"],
        found["unit"]["order"],
    )


def test_gaps_are_named_and_losses_elsewhere_in_time_are_not():
    """A passport says what it does not know."""
    found = builder(HISTORY).passport("U")
    kinds = [(gap["kind"], gap.get("count")) for gap in found["gaps"]]

    assert [("tag_without_good_data", None), ("data_lost", 7)] == kinds
    assert found["completeness"]["statement"].startswith("Incomplete as known at lsn ")
    assert {"EXACT": 1, "WINDOW": 0, "AMBIGUOUS": 0} == found["completeness"]["materials"]


def test_a_passport_without_gaps_says_so():
    """Complete up to the watermark, which is named."""
    history = [*visit("U", "oven", 10, 30), *metered(60)]
    made = builder(history)
    made._catalog.tags.remove(SILENT)
    found = made.passport("U")

    assert [] == found["gaps"]
    assert (
        f"Complete as known at lsn {found['watermark_lsn']}." == found["completeness"]["statement"]
    )
    assert found["watermark_lsn"] > 0


def test_energy_of_a_visit_alone_is_the_meters():
    """Twenty seconds at one watt-second per second, between exact reads."""
    found = builder([*visit("U", "oven", 10, 30), *metered(60)]).passport("U")

    (share,) = found["visits"][0]["energy"]
    assert (20.0, False, 1) == (share["energy"], share["estimated"], share["shared_by"])
    assert [{"eng_unit": "Wh", "energy": 20.0}] == found["energy"]["totals"]
    assert found["energy"]["complete"]


def test_energy_is_shared_by_those_who_are_there():
    """Shares of all units and the idle rest add up to the meter."""
    history = [
        *visit("A", "oven", 0, 30),
        *visit("B", "oven", 10, 40),
        *visit("C", "oven", 20, 30),
        *metered(60),
    ]
    made = builder(history)
    shares = {u: made.passport(u)["energy"]["totals"][0]["energy"] for u in "ABC"}

    assert {"A": 10 + 5 + 10 / 3, "B": 5 + 10 / 3 + 10, "C": 10 / 3} == pytest.approx(shares)
    assert 40.0 == pytest.approx(sum(shares.values()))


def test_boards_share_what_their_panel_used():
    """Before the split a quarter each, after it each its own; in sum the meter."""
    history = [
        ("unit_arrived", 0, {"unit": "P", "station": "oven"}),
        *(
            ("panel_split", 20 * S, {"panel": "P", "unit": f"B{i}", "position": i})
            for i in range(1, 5)
        ),
        *(("unit_departed", 40 * S, {"unit": f"B{i}", "station": "oven"}) for i in range(1, 5)),
        ("unit_departed", 40 * S, {"unit": "P", "station": "oven"}),
        *metered(60),
    ]
    made = builder(history)
    shares = [made.passport(f"B{i}")["energy"]["totals"][0]["energy"] for i in range(1, 5)]

    assert [10.0] * 4 == pytest.approx(shares)


def test_energy_that_is_not_known_is_null_with_its_reason():
    """An open visit, a meter without reads, a station without a meter."""
    history = [
        *visit("U", "printer", 0, 5),
        *visit("U", "oven", 50, 100),
        ("unit_arrived", 110 * S, {"unit": "U", "station": "oven"}),
        *metered(60),
    ]
    found = builder(history).passport("U")
    reasons = [[share["reason"] for share in visit["energy"]] for visit in found["visits"]]

    assert [[], ["no read at or after the end"], ["the visit is not over"]] == reasons
    assert {"no_meter", "energy_unknown", "open"} <= found["completeness"]["gaps"].keys()
    assert not found["energy"]["complete"]


def test_tags_made_later_are_bound_too():
    """Tags appear when their first sample does."""
    made = builder(HISTORY)
    assert OTHER.name not in made.passport("U")["visits"][0]["tags"]
    made._catalog.tags.append(Tag("l1/oven/new", (5,), ValueType.FLOAT64, stepped=False))
    (found,) = made.passport("U")["visits"]

    assert "l1/oven/new" in found["tags"]
    assert "cannot find tag" in found["statistics"][-1]["error"]


def test_a_serial_nobody_named_is_refused():
    """Not an empty passport."""
    with pytest.raises(UnknownUnit):
        builder(HISTORY).passport("nobody")


def test_events_that_come_later_change_the_passport():
    """Late data repairs what was derived."""
    made = builder([*visit("U", "oven", 10, 30), *metered(60)])
    before = made.passport("U")
    late = Event("test_result", 20 * S, {"unit": "U", "station": "oven"}, 900, 900)
    made._genealogy.apply(late.kind, late.batch(), late.lsn)
    after = made.passport("U")

    assert (0, 1) == (len(before["visits"][0]["tests"]), len(after["visits"][0]["tests"]))
    assert 900 == after["watermark_lsn"]
    assert np.all([v["station"] == "oven" for v in after["visits"]])
