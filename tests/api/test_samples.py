"""Samples over HTTP into a real store: what fits is stored, what does not is named."""

import io

import pyarrow.ipc
import pytest

ARROW = {"accept": "application/vnd.apache.arrow.stream"}
AT = "2026-01-01T00:00:00Z"
AT_NS = 1_767_225_600_000_000_000
WINDOW = {"start": str(AT_NS - 10**9), "end": str(AT_NS + 10**12)}


async def declare(client, **types):
    for name, type_ in types.items():
        answer = await client.post("/v1/tags", json={"name": f"t/{name}", "type": type_})
        assert 201 == answer.status_code, answer.text


async def write(client, *series, key=None):
    headers = {"idempotency-key": key} if key else {}
    body = {"time_unit": "ns", "series": list(series)}
    return await client.post("/v1/samples", json=body, headers=headers)


def series(tag, *values, start=AT_NS, quality=0):
    times = [start + i for i in range(len(values))]
    return {"tag": tag, "time": times, "value": list(values), "quality": quality}


async def raw(client, tag, **more):
    answer = await client.get("/v1/raw", params={"tag": tag, **WINDOW, **more})
    assert 200 == answer.status_code, answer.text
    return answer.json()


@pytest.mark.parametrize(
    ("type_", "values"),
    [
        ("float64", [1.5, -0.0, 1e300, 5]),
        ("float32", [0.1, 1.5]),
        ("int64", [1, -(2**53) + 1, "9223372036854775807", "-9223372036854775808"]),
        ("uint64", [0, "18446744073709551615"]),
        ("bool", [True, False]),
        ("symbol", ["RUN", "", "<b>ü</b>"]),
    ],
)
def test_every_type_comes_back_as_it_was_sent(house, type_, values):
    """The JSON forms of the manual hold in both directions."""

    async def work(client, _):
        await declare(client, x=type_)
        receipt = (await write(client, series("t/x", *values))).json()
        assert (len(values), 0) == (receipt["stored"], receipt["rejected"]), receipt
        return await raw(client, "t/x")

    answer = house.run(work)

    assert values == answer["value"]
    assert [str(AT_NS + i) for i in range(len(values))] == answer["time"]
    assert type_ == answer["type"]


def test_nan_infinities_and_null_stay_apart(house):
    """Four things that are not a number, told apart in JSON and in Arrow."""
    values = ["NaN", "Infinity", "-Infinity", None]

    async def work(client, _):
        await declare(client, x="float64")
        receipt = (await write(client, series("t/x", *values, quality=0x80000000))).json()
        assert 4 == receipt["stored"], receipt
        arrow = await client.get("/v1/raw", params={"tag": "t/x", **WINDOW}, headers=ARROW)
        return await raw(client, "t/x"), arrow

    answer, arrow = house.run(work)
    table = pyarrow.ipc.open_stream(io.BytesIO(arrow.content)).read_all()

    assert values == answer["value"]
    assert [0x80000000] * 4 == answer["quality"] == table["quality"].to_pylist()
    assert ["nan", "inf", "-inf", "None"] == [str(v) for v in table["value"].to_pylist()]
    assert "timestamp[ns, tz=UTC]" == str(table["time"].type)
    assert b'"tag":"t/x"' in table.schema.metadata[b"historian"]


def test_wrong_rows_are_named_by_their_own_numbers(house):
    """Whatever way a row went inside, the caller finds it where it stood in its list."""
    wrong = series("t/x", 1.0, "warm", 3.0, True, "NaN", 2**60 + 1, None)

    async def work(client, _):
        await declare(client, x="float64", y="int64")
        receipt = await write(client, wrong, series("t/nowhere", 1), series("t/y", 7, 1.5))
        return receipt.json(), await raw(client, "t/x"), await raw(client, "t/y")

    receipt, x, y = house.run(work)

    assert [1.0, 3.0] == x["value"]
    assert [7] == y["value"]
    assert (3, 7) == (receipt["stored"], receipt["rejected"]), receipt
    rows = {(r["tag"], r["row"]) for r in receipt["rejects"]}
    assert {("t/x", n) for n in (1, 3, 4, 5, 6)} | {("t/nowhere", None), ("t/y", 1)} == rows


def test_a_key_makes_a_write_happen_once(house):
    """Sent again after a lost answer, it is told as a duplicate; other content is refused."""

    async def work(client, _):
        await declare(client, x="float64")
        first = await write(client, series("t/x", 1.0), key="a")
        await write(client, series("t/x", 2.0), key="b")
        again = await write(client, series("t/x", 1.0), key="a")
        other = await write(client, series("t/x", 5.0), key="a")
        return first.json(), again.json(), other, await raw(client, "t/x", revisions="all")

    first, again, other, answer = house.run(work)

    assert (False, True) == (first["duplicate"], again["duplicate"])
    assert (409, "conflict") == (other.status_code, other.json()["error"]["code"])
    assert [1.0, 2.0] == answer["value"]
    assert 2 == len(answer["lsn"])


def test_a_rewrite_is_a_revision_and_an_equal_one_is_not(house):
    """Default reads see the newest, revisions=all sees both."""

    async def work(client, _):
        await declare(client, x="float64")
        for value in (1.0, 1.0, 2.0):
            await write(client, series("t/x", value))
        return await raw(client, "t/x"), await raw(client, "t/x", revisions="all")

    newest, every = house.run(work)

    assert ([2.0], [1.0, 2.0]) == (newest["value"], every["value"])


def test_pages_of_a_long_answer_join_without_a_seam(house):
    """max_count and continuation give every row once."""

    async def work(client, _):
        await declare(client, x="int64")
        await write(client, series("t/x", *range(25)))
        found, more = [], {}
        while more is not None:
            page = await raw(client, "t/x", max_count=10, **more)
            found += page["value"]
            token = page["continuation"]
            more = {"continuation": token} if token else None
        return found

    assert list(range(25)) == house.run(work)


def test_latest_aggregates_and_plot_tell_of_the_same_samples(house):
    """Three questions, one store."""

    async def work(client, _):
        await declare(client, x="float64", s="symbol", none="float64")
        await write(client, series("t/x", 1.0, 2.0, 9.0), series("t/s", "A", "B"))
        names = ["t/s", "t/x", "t/none"]
        latest = await client.get("/v1/latest", params={"tag": names, "time": "iso"})
        arrow = await client.get("/v1/latest", params={"tag": names}, headers=ARROW)
        asked = {"tag": "t/x", **WINDOW, "aggregate": ["Minimum", "Maximum", "Count"]}
        aggregates = await client.get("/v1/aggregates", params=asked)
        plot = await client.get("/v1/plot", params={"tag": "t/x", **WINDOW, "pixels": 100})
        return latest.json(), arrow, aggregates.json(), plot.json()

    latest, arrow, aggregates, plot = house.run(work)
    table = pyarrow.ipc.open_stream(io.BytesIO(arrow.content)).read_all()

    assert ["B", 9.0, None] == latest["value"]
    assert [AT[:-1] + ".000000001Z", AT[:-1] + ".000000002Z", None] == latest["time"]
    assert ["B", None, None] == table["value_text"].to_pylist()
    assert [None, 9.0, None] == table["value_float64"].to_pylist()
    assert ([1.0], [9.0], [3]) == tuple(aggregates[n] for n in ("Minimum", "Maximum", "Count"))
    assert [3] == aggregates["samples_used"]
    assert ([1.0, 9.0], 3) == (plot["value"], plot["samples_used"])  # one pixel: the extremes


def test_a_large_body_is_read_in_a_thread_with_the_same_result(house):
    """Above the bound of inline parsing nothing else changes."""
    values = [i / 7 for i in range(20_000)]

    async def work(client, _):
        await declare(client, x="float64")
        receipt = await write(client, series("t/x", *values))
        assert len(receipt.request.content) > 64 * 1024
        return receipt.json()["stored"], (await raw(client, "t/x"))["value"]

    assert (20_000, values) == house.run(work)
