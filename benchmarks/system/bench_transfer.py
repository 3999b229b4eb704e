"""Fifteen years of tags: past the log into the store, out into Parquet, in again, compared."""

import os
import shutil
import tempfile
import time
import tomllib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from benchmarks import harness
from benchmarks.datasets import plant
from historian.catalog_records import TagDraft
from historian.clock import SystemClock
from historian.config import parse_config
from historian.runtime import Historian
from historian.transfer.document import Document
from historian.transfer.export import Export, ExportRequest
from historian.transfer.importing import Import, ImportReport, ImportRequest
from historian.transfer.store import Silent, store_of
from storage_engine.bulk import BulkRows
from storage_engine.sample import ColumnData, ValueType

TAGS = 20
PERIOD_NS = 300 * 1_000_000_000
YEAR_ROWS = 105_120
START_NS = 1_262_304_000_000_000_000  # 2010
COMMIT_ROWS = 2_500_000
CONFIG = '[store]\npath = "store"\nfree_bytes_min = 1000000\n'


def historian_in(home: Path) -> Historian:
    """A historian on a folder, open and not started."""
    config = parse_config(tomllib.loads(CONFIG), base=home)
    return Historian.open(config, SystemClock())


class Columns:
    """A year of every tag, used again for each year: times move on, values stay."""

    def __init__(self, rows: int) -> None:
        self.times = START_NS + np.arange(rows, dtype=np.int64) * PERIOD_NS
        self.values = [plant.values(plant.KINDS[n % 6], rows, n) for n in range(TAGS)]
        self.quality = np.zeros(rows, np.uint32)

    def year(self, number: int) -> np.ndarray:
        """Times of a year, behind those of the one before."""
        return self.times + number * len(self.times) * PERIOD_NS


def bulk_run(home: Path, columns: Columns, years: int) -> float:
    """Rows per second from columns in memory into segments, durable."""
    historian = historian_in(home)
    drafts = [TagDraft(f"bench/{n:02d}", ValueType.FLOAT64) for n in range(TAGS)]
    ids = [t.series[0].stream_id for t in historian.catalog.declare_tags(drafts, "bench")]
    rows = len(columns.times)
    step = max(1, COMMIT_ROWS // rows)
    start = time.perf_counter()
    for year in range(years):
        times = columns.year(year)
        for first in range(0, TAGS, step):
            parts = [
                BulkRows(ids[n], times, columns.quality, None,
                         (ColumnData(ValueType.FLOAT64, columns.values[n]),))
                for n in range(first, min(first + step, TAGS))
            ]  # fmt: skip
            historian.engine.bulk_import("bench", [year, first], parts)
    seconds = time.perf_counter() - start
    historian.close()
    return TAGS * rows * years / seconds


def parquet_run(home: Path, columns: Columns, years: int) -> float:
    """The same columns by pyarrow: a Parquet file a year, zstd, synced."""
    home.mkdir(parents=True)
    rows = len(columns.times)
    start = time.perf_counter()
    for year in range(years):
        times = pa.array(columns.year(year), pa.timestamp("ns", tz="UTC"))
        path = home / f"{year}.parquet"
        schema = pa.schema(
            [("tag", pa.string()), ("timestamp", times.type), ("quality", pa.uint32()),
             ("value", pa.float64())]
        )  # fmt: skip
        with pyarrow.parquet.ParquetWriter(path, schema, compression="zstd") as writer:
            for number, values in enumerate(columns.values):
                tags = pa.array([f"bench/{number:02d}"]).take(pa.array(np.zeros(rows, np.int32)))
                quality = pa.array(columns.quality)
                writer.write_table(pa.table([tags, times, quality, pa.array(values)], schema))
        sync(path)
    return TAGS * rows * years / (time.perf_counter() - start)


def sync(path: Path) -> None:
    """What is acknowledged is on the medium."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def export_run(home: Path, out: Path, layout: str) -> tuple[float, Document]:
    """Rows per second out of a store, digests included."""
    historian = historian_in(home)
    start = time.perf_counter()
    request = ExportRequest(layout=layout)
    document = Export(store_of(historian), out, request, Silent()).run()
    seconds = time.perf_counter() - start
    historian.close()
    return sum(piece.rows for piece in document.pieces) / seconds, document


def import_run(
    home: Path, source: Path, *, verify_only: bool = False
) -> tuple[float, ImportReport]:
    """Rows per second from files into a store and back for the comparison."""
    historian = historian_in(home)
    start = time.perf_counter()
    report = Import(
        store_of(historian),
        source,
        ImportRequest(verify_only=verify_only),
        Silent(),
        work=home / "work",
        commit_bytes=historian.config.transfer.commit_bytes,
        principal="bench",
    ).run()
    seconds = time.perf_counter() - start
    historian.close()
    assert report.compared is not None, "an export has its document"
    assert all(one.equal for one in report.compared), "the store differs from the export"
    return sum(one.got_rows for one in report.compared) / seconds, report


def run(small: bool) -> list[harness.Figure]:
    """Measure."""
    rows, years = (20_000, 2) if small else (YEAR_ROWS, 15)
    harness.pin({0})
    home = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        return measured(home, Columns(rows), years)
    finally:
        harness.pin(set(range(os.cpu_count() or 1)))
        shutil.rmtree(home)


def measured(home: Path, columns: Columns, years: int) -> list[harness.Figure]:
    """Each step once; its rival right behind it."""
    figures = []
    conditions = {
        "boundary": "in process",
        "data": f"datasets/plant.py, {TAGS} tags x {years} years x {len(columns.times)} rows",
        "durability": "segments, manifests and files synced",
        "cores": "1",
    }
    ours = [bulk_run(home / "first", columns, years)]
    rival = [parquet_run(home / "rival", columns, years)]
    figures.append(
        harness.Figure("transfer bulk import", "rows/s", ours, "pyarrow to Parquet", rival,
                       "report", conditions)
    )  # fmt: skip
    rate, document = export_run(home / "first", home / "parquet", "parquet")
    conditions = {**conditions, "digest": document.tags[0].series[0].data.digest[:16]}
    figures.append(
        harness.Figure("transfer export Parquet", "rows/s", [rate], "", [], "report", conditions)
    )
    rate, _ = import_run(home / "second", home / "parquet")
    figures.append(
        harness.Figure("transfer import Parquet, compared", "rows/s", [rate], "", [], "report",
                       conditions)
    )  # fmt: skip
    rate, _ = import_run(home / "second", home / "parquet", verify_only=True)
    figures.append(
        harness.Figure("transfer compare", "rows/s", [rate], "", [], "report", conditions)
    )
    return figures
