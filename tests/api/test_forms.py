"""Forms of answers: which one is chosen, and CSV that says exactly what is stored."""

import csv
import io
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from api.csv_table import csv_bytes, lacking, told_in_header
from api.errors import ApiError
from api.forms import form_of
from api.table import Table
from storage_engine.sample import ColumnData, ValueType

S = 1_000_000_000
BEGIN = 1_767_225_600 * S  # 2026-01-01T00:00:00Z
WINDOW = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T00:01:00Z"}
ARROW = "application/vnd.apache.arrow.stream"


def _request(accept, query=b""):
    headers = [] if accept is None else [(b"accept", accept.encode())]
    return Request({"type": "http", "headers": headers, "query_string": query})


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (None, "json"),
        ("*/*", "json"),
        ("application/*", "json"),
        ("text/*", "csv"),
        ("text/csv", "csv"),
        ("TEXT/CSV; charset=utf-8", "csv"),
        (ARROW, "arrow"),
        (f"*/*, {ARROW}", "arrow"),
        (f"{ARROW};q=0.5, application/json", "json"),
        (f"application/json;q=0.1, text/csv;q=0.2, {ARROW};q=0.3", "arrow"),
        ("text/csv, application/json", "csv"),
        ("application/json;q=0, */*;q=0.5", "csv"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "json"),
    ],
)
def test_the_heaviest_accepted_form_answers(accept, form):
    assert form_of(_request(accept)) == form


@pytest.mark.parametrize("accept", ["text/html", "text/csv;q=0", "text/csv;q=x", "text/csv;q=nan"])
def test_what_is_offered_is_named_where_nothing_is_accepted(accept):
    with pytest.raises(ApiError) as refused:
        form_of(_request(accept))
    assert (refused.value.status, refused.value.code) == (406, "not_acceptable")
    assert "text/csv" in (refused.value.want or "")


def test_the_parameter_goes_before_the_header():
    assert form_of(_request("application/json", b"form=csv")) == "csv"
    with pytest.raises(ApiError):
        form_of(_request("application/json", b"form=xml"))


def _read(data):
    return list(csv.reader(io.StringIO(data.decode(), newline="")))


COLUMNS = st.one_of(
    st.tuples(st.just(ValueType.FLOAT64), st.lists(st.none() | st.floats())),
    st.tuples(st.just(ValueType.FLOAT32), st.lists(st.none() | st.floats(width=32))),
    st.tuples(st.just(ValueType.INT64), st.lists(st.none() | st.integers(-(2**63), 2**63 - 1))),
    st.tuples(st.just(ValueType.UINT64), st.lists(st.none() | st.integers(0, 2**64 - 1))),
    st.tuples(st.just(ValueType.BOOL), st.lists(st.none() | st.booleans())),
    st.tuples(
        st.just(ValueType.TEXT),
        st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]))),
    ),
)
DTYPES = {
    ValueType.FLOAT64: np.float64,
    ValueType.FLOAT32: np.float32,
    ValueType.INT64: np.int64,
    ValueType.UINT64: np.uint64,
    ValueType.BOOL: np.bool_,
    ValueType.TEXT: np.object_,
}


def _written(kind, values):
    empty = "" if kind == ValueType.TEXT else 0
    data = np.array([empty if v is None else v for v in values], DTYPES[kind])
    valid = np.array([v is not None for v in values], np.bool_)
    times = {"time": np.arange(len(values), dtype=np.int64)}
    return csv_bytes(Table({}, times, {"value": ColumnData(kind, data, valid)}), "ns"), data


@given(COLUMNS)
def test_csv_gives_back_exact_values(column):
    kind, values = column
    written, data = _written(kind, values)
    rows = _read(written)
    assert rows[0] == ["time", "value"]
    assert [row[0] for row in rows[1:]] == [str(k) for k in range(len(values))]
    for value, stored, (_, text) in zip(values, data, rows[1:], strict=True):
        if value is None:
            assert text == ""
        elif kind == ValueType.TEXT:
            assert text == value
        elif kind == ValueType.BOOL:
            assert text == ("true" if value else "false")
        elif kind in (ValueType.INT64, ValueType.UINT64):
            assert int(text) == value
        else:
            again = DTYPES[kind](text)
            assert again == stored or (math.isnan(again) and math.isnan(stored))
            assert math.copysign(1, again) == math.copysign(1, stored) or math.isnan(stored)


def test_an_empty_text_differs_from_null_and_infinities_have_names():
    assert (
        _written(ValueType.TEXT, ["", None, 'a"b'])[0]
        == b'time,value\r\n0,""\r\n1,\r\n2,"a""b"\r\n'
    )
    special = [math.nan, math.inf, -math.inf]
    assert _written(ValueType.FLOAT64, special)[0].split()[1:] == [
        b"0,NaN",
        b"1,Infinity",
        b"2,-Infinity",
    ]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
def test_what_an_answer_lacks_travels_in_a_header(text):
    told = told_in_header(json.dumps({"what": text}, ensure_ascii=False).encode())
    assert told.isascii()
    assert json.loads(told) == {"what": text}


def test_a_header_longer_than_clients_take_is_refused():
    with pytest.raises(ApiError) as refused:
        told_in_header(b"x" * 5_000)
    assert refused.value.status == 406


def test_of_the_facts_only_what_is_missing_is_told():
    whole = {"tag": "a", "damage": [], "continuation": None}
    torn = {"tag": "b", "damage": [{"file": "x"}], "continuation": "c"}
    assert lacking({"tags": [whole]}) == {}
    assert lacking({"tags": [whole, torn]}) == {"tags": [{**torn}]}


ASKED = {
    "/v1/latest": ({"tag": ["n", "s"]}, "tag,time,present"),
    "/v1/raw": ({**WINDOW, "tag": "n"}, "time,quality,value [bar],bound"),
    "/v1/plot": ({**WINDOW, "tag": "n"}, "time,quality,value [bar],bound"),
    "/v1/aggregates": ({**WINDOW, "tag": "n", "aggregate": "Count"}, "start,end,percent_good"),
    "/v1/at-times": ({"tag": "n", "at": str(BEGIN)}, "time,value:n [bar],status:n"),
    "/v1/interpolated": ({**WINDOW, "tag": "n", "interval": "10s"}, "time,value:n [bar]"),
    "/v1/spans": ({**WINDOW, "where": "{n} > 1"}, "start,end,state"),
}


async def _plant(client):
    await client.post("/v1/tags", json={"name": "n", "type": "uint64", "eng_unit": "bar"})
    await client.post("/v1/tags", json={"name": "s", "type": "symbol"})
    series = [
        {"tag": "n", "time": [BEGIN, BEGIN + S], "value": [str(2**64 - 1), 7]},
        {"tag": "s", "time": [BEGIN], "value": ["a,b"]},
    ]
    answer = await client.post("/v1/samples", json={"time_unit": "ns", "series": series})
    assert answer.json()["stored"] == 3, answer.text


@pytest.mark.parametrize("path", ASKED)
def test_every_read_answers_csv_with_the_rows_of_arrow(house, path):
    asked, title = ASKED[path]

    async def work(client, historian):
        await _plant(client)
        answer = await client.get(path, params={**asked, "form": "csv"})
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("text/csv")
        assert json.loads(answer.headers["historian-lacks"]) == {}
        assert answer.text.startswith(title), answer.text
        by_header = await client.get(path, params=asked, headers={"accept": "text/csv"})
        assert by_header.content == answer.content
        plain = await client.get(path, params={**asked, "form": "json"})
        assert len(_read(answer.content)) == plain.json()["count"] + 1
        rows = (await client.get(path, params={**asked, "form": "rows"})).json()["rows"]
        lines = await client.get(path, params={**asked, "form": "ndjson"})
        assert lines.headers["content-type"] == "application/x-ndjson"
        assert json.loads(lines.headers["historian-lacks"]) == {}
        assert [json.loads(line) for line in lines.text.splitlines()] == rows
        titles, *cells = _read(answer.content)
        assert [title.partition(" [")[0] for title in titles] == list(rows[0])
        for row, texts in zip(rows, cells, strict=True):
            for value, text in zip(row.values(), texts, strict=True):
                assert (value is None) == (text == "")
                assert (
                    isinstance(value, (float, bool)) or str("" if value is None else value) == text
                )
        wrong = await client.get(path, params={**asked, "form": "xml"})
        assert wrong.status_code == 400
        assert wrong.json()["error"]["where"] == "query form"

    house.run(work)


def test_a_page_and_large_numbers_are_told_in_csv(house):
    async def work(client, historian):
        await _plant(client)
        asked = {**WINDOW, "tag": "n", "max_count": 1, "form": "csv"}
        answer = await client.get("/v1/raw", params=asked)
        assert _read(answer.content)[1][2] == str(2**64 - 1)
        following = json.loads(answer.headers["historian-lacks"])["continuation"]
        answer = await client.get("/v1/raw", params={**asked, "continuation": following})
        assert _read(answer.content)[1][2] == "7"
        latest = await client.get("/v1/latest", params={"tag": ["s"], "form": "csv"})
        assert '"a,b"' in latest.text
        await client.post("/v1/tags", json={"name": "empty", "type": "float64"})
        latest = await client.get("/v1/latest", params={"tag": ["empty"], "form": "csv"})
        assert _read(latest.content)[1][:3] == ["empty", "", "false"]

    house.run(work)


def test_many_tags_are_one_long_csv(house):
    async def work(client, historian):
        await _plant(client)
        asked = {**WINDOW, "tag": ["n", "n"]}
        answer = await client.post("/v1/raw", json=asked, headers={"accept": "text/csv"})
        rows = _read(answer.content)
        assert [row[rows[0].index("tag")] for row in rows[1:]] == ["n"] * 4
        refused = await client.post("/v1/raw", json={**asked, "form": "csv"})
        assert refused.status_code == 400

    house.run(work)


def test_joins_events_and_the_quarantine_answer_csv(house):
    async def work(client, historian):
        await _plant(client)
        accept = {"accept": "text/csv"}
        asked = {"tags": [{"tag": "n"}], "at": [str(BEGIN)]}
        answer = await client.post("/v1/joins/as-of", json=asked, headers=accept)
        assert answer.status_code == 200, answer.text
        assert len(_read(answer.content)) == 2
        for path in ("/v1/quarantine", "/v1/events/unit_created"):
            answer = await client.get(path, params={**WINDOW, "form": "csv"})
            assert answer.status_code == 200, answer.text
            assert len(_read(answer.content)) == 1

    house.run(work)
