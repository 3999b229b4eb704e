"""The command line against a store on disk and against a real server process."""

import re

import pytest
from typer.testing import CliRunner

from api.__main__ import app
from api.encoding import decode
from api.version import PACKAGES, WrongInstallation, check_installation
from historian.testing import ServerProcess

AT_NS = 1_767_225_600_000_000_000
WINDOW = ["--start", "2025-12-31T00:00:00Z", "--end", "2026-01-02T00:00:00Z"]


def call(*arguments, code=0):
    """Run a command in this process; return what it printed."""
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert code == done.exit_code, (done.output, done.exception)
    return done


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server with two tags and one unit; tests stop and start it as they like."""
    server = ServerProcess(tmp_path_factory.mktemp("cli"))
    with server:
        with server.client() as client:
            client.post("/v1/tags", json={"name": "line/a", "type": "float64", "eng_unit": "K"})
            series = {"tag": "line/a", "time": [AT_NS, AT_NS + 1], "value": [1.5, 2.5]}
            client.post("/v1/samples", json={"time_unit": "ns", "series": [series]})
            client.post("/v1/tags", json={"name": "line/s", "type": "symbol"})
            state = {"tag": "line/s", "time": [AT_NS, AT_NS + 1], "value": ["idle", "run"]}
            client.post("/v1/samples", json={"time_unit": "ns", "series": [state]})
            unit = {"time": [AT_NS], "columns": {"unit": ["SN1"], "station": ["ST1"]}}
            client.post("/v1/events/unit_arrived", json={"time_unit": "ns", **unit})
        yield server


def test_commands_answer_the_same_from_the_server_and_from_the_files(server):
    """With a server they ask it; without one they read the files, which nobody else writes."""
    questions = [
        ("tags", "line"),
        ("query", "raw", "line/a", *WINDOW),
        ("query", "aggregates", "line/a", "--aggregate", "Maximum", *WINDOW),
        ("query", "at-times", "line/a", "--at", "2026-01-01T00:00:00Z"),
        ("query", "interpolated", "line/a", "--interval", "6h", "--zone", "Europe/Berlin", *WINDOW),
        ("query", "spans", "--where", "{line/a} > 2", *WINDOW),
        ("query", "raw", "line/a", "--where", "{line/a} > 2", *WINDOW),
        ("query", "interpolated", "line/a", "--interval", "1s", "--where", "{line/a} > 2", *WINDOW),
        ("query", "aggregates", "line/a", "--where", "{line/a} > 2", *WINDOW),
        ("query", "aggregates", "line/a", "--moving", "1h", "--interval", "6h", *WINDOW),
        ("query", "states", "line/s", "--interval", "6h", *WINDOW),
        ("query", "plot", "line/a", "--where", "{line/a} > 2", *WINDOW),
        ("trace", "unit", "SN1"),
    ]
    asked = [(*q, "--json", "--config", server.config) for q in questions]
    live = [call(*q) for q in asked]
    server.interrupt()
    try:
        offline = [call(*q) for q in asked]
    finally:
        server.start()

    for with_server, without in zip(live, offline, strict=True):
        there, here = decode(with_server.stdout.encode()), decode(without.stdout.encode())
        for told in (there, here):  # how far derived indexes have come differs, not what they say
            for key in ("watermark_lsn", "energy_watermark_lsn"):
                told.pop(key, None)
        assert there == here
        assert "reading the files" in without.stderr
        assert "reading the files" not in with_server.stderr


def test_tables_are_for_people(server):
    """Names, values and units, and no markup of theirs is obeyed."""
    raw = call("query", "raw", "line/a", *WINDOW, "--config", server.config).stdout
    latest = call("query", "latest", "line/a", "--config", server.config).stdout
    unit = call("trace", "unit", "SN1", "--config", server.config).stdout

    states = call("query", "states", "line/s", *WINDOW, "--config", server.config).stdout
    assert "idle" in states
    assert "longest_ns" in states
    spans = call("query", "spans", "--where", "{line/a} > 2", *WINDOW, "--config", server.config)

    assert "{line/a} > 2" in spans.stdout
    assert re.search(r"00:00:00.000000001Z\s+2026-01-01T00:00:00.000000002Z\s+true", spans.stdout)
    above = ("raw", "line/a", "--where", "{line/a} > 2", *WINDOW)
    above = call("query", *above, "--config", server.config).stdout
    assert "2.5" in above
    assert "1.5" not in above
    assert "line/a [K]" in raw
    assert "2026-01-01T00:00:00.000000001Z" in raw
    assert re.search(r"line/a\s+2026-01-01T00:00:00.000000001Z\s+2.5\s+K\s+0", latest)
    assert "ST1" in unit


def test_a_refusal_is_one_line_and_exit_code_1(server):
    """The server's own words, no traceback."""
    done = call("query", "latest", "line/none", "--config", server.config, code=1)

    assert "unknown_tag" in done.stderr
    assert "Traceback" not in done.output
    assert 1 == len(done.stderr.strip().splitlines())
    assert 1 == done.stderr.count("line/none") == done.stderr.count("want"), "each fact once"


def test_spans_have_their_tags_in_the_filter(server):
    """Names beside it would say nothing, and other reads take names."""
    filtered = ("--where", "true")
    for asked in (
        ("spans", "line/a", *filtered),
        ("spans",),
        ("raw", *filtered),
        ("latest", "line/a", *filtered),
    ):
        assert "takes" in call("query", *asked, "--config", server.config, code=2).output


def test_verify_says_that_nothing_is_damaged_and_names_what_is(server):
    """It reads every block; one flipped byte is found and named, exit code 1."""
    server.interrupt()
    try:
        call("verify", "--config", server.config)
        log = next(p for p in sorted((server.home / "store/engine").rglob("*")) if "wal" in str(p)
                   and p.is_file() and p.stat().st_size)  # fmt: skip
        genuine = log.read_bytes()
        place = genuine.find(b"line/a")
        place = place if place > 0 else 200
        log.write_bytes(genuine[:place] + bytes([genuine[place] ^ 1]) + genuine[place + 1 :])
        damaged = call("verify", "--json", "--config", server.config, code=1)
        log.write_bytes(genuine)
    finally:
        server.start()

    assert decode(damaged.stdout.encode())["findings"]


def test_a_second_server_on_the_port_ends_at_once_and_says_why(server):
    """Before it touches the store."""
    done = call("serve", "--config", server.config, code=1)

    assert "free port" in done.stderr


def test_serve_prints_an_address_that_opens_the_pages(server):
    """The token stands behind #, which no browser sends."""
    found = re.search(r"(http://127\.0\.0\.1:\d+)/#token=(\S+)", server.printed)

    assert (server.url, server.token) == (found[1], found[2])


def test_collect_and_replay_refuse_what_is_not_there(server, tmp_path):
    """Each names what it wanted."""
    collect = call("collect", "--name", "none", "--config", server.config, code=1)
    replay = call("replay", "skab", "--speed", "slow", "--config", server.config, code=1)
    nothing = tmp_path / "none.toml"

    assert "none" in collect.stderr
    assert "speed" in replay.stderr
    assert str(nothing) in call("tags", "--config", nothing, code=1).stderr


def test_version_names_the_product():
    """As a report of a fault should."""
    assert "historian" in decode(call("version", "--json").stdout.encode())


def test_nothing_runs_without_asserts_nor_with_packages_from_two_places(monkeypatch, tmp_path):
    """Another distribution may bring a package called query and overwrite ours without a word."""
    check_installation(debug=True)
    with pytest.raises(WrongInstallation, match="-O"):
        check_installation(debug=False)
    import query

    assert "query" in PACKAGES
    monkeypatch.setattr(query, "__file__", str(tmp_path / "query" / "__init__.py"))
    with pytest.raises(WrongInstallation, match="query"):
        check_installation(debug=True)
