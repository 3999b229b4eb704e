"""``historian replay``: plays recordings through OPC UA and MQTT into a running server."""

import asyncio
import logging
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from api.client import read_config
from api.console import CommandFailed, err, print_table, refusals
from api.options import ConfigOption
from historian.clock import SystemClock
from historian.collector.supervisor import ChildStatus
from historian.replay import Replay, ReplayReport, ReplayRequest


class _Bar:
    """Progress as a bar on stderr."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("preparing", total=None)

    def stage(self, text: str, total: int) -> None:
        """Begin a new bar."""
        self._task = self._progress.add_task(text, total=total)

    def advance(self, count: int) -> None:
        """Move it on."""
        self._progress.advance(self._task, count)

    def collector(self, status: ChildStatus) -> None:
        """Nothing to show: the supervisor logs when it starts the collector again."""


def replay(
    recordings: Annotated[
        list[str],
        typer.Argument(help="nist_smstestbed/<name>, skab, or skab/<name>."),
    ],
    *,
    speed: Annotated[
        str, typer.Option(help="Times as fast as recorded, or max: flat out.")
    ] = "max",
    server: Annotated[str | None, typer.Option(help="Server's URL; else as configured.")] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read everything back and compare.")
    ] = False,
    data: Annotated[
        Path, typer.Option(envvar="HISTORIAN_DATA", help="Folder of the recordings.")
    ] = Path("../shared/data"),
    work: Annotated[
        Path | None, typer.Option(help="Folder of the collector's spool; else a temporary one.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Play recordings into a running server; wait until everything is stored; print counts."""
    with refusals():
        loaded = read_config(config)
        request = ReplayRequest(
            data=data,
            recordings=tuple(recordings),
            server_url=server or f"http://{loaded.http.host}:{loaded.http.port}",
            token_file=loaded.http.token_file,
            speed=_speed(speed),
            verify=verify,
            work=work,
        )
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        logging.getLogger("asyncua").setLevel(logging.ERROR)
        with Progress(*columns, console=err) as progress:
            reports = asyncio.run(Replay(request, SystemClock(), _Bar(progress)).run())
        _print(reports)
        wrong = [text for report in reports for text in report.differences or ()]
        for text in wrong:
            err.print(text, markup=False)
        if wrong:
            message = f"the store differs from the recording in {len(wrong)} places"
            raise CommandFailed(message)


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not speed > 0:
        message = f"cannot replay: got speed {text!r}, want max or a number above 0"
        raise CommandFailed(message)
    return speed


def _print(reports: tuple[ReplayReport, ...]) -> None:
    print_table(
        {
            "recording": [r.recording for r in reports],
            "read": [r.read for r in reports],
            "sent": [r.sent for r in reports],
            "stored": [r.stored for r in reports],
            "duplicates": [r.duplicates for r in reports],
            "rejected": [r.rejected for r in reports],
            "store": ["unchanged" if r.unchanged else "grew" for r in reports],
            "verified": [_verdict(r) for r in reports],
        }
    )


def _verdict(report: ReplayReport) -> str:
    if report.differences is None:
        return "-"
    return "DIFFERENT" if report.differences else "equal"
