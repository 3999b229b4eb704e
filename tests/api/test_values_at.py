"""api/routes/values.py: values of tags at times, through the door."""

import pyarrow as pa

WINDOW = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T00:00:40Z"}


async def _plant(client):
    await client.post("/v1/tags", json={"name": "line/force", "type": "float64", "eng_unit": "N"})
    await client.post("/v1/tags", json={"name": "line/state", "type": "symbol"})
    times = [f"2026-01-01T00:00:{second:02}Z" for second in (0, 20)]
    series = [
        {"tag": "line/force", "time": times, "value": [1.0, 3.0]},
        {"tag": "line/state", "time": times, "value": ["idle", "run"]},
    ]
    answer = await client.post("/v1/samples", json={"series": series})
    assert answer.status_code == 200, answer.text


async def _ask(client, path, **parameters):
    asked = {"tag": ["line/force", "line/state"], "time": "iso", **parameters}
    answer = await client.get(path, params=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_values_of_several_tags_at_given_times(house):
    async def work(client, historian):
        await _plant(client)

        at = ["2026-01-01T00:00:20Z", "2026-01-01T00:00:05Z", "2025-12-31T00:00:00Z"]
        found = await _ask(client, "/v1/at-times", at=at)

        assert [[3.0, 1.5, None], ["run", "idle", None]] == found["value"]
        assert [[0, 0x402, 0x809B_0000]] * 2 == found["status"]
        assert ["N", ""] == found["eng_unit"]
        assert [text[:19] for text in at] == [text[:19] for text in found["time"]]

    house.run(work)


def test_values_at_the_beginnings_of_intervals_in_both_forms(house):
    async def work(client, historian):
        await _plant(client)

        found = await _ask(client, "/v1/interpolated", interval="10s", **WINDOW)
        assert [[1.0, 2.0, 3.0, 3.0], ["idle", "idle", "run", "run"]] == found["value"]
        hours = {"start": "2025-12-31T22:30:00Z", "end": "2026-01-01T00:00:30Z"}
        found = await _ask(client, "/v1/interpolated", interval="1h", zone="Europe/Berlin", **hours)
        assert ["2025-12-31T23:00", "2026-01-01T00:00"] == [t[:16] for t in found["time"]]

        parameters = {"tag": ["line/force"], "interval": "10s", **WINDOW}
        accept = {"accept": "application/vnd.apache.arrow.stream"}
        answer = await client.get("/v1/interpolated", params=parameters, headers=accept)
        table = pa.ipc.open_stream(answer.content).read_all()
        assert ["time", "value:line/force", "status:line/force"] == table.column_names
        assert [1.0, 2.0, 3.0, 3.0] == table["value:line/force"].to_pylist()

    house.run(work)


def test_a_wrong_question_is_refused_by_name(house):
    async def work(client, historian):
        await _plant(client)
        for path, more, status, where in (
            ("at-times", {"at": "tomorrow"}, 400, "at"),
            ("at-times", {"at": "now", "tag": "nobody"}, 404, "tag"),
            ("at-times", {}, 400, "query at"),
            ("at-times", {"at": "now", "bounds": "outside"}, 400, "query bounds"),
            ("interpolated", {**WINDOW}, 400, "query interval"),
            ("interpolated", {**WINDOW, "interval": "0s"}, 400, "interval"),
            ("interpolated", {**WINDOW, "interval": "1ns"}, 422, "interval_ns"),
            ("interpolated", {"start": "now", "end": "now", "interval": "1s"}, 400, "end_ns"),
            ("interpolated", {**WINDOW, "interval": "1h", "zone": "Moon"}, 400, "zone"),
        ):
            answer = await client.get(f"/v1/{path}", params={"tag": "line/force", **more})
            told = answer.json()["error"]
            assert (status, where) == (answer.status_code, told["where"]), (path, more, told)

    house.run(work)


def test_a_plot_by_another_method(house):
    async def work(client, historian):
        await _plant(client)
        for method, status in (("m4", 200), ("minmaxlttb", 200), ("lttb", 200), ("average", 400)):
            asked = {"tag": "line/force", "pixels": 10, "method": method, **WINDOW}
            answer = await client.get("/v1/plot", params=asked)
            assert status == answer.status_code, answer.text
            assert status != 200 or [1.0, 3.0] == answer.json()["value"]

    house.run(work)


def test_thousands_of_tags_are_named_in_a_body(house):
    """The same answers as with an address; a wrong body is refused by name."""

    async def work(client, historian):
        await _plant(client)
        many = ["line/force", "line/state"] * 2_500
        window = {**WINDOW, "interval": "10s"}
        for path, more in (("latest", {}), ("at-times", {"at": ["now"]}), ("interpolated", window)):
            few = await _ask(client, f"/v1/{path}", **more)
            asked = {"tag": many, "time": "iso", **more}
            answer = await client.post(f"/v1/{path}", json=asked)
            assert answer.status_code == 200, answer.text
            assert few["value"] * 2_500 == answer.json()["value"]
        for body, code, where in (
            (b"{", "invalid_json", "body"),
            (b"[]", "invalid_parameter", "body"),
            (b'{"tag": []}', "invalid_parameter", "body tag"),
            (b'{"tag": "line/force"}', "invalid_parameter", "body tag"),
            (b'{"tag": ["line/force"], "tags": 1}', "unknown_parameter", "body tags"),
        ):
            answer = await client.post("/v1/latest", content=body)
            told = answer.json()["error"]
            assert (400, code, where) == (answer.status_code, told["code"], told["where"]), body

    house.run(work)
