"""Values and times as text: exact there and back, and refusals that say what was wrong."""

from zoneinfo import ZoneInfo

import numpy as np
import pytest

from historian.errors import RequestInvalid
from historian.transfer.arrow_files import ArrowWriter, read_arrow
from historian.transfer.csv_files import CsvWriter, read_csv
from historian.transfer.mapping import Mapping, parse_mapping
from historian.transfer.testing import trap_values
from historian.transfer.texts import column_of, texts_of
from historian.transfer.times import TimeForm, parse_times
from storage_engine.columns import bits_of
from storage_engine.sample import ColumnData, SampleBatch, ValueType

BYTES = np.array([b"", b"\x00\xff", b"N", b"\\N" * 5], np.object_)


def trapped(type_):
    """Traps of a type, a null in between."""
    values = {**trap_values(), ValueType.BYTES: BYTES}
    values[ValueType.TEXT] = values[ValueType.SYMBOL]
    value = np.resize(values[type_], 40)
    return ColumnData(type_, value, np.arange(40) % 7 != 3)


def same(a, b):
    """Whether two columns are equal by their bits where they have values."""
    valid = [np.ones(len(c), bool) if c.valid is None else c.valid for c in (a, b)]
    if a.type is not b.type or (valid[0] != valid[1]).any():
        return False
    return bool((bits_of(a.value)[valid[0]] == bits_of(b.value)[valid[0]]).all())


@pytest.mark.parametrize("type_", ValueType)
def test_values_as_text_are_exact(type_):
    """Bits of NaNs, -0.0, ends of ranges, empty texts beside nulls, bytes."""
    column = trapped(type_)

    back, bad = column_of(type_, texts_of(column))

    assert bad == {}
    assert same(column, back)


@pytest.mark.parametrize("type_", ValueType)
@pytest.mark.parametrize("layout", ["csv", "parquet", "arrow"])
def test_files_are_exact(tmp_path, type_, layout):
    """Also types that no tag has, but columns of events may have."""
    column = trapped(type_)
    path = tmp_path / f"piece.{layout}"
    times = np.array([-(2**63) + 1, 2**63 - 2] * 20, np.int64)
    quality = np.array([0, 2**32 - 1] * 20, np.uint32)
    names = ('a,"b"\n', "ü")
    index = np.array([0, 1] * 20, np.int32)
    writer = CsvWriter(path) if layout == "csv" else ArrowWriter(path, parquet=layout == "parquet")
    writer.write_samples(SampleBatch(names, index, times, quality, column))
    writer.close()

    chunks = list(read_csv(path) if layout == "csv" else read_arrow(path))

    (chunk,) = chunks
    assert (chunk.consumed, chunk.rejects) == (40, [])
    found = chunk.columns
    if layout == "csv":
        assert found["tag"] == list(names) * 20
        assert found["timestamp"] == list(map(str, times.tolist()))
        assert found["quality"] == list(map(str, quality.tolist()))
        value, bad = column_of(type_, found["value"])
        assert bad == {}
    else:
        assert found["tag"].value.tolist() == list(names) * 20
        assert found["timestamp"].value.tolist() == times.tolist()
        assert found["quality"].value.tolist() == quality.tolist()
        value = found["value"]
        if type_ is ValueType.TEXT:
            value = ColumnData(type_, value.value, value.valid)
    assert same(column, value)
    skipped = list(read_csv(path, skip=39) if layout == "csv" else read_arrow(path, skip=39))
    assert [c.consumed for c in skipped] == [1]


@pytest.mark.parametrize(
    ("type_", "text", "why"),
    [
        (ValueType.FLOAT64, "1_0", "want a number"),
        (ValueType.FLOAT64, "１", "want a number"),
        (ValueType.FLOAT64, "nan:3ff0000000000000", "bits of a NaN"),
        (ValueType.FLOAT64, "nan:17ff8000000000000", "64 bits"),
        (ValueType.FLOAT32, "1e39", "fits 32 bits"),
        (ValueType.INT64, "9223372036854775808", "9223372036854775807"),
        (ValueType.INT64, "1.0", "whole number"),
        (ValueType.UINT64, "-1", "want 0 to"),
        (ValueType.BOOL, "yes", "true or false"),
        (ValueType.BYTES, "a", "base64"),
        (ValueType.SYMBOL, "\\x", "escape"),
        (ValueType.SYMBOL, "\udcff", "no UTF-8"),
    ],
)
def test_texts_that_are_no_values_are_refused_alone(type_, text, why):
    """The row beside it comes in."""
    good = {ValueType.BOOL: "true", ValueType.BYTES: "AA=="}.get(type_, "1")

    column, bad = column_of(type_, [good, text, good])

    assert list(bad) == [1]
    assert why in bad[1]
    assert column.valid.tolist() == [True, False, True]


MINUTE = 60 * 10**9
NOON = 1_767_268_800_000_000_000  # 2026-01-01T12:00:00Z


@pytest.mark.parametrize(
    ("text", "form", "time"),
    [
        (str(NOON), TimeForm(), NOON),
        ("-5", TimeForm(), -5),
        ("1767268800.000000001", TimeForm(unit="s"), NOON + 1),
        ("1767268800000.5", TimeForm(unit="ms"), NOON + 500_000),
        ("2026-01-01T12:00:00.123456789Z", TimeForm(), NOON + 123_456_789),
        ("2026-01-01 13:00:00,5+01:00", TimeForm(), NOON + 500_000_000),
        ("2026-01-01T12:00Z", TimeForm(unit="s"), NOON),
        ("2026-01-01 13:00:00", TimeForm(zone=ZoneInfo("Europe/Berlin")), NOON),
        ("01.01.2026 13:00", TimeForm(zone=ZoneInfo("Europe/Berlin"), pattern="%d.%m.%Y %H:%M"),
         NOON),
        # Clocks go back at 3:00: of two the earlier.
        ("2026-10-25 02:30:00", TimeForm(zone=ZoneInfo("Europe/Berlin")),
         1_792_888_200_000_000_000),
        ("2261-12-31T23:59:59.999999999Z", TimeForm(), 9_214_646_399_999_999_999),
    ],
)  # fmt: skip
def test_times(text, form, time):
    """One alone, and among plain ones."""
    assert parse_times([text], form)[0].tolist() == [time]
    assert parse_times([text, "x"], form)[0][0] == time
    assert parse_times([text] * 3, form)[1] == {}


@pytest.mark.parametrize(
    ("text", "form", "why"),
    [
        ("", TimeForm(), "ISO 8601 or a number"),
        ("nan", TimeForm(), "fits 64 bits"),
        ("1e30", TimeForm(), "fits 64 bits"),
        ("2026-01-01 12:00:00", TimeForm(), "without a zone"),
        ("2026-13-01T12:00:00Z", TimeForm(), "month"),
        ("2026-02-29T12:00:00Z", TimeForm(), "day"),
        ("2300-01-01T12:00:00Z", TimeForm(), "fits 64 bits"),
        ("1600-01-01T12:00:00Z", TimeForm(), "fits 64 bits"),
        ("2026-03-29 02:30:00", TimeForm(zone=ZoneInfo("Europe/Berlin")), "summer time"),
        ("13:00", TimeForm(pattern="%d.%m.%Y"), "'%d.%m.%Y'"),
    ],
)
def test_times_that_are_none_are_refused_alone(text, form, why):
    """By row and with the reason."""
    good = "01.01.1970" if form.pattern else "1970-01-01T00:00:00Z"
    times, bad = parse_times([good, text], TimeForm(form.unit, form.zone, form.pattern))

    assert why in bad[1]
    assert form.pattern or (list(bad) == [1] and times[0] == 0)


def test_an_offset_wins_over_the_zone():
    """A file may hold both."""
    zone = ZoneInfo("America/New_York")

    times, bad = parse_times(["2026-01-01T12:00:00Z", "2026-01-01 07:00:00"], TimeForm(zone=zone))

    assert (times.tolist(), bad) == ([NOON, NOON], {})


def test_mappings_are_read():
    """As the command line gives them."""
    found = parse_mapping(
        ["layout=wide", "timestamp=Zeit", "zone=Europe/Berlin", "unit=ms", "delimiter=tab",
         "decimal=,", "null=n/a", "null=-", "column:T1=oven/t1", "type:oven/t1=float32",
         "type=int64", "header=no", "null_quality=0x80000000", "prefix=p/"]
    )  # fmt: skip

    assert (found.layout, found.timestamp, found.delimiter, found.decimal) == (
        "wide", "Zeit", "\t", ",",
    )  # fmt: skip
    assert found.time == TimeForm("ms", ZoneInfo("Europe/Berlin"))
    assert found.nulls == {"n/a", "-"}
    assert found.columns == {"T1": "oven/t1"}
    assert found.types == {"oven/t1": ValueType.FLOAT32}
    assert (found.type, found.header, found.null_quality) == (ValueType.INT64, False, 0x80000000)
    assert parse_mapping([]) == Mapping()


@pytest.mark.parametrize(
    "option",
    ["x", "unit=h", "zone=Nowhere/Land", "layout=high", "type=int", "column:=a", "speed=1",
     "delimiter=;;", "header=maybe", "null_quality=-1", "zone=../../etc/passwd"],
)  # fmt: skip
def test_mappings_that_do_not_hold_are_refused(option):
    """By the option."""
    with pytest.raises(RequestInvalid, match="cannot use mapping"):
        parse_mapping([option])


def test_csv_lines_are_counted_through_records_of_several_lines(tmp_path):
    """A reject must be found again in the file."""
    path = tmp_path / "odd.csv"
    path.write_text('a,b\n1,"x\ny"\n\n2,3,4\n5,6\n7,"8"9\n10,11\n')

    (chunk,) = read_csv(path)

    assert chunk.columns == {"a": ["1", "5", "10"], "b": ["x\ny", "6", "11"]}
    assert [r.reason.partition(":")[0] for r in chunk.rejects] == [
        "got 3 fields, want 2",
        "no CSV",
    ]
    assert chunk.consumed == 6
    assert chunk.rejects[0].line == 5
    assert next(iter(chunk.lines)) == 2
    for skip in range(7):
        left = list(read_csv(path, skip=skip))
        assert sum(c.consumed for c in left) == 6 - skip
        lines = [line for c in left for line in [*c.lines, *(r.line for r in c.rejects)]]
        every = [*chunk.lines, *(r.line for r in chunk.rejects)]
        firsts = [2, 4, 5, 6, 7, 8, 99]
        assert sorted(lines) == sorted(line for line in every if line >= firsts[skip])
