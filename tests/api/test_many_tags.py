"""POST of raw, aggregates and plot: many tags in one question, through the door."""

from dataclasses import replace

import pyarrow as pa
import pytest

from historian.config import QueryConfig

S = 1_000_000_000
BEGIN = 1_767_225_600 * S  # 2026-01-01T00:00:00Z
COUNT = 40
WINDOW = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T00:01:00Z"}
ARROW = {"accept": "application/vnd.apache.arrow.stream"}
NAMES = [f"line/{k:02}" for k in range(COUNT)]


async def _plant(client):
    for k, name in enumerate(NAMES):
        kind = ("float64", "int64")[k % 2]
        await client.post("/v1/tags", json={"name": name, "type": kind, "eng_unit": "N"})
    await client.post("/v1/tags", json={"name": "state", "type": "symbol"})
    series = [
        {
            "tag": name,
            "time": [BEGIN + k * S + j * 10 * S for j in range(3)],
            "value": [k, k + 1, k],
        }
        for k, name in enumerate(NAMES[:-1])
    ]
    series.append({"tag": "state", "time": [BEGIN], "value": ["run"]})
    answer = await client.post("/v1/samples", json={"time_unit": "ns", "series": series})
    assert answer.status_code == 200, answer.text


ASKED = {
    "raw": {"bounds": "outside"},
    "aggregates": {"aggregate": ["Count", "Average", "MaximumActualTime"], "interval": "20s"},
    "plot": {"pixels": 4},
}


@pytest.mark.parametrize("path", ASKED)
def test_each_tag_is_answered_as_if_asked_alone_in_the_order_given(house, path):
    async def work(client, historian):
        await _plant(client)
        names = [*NAMES[::-1], NAMES[3]]
        asked = {**WINDOW, **ASKED[path]}
        together = await client.post(f"/v1/{path}", json={**asked, "tag": names})
        assert together.status_code == 200, together.text
        tables = together.json()["tags"]
        assert names == [table["tag"] for table in tables]
        for name, table in zip(names, tables, strict=True):
            alone = await client.get(f"/v1/{path}", params={**asked, "tag": name})
            assert alone.json() == table

        answer = await client.post(f"/v1/{path}", json={**asked, "tag": names}, headers=ARROW)
        rows = pa.ipc.open_stream(answer.content).read_all()
        assert sum(table["count"] for table in tables) == rows.num_rows
        told = [name for t in tables for name in [t["tag"]] * t["count"]]
        assert told == rows["tag"].to_pylist()
        key = "Average" if path == "aggregates" else "value"
        values = [value for table in tables for value in table[key]]
        assert values == rows[key].to_pylist()

    house.run(work)


def test_what_is_wrong_is_refused_before_anything_is_read(house):
    house.config = replace(house.config, query=QueryConfig(values_max=30, tags_max=41))

    async def work(client, historian):
        await _plant(client)
        found = []
        for path, more, headers in (
            ("raw", {"tag": [*NAMES[:3], "nobody"]}, {}),
            ("raw", {"tag": []}, {}),
            ("raw", {"tag": NAMES[:3], "continuation": "x"}, {}),
            ("raw", {"tag": NAMES}, {}),
            ("aggregates", {"tag": [*NAMES, *NAMES]}, {}),
            ("aggregates", {"tag": ["state"]}, {}),
            ("raw", {"tag": [NAMES[0], "state"]}, ARROW),
        ):
            asked = {**WINDOW, **ASKED[path], **more}
            answer = await client.post(f"/v1/{path}", json=asked, headers=headers)
            error = answer.json()["error"]
            found.append((answer.status_code, error["where"], error["want"]))
        return found

    unknown, none, goes_on, rows, tags, text, kinds = house.run(work)
    assert (404, "tag") == unknown[:2]
    assert (400, "body tag") == none[:2]
    assert (400, "body continuation") == goes_on[:2]
    assert (422, "tag", "fewer tags or a shorter window") == rows
    assert (422, "tag", "at most 41") == tags
    assert (400, "tag 'state'") == text[:2]
    assert (400, "one kind of tags, or JSON") == (kinds[0], kinds[2])


@pytest.mark.parametrize("path", ASKED)
def test_a_parameter_given_twice_is_refused_not_lost(house, path):
    async def work(client, historian):
        await _plant(client)
        found = []
        for twice in ({"tag": NAMES[:2]}, {"tag": NAMES[0], "time": ["ns", "iso"]}):
            answer = await client.get(f"/v1/{path}", params={**WINDOW, **ASKED[path], **twice})
            found.append((answer.status_code, answer.json()["error"]["where"]))
        return found

    assert [(400, "query tag"), (400, "query time")] == house.run(work)
