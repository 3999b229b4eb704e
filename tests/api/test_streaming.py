"""Answers in pieces: the rows of one piece, one state, bounded memory, and a break that is seen."""

import asyncio
import json
import socket
import threading
import time
import tracemalloc
from dataclasses import replace

import httpx
import numpy as np
import pyarrow as pa
import pytest
import uvicorn

from api.app import create_app
from api.streaming import BrokenOff, stream_response
from api.table import Table
from historian.clock import SystemClock
from historian.config import QueryConfig
from historian.runtime import Historian
from query.errors import LimitExceeded
from storage_engine.sample import ColumnData, ValueType

S = 1_000_000_000
BEGIN = 1_767_225_600 * S  # 2026-01-01T00:00:00Z
WINDOW = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T01:00:00Z"}
ROWS = 1_000
FORMS = ("csv", "ndjson", "arrow")


async def _plant(client):
    for name, kind in (("a", "float64"), ("b", "int64"), ("s", "symbol"), ("empty", "float64")):
        await client.post("/v1/tags", json={"name": name, "type": kind, "eng_unit": "N"})
    times = [BEGIN + k * S for k in range(ROWS)]
    series = [
        {"tag": "a", "time": times, "value": [k / 4 for k in range(ROWS)]},
        {"tag": "b", "time": times[:300], "value": list(range(300))},
        {"tag": "s", "time": times[:5], "value": ["x", "y", "x", "", "z"]},
    ]
    answer = await client.post("/v1/samples", json={"time_unit": "ns", "series": series})
    assert answer.status_code == 200, answer.text


def _rows(form, answer):
    """Rows of any of the forms, as lists of texts."""
    assert answer.status_code == 200, answer.text
    if form == "csv":
        head, *lines = answer.text.split("\r\n")[:-1]
        return head, lines
    if form == "ndjson":
        rows = [json.loads(line) for line in answer.text.splitlines()]
        return list(rows[0]) if rows else [], rows
    table = pa.ipc.open_stream(answer.content).read_all()
    return table.schema.names, table.to_pylist()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "more", [{}, {"backward": "true"}, {"bounds": "outside", "end": "2026-01-01T00:10:00Z"}]
)
def test_pieces_hold_the_rows_of_one_piece(house, form, more):
    """Also beyond the most rows that one answer may have."""

    async def whole(client, historian):
        await _plant(client)
        return await client.get("/v1/raw", params={"tag": "a", **WINDOW, **more, "form": form})

    async def pieces(client, historian):
        return await client.get("/v1/raw", params={"tag": "a", **WINDOW, **more, "form": form})

    want = house.run(whole)
    house.config = replace(house.config, query=QueryConfig(chunk_rows=64, rows_max=100))
    got = house.run(pieces)

    assert "content-length" in want.headers
    assert "content-length" not in got.headers
    assert _rows(form, want) == _rows(form, got)
    for name in ("content-type", "historian-lacks"):
        assert want.headers.get(name) == got.headers.get(name)


@pytest.mark.parametrize("form", FORMS)
def test_many_tags_come_one_behind_the_other(house, form):
    house.config = replace(house.config, query=QueryConfig(chunk_rows=64, rows_max=100))
    accept = {"csv": "text/csv", "ndjson": "application/x-ndjson"}.get(
        form, "application/vnd.apache.arrow.stream"
    )

    async def work(client, historian):
        await _plant(client)
        body = {"tag": ["b", "empty", "a", "b"], **WINDOW}
        return await client.post("/v1/raw", json=body, headers={"accept": accept})

    answer = house.run(work)
    names, rows = _rows(form, answer)
    if form == "csv":
        assert names == "tag,time,quality,value,bound,interpolated"
        assert [row.split(",")[0] for row in rows] == ['"b"'] * 300 + ['"a"'] * ROWS + ['"b"'] * 300
        assert rows[3].split(",")[3] == "3.0"  # numbers of several types are doubles
        return
    assert names[0] == "tag"
    assert [row["tag"] for row in rows] == ["b"] * 300 + ["a"] * ROWS + ["b"] * 300
    assert [row["value"] for row in rows[300:310]] == [k / 4 for k in range(10)]
    if form == "arrow":
        facts = json.loads(pa.ipc.open_stream(answer.content).schema.metadata[b"historian"])
        assert [tag["tag"] for tag in facts["tags"]] == ["b", "empty", "a", "b"]


def test_what_is_wrong_is_refused_before_the_first_piece(house):
    house.config = replace(house.config, query=QueryConfig(chunk_rows=64, rows_max=100))

    async def work(client, historian):
        await _plant(client)
        for asked, status in (
            ({"tag": "nobody", **WINDOW}, 404),
            ({"tag": "a", **WINDOW, "max_count": 101}, 422),
            ({"tag": "a", **WINDOW, "where": "{a} >"}, 400),
            ({"tag": "a", **WINDOW, "continuation": "x"}, 400),
        ):
            answer = await client.get("/v1/raw", params={**asked, "form": "ndjson"})
            assert answer.status_code == status, answer.text
        mixed = {"tag": ["a", "s"], **WINDOW}
        answer = await client.post("/v1/raw", json=mixed, headers={"accept": "text/csv"})
        assert answer.status_code in (400, 422)

    house.run(work)


def test_a_streamed_answer_is_of_one_state(house):
    """Samples that come while it is read are not in it, wherever they belong."""

    async def work(client, historian):
        await _plant(client)
        lsn = historian.engine.durable_lsn
        from query.request import RawRequest

        asked = RawRequest("a", BEGIN, BEGIN + 3_600 * S, known_at_lsn=lsn)
        pages = historian.query.raw_pages(asked)
        seen = [next(pages)]
        late = [BEGIN + k * S + S // 2 for k in (10, 990)]
        series = [{"tag": "a", "time": late, "value": [9.0, 9.0]}]
        answer = await client.post("/v1/samples", json={"time_unit": "ns", "series": series})
        assert answer.status_code == 200
        seen += pages
        times = np.concatenate([page.columns.timestamp_ns for page in seen])
        assert len(seen) > 2
        assert times.tolist() == [BEGIN + k * S for k in range(ROWS)]

    house.config = replace(house.config, query=QueryConfig(chunk_rows=64, rows_max=100))
    house.run(work)


def _tables(damage, *, fails=False):
    for k in range(3):
        if fails and k == 2:
            raise LimitExceeded("go on", got="too much", want="less", where="test")
        facts = {"damage": damage[:k]}
        values = ColumnData(ValueType.INT64, np.array([k]))
        yield Table(facts, {"time": np.array([k])}, {"value": values})


def _body(response):
    async def collect():
        return b"".join([part async for part in response.body_iterator])

    return asyncio.run(collect())


def test_damage_that_is_met_on_the_way_is_told_in_its_place():
    damage = [{"file": "one"}, {"file": "two"}]
    lines = _body(stream_response(_tables(damage), "ndjson", "ns")).splitlines()
    assert [json.loads(line) for line in lines] == [
        {"time": "0", "value": 0},
        {"damage": [damage[0]]},
        {"time": "1", "value": 1},
        {"damage": [damage[1]]},
        {"time": "2", "value": 2},
    ]
    reader = pa.ipc.open_stream(_body(stream_response(_tables(damage), "arrow", "ns")))
    told = [batch.custom_metadata for batch in reader.iter_batches_with_custom_metadata()]
    assert [None if t is None else json.loads(t[b"historian"]) for t in told] == [
        None,
        {"damage": [damage[0]]},
        {"damage": [damage[1]]},
    ]
    with pytest.raises(BrokenOff, match="cannot tell"):
        _body(stream_response(_tables(damage), "csv", "ns"))


class _Served:
    """An application on a real port, in a thread of its own."""

    def __init__(self, app):
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        config = uvicorn.Config(app, lifespan="off", log_config=None, http="httptools")
        self._server = uvicorn.Server(config)
        serve = self._server.serve(sockets=[listening])
        self._thread = threading.Thread(target=lambda: asyncio.run(serve), daemon=True)

    def __enter__(self):
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        return self

    def __exit__(self, *_):
        self._server.should_exit = True
        self._thread.join(10)


@pytest.mark.parametrize("form", FORMS)
def test_an_answer_that_breaks_off_is_seen_to_be_no_whole_one(form):
    """The client gets what came before, and an error in place of the end."""

    async def app(scope, receive, send):
        await stream_response(_tables([], fails=True), form, "ns")(scope, receive, send)

    with _Served(app) as served, httpx.stream("GET", served.url) as answer:
        assert answer.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            answer.read()


def test_millions_of_rows_stream_in_bounded_memory(house):
    """Fifty times as many rows as a piece holds; the server and its client hold some pieces."""
    rows, piece = 1_000_000, 20_000
    config = replace(house.config, query=QueryConfig(chunk_rows=piece))
    house.config = replace(config, http=replace(config.http, body_bytes_max=10_000_000))
    historian = Historian.open(house.config, SystemClock())

    async def prepare():
        await historian.start()
        async with house.client(historian) as client:
            await client.post("/v1/tags", json={"name": "a", "type": "float64"})
            for at in range(0, rows, piece):
                series = {
                    "tag": "a",
                    "time": [BEGIN + k * S for k in range(at, at + piece)],
                    "value": [k / 4 for k in range(at, at + piece)],
                }
                body = {"time_unit": "ns", "series": [series]}
                assert (await client.post("/v1/samples", json=body)).status_code == 200

    asyncio.run(prepare())
    historian.engine.flush()  # a head in memory is read as a whole
    secret = house.config.http.token_file.read_text().strip()
    asked = {"tag": "a", "start": str(BEGIN), "end": str(BEGIN + rows * S), "form": "ndjson"}
    headers = {"authorization": f"Bearer {secret}"}
    with _Served(create_app(historian)) as served:
        tracemalloc.start()
        size = lines = 0
        with httpx.stream(
            "GET", f"{served.url}/v1/raw", params=asked, headers=headers, timeout=60
        ) as answer:
            for part in answer.iter_raw():
                size += len(part)
                lines += part.count(b"\n")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    asyncio.run(historian.stop())
    assert (lines, size > 80_000_000) == (rows, True)
    assert peak < size / 2, peak
