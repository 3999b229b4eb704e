"""``historian dump``: every record and row of files, one JSON object a line."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from api.console import CommandFailed, refusals, say
from api.encoding import encode
from api.errors import ApiError
from api.times import parse_time
from historian.clock import SystemClock
from historian.tools import dump as print_files
from historian.tools import rows_between, targets


def dump(
    paths: Annotated[list[Path], typer.Argument(help="Files or folders.")],
    *,
    stream: Annotated[str, typer.Option(help="Only rows of this stream: id, or uuid in hex.")] = "",
    from_: Annotated[str, typer.Option("--from", help="Only rows at or after this time.")] = "",
    to: Annotated[str, typer.Option("--to", help="Only rows before this time.")] = "",
    lsn: Annotated[str, typer.Option(help="Only this lsn, or first-last.")] = "",
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many lines.")] = None,
) -> None:
    """Print what files hold: of segments rows, of the log records, of manifests arrays.

    At most one block or one log file is in memory at a time. Exit code 1 when a place could not
    be printed; it is named on stderr.
    """
    with refusals():
        times = _time(from_, "--from"), _time(to, "--to")
        wanted = rows_between(stream, *times, _lsns(lsn))
        entries, tool = print_files(targets(paths), wanted)
        out = sys.stdout
        for count, entry in enumerate(entries, 1):
            out.write(encode(entry).decode() + "\n")
            if count == limit:
                break
    for finding in tool.findings:
        say(f"{finding.path} at byte {finding.offset}: {finding.what}")
    if tool.findings:
        raise typer.Exit(1)


def _time(text: str, where: str) -> int | None:
    try:
        return parse_time(text, SystemClock().now_ns(), where) if text else None
    except ApiError as error:
        message = f"{error}: got {error.got}, want {error.want}, at {where}"
        raise CommandFailed(message) from None


def _lsns(text: str) -> tuple[int, int] | None:
    first, dash, last = text.partition("-")
    try:
        return (int(first), int(last if dash else first)) if text else None
    except ValueError:
        raise CommandFailed(f"cannot dump: got lsn {text!r}, want a number or first-last") from None
