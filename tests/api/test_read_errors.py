"""Every read over HTTP with its errors: what is wrong is refused, in one shape, by name."""

from dataclasses import dataclass, replace
from typing import Any

import pytest

START, END = "2026-01-01T00:00:00Z", "2026-01-01T00:00:40Z"
WINDOW = {"start": START, "end": END}
INTERPOLATED = {**WINDOW, "interval": "10s"}
JOIN_TAG = [{"tag": "line/force"}]


@dataclass(frozen=True)
class Read:
    """A question that is answered, and what may be wrong with it.

    ``lists``: parameters that a GET may repeat; ``get`` and ``post``: by which it is asked.
    """

    path: str
    asked: dict[str, Any]
    get: bool = True
    post: bool = True
    lists: tuple[str, ...] = ()


READS = {
    "latest": Read("/v1/latest", {"tag": ["line/force"]}, lists=("tag",)),
    "raw": Read("/v1/raw", {"tag": ["line/force"], **WINDOW}),
    "at-times": Read("/v1/at-times", {"tag": ["line/force"], "at": [START]}, lists=("tag", "at")),
    "interpolated": Read(
        "/v1/interpolated", {"tag": ["line/force"], **INTERPOLATED}, lists=("tag",)
    ),
    "plot": Read("/v1/plot", {"tag": ["line/force"], **WINDOW}),
    "aggregates": Read(
        "/v1/aggregates", {"tag": ["line/force"], **WINDOW, "aggregate": ["Count"]},
        lists=("aggregate",),
    ),
    "states": Read("/v1/states", {"tag": ["line/force"], **WINDOW, "stepped": "true"}),
    "correlation": Read(
        "/v1/correlation", {"x": "line/force", "y": "line/force", **WINDOW, "every": "40s"},
        post=False, lists=("shift",),
    ),
    "spans": Read("/v1/spans", {"where": "{line/force} > 1", **WINDOW}, post=False),
    "windows": Read(
        "/v1/joins/windows", {"tags": JOIN_TAG, "start": [START], "end": [END]}, get=False
    ),
    "as-of": Read("/v1/joins/as-of", {"tags": JOIN_TAG, "at": [START]}, get=False),
    "overlaps": Read(
        "/v1/joins/overlaps",
        {"left": {"start": [START], "end": [END]}, "right": {"start": [START], "end": [END]}},
        get=False,
    ),
}  # fmt: skip
TAGGED = ("latest", "raw", "at-times", "interpolated", "plot", "aggregates", "states")
WINDOWED = ("raw", "interpolated", "plot", "aggregates", "states", "correlation", "spans")
FILTERED = ("raw", "at-times", "interpolated", "plot", "aggregates", "spans")
CUT = ("interpolated", "aggregates", "states", "correlation")
NOBODY = [{"tag": "nobody"}]
TWO_WINDOWS = {"start": [START, START], "end": [END, END]}
FIVE_TAGS = {"tag": ["line/force"] * 5}

# (reads, what is changed, status, place in "where"); None takes a parameter away.
WRONG: list[tuple[tuple[str, ...], dict[str, Any], int, str]] = [
    (TAGGED, {"tag": ["nobody"]}, 404, "tag"),
    (TAGGED, {"tag": None}, 400, "tag"),
    (TAGGED, {"tag": [""]}, 400, "tag"),
    (("windows", "as-of"), {"tags": NOBODY}, 404, "tag"),
    (("windows", "as-of"), {"tags": []}, 400, "tags"),
    (("windows", "as-of"), {"tags": [{"tag": "line/force", "shift": "soon"}]}, 400, "shift"),
    (("spans",), {"where": "{nobody} > 1"}, 404, "tag"),
    # windows
    (("plot", "spans"), {"start": END, "end": START}, 400, "end"),
    (WINDOWED[1:], {"end": START}, 400, "end"),
    (("windows",), {"end": [START]}, 400, "window 0"),
    (("windows",), {"start": [END], "end": [START]}, 400, "window 0"),
    (("windows",), {"start": [START, START]}, 400, "start"),
    (("overlaps",), {"left": {"start": [END], "end": [START]}}, 400, "left"),
    (WINDOWED, {"start": None}, 400, "start"),
    (WINDOWED, {"start": "yesterday morning"}, 400, "start"),
    (WINDOWED, {"end": "2026-01-01T00:00:00"}, 400, "end"),
    (WINDOWED, {"start": "9" * 30}, 400, "start"),
    (("at-times", "as-of"), {"at": ["soon"]}, 400, "at"),
    (("at-times", "as-of"), {"at": None}, 400, "at"),
    (("windows",), {"start": ["soon"]}, 400, "start"),
    (("overlaps",), {"right": {"start": ["soon"], "end": [END]}}, 400, "start"),
    (WINDOWED, {"zone": "Moon/Crater", "start": "today"}, 400, "zone"),
    (CUT, {"zone": "Moon/Crater", "interval": "1h"}, 400, "zone"),
    (("at-times",), {"zone": "Moon/Crater", "at": ["today"]}, 400, "zone"),
    (WINDOWED, {"calendar": "nobody", "start": "start of shift"}, 400, "calendar"),
    # intervals
    (CUT, {"interval": "0s"}, 400, "interval"),
    (CUT, {"interval": "-1s"}, 400, "interval"),
    (CUT, {"interval": "0"}, 400, "interval"),
    (CUT, {"interval": "often"}, 400, "interval"),
    (CUT, {"interval": "0mo"}, 400, "interval"),
    (("interpolated",), {"interval": None}, 400, "interval"),
    (("aggregates",), {"aggregate": ["Middle"]}, 400, "aggregate"),
    (("aggregates",), {"aggregate": None}, 400, "aggregate"),
    (("aggregates",), {"percent_data_good": 101}, 400, "percent_data_good"),
    (("aggregates",), {"aggregate": ["Percentile(101)"]}, 400, "aggregate"),
    (("aggregates",), {"aggregate": ["ValueAtMaximum(nobody)"]}, 404, "tag"),
    (("aggregates",), {"moving": "-1s"}, 400, "moving"),
    (("states",), {"stepped": None}, 400, "tag"),
    (("states",), {"stepped": "false"}, 400, "tag"),
    (("states",), {"stepped": "perhaps"}, 400, "stepped"),
    (("correlation",), {"x": "nobody"}, 404, "tag"),
    (("correlation",), {"y": None}, 400, "y"),
    (("correlation",), {"every": "0s"}, 400, "every"),
    (("correlation",), {"every": None}, 400, "every"),
    (("correlation",), {"shift": ["soon"]}, 400, "shift"),
    (("plot",), {"pixels": 0}, 400, "pixels"),
    (("plot",), {"method": "average"}, 400, "method"),
    (("raw",), {"max_count": 0}, 400, "max_count"),
    (("raw",), {"bounds": "inside"}, 400, "bounds"),
    (("raw",), {"bounds": "outside", "where": "true"}, 400, "bounds"),
    (("spans",), {"min_length": "-1s"}, 400, "min_length"),
    (("as-of",), {"direction": "up"}, 400, "direction"),
    (("as-of",), {"max_age": "-1s"}, 400, "max_age"),
    (("overlaps",), {"least": "-1s"}, 400, "least"),
    # filters
    (FILTERED, {"where": "{line/force} >"}, 400, "where, character 14"),
    (FILTERED, {"where": ""}, 400, "where, character 0"),
    (FILTERED, {"where": "{line/force} > 'a'"}, 400, "where, character 15"),
    (FILTERED, {"where": "{line/force"}, 400, "where, character 11"),
    (FILTERED, {"where": "x" * 4_001}, 400, "where"),
    (FILTERED[:-1], {"where": "{nobody} > 1"}, 404, "tag"),
    # names
    (tuple(READS), {"tga": "x"}, 400, "tga"),
    (tuple(set(READS) - {"latest", "overlaps"}), {"known_at": START, "known_at_lsn": 1}, 400,
     "known_at"),
    (tuple(READS), {"time": "hours"}, 400, "time"),
    (tuple(set(READS) - {"windows", "as-of", "overlaps"}), {"form": "pdf"}, 400, "form"),
]  # fmt: skip
# Bounds of the server, lowered by the test, and what passes them.
BEYOND: list[tuple[tuple[str, ...], dict[str, Any], str]] = [
    (("raw",), {}, "tag"),
    (("raw",), {"max_count": 5}, "max_count"),
    (("raw", "spans"), {"where": "{line/force} != 2"}, ""),
    (CUT, {"interval": "1ns"}, "interval"),
    (("aggregates",), {"interval": "20s", "moving": "1d"}, "moving"),
    (("correlation",), {"every": "1s"}, "every"),
    (CUT, {"interval": "1s", "zone": "UTC"}, "interval"),
    (("at-times",), {"at": [START] * 4}, "at"),
    (("windows",), TWO_WINDOWS | {"start": [START] * 4, "end": [END] * 4}, "start"),
    (("as-of",), {"at": [START] * 4}, "at"),
    (("at-times", "interpolated", "latest"), FIVE_TAGS, "tag"),
    (("windows", "as-of"), {"tags": JOIN_TAG * 5}, "tags"),
]


async def _plant(client):
    await client.post("/v1/tags", json={"name": "line/force", "type": "float64"})
    times = [f"2026-01-01T00:00:{second:02}Z" for second in range(0, 40, 5)]
    series = [{"tag": "line/force", "time": times, "value": [1.0, 2.0] * 4}]
    answer = await client.post("/v1/samples", json={"series": series})
    assert answer.status_code == 200, answer.text


def _changed(read, change):
    asked = {**read.asked, **change}
    return {name: value for name, value in asked.items() if value is not None}


async def _answers(client, read, asked):
    if read.get:
        yield "GET", await client.get(read.path, params=asked)
    if read.post and "form" not in asked:
        yield "POST", await client.post(read.path, json=asked)


def _faults(name, verb, change, answer, want):
    """What an error lacks."""
    status, place = want
    if answer.status_code != status:
        return [f"{name} {verb} {change}: {answer.status_code}, want {status}: {answer.text[:300]}"]
    told = answer.json()["error"]
    lacks = [key for key in ("message", "got", "want", "where") if told[key] is None]
    lacks += [f"{place} in where"] if place not in (told["where"] or "") else []
    return [f"{name} {verb} {change} lacks {lacks}: {told}"] if lacks else []


@pytest.mark.parametrize("name", READS)
def test_every_read_tells_what_is_wrong_and_where(house, name):
    """Status, what, got, want, and where with the name of the parameter; GET and POST alike."""
    read = READS[name]

    async def work(client, historian):
        await _plant(client)
        faults = []
        async for verb, answer in _answers(client, read, read.asked):
            assert answer.status_code == 200, (verb, answer.text)
        for reads, change, status, place in WRONG:
            if name in reads:
                asked = _changed(read, change)
                async for verb, answer in _answers(client, read, asked):
                    faults += _faults(name, verb, change, answer, (status, place))
        return faults

    assert house.run(work) == []


@pytest.mark.parametrize("name", READS)
def test_every_bound_of_a_read_is_told(house, name):
    read = READS[name]

    async def work(client, historian):
        await _plant(client)
        bounds = {"rows_max": 3, "intervals_max": 3, "tags_max": 4, "values_max": 3}
        historian.query.limits = replace(historian.query.limits, **bounds, overlaps_max=1)
        faults = []
        for reads, change, place in BEYOND:
            if name in reads:
                asked = _changed(read, change)
                async for verb, answer in _answers(client, read, asked):
                    faults += _faults(name, verb, change, answer, (422, place))
        return faults

    assert house.run(work) == []


@pytest.mark.parametrize("name", READS)
def test_what_is_said_twice_or_in_no_form_is_refused(house, name):
    """A parameter given twice is never lost; a body takes no address, and is an object."""
    read = READS[name]

    async def work(client, historian):
        await _plant(client)
        faults = []
        for parameter in (*read.asked, "time") if read.get else ():
            if parameter not in read.lists:
                value = read.asked.get(parameter, "ns")
                twice = {
                    **read.asked,
                    parameter: [*([value] if isinstance(value, str) else value)] * 2,
                }
                answer = await client.get(read.path, params=twice)
                faults += _faults(name, "twice", parameter, answer, (400, parameter))
        if read.get:
            answer = await client.get(
                read.path, params=read.asked, headers={"accept": "application/pdf"}
            )
            faults += _faults(name, "GET", "accept", answer, (406, "Accept"))
        if read.post:
            answer = await client.post(f"{read.path}?time=ns", json=read.asked)
            faults += _faults(name, "POST", "address", answer, (400, "query"))
            for body in (b"{", b"[]", b'"x"'):
                answer = await client.post(read.path, content=body)
                faults += _faults(name, "POST", body, answer, (400, "body"))
        return faults

    assert house.run(work) == []
