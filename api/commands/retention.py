"""``historian retention``: how long what is kept, what a run would delete, what is on hold."""

import enum
from typing import Annotated, Any
from urllib.parse import quote

import typer

from api.client import Client, connect, read_config
from api.console import CommandFailed, print_json, print_table, refusals
from api.options import ConfigOption, JsonOption, UrlOption


class What(enum.StrEnum):
    """What to do."""

    CLASSES = "classes"
    SET = "set"
    ASSIGNMENTS = "assignments"
    ASSIGN = "assign"
    PLAN = "plan"
    RUN = "run"
    RUNS = "runs"
    HOLDS = "holds"
    HOLD = "hold"
    RELEASE = "release"


class Kind(enum.StrEnum):
    """What is assigned."""

    TAG = "tag"
    PATTERN = "pattern"
    ASSET = "asset"
    EVENT = "event"


def retention(
    what: Annotated[What, typer.Argument(help="What to do.")],
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="set: a class. assign: what, and its class (none: take it back). "
            "hold: a unit, or tags with --start and --end. release: a number."
        ),
    ] = None,
    *,
    age: Annotated[str, typer.Option(help="set: how long, for example 90d.")] = "",
    bytes_max: Annotated[str, typer.Option(help="set: how much, for example 20GB.")] = "",
    summary_interval: Annotated[
        str, typer.Option(help="set: keep summaries of such intervals, for example 1h.")
    ] = "",
    summary_age: Annotated[str, typer.Option(help="set: how long these; else for ever.")] = "",
    description: Annotated[str, typer.Option(help="set: a text for people.")] = "",
    kind: Annotated[Kind, typer.Option(help="assign: what the first name is.")] = Kind.TAG,
    product: Annotated[str, typer.Option(help="hold: where several units bear the serial.")] = "",
    start: Annotated[str, typer.Option(help="hold: start of the window of tags.")] = "",
    end: Annotated[str, typer.Option(help="hold: end of it, not included.")] = "",
    until: Annotated[str, typer.Option(help="hold: when it ends by itself.")] = "",
    reason: Annotated[str, typer.Option(help="hold: why.")] = "",
    force: Annotated[
        bool, typer.Option("--force", help="plan, run: all that the rules say, not a day's share.")
    ] = False,
    config: ConfigOption = None,
    url: UrlOption = None,
    json: JsonOption = False,
) -> None:
    """Show and set retention classes, try and run the rules, put units on hold."""
    given = names or []
    with refusals(), connect(read_config(config), url) as client:
        match what:
            case What.CLASSES:
                found = client.get("/v1/retention/classes", {"time": "iso"})
            case What.ASSIGNMENTS:
                found = client.get("/v1/retention/assignments")
            case What.RUNS:
                found = client.get("/v1/retention/runs", {"time": "iso"})
            case What.HOLDS:
                found = client.get("/v1/retention/holds", {"time": "iso"})
            case What.PLAN:
                found = client.get(
                    "/v1/retention/plan", {"time": "iso", "force": "true" if force else "false"}
                )
            case What.RUN:
                found = client.send("POST", "/v1/retention/run", {"force": force})
            case What.SET:
                limits = {"age": age or None, "bytes_max": _bytes(bytes_max)}
                limits |= {"summary_interval": summary_interval or None}
                limits |= {"summary_age": summary_age or None}
                path = f"/v1/retention/classes/{quote(_one(given, 'a class'), safe='')}"
                found = client.send("PUT", path, {**limits, "description": description})
            case What.ASSIGN:
                found = _assign(client, given, kind)
            case What.HOLD:
                window = {"tags": given, "start": start, "end": end}
                asked = window if start or end else {"unit": _one(given, "a unit")}
                told = {"product": product, "until": until, "reason": reason}
                found = client.send("POST", "/v1/retention/holds", {**asked, **told})
            case What.RELEASE:
                found = client.send("DELETE", f"/v1/retention/holds/{_one(given, 'a number')}")
    if json:
        print_json(found)
    else:
        _show(what, found)


def _one(given: list[str], what: str) -> str:
    if len(given) != 1:
        raise CommandFailed(f"got {len(given)} names, want {what}")
    return given[0]


def _assign(client: Client, given: list[str], kind: Kind) -> Any:
    if len(given) not in {1, 2}:
        raise CommandFailed(f"got {len(given)} names, want what to assign, and its class")
    body = {"kind": kind.value, "pattern": given[0], "class": (*given, None)[1]}
    return client.send("PUT", "/v1/retention/assignments", body)


_SIZES = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "B": 1}


def _bytes(text: str) -> int | None:
    """Bytes of ``20GB`` or digits; None for nothing."""
    if not text:
        return None
    unit = next((u for u in _SIZES if text.upper().endswith(u)), "")
    digits = text[: len(text) - len(unit)].strip()
    if not digits.isascii() or not digits.isdigit():
        raise CommandFailed(f"got {text!r}, want bytes as digits, or with KB, MB, GB or TB")
    return int(digits) * _SIZES.get(unit, 1)


_CLASSES = (
    "name",
    "age",
    "bytes_max",
    "summary_interval",
    "summary_age",
    "tags",
    "event_kinds",
    "complete_from",
    "description",
)
_HOLDS = ("id", "unit", "tags", "until", "active", "principal", "reason")
_TOLD = (
    "class",
    "rows",
    "bytes",
    "summary_rows",
    "rows_before",
    "pinned_rows",
    "oldest_before",
    "oldest_after",
)


def _show(what: What, found: dict[str, Any]) -> None:
    match what:
        case What.CLASSES | What.SET:
            _table(found.get("classes", [found]), _CLASSES)
        case What.ASSIGNMENTS | What.ASSIGN:
            _table(found.get("assignments", [found]), ("kind", "pattern", "class"))
        case What.HOLDS | What.HOLD | What.RELEASE:
            listed = found.get("holds", [found])
            _table([{**h, "tags": " ".join(h["tags"]) or None} for h in listed], _HOLDS)
        case What.RUNS:
            headings = ("time", "principal", "forced", "rows", "bytes")
            _table(found["runs"], headings)
        case _:
            title = "would go" if found["dry_run"] else "went"
            _table(found["classes"], _TOLD, title=title)
            if found["held"]:
                held = ("class", "rows", "bytes", "first", "last", "why")
                _table(found["held"], held, title="held back")
            if found["damaged"]:
                print_table({"damaged": found["damaged"]})


def _table(rows: list[dict[str, Any]], headings: tuple[str, ...], title: str = "") -> None:
    print_table({h: [row.get(h) for row in rows] for h in headings}, title=title)
