"""TsFile: one table with the tag as a TAG column; Gorilla and LZ4, which give every bit back."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks import places
from benchmarks.rivals.base import Buckets, Columns, Floats, Ints, MissingError


class TsFile:
    """In a process of its own; the package reads rows, so numpy makes the windows."""

    boundary = "in process, Arrow batches to numpy; windows by numpy"
    layout = 1

    def __init__(self) -> None:
        try:
            import pandas as pd
            import tsfile
        except ImportError as error:
            raise MissingError(str(error)) from error
        self._module, self._frames = tsfile, pd

    def version(self) -> str:
        """Of the package."""
        from importlib.metadata import version

        return version("tsfile")

    def load(self, home: Path, columns: Columns) -> None:
        """A frame a tag."""
        m = self._module
        m.set_tsfile_config(
            {
                "double_encoding_type_": m.TSEncoding.GORILLA,
                "default_compression_type_": m.Compressor.LZ4,
            }
        )
        tag = m.ColumnSchema("tag", m.TSDataType.STRING, m.ColumnCategory.TAG)
        value = m.ColumnSchema("v", m.TSDataType.DOUBLE, m.ColumnCategory.FIELD)
        writer = m.TsFileTableWriter(str(home / "rival.tsfile"), m.TableSchema("s", [tag, value]))
        for number, (time, values) in enumerate(columns):
            held = {"time": time, "tag": [str(number)] * len(time), "v": values}
            writer.write_dataframe(self._frames.DataFrame(held))
        writer.close()

    def open(self, home: Path) -> None:
        """Reads the footer."""
        self._reader = self._module.TsFileReader(str(home / "rival.tsfile"))

    def threads(self, count: int) -> None:
        """It has one."""

    def size(self, home: Path) -> int:
        """The file."""
        return places.size_of(home)

    def close(self) -> None:
        """The file."""
        self._reader.close()

    def raw(self, tag: int, start_ns: int, end_ns: int) -> tuple[Ints, Floats]:
        """Rows in order."""
        wanted = self._module.tag_eq("tag", str(tag))
        found = self._reader.query_table(
            "s", ["v"], start_ns, end_ns - 1, tag_filter=wanted, batch_size=65_536
        )
        batches = []
        while (batch := found.read_arrow_batch()) is not None:
            batches.append((batch["time"].to_numpy(), batch["v"].to_numpy()))
        found.close()
        return np.concatenate([t for t, _ in batches]), np.concatenate([v for _, v in batches])

    def fetch(self, tags: int) -> int:
        """A tag after the other."""
        return sum(len(self.raw(tag, -(2**62), 2**62)[0]) for tag in range(tags))

    def buckets(self, tags: Sequence[int], start_ns: int, end_ns: int, step_ns: int) -> Buckets:
        """Rows, then numpy."""
        parts = []
        for tag in tags:
            time, value = self.raw(tag, start_ns, end_ns)
            window = (time - start_ns) // step_ns
            first = np.flatnonzero(np.diff(window, prepend=-1))
            count = np.diff(first, append=len(time))
            low, high = np.minimum.reduceat(value, first), np.maximum.reduceat(value, first)
            mean = np.add.reduceat(value, first) / count
            starts = window[first] * step_ns + start_ns
            parts.append((np.full(len(first), tag), starts, low, high, mean))
        return Buckets(*(np.concatenate(column) for column in zip(*parts, strict=True)))
