"""``historian backup``: make, list, verify and delete backups."""

import dataclasses
import enum
from pathlib import Path
from typing import Annotated, Any

import typer

from api.backup import run_job
from api.client import read_config
from api.console import CommandFailed, print_json, print_table, refusals, say
from api.options import ConfigOption, JsonOption, UrlOption
from api.serialize import plain_json
from api.times import time_json
from historian.backup_job import facts_of
from historian.clock import SystemClock
from historian.config import HistorianConfig
from historian.restoring import backups_of, check_backup, drop_backup


class Action(enum.StrEnum):
    """What to do."""

    CREATE = "create"
    LIST = "list"
    VERIFY = "verify"
    DELETE = "delete"


class Kind(enum.StrEnum):
    """Kinds of backups."""

    AUTO = "auto"
    FULL = "full"
    INCREMENTAL = "incremental"


def backup(
    action: Annotated[Action, typer.Argument(help="create, list, verify or delete.")],
    name: Annotated[str, typer.Argument(help="Of the backup; create makes one up.")] = "",
    *,
    kind: Annotated[Kind, typer.Option(help="auto: as backup.full_every says.")] = Kind.AUTO,
    repository: Annotated[
        Path | None, typer.Option(help="Directory of backups; else as configured.")
    ] = None,
    config: ConfigOption = None,
    url: UrlOption = None,
    json: JsonOption = False,
) -> None:
    """Make a backup while the server runs, or look after those that are there.

    Listing, verifying and deleting need no server. Exit code 1 when verify finds something.
    """
    with refusals():
        loaded = _with_repository(read_config(config), repository)
        if action is not Action.CREATE and action is not Action.LIST and not name:
            raise CommandFailed(f"cannot {action.value}: got no name, want that of a backup")
        if action is Action.CREATE:
            report = run_job(
                loaded,
                url,
                lambda backups: backups.create(kind.value, name, "command line"),
                ("/v1/backups", {"kind": kind.value, "name": name}),
                alone="--repository" if repository is not None else "",
            )
            _show_one(report, json=json)
        elif action is Action.LIST:
            _list(loaded, json=json)
        elif action is Action.VERIFY:
            _verify(loaded, name, json=json)
        else:
            drop_backup(loaded, name)
            say(f"removed {name}")


def _with_repository(config: HistorianConfig, repository: Path | None) -> HistorianConfig:
    if repository is None:
        return config
    settings = dataclasses.replace(config.backup, directory=repository.absolute())
    return dataclasses.replace(config, backup=settings)


def _show_one(report: dict[str, Any], *, json: bool) -> None:
    if json:
        print_json(report)
        return
    say(
        f"{report['name']}: {report['kind']}, lsn {report['lsn']}, {report['bytes']:,} bytes, of "
        f"these {report['copied_bytes']:,} copied and {report['linked_bytes']:,} shared"
    )
    for one in report["damage"]:
        say(f"damaged in the store: {one['path']}: {one['what']}")


def _list(config: HistorianConfig, *, json: bool) -> None:
    backups, damage = backups_of(config)
    if json:
        print_json(plain_json([facts_of(one) for one in backups]))
        return
    print_table(
        {
            "name": [one.name for one in backups],
            "kind": [one.kind for one in backups],
            "as of": [time_json(one.record_time_ns, "iso") for one in backups],
            "lsn": [one.lsn for one in backups],
            "rows": [one.segment_rows + one.log_rows for one in backups],
            "bytes": [one.bytes for one in backups],
            "copied": [one.copied_bytes for one in backups],
            "damaged": [len(one.damage) for one in backups],
        },
        title=str(config.backup.directory),
    )
    for one in damage:
        say(f"damaged: {one.path}: {one.what}")


def _verify(config: HistorianConfig, name: str, *, json: bool) -> None:
    found = check_backup(config, SystemClock(), name)
    if json:
        print_json(plain_json({**dataclasses.asdict(found), "whole": found.whole}))
    elif found.whole:
        say(f"{name}: {found.files} files with {found.bytes:,} bytes, every block read: whole")
    else:
        rows = [("changed", d) for d in found.changed] + [("damaged", d) for d in found.damage]
        print_table(
            {
                "finding": [word for word, _ in rows],
                "path": [one.path for _, one in rows],
                "what": [one.what for _, one in rows],
            }
        )
    if not found.whole:
        raise typer.Exit(1)
