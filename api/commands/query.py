"""``historian query``: latest, raw, aggregates, states and plot of tags, spans of a filter."""

import enum
from typing import Annotated, Any

import typer

from api.client import Client, connect, read_config
from api.console import CommandFailed, print_json, print_table, refusals, say
from api.options import (
    CalendarOption,
    ConfigOption,
    EndOption,
    JsonOption,
    StartOption,
    UrlOption,
    ZoneOption,
)


class Read(enum.StrEnum):
    """Which question."""

    LATEST = "latest"
    RAW = "raw"
    AT_TIMES = "at-times"
    INTERPOLATED = "interpolated"
    AGGREGATES = "aggregates"
    STATES = "states"
    PLOT = "plot"
    SPANS = "spans"


def query(
    read: Annotated[Read, typer.Argument(help="What to ask.")],
    tags: Annotated[
        list[str] | None, typer.Argument(help="Names of tags; spans has them in --where.")
    ] = None,
    *,
    where: Annotated[str, typer.Option(help='Filter: "{oven/zone1} > 80".')] = "",
    start: StartOption = "now-1h",
    end: EndOption = "now",
    aggregate: Annotated[
        list[str] | None, typer.Option(help="Maximum, Percentile(95), ...; may be repeated.")
    ] = None,
    interval: Annotated[
        str, typer.Option(help="Length of an interval: 10m, 1mo, shift; empty: one.")
    ] = "",
    moving: Annotated[
        str, typer.Option(help="Length of moving windows that end with the intervals.")
    ] = "",
    at: Annotated[list[str] | None, typer.Option(help="Time; may be repeated.")] = None,
    zone: ZoneOption = "",
    calendar: CalendarOption = "",
    pixels: Annotated[int, typer.Option(min=1, help="Width of the plot.")] = 100,
    max_count: Annotated[int | None, typer.Option(min=1, help="Rows of a raw answer.")] = None,
    bounds: Annotated[str, typer.Option(help="none, outside or interpolated.")] = "none",
    revisions: Annotated[str, typer.Option(help="newest or all.")] = "newest",
    eng_unit: Annotated[str, typer.Option(help="Unit to tell values in: bar, degF.")] = "",
    config: ConfigOption = None,
    url: UrlOption = None,
    json: JsonOption = False,
) -> None:
    """Ask for samples: newest, stored, aggregated, or as a drawing needs them."""
    window: dict[str, Any] = {"start": start, "end": end}
    common = {"zone": zone, "calendar": calendar, "time": "iso"}
    told = {"time": "iso", "eng_unit": eng_unit}
    more: dict[Read, dict[str, Any]] = {
        Read.RAW: {
            **window,
            "max_count": max_count,
            "bounds": bounds,
            "revisions": revisions,
            "where": where,
        },
        Read.AT_TIMES: {"at": at or ["now"], "where": where},
        Read.INTERPOLATED: {**window, "interval": interval, "where": where},
        Read.AGGREGATES: {
            **window,
            "aggregate": aggregate or ["TimeAverage"],
            "interval": interval,
            "where": where,
            "moving": moving,
        },
        Read.STATES: {**window, "interval": interval},
        Read.PLOT: {**window, "pixels": pixels, "where": where},
        Read.SPANS: {**window, "where": where},
    }
    _check(read, tags, where, eng_unit)
    with refusals(), connect(read_config(config), url) as client:
        if read is Read.LATEST:
            answers = [client.get("/v1/latest", {"tag": tags, **told})]
        elif read is Read.SPANS:
            answers = [_ask(client, read, {**common, **more[read]})]
        else:
            named = [{"tag": tag, **common, **told, **more[read]} for tag in tags or []]
            answers = [_ask(client, read, asked) for asked in named]
    for answer in answers:
        if json:
            print_json(answer)
        else:
            _show(read, answer)


def _check(read: Read, tags: list[str] | None, where: str, eng_unit: str) -> None:
    """Refuse names where a filter has them, and filters and units where nothing goes by them."""
    if eng_unit and read in (Read.SPANS, Read.STATES):
        raise typer.BadParameter(f"{read.value} takes no --eng-unit: it has no values to convert")
    if (read is Read.SPANS) == bool(tags):
        want = "--where alone" if tags else "names of tags"
        raise typer.BadParameter(f"{read.value} takes {want}")
    if read is Read.SPANS and not where:
        raise typer.BadParameter("spans takes --where")
    if where and read in (Read.LATEST, Read.STATES):
        raise typer.BadParameter(f"{read.value} takes no --where")


def _ask(client: Client, read: Read, parameters: dict[str, Any]) -> Any:
    answer = client.get(f"/v1/{read.value}", parameters)
    if not isinstance(answer, dict):
        raise CommandFailed(f"cannot read the answer: got {type(answer).__name__}, want an object")
    return answer


def _show(read: Read, answer: dict[str, Any]) -> None:
    if read is Read.LATEST:
        shown = ("tag", "time", "value", "eng_unit", "quality")
        print_table({h: answer[h] for h in shown})
        return
    if read in (Read.AT_TIMES, Read.INTERPOLATED):
        (tag,), (eng_unit,) = answer["tag"], answer["eng_unit"]
        (value,), (status,) = answer["value"], answer["status"]
        columns = {"time": answer["time"], "value": value, "status": status}
        if "state" in answer:
            columns["state"] = answer["state"]
        print_table(columns, title=_title(tag, eng_unit))
        return
    if read is Read.SPANS:
        print_table({h: answer[h] for h in ("start", "end", "state")}, title=answer["where"])
        return
    headings: tuple[str, ...]
    title = _title(answer["tag"], answer["eng_unit"])
    if read is Read.AGGREGATES:
        shift = ["shift"] if "shift" in answer else []
        headings = (*shift, "start", *answer["aggregates"])
        headings += ("percent_good", "samples_used", "partial")
        headings += ("true_ns",) if "true_ns" in answer else ()
    elif read is Read.STATES:
        label = ["label"] if "label" in answer else []
        headings = ("start", "state", *label, "duration_ns", "percent", "entries", "longest_ns")
    else:
        headings = ("time", "value", "quality")
    print_table({h: answer[h] for h in headings}, title=title)
    if answer.get("continuation"):
        say(f"more follows: --max-count {answer['count']} was reached")


def _title(tag: str, eng_unit: str) -> str:
    return f"{tag} [{eng_unit}]" if eng_unit else tag
