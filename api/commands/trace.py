"""``historian trace``: the passport of a unit, or every unit that a lot can have touched."""

import enum
from typing import Annotated, Any
from urllib.parse import quote

import typer

from api.client import connect, read_config
from api.console import print_json, print_table, refusals
from api.options import ConfigOption, JsonOption, UrlOption


class Direction(enum.StrEnum):
    """Back from a unit, or forward from a lot."""

    UNIT = "unit"
    LOT = "lot"


def trace(
    direction: Annotated[Direction, typer.Argument(help="unit or lot.")],
    name: Annotated[str, typer.Argument(help="Serial number, or lot.")],
    *,
    config: ConfigOption = None,
    url: UrlOption = None,
    json: JsonOption = False,
) -> None:
    """Say what was done to a unit, or where a lot went."""
    safe = quote(name, safe="")
    path = f"/v1/units/{safe}" if direction is Direction.UNIT else f"/v1/lots/{safe}/where-used"
    with refusals(), connect(read_config(config), url) as client:
        found = client.get(path, {"time": "iso"})
    if json:
        print_json(found)
    elif direction is Direction.UNIT:
        _show_passport(found)
    else:
        _show_uses(found)


def _show_uses(found: dict[str, Any]) -> None:
    headings = ("unit", "product", "station", "slot", "first", "last", "evidence")
    print_table({h: [use[h] for use in found["units"]] for h in headings}, title=found["lot"])


def _show_passport(found: dict[str, Any]) -> None:
    """Print each part of a passport that is a list of rows as a table, the rest as facts."""
    rows = {k: v for k, v in found.items() if isinstance(v, list) and v and isinstance(v[0], dict)}
    facts = {k: v for k, v in found.items() if k not in rows}
    flat = {k: v for k, v in facts.items() if not isinstance(v, (dict, list))}
    for name, value in facts.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{k}": v for k, v in value.items() if not isinstance(v, (dict, list))}
    print_table({"fact": list(flat), "value": list(flat.values())})
    for name, entries in rows.items():
        headings = [k for k, v in entries[0].items() if not isinstance(v, (dict, list))]
        print_table({h: [e.get(h) for e in entries] for h in headings}, title=name)
