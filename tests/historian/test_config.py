"""config.py: a wrong file is refused by the path of its key; a right one is complete."""

import dataclasses
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from historian.config import HistorianConfig, default_config, load_config, parse_config
from historian.errors import ConfigInvalid

ROOT = Path(__file__).parents[2]
DERIVED = {
    "backup.directory": "`backups` in the store's folder",
    "transfer.path": "`transfer` in the store's folder",
    "http.token_file": "`admin.token` in the store's folder",
    "simulator.truth_path": "`truth.jsonl` in the store's folder",
    "collectors.spool_path": "`spool/<name>` in the store's folder",
    "collectors.server_url": "this file's `[http]`",
    "collectors.token_file": "`http.token_file`",
}


def settings() -> Iterator[tuple[str, dataclasses.Field[Any], type]]:
    """(path, field, class) of every key of the file; engine limits stand in [store]."""
    hints = get_type_hints(HistorianConfig)
    for table in dataclasses.fields(HistorianConfig):
        if table.metadata.get("hidden"):
            continue
        cls = hints[table.name]
        cls = cls if dataclasses.is_dataclass(cls) else get_args(cls)[0]
        for field in dataclasses.fields(cls):
            if field.metadata.get("hidden"):
                continue
            if field.metadata.get("inline"):
                inner = get_type_hints(cls)[field.name]
                for deeper in dataclasses.fields(inner):
                    yield f"{table.name}.{deeper.name}", deeper, inner
                continue
            yield f"{table.name}.{field.name}", field, cls


def rows() -> dict[str, str]:
    """Setting -> default, as docs/configuration.md tells them."""
    text = (ROOT / "docs/configuration.md").read_text()
    return dict(re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \| (.+?) \|", text, re.MULTILINE))


def test_every_setting_is_explained_and_none_that_is_not_there() -> None:
    """The page is what an administrator has."""
    assert {path for path, _, _ in settings()} == set(rows())


def told_default(path: str, field: dataclasses.Field[Any]) -> str:
    """Say a default as the page should."""
    factory = field.default_factory
    default = factory() if factory is not dataclasses.MISSING else field.default
    if path in DERIVED:
        return DERIVED[path]
    if default is dataclasses.MISSING:
        return "required"
    if default is None:
        return "unset"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, str | Path):
        return f'`"{default}"`'
    return "`[]`" if default == () else f"`{default}`"


def test_the_page_tells_the_true_defaults() -> None:
    """A default changed in code alone would make the page lie."""
    assert {path: told_default(path, field) for path, field, _ in settings()} == rows()


def test_every_setting_is_documented_where_it_is_defined() -> None:
    """A field without a word is a field nobody dares to change."""
    for path, field, cls in settings():
        assert re.search(rf"^\s*{field.name} : ", inspect.getdoc(cls) or "", re.MULTILINE), path


@pytest.mark.parametrize(
    ("table", "where", "want"),
    [
        ({"http": {"prt": 1}}, "http.prt", "'port'"),
        ({"htp": {}}, "htp", "'http'"),
        ({"store": {"free_byte_min": 1}}, "store.free_byte_min", "'free_bytes_min'"),
        ({"tags": [{"name": "a"}, {"nme": "b"}]}, "tags[1].nme", "'name'"),
        ({"tags": [{}]}, "tags[0].name", "got no key"),
        ({"http": {"port": "8650"}}, "http.port", "a whole number"),
        ({"http": {"port": True}}, "http.port", "a whole number"),
        ({"http": {"port": -1}}, "http.port", "zero or more"),
        ({"http": []}, "http", "a table"),
        ({"tags": {}}, "tags", "a list"),
        ({"tags": [{"name": "a", "type": "int"}]}, "tags[0].type", "int64"),
        ({"collectors": [{"name": "a", "sources": []}]}, "collectors[0].sources", "unknown key"),
        ({"file": "x"}, "file", "unknown key"),
        ({"store": {"block_rows": 0}}, "store", "block_rows"),
        ({"ingest": {"time_min": "1990-01-01"}}, "ingest", "offset"),
        ({"ingest": {"time_min": "yesterday"}}, "ingest", "yesterday"),
        ({"tag_rules": [{"name": "a", "address": "("}]}, "tag_rules[0]", "regular expression"),
        (
            {"sources": [{"name": "a", "kind": "mqtt", "collector": "b"}]},
            "sources[0].collector",
            "local",
        ),
        ({"tags": [{"name": "a", "state_set": "b"}]}, "tags[0].state_set", "none is configured"),
        ({"stations": [{"name": "a"}, {"name": "a"}]}, "stations", "twice"),
    ],
)
def test_what_is_wrong_is_refused_by_its_path(table: dict[str, Any], where: str, want: str) -> None:
    """The administrator must not have to search."""
    with pytest.raises(ConfigInvalid) as refused:
        parse_config(table, base=Path("/x"))

    assert where == refused.value.facts["where"]
    assert f"at {where}" in str(refused.value)
    assert want in str(refused.value)


def test_paths_mean_the_folder_of_the_file(tmp_path: Path) -> None:
    """A service is started from anywhere."""
    file = tmp_path / "historian.toml"
    file.write_text('[store]\npath = "s"\n[[collectors]]\nname = "edge"\nspool_path = "/spool"\n')

    config = load_config(file)

    assert tmp_path / "s" == config.store.path
    assert tmp_path / "s/admin.token" == config.http.token_file
    assert Path("/spool") == config.collectors[0].spool_path
    assert config.collectors[0].token_file == config.http.token_file
    assert file == config.file


def test_a_source_without_a_collector_gets_the_local_one(tmp_path: Path) -> None:
    """The small plant writes one table."""
    config = parse_config({"sources": [{"name": "a", "kind": "mqtt"}]}, base=tmp_path)

    assert ["local"] == [c.name for c in config.collectors]
    assert config.sources == config.collectors[0].sources
    assert tmp_path / "data/spool/local" == config.collectors[0].spool_path


def test_collectors_send_to_the_port_of_this_file(tmp_path: Path) -> None:
    """Changing the port in one place must do."""
    table = {"http": {"host": "0.0.0.0", "port": 9}, "collectors": [{"name": "a"}]}

    assert "http://127.0.0.1:9" == parse_config(table, base=tmp_path).collectors[0].server_url


def test_limits_of_the_engine_stand_in_store(tmp_path: Path) -> None:
    """One table says what the store may take of the machine."""
    config = parse_config({"store": {"free_bytes_min": 5}}, base=tmp_path)

    assert 5 == config.store.engine.free_bytes_min


def test_without_a_file_everything_has_its_default(tmp_path: Path) -> None:
    """``historian serve`` in an empty folder must work."""
    config = default_config(tmp_path / "data")

    assert tmp_path / "data" == config.store.path
    assert config.file is None
    assert () == config.collectors


@pytest.mark.parametrize("text", ["not toml", "\x00", "a = 1\na = 2"])
def test_a_file_that_is_not_toml_is_named(tmp_path: Path, text: str) -> None:
    """With the place in the file, as the parser gives it."""
    file = tmp_path / "historian.toml"
    file.write_text(text)

    with pytest.raises(ConfigInvalid, match=r"want TOML, at .*historian\.toml"):
        load_config(file)
    with pytest.raises(ConfigInvalid, match=r"nowhere\.toml"):
        load_config(tmp_path / "nowhere.toml")


def test_the_demo_configuration_loads() -> None:
    """``make run`` starts with it."""
    config = load_config(ROOT / "historian/demo.toml")

    assert config.simulator.enabled
    assert config.collectors[0].sources
