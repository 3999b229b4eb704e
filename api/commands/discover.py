"""``historian discover``: what a source would take from its server, and as which tags."""

import asyncio
import dataclasses
from typing import Annotated

import typer

from api.client import read_config
from api.console import print_json, print_table, refusals, say
from api.options import ConfigOption, JsonOption
from historian.discovering import discover as discover_nodes

_HEADINGS = {
    "tag": "tag",
    "path": "path",
    "type": "type",
    "eng_unit": "eng_unit",
    "low": "low",
    "high": "high",
    "address": "address",
}


def discover(
    source: Annotated[str, typer.Argument(help="Name of a source of kind opcua.")],
    *,
    left_out: Annotated[
        bool, typer.Option("--left-out", help="Show what is left out, and by which rule.")
    ] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Look at a source's server: which node would become which tag. Writes nothing."""
    with refusals():
        found, problems = asyncio.run(discover_nodes(read_config(config), source))
    if json:
        nodes = [dataclasses.asdict(each) for each in found]
        print_json({"nodes": nodes, "problems": problems})
        return
    taken = [each for each in found if not each.left_out]
    rest = [each for each in found if each.left_out]
    if left_out:
        print_table(
            {
                "left out by": [each.left_out for each in rest],
                "path": [each.path for each in rest],
                "node": [each.node for each in rest],
            }
        )
    else:
        columns = {h: [getattr(each, f) or None for each in taken] for h, f in _HEADINGS.items()}
        for bound in ("low", "high"):
            columns[bound] = [getattr(each, bound) for each in taken]
        print_table(columns)
    for problem in problems:
        say(problem)
    untold = sum(not each.tag for each in taken)
    say(f"{len(taken)} nodes taken, {untold} of them without a tag; {len(rest)} left out")
