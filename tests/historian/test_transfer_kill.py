"""Kill -9 in the middle of an export and of an import, from the command line; then go on."""

import json
import subprocess
import sys
import time

import pytest

from historian.clock import SystemClock
from historian.transfer.document import NAME, Journal, read_document
from historian.transfer.export import JOURNAL, Export, ExportRequest
from historian.transfer.store import Silent, store_of
from historian.transfer.testing import CONFIG, fill, open_historian

SETTINGS = CONFIG + "[transfer]\ncommit_bytes = 400000\nrows_per_piece = 65536\n"


def command(folder, *arguments, kill_when=None):
    """Run a command on a folder's store; kill it when told, and give its exit code and JSON."""
    (folder / "historian.toml").write_text(SETTINGS)
    child = subprocess.Popen(
        [sys.executable, "-m", "api", *arguments, "--config", folder / "historian.toml", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    if kill_when is not None:
        deadline = time.monotonic() + 60
        while child.poll() is None and time.monotonic() < deadline:
            if kill_when():
                child.kill()
            time.sleep(0.002)
    text = child.communicate(timeout=120)[0]
    return child.returncode, json.loads(text) if text else None


def pieces(folder):
    """Bytes of the finished files."""
    found = sorted(p for p in folder.rglob("*.csv") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in found}


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A store with 700,000 rows, and its export made in one go."""
    folder = tmp_path_factory.mktemp("filled")
    historian = open_historian(folder, SystemClock())
    fill(historian, rows=100_000)
    request = ExportRequest(rows_per_piece=65_536)
    Export(store_of(historian), folder / "whole", request, Silent()).run()
    historian.close()
    return folder


def test_an_export_goes_on_after_kills(filled, tmp_path):
    """Finished files are not written again; the same bytes come of it."""
    out, kills = tmp_path / "out", 0
    for count in (2, 6, 11):
        code, _ = command(
            filled, "export", out, kill_when=lambda n=count: len(list(out.rglob("*.csv"))) >= n
        )
        kills += code == -9
    noted = {line["piece"]["path"] for line in Journal(out / JOURNAL).read() if "piece" in line}
    before = {path: (out / path).stat().st_ino for path in noted}
    assert len(pieces(out)) - len(before) in {0, 1}, "a kill may fall between name and note"
    assert not (out / NAME).exists()

    code, report = command(filled, "export", out)

    assert (kills, code) == (3, 0)
    assert len(before) >= 8
    assert {path: (out / path).stat().st_ino for path in before} == before
    assert pieces(out) == pieces(filled / "whole")
    done, whole = read_document(out), read_document(filled / "whole")
    assert (done.tags, done.events, done.pieces) == (whole.tags, whole.events, whole.pieces)
    assert report["samples"] + report["events"] == 700_000
    assert list(out.rglob("*.part")) == []
    assert not (out / JOURNAL).exists()


def test_an_import_goes_on_after_kills(filled, tmp_path):
    """Every row once, equal by digest; what was committed is not read again."""

    def generation():
        names = [p.name for p in (tmp_path / "store/engine/manifest").glob("*")]
        return max((int(name, 16) for name in names if len(name) == 16), default=0)

    kills = 0
    for _ in range(3):
        start = generation()
        code, _ = command(
            tmp_path,
            "import",
            filled / "whole",
            kill_when=lambda start=start: generation() >= start + 6,
        )
        kills += code == -9
    historian = open_historian(tmp_path, SystemClock())
    facts = historian.engine._flusher.facts["imports"]
    rows = historian.engine.stats().segment_rows
    historian.close()
    (place,) = facts.values()
    assert kills == 3
    assert 0 < place["read"] < 700_000
    assert place["taken"] == rows

    code, report = command(tmp_path, "import", filled / "whole")

    assert code == 0
    assert (report["read"], report["taken"], report["rejected"]) == (700_000, 700_000, 0)
    assert (report["compared"]["different"], report["compared"]["rows"]) == (0, 700_000)
    historian = open_historian(tmp_path, SystemClock())
    assert historian.engine.stats().segment_rows == 700_000
    assert "imports" not in historian.engine._flusher.facts
    historian.close()
