"""The seven reads through the query room, warm and cold, beside what the rivals are asked for."""

import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import harness, ours
from benchmarks.datasets import columns
from benchmarks.datasets.columns import SECOND_NS, DataSet
from benchmarks.rivals import host
from benchmarks.rivals.base import Buckets, Drawn, Floats, Ints, Latest, MissingError
from benchmarks.system.bench_joins import Asked
from benchmarks.system.bench_queries import INEXACT, RUNS, beside, equal_rows, figure
from query.request import AggregateRequest, MomentsRequest, PlotRequest, RawRequest

NAMES = ("DuckDB", "ClickHouse", "QuestDB", "InfluxDB")
PIXELS = 1_000
MINUTE_NS = 60 * SECOND_NS


class Reads:
    """Our seven reads as the rivals are asked them: tags hold their values.

    Parameters
    ----------
    data : DataSet
    """

    def __init__(self, data: DataSet) -> None:
        self.data = data
        self.open()

    def open(self) -> None:
        """A store, and a query room over it."""
        self.store = ours.Store(self.data, "ingest")
        self._query = Asked(self.store, stepped=True).query

    def latest(self) -> Latest:
        """Newest sample of every tag."""
        found = self._query.latest([str(tag) for tag in range(self.data.tags)])
        return Latest(found.timestamp_ns, np.array(found.value, np.float64))

    def raw(self, tag: int, start_ns: int, end_ns: int) -> tuple[Ints, Floats]:
        """Times and values of one tag."""
        found = self._query.raw(RawRequest(str(tag), start_ns, end_ns)).columns
        return found.timestamp_ns, found.value.value

    def at(self, tags: list[int], times: list[int]) -> Floats:
        """Values of tags at times, a row a tag."""
        names = tuple(map(str, tags))
        found = self._query.at(MomentsRequest(names, tuple(times), bounds="simple", hold_last=True))
        return np.stack([column.value for column in found.columns])

    def grid(self, tags: list[int], start_ns: int, end_ns: int, step_ns: int) -> Floats:
        """Values of tags at equal steps, a row a tag."""
        names = tuple(map(str, tags))
        window = {"start_ns": start_ns, "end_ns": end_ns, "interval_ns": step_ns}
        asked = MomentsRequest(names, **window, bounds="simple", hold_last=True)
        return np.stack([column.value for column in self._query.at(asked).columns])

    def drawing(self, tag: int, start_ns: int, end_ns: int, pixels: int) -> Drawn:
        """First, last, smallest and largest value of each pixel column that holds samples."""
        found = self._query.plot(PlotRequest(str(tag), start_ns, end_ns, pixels, method="m4"))
        time, value = found.columns.timestamp_ns, found.columns.value.value
        pixel = (time - start_ns) // ((end_ns - start_ns) // pixels)
        inside = np.flatnonzero(~found.bound)
        time, value, pixel = time[inside], value[inside], pixel[inside]
        begins = np.flatnonzero(np.append(True, np.diff(pixel) > 0))
        ends = np.append(begins[1:], len(pixel)) - 1
        folds = (np.minimum.reduceat(value, begins), np.maximum.reduceat(value, begins))
        return Drawn(pixel[begins], value[begins], value[ends], *folds)

    def buckets(self, tags: list[int], start_ns: int, end_ns: int, step_ns: int) -> Buckets:
        """Smallest, largest and mean of windows, with status and what they stand on."""
        names = ("Minimum", "Maximum", "Average")
        asked = [AggregateRequest(str(tag), start_ns, end_ns, step_ns, names) for tag in tags]
        found = self._query.many(
            [one.tag for one in asked], lambda name: self._query.aggregate(asked[_of(tags, name)]),
            len,
        )  # fmt: skip
        parts = [
            (np.full(len(one), tag), one.start_ns, *(one.columns[name].value for name in names))
            for tag, one in zip(tags, found, strict=True)
        ]
        return Buckets(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def filtered(
        self, tag: int, other: int, above: float, start_ns: int, end_ns: int
    ) -> tuple[Ints, Floats]:
        """Samples of one tag while another is above a bound."""
        where = f"{{{other}}} > {above!r}"
        found = self._query.raw(
            RawRequest(str(tag), start_ns, end_ns, where=where, hold_last=True)
        ).columns
        return found.timestamp_ns, found.value.value


def _of(tags: list[int], name: str) -> int:
    return tags.index(int(name))


def questions(data: DataSet) -> dict[str, tuple[str, tuple[Any, ...]]]:
    """Name of the read -> what is called, and with what."""
    start = data.start_ns + MINUTE_NS + 12_345
    end = start + (data.end_ns - start) // PIXELS * PIXELS
    tags = list(range(min(10, data.tags)))
    random = np.random.default_rng(7).integers(start, end, 1_000)
    tag, other = 2 % data.tags, 8 % data.tags
    bound = float(np.median(data.column(other)[1]))
    return {
        "latest": ("latest", ()),
        "raw": ("raw", (tag, start, end)),
        "at times": ("at", (tags, sorted(random.tolist()))),
        "interpolated": ("grid", (tags, start, end, 10 * SECOND_NS)),
        "plot": ("drawing", (tag, start, end, PIXELS)),
        "aggregates": ("buckets", (tags, start, end, MINUTE_NS)),
        "filtered": ("filtered", (tag, other, bound, start, end)),
    }


def same(name: str, mine: Any, theirs: Any) -> None:
    """The same answer: to the bit, means within a rounding."""
    if isinstance(mine, Buckets):
        ours.same(mine, theirs, exact=name not in INEXACT, tolerance=1e-9)
    elif isinstance(mine, Drawn):
        for field in Drawn._fields:
            left, right = getattr(mine, field), getattr(theirs, field)
            assert np.array_equal(left, right), f"{field} of {name} differ"
    elif isinstance(mine, np.ndarray):
        assert np.array_equal(mine, theirs), f"values of {name} differ"
    else:
        equal_rows(name, mine, theirs)


def forget(folder: Path) -> None:
    """Let the system drop its pages of all files below a folder."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def cold_runs(
    reads: Reads, rivals: dict[str, host.Hosted], call: str, arguments: tuple[Any, ...]
) -> tuple[list[float], dict[str, list[float]]]:
    """Seconds of the first answer after the files were forgotten and opened again, in turn."""

    def mine() -> float:
        reads.store.close()
        forget(reads.store.folder)
        reads.open()
        return harness.timed(functools.partial(getattr(reads, call), *arguments))

    sides: dict[str, Callable[[], float]] = {"": mine}
    for name, one in rivals.items():

        def side(one: host.Hosted = one) -> float:
            one.call("close")
            forget(one.home)
            one.call("open", one.home)
            one.call("threads", host.all_cores())
            return one.call(call, *arguments)[0]

        try:
            side()
        except MissingError as error:
            host.skipped[f"{name}, {call}, cold"] = str(error)
            one.call("open", one.home)
            continue
        sides[f"{name}, all cores" if name != "DuckDB" else name] = side
    figures = harness.rounds(sides, RUNS)
    return figures.pop(""), figures


def run(small: bool) -> Iterator[harness.Figure]:
    """Measure."""
    data = columns.SMALL_PLANT if small else columns.PLANT
    reads = Reads(data)
    told = {"answers": "equal to the bit, means to 1e-9", "way": "the query room's reads"}
    try:
        with host.hosted(("DuckDB",) if small else NAMES, data) as rivals:
            for name, (call, arguments) in questions(data).items():
                mine = functools.partial(getattr(reads, call), *arguments)
                measured = beside(rivals, call, arguments, mine, same)
                yield figure(f"read {name}", "report", measured, rivals, data, **told)
            in_process = {n: one for n, one in rivals.items() if n in ("DuckDB", "ClickHouse")}
            cold = told | {
                "warm or cold": "cold: files opened anew, their pages dropped by posix_fadvise",
                "cores": "all of them, on each side",
                "runs": f"{RUNS} after one uncounted, in turn; the first answer of each; medians",
            }
            for name, (call, arguments) in questions(data).items():
                measured = cold_runs(reads, in_process, call, arguments)
                yield figure(f"read {name}, cold", "report", measured, in_process, data, **cold)
    finally:
        reads.store.close()
