"""One state of a store while it goes on: exports cut short, rows that come meanwhile, damage."""

import pytest

from historian.clock import SystemClock
from historian.errors import Conflict
from historian.transfer.document import NAME
from historian.transfer.export import Export, ExportRequest
from historian.transfer.importing import Import, ImportRequest
from historian.transfer.store import Silent, store_of
from historian.transfer.testing import START_NS, fill, open_historian
from storage_engine.changes import Change, Verb

TAG = 'plant/int64, "odd" ü'
DAY_NS = 86_400 * 1_000_000_000


class Interrupted(Exception):  # noqa: N818 - says what happened
    """Ends an export in the middle."""


class Watcher(Silent):
    """Calls something at a step, which may raise."""

    def __init__(self, step, call):
        self._left = step
        self._call = call

    def advance(self, count):
        """Count down."""
        self._left -= 1
        if self._left == 0:
            self._call()


@pytest.fixture
def historian(tmp_path):
    """One with rows of three years."""
    opened = open_historian(tmp_path / "home", SystemClock())
    fill(opened, rows=300)
    yield opened
    opened.close()


def export(historian, folder, progress=None, **options):
    """Export into a folder."""
    request = ExportRequest(**options)
    return Export(store_of(historian), folder, request, progress or Silent()).run()


def bring(historian, folder, number):
    """A further row of one tag, in the middle of what is there."""
    path = folder / f"late-{number}.csv"
    quoted = '"' + TAG.replace('"', '""') + '"'
    path.write_text(
        f"tag,timestamp,quality,value\n{quoted},{START_NS + number * 40 * DAY_NS + 1},0,{number}\n"
    )
    Import(
        store_of(historian),
        path,
        ImportRequest(),
        Silent(),
        work=folder / "work",
        commit_bytes=1 << 20,
        principal="test",
    ).run()


def pieces(folder):
    """Bytes of the files."""
    return {p.name: p.read_bytes() for p in folder.rglob("*.csv")}


def test_what_comes_meanwhile_is_not_in_it(historian, tmp_path):
    """An export is the state that it began with."""
    before = export(historian, tmp_path / "before")

    done = export(historian, tmp_path / "out", Watcher(3, lambda: bring(historian, tmp_path, 20)))

    assert done.tags == before.tags
    assert pieces(tmp_path / "out") == pieces(tmp_path / "before")
    after = export(historian, tmp_path / "after")
    assert after.tags != before.tags


@pytest.mark.parametrize("step", [1, 4, 9, 15, 20])
def test_an_export_goes_on_with_the_state_it_began_with(historian, tmp_path, step):
    """Wherever it ended, and whatever came between."""
    before = export(historian, tmp_path / "before")

    def end():
        raise Interrupted

    with pytest.raises(Interrupted):
        export(historian, tmp_path / "out", Watcher(step, end))
    bring(historian, tmp_path, step)
    with pytest.raises(Conflict, match="other options"):
        export(historian, tmp_path / "out", layout="parquet")
    done = export(historian, tmp_path / "out")

    assert (done.tags, done.events, done.pieces) == (before.tags, before.events, before.pieces)
    assert pieces(tmp_path / "out") == pieces(tmp_path / "before")


def test_rows_erased_between_two_runs_are_told(historian, tmp_path):
    """What was written is no state of the store any more."""

    def end():
        raise Interrupted

    with pytest.raises(Interrupted):
        export(historian, tmp_path / "out", Watcher(10, end))
    journal = (tmp_path / "out/export.journal").read_text().splitlines()
    groups = [n for n, line in enumerate(journal) if '"group"' in line]
    # As if killed between a finished file and the end of its year.
    (tmp_path / "out/export.journal").write_text("\n".join(journal[: groups[-1]]) + "\n")
    for tag in historian.catalog.every():
        stream = tag.series[0].stream_id
        change = Change(Verb.ERASE, stream, START_NS, START_NS + 1200 * DAY_NS, "me", "x", "")
        historian.engine.wait_durable(historian.engine.change(change))

    with pytest.raises(Conflict, match="cannot go on with the export"):
        export(historian, tmp_path / "out")


def test_damage_is_named_and_never_passed_over(historian, tmp_path):
    """An export of a damaged store says what is missing from it."""
    whole = export(historian, tmp_path / "whole")
    files = sorted((tmp_path / "home/store/engine/segments").rglob("*.segment"))
    data = bytearray(files[0].read_bytes())
    data[200] ^= 0xFF
    files[0].write_bytes(data)
    historian.engine._reader.forget()

    done = export(historian, tmp_path / "out")

    assert whole.damage == ()
    assert any(files[0].name in line for line in done.damage)
    rows = [sum(piece.rows for piece in one.pieces) for one in (whole, done)]
    assert rows[1] < rows[0]
    found = Import(
        store_of(historian),
        tmp_path / "whole",
        ImportRequest(verify_only=True),
        Silent(),
        work=tmp_path / "work",
        commit_bytes=1 << 20,
        principal="test",
    ).run()
    wrong = [one for one in found.compared if not one.equal]
    assert wrong
    assert all(one.damaged for one in wrong)
    assert (tmp_path / "out" / NAME).exists()
