"""Time in states and correlation through the door, with their errors."""

import tomllib
from dataclasses import replace

import pytest

from historian.config import QueryConfig, parse_config

S = 1_000_000_000
BEGIN = 1_767_225_600 * S  # 2026-01-01T00:00:00Z
WINDOW = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T00:01:00Z"}


async def _plant(client):
    tags = (
        ("mode", {"type": "int64", "state_set": "modes"}),
        ("recipe", {"type": "symbol"}),
        ("x", {"type": "float64", "eng_unit": "bar"}),
        ("y", {"type": "float64"}),
    )
    for name, more in tags:
        answer = await client.post("/v1/tags", json={"name": name, **more})
        assert answer.status_code == 201, answer.text
    times = [BEGIN + k * 10 * S for k in range(7)]
    series = [
        {"tag": "mode", "time": times, "value": [0, 1, 1, 7, 1, 0, 0]},
        {"tag": "recipe", "time": times[:2], "value": ["a", "b"]},
        {"tag": "x", "time": times, "value": [0.0, 2.0, 1.0, 3.0, 0.0, 5.0, 1.0]},
        {"tag": "y", "time": times, "value": [1.0, -3.0, -1.0, -5.0, 1.0, -9.0, -1.0]},
    ]
    answer = await client.post("/v1/samples", json={"time_unit": "ns", "series": series})
    assert answer.status_code == 200, answer.text


@pytest.fixture
def plant(house, tmp_path):
    text = (
        '[store]\npath = "store"\nfree_bytes_min = 1000000\n[http]\ntoken_file = "token"\n'
        '[[state_sets]]\nname = "modes"\nstates = ["idle", "run"]\n'
    )
    house.config = parse_config(tomllib.loads(text), base=tmp_path)
    return house


def test_states_are_told_with_their_names(plant):
    """A value beyond the state set has no name; the rows of an interval fill it."""

    async def work(client, historian):
        await _plant(client)
        asked = {"tag": "mode", **WINDOW, "interval": "30s"}
        found = (await client.get("/v1/states", params=asked)).json()
        assert found["state"] == [0, 1, 0, 1, 7]
        assert found["label"] == ["idle", "run", "idle", "run", None]
        assert [ns // S for ns in found["duration_ns"]] == [10, 20, 10, 10, 10]
        assert found["percent"] == pytest.approx([100 / 3, 200 / 3] + [100 / 3] * 3)
        assert found["entries"] == [1, 1, 1, 1, 1]
        many = {"tag": ["mode", "recipe"], **WINDOW, "interval": "30s"}
        tables = (await client.post("/v1/states", json=many)).json()["tags"]
        assert tables[0] == found
        assert tables[1]["state"] == ["a", "b", None, None]
        assert "label" not in tables[1]
        held = {**asked, "tag": "recipe", "hold_last": "true", "form": "csv"}
        lines = (await client.get("/v1/states", params=held)).text.split("\r\n")
        assert lines[0] == ("start,end,state,duration_ns,percent,entries,longest_ns,first_entry_ns")
        assert len(lines) == 5

    plant.run(work)


def test_correlation_finds_how_two_tags_go_together(plant):
    async def work(client, historian):
        await _plant(client)
        asked = {"x": "x", "y": "y", **WINDOW, "every": "5s", "shift": ["0", "-10s", "10s"]}
        found = (await client.get("/v1/correlation", params=asked)).json()
        assert found["shift_ns"] == [0, -10 * S, 10 * S]
        assert found["pairs"] == [12, 10, 11]
        assert found["r"][0] == pytest.approx(-1)
        assert (found["slope"][0], found["intercept"][0]) == pytest.approx((-2, 1))
        assert found["best"] == [True, False, False]
        assert found["x"]["eng_unit"] == "bar"
        flat = {**asked, "shift": "0", "every": "1m"}
        assert (await client.get("/v1/correlation", params=flat)).json()["r"] == [None]

    plant.run(work)


@pytest.mark.parametrize(
    ("path", "asked", "status", "where"),
    [
        ("states", {"tag": "nobody"}, 404, "tag"),
        ("states", {"tag": "x"}, 400, "tag"),
        ("states", {"tag": "mode", "end": "2026-01-01T00:00:00Z"}, 400, "end_ns"),
        ("states", {"tag": "mode", "interval": "0"}, 400, "interval"),
        ("states", {"tag": "mode", "zone": "Europe/Nowhere", "interval": "1d"}, 400, "zone"),
        ("states", {"tag": "x", "stepped": "false"}, 400, "tag"),
        ("states", {"tag": "mode", "where": "{x} > 1"}, 400, "query where"),
        ("states", {"tag": "mode", "interval": "1ms"}, 422, "interval_ns"),
        ("correlation", {"x": "x", "y": "nobody", "every": "1s"}, 404, "tag"),
        ("correlation", {"x": "x", "y": "recipe", "every": "1s"}, 400, "y"),
        ("correlation", {"x": "x", "y": "y"}, 400, "query every"),
        ("correlation", {"x": "x", "y": "y", "every": "soon"}, 400, "every"),
        ("correlation", {"x": "x", "y": "y", "every": "1s", "shift": "late"}, 400, "shift"),
        ("correlation", {"x": "x", "y": "y", "every": "1ms"}, 422, "every_ns"),
    ],
)
def test_what_cannot_be_answered_is_told(plant, path, asked, status, where):
    limits = QueryConfig(intervals_max=1_000, values_max=1_000)
    plant.config = replace(plant.config, query=limits)

    async def work(client, historian):
        await _plant(client)
        answer = await client.get(f"/v1/{path}", params={**WINDOW, **asked})
        assert answer.status_code == status, answer.text
        error = answer.json()["error"]
        assert error["where"] == where
        assert error["want"]

    plant.run(work)
