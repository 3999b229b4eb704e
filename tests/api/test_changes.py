"""Changes of history over HTTP: the trail, what is read now, and what was known before."""

TAG = "st10/temperature"
BEGIN_S = 1_767_225_600  # 2026-01-01T00:00:00Z


async def written(client, values):
    """Store samples of the tag, one a second; gives the answer."""
    times = [(BEGIN_S + k) * 10**9 for k in range(len(values))]
    document = {"time_unit": "ns", "series": [{"tag": TAG, "time": times, "value": values}]}
    answer = await client.post("/v1/samples", json=document)
    assert answer.status_code == 200, answer.text
    assert len(values) == answer.json()["stored"], answer.text
    return answer.json()


async def read(client, path="raw", **more):
    """Answer of a read of the tag over all of the test's window."""
    window = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"}
    answer = await client.get(f"/v1/{path}", params={"tag": TAG, **window, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def changed(client, **document):
    """Post a change; gives status and answer."""
    answer = await client.post("/v1/changes", json={"tag": TAG, "reason": "drift", **document})
    return answer.status_code, answer.json()


def test_a_deleted_window_is_gone_now_and_known_before(house):
    async def work(client, historian):
        await client.post("/v1/tags", json={"name": TAG, "type": "float64"})
        before = await written(client, [1.0, 2.0, 3.0])
        window = {"start": "2026-01-01T00:00:01Z", "end": "2026-01-01T00:00:02Z"}
        status, answer = await changed(client, verb="delete", **window)
        assert (200, "delete") == (status, answer["verb"])

        now = await read(client)
        assert [1.0, 3.0] == now["value"]
        assert [] == now["damage"]
        earlier = await read(client, known_at_lsn=before["lsn"])
        assert [1.0, 2.0, 3.0] == earlier["value"]
        count = {"aggregate": "Count"}
        is_now = await read(client, "aggregates", interval="2s", **count)
        assert [1, 1] == is_now["Count"][:2]
        assert [True, False, False] == is_now["edited"][:3]
        was = await read(client, "aggregates", known_at_lsn=before["lsn"], **count)
        assert [3] == was["Count"]
        assert [False] == was["edited"]
        assert 2 == (await read(client, "plot"))["samples_used"]
        assert 3 == (await read(client, "plot", known_at_lsn=before["lsn"]))["samples_used"]

        trail = (await client.get("/v1/changes", params={"start": "now-1h", "tag": TAG})).json()
        assert [("delete", TAG, "admin", "drift", answer["lsn"])] == [
            (c["verb"], c["tag"], c["principal"], c["reason"], c["lsn"]) for c in trail["changes"]
        ]

    house.run(work)


def test_known_at_a_time_is_known_at_its_lsn(house):
    async def work(client, historian):
        await client.post("/v1/tags", json={"name": TAG, "type": "float64"})
        await written(client, [1.0])
        moment = historian.clock.now_ns()
        while historian.clock.now_ns() < moment + 250_000_000:
            await historian.clock.sleep(0.05)
        await written(client, [5.0])

        assert [5.0] == (await read(client))["value"]
        assert [1.0] == (await read(client, known_at=f"{moment + 110_000_000}"))["value"]
        both = {"tag": TAG, "start": "0", "known_at": "now", "known_at_lsn": 1}
        refused = await client.get("/v1/raw", params=both)
        assert (400, "invalid_parameter") == (refused.status_code, refused.json()["error"]["code"])

    house.run(work)


def test_an_edit_keeps_the_old_value_and_says_who_and_why(house):
    async def work(client, historian):
        await client.post("/v1/tags", json={"name": TAG, "type": "float64"})
        await written(client, [1.0, 2.0])
        times = [(BEGIN_S + 1) * 10**9]
        status, answer = await changed(
            client, verb="edit", time_unit="ns", time=times, value=[2.5], reason="typing error"
        )
        assert (200, 1, 0) == (status, answer["stored"], answer["rejected"])

        assert [1.0, 2.5] == (await read(client))["value"]
        assert [1.0, 2.0, 2.5] == (await read(client, revisions="all"))["value"]
        trail = (await client.get("/v1/changes", params={"start": "now-1h"})).json()["changes"]
        assert [("edit", "typing error")] == [(c["verb"], c["reason"]) for c in trail]
        assert int(trail[0]["lsn"]) < int(answer["lsn"])

        status, answer = await changed(client, verb="edit", time_unit="ns", time=times, value=["x"])
        assert 400 == status
        status, answer = await changed(client, verb="edit", time_unit="ns", time=[], value=[])
        assert 400 == status

    house.run(work)


def test_an_erasure_is_listed_until_the_rows_are_gone(house):
    async def work(client, historian):
        await client.post("/v1/tags", json={"name": TAG, "type": "symbol"})
        before = await written(client, ["secret", "fine"])
        window = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T00:00:01Z"}
        status, _ = await changed(client, verb="erase", **window)
        assert 200 == status
        assert ["fine"] == (await read(client, known_at_lsn=before["lsn"]))["value"]
        listed = (await client.get("/v1/erasures")).json()["erasures"]
        assert [(TAG, ["wal"])] == [(e["tag"], e["waits_for"]) for e in listed]

        historian.engine.finish_erasures(lambda size: None)
        assert [] == (await client.get("/v1/erasures")).json()["erasures"]

    house.run(work)


def test_events_can_be_deleted_and_what_stands_on_them_is_derived_again(house):
    async def work(client, historian):
        body = {"time": ["2026-01-01T00:00:00Z"], "columns": {"unit": ["U1"], "product": ["P"]}}
        answer = await client.post("/v1/events/unit_created", json=body)
        assert 200 == answer.status_code, answer.text
        assert 200 == (await client.get("/v1/units/U1")).status_code
        document = {
            "verb": "delete",
            "kind": "unit_created",
            "start": "2026-01-01T00:00:00Z",
            "end": "2026-01-01T00:00:01Z",
            "reason": "test run",
        }
        deleted = await client.post("/v1/changes", json=document)
        assert 200 == deleted.status_code, deleted.text

        assert 404 == (await client.get("/v1/units/U1")).status_code
        params = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"}
        assert 0 == (await client.get("/v1/events/unit_created", params=params)).json()["count"]
        known = {**params, "known_at_lsn": int(deleted.json()["lsn"]) - 1}
        found = (await client.get("/v1/events/unit_created", params=known)).json()
        assert ["U1"] == found["unit"]

    house.run(work)


def test_the_rule_of_duplicates_is_one_of_reading(house):
    async def work(client, historian):
        await client.post("/v1/tags", json={"name": TAG, "type": "float64"})
        await written(client, [1.0])
        await written(client, [2.0])
        for rule, expected in (("first", [1.0]), ("all", [1.0, 2.0]), ("last", [2.0])):
            answer = await client.put("/v1/duplicates", json={"tag": TAG, "rule": rule})
            assert 200 == answer.status_code, answer.text
            assert expected == (await read(client))["value"]
            params = {"tag": TAG}
            assert rule == (await client.get("/v1/duplicates", params=params)).json()["rule"]
            assert [1] == (await read(client, "aggregates", aggregate="Count"))["Count"]
            latest = (await client.get("/v1/latest", params=params)).json()
            assert expected[-1:] == latest["value"]
        refused = await client.put("/v1/duplicates", json={"tag": TAG, "rule": "middle"})
        assert 400 == refused.status_code

    house.run(work)


def test_bad_changes_are_refused_and_removing_needs_the_administrator(house):
    async def work(client, historian):
        await client.post("/v1/tags", json={"name": TAG, "type": "float64"})
        window = {"start": "0", "end": "now"}
        for document, code in (
            ({"verb": "forget"}, 400),
            ({"verb": "delete", **window, "reason": " "}, 400),
            ({"verb": "delete", "start": "now", "end": "0"}, 400),
            ({"verb": "delete", **window, "kind": "unit_created"}, 400),
            ({"verb": "delete", **window, "tag": "none such"}, 404),
            ({"verb": "annotate", **window}, 400),
            ({"verb": "delete", **window, "value": [1], "other": 1}, 400),
        ):
            status, answer = await changed(client, **document)
            assert code == status, (document, answer)
        body = {"principal": "writer", "scope": "write"}
        token = (await client.post("/v1/tokens", json=body)).json()["token"]
        async with house.client(historian, token) as writer:
            status, _ = await changed(writer, verb="delete", **window)
            assert 403 == status
            status, _ = await changed(writer, verb="annotate", **window, comment="noisy here")
            assert 200 == status
        trail = (await client.get("/v1/changes", params={"start": "now-1h"})).json()["changes"]
        assert [("annotate", "writer", "noisy here")] == [
            (c["verb"], c["principal"], c["comment"]) for c in trail
        ]

    house.run(work)
