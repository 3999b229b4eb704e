"""What a rival is asked. Every answer ends as numpy arrays in the memory of who asked."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Columns = Iterable[tuple[Ints, Floats]]


class MissingError(Exception):
    """A rival cannot be had here, and why; it is skipped by name."""


class Buckets(NamedTuple):
    """Of each tag in turn, its windows with rows in order: first ns, minimum, maximum, mean."""

    tag: Ints
    start_ns: Ints
    minimum: Floats
    maximum: Floats
    mean: Floats


class Joined(NamedTuple):
    """Of each tag in turn, the windows that hold samples: their start, and what is in them."""

    tag: Ints
    start_ns: Ints
    count: Ints
    minimum: Floats
    maximum: Floats


class Latest(NamedTuple):
    """Newest sample of each tag, by tag."""

    timestamp_ns: Ints
    value: Floats


class Drawn(NamedTuple):
    """Of each pixel column that holds samples, its number and four values."""

    pixel: Ints
    first: Floats
    last: Floats
    minimum: Floats
    maximum: Floats


class Scan(NamedTuple):
    """Minimum, maximum and mean of all values."""

    minimum: float
    maximum: float
    mean: float


class Rival(Protocol):
    """One system with one table of (tag, time, value), sorted by tag and time where it can be.

    A rival defines what it can; :class:`MissingError` from the constructor says it is not here.
    """

    boundary: str
    layout: int  # one more when what :meth:`load` writes changes

    def version(self) -> str:
        """Of the system itself."""

    def load(self, home: Path, columns: Columns) -> None:
        """Store all tags below ``home``, durable, in the system's best layout for these data."""

    def open(self, home: Path) -> None:
        """Ready to be asked."""

    def threads(self, count: int) -> None:
        """Use so many."""

    def size(self, home: Path) -> int:
        """Bytes on disk."""

    def close(self) -> None:
        """Let go."""

    def buckets(self, tags: Sequence[int], start_ns: int, end_ns: int, step_ns: int) -> Buckets:
        """Minimum, maximum, mean of each window of each tag."""

    def windows(self, tags: Sequence[int], start: list[int], end: list[int]) -> Joined:
        """Samples of tags in windows that ascend and do not overlap."""

    def raw(self, tag: int, start_ns: int, end_ns: int) -> tuple[Ints, Floats]:
        """Times and values of one tag, in order."""

    def at(self, tags: Sequence[int], times: list[int]) -> Floats:
        """Values of tags at times that ascend, the last one at or before each; a row a tag."""

    def grid(self, tags: Sequence[int], start_ns: int, end_ns: int, step_ns: int) -> Floats:
        """The same at equal steps."""

    def drawing(self, tag: int, start_ns: int, end_ns: int, pixels: int) -> Drawn:
        """First, last, smallest and largest value of each of so many equal columns."""

    def filtered(
        self, tag: int, other: int, above: float, start_ns: int, end_ns: int
    ) -> tuple[Ints, Floats]:
        """Samples of one tag at whose time the last value of another is above a bound."""

    def fetch(self, tags: int) -> int:
        """Times and values of the first tags into arrays, in any order; rows fetched."""

    def scan(self) -> Scan:
        """Minimum, maximum and mean of all values of all tags, decoded."""

    def latest(self) -> Latest:
        """Newest sample of all tags."""

    def weighted(self, tag: int, start_ns: int, end_ns: int) -> float:
        """Mean of one tag in which each value counts until the next sample in the window."""


class Codec(Protocol):
    """A library that makes bytes of a column and back, losslessly."""

    def version(self) -> str:
        """Of the library."""

    def encode(self, column: Ints | Floats) -> bytes:
        """One page."""

    def decode(self, page: bytes, dtype: str) -> Ints | Floats:
        """The same values."""


def gathered(columns: Columns) -> tuple[Ints, Ints, Floats]:
    """All tags as one table: tag, time, value."""
    pairs = list(columns)
    tag = np.repeat(np.arange(len(pairs)), [len(time) for time, _ in pairs])
    return tag, np.concatenate([t for t, _ in pairs]), np.concatenate([v for _, v in pairs])


def in_parts(columns: Columns, rows: int = 4_000_000) -> Iterable[tuple[Ints, Ints, Floats]]:
    """The same table in parts of about so many rows, so that it need not fit memory twice."""
    held: list[tuple[int, Ints, Floats]] = []
    count = 0
    for tag, (times, values) in enumerate(columns):
        for begin in range(0, len(times), rows):
            part = slice(begin, begin + rows)
            held.append((tag, times[part], values[part]))
            count += len(times[part])
            if count >= rows:
                yield _joined(held)
                held, count = [], 0
    if held:
        yield _joined(held)


def _joined(held: list[tuple[int, Ints, Floats]]) -> tuple[Ints, Ints, Floats]:
    tag = np.repeat([t for t, _, _ in held], [len(times) for _, times, _ in held])
    return tag, np.concatenate([t for _, t, _ in held]), np.concatenate([v for _, _, v in held])
