"""Names through time: who had which when, and who still means it by that name."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from historian.catalog import Catalog
from historian.catalog_changes import TagChange
from historian.catalog_plant import apply_config
from historian.catalog_records import SeriesRecord, TagDraft
from historian.catalog_rules import TagRules
from historian.config import parse_config
from historian.config_plant import TagRuleConfig
from historian.errors import NotFound, RequestInvalid
from historian.ingest_testing import SetClock
from storage_engine.sample import ValueType

F, N = ValueType.FLOAT64, ValueType.INT64


class Plant:
    """A catalog whose clock is set by hand."""

    def __init__(self, path: Path, *rules: TagRuleConfig) -> None:
        self.clock = SetClock(100)
        self.path = path / "c"
        self.rules = TagRules(rules)
        self.made = 0
        self.catalog = self.open()

    def open(self) -> Catalog:
        return Catalog.open(self.path, self.create, self.clock, self.rules)

    def create(self, wanted: Any) -> list[int]:
        self.made += len(wanted)
        return list(range(self.made - len(wanted), self.made))

    def rename(self, tag: str, name: str, time_ns: int) -> None:
        self.clock.ns = time_ns
        self.catalog.edit_tag(tag, {"name": name}, "ann")

    def at(self, name: str, time_ns: int) -> str | None:
        tag = self.catalog.find_at(name, time_ns)
        return None if tag is None else tag.name


def test_a_name_means_the_tag_that_had_it_at_the_time(tmp_path: Path) -> None:
    """Periods are half-open and without holes, also when the clock falls back."""
    plant = Plant(tmp_path)
    plant.catalog.declare_tag(TagDraft("a", F), "ann")
    plant.rename("a", "b", 200)
    plant.clock.ns = 250
    plant.catalog.declare_tag(TagDraft("a", F), "ann")
    plant.rename("b", "c", 300)
    plant.rename("c", "d", 50)

    for catalog in (plant.catalog, plant.open()):
        plant.catalog = catalog
        assert [None, "d", "d", None, "a", "a"] == [
            plant.at("a", time) for time in (99, 100, 199, 200, 250, 999)
        ]
        assert [None, "d", None] == [plant.at("b", time) for time in (199, 200, 300)]
        assert "d" == plant.at("d", 300)
        found = catalog.find("b")
        assert found is not None
        assert [("a", 100, 200), ("b", 200, 300), ("c", 300, 300), ("d", 300, None)] == [
            (one.name, one.from_ns, one.to_ns) for one in catalog.names.periods(found)
        ]
        assert ["d", "a", "b", "c"] == catalog.names_of(found)


def test_the_last_bearer_of_a_free_name_is_meant(tmp_path: Path) -> None:
    """And the one who has it now before all of them."""
    plant = Plant(tmp_path)
    for time, name in ((200, "first"), (300, "second")):
        plant.catalog.declare_tag(TagDraft("a", F), "ann")
        plant.rename("a", name, time)
    for catalog in (plant.catalog, plant.open()):
        assert "second" == catalog.resolve("a").name
    plant.rename("first", "a", 400)
    assert "a" == plant.catalog.resolve("a").name
    assert "a" == plant.catalog.resolve("first").name


def test_a_file_of_configuration_may_lag_behind(tmp_path: Path) -> None:
    """It names the tag as before: no second tag, and no start refused for its address."""
    plant = Plant(tmp_path)
    file = '[[tags]]\nname = "a"\nsource = "plc"\naddress = "x"\neng_unit = "bar"'
    apply_config(plant.catalog, parse_config(tomllib.loads(file), base=tmp_path))
    plant.rename("a", "b", 200)
    lagging = parse_config(tomllib.loads(file.replace("bar", "mbar")), base=tmp_path)
    apply_config(plant.catalog, lagging)
    assert [("b", "mbar")] == [(tag.name, tag.eng_unit) for tag in plant.catalog.every()]

    both = file.replace('"a"', '"b"') + '\n[[tags]]\nname = "a"'
    apply_config(plant.catalog, parse_config(tomllib.loads(both), base=tmp_path))
    assert ["a", "b"] == sorted(tag.name for tag in plant.catalog.every())


def test_a_rule_makes_a_tag_of_a_name_that_was_freed(tmp_path: Path) -> None:
    """A sensor is replaced: the old tag steps aside, the new address gets the name."""
    plant = Plant(tmp_path, TagRuleConfig(name="t", address="x|y"))
    plant.catalog.series_for("plc", [("x", F)], "edge")
    plant.rename("t", "t until May", 200)
    plant.catalog.series_for("plc", [("x", F), ("y", F)], "edge")
    assert {"t": "y", "t until May": "x"} == {t.name: t.address for t in plant.catalog.every()}


def test_a_type_that_comes_back_goes_on_with_its_series(tmp_path: Path) -> None:
    """Also after a restart; nothing is made twice."""
    plant = Plant(tmp_path)
    tag = plant.catalog.declare_tag(TagDraft("a", F), "ann")
    for type_ in (N, F, N, F, F):
        assert type_ is plant.catalog.change_type("a", type_, "ann").type
    assert 2 == plant.made
    assert plant.catalog.find("a") == plant.open().find("a")
    assert tag.series[0].stream_id == plant.catalog.resolve("a").series[-1]
    with pytest.raises(NotFound):
        plant.catalog.change_type("b", F, "ann")
    with pytest.raises(RequestInvalid):
        plant.catalog.change_type("a", ValueType.TEXT, "ann")


def test_a_thousand_names_move_by_one_in_one_transaction(tmp_path: Path) -> None:
    """No order of renames one after the other could do it."""
    plant = Plant(tmp_path)
    made = plant.catalog.declare_tags([TagDraft(f"t{n}", F) for n in range(1000)], "ann")
    plant.clock.ns = 200
    changes = [TagChange(tag, {"name": f"t{(n + 1) % 1000}"}) for n, tag in enumerate(made)]
    after, _ = plant.catalog.change(changes, [], "ann")

    for catalog in (plant.catalog, plant.open()):
        assert [tag.uuid for tag in made] == [
            tag.uuid for one in after if (tag := catalog.find(one.name)) is not None
        ]


def test_a_change_that_was_asked_for_on_an_older_state_undoes_nothing(tmp_path: Path) -> None:
    """Two people edit one tag at once: each changes what it names, and no name comes back."""
    plant = Plant(tmp_path)
    seen = plant.catalog.declare_tag(TagDraft("a", F), "ann")
    plant.rename("a", "b", 200)
    plant.catalog.edit_tag("b", {"eng_unit": "bar"}, "ann")

    (after,), _ = plant.catalog.change([TagChange(seen, {"asset": "hall"})], [], "bob")
    assert ("b", "bar", "hall") == (after.name, after.eng_unit, after.asset)
    late = SeriesRecord(77, b"s" * 16, N)
    plant.catalog.attach_series(seen, late, "importer")

    for catalog in (plant.catalog, plant.open()):
        assert ["b"] == [tag.name for tag in catalog.every()]
        assert N is catalog.resolve("a").type
