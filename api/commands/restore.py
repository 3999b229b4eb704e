"""``historian restore``: a store, as it was, into a new folder; ``restore-tag``: tags, in place."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from api.backup import run_job
from api.client import read_config
from api.console import CommandFailed, err, print_json, print_table, refusals, say
from api.errors import ApiError
from api.options import ConfigOption, JsonOption, UrlOption
from api.serialize import plain_json
from api.times import parse_time, time_json
from historian.clock import SystemClock
from historian.restoring import restore_historian


def restore(
    backup: Annotated[str, typer.Argument(help="Name of the backup.")],
    *,
    into: Annotated[Path, typer.Option(help="Folder that is empty or not there.")],
    to: Annotated[str, typer.Option(help="As known at this time; empty: all of it.")] = "",
    to_lsn: Annotated[int | None, typer.Option(min=0, help="The same as an lsn.")] = None,
    repository: Annotated[
        Path | None, typer.Option(help="Directory of backups; else as configured.")
    ] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Make a new store from a backup. It has a new incarnation; nothing else is touched."""
    with refusals():
        loaded = read_config(config)
        if repository is not None:
            settings = dataclasses.replace(loaded.backup, directory=repository.absolute())
            loaded = dataclasses.replace(loaded, backup=settings)
        clock = SystemClock()
        with err.status(f"restoring {backup} into {into}"):
            restored = restore_historian(
                loaded,
                clock,
                backup,
                into,
                to_ns=_time(to, clock.now_ns()),
                to_lsn=to_lsn,
            )
    if json:
        print_json(plain_json(dataclasses.asdict(restored)))
        return
    for one in restored.damage:
        say(f"could not be restored whole: {one.path}: {one.what}")
    moment = time_json(restored.record_time_ns, "iso")
    say(f"restored {backup} as known at lsn {restored.lsn} ({moment}) into {into}")
    say(f"incarnation {restored.incarnation}; serve it with store.path = {str(into.absolute())!r}")


def restore_tag(
    backup: Annotated[str, typer.Argument(help="Name of the backup.")],
    tags: Annotated[list[str], typer.Argument(help="Names of tags.")],
    *,
    start: Annotated[str, typer.Option("--from", help="First time.")],
    end: Annotated[str, typer.Option("--until", help="End of the window, not included.")],
    to: Annotated[str, typer.Option(help="As known at this time; empty: the backup's end.")] = "",
    config: ConfigOption = None,
    url: UrlOption = None,
    json: JsonOption = False,
) -> None:
    """Write what tags held in a backup over what they hold now; nothing is overwritten."""
    with refusals():
        now_ns = SystemClock().now_ns()
        start_ns, end_ns = _time(start, now_ns), _time(end, now_ns)
        if start_ns is None or end_ns is None or start_ns >= end_ns:
            raise CommandFailed(f"cannot restore tags: got {start} to {end}, want start before end")
        to_ns = _time(to, now_ns)
        body: dict[str, Any] = {"tags": tags, "start": str(start_ns), "end": str(end_ns)}
        report = run_job(
            read_config(config),
            url,
            None,  # rows go through the ingest of the server that holds the store
            (
                f"/v1/backups/{quote(backup, safe='')}/restore-tags",
                body if to_ns is None else {**body, "to": str(to_ns)},
            ),
        )
    if json:
        print_json(plain_json(report))
        return
    headings = ("tag", "read", "written", "equal", "refused")
    print_table({h: [one[h] for one in report["tags"]] for h in headings})


def _time(text: str, now_ns: int) -> int | None:
    try:
        return parse_time(text, now_ns, "time") if text else None
    except ApiError as error:
        raise CommandFailed(f"cannot read time {text!r}: {error}") from None
