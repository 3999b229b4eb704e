"""``historian inspect``: what a file or folder is: version, header, parts, sizes, codecs."""

from pathlib import Path
from typing import Annotated, Any

import typer

from api.console import print_json, print_table, refusals
from api.options import JsonOption
from historian.tools import inspect as describe
from historian.tools import targets

_SCALARS = (str, int, float, bool, type(None))


def inspect(
    paths: Annotated[list[Path], typer.Argument(help="Files or folders.")],
    *,
    json: JsonOption = False,
) -> None:
    """Describe files without judging them; ``historian verify`` judges."""
    with refusals():
        told = [describe(target) for target in targets(paths)]
    for one in told:
        if json:
            print_json(one)
        else:
            _show(one)


def _show(told: dict[str, Any], title: str = "") -> None:
    """Plain facts as one table, then each list of objects as another."""
    title = title or f"{told.get('kind', '')} {told.get('path', '')}"
    facts = {name: value for name, value in told.items() if isinstance(value, _SCALARS)}
    print_table({"fact": list(facts), "value": list(facts.values())}, title=title)
    for name, value in told.items():
        if isinstance(value, dict) and value:
            _show(value, f"{title}: {name}")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            _rows(value, f"{title}: {name}")


def _rows(rows: list[dict[str, Any]], title: str) -> None:
    names = [name for name, value in rows[0].items() if isinstance(value, _SCALARS)]
    print_table({name: [row.get(name) for row in rows] for name in names}, title=title)
    for row in rows:
        for name, value in row.items():
            if isinstance(value, list) and value and isinstance(value[0], dict):
                _rows(value, f"{title} {next(iter(row.values()))}: {name}")
