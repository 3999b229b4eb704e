"""Runs in turn, medians, ratios: the machine drifts, so a figure stands beside its rival's."""

import gc
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass
class Figure:
    """One measured line of the report."""

    name: str
    unit: str
    ours: list[float]
    rival_name: str
    rival: list[float]
    target: str
    conditions: dict[str, str] = field(default_factory=dict)

    @property
    def median(self) -> float:
        """Median of our runs."""
        return statistics.median(self.ours)

    @property
    def ratio(self) -> float:
        """Median of the ratios, pair by pair; more is better for rates; 0 without a rival."""
        pairs = zip(self.ours, self.rival, strict=True)
        return statistics.median(a / b for a, b in pairs) if self.rival else 0.0

    def line(self) -> str:
        """One line of the table."""
        spread = f"{min(self.ours):,.0f}..{max(self.ours):,.0f}"
        beside = f"{self.ratio:5.2f}x {self.rival_name}" if self.rival else ""
        figure = f"{self.name:36s} {self.median:14,.0f} {self.unit:10s} ({spread})"
        return f"{figure}  {beside}  want {self.target}"


def in_turn(
    ours: Callable[[], float], rival: Callable[[], float] | None, runs: int
) -> tuple[list[float], list[float]]:
    """A B A B ..., after one uncounted run of each; each call returns its figure."""
    figures: tuple[list[float], list[float]] = ([], [])
    for counted in range(runs + 1):
        for side, call in enumerate((ours, rival)):
            if call is None:
                continue
            gc.collect()
            figure = call()
            if counted:
                figures[side].append(figure)
    return figures


def pin(cores: set[int]) -> None:
    """Keep this process on the given cores."""
    os.sched_setaffinity(0, cores)


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    cpu = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
            break
    return {
        "cpu": cpu,
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "when": time.strftime("%Y-%m-%d"),
    }


def save(figures: list[Figure], size: str) -> Path:
    """Results as data, one file a day and machine; benches run alone join what is there."""
    facts = machine()
    label = "".join(c if c.isalnum() else "-" for c in facts["cpu"].lower()).strip("-")
    path = Path(__file__).parent / "results" / f"{facts['when']}-{label}-{size}.json"
    rows = {f.name: {**asdict(f), "median": f.median, "ratio": f.ratio} for f in figures}
    if path.exists():
        rows = {row["name"]: row for row in json.loads(path.read_text())["figures"]} | rows
    saved = {"machine": facts, "size": size, "figures": list(rows.values())}
    path.write_text(json.dumps(saved, indent=1) + "\n")
    return path
