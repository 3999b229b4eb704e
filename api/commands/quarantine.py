"""``historian quarantine``: messages that no mapping took; map and replay them."""

import enum
import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer

from api.client import connect, read_config
from api.console import CommandFailed, print_json, print_table, refusals, say
from api.options import ConfigOption, JsonOption, UrlOption


class What(enum.StrEnum):
    """What to do."""

    LIST = "list"
    TRY = "try"
    REPLAY = "replay"


def quarantine(
    what: Annotated[What, typer.Argument(help="list, try a mapping, or replay with it.")],
    *,
    mapping: Annotated[
        Path | None, typer.Option(help="try, replay: a TOML file with [[mappings]].")
    ] = None,
    source: Annotated[str, typer.Option(help="Only of this source.")] = "",
    topic: Annotated[str, typer.Option(help="Only topics that this MQTT filter takes.")] = "",
    reason: Annotated[str, typer.Option(help="Only where the reason holds this text.")] = "",
    start: Annotated[str, typer.Option(help="From when on.")] = "now-1d",
    end: Annotated[str, typer.Option(help="Until when, not included.")] = "now",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 1_000,
    config: ConfigOption = None,
    url: UrlOption = None,
    json: JsonOption = False,
) -> None:
    """List quarantined messages, see what a mapping would make of them, replay them once."""
    wanted = {"source": source, "topic": topic, "reason": reason, "start": start, "end": end}
    with refusals(), connect(read_config(config), url) as client:
        if what is What.LIST:
            asked: dict[str, str | int] = {**wanted, "limit": limit, "time": "iso"}
            found = client.get("/v1/quarantine/messages", asked)
        else:
            body = {**wanted, "limit": limit, "mappings": _mappings(mapping)}
            body["dry_run"] = what is What.TRY
            found = client.send("POST", "/v1/quarantine/replay", body)
    if json:
        print_json(found)
    elif what is What.LIST:
        headings = ("time", "source", "topic", "state", "reason", "payload_bytes")
        print_table({h: [one[h] for one in found["messages"]] for h in headings})
    else:
        _report(found)


def _mappings(path: Path | None) -> Any:
    if path is None:
        raise CommandFailed("got no mapping, want --mapping with a TOML file of [[mappings]]")
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8")).get("mappings")
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CommandFailed(f"cannot read {path}: {error}") from None
    if not found:
        raise CommandFailed(f"got no [[mappings]] in {path}, want at least one")
    return found


def _report(found: dict[str, Any]) -> None:
    would = "would be " if found["dry_run"] else ""
    say(f"{found['mapped']} of {found['messages']} messages {would}mapped, {found['rows']} rows")
    say(f"{found['already']} replayed before, {found['cut']} cut, {found['refused']} refused")
    for reason, count in found["reasons"].items():
        say(f"  {count} times: {reason}")
    if found["dry_run"] and found["examples"]:
        headings = ("topic", "time_ns", "address", "value", "event", "columns")
        cells = {h: [one.get(h) for one in found["examples"]] for h in headings}
        print_table({h: [None if c is None else str(c) for c in cells[h]] for h in headings})
