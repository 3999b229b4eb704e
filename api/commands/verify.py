"""``historian verify``: reads every block of a store and names what is damaged."""

from typing import Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from api.client import read_config
from api.console import CommandFailed, err, print_json, print_table, refusals, say
from api.options import ConfigOption, JsonOption
from historian.clock import SystemClock
from historian.runtime import Historian


def verify(
    *,
    config: ConfigOption = None,
    json: JsonOption = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Only the exit code speaks.")] = False,
) -> None:
    """Check every checksum of the files; exit code 1 when something is damaged.

    Nothing is changed. It may run beside a server: it reads what was on disk when it began.
    """
    with refusals():
        loaded = read_config(config)
        if not loaded.store.path.exists():
            raise CommandFailed(f"cannot verify: there is no store at {loaded.store.path}")
        with err.status(f"reading the log at {loaded.store.path}"):
            historian = Historian.open(loaded, SystemClock(), read_only=True)
        try:
            stats = historian.store()["stats"]
            columns = (TextColumn("reading every block"), BarColumn(), DownloadColumn())
            with Progress(*columns, console=err, transient=True) as progress:
                task = progress.add_task("", total=stats["segment_bytes"])
                findings = historian.engine.verify(lambda size: progress.advance(task, size))
        finally:
            historian.close()
    found = [{"path": f.path, "offset": f.offset, "what": f.what} for f in findings]
    if json:
        print_json({"findings": found, "stats": stats})
    elif found:
        print_table({key: [f[key] for f in found] for key in ("path", "offset", "what")})
    elif not quiet:
        segments = f"{stats['segments']} segments with {stats['segment_rows']} rows"
        log = f"the log up to lsn {stats['durable_lsn']} with {stats['head_rows']} rows more"
        say(f"{segments}, {log}: nothing is damaged")
    if found:
        raise typer.Exit(1)
