"""Definitions by CSV: what is exported is read without loss, and a file changes all or nothing."""

import re
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from historian.catalog import Catalog
from historian.catalog_csv import COLUMNS, field_of, read_rows, tags_csv
from historian.catalog_csv_import import ImportReport, import_tags
from historian.catalog_records import SeriesRecord, TagDraft, TagRecord
from historian.catalog_rules import TagRules
from historian.errors import Conflict, RequestInvalid
from historian.ingest_testing import SetClock
from storage_engine.sample import ValueType

F = ValueType.FLOAT64
TEXT = st.text(alphabet=st.sampled_from("aé'=+-@\t\r\n;,\" \x00漢"), max_size=12)
LENGTH = st.none() | st.integers(1, 2**63 - 1)
NUMBER = st.none() | st.floats(allow_nan=False, allow_infinity=False)


def open_catalog(path: Path, tags_max: int = 200_000) -> Catalog:
    made = iter(range(10_000_000))

    def create(wanted: Any) -> list[int]:
        return [next(made) for _ in wanted]

    return Catalog.open(path / "c", create, SetClock(1), TagRules([]), tags_max=tags_max)


def exported(catalog: Catalog) -> bytes:
    return b"".join(tags_csv(catalog.tags(limit=1_000_000)))


def statuses(report: ImportReport) -> list[str]:
    return [row.status for row in report.rows]


@given(
    texts=st.tuples(*[TEXT] * 7),
    stepped=st.booleans(),
    lengths=st.tuples(LENGTH, LENGTH),
    numbers=st.tuples(NUMBER, NUMBER, NUMBER),
    uid=st.binary(min_size=16, max_size=16),
)
def test_every_cell_is_read_as_it_was_written(
    texts: Any, stepped: bool, lengths: Any, numbers: Any, uid: bytes
) -> None:
    """Quotes, line breaks, separators, formulas, digits of doubles, whatever the texts."""
    name, description, eng_unit, source, address, asset, state_set = texts
    series = (SeriesRecord(1, uid, ValueType.INT64),)
    tag = TagRecord(
        1, uid, f"n{name}", description, eng_unit, stepped, source, address, asset, state_set,
        "declared", 1, series, *lengths, *numbers,
    )  # fmt: skip
    (row,) = read_rows(b"".join(tags_csv([tag])))
    fields = dict(field_of(column, row.cells[column]) for column in COLUMNS)
    assert uuid.UUID(bytes=uid) == uuid.UUID(fields.pop("uuid"))
    assert fields == {**tag.facts(), "type": ValueType.INT64}


def test_no_cell_is_a_formula() -> None:
    """A spreadsheet must show what somebody named a tag, not run it."""
    tag = TagRecord(
        1, b"x" * 16, "=1+1", "@x", "+", True, "-", "", "", "", "", 1, (SeriesRecord(1, b"", F),)
    )
    lines = b"".join(tags_csv([tag])).decode().split("\r\n")
    assert not [cell for cell in lines[1].split(",") if cell[:1] in {"=", "+", "-", "@"} and cell]


def test_an_export_changes_nothing(tmp_path: Path) -> None:
    """And is the same again after it was imported; no audit tells of it."""
    catalog = open_catalog(tmp_path)
    catalog.declare_tags(
        [
            TagDraft("a", F, "plc", "x", False, "°C", 'says "a";\r\nb', "hall", hold_max_ns=1),
            TagDraft("b", ValueType.SYMBOL, stale_after_ns=90 * 10**9),
            TagDraft("c", ValueType.INT64, limit_low=-0.1, limit_high=1e300, counter_modulus=2.0),
        ],
        "ann",
    )
    before, audit = exported(catalog), catalog.database.audit()
    for data in (before, b"\xef\xbb\xbf" + before):
        report = import_tags(catalog, data, "bob")
        assert (True, ["unchanged"] * 3) == (report.applied, statuses(report))
    assert before == exported(catalog)
    assert audit == catalog.database.audit()


def test_a_file_creates_renames_and_edits_and_a_dry_run_only_says_so(tmp_path: Path) -> None:
    """Names may change places by uuid; columns that are not there stay as they are."""
    catalog = open_catalog(tmp_path)
    a, b = catalog.declare_tags([TagDraft("a", F, eng_unit="bar"), TagDraft("b", F)], "ann")
    ids = [uuid.UUID(bytes=tag.uuid) for tag in (a, b)]
    file = (
        f"uuid;Name;hold_max;limit_low\n{ids[0]};b;15m;-4.5\n{ids[1].hex};a;;\n\n;new;;\n;;;\n"
    ).encode()

    dry = import_tags(catalog, file, "bob", dry_run=True)
    assert (False, ["changed", "changed", "created"]) == (dry.applied, statuses(dry))
    assert {
        "name": ("a", "b"),
        "hold_max_ns": (None, 900 * 10**9),
        "limit_low": (None, -4.5),
    } == dry.rows[0].differences()
    assert [2, 3, 5] == [row.line for row in dry.rows]
    assert (a, b, None) == tuple(map(catalog.find, ("a", "b", "new")))

    assert import_tags(catalog, file, "bob").applied
    found = catalog.find("b")
    assert found is not None
    assert (a.uuid, "bar", -4.5) == (found.uuid, found.eng_unit, found.limit_low)
    assert F is catalog.resolve("new").type
    assert "bob" == catalog.database.audit()[0].principal
    assert ["unchanged"] * 3 == statuses(import_tags(catalog, file, "bob"))


HEAD = "uuid,name,type,source,address,hold_max,limit_low,limit_high,stepped\n"


@pytest.mark.parametrize(
    ("row", "column", "got"),
    [
        (",a,int64,,,,,,", "type", "int64"),
        (",a,real,,,,,,", "type", "real"),
        (",a,,plc,,,,,", "source", "plc"),
        (",n,,,,soon,,,", "hold_max", "soon"),
        (',n,,,,,"1,5",,', "limit_low", "1,5"),
        (",n,,,,,nan,,", "limit_low", "nan"),
        (",n,,,,,5,4,", "limit_low", "5.0"),
        (",a,,,,,5,4,", "limit_low", "5.0"),
        (",n,symbol,,,,5,,", "limit_low", "5.0 for type symbol"),
        (",n,,,,,,,yes", "stepped", "yes"),
        (",n,,plc,x,,,,", "address", "x"),
        (",old,,,,,,,", "name", "old"),
        (", n,,,,,,,", "name", " n"),
        ("00000000-0000-0000-0000-000000000001,n,,,,,,,", "uuid", None),
        ("x,n,,,,,,,", "uuid", "x"),
        (",n,,", "", "4 cells"),
        (",b,,,,,,,", "name", "b"),
    ],
)
def test_a_refused_row_names_its_line_and_column(
    tmp_path: Path, row: str, column: str, got: str | None
) -> None:
    """And nothing of the file is entered, unless the rest is wanted."""
    catalog = open_catalog(tmp_path)
    catalog.declare_tags([TagDraft("a", F), TagDraft("b", F), TagDraft("c", F, "plc", "x")], "ann")
    catalog.declare_tag(TagDraft("old", F), "ann")
    catalog.edit_tag("old", {"name": "renamed"}, "ann")
    file = f"{HEAD},good,,,,,,,\n{row}\n,b,,,,1s,,,\n"
    if row.startswith(",b"):
        file = f"{HEAD},good,,,,,,,\n,b,,,,1s,,,\n{row}\n"
    before = exported(catalog)

    report = import_tags(catalog, file.encode(), "bob")
    assert before == exported(catalog)
    (bad,) = [one for one in report.rows if one.refusal is not None]
    assert bad.refusal is not None
    assert (False, column) == (report.applied, bad.refusal.column)
    assert got is None or got == bad.refusal.got
    assert bad.refusal.want

    report = import_tags(catalog, file.encode(), "bob", proceed=True)
    assert (True, {"created": 1, "changed": 1, "refused": 1}) == (report.applied, report.counts)
    assert catalog.find("good") is not None
    assert 10**9 == catalog.resolve("b").hold_max_ns


def test_a_refused_rename_keeps_its_name_from_the_rows_behind_it(tmp_path: Path) -> None:
    """A chain of renames falls as far as it must, and no further."""
    catalog = open_catalog(tmp_path)
    made = catalog.declare_tags([TagDraft(n, F) for n in "abcdz"], "ann")
    ids = {tag.name: uuid.UUID(bytes=tag.uuid) for tag in made}
    moves = [("a", "b"), ("b", "c"), ("c", "z"), ("d", "e")]
    file = "uuid,name\n" + "".join(f"{ids[x]},{y}\n" for x, y in moves) + ",a\n,f\n"

    report = import_tags(catalog, file.encode(), "bob", proceed=True)

    wanted = ["refused", "refused", "refused", "changed", "refused", "created"]
    assert wanted == statuses(report)
    assert "abcefz" == "".join(sorted(tag.name for tag in catalog.every()))


def test_a_former_name_is_taken_only_when_said_or_freed_in_the_file(tmp_path: Path) -> None:
    """An old list without uuids must not make twins of renamed tags."""
    catalog = open_catalog(tmp_path)
    tag = catalog.declare_tag(TagDraft("a", F), "ann")
    swap = f"uuid,name\n{uuid.UUID(bytes=tag.uuid)},b\n,a\n".encode()
    assert import_tags(catalog, swap, "bob").applied
    catalog.edit_tag("a", {"name": "c"}, "ann")
    assert ["refused"] == statuses(import_tags(catalog, b"name\na\n", "bob"))
    assert import_tags(catalog, b"name\na\n", "bob", take_names=True).applied


@pytest.mark.parametrize(
    ("data", "where"),
    [
        (b"", "line 1"),
        (b"name,colour\n", "line 1"),
        (b"name,name\n", "line 1"),
        (b"type\nint64\n", "line 1"),
        (b"name\na\n\xff\n", "line 3"),
        (b'name,type\na,\n"b,\n', "line 3"),
    ],
)
def test_a_file_that_is_none_is_refused_whole(tmp_path: Path, data: bytes, where: str) -> None:
    """With the line; proceeding makes no difference."""
    with pytest.raises(RequestInvalid) as refused:
        import_tags(open_catalog(tmp_path), data, "bob", proceed=True)
    assert where == refused.value.facts["where"]


def test_more_tags_than_the_catalog_takes_are_refused_in_a_dry_run_too(tmp_path: Path) -> None:
    """The dry run must not promise what the import cannot hold."""
    catalog = open_catalog(tmp_path, tags_max=2)
    with pytest.raises(Conflict, match="tags_max"):
        import_tags(catalog, b"name\na\nb\nc\n", "bob", dry_run=True)


def test_many_rows_are_one_transaction_and_take_time_in_proportion(tmp_path: Path) -> None:
    """Ten times the rows may take forty times as long at most: nothing is searched per row."""
    spent = []
    for count in (1_000, 10_000):
        path = tmp_path / str(count)
        path.mkdir()
        catalog = open_catalog(path)
        file = "name,source,address\n" + "".join(f"t{n},plc,{n}\n" for n in range(count))
        start = time.process_time()
        assert import_tags(catalog, file.encode(), "bob").applied
        data = re.sub(rb",t(?=\d)", b",renamed/t", exported(catalog))
        report = import_tags(catalog, data, "bob")
        spent.append(time.process_time() - start)
        assert {"changed": count} == report.counts
    assert spent[1] < 40 * spent[0]
