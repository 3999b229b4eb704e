"""api/routes/joins.py: windows, times and intervals joined, through the door."""

import pyarrow as pa
import pytest

S = 1_000_000_000
BEGIN = 1_767_225_600 * S  # 2026-01-01T00:00:00Z


async def _plant(client):
    await client.post("/v1/tags", json={"name": "line/force", "type": "float64", "eng_unit": "N"})
    await client.post("/v1/tags", json={"name": "line/state", "type": "symbol"})
    times = [BEGIN + second * S for second in (0, 20, 40)]
    series = [
        {"tag": "line/force", "time": times, "value": [1.0, 3.0, 3.0]},
        {"tag": "line/state", "time": times, "value": ["idle", "run", "idle"]},
    ]
    answer = await client.post("/v1/samples", json={"time_unit": "ns", "series": series})
    assert answer.status_code == 200, answer.text


WINDOWS = {
    "tags": [{"tag": "line/force", "low": 2.0}],
    "start": ["2026-01-01T00:00:10Z", BEGIN],
    "end": [str(BEGIN + 30 * S), "2026-01-01T00:00:10Z"],
}


def test_windows_are_answered_per_tag_in_both_forms(house):
    async def work(client, historian):
        await _plant(client)
        answer = await client.post("/v1/joins/windows", json=WINDOWS)
        assert answer.status_code == 200, answer.text
        (table,) = answer.json()["tags"]
        assert ("line/force", "N", [1, 1]) == (table["tag"], table["eng_unit"], table["count"])
        assert [2.75, 1.5] == table["mean"]
        assert [2.0, 1.0] == table["held"]
        assert [20 * S, 0] == table["in_band_ns"]
        assert [3.0, 1.0] == table["maximum"]
        accept = {"accept": "application/vnd.apache.arrow.stream"}
        later = {**WINDOWS, "tags": [*WINDOWS["tags"], {"tag": "line/force", "shift": "-10s"}]}
        answer = await client.post("/v1/joins/windows", json=later, headers=accept)
        rows = pa.ipc.open_stream(answer.content).read_all().to_pydict()
        assert ["line/force"] * 4 == rows["tag"]
        assert [2.75, 1.5, 2.0] == rows["mean"][:3]
        assert rows["mean"][3] is None  # ten seconds earlier there was nothing

    house.run(work)


def test_spoken_times_of_all_columns_have_one_now(house):
    """Windows that abut in words abut."""

    async def work(client, historian):
        await _plant(client)
        spoken = {"start": ["now-20s", "now-10s"], "end": ["now-10s", "now"]}
        answer = await client.post("/v1/joins/windows", json={**WINDOWS, **spoken})
        (table,) = answer.json()["tags"]
        assert table["start"][1] == table["end"][0]

    house.run(work)


def test_as_of_and_overlaps(house):
    async def work(client, historian):
        await _plant(client)
        asked = {
            "tags": [{"tag": "line/state"}, {"tag": "line/force", "shift": "20s"}],
            "at": ["2026-01-01T00:00:19Z", "2025-12-31T23:00:00Z"],
            "max_age": "1h",
        }
        state, force = (await client.post("/v1/joins/as-of", json=asked)).json()["tags"]
        assert [True, False] == state["present"]
        assert ["idle", None] == state["value"]
        assert [str(BEGIN), None] == [state["sample_ns"][0], state["sample_ns"][1]]
        assert [3.0, None] == force["value"]
        asked |= {"direction": "forward", "strict": True}
        forward = (await client.post("/v1/joins/as-of", json=asked)).json()["tags"]
        assert ["run", "idle"] == forward[0]["value"]

        sides = {
            "left": {"start": [BEGIN, BEGIN + 5], "end": [BEGIN + 4, BEGIN + 5]},
            "right": {"start": [BEGIN + 3], "end": [BEGIN + 9]},
        }
        pairs = (await client.post("/v1/joins/overlaps", json=sides)).json()
        assert ([0, 1], [0, 0]) == (pairs["left"], pairs["right"])
        assert [str(BEGIN + 3), str(BEGIN + 5)] == pairs["start"]

    house.run(work)


@pytest.mark.parametrize(
    ("path", "change", "status", "where"),
    [
        ("windows", {"tags": [{"tag": "nobody"}]}, 404, "tag"),
        ("windows", {"tags": [{"tag": "line/state"}]}, 400, "tag 'line/state'"),
        ("windows", {"start": [BEGIN, BEGIN + 99 * S]}, 400, "window 1"),
        ("windows", {"start": [BEGIN]}, 400, "starts_ns, ends_ns"),
        ("windows", {"start": ["tomorrow-ish", BEGIN]}, 400, "start"),
        ("windows", {"tags": []}, 400, "body tags"),
        ("windows", {"tags": [{"tag": "line/force", "shift": "soon"}]}, 400, "shift"),
        ("windows", {"more": 1}, 400, "body more"),
        ("as-of", {"direction": "up"}, 400, "body direction"),
        ("as-of", {"max_age": "old"}, 400, "max_age"),
        ("overlaps", {"right": {"start": [BEGIN], "end": [BEGIN]}}, 400, "right 0"),
    ],
)
def test_what_is_wrong_is_refused_and_named(house, path, change, status, where):
    side = {"start": [BEGIN], "end": [BEGIN + 1]}
    right = {
        "windows": WINDOWS,
        "as-of": {"tags": [{"tag": "line/force"}], "at": [BEGIN]},
        "overlaps": {"left": side, "right": side},
    }[path]

    async def work(client, historian):
        await _plant(client)
        assert (await client.post(f"/v1/joins/{path}", json=right)).status_code == 200
        answer = await client.post(f"/v1/joins/{path}", json={**right, **change})
        return answer.status_code, answer.json()["error"]

    got, error = house.run(work)
    assert (status, where) == (got, error["where"]), error
