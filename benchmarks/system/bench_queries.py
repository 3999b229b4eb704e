"""Questions of charts and reports, ours and the rivals' in turn, on the same data."""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks import harness, ours
from benchmarks.datasets import columns
from benchmarks.datasets.columns import SECOND_NS, DataSet
from benchmarks.rivals import host
from benchmarks.rivals.base import Buckets, MissingError
from benchmarks.rivals.host import Hosted

RUNS = 5
MINUTE_NS, HOUR_NS = 60 * SECOND_NS, 3600 * SECOND_NS
IN_PROCESS = ("DuckDB", "ClickHouse", "Parquet", "TsFile")
SERVERS = ("VictoriaMetrics", "QuestDB", "InfluxDB")
# Rivals that do not keep every digit of a value.
INEXACT = {"VictoriaMetrics": 1e-9}


def all_threads(rivals: dict[str, Hosted]) -> list[tuple[str, Hosted, int]]:
    """Rivals by the names that results have: with one thread and with all; servers with all."""
    found = []
    for name, one in rivals.items():
        if name not in SERVERS:
            found.append((name, one, 1))
        if name != "TsFile":  # it has one thread
            found.append((f"{name}, all cores", one, 0))
    return found


def beside(
    rivals: dict[str, Hosted],
    what: str,
    arguments: tuple[object, ...],
    mine: Callable[[], object],
    check: Callable[[str, Any, Any], None],
) -> tuple[list[float], dict[str, list[float]]]:
    """Seconds of ours and of each rival, in turn; every rival's first answer is checked."""
    sides: dict[str, Callable[[], float]] = {"": lambda: harness.warm(lambda: harness.timed(mine))}
    answer = mine()
    for told, one, count in all_threads(rivals):
        try:
            one.call("threads", count or host.all_cores())
            check(one.name, answer, one.call(what, *arguments)[1])
        except MissingError as error:
            host.skipped[f"{one.name}, {what}"] = str(error)
            continue

        def side(one: Hosted = one, count: int = count) -> float:
            if one.name not in SERVERS:
                one.call("threads", count or host.all_cores())
            return harness.warm(lambda: one.call(what, *arguments)[0])

        sides[told] = side
    figures = harness.rounds(sides, RUNS)
    return figures.pop(""), figures


def equal_buckets(exact: Buckets) -> Callable[[str, Buckets, Buckets], None]:
    """Ours is numpy's fold; theirs is ours within what they keep."""

    def check(name: str, mine: Buckets, theirs: Buckets) -> None:
        ours.same(mine, exact, exact=True, tolerance=1e-12)
        lossy = INEXACT.get(name)
        ours.same(mine, theirs, exact=lossy is None, tolerance=lossy or 1e-9)

    return check


def equal_rows(name: str, mine: Any, theirs: Any) -> None:
    """The same times; the same bits of values where the rival keeps them."""
    assert np.array_equal(mine[0], theirs[0]), f"times of {name} differ"
    lossy = INEXACT.get(name)
    if lossy is None:
        assert np.array_equal(mine[1], theirs[1]), f"values of {name} differ"
    else:
        assert np.allclose(mine[1], theirs[1], rtol=lossy, atol=0), f"values of {name} differ"


def equal_number(name: str, mine: float, theirs: float) -> None:
    """Within a tolerance: sums are added in other orders."""
    assert np.isclose(mine, theirs, rtol=1e-9, atol=0), f"{name}: {theirs}, ours {mine}"


def exact_buckets(
    data: DataSet, tags: Sequence[int], start_ns: int, end_ns: int, step_ns: int
) -> Buckets:
    """Numpy's fold of what was stored."""
    edges = start_ns + step_ns * np.arange(-(-(end_ns - start_ns) // step_ns) + 1)
    times, values = data.tables()
    parts = []
    for tag in tags:
        time = np.asarray(times[tag])
        inside = slice(*np.searchsorted(time, (start_ns, end_ns)))
        parts.append(ours.numpy_buckets(tag, time[inside], np.asarray(values[tag][inside]), edges))
    return Buckets(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def figure(
    name: str,
    target: str,
    measured: tuple[list[float], dict[str, list[float]]],
    rivals: dict[str, Hosted],
    data: DataSet,
    **more: str,
) -> harness.Figure:
    """Milliseconds, DuckDB with one thread as the rival that the target names."""
    mine, others = measured
    boundaries = "; ".join(f"{one.name}: {one.boundary}" for one in rivals.values())
    conditions = {
        "boundary": f"ours: in process, from the call to numpy arrays; {boundaries}",
        "warm or cold": "warm: page cache and each system's own caches",
        "data": data.told(),
        "cores": "ours: config.read_threads; a rival named alone: 1 thread, 'all cores': 2",
        "runs": f"{RUNS} after one uncounted, in turn, each {harness.WARMED}; medians",
        "answers": "minima, maxima, rows equal bit for bit, means to 1e-9; ours equal numpy's fold",
        **more,
    }
    in_ms = {side: [1000 * run for run in runs] for side, runs in others.items()}
    return harness.Figure(
        name, "ms", [1000 * run for run in mine], "DuckDB", in_ms.pop("DuckDB", []), target,
        conditions, in_ms, less_is_better=True,
    )  # fmt: skip


def day_figures(small: bool) -> Iterator[harness.Figure]:
    """A plant's day, by frames through the log."""
    data = columns.SMALL_PLANT if small else columns.PLANT
    names = ("DuckDB",) if small else (*IN_PROCESS, *SERVERS)
    start, end, tag = data.start_ns, data.end_ns, 6
    many = range(min(100, data.tags))
    store = ours.Store(data, "ingest")
    try:
        with host.hosted(names, data) as rivals:
            for name, tags, step, target, way in (
                ("1 tag, 1 day, minutes", [tag], MINUTE_NS, ">= 30x DuckDB", "fold_brief"),
                ("100 tags, 1 day, hours", many, HOUR_NS, ">= 50x DuckDB", "fold_brief"),
            ):
                asked = (list(tags), start, end, step)
                check = equal_buckets(exact_buckets(data, *asked))
                measured = beside(
                    rivals, "buckets", asked, functools.partial(store.buckets, *asked), check
                )
                yield figure(name, target, measured, rivals, data, way=ours.way_of(way))
            row = (tag, start, end)
            measured = beside(rivals, "raw", row, functools.partial(store.raw, *row), equal_rows)
            way = ours.way_of("read_arrays")
            yield figure("1 tag, 1 day, raw", ">= 25x DuckDB", measured, rivals, data, way=way)
            span = end - start
            window = (tag, start + span // 7 + 12_345, end - span // 5 - 6_789)
            measured = beside(
                rivals, "weighted", window, functools.partial(store.weighted, *window), equal_number
            )
            yield figure(
                "time-weighted average", "< 1 ms", measured, rivals, data,
                way=ours.way_of("fold"), window="cuts vectors at both ends",
            )  # fmt: skip
    finally:
        store.close()


def year_figures(small: bool) -> Iterator[harness.Figure]:
    """One tag's year on 2,000 pixels; the same of cold blocks, which are decoded at every edge."""
    data = columns.SMALL_YEAR if small else columns.YEAR
    load = "bulk_import in commits of 2,500,000 rows, compacted"
    step = -(-(data.end_ns - data.start_ns) // 2000)
    asked = ([0], data.start_ns, data.end_ns, step)
    check = equal_buckets(exact_buckets(data, *asked))
    span = data.end_ns - data.start_ns
    window = (0, data.start_ns + span // 9 + 12_345, data.end_ns - span // 5 - 6_789)
    name, target = "1 tag, 1 year, 2,000 pixels", "< 5 ms, >= 50x DuckDB"
    with host.hosted(("DuckDB",) if small else ("DuckDB", "ClickHouse"), data) as rivals:
        for codecs, title, wanted in (("warm", name, target), ("cold", f"{name}, cold", "report")):
            store = ours.Store(data, "bulk", cold=codecs == "cold")
            try:
                mine = functools.partial(store.buckets, *asked)
                measured = beside(rivals, "buckets", asked, mine, check)
                yield figure(
                    title, wanted, measured, rivals, data,
                    way=ours.way_of("fold"), load=load, codecs=codecs,
                )  # fmt: skip
                if codecs == "cold":
                    return
                average = functools.partial(store.weighted, *window)
                measured = beside(rivals, "weighted", window, average, equal_number)
                yield figure(
                    "time-weighted average of months", "< 1 ms", measured, rivals, data,
                    way=ours.way_of("fold"), window="cuts vectors at both ends", codecs=codecs,
                )  # fmt: skip
            finally:
                store.close()


def latest_figures(small: bool) -> list[harness.Figure]:
    """The newest sample of each of very many tags."""
    data = columns.SMALL_MANY if small else columns.MANY
    store = ours.Store(data, "ingest")

    def check(name: str, mine: Any, theirs: Any) -> None:
        equal_rows(name, mine, theirs)

    try:
        times, values = data.tables()
        found = store.latest()
        assert np.array_equal(found.timestamp_ns, times[:, -1]), "latest times differ"
        assert np.array_equal(found.value, values[:, -1]), "latest values differ"
        names = ("DuckDB",) if small else ("DuckDB", "ClickHouse", "QuestDB")
        with host.hosted(names, data) as rivals:
            measured = beside(rivals, "latest", (), store.latest, check)
            return [figure("latest of 100,000 tags", "< 20 ms", measured, rivals, data)]
    finally:
        store.close()


def run(small: bool) -> Iterator[harness.Figure]:
    """Measure."""
    yield from day_figures(small)
    yield from year_figures(small)
    yield from latest_figures(small)
