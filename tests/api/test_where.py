"""api/routes: raw samples, aggregates, values and plots that a filter narrows, through the door."""

import pytest

WINDOW = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T00:00:40Z"}
RUNNING = "{line/state} = 'run'"
S = 1_000_000_000
NO_DATA = 0x809B_0000


async def _plant(client):
    for name, type_ in (("line/force", "float64"), ("line/state", "symbol")):
        answer = await client.post("/v1/tags", json={"name": name, "type": type_})
        assert answer.status_code == 201, answer.text
    times = [f"2026-01-01T00:00:{second:02}Z" for second in (0, 5, 15, 25, 35)]
    series = [
        {"tag": "line/force", "time": times, "value": [1.0, 2.0, 4.0, 8.0, 16.0]},
        {
            "tag": "line/state",
            "time": [f"2026-01-01T00:00:{second:02}Z" for second in (0, 10, 20)],
            "value": ["idle", "run", "idle"],
        },
    ]
    answer = await client.post("/v1/samples", json={"series": series})
    assert answer.status_code == 200, answer.text


async def _get(client, path, **asked):
    window = {} if path == "/v1/at-times" else WINDOW
    answer = await client.get(path, params={"tag": "line/force", **window, **asked})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_raw_samples_where_a_filter_is_true(house):
    """Of another tag, of the tag itself, in pages, backwards; what is not known is left out."""

    async def work(client, historian):
        await _plant(client)

        assert [4.0] == (await _get(client, "/v1/raw", where=RUNNING))["value"]
        above = await _get(client, "/v1/raw", where="{line/force} between 2 and 8", backward=True)
        assert [8.0, 4.0, 2.0] == above["value"]
        idle = await _get(client, "/v1/raw", where="not " + RUNNING)
        assert [1.0, 2.0] == idle["value"], "after its newest sample a state is not known"
        asked = {"where": "not " + RUNNING, "hold_last": True, "max_count": 3}
        first = await _get(client, "/v1/raw", **asked)
        rest = await _get(client, "/v1/raw", **asked, continuation=first["continuation"])
        assert [[1.0, 2.0, 8.0], [16.0]] == [first["value"], rest["value"]]
        assert rest["continuation"] is None

    house.run(work)


def test_aggregates_where_a_filter_is_true(house):
    """Each interval tells for how long; one without such time has no data."""

    async def work(client, historian):
        await _plant(client)
        asked = {"aggregate": ["Count", "Maximum", "DurationGood"], "interval": "15s"}

        found = await _get(client, "/v1/aggregates", **asked, where=RUNNING, hold_last=True)

        assert [5 * S, 5 * S, 0] == found["true_ns"]
        assert [0, 0, 0] == found["unknown_ns"]
        assert [5_000.0, 5_000.0, None] == found["DurationGood"]
        assert [None, 4.0, None] == found["Maximum"]
        assert NO_DATA == found["Count_status"][2]
        plain = await _get(client, "/v1/aggregates", **asked)
        assert "true_ns" not in plain

    house.run(work)


def test_many_tags_where_a_filter_is_true(house):
    """The same filter for each."""

    async def work(client, historian):
        await _plant(client)
        tags = {"tag": ["line/force", "line/state"], **WINDOW, "where": RUNNING}

        answer = await client.post("/v1/raw", json=tags)
        assert answer.status_code == 200, answer.text
        assert [[4.0], ["run"]] == [one["value"] for one in answer.json()["tags"]]

    house.run(work)


@pytest.mark.parametrize("path", ["/v1/raw", "/v1/aggregates", "/v1/interpolated", "/v1/plot"])
def test_a_wrong_filter_is_refused_there_too(house, path):
    """With its character, by name, and by the bounds of the server."""

    async def work(client, historian):
        await _plant(client)
        good = {"tag": "line/force", **WINDOW, "where": RUNNING}
        good |= {"aggregate": "Count"} if path == "/v1/aggregates" else {}
        good |= {"interval": "1s"} if path == "/v1/interpolated" else {}
        cases = [
            ({"where": "{line/state} = "}, 400, "where, character 15"),
            ({"where": "{line/state} > 5"}, 400, "where, character 0"),
            ({"where": ""}, 400, "where, character 0"),
            ({"where": "{nobody} = 1"}, 404, "tag"),
        ]
        if path == "/v1/raw":
            cases.append(({"bounds": "outside"}, 400, "bounds"))
        else:
            cases.append(({"end": WINDOW["start"]}, 400, "end_ns"))
        for more, status, where in cases:
            answer = await client.get(path, params={**good, **more})
            told = answer.json()["error"]
            assert (status, where) == (answer.status_code, told["where"]), (more, told)

    house.run(work)


def test_values_at_times_where_a_filter_is_true(house):
    """Rows stay, and each says what the filter was; as a table, too, and of a body."""

    async def work(client, historian):
        await _plant(client)
        at = [f"2026-01-01T00:00:{second:02}Z" for second in (17, 5, 30)]
        states, value = ["true", "false", "unknown"], [4.8, None, None]

        found = await _get(client, "/v1/at-times", where=RUNNING, at=at)
        assert (states, [value]) == (found["state"], found["value"])
        assert [0x402, NO_DATA, NO_DATA] == found["status"][0]
        body = {"tag": ["line/force"], "at": at, "where": RUNNING}
        answer = await client.post("/v1/at-times", json=body)
        assert found == answer.json()

        grid = await _get(client, "/v1/interpolated", interval="10s", where=RUNNING)
        assert ["false", "true", "false", "unknown"] == grid["state"]
        assert [[None, 3.0, None, None]] == grid["value"]
        asked = {"tag": "line/force", **WINDOW, "interval": "10s", "where": RUNNING}
        sheet = await client.get("/v1/interpolated", params={**asked, "form": "csv"})
        assert "time,state,value:line/force,status:line/force" == sheet.text.splitlines()[0]
        assert '"true",3.0,1026' in sheet.text
        assert "state" not in await _get(client, "/v1/interpolated", interval="10s")

    house.run(work)


def test_a_plot_where_a_filter_is_true(house):
    """The line breaks where the filter ends; many tags share one filter."""

    async def work(client, historian):
        await _plant(client)

        found = await _get(client, "/v1/plot", pixels=10, where=RUNNING)
        assert [4.0, None] == found["value"]
        assert ([1], [], 1) == (found["break_rows"], found["bound_rows"], found["samples_used"])
        assert (10 * S, 20 * S - 1) == (found["true_ns"], found["unknown_ns"])
        assert "true_ns" not in await _get(client, "/v1/plot", pixels=10)
        body = {"tag": ["line/force", "line/state"], **WINDOW, "pixels": 10, "where": RUNNING}
        many = (await client.post("/v1/plot", json=body)).json()["tags"]
        assert [[4.0, None], ["run", None]] == [one["value"] for one in many]

    house.run(work)
