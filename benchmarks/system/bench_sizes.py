"""Bits and bytes: the real series column by column, and a plant's day with everything on disk."""

import statistics
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from benchmarks import harness, ours
from benchmarks.datasets import columns, recordings
from benchmarks.rivals import host
from benchmarks.rivals.base import Codec, MissingError
from benchmarks.rivals.codecs import Pcodec, Zstd
from storage_engine import codec as codecs
from storage_engine.config import EngineConfig

COLD_ROWS = 16_384
ENTRY_BYTES = 20  # of a column in its block's table
Numbers = npt.NDArray[np.generic]
Sized = Callable[[Numbers], int]


def by_pages(column: Numbers, rows: int, size: Sized) -> float:
    """Bits a value, in pages of so many."""
    starts = range(0, len(column), rows)
    total = sum(size(np.ascontiguousarray(column[i : i + rows])) for i in starts)
    return 8 * total / len(column)


def library(name: str, one: type[Pcodec] | type[Zstd]) -> Codec | None:
    """A codec; None and a line in the results when it is not here."""
    try:
        made = one()
    except MissingError as error:
        host.skipped[name] = str(error)
        return None
    host.versions[name] = made.version()
    return made


def verified(one: Codec) -> Sized:
    """Size of a page whose every bit comes back."""

    def size(page: Numbers) -> int:
        body = one.encode(page)
        assert one.decode(body, page.dtype.str).tobytes() == page.tobytes(), "bits were lost"
        return len(body)

    return size


def counted(page: Numbers, codec: int, body: bytes) -> int:
    """Bytes of a page of ours, whose every bit comes back."""
    again = codecs.decode_numbers(codec, memoryview(body), len(page), page.dtype)
    assert again.tobytes() == page.tobytes(), "bits were lost"
    return ENTRY_BYTES + len(body)


def warm() -> Sized:
    """Ours for one column, as flushes encode it: what won in the block before is tried first."""
    recipe = codecs.Recipe()
    return lambda page: counted(page, *codecs.encode_numbers(page, recipe))


def cold() -> Sized:
    """Ours for one column, as a compaction of old rows encodes it."""
    return lambda page: counted(page, *codecs.encode_cold(page))


def mean(series: Sequence[Numbers], rows: int, fresh: Callable[[], Sized]) -> float:
    """Mean of the series, each with an encoder of its own."""
    return statistics.mean(by_pages(column, rows, fresh()) for column in series)


def series_figures(small: bool) -> list[harness.Figure]:
    """Values and recorded times of the recordings; sizes do not vary, so each is made once."""
    if not recordings.available():
        host.skipped["the 87 series"] = "no recordings: HISTORIAN_DATA names no folder with them"
        return []
    every = recordings.load()
    if small:
        every = [r for r in every if r.name.startswith(("tep/", "nab/"))]
    values = [one.value for one in every]
    times = [one.timestamp_ns for one in every if one.clock == "recorded"]
    sides = {"pcodec": library("pcodec", Pcodec), "zstd-3": library("zstd-3", Zstd)}
    warm_rows = EngineConfig().block_rows
    figures = []
    for name, data, rows, fresh, target in (
        ("series values warm", values, warm_rows, warm, "<= 12.5"),
        ("series values cold", values, COLD_ROWS, cold, "<= 1.03x pcodec"),
        ("series times warm", times, warm_rows, warm, "report"),
        ("series times cold", times, COLD_ROWS, cold, "<= 9.0"),
    ):
        rivals = {
            rival: [mean(data, COLD_ROWS, lambda one=one: verified(one))]
            for rival, one in sides.items()
            if one is not None
        }
        conditions = {
            "boundary": "encoders called in process",
            "warm or cold": f"pages of {rows:,} rows; rivals' pages {COLD_ROWS:,} rows",
            "data": f"{len(data)} series, {sum(map(len, data)):,} values of HISTORIAN_DATA",
            "bytes counted": f"bodies and {ENTRY_BYTES} bytes of column entry; rivals' whole pages",
            "answers": "decoded bits equal the input's",
            "cores": "1",
            "runs": "1: a size does not vary",
        }
        figures.append(
            harness.Figure(
                name, "bits/value", [mean(data, rows, fresh)], "pcodec",
                rivals.pop("pcodec", []), target,
                conditions, rivals, less_is_better=True,
            )
        )  # fmt: skip
    return figures


def plant_figures(small: bool) -> list[harness.Figure]:
    """Everything on disk of a plant's day, and what others need for the same."""
    data = columns.SMALL_PLANT if small else columns.PLANT
    names = ["DuckDB"] if small else list(host.RIVALS)
    store = ours.Store(data, "ingest")
    store.close()
    with host.hosted(names, data) as rivals:
        sizes = {
            name: [one.call("size", one.home)[1] / data.samples] for name, one in rivals.items()
        }
    pco = library("pcodec", Pcodec)
    if pco is not None:
        count = verified(pco)
        total = sum(
            by_pages(time, COLD_ROWS, count) + by_pages(value, COLD_ROWS, count)
            for time, value in (data.column(tag) for tag in range(min(12, data.tags)))
        )
        sizes["pcodec, columns alone"] = [total / 8 / min(12, data.tags)]
    figures = []
    for name, key, target in (
        ("plant on disk warm", "warm", "<= 1.75"),
        ("plant on disk cold", "cold", "<= 1.55"),
    ):
        others = dict(sizes)
        conditions = {
            "boundary": "frames of 1,000 samples of mixed tags through log and head, then flushed",
            "warm or cold": "compacted to quiescence"
            + (f", then again with the clock {ours.COLD_DAYS} days on" if key == "cold" else ""),
            "data": data.told(),
            "bytes counted": "every file of the store: times, values, quality, stamps, "
            "directories, summaries, manifests; without the log, which is empty of rows then",
            "answers": "checked by the query benches on the same store",
            "cores": "1",
            "runs": "1: a size does not vary",
            "flushed, not compacted": f"{store.facts['flushed'] / data.samples:.3f} bytes/sample",
            "segments": f"{store.facts['segments']:.0f}",
            "log": f"{store.facts['warm_log']:,.0f} bytes reserved",
        }
        figures.append(
            harness.Figure(
                name, "bytes", [store.facts[key] / data.samples], "pcodec, columns alone",
                others.pop("pcodec, columns alone", []), target, conditions, others,
                less_is_better=True,
            )
        )  # fmt: skip
    return figures


def run(small: bool) -> list[harness.Figure]:
    """Measure."""
    return [*series_figures(small), *plant_figures(small)]
