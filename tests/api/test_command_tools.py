"""verify, inspect, dump, salvage and stats on files of a store that a historian wrote."""

import json
import random
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.__main__ import app
from historian.clock import SystemClock
from historian.config import load_config, parse_config
from historian.runtime import Historian
from historian.testing import ServerProcess

AT_NS = 1_767_225_600_000_000_000


def call(*arguments, code=0):
    """Run a command in this process; a traceback is never its answer."""
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert code in {None, done.exit_code}, (done.output, done.exit_code)
    return done


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Folder of a store with a tag's samples in segments and in the log."""
    server = ServerProcess(tmp_path_factory.mktemp("tools"))
    for begin in (0, 500):
        with server, server.client() as client:
            client.post("/v1/tags", json={"name": "line/a", "type": "float64"})
            times = [AT_NS + k for k in range(begin, begin + 500)]
            values = [float(k) for k in range(begin, begin + 500)]
            series = {"tag": "line/a", "time": times, "value": values}
            client.post("/v1/samples", json={"time_unit": "ns", "series": [series]})
        if begin == 0:
            flush(server.config)
    return server.home / "store"


def flush(config):
    """Bring what is in the log into segments."""
    historian = Historian.open(load_config(config), SystemClock())
    historian.engine.flush()
    historian.close()


@pytest.fixture
def store(home, tmp_path):
    """A copy for one damage."""
    return Path(shutil.copytree(home, tmp_path / "store"))


def files(store):
    """Every file of the engine, but its lock."""
    held = [p for p in sorted((store / "engine").rglob("*")) if p.is_file() and p.name != "lock"]
    assert {"wal", "manifest", "segments"} <= {
        p.relative_to(store / "engine").parts[0] for p in held
    }
    return held


def test_a_sound_store_passes_whole_and_file_by_file(store):
    """Exit code 0, and what was looked at."""
    whole = json.loads(call("verify", store, "--json").stdout)

    assert ([], True) == (whole["findings"], whole["rows"] >= 500)
    for path in files(store):
        call("verify", path, "--quiet")
    call("verify", *files(store))


def test_what_is_not_there_is_exit_code_2(tmp_path):
    """A typo is no sound store."""
    done = call("verify", tmp_path / "none", code=2)

    assert "cannot find" in done.stderr


def test_any_damage_gives_exit_code_1_or_left_nothing_wrong(store):
    """Seeded places: never a traceback; damaged segments and manifests are always named."""
    rng = random.Random(3)
    held = files(store)
    for number in range(60):
        path = held[number % len(held)]
        genuine = path.read_bytes()
        place = rng.randrange(len(genuine))
        kind = rng.choice(("flip", "cut", "zeros"))
        if kind == "flip":
            bad = genuine[:place] + bytes([genuine[place] ^ 4]) + genuine[place + 1 :]
        elif kind == "cut":
            bad = genuine[:place]
        else:
            bad = genuine[:place] + bytes(len(genuine) - place)
        path.write_bytes(bad)
        done = call("verify", path, "--json", code=None)
        sealed = "wal" not in path.parts
        assert done.exit_code == 1 if sealed and bad != genuine else done.exit_code in {0, 1}
        assert (done.exit_code == 1) == bool(json.loads(done.stdout)["findings"])
        path.write_bytes(genuine)
        for command in (("inspect", path, "--json"), ("dump", path, "--limit", 3)):
            call(*command)


def test_inspect_is_for_people_and_programs(store):
    """Every kind of file, and the folder."""
    for path in [store, *files(store)]:
        told = json.loads(call("inspect", path, "--json").stdout)
        assert told["kind"] in {"store", "segment", "manifest", "log", "json"}
        assert call("inspect", path).stdout.strip()


def test_dump_prints_rows_as_lines_and_filters(store):
    """A thousand samples, half in a segment and half in the log."""
    lines = [json.loads(line) for line in call("dump", store).stdout.splitlines()]
    sealed = [line for line in lines if line["kind"] == "sample" and line["time"] >= AT_NS]
    logged = [r for line in lines if line["kind"] == "FRAME" for r in line["rows"]]
    values = {row["value"] for row in [*sealed, *logged]}
    assert {float(k) for k in range(1000)} <= values

    stream = sealed[0]["stream"]
    part = call("dump", store, "--stream", stream, "--from", AT_NS + 10, "--to", AT_NS + 12)
    found = [json.loads(line) for line in part.stdout.splitlines()]
    assert {10.0, 11.0} == {row["value"] for row in found if row["kind"] == "sample"}
    assert 1 == len(call("dump", store, "--limit", 1).stdout.splitlines())
    assert "first-last" in call("dump", store, "--lsn", "x", code=1).stderr
    assert "--from" in call("dump", store, "--from", "the other day", code=1).stderr


def test_salvage_makes_a_store_that_a_server_opens(store, tmp_path):
    """A cut segment, no manifest: the rows whose blocks are sound, catalog and names."""
    for path in (store / "engine/manifest").iterdir():
        path.unlink()
    segment = next((store / "engine/segments").rglob("*.segment"))
    segment.write_bytes(segment.read_bytes()[:-65])
    into = tmp_path / "new"

    done = call("salvage", store, "--into", into, "--json", code=None)
    report = json.loads(done.stdout)

    assert report["remaining"] == []
    assert report == json.loads((into / "salvage.json").read_text())
    assert report["catalog"].startswith("copied")
    call("verify", into, "--quiet")
    config = parse_config({"store": {"path": str(into), "free_bytes_min": 0}}, base=tmp_path)
    historian = Historian.open(config, SystemClock(), read_only=True)
    series = historian.catalog.tags("line/a")[0].series[-1].stream_id
    found = historian.engine.read(series, AT_NS, AT_NS + 1000)
    historian.close()
    assert [float(k) for k in range(1000)] == found.value.objects()
    assert "holds something" in call("salvage", store, "--into", into, code=1).stderr


def test_stats_count_what_the_segments_hold(store):
    """As JSON and as tables; a folder without a store is refused."""
    told = json.loads(call("stats", store, "--json").stdout)

    assert told["rows"] >= 500
    assert told["bytes_per_row"] > 0
    assert "bytes_per_row" in call("stats", store).stdout
    assert call("stats", store / "catalog.sqlite", code=1).stderr


def test_the_examples_of_the_manual_run_as_they_stand(home, tmp_path, monkeypatch):
    """docs/operations.md, When a file is damaged."""
    shutil.copytree(home, tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[2] / "docs/operations.md").read_text()
    part = page.partition("## When a file is damaged")[2].partition("\n## ")[0]
    lines = [line.partition("#")[0].split() for line in part.split("```")[1].strip().splitlines()]

    assert 6 == len(lines)
    for name, *arguments in lines:
        assert "historian" == name
        call(*arguments)
