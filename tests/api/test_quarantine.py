"""The quarantine by both doors: listed, tried with a mapping, replayed once."""

import time

from typer.testing import CliRunner

from api.__main__ import app
from api.encoding import decode
from connectors.sink import Reject
from historian.collector.source_sink import payload_facts
from historian.ingest_testing import FrameProducer
from historian.testing import ServerProcess
from storage_engine.frame import Notice

MAPPING = {"topic": "lwt/+", "kind": "values", "address": "{topic[1]}", "words": {"up": True}}
TAG = {"name": "plc/p1", "type": "bool", "source": "plc", "address": "p1"}


def rejected(now_ns, payload=b"up"):
    """A frame with a message that no mapping took."""
    facts = {
        "collector": "edge",
        "source": "plc",
        "address": "lwt/p1",
        "reason": "cannot map message: got no mapping for this topic, want one",
        **payload_facts(Reject("lwt/p1", "", payload), 65_536),
        "time_ns": now_ns,
    }
    return FrameProducer().frame(notices=[Notice("reject", facts)])


def test_a_message_is_listed_tried_and_replayed_once(house):
    """Trying stores nothing, replaying twice stores nothing twice."""

    async def work(client, historian):
        now_ns = historian.clock.now_ns() - 1_000_000_000
        await client.post("/v1/tags", json=TAG)
        await historian.ingest.put_frames(rejected(now_ns), "e")
        listed = (await client.get("/v1/quarantine/messages", params={"topic": "lwt/#"})).json()
        (one,) = listed["messages"]
        assert ("plc", "lwt/p1", "waiting", "up") == tuple(
            one[key] for key in ("source", "topic", "state", "payload")
        )
        body = {"mappings": [MAPPING], "source": "plc", "dry_run": True}
        tried = (await client.post("/v1/quarantine/replay", json=body)).json()
        assert (True, 1, 1) == (tried["dry_run"], tried["mapped"], tried["rows"])
        assert (True, "p1") == tuple(tried["examples"][0][key] for key in ("value", "address"))
        body["dry_run"] = False
        answers = [(await client.post("/v1/quarantine/replay", json=body)).json() for _ in "12"]
        assert [(1, 0), (0, 1)] == [(a["mapped"], a["already"]) for a in answers]
        raw = await client.get("/v1/raw", params={"tag": "plc/p1", "start": "now-1h"})
        assert [True] == raw.json()["value"], raw.text

    house.run(work)


def test_wrong_requests_are_refused_and_readers_may_not_replay(house):
    """With the key that is wrong."""

    async def work(client, historian):
        for wrong in (
            {},
            {"mappings": []},
            {"mappings": [5]},
            {"mappings": [MAPPING], "limit": 0},
            {"mappings": [MAPPING], "dry_run": 1},
            {"mappings": [MAPPING], "topic": 5},
            {"mappings": [{**MAPPING, "kind": "magic"}]},
            {"mappings": [MAPPING], "topik": "x"},
        ):
            answer = await client.post("/v1/quarantine/replay", json=wrong)
            assert 400 == answer.status_code, (wrong, answer.text)
        secret = historian.tokens.issue("r", "read", "ann")
        async with house.client(historian, secret) as reader:
            found = await reader.get("/v1/quarantine/messages")
            refused = await reader.post("/v1/quarantine/replay", json={"mappings": [MAPPING]})
            assert (200, 403) == (found.status_code, refused.status_code)

    house.run(work)


def call(*arguments, code=0):
    """Run a command in this process; return what it printed."""
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert code == done.exit_code, (done.output, done.exception)
    return done


def test_the_command_line_does_the_same(tmp_path):
    """List, try, replay; without a mapping it says what is missing."""
    mapping = tmp_path / "mapping.toml"
    mapping.write_text(
        '[[mappings]]\ntopic = "lwt/+"\nkind = "values"\naddress = "{topic[1]}"\n'
        "words = { up = true }\n"
    )
    with ServerProcess(tmp_path / "h") as server:
        options = ("--config", server.config)
        with server.client() as client:
            client.post("/v1/tags", json=TAG)
            now_ns = time.time_ns()
            kind = {"content-type": "application/vnd.lighthouse.frames"}
            body = rejected(now_ns - 1_000_000_000)
            sent = client.post("/v1/frames", content=body, headers=kind)
            assert 200 == sent.status_code, sent.text
        assert "waiting" in call("quarantine", "list", *options).output
        tried = call("quarantine", "try", "--mapping", mapping, *options).output
        assert "1 of 1 messages would be mapped, 1 rows" in tried
        done = call("quarantine", "replay", "--mapping", mapping, "--json", *options)
        assert 1 == decode(done.stdout.encode())["mapped"]
        assert (
            "1 replayed before"
            in call("quarantine", "replay", "--mapping", mapping, *options).output
        )
        assert "--mapping" in call("quarantine", "try", *options, code=1).output
