"""``historian verify``: checks every byte of stores, spools and single files, and names damage."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from api.client import read_config
from api.console import CommandFailed, err, print_json, print_table, refusals, refuse, say
from api.options import ConfigOption, JsonOption
from historian.errors import NotFound
from historian.tools import plain_findings, size_of, targets
from historian.tools import verify as check


def verify(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders or files; without one the configured store."),
    ] = None,
    *,
    config: ConfigOption = None,
    json: JsonOption = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Only the exit code speaks.")] = False,
) -> None:
    """Check every checksum and rule; exit code 0 sound, 1 damaged, 2 nothing there to check.

    Nothing is changed. It may run beside a server: a store that changes meanwhile is looked at
    again.
    """
    with refusals():
        wanted = paths or [_configured(config)]
        try:
            found = targets(wanted)
        except NotFound as error:
            refuse(error)
            raise typer.Exit(2) from None
        findings: list[dict[str, Any]] = []
        notes: list[str] = []
        files = rows = 0
        columns = (TextColumn("reading everything"), BarColumn(), DownloadColumn())
        with Progress(*columns, console=err, transient=True) as progress:
            task = progress.add_task("", total=sum(map(size_of, found)))
            for target in found:
                checked = check(target, lambda size: progress.advance(task, size))
                findings += plain_findings(target, checked)
                notes += checked.notes
                files += checked.files
                rows += checked.rows
    if json:
        print_json({"findings": findings, "notes": notes, "files": files, "rows": rows})
    elif not quiet:
        if findings:
            print_table({key: [f[key] for f in findings] for key in ("path", "offset", "what")})
        for note in notes:
            say(note)
        if not findings:
            say(f"{files} files with {rows} rows in segments: nothing is damaged")
    if findings:
        raise typer.Exit(1)


def _configured(config: Path | None) -> Path:
    path = read_config(config).store.path
    if not path.exists():
        raise CommandFailed(f"cannot verify: there is no store at {path}")
    return path
