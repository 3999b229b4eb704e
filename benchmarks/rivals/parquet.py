"""Parquet through pyarrow: one file sorted by tag and time, zstd, delta times."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks import places
from benchmarks.rivals.base import (
    Buckets,
    Columns,
    Floats,
    Ints,
    Latest,
    MissingError,
    Scan,
    in_parts,
)


class Parquet:
    """In a process of its own; filters by row group, then by row."""

    boundary = "in process, filters and group_by of pyarrow to numpy"
    layout = 1

    def __init__(self) -> None:
        try:
            import pyarrow as pa
            from pyarrow import compute, dataset, parquet
        except ImportError as error:
            raise MissingError(str(error)) from error
        self._arrow, self._parquet, self._dataset, self._compute = pa, parquet, dataset, compute

    def version(self) -> str:
        """Of the package."""
        return str(self._arrow.__version__)

    def load(self, home: Path, columns: Columns) -> None:
        """A file; row groups of a tag-day each, so that a tag is found by statistics."""
        pa = self._arrow
        schema = pa.schema([("tag", pa.int32()), ("t", pa.int64()), ("v", pa.float64())])
        writer = self._parquet.ParquetWriter(
            home / "rival.parquet",
            schema,
            compression="zstd",
            compression_level=3,
            use_dictionary=["tag", "v"],
            column_encoding={"t": "DELTA_BINARY_PACKED"},
        )
        for tag, time, value in in_parts(columns):
            table = pa.table([tag.astype(np.int32), time, value], schema)
            writer.write_table(table, row_group_size=86_400)
        writer.close()

    def open(self, home: Path) -> None:
        """Reads the footer."""
        self._data = self._dataset.dataset(home / "rival.parquet")

    def threads(self, count: int) -> None:
        """Of pyarrow's pool."""
        self._arrow.set_cpu_count(count)

    def size(self, home: Path) -> int:
        """The file."""
        return places.size_of(home)

    def close(self) -> None:
        """Nothing is held."""

    def _rows(self, tags: Sequence[int], start_ns: int, end_ns: int) -> object:
        c = self._compute
        inside = (c.field("t") >= start_ns) & (c.field("t") < end_ns)
        low, high = min(tags), max(tags)
        return (c.field("tag") >= low) & (c.field("tag") <= high) & inside

    def buckets(self, tags: Sequence[int], start_ns: int, end_ns: int, step_ns: int) -> Buckets:
        """Grouped by pyarrow, in order."""
        c = self._compute
        window = c.divide(c.subtract(c.field("t"), start_ns), step_ns)
        table = self._data.to_table(
            columns={"tag": c.field("tag"), "w": window, "v": c.field("v")},
            filter=self._rows(tags, start_ns, end_ns),
        )
        wanted = [("v", "min"), ("v", "max"), ("v", "mean")]
        found = table.group_by(["tag", "w"]).aggregate(wanted)
        found = found.sort_by([("tag", "ascending"), ("w", "ascending")])
        starts = found["w"].to_numpy() * step_ns + start_ns
        values = (found[f"v_{name}"].to_numpy() for name in ("min", "max", "mean"))
        return Buckets(found["tag"].to_numpy().astype(np.int64), starts, *values)

    def raw(self, tag: int, start_ns: int, end_ns: int) -> tuple[Ints, Floats]:
        """Rows in the order of the file."""
        rows = self._rows([tag], start_ns, end_ns)
        table = self._data.to_table(columns=["t", "v"], filter=rows)
        return table["t"].to_numpy(), table["v"].to_numpy()

    def fetch(self, tags: int) -> int:
        """One table for all."""
        rows = self._compute.field("tag") < tags
        table = self._data.to_table(columns=["t", "v"], filter=rows)
        return len(table["t"].to_numpy()) + 0 * len(table["v"].to_numpy())

    def scan(self) -> Scan:
        """The whole column, decoded."""
        column = self._data.to_table(columns=["v"])["v"]
        ends = self._compute.min_max(column)
        mean = self._compute.mean(column)
        return Scan(ends["min"].as_py(), ends["max"].as_py(), mean.as_py())

    def latest(self) -> Latest:
        """The last row of each tag."""
        table = self._data.to_table().group_by("tag", use_threads=False)
        found = table.aggregate([("t", "last"), ("v", "last")]).sort_by("tag")
        return Latest(found["t_last"].to_numpy(), found["v_last"].to_numpy())

    def weighted(self, tag: int, start_ns: int, end_ns: int) -> float:
        """By numpy over the rows."""
        time, value = self.raw(tag, start_ns, end_ns)
        return float(np.average(value[:-1], weights=np.diff(time)))
