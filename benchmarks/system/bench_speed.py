"""Speed of one core: encode, decode and aggregate, ranges into numpy."""

import functools
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import harness, ours
from benchmarks.datasets import columns
from benchmarks.datasets.columns import DataSet
from benchmarks.rivals import host
from benchmarks.rivals.base import Scan
from benchmarks.system import bench_sizes
from storage_engine import codec as codecs
from storage_engine.config import EngineConfig

RUNS = 5
PLACE = "values and times of a plant's tags, in pages as a flush cuts them"


def columns_of(data: DataSet, tags: int) -> list[list[np.ndarray[Any, Any]]]:
    """Value and time columns of tags, each in pages as a flush cuts it."""
    rows = EngineConfig().block_rows
    return [
        [np.ascontiguousarray(column[i : i + rows]) for i in range(0, data.rows, rows)]
        for tag in range(tags)
        for column in data.column(tag)
    ]


def encode_all(every: list[list[np.ndarray[Any, Any]]]) -> None:
    """As flushes do: what won in a column's page before is tried first."""
    for pages in every:
        recipe = codecs.Recipe()
        for page in pages:
            codecs.encode_numbers(page, recipe)


def encode_figure(small: bool) -> harness.Figure:
    """Values encoded a second, the encoder's own check included."""
    data = columns.SMALL_PLANT if small else columns.PLANT
    tags = 6 if small else 12
    every = columns_of(data, tags)
    pages = [page for column in every for page in column]
    fewer = pages[:: 3 if small else 7]

    def mine() -> float:
        seconds = harness.timed(lambda: encode_all(every))
        return sum(map(len, pages)) / seconds

    def theirs(encode: Callable[[Any], bytes]) -> float:
        seconds = harness.timed(lambda: [encode(page) for page in fewer])
        return sum(map(len, fewer)) / seconds

    sides: dict[str, Callable[[], float]] = {"": mine}
    for name, one in (("pcodec", bench_sizes.Pcodec), ("zstd-3", bench_sizes.Zstd)):
        made = bench_sizes.library(name, one)
        if made is not None:
            sides[name] = functools.partial(theirs, made.encode)
    figures = harness.rounds(sides, 1 if small else RUNS)
    return harness.Figure(
        "warm encode", "values/s", figures.pop(""), "pcodec", figures.pop("pcodec", []),
        ">= 100 M",
        {
            "boundary": "encoders called in process, a page a call",
            "warm or cold": "warm codecs; pages in memory",
            "data": f"{PLACE}, {tags} tags of {data.told()}; rivals some of the pages",
            "answers": "the encoder decodes each page and compares bits",
            "cores": "1",
            "runs": f"{RUNS} after one uncounted, in turn; medians",
        },
        figures,
    )  # fmt: skip


def scan_figure(small: bool) -> harness.Figure:
    """Values decoded and aggregated a second."""
    data = columns.SMALL_PLANT if small else columns.PLANT
    store = ours.Store(data, "ingest", read_threads=1)

    def folded() -> float:
        return data.samples / harness.warm(lambda: harness.timed(store.scan))

    found = store.scan()
    values = data.tables()[1]
    assert found.minimum.min() == values.min(), "minimum differs"
    assert found.maximum.max() == values.max(), "maximum differs"
    sides: dict[str, Callable[[], float]] = {"": folded}
    try:
        names = ("DuckDB",) if small else ("DuckDB", "ClickHouse", "Parquet")
        with host.hosted(names, data) as rivals:
            for name, one in rivals.items():
                one.call("threads", 1)
                check(one.call("scan")[1], values)

                def theirs(one: host.Hosted = one) -> float:
                    return data.samples / harness.warm(lambda: one.call("scan")[0])

                sides[name] = theirs
            figures = harness.rounds(sides, 1 if small else RUNS)
            boundaries = "; ".join(f"{one.name}: {one.boundary}" for one in rivals.values())
    finally:
        store.close()
    return harness.Figure(
        "decode and aggregate", "values/s", figures.pop(""), "ClickHouse",
        figures.pop("ClickHouse", []), ">= 1,500 M",
        {
            "boundary": "ours: count, minimum, maximum, exact mean of each tag, all values "
            f"decoded; rivals: of the whole column. {boundaries}",
            "warm or cold": "warm: everything in the page cache and own caches",
            "data": data.told(),
            "answers": "minimum and maximum equal numpy's, means to 1e-9",
            "cores": "1",
            "way": ours.way_of("fold_brief") + " without summaries",
            "runs": f"{RUNS} after one uncounted, in turn, each {harness.WARMED}; medians",
        },
        figures,
    )  # fmt: skip


def check(found: Scan, values: np.ndarray[Any, Any]) -> None:
    """A rival's scan saw the same values."""
    assert found[0] == values.min(), "minimum differs"
    assert found[1] == values.max(), "maximum differs"
    assert np.isclose(found[2], values.mean(), rtol=1e-9), "mean differs"


def range_figure(small: bool) -> harness.Figure:
    """Samples a second into numpy, times and values, one tag's day after the other."""
    data = columns.SMALL_PLANT if small else columns.PLANT
    store = ours.Store(data, "ingest")
    some = range(min(data.tags, 12))
    span = (data.start_ns, data.end_ns)
    held: list[Any] = [None]

    def mine() -> None:
        for tag in range(data.tags):
            if ours.fast_reads():
                held[0] = store.engine.read_arrays(store.ids[tag], *span, out=held[0])
            else:
                store.raw(tag, *span)

    sides: dict[str, Callable[[], float]] = {"": lambda: data.samples / harness.timed(mine)}
    try:
        for tag in some:
            time, value = store.raw(tag, *span)
            assert np.array_equal(time, data.tables()[0][tag]), "times differ"
            assert np.array_equal(value, data.tables()[1][tag]), "values differ"
        names = ("DuckDB",) if small else ("DuckDB", "ClickHouse", "Parquet", "TsFile")
        with host.hosted(names, data) as rivals:
            for name, one in rivals.items():
                one.call("threads", 1)

                def theirs(one: host.Hosted = one) -> float:
                    seconds, rows = one.call("fetch", len(some))
                    assert rows == len(some) * data.rows, "rows are missing"
                    return float(rows / seconds)

                sides[name] = theirs
            figures = harness.rounds(sides, 1 if small else RUNS)
            boundaries = "; ".join(f"{one.name}: {one.boundary}" for one in rivals.values())
    finally:
        store.close()
    return harness.Figure(
        "range read to numpy", "samples/s", figures.pop(""), "DuckDB", figures.pop("DuckDB", []),
        ">= 6x DuckDB, >= 200 M",
        {
            "boundary": f"ours: in process, buffers reused if the call takes them; {boundaries}",
            "warm or cold": "warm: everything in the page cache and own caches",
            "data": f"{data.told()}; rivals the first {len(some)} tags in one query",
            "answers": "times and values equal what was stored, bit for bit",
            "cores": "1",
            "way": ours.way_of("read_arrays"),
            "runs": f"{RUNS} after one uncounted, in turn; medians",
        },
        figures,
    )  # fmt: skip


def run(small: bool) -> list[harness.Figure]:
    """Measure, on one core; rivals' processes inherit it."""
    every = os.sched_getaffinity(0)
    harness.pin({min(every)})
    try:
        return [call(small) for call in (encode_figure, scan_figure, range_figure)]
    finally:
        harness.pin(every)
