"""``historian stats``: what a store consists of, from its files or from a running server."""

from pathlib import Path
from typing import Annotated, Any

import typer

from api.client import connect, read_config
from api.console import CommandFailed, print_json, print_table, refusals
from api.options import ConfigOption, JsonOption
from historian.tools import stats as count
from historian.tools import targets

_TABLES = ("partitions", "streams_by_bytes", "streams_by_rows", "codecs")
_SCALARS = (str, int, float, bool, type(None))


def stats(
    folder: Annotated[
        Path | None, typer.Argument(help="Folder of a store; else the configured one.")
    ] = None,
    *,
    server: Annotated[
        str | None, typer.Option(help="Ask this server for its figures instead.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Streams named.")] = 20,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Count rows and bytes by class, partition, stream and codec; and the log."""
    with refusals():
        if server is not None:
            with connect(read_config(config), server) as client:
                told: dict[str, Any] = client.get("/v1/health")["store"] or {}
        else:
            told = _files(folder or read_config(config).store.path, top)
    if json:
        print_json(told)
    else:
        _show(told)


def _files(folder: Path, top: int) -> dict[str, Any]:
    stores = [target for target in targets([folder]) if target.kind is None]
    # Backups in the data folder are stores as well; its own one is meant.
    own = [target for target in stores if target.root in {folder, folder / "engine"}]
    stores = own or stores
    if len(stores) != 1:
        raise CommandFailed(f"cannot count: got {len(stores)} stores, want one, at {folder}")
    return count(stores[0], top=top)


def _show(told: dict[str, Any]) -> None:
    facts = {name: value for name, value in told.items() if isinstance(value, _SCALARS)}
    for name in ("log", "stats"):
        held = told.get(name)
        if isinstance(held, dict):
            facts |= {f"{name} {key}": v for key, v in held.items() if isinstance(v, _SCALARS)}
    print_table({"fact": list(facts), "value": list(facts.values())})
    for name in _TABLES:
        rows = told.get(name) or []
        if rows:
            print_table({key: [row[key] for row in rows] for key in rows[0]}, title=name)
