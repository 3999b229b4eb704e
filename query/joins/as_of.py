"""As-of join: the samples of a tag that belong to times."""

from collections.abc import Iterator

import numpy as np

from query.columns import NUMERIC, join_columns, take_columns
from query.errors import LimitExceeded
from query.joins.request import Direction
from query.request import QueryLimits
from query.result import AsOfResult
from query.series import TIME_MAX_NS, TIME_MIN_NS, TagSamples, as_signal
from storage_engine.sample import DTYPES, BoolArray, ColumnData, Int64Array, SampleColumns

# Up to this many moments are looked up one by one; more are cheaper in one pass.
LOOKUPS_MAX = 1024
_FIRST_LOOK_ROWS = 16


class AsOf:
    """Finds samples of a tag for times.

    Parameters
    ----------
    samples : TagSamples
    limits : QueryLimits
    strict : bool
        A sample at the very time does not count.
    worst : int or None
        Samples of a worse severity do not count; None: all do.
    """

    def __init__(
        self, samples: TagSamples, limits: QueryLimits, *, strict: bool, worst: int | None
    ) -> None:
        self._samples = samples
        self._limits = limits
        self._strict = strict
        self._worst = worst
        self._rows = 0

    def find(
        self, times_ns: Int64Array, direction: Direction, *, max_age_ns: int | None = None
    ) -> AsOfResult:
        """Find one sample per time, in the order given.

        Parameters
        ----------
        times_ns : int64, shape (n,)
        direction : {"backward", "forward", "nearest"}
        max_age_ns : int or None
            A sample that is farther from its time does not count.

        Raises
        ------
        LimitExceeded
            When more than ``limits.scan_rows_max`` samples would be read.
        """
        moments, back = np.unique(times_ns, return_inverse=True)
        sides = [True, False] if direction == "nearest" else [direction == "backward"]
        found: list[SampleColumns] = []
        rows: list[Int64Array] = []
        for before in sides:
            columns, row = self._side(moments, before=before)
            rows.append(np.where(row >= 0, row + sum(len(part) for part in found), -1))
            found.append(columns)
        joined = join_columns(found)
        if len(joined) == 0:
            absent = np.zeros(len(times_ns), np.bool_)
            return AsOfResult(absent, _nothing(self._samples, len(times_ns)))
        row = rows[0]
        if direction == "nearest":
            far = [_distance(joined, each, moments) for each in rows]
            row = np.where(far[1] < far[0], rows[1], rows[0])
        row = row[back]
        columns = take_columns(joined, np.maximum(row, 0))
        present = row >= 0
        if max_age_ns is not None:
            present &= np.abs(times_ns - columns.timestamp_ns) <= max_age_ns
        return AsOfResult(present, columns)

    def _side(self, moments: Int64Array, *, before: bool) -> tuple[SampleColumns, Int64Array]:
        if len(moments) == 0:
            return _nothing(self._samples, 0), np.zeros(0, np.int64)
        if len(moments) <= LOOKUPS_MAX:
            strict = self._strict
            parts = [self._nearest(int(m), before=before, strict=strict) for m in moments]
            sizes = np.array([len(part) for part in parts], dtype=np.int64)
            return join_columns(parts), np.where(sizes > 0, np.cumsum(sizes) - 1, -1)
        return self._pass(moments, before=before)

    def _nearest(self, moment: int, *, before: bool, strict: bool) -> SampleColumns:
        """Counting sample next to a moment: 0 or 1 row."""
        at = 0 if strict else 1
        low, high = (TIME_MIN_NS, moment + at) if before else (moment + 1 - at, TIME_MAX_NS)
        size = 1 if self._worst is None else _FIRST_LOOK_ROWS
        while True:
            found, complete = self._samples.read(low, high, max_count=size, backward=before)
            if size > 1:
                self._count(len(found))
            kept = np.flatnonzero(self._counts(found))
            if len(kept) or complete:
                return take_columns(found, kept[:1])
            edge = int(found.timestamp_ns[-1])
            low, high = (low, edge) if before else (edge + 1, high)
            size = min(size * 8, self._limits.chunk_rows)

    def _pass(self, moments: Int64Array, *, before: bool) -> tuple[SampleColumns, Int64Array]:
        """One pass over the samples around all moments, piece by piece."""
        kept: list[SampleColumns] = []
        row = np.full(len(moments), -1, np.int64)
        held = 0
        for piece in self._pieces(moments):
            times = piece.timestamp_ns
            left = self._strict == before
            place = np.searchsorted(times, moments, side="left" if left else "right")
            if before:  # a later piece overrules
                of, place = np.flatnonzero(place > 0), place - 1
            else:
                of = np.flatnonzero((row < 0) & (place < len(times)))
            wanted, back = np.unique(place[of], return_inverse=True)
            row[of] = held + back
            kept.append(take_columns(piece, wanted))
            held += len(wanted)
        return (join_columns(kept) if kept else _nothing(self._samples, 0)), row

    def _pieces(self, moments: Int64Array) -> Iterator[SampleColumns]:
        """Counting samples from the one before the first moment to the one after the last."""
        yield self._nearest(int(moments[0]), before=True, strict=True)
        position, end, complete = int(moments[0]), int(moments[-1]) + 1, False
        while not complete:
            piece, complete = self._samples.read(position, end, max_count=self._limits.chunk_rows)
            self._count(len(piece))
            if len(piece):
                position = int(piece.timestamp_ns[-1]) + 1
                yield take_columns(piece, self._counts(piece))
        yield self._nearest(int(moments[-1]), before=False, strict=True)

    def _counts(self, columns: SampleColumns) -> BoolArray:
        if self._worst is None:
            return np.ones(len(columns), np.bool_)
        numeric = self._samples.tag.type in NUMERIC
        return as_signal(columns, numeric=numeric).severity <= self._worst

    def _count(self, rows: int) -> None:
        self._rows += rows
        if self._rows > self._limits.scan_rows_max:
            raise LimitExceeded(
                "join times with samples",
                got=f"more than {self._limits.scan_rows_max} samples",
                want="times closer together",
                where=f"tag {self._samples.tag.name!r}",
            )


def _distance(columns: SampleColumns, row: Int64Array, moments: Int64Array) -> Int64Array:
    away = np.abs(moments - columns.timestamp_ns[np.maximum(row, 0)])
    return np.where(row >= 0, away, np.int64(2**63 - 1))


def _nothing(samples: TagSamples, count: int) -> SampleColumns:
    type_ = samples.tag.type
    return SampleColumns(
        np.zeros(count, dtype=np.int64),
        np.zeros(count, dtype=np.uint32),
        ColumnData(type_, np.zeros(count, DTYPES[type_]), np.zeros(count, dtype=np.bool_)),
        np.zeros(count, dtype=np.uint64),
    )
