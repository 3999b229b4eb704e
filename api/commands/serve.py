"""``historian serve``: the server, its collectors and, if configured, the simulated line."""

from typing import Annotated

import typer

from api.client import read_config
from api.console import err, out, refusals, say
from api.options import ConfigOption
from api.server import run_server
from historian.clock import SystemClock
from historian.config import HistorianConfig
from historian.runtime import Historian


def serve(
    *,
    config: ConfigOption = None,
    token: Annotated[
        bool, typer.Option(help="Print the token with the address, for the pages.")
    ] = True,
) -> None:
    """Open the store and serve until Ctrl-C."""
    with refusals():
        loaded = read_config(config)

        def announce(historian: Historian, url: str) -> None:
            _announce(historian.config, url, with_token=token)

        say(f"opening the store at {loaded.store.path}")
        run_server(loaded, SystemClock(), announce)
        say("ended")


def _announce(config: HistorianConfig, url: str, *, with_token: bool) -> None:
    # A browser never sends what follows the #; the page takes it out of the address at once.
    secret = config.http.token_file.read_text(encoding="utf-8").strip() if with_token else ""
    out.print(f"{url}/#token={secret}" if secret else f"{url}/", style="bold")
    err.print(f"token for other clients: in {config.http.token_file}", markup=False)
    err.print("Ctrl-C ends the server and every child", markup=False)
