"""A question ends when its client leaves or its time is over; others go on."""

import asyncio
import socket
import threading
import time
from dataclasses import replace

import anyio.to_thread
import pytest
import uvicorn

from api.leaving import Leaving
from historian.config import QueryConfig
from query.errors import Abandoned, LimitExceeded
from query.work import Work, at_work, check_work, current_work


class _Clock:
    now_s = 0.0

    def monotonic_s(self):
        return self.now_s


def test_work_ends_with_its_time_and_is_counted_anew_for_each_piece():
    clock = _Clock()
    with at_work(Work(clock.monotonic_s, 2.0)) as work:
        clock.now_s = 2.0
        check_work()
        clock.now_s = 2.1
        with pytest.raises(LimitExceeded, match=r"more than 2 s.*query\.seconds_max"):
            check_work()
        work.renew()
        check_work()
        work.leave()
        with pytest.raises(Abandoned):
            check_work()
    assert current_work() is None
    check_work()


def _served(app):
    """An application on a real server, and its port."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    config = uvicorn.Config(app, lifespan="off", log_config=None, http="httptools")
    server = uvicorn.Server(config)
    thread = threading.Thread(
        target=lambda: asyncio.run(server.serve(sockets=[listening])), daemon=True
    )
    thread.start()
    while not server.started:
        time.sleep(0.01)
    return server, thread, listening.getsockname()[1]


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nabcde",
    ],
)
def test_work_ends_when_the_client_closes_its_connection(request_):
    ended, begun, bodies = threading.Event(), threading.Event(), []

    def work_on():
        begun.set()
        give_up = time.monotonic() + 20
        while time.monotonic() < give_up:
            try:
                check_work()
            except Abandoned:
                ended.set()
                return
            time.sleep(0.01)

    async def app(scope, receive, send):
        message = await receive()
        bodies.append(message["body"])
        await anyio.to_thread.run_sync(work_on)

    server, thread, port = _served(Leaving(app, lambda: Work(time.monotonic, 60.0)))
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(request_)
    assert begun.wait(10)
    assert not ended.wait(0.2)
    client.close()
    assert ended.wait(10)
    assert [request_.partition(b"\r\n\r\n")[2]] == bodies
    server.should_exit = True
    thread.join(10)


def test_a_request_without_time_is_refused_and_says_what_to_set(house):
    """Writes and lists need no time for questions."""
    house.config = replace(house.config, query=QueryConfig(seconds_max=1e-9))

    async def work(client, historian):
        await client.post("/v1/tags", json={"name": "t", "type": "float64"})
        series = [{"tag": "t", "time": ["2026-01-01T00:00:00Z"], "value": [1.0]}]
        assert (await client.post("/v1/samples", json={"series": series})).status_code == 200
        asked = {"tag": "t", "start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"}
        for path, more in (
            ("/v1/raw", {}),
            ("/v1/aggregates", {"aggregate": "Count"}),
            ("/v1/plot", {}),
            ("/v1/interpolated", {"interval": "1h"}),
        ):
            answer = await client.get(path, params={**asked, **more})
            assert answer.status_code == 422, path
            error = answer.json()["error"]
            assert "answer_too_large" == error["code"]
            assert "query.seconds_max" == error["where"]
        assert (await client.get("/v1/tags")).status_code == 200

    house.run(work)


def test_limits_are_those_of_the_configuration(house):
    house.config = replace(house.config, query=QueryConfig(intervals_max=3))

    async def work(client, historian):
        await client.post("/v1/tags", json={"name": "t", "type": "float64"})
        asked = {"tag": "t", "aggregate": "Count", "start": "2026-01-01T00:00:00Z"}
        answer = await client.get(
            "/v1/aggregates", params={**asked, "end": "2026-01-01T04:00:00Z", "interval": "1h"}
        )
        assert answer.status_code == 422, answer.text
        assert "at most 3" in answer.json()["error"]["want"]

    house.run(work)
    with pytest.raises(ValueError, match="chunk_rows 0"):
        QueryConfig(chunk_rows=0)
