"""Definitions by CSV through both doors: what would change, what was refused, what was entered."""

import pytest
from typer.testing import CliRunner

from api.__main__ import app
from historian.testing import ServerProcess

CSV = {"content-type": "text/csv"}
LINES = """name;type;hold_max;description
"oven/ä";float64;15m;"two
lines; ""quoted"" text"
=1+1;int64;;
"""
FILE = LINES.replace("\n", "\r\n")


def test_an_export_imports_without_a_change(house):
    """Whatever stands in it; in the browser's form and in JSON the same tags."""

    async def work(client, historian):
        made = (await client.post("/v1/tags/csv", content=FILE.encode(), headers=CSV)).json()
        assert (made["applied"], made["created"]) == (True, 2)
        assert [row["line"] for row in made["rows"]] == [2, 4]
        tag = (await client.get("/v1/tags/oven/ä")).json()
        assert (tag["hold_max"], tag["description"]) == ("15m", 'two\r\nlines; "quoted" text')

        out = await client.get("/v1/tags", headers={"accept": "text/csv"})
        assert out.headers["content-type"] == "text/csv; charset=utf-8"
        again = (await client.post("/v1/tags/csv", content=out.content, headers=CSV)).json()
        assert (again["applied"], again["unchanged"], len(again["rows"])) == (True, 2, 2)
        assert (await client.get("/v1/tags", headers={"accept": "text/csv"})).content == out.content
        one = await client.get(
            "/v1/tags", params={"search": "oven", "limit": 1}, headers={"accept": "text/csv"}
        )
        assert len(list(one.text.split("\r\n")[0].split(","))) == 17
        assert "oven" in one.text
        assert "=1+1" not in one.text
        assert ",'=1+1," in out.text

    house.run(work)


def test_a_dry_run_tells_and_does_nothing_and_refusals_hold_all_back(house):
    """Before and after per field; line, column, got and want per refusal."""

    async def work(client, historian):
        await client.post("/v1/tags", json={"name": "a", "stale_after": "1h"})
        file = 'name,stale_after,limit_high\na,90s,5\nb,,\nc,,"1,5"\n'

        async def post(**parameters):
            answer = await client.post(
                "/v1/tags/csv", content=file.encode(), headers=CSV, params=parameters
            )
            assert answer.status_code == 200, answer.text
            return answer.json()

        dry = await post(dry_run=True, proceed=True)
        held = await post()
        for told in (dry, held):
            assert told["applied"] is False
            assert [told[k] for k in ("created", "changed", "unchanged", "refused")] == [1, 1, 0, 1]
            assert told["rows"][0] == {
                "line": 2,
                "name": "a",
                "status": "changed",
                "changes": {
                    "stale_after": {"before": "1h", "after": "90s"},
                    "limit_high": {"before": None, "after": 5.0},
                },
            }
            refused = {key: told["rows"][2][key] for key in ("line", "column", "got")}
            assert refused == {"line": 4, "column": "limit_high", "got": "1,5"}
        assert (dry["dry_run"], held["dry_run"]) == (True, False)
        assert historian.catalog.find("b") is None
        assert (await post(proceed=True))["applied"] is True
        assert historian.catalog.resolve("a").stale_after_ns == 90 * 10**9
        assert historian.catalog.find("b") is not None
        assert historian.catalog.find("c") is None

    house.run(work)


@pytest.mark.parametrize(
    ("content", "headers", "parameters", "wanted"),
    [
        (b"name\na\n", {}, {}, (415, "wrong_content_type", "header Content-Type")),
        (b"name\na\n", CSV, {"dry": "true"}, (400, "unknown_parameter", "query dry")),
        (b"name\na\n", CSV, {"dry_run": "perhaps"}, (400, "invalid_parameter", "query dry_run")),
        (b"name,colour\na,red\n", CSV, {}, (400, "invalid_request", "line 1")),
        (b"name\n\xff\n", CSV, {}, (400, "invalid_request", "line 2")),
        (b'name\n"a\n', CSV, {"proceed": "true"}, (400, "invalid_request", "line 2")),
        (b"x" * 1_000_001, CSV, {}, (413, "body_too_large", "body")),
    ],
)
def test_what_is_no_such_file_is_refused_whole(house, content, headers, parameters, wanted):
    """And nothing is made."""

    async def work(client, historian):
        answer = await client.post(
            "/v1/tags/csv", content=content, headers=headers, params=parameters
        )
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["where"]) == wanted
        assert len(historian.catalog) == 0

    house.run(work)


def test_only_an_administrator_defines_tags(house):
    """A reader may export."""

    async def work(client, historian):
        body = {"principal": "eve", "scope": "read"}
        token = (await client.post("/v1/tokens", json=body)).json()["token"]
        async with house.client(historian, token) as other:
            for call in (
                other.post("/v1/tags/csv", content=b"name\na\n", headers=CSV),
                other.patch("/v1/tags", json={"changes": []}),
                other.patch("/v1/tags/a", json={"name": "b"}),
            ):
                assert (await call).status_code == 403
            out = await other.get("/v1/tags", headers={"accept": "text/csv"})
            assert out.status_code == 200

    house.run(work)


def test_the_commands_import_and_export(tmp_path):
    """Exit code 1 where rows are refused; the files alone can be exported, not changed."""
    file = tmp_path / "tags.csv"
    file.write_text("name,limit_low\na,1\nb,x\n")
    home = tmp_path / "home"
    server = ServerProcess(home)
    config = ["--config", str(server.config)]

    def call(*words, code=0):
        result = CliRunner().invoke(app, ["tags", *words, *config])
        assert result.exit_code == code, (result.output, result.exception)
        return result

    with server:
        tried = call("import", str(file), "--dry-run", code=1)
        assert "limit_low: got 'x', want a number" in tried.stdout
        assert "only tried, nothing entered" in tried.stderr
        assert "nothing entered" in call("import", str(file), code=1).stderr
        assert "1 created" in call("import", str(file), "--proceed", code=1).stderr
        out = tmp_path / "out.csv"
        call("export", str(out))
        assert call("export").stdout_bytes == out.read_bytes()
        assert "is there already" in call("export", str(out), code=1).stderr
        assert "1 unchanged" in call("import", str(out)).stderr
        assert '"applied":true' in call("import", str(out), "--json").stdout
        assert call("list", "a").stdout == call("a").stdout
        assert "want one file" in call("import", code=1).stderr
        assert "are for import" in call("export", "--dry-run", code=1).stderr
        assert call("import", str(tmp_path / "none.csv"), code=1).stderr
    assert call("export").stdout_bytes == out.read_bytes()
    assert "files are only read" in call("import", str(out), code=1).stderr
