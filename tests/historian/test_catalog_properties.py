"""Properties of tags: kept, refused when they mean nothing, read from older files as none."""

import sqlite3
import tomllib
from pathlib import Path
from typing import Any

import pytest

from historian.catalog import Catalog
from historian.catalog_plant import apply_config
from historian.catalog_records import TagDraft
from historian.catalog_rules import TagRules
from historian.config import parse_config
from historian.durations import duration_ns, duration_text, optional_ns
from historian.errors import ConfigInvalid, RequestInvalid
from historian.ingest_testing import SetClock
from storage_engine.sample import ValueType

F = ValueType.FLOAT64
ALL = {
    "hold_max_ns": 900_000_000_000,
    "stale_after_ns": 1,
    "counter_modulus": 1e6,
    "limit_low": -40.0,
    "limit_high": 120.0,
    "counter_rate_max": 2.5,
    "counter_resets": True,
}


def open_catalog(path: Path, *, read_only: bool = False) -> Catalog:
    ids = iter(range(1_000_000))

    def create(wanted: Any) -> list[int]:
        return [next(ids) for _ in wanted]

    return Catalog.open(path / "c", create, SetClock(1), TagRules([]), read_only=read_only)


def test_properties_are_kept_edited_and_audited(tmp_path: Path) -> None:
    """What reads depend on must be there after a restart, and who changed it be known."""
    catalog = open_catalog(tmp_path)
    made = catalog.declare_tag(TagDraft("a", F, **ALL), "ann")
    assert ALL == {field: getattr(made, field) for field in ALL}
    seen = catalog.resolve("a")
    assert (900_000_000_000, 1, 1e6) == (
        seen.hold_max_ns,
        seen.stale_after_ns,
        seen.counter_modulus,
    )

    edited = catalog.edit_tag("a", dict.fromkeys(ALL) | {"hold_max_ns": 5}, "bob")
    catalog.close()
    again = open_catalog(tmp_path)
    assert edited == again.find("a")
    assert 5 == again.resolve("a").hold_max_ns
    entry = again.database.audit()[0]
    assert entry.before is not None
    assert entry.after is not None
    assert (1e6, None, 5) == (
        entry.before["counter_modulus"],
        entry.after["counter_modulus"],
        entry.after["hold_max_ns"],
    )
    again.edit_tag("a", {"hold_max_ns": None}, "bob")
    assert [] == again.database.rows("SELECT * FROM tag_properties")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hold_max_ns", 0),
        ("hold_max_ns", -1),
        ("stale_after_ns", 2**63),
        ("counter_modulus", 0.0),
        ("counter_modulus", float("inf")),
        ("limit_low", float("nan")),
        ("counter_rate_max", 0.0),
        ("limit_low", 120.0),
    ],
)
def test_properties_that_mean_nothing_are_refused(tmp_path: Path, field: str, value: float) -> None:
    """Declared or edited: the property is named and nothing changes."""
    catalog = open_catalog(tmp_path)
    catalog.declare_tag(TagDraft("a", F, **ALL), "ann")

    with pytest.raises(RequestInvalid) as declared:
        TagDraft("b", F, **ALL | {field: value}).check()
    with pytest.raises(RequestInvalid) as edited:
        catalog.edit_tag("a", {field: value}, "ann")

    assert field == declared.value.facts["where"] == edited.value.facts["where"]
    assert ALL == {name: getattr(catalog.find("a"), name) for name in ALL}


def test_only_numbers_count_and_have_limits(tmp_path: Path) -> None:
    """A tag that once held numbers keeps its limits; one of texts has none, but may be stale."""
    catalog = open_catalog(tmp_path)
    catalog.declare_tag(TagDraft("s", ValueType.SYMBOL, hold_max_ns=1, stale_after_ns=2), "ann")
    with pytest.raises(RequestInvalid, match="for type symbol"):
        catalog.edit_tag("s", {"limit_low": 1.0}, "ann")

    tag = catalog.declare_tag(TagDraft("a", F, "plc", "x", **ALL), "ann")
    catalog.series_for("plc", [("x", ValueType.BOOL)], "edge")
    assert catalog.edit_tag("a", {"description": "now a flag"}, "ann").limit_low == tag.limit_low


def test_a_file_of_the_version_before_opens_with_no_properties(tmp_path: Path) -> None:
    """Also for a reader that may not write."""
    catalog = open_catalog(tmp_path)
    catalog.declare_tag(TagDraft("a", F, **ALL), "ann")
    catalog.close()
    with sqlite3.connect(tmp_path / "c") as file:
        file.execute("DROP TABLE tag_properties")
        file.execute("DROP TABLE tag_names")
        file.execute("DROP TABLE tag_counters")
        file.execute("DROP TABLE tag_joins")
        file.execute("PRAGMA user_version=5")
    file.close()

    for read_only in (True, False):
        catalog = open_catalog(tmp_path, read_only=read_only)
        tag = catalog.find("a")
        catalog.close()
        assert dict.fromkeys(ALL) == {field: getattr(tag, field) for field in ALL}


def test_many_drafts_are_entered_all_or_none(tmp_path: Path) -> None:
    """One that cannot be stored must not leave the edits before it behind."""
    catalog = open_catalog(tmp_path)
    catalog.declare_tags([TagDraft("a", F), TagDraft("b", F)], "ann")

    with pytest.raises(RequestInvalid):
        catalog.declare_tags(
            [TagDraft("a", F, eng_unit="bar"), TagDraft("b", F, limit_low=float("nan"))], "ann"
        )

    assert "" == catalog.resolve("a").eng_unit
    found = catalog.declare_tags([TagDraft("a", F, eng_unit="bar"), TagDraft("c", F)], "ann")
    assert [("a", "bar"), ("c", "")] == [(tag.name, tag.eng_unit) for tag in found]


def test_the_configuration_says_durations_as_people_do(tmp_path: Path) -> None:
    """And is refused with the key where it does not."""
    text = """
    [[tags]]
    name = "a"
    hold_max = "15m"
    stale_after = "0"
    counter_modulus = 1000000
    limit_low = -40
    limit_high = 1.5
    counter_rate_max = 2.5
    counter_resets = false
    """
    catalog = open_catalog(tmp_path)
    apply_config(catalog, parse_config(tomllib.loads(text), base=tmp_path))
    tag = catalog.find("a")
    assert tag is not None
    told = tuple(getattr(tag, field) for field in ALL)
    assert (900_000_000_000, None, 1e6, -40.0, 1.5, 2.5, False) == told

    for wrong in ('hold_max = "soon"', "hold_max = 15", "limit_low = true", "counter_modulus = -1"):
        document = tomllib.loads(f'[[tags]]\nname = "a"\n{wrong}')
        with pytest.raises(ConfigInvalid, match=wrong.split()[0]):
            parse_config(document, base=tmp_path)


@pytest.mark.parametrize("length", [1, 999, 10**9, 90 * 10**9, 3_600 * 10**9, 2**63 - 1])
def test_a_duration_is_told_as_it_is_read(length: int) -> None:
    """What an answer says may be sent back."""
    assert length == duration_ns(duration_text(length)) == optional_ns(duration_text(length))
