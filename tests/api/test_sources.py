"""GET /v1/sources, and what reads say of times at which nobody collected."""

from historian.ingest_testing import FrameProducer, declare, samples
from storage_engine.frame import Notice

FRAMES = {"content-type": "application/vnd.lighthouse.frames"}
S = 1_000_000_000
TAG = {"name": "oven/t", "type": "float64", "source": "plc", "address": "t"}


def state(time_ns, link):
    return Notice(
        "source_state", {"source": "plc", "collector": "c", "time_ns": time_ns, "link": link}
    )


def body(now_ns):
    """A line that was lost for ten seconds, one value long ago, and a heartbeat of now."""
    beat = {"source": "plc", "collector": "c", "link": "connected", "time_ns": now_ns - S}
    counters = {"received": 1, "gaps": 2, "last_timestamp_ns": now_ns - 3 * S, "interval_s": 10.0}
    return FrameProducer().frame(
        declarations=[declare(0, "t")],
        samples=[samples([0], [1.5], [now_ns - 90 * S])],
        notices=[
            state(now_ns - 100 * S, "connected"),
            state(now_ns - 50 * S, "disconnected"),
            state(now_ns - 40 * S, "connected"),
            Notice("heartbeat", beat | counters),
        ],
    )


async def fill(client, now_ns):
    assert 201 == (await client.post("/v1/tags", json=TAG)).status_code
    sent = await client.post("/v1/frames", content=body(now_ns), headers=FRAMES)
    assert 200 == sent.status_code, sent.text


async def read(client, now_ns):
    window = {"tag": "oven/t", "start": str(now_ns - 60 * S), "end": str(now_ns)}
    paths = {
        "/v1/raw": window,
        "/v1/plot": window | {"pixels": "10"},
        "/v1/aggregates": window | {"aggregate": "Count"},
    }
    found = [(await client.get(path, params=asked)).json() for path, asked in paths.items()]
    latest = (await client.get("/v1/latest", params={"tag": "oven/t"})).json()
    sources = (await client.get("/v1/sources")).json()["sources"]
    return found, latest, sources, (await client.get("/metrics")).text


def test_a_reader_tells_unchanged_from_not_collected(house):
    """The value is a minute and a half old: it held, but for ten seconds that nobody saw."""

    async def work(client, historian):
        now_ns = historian.clock.now_ns()
        await fill(client, now_ns)
        return now_ns, await read(client, now_ns)

    now_ns, (reads, latest, (source,), metrics) = house.run(work)
    hole = {"start": str(now_ns - 50 * S), "end": str(now_ns - 40 * S), "link": "disconnected"}

    for answer in reads:
        assert [hole | {"detail": ""}] == answer["not_collected"]
        assert str(now_ns - S) == answer["collected_until"]
    assert ([True], [str(now_ns - S)]) == (latest["collected"], latest["collected_until"])
    assert ("plc", "c", "connected", True) == tuple(
        source[key] for key in ("source", "collector", "state", "collected")
    )
    assert (2.0, {"received": 1.0, "gaps": 2.0}) == (source["lag_s"], source["numbers"])
    assert 'historian_source_gaps_total{source="plc"} 2.0' in metrics
    assert 'historian_source_collected{source="plc"} 1.0' in metrics


def test_aggregates_know_no_value_where_nobody_collected(house):
    """A stepped value holds before and behind the ten seconds, and the collector's last word."""

    async def work(client, historian):
        now_ns = historian.clock.now_ns()
        stepped = TAG | {"stepped": True}
        assert 201 == (await client.post("/v1/tags", json=stepped)).status_code
        await client.post("/v1/frames", content=body(now_ns), headers=FRAMES)
        asked = {"tag": "oven/t", "aggregate": "DurationGood", "hold_last": True}
        window = {"start": str(now_ns - 60 * S), "end": str(now_ns - 30 * S), "interval": "10s"}
        answers = [
            (await client.get("/v1/aggregates", params=asked | window | {"gaps": gaps})).json()
            for gaps in (True, False)
        ]
        held = {"tag": "oven/t", "hold_last": True, **window, "interval": "5s"}
        values = (await client.get("/v1/interpolated", params=held)).json()
        return answers, values

    (honest, standard), values = house.run(work)
    assert [0, 10 * S, 0] == honest["gap_ns"]
    assert [10_000.0, 0.0, 10_000.0] == honest["DurationGood"]
    assert [10_000.0] * 3 == standard["DurationGood"]
    assert [0] * 3 == standard["gap_ns"]
    assert [False, False, True, True, False, False] == [
        status == 0x40A4_0402 for status in values["status"][0]
    ]


def test_holes_outlive_a_restart(house):
    """Counters come anew with the next heartbeat, the lines are history."""

    async def before(client, historian):
        now_ns = historian.clock.now_ns()
        await fill(client, now_ns)
        return now_ns

    now_ns = house.run(before)

    async def after(client, _):
        return await read(client, now_ns)

    (raw, *_), latest, (source,), _ = house.run(after)

    assert [str(now_ns - 50 * S)] == [hole["start"] for hole in raw["not_collected"]]
    assert ([True], [str(now_ns - 40 * S)]) == (latest["collected"], latest["collected_until"])
    assert ("connected", None, {}) == (source["state"], source["heard"], source["numbers"])


def test_a_tag_without_a_collector_says_nothing(house):
    """What people and programs write has no line that could be down."""

    async def work(client, _):
        await client.post("/v1/tags", json={"name": "by/hand", "type": "float64"})
        answer = await client.get("/v1/latest", params={"tag": "by/hand"})
        raw = await client.get("/v1/raw", params={"tag": "by/hand", "start": "now-1h"})
        return answer.json(), raw.json()

    latest, raw = house.run(work)

    assert ([None], [None]) == (latest["collected"], latest["collected_until"])
    assert ([], None) == (raw["not_collected"], raw["collected_until"])
