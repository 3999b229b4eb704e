"""``historian trace``: the passport of a unit, or every unit that a lot can have touched."""

import enum
from typing import Annotated
from urllib.parse import quote

import typer

from api.client import connect, read_config
from api.console import print_json, refusals
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
