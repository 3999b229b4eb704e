"""Tags over HTTP: declared, told, refused with the key that is wrong."""

import pytest

PROPERTIES = {
    "hold_max": "15m",
    "stale_after": "1h",
    "counter_modulus": 1000.0,
    "limit_low": -5.0,
    "limit_high": 5.5,
    "counter_rate_max": 0.5,
    "counter_resets": True,
}


def test_properties_come_back_as_they_were_declared(house):
    """And stay when a further declaration leaves them out: a writer that knows none wipes none."""

    async def work(client, historian):
        made = await client.post("/v1/tags", json={"name": "a/b", **PROPERTIES})
        assert made.status_code == 201
        told = (await client.get("/v1/tags/a/b")).json()
        listed = (await client.get("/v1/tags")).json()["tags"][0]
        for answer in (made.json(), told, listed):
            assert PROPERTIES == {key: answer[key] for key in PROPERTIES}
        assert historian.catalog.resolve("a/b").hold_max_ns == 900 * 10**9
        again = await client.post("/v1/tags", json={"name": "a/b", "hold_max": "1m"})
        assert again.status_code == 200
        wanted = {**PROPERTIES, "hold_max": "1m"}
        assert wanted == {key: again.json()[key] for key in PROPERTIES}
        gone = await client.patch("/v1/tags/a/b", json={"stale_after": None, "hold_max": "0"})
        wanted |= {"stale_after": None, "hold_max": None}
        assert wanted == {key: gone.json()[key] for key in PROPERTIES}

    house.run(work)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hold_max", "soon"),
        ("hold_max", 15),
        ("hold_max", "-1s"),
        ("stale_after", True),
        ("counter_modulus", "1000"),
        ("counter_modulus", 0),
        ("limit_low", True),
        ("counter_rate_max", -1),
        ("counter_resets", "yes"),
        ("limit_low", 9e99),
        ("limit_high", "NaN"),
        ("stepped", 1),
        ("eng_unit", None),
    ],
)
def test_a_wrong_property_is_named(house, key, value):
    """400, with the key, and no tag is made."""

    async def work(client, historian):
        body = {"name": "a", **PROPERTIES, key: value}
        answer = await client.post("/v1/tags", json=body)
        assert answer.status_code == 400
        error = answer.json()["error"]
        assert (error["where"], True) == (key, bool(error["want"]))
        assert historian.catalog.find("a") is None

    house.run(work)


def test_latest_says_what_is_stale(house):
    """Older than the tag allows, or never there; by the server's clock."""

    async def work(client, historian):
        now_ns = historian.clock.now_ns()
        for name, stale_after in (("old", "1m"), ("new", "1h"), ("none", "1h"), ("free", None)):
            await client.post("/v1/tags", json={"name": name, "stale_after": stale_after})
        times = [str(now_ns - 600 * 10**9)]
        series = [{"tag": tag, "time": times, "value": [1.0]} for tag in ("old", "new", "free")]
        stored = await client.post("/v1/samples", json={"time_unit": "ns", "series": series})
        assert stored.json()["stored"] == 3

        names = ["old", "new", "none", "free"]
        answer = (await client.get("/v1/latest", params={"tag": names})).json()
        assert answer["stale"] == [True, False, True, False]
        empty = (await client.get("/v1/latest", params={"tag": ["none"]})).json()
        assert empty["stale"] == [True]

    house.run(work)
