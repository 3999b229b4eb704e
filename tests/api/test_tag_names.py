"""Rename and move: history stays, former names are found, names may change places."""

import dataclasses

import pytest

from historian.testing import ServerProcess


def series(tag, *values, start=1_000):
    """Body of a write: one sample a second from a time in seconds."""
    times = [(start + n) * 10**9 for n in range(len(values))]
    return {
        "time_unit": "ns",
        "series": [{"tag": tag, "time": [str(t) for t in times], "value": list(values)}],
    }


async def raw(client, tag):
    """Values of a tag and the name that the answer gives."""
    parameters = {"tag": tag, "start": "0", "end": "now"}
    answer = await client.get("/v1/raw", params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()["tag"], answer.json()["value"]


def test_a_renamed_tag_keeps_its_history_and_is_found_by_both_names(accepting):
    """Reads and writes by the former name reach it, and both say how it is called now."""

    async def work(client, historian):
        await client.post("/v1/tags", json={"name": "old/a"})
        assert (await client.post("/v1/samples", json=series("old/a", 1.0, 2.0))).status_code == 200
        answer = await client.get("/v1/tags/old/a")
        assert answer.status_code == 200, answer.text
        uuid = answer.json()["uuid"]

        answer = await client.patch("/v1/tags/old/a", json={"name": "new/a"})
        assert (answer.status_code, answer.json()["name"]) == (200, "new/a")
        stored = (await client.post("/v1/samples", json=series("old/a", 3.0, start=1_002))).json()
        assert (stored["stored"], stored["former_names"]) == (1, {"old/a": "new/a"})
        stored = (await client.post("/v1/samples", json=series("new/a", 4.0, start=1_003))).json()
        assert (stored["stored"], stored["former_names"]) == (1, {})

        for name in ("old/a", "new/a"):
            assert await raw(client, name) == ("new/a", [1.0, 2.0, 3.0, 4.0])
        told = (await client.get("/v1/tags/old/a")).json()
        assert (told["name"], told["uuid"]) == ("new/a", uuid)
        assert [one["name"] for one in told["names"]] == ["old/a", "new/a"]
        assert told["names"][0]["to"] == told["names"][1]["from"]
        assert told["names"][1]["to"] is None
        found = (await client.get("/v1/tags", params={"search": "old"})).json()["tags"]
        assert [one["name"] for one in found] == ["new/a"]
        entry = historian.catalog.database.audit()[0]
        assert (entry.action, entry.subject) == ("rename tag", "old/a")
        counted = [
            sample.value
            for family in historian.metrics.registry.collect()
            for sample in family.samples
            if sample.name == "historian_former_name_rows_total"
        ]
        assert counted == [1]

    accepting.run(work)


def test_renames_outlive_a_restart_and_a_freed_name_may_be_taken(accepting):
    """By another tag, when it is said; then the name means that one."""

    async def first(client, historian):
        await client.post("/v1/tags", json={"name": "a"})
        await client.post("/v1/samples", json=series("a", 1.0))
        await client.patch("/v1/tags/a", json={"name": "b"})
        await client.patch("/v1/tags/b", json={"name": "c"})

    async def second(client, historian):
        for name in ("a", "b", "c"):
            assert await raw(client, name) == ("c", [1.0])
        answer = await client.post("/v1/tags", json={"name": "a"})
        assert answer.status_code == 409
        assert "former name of 'c'" in answer.json()["error"]["message"]
        answer = await client.post("/v1/tags", json={"name": "a", "take_name": True})
        assert answer.status_code == 201
        assert await raw(client, "a") == ("a", [])
        assert await raw(client, "b") == ("c", [1.0])
        past = (await client.get("/v1/tags/c")).json()["names"][0]["from"]
        found = await client.get("/v1/tags/a", params={"at": past})
        assert found.json()["name"] == "c"
        assert (await client.get("/v1/tags/a", params={"at": "now"})).json()["name"] == "a"
        assert (await client.get("/v1/tags/a", params={"at": "0"})).status_code == 404

    accepting.run(first)
    accepting.run(second)


def test_names_change_places_in_one_call(accepting):
    """And three in a ring; one wrong entry changes nothing."""

    async def work(client, historian):
        for value, name in enumerate("abc"):
            await client.post("/v1/tags", json={"name": name})
            await client.post("/v1/samples", json=series(name, float(value)))
        changes = [{"tag": "a", "name": "b"}, {"tag": "b", "name": "a", "asset": "hall"}]
        answer = await client.patch("/v1/tags", json={"changes": changes})
        assert [one["name"] for one in answer.json()["tags"]] == ["b", "a"]
        assert [(await raw(client, name))[1] for name in "abc"] == [[1.0], [0.0], [2.0]]

        uuids = {n: (await client.get(f"/v1/tags/{n}")).json()["uuid"] for n in "abc"}
        ring = [{"uuid": uuids[x], "name": y} for x, y in ("ab", "bc", "ca")]
        assert (await client.patch("/v1/tags", json={"changes": ring})).status_code == 200
        assert [(await raw(client, name))[1] for name in "abc"] == [[2.0], [1.0], [0.0]]

        for wrong, status in (
            ([{"tag": "a", "name": "z"}, {"tag": "b", "name": "z"}], 409),
            ([{"tag": "a", "name": "z"}, {"tag": "b", "name": "c"}], 409),
            ([{"tag": "a", "name": "z"}, {"tag": "a", "asset": "x"}], 400),
            ([{"tag": "a", "name": "z"}, {"tag": "nobody", "name": "y"}], 404),
            ([{"tag": "a", "name": " z"}], 400),
            ([{"tag": "a", "uuid": uuids["a"]}], 400),
            ([{"name": "z"}], 400),
            ([{"tag": "a", "address": "x"}], 400),
            ([{"tag": "a", "stepped": None}], 400),
            ([{"tag": "a", "description": "x" * 5_000}], 400),
            ({}, 400),
        ):
            answer = await client.patch("/v1/tags", json={"changes": wrong})
            assert answer.status_code == status, (wrong, answer.text)
        assert sorted(tag.name for tag in historian.catalog.every()) == ["a", "b", "c"]

    accepting.run(work)


def test_a_move_is_in_the_audit_and_touches_nothing_else(accepting):
    """The binding to an address stays, and so do texts that the change does not name."""

    async def work(client, historian):
        body = {"name": "a", "source": "plc", "address": "x", "eng_unit": "bar", "asset": "hall"}
        await client.post("/v1/tags", json=body)
        moved = (await client.patch("/v1/tags/a", json={"asset": "yard"})).json()
        assert {**body, "asset": "yard"} == {key: moved[key] for key in body}
        entry = historian.catalog.database.audit()[0]
        assert (entry.action, entry.before["asset"], entry.after["asset"]) == (
            "move tag",
            "hall",
            "yard",
        )
        await client.patch("/v1/tags/a", json={"name": "b"})
        assert historian.catalog.find_address("plc", "x").name == "b"
        same = await client.patch("/v1/tags/b", json={"name": "b"})
        assert same.status_code == 200
        assert historian.catalog.database.audit()[0].action == "rename tag"
        assert (await client.patch("/v1/tags/nobody", json={})).status_code == 404

    accepting.run(work)


def test_a_change_of_type_is_joined_by_reads(accepting):
    """Declared float, then its source sends integers: one history, raw and in aggregates."""

    async def work(client, historian):
        await client.post("/v1/tags", json={"name": "a", "stepped": True})
        await client.post("/v1/samples", json=series("a", 1.5, 2.5))
        wrong = await client.post("/v1/tags", json={"name": "a", "type": "int64"})
        assert (wrong.status_code, wrong.json()["error"]["code"]) == (409, "conflict")
        changed = await client.patch("/v1/tags/a", json={"type": "int64"})
        assert (changed.status_code, changed.json()["type"]) == (200, "int64")
        assert changed.json()["series"] == ["float64", "int64"]
        stored = await client.post("/v1/samples", json=series("a", 3, 4, start=1_002))
        assert stored.json()["stored"] == 2
        refused = await client.post("/v1/samples", json=series("a", 4.5, start=1_004))
        assert refused.json()["rejected"] == 1

        name, values = await raw(client, "a")
        assert (name, values) == ("a", [1.5, 2.5, 3, 4])
        answer = await client.get(
            "/v1/aggregates",
            params={
                "tag": "a",
                "start": str(1_000 * 10**9),
                "end": str(1_004 * 10**9),
                "interval": "4s",
                "aggregate": ["Average", "Count", "Maximum"],
            },
        )
        told = answer.json()
        assert answer.status_code == 200, answer.text
        values = [told[one][0] for one in ("Average", "Count", "Maximum")]
        assert values == [2.75, 4, 4.0]
        again = await client.patch("/v1/tags/a", json={"type": "float64"})
        assert again.json()["type"] == "float64"
        assert (await client.post("/v1/samples", json=series("a", 4.5, start=1_004))).json()[
            "stored"
        ] == 1
        assert (await raw(client, "a"))[1] == [1.5, 2.5, 3, 4, 4.5]

    accepting.run(work)


def test_samples_by_old_and_new_names_outlive_a_kill(tmp_path):
    """The log is read again with the names as they were written, into the one series."""
    server = ServerProcess(tmp_path)
    start = 1_700_000_000
    with server:
        with server.client() as client:
            client.post("/v1/tags", json={"name": "a"})
            client.post("/v1/samples", json=series("a", 1.0, start=start))
            client.patch("/v1/tags/a", json={"name": "b"})
            client.post("/v1/samples", json=series("b", 2.0, start=start + 1))
            client.post("/v1/samples", json=series("a", 3.0, start=start + 2))
        server.kill()
        server.start()
        with server.client() as client:
            for name in ("a", "b"):
                parameters = {"tag": name, "start": str(start * 10**9)}
                told = client.get("/v1/raw", params=parameters).json()
                assert (told["tag"], told["value"]) == ("b", [1.0, 2.0, 3.0])


@pytest.fixture
def accepting(house):
    """A house that takes samples of the epoch's first hour."""
    ingest = dataclasses.replace(house.config.ingest, time_min="1970-01-01T00:00:00Z")
    house.config = dataclasses.replace(house.config, ingest=ingest)
    return house
