"""Runs in turn, medians, ratios: the machine drifts, so a figure stands beside its rival's."""

import gc
import json
import math
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

WARM_S = 0.1
WARMED = "the median of the calls of 0.1 s behind an uncounted one"


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
    others: dict[str, list[float]] = field(default_factory=dict)
    less_is_better: bool = False

    @property
    def median(self) -> float:
        """Median of our runs."""
        return statistics.median(self.ours)

    @property
    def ratio(self) -> float:
        """Median of the ratios, pair by pair; more is better for rates; 0 without a rival."""
        pairs = zip(self.ours, self.rival, strict=True)
        return statistics.median(a / b for a, b in pairs) if self.rival else 0.0

    def runs_of(self, rival: str) -> list[float]:
        """Runs of one of the rivals; empty when it was not there."""
        return self.rival if rival == self.rival_name else self.others.get(rival, [])

    def advantage(self, rival: str) -> float:
        """How many times better we are, the median pair by pair; NaN without that rival."""
        pairs = list(zip(self.ours, self.runs_of(rival), strict=False))
        if not pairs:
            return math.nan
        return statistics.median(b / a if self.less_is_better else a / b for a, b in pairs)

    def line(self) -> str:
        """One line of the table."""
        spread = f"{short(min(self.ours))}..{short(max(self.ours))}"
        names = [*([self.rival_name] if self.rival else []), *self.others]
        beside = ", ".join(map(self._beside, names))
        figure = f"{self.name:36s} {short(self.median):>14s} {self.unit:10s} ({spread})"
        return f"{figure}  {beside}  want {self.target}"

    def _beside(self, rival: str) -> str:
        median = short(statistics.median(self.runs_of(rival)))
        return f"{rival} {median} ({self.advantage(rival):.3g}x better)"


def short(value: float) -> str:
    """A figure with the digits that mean something."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


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


def rounds(sides: Mapping[str, Callable[[], float]], runs: int) -> dict[str, list[float]]:
    """Every side once a round, after one uncounted round; a side's own figure each."""
    figures: dict[str, list[float]] = {name: [] for name in sides}
    for counted in range(runs + 1):
        for name, call in sides.items():
            gc.collect()
            figure = call()
            if counted:
                figures[name].append(figure)
    return figures


def warm(call: Callable[[], float]) -> float:
    """Median of the seconds that calls give: one uncounted, then all that fit a tenth of a second.

    A single short call behind another process's would tell how long a core takes to wake.
    """
    call()
    found: list[float] = []
    while sum(found) < WARM_S:
        found.append(call())
    return statistics.median(found)


def timed(call: Callable[[], object]) -> float:
    """Seconds that a call took."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


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


def described() -> str:
    """The source that was measured, as git names it."""
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(
        command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def save(
    figures: list[Figure], size: str, *, label: str = "", notes: Mapping[str, object] | None = None
) -> Path:
    """Results as data, one file a run's day, machine and label; benches run alone join it."""
    facts = {**machine(), "source": described()}
    parts = [facts["when"], facts["cpu"], size, *([label] if label else [])]
    plain = ("".join(c if c.isalnum() else "-" for c in part.lower()).strip("-") for part in parts)
    path = Path(__file__).parent / "results" / f"{'-'.join(plain)}.json"
    rows = {f.name: {**asdict(f), "median": f.median, "ratio": f.ratio} for f in figures}
    for row in rows.values():
        row["source"] = facts["source"]
    kept: dict[str, Any] = {}
    if path.exists():
        kept = json.loads(path.read_text())
        rows = {row["name"]: row for row in kept["figures"]} | rows
    told = {**kept.get("notes", {}), **(notes or {})}
    saved = {"machine": facts, "size": size, "notes": told, "figures": list(rows.values())}
    path.write_text(json.dumps(saved, indent=1) + "\n")
    return path
