"""``historian tags``: list and search tags, and define many of them by CSV."""

import sys
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from api.client import Client, Parameters, connect, read_config
from api.console import CommandFailed, print_json, print_table, refusals, say
from api.options import ConfigOption, JsonOption, UrlOption

CSV_TYPE = "text/csv"
_HEADINGS = ("name", "type", "eng_unit", "source", "address", "description")
_NAMED = {"join": ("TAG", "FORMER"), "part": ("TAG",)}


def tags(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            help="Part of a name or description (also: list PART); import FILE.csv (- for stdin); "
            "export, to stdout or a FILE.csv; join TAG FORMER, TAG goes on with the history of "
            "FORMER; part TAG takes it back."
        ),
    ] = None,
    *,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 100,
    after: Annotated[str, typer.Option(help="Only names behind this one.")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="import: only say what would change.")
    ] = False,
    proceed: Annotated[
        bool, typer.Option("--proceed", help="import: enter the rest where rows are refused.")
    ] = False,
    take_names: Annotated[
        bool, typer.Option("--take-names", help="import: new tags may take former names.")
    ] = False,
    at: Annotated[
        str, typer.Option(help="join: from when; empty: from the oldest sample of TAG.")
    ] = "",
    config: ConfigOption = None,
    url: UrlOption = None,
    json: JsonOption = False,
) -> None:
    """List tags with type, unit and source; import and export their definitions; join them."""
    with refusals():
        what, rest = _split(words or [])
        if what != "import" and (dry_run or proceed or take_names):
            raise CommandFailed("--dry-run, --proceed and --take-names are for import")
        if at and what != "join":
            raise CommandFailed("--at is for join")
        if what in _NAMED:
            if len(rest) != len(_NAMED[what]):
                wanted = " ".join(_NAMED[what])
                raise CommandFailed(f"cannot {what} tags: got {len(rest)} words, want {wanted}")
            with connect(read_config(config), url) as client:
                _join(client, what, rest, at, json=json)
            return
        if len(rest) > 1 or (what == "import" and not rest):
            want = {"list": "one text", "import": "one file, or -", "export": "one file at most"}
            raise CommandFailed(f"cannot {what} tags: got {len(rest)} words, want {want[what]}")
        data = _read(rest[0]) if what == "import" else b""
        with connect(read_config(config), url) as client:
            if what == "import":
                options: Parameters = {
                    "dry_run": dry_run,
                    "proceed": proceed,
                    "take_names": take_names,
                }
                told = client.upload("/v1/tags/csv", options, data, CSV_TYPE)
                _show(told, json=json)
            elif what == "export":
                _export(client, rest)
            else:
                search = rest[0] if rest else ""
                asked: Parameters = {"search": search, "limit": limit, "after": after}
                _list(client.get("/v1/tags", asked), json=json)


def _split(words: list[str]) -> tuple[str, list[str]]:
    verbs = ("list", "import", "export", *_NAMED)
    return (words[0], words[1:]) if words and words[0] in verbs else ("list", words)


def _join(client: Client, what: str, names: list[str], at: str, *, json: bool) -> None:
    path = f"/v1/tags/{quote(names[0])}/join"
    if what == "part":
        told = client.send("DELETE", path)
    else:
        told = client.send("POST", path, {"continues": names[1], "at": at or None})
    if json:
        print_json(told)
        return
    joined = told["continues"]
    goes_on = (
        f"goes on with {joined['tag']} from {joined['from']}" if joined else "goes on with none"
    )
    say(f"{told['name']} {goes_on}")


def _read(name: str) -> bytes:
    return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()


def _export(client: Client, rest: list[str]) -> None:
    data = client.text("/v1/tags", CSV_TYPE)
    if not rest:
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
        return
    path = Path(rest[0])
    if path.exists():
        raise CommandFailed(f"cannot export tags: {path} is there already")
    path.write_bytes(data)
    say(f"{path} written")


def _list(found: dict[str, Any], *, json: bool) -> None:
    if json:
        print_json(found)
        return
    print_table({h: [tag[h] or None for tag in found["tags"]] for h in _HEADINGS})


def _show(told: dict[str, Any], *, json: bool) -> None:
    """Print what becomes of the rows that do not stay as they are; 1 when some were refused."""
    if json:
        print_json(told)
    else:
        rows = [row for row in told["rows"] if row["status"] != "unchanged"]
        if rows:
            columns = ("line", "name", "status")
            listed = {c: [row[c] for row in rows] for c in columns}
            print_table({**listed, "what": [_what(row) for row in rows]})
        counts = ", ".join(f"{told[k]} {k}" for k in ("created", "changed", "unchanged", "refused"))
        done = "entered" if told["applied"] else "nothing entered"
        say(f"{counts}: {'only tried, ' if told['dry_run'] else ''}{done}")
    if told["refused"]:
        raise typer.Exit(1)


def _what(row: dict[str, Any]) -> str:
    if row["status"] == "refused":
        place = f"{row['column']}: " if row["column"] else ""
        return f"{place}got {row['got']!r}, want {row['want']}"
    changes = row.get("changes", {})
    told = [f"{k}: {c['before']!r} -> {c['after']!r}" for k, c in changes.items()]
    told += [
        f"warning: {w['where']} {w['got']!r}, want {w['want']}" for w in row.get("warnings", ())
    ]
    return ", ".join(told)
