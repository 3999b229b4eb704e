"""Data sets of many tags as two tables, times and values, made once and kept on disk."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks import places
from benchmarks.datasets import plant

SECOND_NS = 1_000_000_000
Column = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]


@dataclass(frozen=True)
class DataSet:
    """Tags of the synthetic plant; every tag has its own jitter of 0 to 3 ms."""

    name: str
    tags: int
    rows: int
    period_ns: int = SECOND_NS

    @property
    def samples(self) -> int:
        """Of all tags."""
        return self.tags * self.rows

    @property
    def start_ns(self) -> int:
        """No sample is before."""
        return plant.START_NS

    @property
    def end_ns(self) -> int:
        """Every sample is before."""
        return plant.START_NS + self.rows * self.period_ns

    @property
    def key(self) -> str:
        """Names generator and size."""
        return places.digest(
            [Path(plant.__file__)], self.name, self.tags, self.rows, self.period_ns
        )

    def told(self) -> str:
        """What it is, for the conditions of a figure."""
        return (
            f"synthetic plant {self.key}: {self.tags:,} tags x {self.rows:,} rows, "
            f"one each {self.period_ns / SECOND_NS:g} s, jitter 0..3 ms"
        )

    def column(self, tag: int) -> Column:
        """Times and values of a tag, from its number alone."""
        kind = plant.KINDS[tag % len(plant.KINDS)]
        time = plant.times(self.rows, tag, self.period_ns)
        return time, plant.values(kind, self.rows, tag)

    def tables(self) -> Column:
        """Times and values of all tags, shape (tags, rows), mapped from disk."""
        folder = places.kept(f"data-{self.name}", self.key, self._write)
        return np.load(folder / "time.npy", "r"), np.load(folder / "value.npy", "r")

    def columns(self) -> Iterator[Column]:
        """Times and values of every tag in turn."""
        times, values = self.tables()
        for tag in range(self.tags):
            yield np.array(times[tag]), np.array(values[tag])

    def _write(self, folder: Path) -> None:
        shape = (self.tags, self.rows)
        times = np.lib.format.open_memmap(folder / "time.npy", "w+", np.int64, shape)
        values = np.lib.format.open_memmap(folder / "value.npy", "w+", np.float64, shape)
        for tag in range(self.tags):
            times[tag], values[tag] = self.column(tag)
        times.flush()
        values.flush()


PLANT = DataSet("plant", tags=120, rows=86_400)
YEAR = DataSet("year", tags=1, rows=365 * 86_400)
MANY = DataSet("many", tags=100_000, rows=60, period_ns=60 * SECOND_NS)
SMALL_PLANT = DataSet("small-plant", tags=12, rows=3_600)
SMALL_YEAR = DataSet("small-year", tags=1, rows=20_000)
SMALL_MANY = DataSet("small-many", tags=200, rows=20, period_ns=60 * SECOND_NS)
