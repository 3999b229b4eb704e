"""Digests of rows: against the document written out as loops, and every difference that counts."""

import hashlib
import struct

import numpy as np
import pytest

from storage_engine.digest import (
    StreamDigest,
    events_schema,
    join_years,
    series_schema,
    year_of,
    year_start_ns,
)
from storage_engine.errors import InvalidArgument
from storage_engine.sample import EVENT_ID_DTYPE, Column, ColumnData, ValueType
from storage_engine.testing import column_of

YEAR_2020 = 1_577_836_800_000_000_000
NS = 1_000_000_000
VALUES = {
    ValueType.FLOAT64: ["<d", [1.5, -0.0, float("inf"), None]],
    ValueType.FLOAT32: ["<f", [1.5, -0.0, float("-inf"), None]],
    ValueType.INT64: ["<q", [-(2**63), 2**63 - 1, 0, None]],
    ValueType.UINT64: ["<Q", [2**64 - 1, 2**53 + 1, 0, None]],
    ValueType.BOOL: ["<?", [True, False, True, None]],
    ValueType.SYMBOL: [None, ["run", "", "ü,\n", None]],
    ValueType.TEXT: [None, ["\ud800", "a\0b", "x" * 300, None]],
    ValueType.BYTES: [None, [b"\xff\x00", b"", b"abc", None]],
}


def plain_value(form, value):
    """Bytes of one value, as docs/transfer.md says."""
    if form is not None:
        return struct.pack("<B", value is not None) + struct.pack(
            form, 0 if value is None else value
        )
    raw = value if isinstance(value, bytes) else (value or "").encode("utf-8", "surrogatepass")
    return struct.pack("<BI", value is not None, len(raw)) + raw


def plain_total(schema, years):
    """Digest of the whole from {year: [row bytes]}."""
    total = hashlib.blake2b(schema, digest_size=32)
    for year, rows in sorted(years.items()):
        part = hashlib.blake2b(schema + b"".join(rows), digest_size=32).digest()
        total.update(struct.pack("<iQ", year, len(rows)) + part)
    return total.hexdigest()


@pytest.mark.parametrize("type_", ValueType)
def test_a_series_is_digested_as_the_document_says(type_):
    """Rows over two years, fed in uneven pieces."""
    form, values = VALUES[type_]
    times = np.array([YEAR_2020 - 1, YEAR_2020, YEAR_2020 + 5, YEAR_2020 + 9], np.int64)
    quality = np.array([0, 2**31, 2**32 - 1, 7], np.uint32)
    digest = StreamDigest.of_series(type_)

    for part in (slice(0, 3), slice(3, 4)):
        digest.add_samples(times[part], quality[part], column_of(type_, values[part]))
    found = digest.finish()

    rows = [
        struct.pack("<qI", t, q) + plain_value(form, v)
        for t, q, v in zip(times.tolist(), quality.tolist(), values, strict=True)
    ]
    want = plain_total(b"LHD1S" + bytes([type_]), {2019: rows[:1], 2020: rows[1:]})
    assert (found.rows, found.first_ns, found.last_ns) == (4, YEAR_2020 - 1, YEAR_2020 + 9)
    assert [(y, p.rows) for y, p in found.years.items()] == [(2019, 1), (2020, 3)]
    assert found.digest == want


def test_events_are_digested_as_the_document_says():
    """Columns in order of name, whatever order they come in; numbers beside strings."""
    columns = [Column("unit", ValueType.TEXT), Column("low", ValueType.FLOAT64)]
    times = np.array([5, 6], np.int64)
    ids = np.array([b"\0" * 16, b"\x01" * 16], EVENT_ID_DTYPE)
    data = {
        "unit": column_of(ValueType.TEXT, ["SN1", None]),
        "low": column_of(ValueType.FLOAT64, [None, 2.5]),
    }
    digest = StreamDigest.of_events(columns)

    digest.add_events(times, ids, data)

    schema = b"LHD1E" + struct.pack("<H", 2)
    schema += struct.pack("<H", 3) + b"low" + bytes([ValueType.FLOAT64])
    schema += struct.pack("<H", 4) + b"unit" + bytes([ValueType.TEXT])
    rows = [
        struct.pack("<q", t) + bytes(i) + plain_value("<d", low) + plain_value(None, unit)
        for t, i, low, unit in zip([5, 6], ids, [None, 2.5], ["SN1", None], strict=True)
    ]
    assert events_schema(columns[::-1]) == schema
    assert digest.finish().digest == plain_total(schema, {1970: rows})


def test_events_of_numbers_only():
    """The short way gives the same bytes as the long one."""
    columns = [Column("a", ValueType.INT64)]
    ids = np.array([b"\x02" * 16], EVENT_ID_DTYPE)
    digest = StreamDigest.of_events(columns)

    digest.add_events(np.array([9], np.int64), ids, {"a": column_of(ValueType.INT64, [-1])})

    row = struct.pack("<q", 9) + b"\x02" * 16 + struct.pack("<Bq", 1, -1)
    assert digest.finish().digest == plain_total(events_schema(columns), {1970: [row]})


def nan(bits):
    """A NaN of these bits."""
    return np.array([bits], np.uint64).view(np.float64)


def digest_of(time=5, quality=0, value=None, valid=None, type_=ValueType.FLOAT64):
    """Digest of one row."""
    values = np.array([1.0]) if value is None else value
    digest = StreamDigest.of_series(type_)
    digest.add_samples(
        np.array([time], np.int64),
        np.array([quality], np.uint32),
        ColumnData(type_, values, None if valid is None else np.array([valid])),
    )
    return digest.finish().digest


def test_every_difference_counts_and_nothing_else():
    """Time, quality, null, zero's sign, a NaN's payload, type; not what lies under a null."""
    different = [
        digest_of(),
        digest_of(time=6),
        digest_of(quality=1),
        digest_of(value=np.array([0.0])),
        digest_of(value=np.array([-0.0])),
        digest_of(value=nan(0x7FF8000000000000)),
        digest_of(value=nan(0x7FF8000000000001)),
        digest_of(value=nan(0x7FF0000000000001)),
        digest_of(valid=False),
        digest_of(value=np.array([1]), type_=ValueType.INT64),
        digest_of(value=np.array([1], np.uint64), type_=ValueType.UINT64),
        StreamDigest.of_series(ValueType.FLOAT64).finish().digest,
        StreamDigest.of_series(ValueType.INT64).finish().digest,
    ]

    assert len(set(different)) == len(different)
    assert digest_of(valid=True) == digest_of()
    assert digest_of(valid=False, value=nan(0x7FF8000000000009)) == digest_of(valid=False)


def test_years_join_to_the_whole():
    """Work cut short goes on at a year."""
    times = np.arange(10, dtype=np.int64) * 100 * 86_400 * NS
    whole, early, late = (StreamDigest.of_series(ValueType.INT64) for _ in range(3))
    column = ColumnData(ValueType.INT64, np.arange(10))
    zero = np.zeros(10, np.uint32)
    cut = int(np.searchsorted(times, year_start_ns(1972)))
    whole.add_samples(times, zero, column)
    early.add_samples(times[:cut], zero[:cut], ColumnData(ValueType.INT64, np.arange(cut)))
    late.add_samples(times[cut:], zero[cut:], ColumnData(ValueType.INT64, np.arange(cut, 10)))

    joined = join_years(series_schema(ValueType.INT64), late.years() | early.years())

    assert joined == whole.finish()
    assert list(joined.years) == [1970, 1971, 1972]


def test_years_of_the_whole_range():
    """64 bits of nanoseconds end within 1677 and 2262."""
    ends = [-(2**63) + 1, -1, 0, YEAR_2020 - 1, YEAR_2020, 2**63 - 1]

    assert [year_of(t) for t in ends] == [1677, 1969, 1970, 2019, 2020, 2262]
    assert year_start_ns(2020) == YEAR_2020
    assert year_start_ns(1600) == -(2**63)
    assert year_start_ns(2263) == 2**63 - 1


def test_times_that_fall_are_refused():
    """A digest of unordered rows would be nobody's."""
    digest = StreamDigest.of_series(ValueType.INT64)
    times = np.array([YEAR_2020, 0], np.int64)

    with pytest.raises(InvalidArgument, match="ascending"):
        digest.add_samples(times, np.zeros(2, np.uint32), column_of(ValueType.INT64, [1, 2]))
