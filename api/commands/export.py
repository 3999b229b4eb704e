"""``historian export``: history into CSV, Parquet or Arrow files, with counts and digests."""

import enum
from pathlib import Path
from typing import Annotated, Any

import typer

from api.client import read_config
from api.console import CommandFailed, print_json, refusals, say
from api.errors import ApiError
from api.options import ConfigOption, JsonOption, UrlOption
from api.times import parse_time
from api.transfer import Bar, transfer
from historian.transfer.export import Export, ExportRequest
from historian.transfer.report import export_facts
from historian.transfer.store import TransferStore


class Layout(enum.StrEnum):
    """Kinds of files."""

    CSV = "csv"
    PARQUET = "parquet"
    ARROW = "arrow"


def export(
    out: Annotated[Path, typer.Argument(help="Folder: empty, or of an export cut short.")],
    *,
    tags: Annotated[
        list[str] | None, typer.Option(help="Name or pattern with * and ?; may be repeated.")
    ] = None,
    events: Annotated[
        list[str] | None, typer.Option(help="Kind of events; may be repeated.")
    ] = None,
    start: Annotated[str, typer.Option("--from", help="First time; empty: the first row.")] = "",
    end: Annotated[str, typer.Option("--to", help="End, not included; empty: the last.")] = "",
    layout: Annotated[Layout, typer.Option("--format", help="Kind of files.")] = Layout.CSV,
    known_at: Annotated[str, typer.Option(help="As the store was known at this time.")] = "",
    config: ConfigOption = None,
    url: UrlOption = None,
    json: JsonOption = False,
) -> None:
    """Export all tags and events, or some; run again, it goes on where it was cut short."""
    with refusals():
        loaded = read_config(config)

        def here(store: TransferStore, progress: Bar) -> dict[str, Any]:
            now_ns = store.clock.now_ns()
            known = _time(known_at, now_ns, "known_at")
            request = ExportRequest(
                layout=layout.value,
                tags=tuple(tags or ()),
                events=None if events is None else tuple(events),
                start_ns=_time(start, now_ns, "from"),
                end_ns=_time(end, now_ns, "to"),
                known_at_lsn=None if known is None else store.engine.lsn_at(known),
                rows_per_piece=loaded.transfer.rows_per_piece,
            )
            return export_facts(Export(store, out, request, progress).run())

        body = {
            "format": layout.value,
            "tags": tags or [],
            "events": events,
            "start": start,
            "end": end,
            "known_at": known_at,
        }
        if events is None:
            body.pop("events")
        report = transfer(loaded, url, here=here, verb="exports", path=out, body=body)
    if json:
        print_json(report)
    else:
        size = f"{report['file_bytes']:,} bytes in {report['files']} files"
        rows = (
            f"{report['samples']:,} samples of {report['tags']} tags, {report['events']:,} events"
        )
        say(f"{rows}: {size}, with digests in export.json")
        for damage in report["damage"]:
            say(f"could not be read: {damage}")
    if report["damage"]:
        raise typer.Exit(1)


def _time(text: str, now_ns: int, where: str) -> int | None:
    if not text:
        return None
    try:
        return parse_time(text, now_ns, where)
    except ApiError as error:
        raise CommandFailed(f"{error.message}: got {error.got}, want {error.want}") from None
