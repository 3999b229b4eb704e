"""One tag as one run of samples: the series of a tag whose type changed are joined here."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from query.columns import NUMERIC, as_doubles, join_columns
from query.ports import Holes, SampleReader, Tag
from query.registers import Declaration
from query.work import check_work
from storage_engine.sample import (
    BAD,
    DTYPES,
    AnyArray,
    BoolArray,
    ColumnData,
    Damage,
    EventColumns,
    Int64Array,
    SampleColumns,
    UInt32Array,
    ValueType,
    severity,
)

# Half of the int64 range: years 1823 to 2116, and sums of two times still fit.
TIME_MIN_NS = -(2**62)
TIME_MAX_NS = 2**62

# From so many rows on a read of arrays is tried: it tells at once when there are more.
_MANY_ROWS, _ALL_ROWS = 4_096, 2**31
_FLOATS = frozenset({ValueType.FLOAT64, ValueType.FLOAT32})


@dataclass(frozen=True, slots=True)
class Signal:
    """Samples as the kernels want them: strictly ascending times, severities, numbers.

    Attributes
    ----------
    timestamp_ns : int64, shape (n,)
        Strictly increasing.
    severity : uint8, shape (n,)
        0 good, 1 uncertain, 2 bad. A null, a NaN, and in a numeric tag whatever is no number,
        count as bad.
    code : uint32, shape (n,)
        Status codes; of a sample that is Good or Uncertain without a value, plain Bad.
    number : float64, shape (n,)
        0 where there is none.
    native : array, shape (n,)
        The value in its own type; float64 where series of several types meet.
    type : ValueType
        Of ``native``.
    gap : bool, shape (n,), or None
        Nobody wrote this row: from its time on the value is not known. None: no row is one.
    """

    timestamp_ns: Int64Array
    severity: npt.NDArray[np.uint8]
    code: UInt32Array
    number: npt.NDArray[np.float64]
    native: AnyArray
    type: ValueType
    gap: BoolArray | None = None

    def __len__(self) -> int:
        return len(self.timestamp_ns)

    def take(self, rows: npt.NDArray[np.int64] | slice) -> "Signal":
        """Rows of this signal, in the order given."""
        return Signal(
            self.timestamp_ns[rows],
            self.severity[rows],
            self.code[rows],
            self.number[rows],
            self.native[rows],
            self.type,
            None if self.gap is None else self.gap[rows],
        )


class TagSamples:
    """Reads a tag's series as one.

    Parameters
    ----------
    reader : SampleReader
        Holds the series.
    tag : Tag
        Which series, oldest first.
    known_at_lsn : int or None
        Rows written later are not seen.
    holes : Holes, optional
        When the tag was not collected.
    declarations : callable, optional
        When the tag's counter was reset or replaced.

    Notes
    -----
    Where two series hold the same time, the row with the higher lsn is the newest revision.
    """

    numbers = False  # several series are read as doubles, what is no number as null
    in_memory = False  # a gap between windows costs nothing to read

    def __init__(
        self,
        reader: SampleReader,
        tag: Tag,
        *,
        known_at_lsn: int | None = None,
        holes: Holes | None = None,
        declarations: Callable[[], Sequence[Declaration]] = tuple,
    ) -> None:
        self._reader = reader
        self.holes = holes or Holes.none()
        self.declarations = declarations
        self._known_at_lsn = known_at_lsn
        self._damage: dict[Damage, None] = {}
        self.tag = tag

    @property
    def reader(self) -> SampleReader:
        """Who holds the series."""
        return self._reader

    @property
    def known_at_lsn(self) -> int | None:
        """Rows written later are not seen."""
        return self._known_at_lsn

    def summaries(self, start_ns: int, end_ns: int) -> list[EventColumns]:
        """Summaries of intervals that begin in [start, end), per series that has some."""
        found = []
        for series_id in self.tag.series:
            part = self._reader.summaries(
                series_id, start_ns, end_ns, known_at_lsn=self._known_at_lsn
            )
            if part is not None:
                self.note(part.damage)
                found.append(part)
        return found

    def summary_extent(self) -> tuple[int, int] | None:
        """Times between which all summaries of the tag begin, both included; None for none."""
        found = [self._reader.summary_extent(series_id) for series_id in self.tag.series]
        held = [extent for extent in found if extent is not None]
        return (min(e[0] for e in held), max(e[1] for e in held)) if held else None

    def annotations(self) -> Int64Array:
        """Times of the tag's annotations, ascending."""
        return self._reader.annotations(self.tag.series, known_at_lsn=self._known_at_lsn)

    def edited(self, start_ns: Int64Array, end_ns: Int64Array) -> BoolArray:
        """Whether people changed samples in windows [start, end), of any order; shape (n,)."""
        starts, ends = self._reader.edits(self.tag.series, known_at_lsn=self._known_at_lsn)
        begun = np.searchsorted(np.sort(starts), end_ns, side="left")
        over = np.searchsorted(np.sort(ends), start_ns, side="right")
        return np.asarray(begun > over)

    def note(self, damage: Iterable[Damage]) -> None:
        """Remember what a read had to leave out."""
        self._damage.update(dict.fromkeys(damage))

    @property
    def damage(self) -> tuple[Damage, ...]:
        """What the reads so far had to leave out."""
        return tuple(self._damage)

    def _noted(self, columns: SampleColumns) -> SampleColumns:
        self.note(columns.damage)
        return columns

    def read(
        self,
        start_ns: int,
        end_ns: int,
        *,
        max_count: int | None = None,
        backward: bool = False,
        all_revisions: bool = False,
        numeric: bool = False,
    ) -> tuple[SampleColumns, bool]:
        """Samples with start <= time < end, and whether these are all of them.

        ``numeric`` as in :func:`join_values`. With ``max_count`` an incomplete answer holds
        exactly that many rows.
        """
        check_work()
        size = max_count
        while True:
            parts = [
                self._noted(
                    self._reader.read(
                        series_id,
                        start_ns,
                        end_ns,
                        all_revisions=all_revisions,
                        known_at_lsn=self._known_at_lsn,
                        max_count=size,
                        backward=backward,
                        distinct=True,
                    )
                )
                for series_id in self.tag.series
            ]
            if self.numbers and len(parts) > 1:
                parts = [replace(part, value=as_doubles(part.value)) for part in parts]
            filled = [part for part in parts if len(part)]
            cut = [int(p.timestamp_ns[-1]) for p in filled if size is not None and len(p) >= size]
            if len(filled) < 2:
                return (filled[0] if filled else _empty(self.tag.type)), not cut
            order = _merge_order(filled, backward=backward, all_revisions=all_revisions)
            if cut:
                # Where a part was cut, others go on alone: believe only what lies before.
                times = np.concatenate([part.timestamp_ns for part in filled])[order]
                order = order[times > max(cut)] if backward else order[times < min(cut)]
            if max_count is None or size is None or not cut or len(order) >= max_count:
                return join_columns(filled, order[:max_count], numeric=numeric), not cut and (
                    max_count is None or len(order) <= max_count
                )
            size *= 2

    def signal(
        self,
        start_ns: int,
        end_ns: int,
        *,
        max_count: int | None = None,
        backward: bool = False,
    ) -> tuple[Signal, bool]:
        """As :meth:`read` of the newest revisions, ready for the kernels."""
        numeric = self.tag.type in NUMERIC
        if not backward and (max_count is None or max_count >= _MANY_ROWS):
            decoded = self.decoded(start_ns, end_ns, max_count)
            if decoded is not None:
                return decoded, True
        columns, complete = self.read(
            start_ns, end_ns, max_count=max_count, backward=backward, numeric=numeric
        )
        return as_signal(columns, numeric=numeric), complete

    def decoded(self, start_ns: int, end_ns: int, rows_max: int | None) -> Signal | None:
        """Samples with start <= time < end, all of them, decoded straight into arrays.

        None where there may be more than ``rows_max``, nothing read for that, or no such way.
        """
        if len(self.tag.series) != 1 or self.tag.type not in NUMERIC:
            return None
        check_work()
        found = self._reader.read_arrays(
            self.tag.series[0],
            start_ns,
            end_ns,
            _ALL_ROWS if rows_max is None else rows_max,
            known_at_lsn=self._known_at_lsn,
        )
        if found is None:
            return None
        self.note(found.damage)
        count = len(found.timestamp_ns)
        columns = SampleColumns(
            found.timestamp_ns,
            np.zeros(count, np.uint32) if found.quality is None else found.quality,
            ColumnData(self.tag.type, found.value, found.valid),
            np.zeros(count, np.uint64),
        )
        return as_signal(columns, numeric=True)

    def previous(self, time_ns: int, *, inclusive: bool = False) -> SampleColumns:
        """Find the last sample before ``time_ns`` (at or before, if inclusive): 0 or 1 row."""
        if self._known_at_lsn is not None or len(self.tag.series) != 1:
            end_ns = time_ns + 1 if inclusive else time_ns
            return self.read(TIME_MIN_NS, end_ns, max_count=1, backward=True)[0]
        return self._noted(self._reader.previous(self.tag.series[0], time_ns, inclusive=inclusive))

    def next(self, time_ns: int, *, inclusive: bool = False) -> SampleColumns:
        """Find the first sample after ``time_ns`` (at or after, if inclusive): 0 or 1 row."""
        if self._known_at_lsn is not None or len(self.tag.series) != 1:
            start_ns = time_ns if inclusive else time_ns + 1
            return self.read(start_ns, TIME_MAX_NS, max_count=1)[0]
        return self._noted(self._reader.next(self.tag.series[0], time_ns, inclusive=inclusive))

    def extent(self) -> tuple[int, int] | None:
        """Times of the oldest and the newest sample; None when there is none."""
        first = self.next(TIME_MIN_NS, inclusive=True)
        last = self.previous(TIME_MAX_NS)
        if len(first) == 0 or len(last) == 0:
            return None
        return int(first.timestamp_ns[0]), int(last.timestamp_ns[0])


def as_signal(columns: SampleColumns, *, numeric: bool) -> Signal:
    """Severities and numbers of samples.

    Parameters
    ----------
    columns : SampleColumns
        Strictly ascending or descending in time.
    numeric : bool
        The tag is numeric: what is no number counts as bad.
    """
    value = columns.value
    code = columns.quality
    level = severity(code)
    valid = value.valid
    if value.type in NUMERIC:
        number = value.value.astype(np.float64)
        if value.type in _FLOATS:
            missing = np.isnan(number)
            valid = ~missing if valid is None else valid & ~missing
        if valid is not None:
            number[~valid] = 0.0
    else:
        number = np.zeros(len(columns))
        if numeric:
            valid = np.zeros(len(columns), dtype=np.bool_)
    if valid is not None:
        code = np.where(valid | (level == 2), code, np.uint32(BAD)).astype(np.uint32)
        level = np.where(valid, level, np.uint8(2))
    native = value.value if value.type in NUMERIC or not numeric else number
    type_ = value.type if value.type in NUMERIC or not numeric else ValueType.FLOAT64
    return Signal(columns.timestamp_ns, level, code, number, native, type_)


def join_signals(parts: Sequence[Signal]) -> Signal:
    """Signals one behind the other; times must go on ascending."""
    filled = [part for part in parts if len(part)] or [parts[0]]
    types = {part.type for part in filled}
    same = len(types) == 1
    gap: BoolArray | None = None
    if any(part.gap is not None for part in filled):
        none = [np.zeros(len(part), np.bool_) if part.gap is None else part.gap for part in filled]
        gap = np.concatenate(none)
    return Signal(
        np.concatenate([part.timestamp_ns for part in filled]),
        np.concatenate([part.severity for part in filled]),
        np.concatenate([part.code for part in filled]),
        np.concatenate([part.number for part in filled]),
        np.concatenate([part.native if same else part.number for part in filled]),
        types.pop() if same else ValueType.FLOAT64,
        gap,
    )


def _merge_order(
    parts: Sequence[SampleColumns], *, backward: bool, all_revisions: bool
) -> Int64Array:
    times = np.concatenate([part.timestamp_ns for part in parts])
    lsn = np.concatenate([part.lsn for part in parts])
    # Rows that share time and lsn keep the order in which their series gave them.
    place = np.concatenate([np.arange(len(part))[:: -1 if backward else 1] for part in parts])
    series = np.concatenate([np.full(len(part), i) for i, part in enumerate(parts)])
    order: Int64Array = np.lexsort((place, series, lsn, times)).astype(np.int64)
    if not all_revisions:
        ordered = times[order]
        newest = np.append(ordered[1:] != ordered[:-1], True)
        order = order[newest]
    return order[::-1] if backward else order


def _empty(type_: ValueType) -> SampleColumns:
    return SampleColumns(
        np.empty(0, dtype=np.int64),
        np.empty(0, dtype=np.uint32),
        ColumnData(type_, np.empty(0, dtype=DTYPES[type_])),
        np.empty(0, dtype=np.uint64),
    )
