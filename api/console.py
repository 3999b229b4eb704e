"""What the command line prints: tables, numbers, refusals.

Answers go to stdout, words for people to stderr.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from api.encoding import encode
from connectors.connector import ConnectorError
from historian.errors import HistorianError
from query.errors import QueryError
from storage_engine.errors import StorageError

# Into a pipe or a file nothing is cut to the width of a screen.
_WIDTH = None if sys.stdout.isatty() else 400
out = Console(highlight=False, soft_wrap=True, width=_WIDTH)
err = Console(stderr=True, highlight=False, soft_wrap=True)


class CommandFailed(Exception):  # noqa: N818 - says what happened
    """A command that cannot do what it was asked; its text is one line for people."""


# What a person can do something about; anything else is a fault of ours and shows itself whole.
EXPECTED = (
    CommandFailed,
    ConnectorError,
    HistorianError,
    QueryError,
    StorageError,
    LookupError,
    OSError,
)


@contextmanager
def refusals() -> Iterator[None]:
    """Turn what is expected to go wrong into one line and exit code 1."""
    try:
        yield
    except EXPECTED as error:
        refuse(error)
        raise typer.Exit(1) from None


def refuse(error: Exception) -> None:
    """Print why nothing was done."""
    err.print(f"[bold red]historian:[/] {escape(str(error))}")


def say(text: str) -> None:
    """Print a sentence for people, beside the answer."""
    err.print(escape(text))


def print_json(value: Any) -> None:
    """Print an answer for programs."""
    typer.echo(encode(value).decode())


def print_table(columns: Mapping[str, Sequence[Any]], *, title: str = "") -> None:
    """Print columns of equal length.

    Parameters
    ----------
    columns : mapping of heading to values
        None is shown as a dash; numbers stand right.
    title : str
        Above the table.
    """
    table = Table(title=escape(title) or None, title_justify="left", box=None, pad_edge=False)
    for heading, values in columns.items():
        numbers = all(isinstance(v, (int, float)) or v is None for v in values)
        justify: Literal["left", "right"] = "right" if numbers and values else "left"
        table.add_column(escape(heading), justify=justify, overflow="fold")
    for row in zip(*columns.values(), strict=True):
        table.add_row(*(escape(shown(value)) for value in row))
    out.print(table)


def shown(value: Any) -> str:
    """One value as a person reads it."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.10g}" if isinstance(value, float) else str(value)
