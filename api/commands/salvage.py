"""``historian salvage``: a new sound store from what still checks out of damaged ones."""

from pathlib import Path
from typing import Annotated

import typer

from api.console import err, print_json, print_table, refusals, say
from api.options import JsonOption
from historian.clock import SystemClock
from historian.tools import REPORT, rescue

_SHOWN = ("path", "offset", "what", "stream", "first_ns", "last_ns", "missing")


def salvage(
    source: Annotated[Path, typer.Argument(help="Damaged store, or one of its files.")],
    *,
    into: Annotated[Path, typer.Option(help="New folder for the store that is made.")],
    more: Annotated[
        list[Path] | None,
        typer.Option("--source", help="Another source, such as a backup; may be repeated."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Write a new store with everything that still checks out, and say what is lost.

    Sources are only read. Exit code 0 when nothing is lost, 1 when something is; the report is in
    salvage.json of the new folder.
    """
    with refusals():
        sources = [source, *(more or [])]
        with err.status(f"reading {', '.join(map(str, sources))}"):
            report = rescue(sources, into, SystemClock())
    if json:
        print_json(report)
    else:
        recovered = report["recovered"]
        print_table({"recovered": list(recovered), "count": list(recovered.values())})
        if report["lost"]:
            lost = {name: [entry[name] for entry in report["lost"]] for name in _SHOWN}
            print_table(lost, title="lost")
        for entry in report["unnamed_streams"]:
            say(f"stream {entry['stream']} is kept as {entry['uuid']}: it was {entry['was']}")
        say(f"catalog: {report['catalog']}")
        say(f"the new store is in {into}, the report in {into / REPORT}")
    if report["lost"] or report["remaining"]:
        raise typer.Exit(1)
