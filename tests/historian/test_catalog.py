"""catalog.py: a name and an address mean one tag, for ever, whatever fails in between."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from historian.catalog import Catalog
from historian.catalog_records import SeriesRecord, TagDraft, series_uuid
from historian.catalog_rules import TagRules
from historian.config import TagRuleConfig
from historian.errors import ConfigInvalid, Conflict, NotFound, NotReady, RequestInvalid
from query.errors import UnknownTag
from storage_engine.sample import ValueType

F, N = ValueType.FLOAT64, ValueType.INT64


class FixedClock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.ns = 1_000

    def now_ns(self) -> int:
        return self.ns


class Streams:
    """The engine's part: dense ids by uuid."""

    def __init__(self) -> None:
        self.ids: dict[bytes, int] = {}

    def create(self, wanted: Sequence[tuple[bytes, ValueType]]) -> list[int]:
        return [self.ids.setdefault(uid, len(self.ids)) for uid, _ in wanted]


RULES = [
    TagRuleConfig(name="line.{1}.{source}", source="plc*", address=r"ns=2;s=(.+)", eng_unit="bar"),
]


def open_catalog(path: Path, streams: Streams, *, tags_max: int = 100) -> Catalog:
    return Catalog.open(
        path / "catalog.sqlite", streams.create, FixedClock(), TagRules(RULES), tags_max=tags_max
    )


def test_a_declared_tag_is_found_after_reopening(tmp_path: Path) -> None:
    """What an administrator declared once is never asked again."""
    streams = Streams()
    catalog = open_catalog(tmp_path, streams)
    made = catalog.declare_tag(TagDraft("oven.t", F, "plc1", "ns=1", eng_unit="°C"), "ann")
    catalog.close()

    again = open_catalog(tmp_path, streams)

    assert made == again.find("oven.t") == again.find_address("plc1", "ns=1")
    assert again.resolve("oven.t").series == (made.series[0].stream_id,)
    assert made.series[0].uuid == made.uuid
    assert again.resolve("oven.t").stepped is False


def test_an_unknown_name_is_refused_by_name(tmp_path: Path) -> None:
    """Query maps this one error to its own answer."""
    with pytest.raises(UnknownTag, match="nowhere"):
        open_catalog(tmp_path, Streams()).resolve("nowhere")


def test_the_stream_exists_before_the_catalog_commits(tmp_path: Path) -> None:
    """A crash between the two must leave an empty stream, never a tag without one."""
    catalog = open_catalog(tmp_path, Streams())

    def fail(wanted: Sequence[tuple[bytes, ValueType]]) -> list[int]:
        raise NotReady("the engine is closed")

    catalog.use(fail)
    with pytest.raises(NotReady):
        catalog.declare_tag(TagDraft("a", F), "ann")

    assert catalog.find("a") is None
    assert catalog.database.rows("SELECT name FROM tags") == []


@pytest.mark.parametrize("name", ["", " a", "a\n", "x" * 401, "a\x00b"])
def test_names_that_nobody_could_type_are_refused(tmp_path: Path, name: str) -> None:
    """Names are shown, typed and put into addresses."""
    with pytest.raises(RequestInvalid):
        open_catalog(tmp_path, Streams()).declare_tag(TagDraft(name, F), "ann")


def test_one_address_feeds_one_tag(tmp_path: Path) -> None:
    """Two tags of one address would each see half of the samples."""
    catalog = open_catalog(tmp_path, Streams())
    catalog.declare_tag(TagDraft("a", F, "plc", "x"), "ann")

    with pytest.raises(Conflict, match="feeds 'a'"):
        catalog.declare_tag(TagDraft("b", F, "plc", "x"), "ann")
    with pytest.raises(Conflict, match="type int64"):
        catalog.declare_tag(TagDraft("a", N, "plc", "x"), "ann")


def test_a_list_with_one_wrong_draft_declares_nothing(tmp_path: Path) -> None:
    """All or none: half a list would have to be cleaned up by hand."""
    catalog = open_catalog(tmp_path, Streams())

    with pytest.raises(Conflict, match="twice"):
        catalog.declare_tags([TagDraft("a", F), TagDraft("b", F), TagDraft("a", F)], "ann")
    with pytest.raises(RequestInvalid):
        catalog.declare_tags([TagDraft("a", F), TagDraft("", F)], "ann")

    assert 0 == len(catalog)


def test_a_rule_makes_the_tag_of_an_unknown_address_once(tmp_path: Path) -> None:
    """An address declared twice in a frame, and again later, is one tag."""
    catalog = open_catalog(tmp_path, Streams())
    wanted = [("ns=2;s=P1", F), ("ns=2;s=P1", F), ("ns=3;s=P1", F)]

    first, twin, unknown = catalog.series_for("plc7", wanted, "collector")

    assert isinstance(first, SeriesRecord)
    assert first == twin == catalog.series_for("plc7", wanted[:1], "collector")[0]
    assert unknown == "no tag rule matches"
    tag = catalog.find("line.P1.plc7")
    assert tag is not None
    assert ("bar", "rule") == (tag.eng_unit, tag.origin)
    assert ["no tag rule matches"] == catalog.series_for("mqtt", wanted[:1], "collector")


def test_two_addresses_that_a_rule_names_alike_do_not_share_a_tag(tmp_path: Path) -> None:
    """A careless rule must not mix two sensors."""
    catalog = Catalog.open(
        tmp_path / "c", Streams().create, FixedClock(), TagRules([TagRuleConfig(name="all")])
    )

    first, second = catalog.series_for("s", [("a", F), ("b", F)], "collector")

    assert isinstance(first, SeriesRecord)
    assert "another address" in str(second)
    assert "another address" in str(catalog.series_for("s", [("b", F)], "collector")[0])


def test_a_new_type_is_a_further_series_and_an_old_type_its_own(tmp_path: Path) -> None:
    """A source that flips between two types must not make a series per flip."""
    streams = Streams()
    catalog = open_catalog(tmp_path, streams)
    tag = catalog.declare_tag(TagDraft("a", F, "s", "x"), "ann")

    found = catalog.series_for("s", [("x", N), ("x", F), ("x", N)], "collector")

    assert found[0] == found[2]
    assert found[1] == tag.series[0]
    assert 2 == len(streams.ids)
    assert N is catalog.resolve("a").type
    assert open_catalog(tmp_path, streams).find("a") == catalog.find("a")
    assert series_uuid(tag.uuid, 1, N) in streams.ids


def test_rules_stop_at_the_bound_of_tags(tmp_path: Path) -> None:
    """A source gone wild must not fill the catalog."""
    catalog = open_catalog(tmp_path, Streams(), tags_max=2)

    found = catalog.series_for("plc", [(f"ns=2;s={i}", F) for i in range(3)], "collector")

    assert "ingest.tags_max" in str(found[2])
    assert 2 == len(catalog)
    with pytest.raises(Conflict, match="tags_max"):
        catalog.declare_tag(TagDraft("more", F), "ann")


def test_every_change_is_in_the_audit_and_stays_there(tmp_path: Path) -> None:
    """Who changed what, when: and nobody can take it out again."""
    catalog = open_catalog(tmp_path, Streams())
    catalog.declare_tag(TagDraft("a", F), "ann")
    catalog.edit_tag("a", {"eng_unit": "bar"}, "bob")
    catalog.edit_tag("a", {"eng_unit": "bar"}, "eve")

    edit, create = catalog.database.audit()

    assert ("bob", "edit tag", "a") == (edit.principal, edit.action, edit.subject)
    assert edit.before is not None
    assert edit.after is not None
    assert ("", "bar") == (edit.before["eng_unit"], edit.after["eng_unit"])
    assert ("ann", None, 1_000) == (create.principal, create.before, create.time_ns)
    with pytest.raises(Conflict, match="append-only"), catalog.database.transaction():
        catalog.database.execute("DELETE FROM audit")
    with pytest.raises(Conflict, match="append-only"), catalog.database.transaction():
        catalog.database.execute("UPDATE audit SET principal='eve'")


def test_only_texts_can_be_edited(tmp_path: Path) -> None:
    """An address changed in place would orphan history."""
    catalog = open_catalog(tmp_path, Streams())
    catalog.declare_tag(TagDraft("a", F), "ann")

    with pytest.raises(RequestInvalid, match="'address'"):
        catalog.edit_tag("a", {"address": "b"}, "ann")
    with pytest.raises(NotFound):
        catalog.edit_tag("b", {"eng_unit": "bar"}, "ann")


def test_tags_come_in_pages_by_name(tmp_path: Path) -> None:
    """The page asks with the last name it has."""
    catalog = open_catalog(tmp_path, Streams())
    catalog.declare_tags([TagDraft(f"oven.{i}", F) for i in range(5)], "ann")
    catalog.declare_tag(TagDraft("pump", F, description="behind the OVEN"), "ann")

    first = catalog.tags("oven", limit=3)
    rest = catalog.tags("oven", limit=10, after=first[-1].name)

    assert ["oven.0", "oven.1", "oven.2"] == [t.name for t in first]
    assert ["oven.3", "oven.4", "pump"] == [t.name for t in rest]
    assert [] == catalog.tags("%")


@pytest.mark.parametrize("key", ["name", "description", "asset"])
def test_a_rule_with_a_group_that_is_not_there_is_refused(key: str) -> None:
    """Better at start than at the first sample."""
    rule = {"name": "a", "address": "(.)(?P<x>.)", key: "{0} {1} {x} {2} {source} {y}"}

    with pytest.raises(ConfigInvalid, match=rf"\{{y\}}.*tag_rules.0..{key}"):
        TagRules([TagRuleConfig(**rule)])


def test_braces_and_backslashes_in_names_are_only_characters() -> None:
    """Names of sources are data, not templates."""
    rules = TagRules([TagRuleConfig(name="{source}/{1}", address="(.*)")])

    draft = rules.draft(r"plc\1", "x{source}", F)

    assert draft is not None
    assert r"plc\1/x{source}" == draft.name


def test_a_file_of_a_newer_version_is_not_touched(tmp_path: Path) -> None:
    """Downgrading must fail with a sentence, not with a broken catalog."""
    catalog = open_catalog(tmp_path, Streams())
    catalog.database.execute("PRAGMA user_version=99")
    catalog.close()

    with pytest.raises(ConfigInvalid, match="version 99"):
        open_catalog(tmp_path, Streams())


def test_a_file_that_is_no_catalog_is_named(tmp_path: Path) -> None:
    """The path in the message is what the administrator needs."""
    (tmp_path / "catalog.sqlite").write_bytes(b"not a database" * 100)

    with pytest.raises(ConfigInvalid, match=r"catalog\.sqlite"):
        open_catalog(tmp_path, Streams())
