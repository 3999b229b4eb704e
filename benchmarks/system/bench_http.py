"""Columnar JSON over HTTP, answered after fsync, beside a bare handler that writes to SQLite."""

import hashlib
import multiprocessing
import sqlite3
import tempfile
import time
from pathlib import Path

import httpx
import orjson

from benchmarks import harness
from benchmarks.datasets import plant
from historian.testing import ServerProcess, free_port

TAGS = 100


def bodies(count: int, rows: int) -> list[bytes]:
    """Requests of TAGS tags x rows samples each, later ones continue the earlier."""
    scans = plant.scan(TAGS, count * rows)
    time_ns = plant.times(count * rows, 1)
    result = []
    for k in range(count):
        part = slice(k * rows, (k + 1) * rows)
        at = time_ns[part].tolist()
        series = [
            {"tag": f"bench/tag{i:03d}", "time": at, "value": scans[part, i].tolist()}
            for i in range(TAGS)
        ]
        result.append(orjson.dumps({"time_unit": "ns", "series": series}))
    return result


def declare(client: httpx.Client) -> None:
    """The tags of the bench."""
    for i in range(TAGS):
        answer = client.post("/v1/tags", json={"name": f"bench/tag{i:03d}", "type": "float64"})
        assert answer.status_code in {200, 201}, answer.text


def send(client: httpx.Client, requests: list[bytes], path: str) -> float:
    """Seconds for all requests, one after the other."""
    start = time.perf_counter()
    for body in requests:
        answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 200, answer.text
    return time.perf_counter() - start


def ours_run(requests: list[bytes], samples: int, digests: set[str]) -> float:
    """Samples per second into a new server."""
    with tempfile.TemporaryDirectory(prefix="bench-") as home:
        with ServerProcess(Path(home)) as server, server.client() as client:
            declare(client)
            seconds = send(client, requests, "/v1/samples")
            query = {"tag": "bench/tag007", "start": "0", "end": str(2**61)}
            answer = client.get("/v1/raw", params=query)
            digests.add(hashlib.blake2b(answer.content, digest_size=8).hexdigest())
        return samples / seconds


def rival_server(path: str, port: int) -> None:
    """A bare FastAPI handler: parse, insert, commit with fsync."""
    import fastapi
    import uvicorn

    app = fastapi.FastAPI()
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute(
        "CREATE TABLE s (tag TEXT, time INT, value REAL, PRIMARY KEY (tag, time)) WITHOUT ROWID"
    )

    @app.post("/v1/samples")
    async def write(request: fastapi.Request) -> dict[str, int]:
        series = orjson.loads(await request.body())["series"]
        db.execute("BEGIN")
        for one in series:
            rows = zip([one["tag"]] * len(one["time"]), one["time"], one["value"], strict=True)
            db.executemany("INSERT OR REPLACE INTO s VALUES (?, ?, ?)", rows)
        db.execute("COMMIT")
        return {"stored": sum(len(s["time"]) for s in series)}

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")


def rival_run(requests: list[bytes], samples: int) -> float:
    """Samples per second into the bare handler."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="bench-") as home:
        process = multiprocessing.Process(target=rival_server, args=(f"{home}/rival.db", port))
        process.start()
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
                for _ in range(200):
                    try:
                        client.get("/docs")
                        break
                    except httpx.TransportError:
                        time.sleep(0.05)
                return samples / send(client, requests, "/v1/samples")
        finally:
            process.terminate()
            process.join()


def run(small: bool) -> list[harness.Figure]:
    """Measure."""
    count, rows, runs = (2, 20, 1) if small else (40, 100, 5)
    requests = bodies(count, rows)
    samples = count * rows * TAGS
    digests: set[str] = set()
    ours, rival = harness.in_turn(
        lambda: ours_run(requests, samples, digests), lambda: rival_run(requests, samples), runs
    )
    assert len(digests) == 1, "the runs stored different things"
    conditions = {
        "boundary": "client and server processes, loopback, one connection, one request at a time",
        "data": f"datasets/plant.py, {count} requests x {TAGS} tags x {rows} samples",
        "durability": "fsync before each answer",
        "cores": "2",
        "digest": digests.pop(),
    }
    return [
        harness.Figure(
            "http columnar json durable",
            "samples/s",
            ours,
            "FastAPI+SQLite",
            rival,
            ">= 100,000",
            conditions,
        )
    ]
