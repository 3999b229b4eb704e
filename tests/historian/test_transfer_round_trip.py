"""Store to files to store to files: equal digests, equal bytes, in three layouts."""

import json

import pytest

from historian.clock import SystemClock
from historian.errors import Conflict, NotFound, RequestInvalid
from historian.transfer.compare import compare
from historian.transfer.document import NAME, read_document
from historian.transfer.export import JOURNAL, Export, ExportRequest
from historian.transfer.importing import Import, ImportRequest
from historian.transfer.pieces import LAYOUTS
from historian.transfer.store import Silent, store_of
from historian.transfer.testing import START_NS, fill, open_historian
from storage_engine.sample import ValueType

DAY_NS = 86_400 * 1_000_000_000


@pytest.fixture
def made(tmp_path):
    """Opens historians on folders of their names, and closes them."""
    opened = {}

    def open_one(name):
        if name not in opened:
            opened[name] = open_historian(tmp_path / name, SystemClock())
        return opened[name]

    yield open_one
    for historian in opened.values():
        historian.close()


def export(historian, folder, **options):
    """Export, and give what export.json says."""
    return Export(store_of(historian), folder, ExportRequest(**options), Silent()).run()


def import_(historian, source, work, commit_bytes=1 << 20, **options):
    """Import, and give the report."""
    return Import(
        store_of(historian),
        source,
        ImportRequest(**options),
        Silent(),
        work=work,
        commit_bytes=commit_bytes,
        principal="test",
    ).run()


def files(folder):
    """Bytes of every piece."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != NAME
    }


@pytest.mark.parametrize("layout", LAYOUTS)
def test_round_trip(made, tmp_path, layout):
    """Every type, null, NaN and text; tags with their texts; counts by year."""
    first, second = made("first"), made("second")
    fill(first)
    out = export(first, tmp_path / "out", layout=layout)

    report = import_(second, tmp_path / "out", tmp_path / "work")
    again = export(second, tmp_path / "again", layout=layout)

    assert [c for c in report.compared if not c.equal] == []
    assert sum(c.got_rows for c in report.compared) == report.taken == 7 * 500
    assert (report.rejected, report.rejects, report.tags_made) == (0, None, 7)
    assert out.tags == again.tags
    assert out.events == again.events
    assert files(tmp_path / "out") == files(tmp_path / "again")
    assert (out.start_ns, out.end_ns) == (again.start_ns, again.end_ns)
    assert not (tmp_path / "out" / JOURNAL).exists()
    tag = second.catalog.find('plant/float64, "odd" ü')
    assert (tag.eng_unit, tag.description, tag.source) == ("°C", "a,b\nc", "opc")
    assert second.catalog.find("plant/empty").type is ValueType.INT64
    assert [y for t in out.tags for s in t.series for y in s.data.years] == 6 * [
        "2019",
        "2020",
        "2021",
    ]


def test_small_pieces_and_small_commits(made, tmp_path):
    """The cuts of files and commits change nothing of what is stored."""
    first, second = made("first"), made("second")
    fill(first, rows=70_000, years=1)
    out = export(first, tmp_path / "out", rows_per_piece=1)

    report = import_(second, tmp_path / "out", tmp_path / "work", commit_bytes=500_000)

    assert [p.rows for p in out.pieces if p.samples == "bool"] == [65_536, 4_464]
    assert report.taken == 490_000
    assert all(c.equal for c in report.compared)


def test_a_series_of_another_type_stays_one(made, tmp_path):
    """A tag whose source changed its type has two series; both travel."""
    first, second = made("first"), made("second")
    fill(first, rows=20)
    text = "tag,timestamp,quality,value\nplant/empty,5,0,1.5\n"
    (tmp_path / "more.csv").write_text(text)
    from historian.transfer.mapping import parse_mapping

    import_(
        first,
        tmp_path / "more.csv",
        tmp_path / "work",
        mapping=parse_mapping(["type:plant/empty=float64"]),
    )
    export(first, tmp_path / "out")

    report = import_(second, tmp_path / "out", tmp_path / "work")

    assert all(c.equal for c in report.compared)
    types = [series.type for series in second.catalog.find("plant/empty").series]
    assert types == [ValueType.INT64, ValueType.FLOAT64]


def test_a_window_some_tags_and_a_moment(made, tmp_path):
    """Only what was asked for, as it was known then."""
    first, second = made("first"), made("second")
    fill(first, rows=300, years=1)
    lsn = first.engine.durable_lsn
    (tmp_path / "late.csv").write_text(
        f'tag,timestamp,quality,value\n"plant/int64, ""odd"" ü",{START_NS + DAY_NS},0,99\n'
    )
    import_(first, tmp_path / "late.csv", tmp_path / "work")
    window = {"start_ns": START_NS, "end_ns": START_NS + 30 * DAY_NS}

    old = export(first, tmp_path / "old", tags=("plant/int*",), known_at_lsn=lsn, **window)
    new = export(first, tmp_path / "new", tags=("plant/int*",), **window)

    assert [t.name for t in new.tags] == ['plant/int64, "odd" ü']
    assert new.events == ()
    assert new.tags[0].series[0].data.rows == old.tags[0].series[0].data.rows + 1
    report = import_(second, tmp_path / "old", tmp_path / "work")
    assert all(c.equal for c in report.compared)
    assert len(second.catalog) == 1
    with pytest.raises(NotFound, match="plant/none"):
        export(first, tmp_path / "none", tags=("plant/none",))


def test_differences_are_named_by_tag_and_year(made, tmp_path):
    """An equality that could not fail would prove nothing."""
    first, second = made("first"), made("second")
    fill(first, rows=90)
    document = export(first, tmp_path / "out")
    import_(second, tmp_path / "out", tmp_path / "work")
    (tmp_path / "more.csv").write_text(
        f'tag,timestamp,quality,value\n"plant/bool, ""odd"" ü",{START_NS + 400 * DAY_NS},0,true\n'
    )
    import_(second, tmp_path / "more.csv", tmp_path / "work")

    found = compare(store_of(second), document, Silent())
    report = import_(second, tmp_path / "out", tmp_path / "work", verify_only=True)

    assert report.compared == found
    wrong = [c for c in found if not c.equal]
    assert [(c.type, c.want_rows, c.got_rows, c.years) for c in wrong] == [
        ("bool", 90, 91, (2020,))
    ]
    assert report.taken == 0


def test_the_same_export_twice_changes_nothing(made, tmp_path):
    """Rows of an import are redeliveries."""
    first, second = made("first"), made("second")
    fill(first, rows=60)
    export(first, tmp_path / "out")
    import_(second, tmp_path / "out", tmp_path / "work")

    report = import_(second, tmp_path / "out", tmp_path / "work")

    assert report.taken == 7 * 60
    assert report.tags_made == 0
    assert all(c.equal for c in report.compared)


def test_a_dry_run_stores_nothing(made, tmp_path):
    """It reads and counts everything."""
    first, second = made("first"), made("second")
    fill(first, rows=60)
    export(first, tmp_path / "out")

    report = import_(second, tmp_path / "out", tmp_path / "work", dry_run=True)

    assert (report.read, report.taken, report.rejected) == (420, 420, 0)
    assert report.compared is None
    assert len(second.catalog) == 0
    assert second.engine.stats().segments == 0


def test_files_that_were_changed_are_refused(made, tmp_path):
    """Before a row of them is stored."""
    first, second = made("first"), made("second")
    fill(first, rows=60)
    document = export(first, tmp_path / "out")
    piece = tmp_path / "out" / document.pieces[0].path
    data = bytearray(piece.read_bytes())
    data[-3] ^= 1
    piece.write_bytes(data)

    with pytest.raises(RequestInvalid, match="other bytes"):
        import_(second, tmp_path / "out", tmp_path / "work")

    piece.write_bytes(data[:-1])
    with pytest.raises(RequestInvalid, match="no whole file"):
        import_(second, tmp_path / "out", tmp_path / "work")


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": "lighthouse-historian-export", "version": 9}']
)
def test_an_unreadable_document_is_refused(tmp_path, text):
    """It names the file."""
    (tmp_path / NAME).write_text(text)

    with pytest.raises(RequestInvalid, match="cannot import"):
        read_document(tmp_path)


def test_a_piece_outside_the_folder_is_refused(made, tmp_path):
    """A document from elsewhere must not lead out of its folder."""
    first = made("first")
    fill(first, rows=20)
    export(first, tmp_path / "out")
    facts = json.loads((tmp_path / "out" / NAME).read_text())
    outside = tmp_path / "outside.csv"
    outside.write_bytes((tmp_path / "out" / facts["pieces"][0]["path"]).read_bytes())
    facts["pieces"][0]["path"] = "../outside.csv"
    (tmp_path / "out" / NAME).write_text(json.dumps(facts))

    with pytest.raises(RequestInvalid, match="no whole file"):
        import_(first, tmp_path / "out", tmp_path / "work")


def test_folders_with_something_else_are_refused(made, tmp_path):
    """An export writes over nothing."""
    first, second = made("first"), made("second")
    fill(first, rows=20)
    fill(second, rows=20)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes.txt").write_text("mine")
    with pytest.raises(Conflict, match="other files"):
        export(first, tmp_path / "full")

    done = export(first, tmp_path / "out")

    assert export(first, tmp_path / "out") == done
    with pytest.raises(Conflict, match="another export"):
        export(second, tmp_path / "out")
    with pytest.raises(RequestInvalid, match="format"):
        export(first, tmp_path / "other", layout="xls")
