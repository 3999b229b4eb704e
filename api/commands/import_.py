"""``historian import``: files into the store past the log, and proof that they are in."""

from pathlib import Path
from typing import Annotated, Any

import typer

from api.client import read_config
from api.console import print_json, print_table, refusals, say
from api.options import ConfigOption, JsonOption, UrlOption
from api.transfer import Bar, transfer
from historian.transfer.importing import Import, ImportRequest
from historian.transfer.jobs import REJECTS
from historian.transfer.mapping import parse_mapping
from historian.transfer.report import import_facts
from historian.transfer.store import TransferStore

PRINCIPAL = "command line"


def import_(
    source: Annotated[Path, typer.Argument(help="Folder of an export, or a file or folder.")],
    *,
    mapping: Annotated[
        list[str] | None,
        typer.Option("--map", help="How foreign files are read: key=value; may be repeated."),
    ] = None,
    events: Annotated[str, typer.Option(help="The files hold events of this kind.")] = "",
    authoritative: Annotated[
        bool, typer.Option("--authoritative", help="Rows correct what is stored.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read and check everything, store nothing.")
    ] = False,
    verify_only: Annotated[
        bool, typer.Option("--verify-only", help="Only compare the store with export.json.")
    ] = False,
    config: ConfigOption = None,
    url: UrlOption = None,
    json: JsonOption = False,
) -> None:
    """Import history; run again, it goes on where it was cut short.

    With an export.json the store is read back and compared, tag by tag. Exit code 1 when a row
    was refused or a tag differs.
    """
    with refusals():
        loaded = read_config(config)
        request = ImportRequest(
            mapping=parse_mapping(mapping) if mapping else None,
            kind=events,
            authoritative=authoritative,
            dry_run=dry_run,
            verify_only=verify_only,
        )

        def here(store: TransferStore, progress: Bar) -> dict[str, Any]:
            job = Import(
                store,
                source,
                request,
                progress,
                work=loaded.transfer.path / REJECTS,
                commit_bytes=loaded.transfer.commit_bytes,
                principal=PRINCIPAL,
            )
            return import_facts(job.run())

        body = {
            "map": mapping or [],
            "events": events,
            "authoritative": authoritative,
            "dry_run": dry_run,
            "verify_only": verify_only,
        }
        report = transfer(loaded, url, here=here, verb="imports", path=source, body=body)
    compared = report["compared"]
    if json:
        print_json(report)
    else:
        _print(report, dry_run=dry_run, verify_only=verify_only)
    if report["rejected"] or (compared is not None and compared["different"]):
        raise typer.Exit(1)


def _print(report: dict[str, Any], *, dry_run: bool, verify_only: bool) -> None:
    if not verify_only:
        verb = "would be taken" if dry_run else "taken"
        counts = f"{report['read']:,} rows read, {report['taken']:,} {verb}"
        say(f"{counts}, {report['rejected']:,} refused, {report['tags_made']} new tags")
    if report["rejects"]:
        say(f"refused rows, each with line and reason: {report['rejects']}")
    compared = report["compared"]
    if compared is None:
        return
    if compared["differences"]:
        rows = compared["differences"]
        headings = ("name", "type", "want_rows", "got_rows", "years", "damaged")
        print_table({h: [row[h] for row in rows] for h in headings})
    equal = f"{compared['equal']} series and kinds with {compared['rows']:,} rows"
    say(f"compared with export.json: {equal} are equal, {compared['different']} differ")
