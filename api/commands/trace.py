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


# What a passport shows on a terminal; --json has all of it.
_VISITS = ("station", "attempt", "in", "out", "verdict", "recipe", "carrier", "inherited_from")
_PARTS: dict[str, tuple[str, ...]] = {
    "tests": ("time", "station", "test", "value", "eng_unit", "low", "high", "verdict"),
    "vision": ("time", "camera", "event", "step", "label", "confidence", "verdict", "clip"),
    "energy": ("meter", "energy", "eng_unit", "estimated", "reason"),
}
_MATERIALS = ("part", "lot", "supplier_lot", "station", "slot", "quantity", "evidence")


def _show_passport(found: dict[str, Any]) -> None:
    unit = {k: v for k, v in found["unit"].items() if not isinstance(v, list)}
    facts = {"unit": found["serial"], "product": found["product"], **unit}
    facts["known"] = found["completeness"]["statement"]
    print_table({"fact": list(facts), "value": list(facts.values())})
    _show("visits", found["visits"], _VISITS)
    for part, headings in _PARTS.items():
        _show(part, [row for visit in found["visits"] for row in visit[part]], headings)
    _show("materials", found["materials"], _MATERIALS)


def _show(title: str, rows: list[dict[str, Any]], headings: tuple[str, ...]) -> None:
    if rows:
        print_table({h: [row.get(h) for row in rows] for h in headings}, title=title)
