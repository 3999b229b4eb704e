"""``historian collect``: one collector in the foreground, on this machine or at the edge."""

import asyncio
import logging
import sys
from typing import Annotated

import typer

from api.client import read_config
from api.console import CommandFailed, refusals, say
from api.options import ConfigOption
from historian.collector.__main__ import collect as run_collector
from historian.config import CollectorConfig, HistorianConfig


def collect(
    *,
    name: Annotated[
        str, typer.Option(help="Which collector; not needed when there is only one.")
    ] = "",
    config: ConfigOption = None,
) -> None:
    """Read the sources of a collector into its spool and send it on, until Ctrl-C."""
    with refusals():
        chosen = _choose(read_config(config), name)
        logging.basicConfig(
            level=logging.INFO,
            stream=sys.stderr,
            format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        )
        for library in ("asyncua", "httpx", "httpcore"):
            logging.getLogger(library).setLevel(logging.ERROR)
        say(f"collector {chosen.name}: {len(chosen.sources)} sources to {chosen.server_url}")
        asyncio.run(run_collector(chosen, supervised=False))
        say("ended; what is in the spool is sent when it starts again")


def _choose(config: HistorianConfig, name: str) -> CollectorConfig:
    names = [c.name for c in config.collectors]
    wanted = name or (names[0] if len(names) == 1 else "")
    found = config.collector(wanted)
    if found is None:
        known = ", ".join(names) or "none"
        raise CommandFailed(f"cannot collect: got name {wanted!r}, want one of: {known}")
    return found
