"""Digests that prove two stores hold the same rows: docs/transfer.md in Python.

Rows come in the order of a read and are digested year by year (UTC), so that work cut short goes on
at a year, and a difference names its year.
"""

import hashlib
import itertools
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from storage_engine.columns import STRINGS, take_column
from storage_engine.errors import InvalidArgument
from storage_engine.sample import (
    DTYPES,
    AnyArray,
    Column,
    ColumnData,
    Int64Array,
    UInt32Array,
    ValueType,
)

DIGEST_BYTES = 32
_SAMPLES, _EVENTS = b"LHD1S", b"LHD1E"
_YEAR = struct.Struct("<iQ")
_COUNT = struct.Struct("<H")
_Field = tuple[str, str, AnyArray]  # name, form, values


@dataclass(frozen=True, slots=True)
class YearDigest:
    """Rows of one year (UTC): how many, the first and last time, and 64 hex digits."""

    rows: int
    first_ns: int
    last_ns: int
    digest: str


@dataclass(frozen=True, slots=True)
class Digest:
    """Rows of a stream, in total and by year. An empty stream has no first and no last time."""

    rows: int
    first_ns: int | None
    last_ns: int | None
    digest: str
    years: Mapping[int, YearDigest]


class _Year:
    """A year being digested."""

    def __init__(self, schema: bytes, first_ns: int) -> None:
        self.hash = hashlib.blake2b(schema, digest_size=DIGEST_BYTES)
        self.rows = 0
        self.first_ns = first_ns
        self.last_ns = first_ns


class StreamDigest:
    """Digest of one stream's rows, fed in time order.

    Parameters
    ----------
    schema : bytes
        From :func:`series_schema` or :func:`events_schema`.
    """

    def __init__(self, schema: bytes) -> None:
        self._schema = schema
        self._years: dict[int, _Year] = {}

    @classmethod
    def of_series(cls, value_type: ValueType) -> Self:
        """Begin a series."""
        return cls(series_schema(value_type))

    @classmethod
    def of_events(cls, columns: Sequence[Column]) -> Self:
        """Begin an event stream of these columns, in any order."""
        return cls(events_schema(columns))

    def add_samples(
        self, timestamp_ns: Int64Array, quality: UInt32Array, value: ColumnData
    ) -> None:
        """Add rows of a series.

        Parameters
        ----------
        timestamp_ns : int64, shape (n,)
            Ascending, behind what was added before.
        quality : uint32, shape (n,)
        value : ColumnData, n rows
        """
        for year, part in _by_year(timestamp_ns):
            time: _Field = ("t", "<i8", timestamp_ns[part])
            fixed = [time, ("q", "<u4", quality[part])]
            self._add(year, timestamp_ns[part], fixed, [take_column(value, part)])

    def add_events(
        self,
        timestamp_ns: Int64Array,
        event_id: npt.NDArray[np.void],
        data: Mapping[str, ColumnData],
    ) -> None:
        """Add rows of an event stream.

        Parameters
        ----------
        timestamp_ns : int64, shape (n,)
            Ascending, behind what was added before.
        event_id : V16, shape (n,)
        data : mapping of str to ColumnData, n rows
            Exactly the columns of the schema, in any order.
        """
        columns = [data[name] for name in sorted(data, key=_name_key)]
        for year, part in _by_year(timestamp_ns):
            time: _Field = ("t", "<i8", timestamp_ns[part])
            fixed = [time, ("i", "V16", event_id[part])]
            self._add(year, timestamp_ns[part], fixed, [take_column(c, part) for c in columns])

    def _add(
        self,
        year: int,
        timestamp_ns: Int64Array,
        fixed: list[_Field],
        columns: Sequence[ColumnData],
    ) -> None:
        open_year = self._years.get(year)
        if open_year is None:
            open_year = self._years[year] = _Year(self._schema, int(timestamp_ns[0]))
        open_year.hash.update(_row_bytes(fixed, columns))
        open_year.rows += len(timestamp_ns)
        open_year.last_ns = int(timestamp_ns[-1])

    def years(self) -> dict[int, YearDigest]:
        """Return what was added so far, by year."""
        return {
            year: YearDigest(part.rows, part.first_ns, part.last_ns, part.hash.hexdigest())
            for year, part in sorted(self._years.items())
        }

    def finish(self) -> Digest:
        """Return the whole."""
        return join_years(self._schema, self.years())


def join_years(schema: bytes, years: Mapping[int, YearDigest]) -> Digest:
    """Digest of a stream from those of its years.

    Parameters
    ----------
    schema : bytes
    years : mapping of year to YearDigest
        Years without rows are left out.

    Returns
    -------
    Digest
    """
    total = hashlib.blake2b(schema, digest_size=DIGEST_BYTES)
    ordered = dict(sorted(years.items()))
    for year, part in ordered.items():
        total.update(_YEAR.pack(year, part.rows))
        total.update(bytes.fromhex(part.digest))
    parts = list(ordered.values())
    return Digest(
        sum(part.rows for part in parts),
        parts[0].first_ns if parts else None,
        parts[-1].last_ns if parts else None,
        total.hexdigest(),
        ordered,
    )


def series_schema(value_type: ValueType) -> bytes:
    """Bytes that open every digest of a series."""
    return _SAMPLES + bytes([value_type])


def events_schema(columns: Sequence[Column]) -> bytes:
    """Bytes that open every digest of an event stream: names and types, in order of name."""
    parts = [_EVENTS, _COUNT.pack(len(columns))]
    for column in sorted(columns, key=lambda column: _name_key(column.name)):
        name = _name_key(column.name)
        parts += [_COUNT.pack(len(name)), name, bytes([column.type])]
    return b"".join(parts)


def year_of(time_ns: int) -> int:
    """Year (UTC) of a time."""
    return int(np.datetime64(time_ns, "ns").astype("datetime64[Y]").astype(np.int64)) + 1970


def year_start_ns(year: int) -> int:
    """First nanosecond of a year (UTC), clipped to what 64 bits hold."""
    days = int(np.datetime64(f"{year:04d}-01-01", "D").astype(np.int64))
    return min(max(days * 86_400_000_000_000, -(2**63)), 2**63 - 1)


def _name_key(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")


def _by_year(timestamp_ns: Int64Array) -> list[tuple[int, slice]]:
    """Year of each stretch of ascending times."""
    if not len(timestamp_ns):
        return []
    first, last = year_of(int(timestamp_ns[0])), year_of(int(timestamp_ns[-1]))
    if first > last:
        raise InvalidArgument("cannot digest rows: got times that fall, want ascending ones")
    bounds = [year_start_ns(year) for year in range(first + 1, last + 1)]
    cuts = [0, *np.searchsorted(timestamp_ns, np.array(bounds, np.int64)).tolist()]
    ends = [*cuts[1:], len(timestamp_ns)]
    return [
        (year, slice(begin, end))
        for year, begin, end in zip(range(first, last + 1), cuts, ends, strict=True)
        if end > begin
    ]


def _row_bytes(fixed: Sequence[_Field], columns: Sequence[ColumnData]) -> bytes:
    """Canonical bytes of rows, row by row."""
    if any(column.type in STRINGS for column in columns):
        lists = [_packed(fixed).tolist()]
        for column in columns:
            lists += _column_bytes(column)
        return b"".join(itertools.chain.from_iterable(zip(*lists, strict=True)))
    fields = list(fixed)
    for place, column in enumerate(columns):
        fields += _number_fields(column, str(place))
    return _packed(fields).tobytes()


def _packed(fields: Sequence[_Field]) -> npt.NDArray[np.void]:
    """Columns side by side without padding, one void per row."""
    dtype = np.dtype([(name, form) for name, form, _ in fields])
    rows = np.empty(len(fields[0][2]), dtype)
    for name, _, values in fields:
        rows[name] = values
    packed: npt.NDArray[np.void] = rows.view(f"V{dtype.itemsize}")
    return packed


def _valid(column: ColumnData) -> AnyArray:
    if column.valid is None:
        return np.ones(len(column), np.uint8)
    return column.valid.astype(np.uint8)


def _number_fields(column: ColumnData, name: str) -> list[_Field]:
    value: Any = column.value
    if column.valid is not None and not column.valid.all():
        value = np.where(column.valid, value, np.zeros(1, value.dtype))
    # As bits: an assignment between floats may quiet a signalling NaN.
    width = DTYPES[column.type].itemsize
    bits = np.ascontiguousarray(value, DTYPES[column.type]).view(f"u{width}")
    return [("v" + name, "u1", _valid(column)), ("x" + name, f"<u{width}", bits)]


def _column_bytes(column: ColumnData) -> list[list[bytes]]:
    """Per row the bytes of one column; strings as two lists, head and text."""
    if column.type not in STRINGS:
        return [_packed(_number_fields(column, "")).tolist()]
    texts = column.value.tolist()
    if column.valid is not None:
        texts = [t if ok else "" for t, ok in zip(texts, column.valid.tolist(), strict=True)]
    raw = [t if isinstance(t, bytes) else t.encode("utf-8", "surrogatepass") for t in texts]
    lengths = np.fromiter(map(len, raw), np.uint32, len(raw))
    head = _packed([("v", "u1", _valid(column)), ("n", "<u4", lengths)])
    return [head.tolist(), raw]
