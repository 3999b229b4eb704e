"""Retention by both doors, HTTP and the command line: rules, plans, runs and holds."""

import pytest
from typer.testing import CliRunner

from api.__main__ import app
from api.encoding import decode
from api.times import parse_duration
from historian.durations import duration_text
from historian.testing import ServerProcess

DAY_NS = 86_400_000_000_000


async def fill(client, historian, days=6):
    """A sample an hour of two tags, one segment a day; the newest are of now."""
    now_ns = historian.clock.now_ns()
    for tag in ("st10/a", "hall/b"):
        await client.post("/v1/tags", json={"name": tag, "type": "float64"})
    for day in range(days, 0, -1):
        time = [now_ns - day * DAY_NS + k * DAY_NS // 24 for k in range(24)]
        series = [{"tag": t, "time": time, "value": [1.0] * 24} for t in ("st10/a", "hall/b")]
        sent = await client.post("/v1/samples", json={"time_unit": "ns", "series": series})
        assert 200 == sent.status_code, sent.text
        historian.engine.flush()
    return now_ns


async def rows(client, tag, now_ns):
    """How many samples a tag has."""
    window = {"tag": tag, "start": str(now_ns - 30 * DAY_NS), "end": str(now_ns + DAY_NS)}
    answer = await client.get("/v1/raw", params=window)
    return len(answer.json()["time"])


def test_a_class_is_set_assigned_planned_and_run(house):
    """What the plan says is what the run does, and nothing else."""

    async def work(client, historian):
        now_ns = await fill(client, historian)
        put = await client.put(
            "/v1/retention/classes/short", json={"age": "3d", "description": "raw curves"}
        )
        assert ("3d", None) == (put.json()["age"], put.json()["bytes_max"])
        body = {"kind": "pattern", "pattern": "st10/*", "class": "short"}
        assigned = await client.put("/v1/retention/assignments", json=body)
        assert 1 == assigned.json()["streams"], assigned.text
        listed = await client.get("/v1/retention/assignments")
        assert [body] == listed.json()["assignments"]
        plan = (await client.get("/v1/retention/plan", params={"force": "true"})).json()
        assert (True, 144) == (plan["dry_run"], await rows(client, "st10/a", now_ns))
        done = (await client.post("/v1/retention/run", json={"force": True})).json()
        assert (False, True) == (done["dry_run"], done["forced"])
        assert plan["classes"] == done["classes"]
        assert (plan["rows"], plan["bytes"]) == (done["rows"], done["bytes"])
        assert 144 - done["rows"] == await rows(client, "st10/a", now_ns)
        assert 48 <= done["rows"] <= 73
        assert 144 == await rows(client, "hall/b", now_ns)
        classes = (await client.get("/v1/retention/classes")).json()["classes"]
        told = {c["name"]: c for c in classes}
        assert told["short"]["complete_from"] is not None
        assert (1, 0) == (told["short"]["tags"], told["short"]["event_kinds"])
        assert told["default"]["complete_from"] is None
        window = {"start": str(now_ns - 30 * DAY_NS), "end": str(now_ns)}
        interval = {"aggregate": "Count", "interval": "1d"}
        for path, more in (("raw", {}), ("aggregates", interval), ("plot", {})):
            asked = {"tag": "st10/a", **window, **more}
            answer = (await client.get(f"/v1/{path}", params=asked)).json()
            assert told["short"]["complete_from"] == answer["complete_from"], path
            after = {**asked, "start": str(now_ns - DAY_NS)}
            assert (await client.get(f"/v1/{path}", params=after)).json()["complete_from"] is None
            other = {**asked, "tag": "hall/b"}
            assert (await client.get(f"/v1/{path}", params=other)).json()["complete_from"] is None
        runs = (await client.get("/v1/retention/runs", params={"time": "iso"})).json()["runs"]
        assert ("admin", done["rows"]) == (runs[0]["principal"], runs[0]["rows"])
        assert 409 == (await client.delete("/v1/retention/classes/short")).status_code
        back = await client.put("/v1/retention/assignments", json={**body, "class": None})
        assert 1 == back.json()["streams"]
        assert 200 == (await client.delete("/v1/retention/classes/short")).status_code

    house.run(work)


def test_summaries_are_asked_for_with_a_class_and_answer_after_a_run(house):
    """Planned, made, told per interval; ten minutes of them are null with Bad_NoData."""

    async def work(client, historian):
        now_ns = await fill(client, historian)
        body = {"age": "2d", "summary_interval": "6h", "summary_age": "3650d"}
        put = await client.put("/v1/retention/classes/default", json=body)
        assert ("6h", "3650d") == (put.json()["summary_interval"], put.json()["summary_age"])
        start = (now_ns // DAY_NS - 7) * DAY_NS
        window = {"tag": "hall/b", "start": str(start), "end": str(start + 9 * DAY_NS)}
        asked = {**window, "aggregate": ["Count", "Maximum"], "interval": "1d"}
        before = (await client.get("/v1/aggregates", params=asked)).json()
        plan = (await client.get("/v1/retention/plan", params={"force": "true"})).json()
        done = (await client.post("/v1/retention/run", json={"force": True})).json()
        assert 0 < plan["summary_rows"] == done["summary_rows"]
        assert done["summary_rows"] == done["classes"][0]["summary_rows"]
        assert 144 > await rows(client, "hall/b", now_ns)
        after = (await client.get("/v1/aggregates", params=asked)).json()
        for name in ("Count", "Count_status", "Maximum", "Maximum_status", "samples_used"):
            assert before[name] == after[name], name
        assert {0} == set(before["summary_ns"])
        assert {0, DAY_NS // 4} == set(after["summary_ns"])
        assert after["complete_from"] is not None
        old = int(now_ns // DAY_NS - 4) * DAY_NS
        cut = {**asked, "start": str(old), "end": str(old + DAY_NS // 24), "interval": "10m"}
        answer = (await client.get("/v1/aggregates", params=cut)).json()
        assert {None} == set(answer["Count"])
        assert {0x809B0000} == set(answer["Count_status"])

    house.run(work)


def test_without_force_a_run_takes_a_days_share_and_says_what_it_holds_back(house):
    """Six days and a rule of one: one day goes, the rest is named, in health too."""

    async def work(client, historian):
        now_ns = await fill(client, historian)
        await client.put("/v1/retention/classes/default", json={"age": "1h"})
        done = (await client.post("/v1/retention/run", json={})).json()
        assert 0 < done["rows"] <= 2 * 24 + 15
        [held] = done["held"]
        assert "default" == held["class"]
        assert held["rows"] > 200
        health = (await client.get("/v1/health")).json()["retention"]
        assert held["rows"] == health["held"][0]["rows"]
        assert 288 - done["rows"] == sum(
            [await rows(client, tag, now_ns) for tag in ("st10/a", "hall/b")]
        )

    house.run(work)


def test_holds_keep_a_unit_and_a_window_until_they_are_released(house):
    """A unit at ST10 (tags st10/*), a window of the hall, and both let go."""

    async def work(client, historian):
        now_ns = await fill(client, historian)
        at = now_ns - 5 * DAY_NS
        unit = {"time": [at, at + 10**9], "columns": {"unit": ["SN1"] * 2, "station": ["ST10"] * 2}}
        for kind in ("unit_arrived", "unit_departed"):
            await client.post(f"/v1/events/{kind}", json={"time_unit": "ns", **unit})
        await client.put("/v1/retention/classes/default", json={"age": "1d"})
        held = await client.post(
            "/v1/retention/holds", json={"unit": "SN1", "reason": "complaint 17"}
        )
        assert 201 == held.status_code, held.text
        assert "ST10" in [w["station"] for w in held.json()["windows"]]
        window = {"tags": ["hall/*"], "start": str(at), "end": str(at + DAY_NS)}
        by_hand = await client.post(
            "/v1/retention/holds", json={**window, "reason": "trial", "until": "now+7d"}
        )
        assert 201 == by_hand.status_code, by_hand.text
        await client.post("/v1/retention/run", json={"force": True})
        left = [await rows(client, tag, now_ns) for tag in ("st10/a", "hall/b")]
        assert 1 <= left[0] - (left[1] - 24) <= 2
        listed = (await client.get("/v1/retention/holds", params={"time": "iso"})).json()["holds"]
        assert [True, True] == [h["active"] for h in listed]
        for told in listed:
            ended = await client.delete(f"/v1/retention/holds/{told['id']}")
            assert ended.json()["released"] is not None
        await client.post("/v1/retention/run", json={"force": True})
        after = [await rows(client, tag, now_ns) for tag in ("st10/a", "hall/b")]
        assert after == [left[1] - 24] * 2

    house.run(work)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "where"),
    [
        ("PUT", "classes/x", {"age": "soon"}, 400, "age"),
        ("PUT", "classes/x", {"age": 5}, 400, "age"),
        ("PUT", "classes/x", {"bytes_max": -1}, 400, "bytes_max"),
        ("PUT", "classes/x", {"summary_interval": "7h"}, 400, "summary_interval"),
        ("PUT", "classes/x", {"summary_interval": 3600}, 400, "summary_interval"),
        ("PUT", "classes/x", {"summary_age": "soon"}, 400, "summary_age"),
        ("PUT", "classes/x", {"bytes_max": "1GB"}, 400, "bytes_max"),
        ("PUT", "classes/changes", {"age": "1d"}, 400, "name"),
        ("PUT", "classes/x", {"years": 1}, 400, None),
        ("PUT", "assignments", {"kind": "tag", "pattern": "a"}, 400, "class"),
        ("PUT", "assignments", {"kind": "line", "pattern": "a", "class": "default"}, 400, "kind"),
        ("PUT", "assignments", {"kind": "tag", "pattern": "a", "class": "none"}, 404, None),
        ("POST", "run", {"force": "yes"}, 400, "force"),
        ("POST", "holds", {"reason": "x"}, 400, "unit"),
        ("POST", "holds", {"unit": "none", "reason": "x"}, 404, None),
        ("POST", "holds", {"tags": ["no/*"], "start": "1", "end": "2", "reason": "x"}, 404, None),
        ("POST", "holds", {"tags": ["a"], "start": "2", "end": "2", "reason": "x"}, 400, "end"),
        ("POST", "holds", {"tags": "a", "start": "1", "end": "2", "reason": "x"}, 400, "tags"),
        ("DELETE", "holds/77", None, 404, None),
        ("DELETE", "classes/events", None, 409, None),
    ],
)
def test_a_wrong_request_changes_nothing(house, *, method, path, body, status, where):
    """What, got, want, where."""

    async def work(client, historian):
        before = len(historian.catalog.database.audit(limit=1000))
        answer = await client.request(method, f"/v1/retention/{path}", json=body)
        assert status == answer.status_code, answer.text
        if where:
            assert where == answer.json()["error"]["where"]
        assert before == len(historian.catalog.database.audit(limit=1000))

    house.run(work)


def test_only_administrators_change_anything(house):
    """Readers may look, plan included; writers may not delete."""

    async def work(client, historian):
        made = await client.post("/v1/tokens", json={"principal": "mes", "scope": "write"})
        async with house.client(historian, made.json()["token"]) as writer:
            for path in ("classes", "assignments", "plan", "runs", "holds"):
                assert 200 == (await writer.get(f"/v1/retention/{path}")).status_code
            for method, path in (
                ("PUT", "classes/x"),
                ("DELETE", "classes/x"),
                ("PUT", "assignments"),
                ("POST", "run"),
                ("POST", "holds"),
                ("DELETE", "holds/1"),
            ):
                answer = await writer.request(method, f"/v1/retention/{path}", json={})
                assert 403 == answer.status_code, path

    house.run(work)


@pytest.mark.parametrize("length", [1, 1_500, 10**9, 90 * 10**9, 7_200 * 10**9, 90 * DAY_NS])
def test_a_duration_is_told_as_it_is_read(length):
    """The largest unit that tells it whole."""
    assert length == parse_duration(duration_text(length), "age")


def call(*arguments, code=0):
    """Run a command in this process; return what it printed."""
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert code == done.exit_code, (done.output, done.exception)
    return done


def test_the_command_line_does_the_same(tmp_path):
    """Set, assign, plan, run, hold, release; a plan also from the files of a stopped server."""
    with ServerProcess(tmp_path) as server:
        options = ("--config", server.config)

        def told(*arguments):
            done = call("retention", *arguments, "--json", *options)
            return decode(done.stdout.encode())

        with server.client() as client:
            client.post("/v1/tags", json={"name": "st10/a", "type": "float64"})
            series = {"tag": "st10/a", "time": ["2026-01-01T00:00:00Z"], "value": [1.5]}
            client.post("/v1/samples", json={"time_unit": "iso", "series": [series]})
            unit = {"time": ["2026-01-01T00:00:00Z"], "columns": {"unit": ["SN1"]}}
            client.post("/v1/events/unit_created", json={"time_unit": "iso", **unit})
        summed = ("--summary-interval", "1h", "--summary-age", "3650d")
        made = told("set", "short", "--age", "90d", "--bytes-max", "20GB", *summed)
        assert ("90d", 20 * 10**9) == (made["age"], made["bytes_max"])
        assert ("1h", "3650d") == (made["summary_interval"], made["summary_age"])
        assert "short" == told("assign", "st10/*", "short", "--kind", "pattern")["class"]
        assert 1 == len(told("assignments")["assignments"])
        assert told("plan", "--force")["dry_run"]
        assert not told("run")["dry_run"]
        held = told("hold", "SN1", "--reason", "complaint")
        window = ("--start", "2026-01-01T00:00:00Z", "--end", "2026-01-02T00:00:00Z")
        assert ["st10/a"] == told("hold", "st10/a", *window, "--reason", "trial")["tags"]
        assert 2 == len(told("holds")["holds"])
        assert not told("release", held["id"])["active"]
        assert told("assign", "st10/*", "--kind", "pattern")["class"] is None
        for table in ("classes", "assignments", "holds", "runs", "plan"):
            shown = call("retention", table, *options).stdout
            assert shown
        assert "90d" in call("retention", "classes", *options).stdout
        assert "want a class" in call("retention", "set", *options, code=1).stderr
        wrong = call("retention", "set", "x", "--bytes-max", "many", *options, code=1)
        assert "want bytes" in wrong.stderr
        server.interrupt()
        assert told("plan")["dry_run"]
        refused = call("retention", "run", *options, code=1)
        assert "no server runs" in refused.stderr
        server.start()
