"""Options that several commands share, spelled once."""

from pathlib import Path
from typing import Annotated

import typer

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="TOML file; without one the defaults, in this folder."),
]
UrlOption = Annotated[
    str | None,
    typer.Option("--url", help="Server to ask; else the configured one, else the files."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the server's JSON.")]
StartOption = Annotated[
    str,
    typer.Option(help="Start of the window: now-1h, today, start of shift, ISO 8601, nanoseconds."),
]
EndOption = Annotated[str, typer.Option(help="End of the window, not included.")]
ZoneOption = Annotated[
    str, typer.Option(help="Zone of days, weeks and months: Europe/Berlin; empty: UTC.")
]
CalendarOption = Annotated[str, typer.Option(help="Shift calendar; empty: the only one.")]
