"""Windows of units joined with tags, and long reports of one tag, through the query room."""

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks import harness, ours
from benchmarks.datasets import columns
from benchmarks.datasets.columns import SECOND_NS, DataSet
from benchmarks.rivals import host
from benchmarks.rivals.base import Joined
from benchmarks.system.bench_queries import RUNS, beside, figure
from historian.runtime_reader import StoreReader
from query.engine import Query
from query.joins.request import JoinTag, JoinWindowsRequest
from query.ports import Tag
from query.request import AggregateRequest
from query.testing import MemoryResolver
from storage_engine.sample import ValueType

TAKT_NS = 47 * SECOND_NS
HOUR_NS = 3600 * SECOND_NS


class Asked:
    """Our query room over a store."""

    def __init__(self, store: ours.Store, *, stepped: bool = False) -> None:
        reader = StoreReader()
        reader.use(store.engine, None)  # type: ignore[arg-type] # no event is read
        tags = (
            Tag(str(k), (series,), ValueType.FLOAT64, stepped=stepped)
            for k, series in enumerate(store.ids)
        )
        self.query = Query(reader, MemoryResolver(*tags), lambda: store.data.end_ns)

    def windows(self, tags: list[int], start: list[int], end: list[int]) -> Joined:
        """As :meth:`benchmarks.rivals.base.Rival.windows`, and all else that a join tells."""
        request = JoinWindowsRequest(
            tuple(JoinTag(str(tag)) for tag in tags), np.array(start), np.array(end)
        )
        found = self.query.join_windows(request)
        parts = [
            Joined(np.full(len(start), tag), found.start_ns, one.count, one.minimum, one.maximum)
            for tag, one in zip(tags, found.columns, strict=True)
        ]
        held = [Joined(*(column[part.count > 0] for column in part)) for part in parts]
        return Joined(*(np.concatenate(column) for column in zip(*held, strict=True)))

    def report(self, start_ns: int, end_ns: int, step_ns: int) -> Any:
        """Time-weighted means of the first tag."""
        request = AggregateRequest("0", start_ns, end_ns, step_ns, ("TimeAverage2",))
        return self.query.aggregate(request).columns["TimeAverage2"].value


def same_windows(name: str, mine: Joined, theirs: Joined) -> None:
    """The same rows, to the bit."""
    for field in Joined._fields:
        left, right = getattr(mine, field), getattr(theirs, field)
        assert np.array_equal(left, right), f"{field} of {name} differ"


def windows_of(data: DataSet, count: int) -> tuple[list[int], list[int]]:
    """Units one behind the other, again from the beginning where the data end."""
    fit = (data.end_ns - data.start_ns - TAKT_NS) // TAKT_NS
    start = data.start_ns + (np.arange(count) % fit) * TAKT_NS + 12_345 + np.arange(count) // fit
    return start.tolist(), (start + TAKT_NS).tolist()


def join_figures(small: bool) -> Iterator[harness.Figure]:
    """Units of a plant's day."""
    data = columns.SMALL_PLANT if small else columns.PLANT
    store = ours.Store(data, "ingest")
    asked = Asked(store)
    units = 20 if small else 1_000
    tags = list(range(min(10, data.tags)))
    told = {"answers": "rows, minima and maxima equal bit for bit", "way": "query.join_windows"}
    try:
        with host.hosted(("DuckDB",) if small else ("DuckDB", "ClickHouse"), data) as rivals:
            question = (tags, *windows_of(data, units))
            mine = functools.partial(asked.windows, *question)
            measured = beside(rivals, "windows", question, mine, same_windows)
            yield figure(
                "1,000 units x 10 tags", ">= 20x DuckDB, >= 10x ClickHouse", measured, rivals, data,
                **told, windows="47 s each, one behind the other",
            )  # fmt: skip
        many = (list(range(min(20, data.tags))), *windows_of(data, 100 * units))
        runs = harness.rounds(
            {"": lambda: harness.timed(functools.partial(asked.windows, *many))}, RUNS
        )
        yield figure(
            "100,000 windows x 20 tags", "< 2 s", (runs[""], {}), {}, data,
            **told, windows="47 s each, 54 of them over each moment",
        )  # fmt: skip
    finally:
        store.close()


def report_figures(small: bool) -> Iterator[harness.Figure]:
    """90 days of one tag by two hours."""
    data = columns.SMALL_YEAR if small else columns.YEAR
    store = ours.Store(data, "bulk")
    try:
        start = data.start_ns + 12_345
        end = min(start + 90 * 24 * HOUR_NS, data.end_ns)
        call = functools.partial(Asked(store).report, start, end, 2 * HOUR_NS)
        runs = harness.rounds({"": lambda: harness.warm(lambda: harness.timed(call))}, RUNS)
        yield figure(
            "1 tag, 90 days, 2-hour time-weighted", "< 5 ms", (runs[""], {}), {}, data,
            answers="equal a scan of the samples to 1e-9, by the tests of query",
            way="query.aggregate, TimeAverage2 with status and what it stands on",
        )  # fmt: skip
    finally:
        store.close()


def run(small: bool) -> Iterator[harness.Figure]:
    """Measure."""
    yield from join_figures(small)
    yield from report_figures(small)
