"""catalog_descriptions.py: what sources say is kept within a bound, and never over a person."""

from pathlib import Path

from historian.catalog import Catalog
from historian.catalog_descriptions import Descriptions
from historian.catalog_plant import assets, put_asset, put_asset_path
from historian.catalog_records import TagDraft
from historian.catalog_rules import TagRules
from historian.catalog_sources import source_facts
from historian.config_plant import AssetConfig
from historian.ingest_testing import SetClock
from storage_engine.sample import ValueType


def open_catalog(path: Path) -> Catalog:
    return Catalog.open(
        path / "c", lambda wanted: list(range(len(wanted))), SetClock(1), TagRules([])
    )


def said(address: str, **texts: object) -> dict[str, object]:
    return {"source": "plc", "items": [{"address": address, **texts}]}


def test_only_empty_texts_are_filled(tmp_path: Path) -> None:
    """An administrator's unit is worth more than a vendor's."""
    catalog = open_catalog(tmp_path)
    catalog.declare_tag(TagDraft("t", ValueType.FLOAT64, "plc", "a", eng_unit="bar"), "ann")
    descriptions = Descriptions(catalog, 10)
    keys = descriptions.learn([said("a", name="Pressure", eng_unit="psi")])

    assert 1 == descriptions.enter(keys, "edge")
    tag = catalog.find("t")
    assert tag is not None
    assert ("Pressure", "bar") == (tag.description, tag.eng_unit)
    assert "edge" == catalog.database.audit()[0].principal
    assert 0 == len(descriptions)


def test_descriptions_without_a_tag_wait_within_a_bound(tmp_path: Path) -> None:
    """A server of a hundred thousand nodes describes them all."""
    descriptions = Descriptions(open_catalog(tmp_path), 2)
    keys = [key for a in "abc" for key in descriptions.learn([said(a, name=a)])]

    assert [("plc", "b"), ("plc", "c")] == descriptions.waits(keys)
    assert 0 == descriptions.enter(keys, "edge")
    assert 2 == len(descriptions)


def test_facts_of_a_strange_shape_are_passed_over(tmp_path: Path) -> None:
    """Notices are JSON from outside."""
    descriptions = Descriptions(open_catalog(tmp_path), 10)

    assert [] == descriptions.learn([{}, {"items": 5}, {"items": ["a", None]}])
    keys = descriptions.learn(
        [said("a", name=7, eng_unit=["x"]), said("b", description="d" * 9_999)]
    )
    assert 0 == descriptions.enter(keys, "edge")


def test_ranges_types_and_states_are_kept_and_follow_the_source(tmp_path: Path) -> None:
    """What the source says last counts; a change is in the audit, a repetition is none."""
    catalog = open_catalog(tmp_path)
    tag = catalog.declare_tag(TagDraft("t", ValueType.FLOAT64, "plc", "a"), "ann")
    descriptions = Descriptions(catalog, 10)
    facts = {"data_type": "Double", "asset": "acme", "asset_levels": "site", "odd": 5, "": "x"}
    for high in (10.0, 10.0, 12.5):
        keys = descriptions.learn([said("a", low=-1, high=high, facts=facts)])
        descriptions.enter(keys, "edge")

    wanted = {"low": -1.0, "high": 12.5, "facts": {"": "x", "data_type": "Double"}}
    assert wanted == source_facts(catalog, tag).told()
    told = [one for one in catalog.database.audit() if one.action == "describe tag"]
    assert [(12.5, 10.0), (10.0, None)] == [
        (one.after and one.after["high"], one.before and one.before["high"]) for one in told
    ]
    keys = descriptions.learn([said("a", low=True, high=float("nan"), facts=["x"])])
    assert 0 == descriptions.enter(keys, "edge"), "nonsense takes nothing away"
    assert wanted == source_facts(catalog, tag).told()


def test_an_asset_that_a_source_tells_is_made_and_holds_the_tag(tmp_path: Path) -> None:
    """A namespace in topics is a tree of assets; what people made of it stays."""
    catalog = open_catalog(tmp_path)
    put_asset(catalog, AssetConfig("acme", "enterprise", "Acme Ltd"), "ann")
    one = TagDraft("t", ValueType.FLOAT64, "plc", "a")
    other = TagDraft("u", ValueType.FLOAT64, "plc", "b", asset="other")
    catalog.declare_tags([one, other], "ann")
    descriptions = Descriptions(catalog, 10)
    placed = {"asset": "acme//press", "asset_levels": "enterprise//line"}
    keys = descriptions.learn([said("a", facts=placed), said("b", facts=placed)])

    assert 1 == descriptions.enter(keys, "edge")
    assert [
        ("acme", "enterprise", "Acme Ltd"),
        ("acme/press", "line", ""),
    ] == [(a.path, a.level, a.description) for a in assets(catalog)]
    assert ("acme/press", "other") == tuple(
        tag.asset for tag in map(catalog.find, "tu") if tag is not None
    )


def test_assets_without_levels_have_those_of_their_position(tmp_path: Path) -> None:
    """Deeper than a station there are stations in stations."""
    catalog = open_catalog(tmp_path)

    assert "a/b/c/d/e/f" == put_asset_path(catalog, "a/b/c/d/e/f", "moon", "edge")
    assert "" == put_asset_path(catalog, "//", "", "edge")
    assert "" == put_asset_path(catalog, "x/" * 1_000, "", "edge")
    levels = [asset.level for asset in assets(catalog)]
    assert ["enterprise", "site", "area", "line", "station", "station"] == levels
