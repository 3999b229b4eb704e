"""An in-memory reader and resolver that fulfil ``query/ports.py``; for tests and examples."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from query.errors import UnknownTag
from query.ports import FoldedWindows, Holes, LatestColumns, PlainRows, Tag
from query.registers import Declaration
from storage_engine.sample import (
    DTYPES,
    GOOD,
    ColumnData,
    EventColumns,
    Int64Array,
    SampleColumns,
    ValueType,
)

_TIME_END = 2**63 - 1


@dataclass(slots=True)
class _Series:
    type: ValueType
    rows: list[tuple[int, int, int, int, object]] = field(default_factory=list)  # t, lsn, no, q, v


class MemoryReader:
    """Samples in lists, with the meaning of ``SampleReader`` spelled out plainly."""

    def __init__(self) -> None:
        self._series: dict[int, _Series] = {}
        self._annotations: list[tuple[int, int]] = []
        self._edits: list[tuple[int, int, int]] = []
        self._lsn = 0

    def edited(self, series_id: int, start_ns: int, end_ns: int) -> None:
        """Note that somebody changed samples of a series in a window."""
        self._edits.append((series_id, start_ns, end_ns))

    def annotate(self, series_id: int, time_ns: int) -> None:
        """Put an annotation at a time of a series."""
        self._annotations.append((series_id, time_ns))

    def add(
        self,
        series_id: int,
        type_: ValueType,
        rows: Iterable[tuple[int, object] | tuple[int, object, int]],
        *,
        lsn: int | None = None,
    ) -> int:
        """Write (time_ns, value[, quality]) rows as one frame; value None is null.

        Returns
        -------
        int
            The lsn that all these rows carry.
        """
        self._lsn = self._lsn + 1 if lsn is None else lsn
        series = self._series.setdefault(series_id, _Series(type_))
        for row in rows:
            quality = row[2] if len(row) == 3 else GOOD
            series.rows.append((row[0], self._lsn, len(series.rows), quality, row[1]))
        series.rows.sort(key=lambda r: r[:3])
        return self._lsn

    def read(
        self,
        series_id: int,
        start_ns: int,
        end_ns: int,
        *,
        all_revisions: bool = False,
        known_at_lsn: int | None = None,
        max_count: int | None = None,
        backward: bool = False,
        distinct: bool = False,
    ) -> SampleColumns:
        """As ``SampleReader.read``; every series gives the newest of a time."""
        series = self._series.get(series_id, _Series(ValueType.FLOAT64))
        rows = [
            r
            for r in series.rows
            if start_ns <= r[0] < end_ns and (known_at_lsn is None or r[1] <= known_at_lsn)
        ]
        if not all_revisions:
            rows = list({r[0]: r for r in rows}.values())
        if backward:
            rows.reverse()
        return _columns(series.type, rows[:max_count])

    def keeps_all(self, series_ids: Sequence[int]) -> bool:
        """As ``SampleReader.keeps_all``: none does."""
        return False

    def previous(self, series_id: int, time_ns: int, *, inclusive: bool = False) -> SampleColumns:
        """As ``SampleReader.previous``."""
        return self.read(series_id, -_TIME_END, time_ns + inclusive, max_count=1, backward=True)

    def next(self, series_id: int, time_ns: int, *, inclusive: bool = False) -> SampleColumns:
        """As ``SampleReader.next``."""
        return self.read(series_id, time_ns + (not inclusive), _TIME_END, max_count=1)

    def latest(self, series_ids: Sequence[int]) -> LatestColumns:
        """As ``SampleReader.latest``."""
        found = [self.previous(series_id, _TIME_END - 1) for series_id in series_ids]
        return LatestColumns(
            present=np.array([len(c) == 1 for c in found], dtype=np.bool_),
            timestamp_ns=np.array([c.timestamp_ns[0] if len(c) else 0 for c in found], np.int64),
            quality=np.array([c.quality[0] if len(c) else 0 for c in found], np.uint32),
            value=[c.value.objects()[0] if len(c) else None for c in found],
        )

    def summaries(
        self, series_id: int, start_ns: int, end_ns: int, *, known_at_lsn: int | None = None
    ) -> EventColumns | None:
        """As ``SampleReader.summaries``: nothing ever goes, so there are none."""
        return None

    def summary_extent(self, series_id: int) -> tuple[int, int] | None:
        """As ``SampleReader.summary_extent``."""
        return None

    def fold(
        self,
        series_id: int,
        edges_ns: Int64Array,
        wanted: Collection[str] = (),
        *,
        known_at_lsn: int | None = None,
    ) -> FoldedWindows | None:
        """As ``SampleReader.fold``: only reads can tell."""
        return None

    def read_arrays(
        self,
        series_id: int,
        start_ns: int,
        end_ns: int,
        rows_max: int,
        *,
        known_at_lsn: int | None = None,
    ) -> PlainRows | None:
        """As ``SampleReader.read_arrays``."""
        held = self._series[series_id].rows if series_id in self._series else []
        if sum(start_ns <= row[0] < end_ns for row in held) > rows_max:
            return None
        rows = self.read(series_id, start_ns, end_ns, known_at_lsn=known_at_lsn)
        return PlainRows(rows.timestamp_ns, rows.value.value, rows.quality, rows.value.valid)

    def read_recent(
        self, series_ids: Sequence[int], start_ns: int, end_ns: int
    ) -> list[SampleColumns | None]:
        """As ``SampleReader.read_recent``; no series is told so."""
        return [None for _ in series_ids]

    def annotations(
        self, series_ids: Sequence[int], *, known_at_lsn: int | None = None
    ) -> Int64Array:
        """As ``SampleReader.annotations``; all are known at any time."""
        return np.array(sorted(t for s, t in self._annotations if s in series_ids), np.int64)

    def edits(
        self, series_ids: Sequence[int], *, known_at_lsn: int | None = None
    ) -> tuple[Int64Array, Int64Array]:
        """As ``SampleReader.edits``; all are known at any time."""
        found = [(a, b) for s, a, b in self._edits if s in series_ids]
        windows = np.array(found, np.int64).reshape(-1, 2)
        return windows[:, 0], windows[:, 1]


class MemoryResolver:
    """Tags by name.

    ``holes``, by name too, are times at which nobody collected one, ``declared`` when its counter
    was reset or replaced.
    """

    def __init__(self, *tags: Tag) -> None:
        self._tags = {tag.name: tag for tag in tags}
        self.holes: dict[str, Holes] = {}
        self.declared: dict[str, Sequence[Declaration]] = {}

    def resolve(self, name: str) -> Tag:
        """As ``TagResolver.resolve``."""
        if name not in self._tags:
            raise UnknownTag(name)
        return self._tags[name]

    def not_collected(self, tag: Tag) -> Holes:
        """As ``TagResolver.not_collected``."""
        return self.holes.get(tag.name, Holes.none())

    def declarations(self, tag: Tag) -> Sequence[Declaration]:
        """As ``TagResolver.declarations``."""
        return self.declared.get(tag.name, ())


def _columns(type_: ValueType, rows: list[tuple[int, int, int, int, object]]) -> SampleColumns:
    dtype = DTYPES[type_]
    value = np.zeros(len(rows), dtype=dtype)
    for i, row in enumerate(rows):
        if row[4] is not None:
            value[i] = row[4]
    valid = np.array([row[4] is not None for row in rows], dtype=np.bool_)
    return SampleColumns(
        timestamp_ns=np.array([r[0] for r in rows], dtype=np.int64),
        quality=np.array([r[3] for r in rows], dtype=np.uint32),
        value=ColumnData(type_, value, None if valid.all() else valid),
        lsn=np.array([r[1] for r in rows], dtype=np.uint64),
    )
