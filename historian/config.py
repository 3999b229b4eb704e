"""The configuration: TOML to frozen dataclasses, defaults in one place, unknown keys refused.

The settings themselves stand in the ``config_*`` modules beside this one and are all importable
from here; ``docs/configuration.md`` explains each, and a test keeps the two together.
"""

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from historian.config_backup import BackupConfig
from historian.config_plant import (
    AssetConfig,
    MeterConfig,
    StateSetConfig,
    StationConfig,
    TagConfig,
    TagRuleConfig,
)
from historian.config_query import QueryConfig
from historian.config_retention import RetentionConfig
from historian.config_server import HttpConfig, IngestConfig, StoreConfig
from historian.config_shifts import ShiftCalendarConfig, ShiftConfig
from historian.config_sources import (
    LOCAL_COLLECTOR,
    CollectorConfig,
    SimulatorConfig,
    SourceConfig,
    ThinningConfig,
)
from historian.config_toml import NOT_A_KEY, build
from historian.config_transfer import TransferConfig
from historian.errors import ConfigInvalid

__all__ = [
    "AssetConfig",
    "BackupConfig",
    "CollectorConfig",
    "HistorianConfig",
    "HttpConfig",
    "IngestConfig",
    "MeterConfig",
    "QueryConfig",
    "RetentionConfig",
    "ShiftCalendarConfig",
    "ShiftConfig",
    "SimulatorConfig",
    "SourceConfig",
    "StateSetConfig",
    "StationConfig",
    "StoreConfig",
    "TagConfig",
    "TagRuleConfig",
    "ThinningConfig",
    "TransferConfig",
    "default_config",
    "load_config",
    "parse_config",
]


@dataclass(frozen=True, slots=True)
class HistorianConfig:
    """The whole file.

    Attributes
    ----------
    store, http, query, ingest, backup, retention, simulator, transfer
        Tables.
    tag_rules, tags, assets, state_sets, collectors, sources, meters, stations, shift_calendars
        Arrays of tables.
    file : Path or None
        Where it was read from; None when it was built in memory. Not a key of the file.
    base : Path
        Folder that its relative paths meant. Not a key of the file.
    """

    store: StoreConfig = field(default_factory=StoreConfig)
    http: HttpConfig = field(default_factory=HttpConfig)
    query: QueryConfig = field(default_factory=QueryConfig)
    ingest: IngestConfig = field(default_factory=IngestConfig)
    backup: BackupConfig = field(default_factory=BackupConfig)
    retention: RetentionConfig = field(default_factory=RetentionConfig)
    simulator: SimulatorConfig = field(default_factory=SimulatorConfig)
    transfer: TransferConfig = field(default_factory=TransferConfig)
    tag_rules: tuple[TagRuleConfig, ...] = ()
    tags: tuple[TagConfig, ...] = ()
    assets: tuple[AssetConfig, ...] = ()
    state_sets: tuple[StateSetConfig, ...] = ()
    collectors: tuple[CollectorConfig, ...] = ()
    sources: tuple[SourceConfig, ...] = ()
    meters: tuple[MeterConfig, ...] = ()
    stations: tuple[StationConfig, ...] = ()
    shift_calendars: tuple[ShiftCalendarConfig, ...] = ()
    file: Path | None = field(default=None, metadata=NOT_A_KEY)
    base: Path = field(default=Path(), metadata=NOT_A_KEY)

    def collector(self, name: str) -> CollectorConfig | None:
        """Return the collector of this name, or None."""
        return next((c for c in self.collectors if c.name == name), None)


def default_config(path: Path) -> HistorianConfig:
    """Give the configuration without a file: all defaults, the store in ``path``.

    Parameters
    ----------
    path : Path
        Folder of the store; made at the first start.
    """
    return parse_config({"store": {"path": str(path)}}, base=Path.cwd())


def load_config(path: Path, *, base: Path | None = None) -> HistorianConfig:
    """Read a configuration file.

    Parameters
    ----------
    path : Path
        A TOML file.
    base : Path, optional
        Folder that relative paths mean; the file's own folder unless given.

    Raises
    ------
    ConfigInvalid
        If the file cannot be read, is not TOML, or a key or value does not hold.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        message = f"cannot read configuration: {error.strerror}, at {path}"
        raise ConfigInvalid(message, where=str(path)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        message = f"cannot read configuration: {error}, want TOML, at {path}"
        raise ConfigInvalid(message, where=str(path)) from error
    absolute = path.resolve()
    return parse_config(table, base=base or absolute.parent, file=absolute)


def parse_config(
    table: Mapping[str, Any], *, base: Path, file: Path | None = None
) -> HistorianConfig:
    """Build the configuration from a TOML document already read.

    Parameters
    ----------
    table : Mapping
        The document.
    base : Path
        Folder that relative paths mean.
    file : Path, optional
        Where the document came from.

    Raises
    ------
    ConfigInvalid
        If a key or value does not hold; ``facts["where"]`` names it.
    """
    base = base.resolve()
    config = build(HistorianConfig, table, base=base)
    config = dataclasses.replace(config, file=file, base=base)
    config = _complete(config, table)
    _check(config)
    return config


def _complete(config: HistorianConfig, table: Mapping[str, Any]) -> HistorianConfig:
    """Fill what follows from other keys: paths in the store's folder, sources of collectors."""
    store = config.store.path
    http = config.http
    if "token_file" not in table.get("http", {}):
        http = dataclasses.replace(http, token_file=store / "admin.token")
    simulator = config.simulator
    if "truth_path" not in table.get("simulator", {}):
        simulator = dataclasses.replace(simulator, truth_path=store / "truth.jsonl")
    transfer = config.transfer
    if "path" not in table.get("transfer", {}):
        transfer = dataclasses.replace(transfer, path=store / "transfer")
    config = dataclasses.replace(config, transfer=transfer)
    if "directory" not in table.get("backup", {}):
        backup = dataclasses.replace(config.backup, directory=store / "backups")
        config = dataclasses.replace(config, backup=backup)
    collectors = list(zip(config.collectors, table.get("collectors", ()), strict=True))
    if config.sources and not collectors:
        collectors = [(CollectorConfig(LOCAL_COLLECTOR), {})]
    host = "127.0.0.1" if http.host in {"0.0.0.0", "::"} else http.host  # noqa: S104
    derived = {"server_url": f"http://{host}:{http.port}", "token_file": http.token_file}
    completed = []
    for collector, keys in collectors:
        defaults = {**derived, "spool_path": store / "spool" / collector.name}
        missing: dict[str, Any] = {k: v for k, v in defaults.items() if k not in keys}
        sources = tuple(s for s in config.sources if s.collector == collector.name)
        completed.append(dataclasses.replace(collector, sources=sources, **missing))
    return dataclasses.replace(config, http=http, simulator=simulator, collectors=tuple(completed))


def _check(config: HistorianConfig) -> None:
    """Refuse what no single field can refuse: names used twice, references to nothing."""
    for where, names in (
        ("tags", [t.name for t in config.tags]),
        ("assets", [a.path for a in config.assets]),
        ("state_sets", [s.name for s in config.state_sets]),
        ("collectors", [c.name for c in config.collectors]),
        ("sources", [s.name for s in config.sources]),
        ("meters", [m.id for m in config.meters]),
        ("stations", [s.name for s in config.stations]),
        ("shift_calendars", [c.name for c in config.shift_calendars]),
    ):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            message = f"cannot use configuration: got {twice[0]!r} twice, want once, at {where}"
            raise ConfigInvalid(message, where=where, got=twice[0])
    _check_reference(
        "sources",
        "collector",
        [s.collector for s in config.sources],
        {c.name for c in config.collectors},
    )
    _check_reference(
        "tags",
        "state_set",
        [t.state_set for t in config.tags],
        {s.name for s in config.state_sets} | {""},
    )


def _check_reference(table: str, key: str, used: list[str], known: set[str]) -> None:
    for index, name in enumerate(used):
        if name not in known:
            where = f"{table}[{index}].{key}"
            want = ", ".join(sorted(known - {""})) or "none is configured"
            message = f"cannot use configuration: got {name!r}, want one of: {want}, at {where}"
            raise ConfigInvalid(message, where=where, got=name)
