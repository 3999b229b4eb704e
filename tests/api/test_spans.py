"""api/routes/spans.py: when a filter was true, through the door."""

import json
from dataclasses import replace

import pyarrow as pa
import pytest

from historian.config_query import QueryConfig

WINDOW = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T00:00:40Z"}
RUNNING = "{line/force} >= 2 and {line/state} = 'run'"
S = 1_000_000_000


async def _plant(client):
    for name, type_ in (("line/force", "float64"), ("line/state", "symbol")):
        answer = await client.post("/v1/tags", json={"name": name, "type": type_})
        assert answer.status_code == 201, answer.text
    times = [f"2026-01-01T00:00:{second:02}Z" for second in (0, 20, 30)]
    series = [
        {"tag": "line/force", "time": times, "value": [1.0, 3.0, 3.0]},
        {"tag": "line/state", "time": times, "value": ["run", "run", "idle"]},
    ]
    answer = await client.post("/v1/samples", json={"series": series})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def _spans(client, where, **more):
    answer = await client.get("/v1/spans", params={"where": where, **WINDOW, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def _seconds(found):
    """Beginnings of the spans in seconds of the minute, each with its state."""
    return list(zip([text[17:19] for text in found["start"]], found["state"], strict=True))


def test_spans_tile_the_window_and_say_how_long_each_state_lasts(house):
    """A line crosses between its samples; nothing is known behind the newest."""

    async def work(client, historian):
        await _plant(client)

        found = await _spans(client, RUNNING, time="iso")

        assert [("00", "false"), ("10", "true"), ("30", "false"), ("30", "unknown")] == _seconds(
            found
        )
        assert found["start"][1:] == found["end"][:-1]
        assert "2026-01-01T00:00:40.000000000Z" == found["end"][-1]
        assert ["line/force", "line/state"] == [tag["tag"] for tag in found["tags"]]
        assert RUNNING == found["where"]
        assert 20 * S == found["true_ns"]
        assert 40 * S == found["true_ns"] + found["false_ns"] + found["unknown_ns"]
        assert [] == found["damage"]
        held = await _spans(client, RUNNING, hold_last=True)
        assert ["false", "true", "false"] == held["state"]
        long = await _spans(client, RUNNING, min_length="21s", hold_last=True)
        assert (["false"], 0) == (long["state"], long["true_ns"])

    house.run(work)


def test_spans_as_known_before_a_correction_and_of_uncertain_samples(house):
    """The same rules as of every read."""

    async def work(client, historian):
        await _plant(client)
        lsn = historian.engine.durable_lsn
        uncertain = {"tag": "line/force", "time": ["2026-01-01T00:00:20Z"], "value": [0.0]}
        written = {"series": [{**uncertain, "quality": [0x4000_0000]}]}
        answer = await client.post("/v1/samples", json=written)
        assert answer.status_code == 200, answer.text

        # Above 2 from the nanosecond behind 10 s to the newest sample, which tells its own.
        before = await _spans(client, "{line/force} > 2", known_at_lsn=lsn)
        assert 20 * S == before["true_ns"]
        now = await _spans(client, "{line/force} < 1", uncertain="good")
        assert 0 < now["true_ns"] < 40 * S
        assert 0 == (await _spans(client, "{line/force} < 1"))["true_ns"]
        assert 0 < (await _spans(client, "{line/force} is uncertain"))["true_ns"]

    house.run(work)


def test_spans_in_arrow(house):
    """Columns with types; what is said of all of them is in the metadata."""

    async def work(client, historian):
        await _plant(client)
        accept = {"accept": "application/vnd.apache.arrow.stream"}
        asked = {"where": "{line/state} = 'run'", **WINDOW, "hold_last": True}
        answer = await client.get("/v1/spans", params=asked, headers=accept)

        table = pa.ipc.open_stream(answer.content).read_all()

        assert ["start", "end", "state"] == table.column_names
        assert ["true", "false"] == table["state"].to_pylist()
        facts = json.loads(table.schema.metadata[b"historian"])
        assert (30 * S, 10 * S) == (int(facts["true_ns"]), int(facts["false_ns"]))

    house.run(work)


def test_a_wrong_filter_is_refused_with_its_character(house):
    """What stands there, and what could."""

    async def work(client, historian):
        await _plant(client)
        for where, character, got, want in (
            ("{line/force} > ", 15, "the end", "a tag"),
            ("{line/force} > 80 {line/state}", 18, "the tag {line/state}", "and, or"),
            ("force > 80", 0, "the word 'force'", "a tag in braces"),
            ("{line/state} > 5", 0, "a text, tag 'line/state'", "only compared by ="),
            ("{line/force} * {line/force} > 1", 13, "a product", "stepped"),
            ("", 0, "the end", "a tag"),
            ("true or " * 501 + "true", 4_000, "4012 characters", "at most 4000"),
            ("(" * 65 + "true" + ")" * 65, 65, "more than 64 levels", "at most 64"),
        ):
            answer = await client.get("/v1/spans", params={"where": where, **WINDOW})
            told = answer.json()["error"]
            assert (400, "invalid_request") == (answer.status_code, told["code"]), told
            assert f"where, character {character}" == told["where"], told
            assert got in told["got"], told
            assert want in told["want"], told

    house.run(work)


@pytest.mark.parametrize(("bound", "got"), [("rows_max", "2 spans"), ("scan_rows_max", "2 samp")])
def test_an_answer_beyond_the_servers_bounds_is_refused(house, bound, got):
    """Spans of the answer, and samples that are read for it."""

    async def work(client, historian):
        await _plant(client)
        asked = {"where": "{line/force} != 2", **WINDOW}
        for path, more in (
            ("/v1/spans", {}),
            ("/v1/aggregates", {"tag": "line/state", "aggregate": "Count"}),
        ):
            answer = await client.get(path, params={**asked, **more})
            told = answer.json()["error"]
            assert (422, "answer_too_large") == (answer.status_code, told["code"])
            assert f"more than {got}" in told["got"]
            assert "where" == told["where"]

    house.config = replace(house.config, query=QueryConfig(**{bound: 2}))
    house.run(work)


def test_a_wrong_question_is_refused_by_name(house):
    """Unknown tags, empty windows, limits, parameters that are none."""

    async def work(client, historian):
        await _plant(client)
        good = {"where": "{line/force} > 1", **WINDOW}
        for more, status, code, where in (
            ({"where": "{nobody} > 1"}, 404, "unknown_tag", "tag"),
            ({"end": WINDOW["start"]}, 400, "invalid_request", "end_ns"),
            ({"start": WINDOW["end"], "end": WINDOW["start"]}, 400, "invalid_request", "end_ns"),
            ({"start": "tomorrow"}, 400, "invalid_time", "start"),
            ({"min_length": "long"}, 400, "invalid_duration", "min_length"),
            ({"tag": "line/force"}, 400, "unknown_parameter", "query tag"),
            ({"uncertain": "maybe"}, 400, "invalid_parameter", "query uncertain"),
        ):
            answer = await client.get("/v1/spans", params={**good, **more})
            told = answer.json()["error"]
            assert (status, code, where) == (answer.status_code, told["code"], told["where"]), more
        answer = await client.get("/v1/spans", params=WINDOW)
        assert (400, "query where") == (answer.status_code, answer.json()["error"]["where"])

    house.run(work)
