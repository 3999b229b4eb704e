"""Bad input at the doors of a real server: a clear answer, a counter, and the neighbours stored."""

import httpx
import numpy as np
import orjson
import pytest

from historian.testing import ServerProcess
from storage_engine.frame import (
    FLAG_OBSERVED,
    Declaration,
    SampleSection,
    SlotKind,
    encode_frame,
)
from storage_engine.sample import BAD, Column, ColumnData, ValueType

RULE = """
[[tag_rules]]
source = "line"
address = "known/(.*)"
name = "bad/{1}"
"""
NOW = "2026-01-01T00:00:00Z"
NOW_NS = 1_767_225_600_000_000_000
FRAMES = {"Content-Type": "application/vnd.lighthouse.frames"}


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """A client of a server with two tags."""
    home = tmp_path_factory.mktemp("bad")
    server = ServerProcess(home, RULE, http_toml="body_bytes_max = 2000000")
    with server, server.client() as client:
        for name, kind in (("a", "float64"), ("n", "int64")):
            answer = client.post("/v1/tags", json={"name": f"bad/{name}", "type": kind})
            assert answer.status_code == 201, answer.text
        yield client


def write(client, *series, unit="iso"):
    """POST samples."""
    return client.post("/v1/samples", json={"time_unit": unit, "series": list(series)})


def one(tag, value, time=NOW, **more):
    """A series of one sample."""
    return {"tag": tag, "time": [time], "value": [value], **more}


def values(client, tag):
    """What is stored."""
    query = {"tag": tag, "start": "0", "end": str(2**61)}
    answer = client.get("/v1/raw", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["value"]


def error_of(answer, status, code):
    """The one shape of an error."""
    assert status == answer.status_code, answer.text
    error = answer.json()["error"]
    assert {"code", "message", "got", "want", "where", "id"} == set(error)
    assert code == error["code"]
    return error


def rejected_total(client):
    """The counter over all sources and reasons."""
    lines = client.get("/metrics").text.splitlines()
    return sum(
        float(line.rsplit(" ", 1)[1])
        for line in lines
        if line.startswith("historian_rejected_rows_total{")
    )


def test_an_unknown_tag_does_not_block_its_neighbour(client):
    """One bad row never blocks a batch."""
    before = rejected_total(client)

    answer = write(client, one("bad/nowhere", 1.0), one("bad/a", 1.5))

    body = answer.json()
    assert (200, 1, 1) == (answer.status_code, body["stored"], body["rejected"])
    assert "bad/nowhere" == body["rejects"][0]["tag"]
    assert 1.5 in values(client, "bad/a")
    assert before + 1 == rejected_total(client)


@pytest.mark.parametrize(
    ("tag", "value", "time", "word"),
    [
        ("bad/a", "warm", "2026-01-01T00:00:01Z", "float64"),
        ("bad/n", 1.5, "2026-01-01T00:00:01Z", ""),
        ("bad/a", 1.0, "1901-01-01T00:00:00Z", "time"),
        ("bad/a", 1.0, "2199-01-01T00:00:00Z", "time"),
        ("bad/a", None, "2026-01-01T00:00:01Z", "good"),
    ],
)
def test_a_wrong_row_is_named_and_its_neighbour_is_stored(client, tag, value, time, word):
    """Wrong type, inexact integer, absurd times, null with good quality."""
    neighbour = f"2026-01-02T00:00:00.{abs(hash((tag, str(value), time))) % 10**9:09d}Z"
    series = {"tag": tag, "time": [time, neighbour], "value": [value, 7]}

    answer = write(client, series)

    body = answer.json()
    assert (200, 1, 1) == (answer.status_code, body["stored"], body["rejected"]), body
    assert 0 == body["rejects"][0]["row"]
    assert word in body["rejects"][0]["reason"].lower()


def test_nan_in_json_is_not_json(client):
    """JSON has no NaN; the answer says where."""
    series = b'{"tag":"bad/a","time":["2026-01-01T00:00:00Z"],"value":[NaN]}'
    text = b'{"time_unit":"iso","series":[%b]}' % series

    error_of(client.post("/v1/samples", content=text), 400, "invalid_json")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[1,2]", b'{"series": 5}', b"\xff\xfe", b"[" * 100_000]
)
def test_broken_json_is_refused_whole(client, body):
    """Nothing of a body that cannot be read is stored."""
    answer = client.post("/v1/samples", content=body)

    assert 400 == answer.status_code, answer.text
    assert answer.json()["error"]["want"]


def test_an_oversized_body_is_refused(client):
    """Before it is read."""
    error = error_of(client.post("/v1/samples", content=b" " * 2_000_001), 413, "body_too_large")

    assert "2000000" in error["want"].replace(",", "").replace(" ", "")


def test_without_a_token_nothing_is_told(client):
    """401 with the same shape, for reads and writes."""
    bare = httpx.Client(base_url=client.base_url)

    error_of(bare.get("/v1/latest", params={"tag": "bad/a"}), 401, "unauthorized")
    error_of(bare.post("/v1/samples", content=b"{}"), 401, "unauthorized")


def frame(values, quality=None, addresses=("known/x", "unknown/y"), sequence=1, at=NOW_NS):
    """A frame with one row per value, alternating between two addresses."""
    rows = len(values)
    section = SampleSection(
        (np.arange(rows) % 2).astype(np.uint32),
        at + np.arange(rows, dtype=np.int64),
        np.asarray(quality if quality is not None else [0] * rows, np.uint32),
        ColumnData(ValueType.FLOAT64, np.asarray(values, np.float64)),
    )
    column = (Column("value", ValueType.FLOAT64),)
    return encode_frame(
        incarnation=bytes(16),
        producer_id=repr(addresses).encode()[:16].ljust(16),
        epoch=1,
        sequence=sequence,
        previous_crc=0,
        flags=FLAG_OBSERVED,
        declarations=tuple(
            Declaration(i, SlotKind.SERIES, "line", a, column) for i, a in enumerate(addresses)
        ),
        samples=(section,),
        events=(),
        notices=(),
    )


def test_rows_of_a_frame_are_refused_one_by_one(client):
    """Unknown address, NaN with good quality; NaN with bad quality is a value like any other."""
    raw = frame([1.0, 2.0, float("nan"), 3.0, float("nan")], quality=[0, 0, 0, 0, BAD])

    answer = client.post("/v1/frames", content=raw, headers=FRAMES)

    (told,) = answer.json()["frames"]
    assert ("stored", 5, 3) == (told["status"], told["rows"], told["rejected"]), told
    assert {1, 2, 3} == {r["row"] for r in told["rejects"]}
    assert 2 == len(values(client, "bad/x"))


def test_a_broken_frame_does_not_take_the_one_before_with_it(client):
    """Each frame of a body has its own answer."""
    good = frame([1.0, 2.0], addresses=("known/p", "known/q"))
    broken = bytearray(frame([3.0, 4.0], addresses=("known/r", "known/s")))
    broken[-9] ^= 1

    answer = client.post("/v1/frames", content=good + bytes(broken), headers=FRAMES)

    statuses = [f["status"] for f in answer.json()["frames"]]
    assert ["stored", "refused"] == statuses, answer.text
    assert [1.0] == values(client, "bad/p")


def test_rejects_are_kept_in_quarantine(client):
    """Counted is not enough: a person wants to see what it was."""
    write(client, one("bad/lost", 1.0, time="2026-02-01T00:00:00Z"))

    answer = client.get("/v1/quarantine", params={"start": "0", "end": str(2**61)})

    assert 200 == answer.status_code, answer.text
    assert "bad/lost" in orjson.dumps(answer.json()).decode()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/raw?tag=bad/none&start=0&end=1", 404),
        ("/v1/raw?tag=bad/a&start=x&end=1", 400),
        ("/v1/aggregates?tag=bad/a&start=0&end=10&interval=0", 400),
        ("/v1/aggregates?tag=bad/a&start=0&end=10&interval=1s&aggregate=Nonsense", 400),
        ("/v1/plot?tag=bad/a&start=0&end=10&pixels=0", 400),
        ("/v1/latest?tag=bad/a&colour=red", 400),
        ("/v1/units/none", 404),
        ("/v1/lots/none/where-used", 404),
        ("/v1/nothing", 404),
    ],
)
def test_wrong_questions_get_an_answer_of_the_one_shape(client, path, status):
    """What, got, want, where."""
    answer = client.get(path)

    assert status == answer.status_code, answer.text
    assert {"code", "message", "got", "want", "where", "id"} == set(answer.json()["error"])
