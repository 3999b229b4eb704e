"""Backups of a server under ingest, a disaster, and everything served again from a new folder."""

import json
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Self

import httpx
import pytest

from historian.testing import ServerProcess

START_NS = 1_767_225_600_000_000_000
TAGS = 5
ROWS = 400
BACKUP = '[backup]\ndirectory = "{home}/backups"\nbytes_per_s = 0\n'


def command(*arguments: str, home: Path) -> str:
    """Standard output of a command line that succeeds."""
    ran = subprocess.run(
        [sys.executable, "-m", "api", *arguments],
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def made(http: httpx.Client, path: str, body: dict | None = None) -> dict:
    """Report of a job, once it is done."""
    begun = http.post(path, json=body or {})
    assert begun.status_code == 202, begun.text
    job = begun.json()
    deadline = time.monotonic() + 60
    while job["state"] == "running":
        assert time.monotonic() < deadline, job
        time.sleep(0.05)
        job = http.get(f"/v1/backup-jobs/{job['id']}").json()
    assert job["state"] == "done", job
    return job["report"]


class Writer:
    """Writes rows in order until told to stop; knows what was acknowledged, and at which lsn."""

    def __init__(self, server: ServerProcess) -> None:
        self.acknowledged: list[tuple[int, int]] = []  # rows so far, lsn
        self._server = server
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        rows = 0
        with self._server.client() as http:
            while not self._stop.is_set():
                at = [str(START_NS + (rows + k) * 1_000_000) for k in range(ROWS)]
                series = [
                    {
                        "tag": f"t{tag}",
                        "value": [float((rows + k) * (tag + 1)) for k in range(ROWS)],
                    }
                    for tag in range(TAGS)
                ]
                sent = {"time_unit": "ns", "time": at, "series": series}
                answer = http.post("/v1/samples", json=sent)
                if answer.status_code == 503:  # the flush is behind: as every writer, try again
                    time.sleep(0.1)
                    continue
                assert answer.status_code == 200, answer.text
                time.sleep(0.02)
                rows += ROWS
                self.acknowledged.append((rows, int(answer.json()["lsn"])))

    def wait(self, count: int) -> None:
        """Until so many more writes are acknowledged."""
        want = len(self.acknowledged) + count
        deadline = time.monotonic() + 60
        while len(self.acknowledged) < want:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def rows_of(http: httpx.Client, tag: str, **more: object) -> list[tuple[str, float]]:
    """All rows of a tag, page by page."""
    found, after = [], {}
    while True:
        parameters = {"tag": tag, "start": "2020-01-01T00:00:00Z", "end": "2030-01-01T00:00:00Z"}
        answer = http.get("/v1/raw", params={**parameters, **more, **after})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += list(zip(page["time"], page["value"], strict=True))
        if not page.get("continuation"):
            return found
        after = {"continuation": page["continuation"]}


def flushed(http: httpx.Client, lsn: int) -> None:
    """Wait until segments hold everything up to an lsn."""
    deadline = time.monotonic() + 60
    while int(http.get("/v1/store").json()["stats"]["checkpoint_lsn"]) < lsn:
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """A full and two incremental backups under writes; then the server is killed."""
    home = tmp_path_factory.mktemp("plant")
    toml = BACKUP.replace("{home}", str(home))
    reports = []
    with ServerProcess(
        home, toml, store_toml="head_bytes_max = 4000000\nflush_age_s = 1\n"
    ) as server:
        with server.client() as http:
            for tag in range(TAGS):
                assert http.post("/v1/tags", json={"name": f"t{tag}"}).status_code == 201
            with Writer(server) as writer:
                for name in ("one", "two", "three"):
                    writer.wait(10)
                    flushed(http, writer.acknowledged[-1][1])
                    kind = "full" if name == "one" else "incremental"
                    reports.append(made(http, "/v1/backups", {"name": name, "kind": kind}))
                writer.wait(3)
            listed = http.get("/v1/backups").json()
            before = {
                tag: rows_of(http, f"t{tag}", known_at_lsn=str(reports[-1]["lsn"]))
                for tag in range(TAGS)
            }
        server.kill()
    return home, reports, writer.acknowledged, listed, before


def segments_of(backup):
    """Segment files of a backup, by their names within it."""
    found = backup.rglob("*.segment")
    return {str(path.relative_to(backup)): path.stat() for path in found}


def restored_server(home, name, into, **options):
    """A server on a restored folder, not yet started."""
    extra = [x for key, value in options.items() for x in (f"--{key}", value)]
    told = json.loads(
        command(
            *("restore", name, "--into", str(into / "store"), "--json", *extra),
            *("--config", str(home / "historian.toml")),
            home=home,
        )
    )
    return told, ServerProcess(into, BACKUP.replace("{home}", str(home)))


def test_backups_under_ingest_are_whole(story):
    """Made while rows come in, each checked by digest and block by block."""
    home, reports, _, listed, _ = story

    assert ["full", "incremental", "incremental"] == [one["kind"] for one in reports]
    assert ["one", "two", "three"] == [one["name"] for one in listed["backups"]]
    assert [] == listed["damage"]
    assert reports[0]["lsn"] < reports[1]["lsn"] < reports[2]["lsn"]
    # Compaction may have replaced every segment of the backup before: then none is linked.
    for before, report in pairwise(reports):
        parent, own = (segments_of(home / "backups" / one["name"]) for one in (before, report))
        common = parent.keys() & own.keys()
        assert all(parent[path].st_ino == own[path].st_ino for path in common)
        assert report["linked_bytes"] == sum(own[path].st_size for path in common)
    for name in ("one", "two", "three"):
        command("backup", "verify", name, "-c", str(home / "historian.toml"), home=home)


def test_a_restored_server_has_everything_up_to_the_backup(story, tmp_path):
    """Counts and values equal those of the lost server as known at the backup's lsn."""
    home, reports, acknowledged, _, before = story
    last = reports[-1]["lsn"]

    told, server = restored_server(home, "three", tmp_path)

    assert (last, []) == (told["lsn"], told["damage"])
    with server, server.client() as http:
        assert told["incarnation"] == http.get("/v1/store").json()["incarnation"]
        for tag in range(TAGS):
            assert before[tag] == rows_of(http, f"t{tag}")
        kept = max(rows for rows, lsn in acknowledged if lsn <= last)
        assert kept <= len(before[0])
        assert http.get("/v1/health").json()["catalog"]["tags"] == TAGS
        sent = {"series": [{"tag": "t0", "time": ["2026-06-01T00:00:00Z"], "value": [1.0]}]}
        again = http.post("/v1/samples", json=sent)
        assert int(again.json()["lsn"]) > last


def test_a_restore_to_a_moment(story, tmp_path):
    """As known at an lsn that was acknowledged long before the backup was made."""
    home, _, acknowledged, _, before = story
    rows, lsn = acknowledged[20]

    told, server = restored_server(home, "three", tmp_path, **{"to-lsn": str(lsn)})

    assert lsn == told["lsn"]
    with server, server.client() as http:
        for tag in range(TAGS):
            assert before[tag][:rows] == rows_of(http, f"t{tag}")


def test_a_tag_is_restored_in_place(story, tmp_path):
    """What was overwritten and deleted comes back as revisions, also of a tag renamed since."""
    home, _, _, _, before = story
    _, server = restored_server(home, "three", tmp_path)
    with server, server.client() as http:
        times = [at for at, _ in before[1][10:20]]
        wrong = {"tag": "t1", "time": times, "value": [-1.0] * 10}
        assert http.post("/v1/samples", json={"time_unit": "ns", "series": [wrong]}).is_success
        gone = {"verb": "delete", "tag": "t1", "start": before[1][30][0], "end": before[1][40][0]}
        assert http.post("/v1/changes", json={**gone, "reason": "a mistake"}).is_success
        assert before[1] != rows_of(http, "t1")
        assert http.patch("/v1/tags/t1", json={"name": "renamed since"}).is_success

        told = json.loads(
            command(
                *("restore-tag", "three", "t1", "--from", before[1][0][0]),
                *("--until", "2030-01-01T00:00:00Z", "--json"),
                *("--config", str(server.config)),
                home=tmp_path,
            )
        )

        rows = len(before[1])
        facts = {"read": rows, "written": 20, "equal": rows - 20, "refused": 0, "other_series": 0}
        assert [{"tag": "t1", **facts}] == told["tags"]
        assert before[1] == rows_of(http, "t1")
        assert -1.0 in [value for _, value in rows_of(http, "t1", revisions="all")]
        trail = http.get("/v1/changes", params={"start": "now-1d", "tag": "t1"}).json()["changes"]
        assert ["delete", "edit"] == [one["verb"] for one in trail][:2]
        assert "restored from backup three" in trail[1]["reason"]


def test_a_spoiled_backup_is_found(story):
    """One byte of a shared file: both backups that hold it are named, the third is whole."""
    home, _, _, _, _ = story
    shared = {
        path.relative_to(home / "backups/two"): path
        for path in (home / "backups/two").rglob("*.segment")
        if path.stat().st_nlink > 1
    }
    path = shared[max(shared)]
    holders = {
        name for name in ("one", "two", "three") if (home / "backups" / name / max(shared)).exists()
    }
    content = path.read_bytes()
    with path.open("r+b") as file:
        file.seek(len(content) // 2)
        file.write(bytes([content[len(content) // 2] ^ 1]))
    found = set()
    for name in ("one", "two", "three"):
        ran = subprocess.run(
            [
                *(sys.executable, "-m", "api", "backup", "verify", name),
                *("--json", "-c", str(home / "historian.toml")),
            ],
            cwd=home,
            capture_output=True,
            text=True,
            check=False,
        )
        told = json.loads(ran.stdout)
        assert ran.returncode == (0 if told["whole"] else 1)
        if not told["whole"]:
            found.add(name)
            assert [f"{max(shared)}"] == [one["path"] for one in told["changed"]]
    path.write_bytes(content)
    assert holders == found


def test_deleting_keeps_the_others(story, tmp_path):
    """By command line, without a server; and over HTTP what is not there is 404."""
    home, _, _, _, _ = story
    config = str(home / "historian.toml")
    told = command(
        "backup", "create", "four", "--kind", "incremental", "--json", "-c", config, home=home
    )
    assert "four" == json.loads(told)["name"]
    command("backup", "delete", "one", "-c", config, home=home)

    assert [False, True] == [(home / "backups" / name).exists() for name in ("one", "two")]
    for name in ("two", "three", "four"):
        command("backup", "verify", name, "-c", config, home=home)
    names = [one["name"] for one in json.loads(
        command("backup", "list", "--json", "-c", config, home=home)
    )]  # fmt: skip
    assert ["two", "three", "four"] == names
