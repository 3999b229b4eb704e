"""Import and export through the doors and from the command line, with and without a server."""

import asyncio
import json

import pytest
from typer.testing import CliRunner

from api.__main__ import app
from historian.testing import ServerProcess

AT_NS = 1_767_225_600_000_000_000
ROWS = 500


async def ended(client, verb, job):
    """The job when it has ended."""
    for _ in range(2_000):
        job = (await client.get(f"/v1/{verb}/{job['id']}")).json()
        if job["state"] != "running":
            return job
        await asyncio.sleep(0.005)
    raise AssertionError(job)


async def begin(client, verb, **document):
    """Begin a job and wait for its end."""
    answer = await client.post(f"/v1/{verb}", json=document)
    assert answer.status_code == 202, answer.text
    return await ended(client, verb, answer.json())


def put_csv(house, name, rows=ROWS):
    """A file below the transfer folder."""
    folder = house.config.transfer.path
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"line/a,{AT_NS + n * 10**9},0,{n / 8}" for n in range(rows)]
    (folder / name).write_text("tag,timestamp,quality,value\n" + "\n".join(lines) + "\n")


def test_import_export_and_proof(house):
    """A file in, an export of the store out, and the store compared with it."""

    async def work(client, historian):
        put_csv(house, "in.csv")
        job = await begin(client, "imports", path="in.csv")
        assert (job["state"], job["error"]) == ("done", None)
        assert job["report"]["taken"] == ROWS
        latest = (await client.get("/v1/latest", params={"tag": "line/a"})).json()
        assert latest["value"] == [(ROWS - 1) / 8]
        for layout in ("csv", "parquet", "arrow"):
            job = await begin(client, "exports", path=f"out/{layout}", format=layout)
            assert job["report"]["samples"] == ROWS, job
            done = await begin(client, "imports", path=f"out/{layout}", verify_only=True)
            assert done["report"]["compared"]["different"] == 0
        window = {"start": str(AT_NS), "end": str(AT_NS + 5 * 10**9), "tags": ["line/*"]}
        job = await begin(client, "exports", path="part", **window)
        assert (job["report"]["samples"], job["report"]["events"]) == (5, 0)
        listed = (await client.get("/v1/exports")).json()["exports"]
        assert [one["path"] for one in listed] == ["out/csv", "out/parquet", "out/arrow", "part"]
        assert len((await client.get("/v1/imports")).json()["imports"]) == 4
        actions = [entry.action for entry in historian.catalog.database.audit()]
        assert actions.count("import") == 1  # comparing alone changes nothing

    house.run(work)


def test_an_import_with_mapping_tells_what_it_refused(house):
    """Refused rows lie below the transfer folder."""

    async def work(client, _):
        folder = house.config.transfer.path
        folder.mkdir(parents=True)
        (folder / "f.csv").write_text(f"when;v\n{AT_NS};1,5\n{AT_NS};x\n")
        options = ["timestamp=when", "value=v", "name=oven", "delimiter=;", "decimal=,"]
        dry = await begin(client, "imports", path="f.csv", map=options, dry_run=True)
        assert (dry["report"]["taken"], dry["report"]["rejected"]) == (1, 1)
        assert (await client.get("/v1/tags")).json()["tags"] == []

        job = await begin(client, "imports", path="f.csv", map=options)

        assert (job["report"]["taken"], job["report"]["tags_made"]) == (1, 1)
        assert "want a number" in (folder / job["report"]["rejects"]).read_text()

    house.run(work)


def test_only_administrators_and_only_below_the_folder(house, tmp_path):
    """Scopes, and every way out of the transfer folder that is known."""

    async def work(client, historian):
        made = await client.post("/v1/tokens", json={"principal": "w", "scope": "write"})
        put_csv(house, "in.csv")
        folder = house.config.transfer.path
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "secret.csv").write_text("tag,timestamp,quality,value\nx,5,0,1\n")
        (folder / "link").symlink_to(outside)
        (folder / "file.csv").symlink_to(outside / "secret.csv")
        async with house.client(historian, made.json()["token"]) as writer:
            for verb in ("imports", "exports"):
                assert (
                    await writer.post(f"/v1/{verb}", json={"path": "in.csv"})
                ).status_code == 403
                assert (await writer.get(f"/v1/{verb}")).status_code == 403
                assert (await writer.get(f"/v1/{verb}/x")).status_code == 403
                assert (await writer.delete(f"/v1/{verb}/x")).status_code == 403
        bad = ["", ".", "/etc/passwd", "../outside", "a/../../outside", "link/secret.csv",
               "file.csv", "link", "a\0b", "..\\outside", "./../outside"]  # fmt: skip
        for path in bad:
            for verb in ("imports", "exports"):
                refused = await client.post(f"/v1/{verb}", json={"path": path})
                assert refused.status_code == 400, (verb, path, refused.text)
                assert str(tmp_path) not in refused.text
        (folder / "inner").mkdir()
        (folder / "inner/linked.csv").symlink_to(outside / "secret.csv")
        job = await begin(client, "imports", path="inner")
        assert job["state"] == "failed"
        assert "got no files" in job["error"]
        assert (await client.get("/v1/tags")).json()["tags"] == []

    house.run(work)


@pytest.mark.parametrize(
    ("verb", "document", "where"),
    [
        ("imports", {"path": "in.csv", "map": "x"}, "map"),
        ("imports", {"path": "in.csv", "map": ["x=1"]}, "map"),
        ("imports", {"path": "in.csv", "dry_run": 1}, "dry_run"),
        ("imports", {"path": 5}, "path"),
        ("imports", {"path": "in.csv", "speed": 1}, "body"),
        ("exports", {"path": "out", "start": "soon"}, "start"),
        ("exports", {"path": "out", "tags": [1]}, "tags"),
        ("exports", {"path": "out", "format": 3}, "format"),
    ],
)
def test_requests_that_do_not_hold_are_refused(house, verb, document, where):
    """Before anything is begun."""

    async def work(client, _):
        refused = await client.post(f"/v1/{verb}", json=document)
        assert refused.status_code == 400
        assert refused.json()["error"]["where"] == where
        assert (await client.get(f"/v1/{verb}/nothing")).status_code == 404
        assert (await client.delete(f"/v1/{verb}/nothing")).status_code == 404

    house.run(work)


def test_a_job_that_fails_says_why(house):
    """What the person can do something about."""

    async def work(client, _):
        job = await begin(client, "imports", path="none.csv")
        assert (job["state"], job["report"]) == ("failed", None)
        assert "none.csv" in job["error"]
        job = await begin(client, "exports", path="out", tags=["nothing"])
        assert "nothing" in job["error"]

    house.run(work)


def test_an_import_is_aborted_and_goes_on(house):
    """What was committed stays; the same request finishes it."""

    async def work(client, historian):
        rows = 600_000
        put_csv(house, "big.csv", rows)
        begun = (await client.post("/v1/imports", json={"path": "big.csv"})).json()
        again = await client.post("/v1/imports", json={"path": "big.csv"})
        assert again.status_code == 409
        for _ in range(20_000):
            if (await client.get(f"/v1/imports/{begun['id']}")).json()["done"]:
                break
        assert (await client.delete(f"/v1/imports/{begun['id']}")).status_code == 200
        job = await ended(client, "imports", begun)
        assert job["state"] == "aborted"

        job = await begin(client, "imports", path="big.csv")

        assert (job["state"], job["report"]["taken"]) == ("done", rows)
        series = historian.catalog.find("line/a").series[0].stream_id
        assert len(historian.engine.read(series, 0, 2**62)) == rows

    house.run(work)


def call(*arguments, code=0):
    """Run a command in this process."""
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert code == done.exit_code, (done.output, done.exception)
    return done


def test_the_command_line_with_and_without_a_server(tmp_path):
    """On the files when nobody holds them; else through the server, below its folder."""
    server = ServerProcess(tmp_path / "home")
    config = ("--config", server.config)
    source = tmp_path / "in.csv"
    source.write_text(f"tag,timestamp,quality,value\nline/a,{AT_NS},0,1.5\nline/a,bad,0,1\n")
    told = call("import", source, "--json", *config, code=1)
    report = json.loads(told.stdout)
    assert (report["taken"], report["rejected"], report["tags_made"]) == (1, 1, 1)
    call("export", tmp_path / "out", *config)
    call("import", tmp_path / "out", "--verify-only", *config)
    listed = call("import", source, *config, code=1)
    assert "1 refused" in listed.stderr

    with server:
        outside = call("export", tmp_path / "more", *config, code=1)
        assert "transfer.path" in outside.stderr
        folder = tmp_path / "home/store/transfer"
        done = call("export", folder / "out", "--format", "parquet", "--json", *config)
        assert json.loads(done.stdout)["samples"] == 1
        same = call("import", folder / "out", *config)
        assert "are equal, 0 differ" in same.stderr
        call("import", "out", "--verify-only", "--url", server.url, *config)
        missing = call("import", folder / "none", *config, code=1)
        assert "none" in missing.stderr
    late = call("export", tmp_path / "late", "--from", "someday", *config, code=1)
    assert "cannot read time" in late.stderr
