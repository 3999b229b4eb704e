"""The table of figures the engine is judged by: what is wanted, what was measured, met or not."""

import json
import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from benchmarks import harness

PAGE = Path(__file__).parents[1] / "docs/benchmarks.md"
RESULTS = Path(__file__).parent / "results"
MEGA = 1e6


@dataclass(frozen=True)
class Want:
    """One bound: of the figure itself, or of how many times better it is than a rival."""

    bound: float
    rival: str = ""

    def met(self, figure: harness.Figure) -> bool | None:
        """None when the rival was not there."""
        if self.rival:
            advantage = figure.advantage(self.rival)
            return None if math.isnan(advantage) else advantage >= self.bound
        if figure.less_is_better:
            return figure.median <= self.bound
        return figure.median >= self.bound

    def told(self, figure: harness.Figure) -> str:
        """In words."""
        if self.rival:
            times = f"{self.bound:.3g}x"
            if figure.less_is_better and self.bound < 1:
                return f"<= {1 / self.bound:.3g}x {self.rival}"
            return f">= {times} {self.rival}"
        sign = "<=" if figure.less_is_better else ">="
        return f"{sign} {harness.short(self.bound)} {figure.unit}"


@dataclass(frozen=True)
class Entry:
    """A row: the name of its figure, the bench that measures it, its bounds (none: report)."""

    figure: str
    bench: str
    wants: tuple[Want, ...] = ()


ENTRIES = (
    Entry("series values warm", "sizes", (Want(12.5),)),
    Entry("series values cold", "sizes", (Want(1 / 1.03, "pcodec"),)),
    Entry("series times warm", "sizes"),
    Entry("series times cold", "sizes", (Want(9.0),)),
    Entry("plant on disk warm", "sizes", (Want(1.75),)),
    Entry("plant on disk cold", "sizes", (Want(1.55),)),
    Entry("decode and aggregate", "speed", (Want(1500 * MEGA),)),
    Entry("range read to numpy", "speed", (Want(6, "DuckDB"), Want(200 * MEGA))),
    Entry("warm encode", "speed", (Want(100 * MEGA),)),
    Entry("ingest durable", "ingest", (Want(3 * MEGA),)),
    Entry("ingest beside the medium", "ingest", (Want(0.5, "write+fdatasync"),)),
    Entry("1 tag, 1 day, minutes", "queries", (Want(30, "DuckDB"),)),
    Entry("1 tag, 1 day, raw", "queries", (Want(25, "DuckDB"),)),
    Entry("100 tags, 1 day, hours", "queries", (Want(50, "DuckDB"),)),
    Entry("1 tag, 1 year, 2,000 pixels", "queries", (Want(5), Want(50, "DuckDB"))),
    Entry("1 tag, 1 year, 2,000 pixels, cold", "queries"),
    Entry("latest of 100,000 tags", "queries", (Want(20),)),
    Entry("latest of 100,000 of a million tags", "tags", (Want(20),)),
    Entry("time-weighted average", "queries", (Want(1),)),
    Entry("time-weighted average of months", "queries", (Want(1),)),
    Entry("1,000 units x 10 tags", "joins", (Want(20, "DuckDB"), Want(10, "ClickHouse"))),
    Entry("100,000 windows x 20 tags", "joins", (Want(2000),)),
    Entry("1 tag, 90 days, 2-hour time-weighted", "joins", (Want(5),)),
    Entry("OPC UA decode", "opcua", (Want(50, "asyncua"),)),
    Entry("OPC UA collector", "opcua", (Want(12, "asyncua"),)),
    Entry("OPC UA sustained, SignAndEncrypt", "opcua_plant", (Want(0.85, "in clear"),)),
    Entry("OPC UA sustained, collector", "opcua_plant", (Want(40),)),
    Entry("OPC UA full speed, SignAndEncrypt", "opcua_plant"),
    Entry("OPC UA over 40 ms", "opcua_plant", (Want(6, "asyncua"),)),
    Entry("OPC UA collector, memory", "opcua_plant", (Want(400),)),
    Entry("a million tags: resident", "tags", (Want(3000),)),
    Entry("MQTT reader alone", "mqtt", (Want(100_000),)),
    Entry("MQTT into the spool", "mqtt"),
    Entry("MQTT through a broker", "mqtt", (Want(12_000),)),
    Entry("MQTT through a broker, 100 values each", "mqtt", (Want(300_000),)),
    Entry("Sparkplug into columns", "sparkplug", (Want(5 * MEGA),)),
    Entry("Sparkplug into samples", "sparkplug"),
)


def figure_of(row: dict[str, Any]) -> harness.Figure:
    """A figure as results keep it; unknown keys are of the results alone."""
    known = {field.name for field in fields(harness.Figure)}
    return harness.Figure(**{key: value for key, value in row.items() if key in known})


def verdict(entry: Entry, figure: harness.Figure) -> str:
    """Met, missed, or only reported."""
    if not entry.wants:
        return "reported"
    found = [want.met(figure) for want in entry.wants]
    if None in found:
        return "no rival"
    return "met" if all(found) else "missed"


def row(entry: Entry, figure: harness.Figure | None) -> tuple[str, ...]:
    """Cells: figure, ours, wanted, verdict, rivals."""
    if figure is None:
        return entry.figure, "not measured", "", "", f"`python -m benchmarks {entry.bench}`"
    rivals = []
    named = {figure.rival_name: figure.rival, **figure.others} if figure.rival else figure.others
    for name, runs in named.items():
        advantage = figure.advantage(name)
        rivals.append(f"{name} {harness.short(statistics.median(runs))} ({advantage:.3g}x)")
    wants = " and ".join(want.told(figure) for want in entry.wants) or "report"
    mine = f"{harness.short(figure.median)} {figure.unit}"
    return entry.figure, mine, wants, verdict(entry, figure), ", ".join(rivals)


def rows_of(results: dict[str, Any]) -> list[tuple[str, ...]]:
    """The whole table."""
    found = {one["name"]: figure_of(one) for one in results["figures"]}
    return [row(entry, found.get(entry.figure)) for entry in ENTRIES]


def text(results: dict[str, Any]) -> str:
    """The table for a terminal."""
    rows = [("figure", "ours", "wanted", "", "rivals (how many times better we are)")]
    rows += rows_of(results)
    widths = [max(len(r[k]) for r in rows) for k in range(4)]
    return "\n".join(
        "  ".join([*(cell.ljust(w) for cell, w in zip(r[:4], widths, strict=True)), r[4]]).rstrip()
        for r in rows
    )


def page(results: dict[str, Any], source: str) -> str:
    """docs/benchmarks.md."""
    machine, notes = results["machine"], results.get("notes", {})
    lines = [
        "# Benchmarks: the figures",
        "",
        (
            f"Generated by `python -m benchmarks table` from `benchmarks/results/{source}`; "
            "how to run: [benchmarks/README.md](../benchmarks/README.md)."
        ),
        "",
        (
            f"Machine: {machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}, "
            f"Python {machine['python']}, {machine['when']}; "
            f"source {machine.get('source', 'not noted')}."
        ),
        "",
        "| figure | ours | wanted | | rivals in the same run (how many times better we are) |",
        "|---|---|---|---|---|",
        *("| " + " | ".join(cells) + " |" for cells in rows_of(results)),
        "",
        "A rival named alone has one thread. Every figure's boundary, data, bytes, cores and runs:",
        "",
    ]
    found = {one["name"]: one for one in results["figures"]}
    for entry in ENTRIES:
        if entry.figure in found:
            told = found[entry.figure]["conditions"].items()
            facts = "; ".join(f"{name}: {value}" for name, value in told if name != "digest")
            lines.append(f"- **{entry.figure}** ({entry.bench}): {facts}.")
    versions = ", ".join(f"{k} {v}" for k, v in sorted(notes.get("rivals", {}).items()))
    lines += ["", f"Rivals had: {versions or 'none'}.", ""]
    left_out = notes.get("left out", {})
    lines += ["Left out, by name:", ""] if left_out else []
    lines += [f"- {name}: {why}" for name, why in sorted(left_out.items())]
    return "\n".join(lines).rstrip() + "\n"


def newest(size: str = "large") -> Path:
    """The newest results of a size."""
    return max(RESULTS.glob(f"*-{size}.json"))


def write(path: Path, say: Callable[[str], object] = print) -> None:
    """Print the table of a results file and generate the page."""
    results = json.loads(path.read_text())
    say(text(results))
    PAGE.write_text(page(results, path.name))
