"""Units of measure over HTTP and at the command line: values converted, refusals, warnings."""

import json

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from api.__main__ import app
from historian.testing import ServerProcess

S = 1_000_000_000
BEGIN = 1_767_225_600 * S  # 2026-01-01T00:00:00Z
WINDOW = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T00:01:00Z"}
CSV = {"content-type": "text/csv"}
READS = {
    "latest": {},
    "raw": WINDOW,
    "plot": {**WINDOW, "pixels": 4},
    "at-times": {"at": ["2026-01-01T00:00:05Z"]},
    "interpolated": {**WINDOW, "interval": "10s"},
    "aggregates": {**WINDOW, "aggregate": ["Average", "Range", "Count", "VariancePopulation"]},
}


async def _plant(client):
    tags = [
        ("oven", "float64", "degC"),
        ("line", "int64", "°C"),
        ("state", "symbol", "degC"),
        ("odd", "float64", "pcs"),
        ("bare", "float64", ""),
        ("power", "float64", "kW"),
    ]
    for name, kind, unit in tags:
        made = await client.post("/v1/tags", json={"name": name, "type": kind, "eng_unit": unit})
        assert made.status_code == 201, made.text
    series = [
        {"tag": name, "time": [BEGIN, BEGIN + 10 * S], "value": [10, 20]}
        for name, kind, _ in tags
        if kind != "symbol"
    ]
    answer = await client.post("/v1/samples", json={"time_unit": "ns", "series": series})
    assert answer.json()["rejected"] == 0, answer.text


def _values(read, answer):
    if read == "aggregates":
        return [answer[name][0] for name in ("Average", "Range", "Count", "VariancePopulation")]
    value = answer["value"]
    return value[0] if read in {"at-times", "interpolated"} else value


WANT = {
    "latest": [68.0],
    "raw": [50.0, 68.0],
    "plot": [50.0, 68.0],
    "at-times": [59.0],
    "interpolated": [50.0, 68.0, 68.0, 68.0, 68.0, 68.0],
    "aggregates": [59.0, 18.0, 2, 81.0],
}


@pytest.mark.parametrize("read", READS)
def test_every_read_tells_values_in_the_unit_asked_for(house, read):
    """By GET and, for two tags at once, by POST; floats and whole numbers; the answer says it."""

    async def work(client, historian):
        await _plant(client)
        asked = {**READS[read], "eng_unit": "°F"}
        answer = (await client.get(f"/v1/{read}", params={**asked, "tag": "oven"})).json()
        assert _values(read, answer) == pytest.approx(WANT[read]), answer
        unit = answer["eng_unit"]
        assert (unit if isinstance(unit, str) else unit[0]) == "°F"
        if read == "aggregates":
            assert answer["eng_units"] == {"VariancePopulation": "°F²"}
        body = {**asked, "tag": ["oven", "line"]}
        several = await client.post(f"/v1/{read}", json=body)
        assert several.status_code == 200, several.text
        told = several.json()
        if "tags" in told:
            assert [one["eng_unit"] for one in told["tags"]] == ["°F", "°F"]
            assert [one["type"] for one in told["tags"]] == ["float64", "float64"]
            assert [_values(read, one) for one in told["tags"]] == [pytest.approx(WANT[read])] * 2
        else:
            assert (told["eng_unit"], told["type"]) == (["°F", "°F"], ["float64", "float64"])
            assert told["value"][0] == pytest.approx(WANT[read] if read != "latest" else 68.0)
            assert told["value"][-1] in ([50.0], [50.0, *[68.0] * 5], 68.0)  # it steps
        sheet = await client.get(f"/v1/{read}", params={**asked, "tag": "oven", "form": "csv"})
        assert sheet.status_code == 200
        if read in {"raw", "plot"}:
            assert "value [°F]" in sheet.text.splitlines()[0]

    house.run(work)


REFUSED = [
    ("oven", "parrot", "'parrot'", "eng_unit"),
    ("oven", "bar", "'degC' as 'bar'", "tag 'oven'"),
    ("odd", "bar", "the tag's unit 'pcs', which is not known", "tag 'odd'"),
    ("bare", "bar", "a tag without unit", "tag 'bare'"),
    ("state", "degF", "a symbol tag", "tag 'state'"),
]


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("case", REFUSED, ids=[case[2] for case in REFUSED])
def test_what_cannot_be_converted_is_refused(house, read, case):
    """By every read, with what, got, want and where."""
    tag, unit, got, where = case

    async def work(client, historian):
        await _plant(client)
        asked = {**READS[read], "tag": tag, "eng_unit": unit}
        if read == "aggregates":
            asked["aggregate"] = ["Count"]
        for answer in (
            await client.get(f"/v1/{read}", params=asked),
            await client.post(f"/v1/{read}", json={**asked, "tag": [tag]}),
        ):
            error = answer.json()["error"]
            assert (answer.status_code, error["code"]) == (400, "invalid_request"), answer.text
            assert (error["message"].split(":")[0], error["got"]) == ("cannot convert units", got)
            assert (error["where"], bool(error["want"])) == (where, True)

    house.run(work)


def test_whole_numbers_in_two_units_are_one_stream(house):
    """One tag has the unit already and one has not: a column of doubles, facts in the unit."""

    async def work(client, historian):
        for name, unit in (("a", "m"), ("b", "mm")):
            body = {"name": name, "type": "int64", "eng_unit": unit}
            assert (await client.post("/v1/tags", json=body)).status_code == 201
        series = [{"tag": name, "time": [BEGIN], "value": [2500]} for name in ("a", "b")]
        await client.post("/v1/samples", json={"time_unit": "ns", "series": series})
        body = {**WINDOW, "tag": ["a", "b"], "eng_unit": "m"}
        headers = {"accept": "application/vnd.apache.arrow.stream"}
        answer = await client.post("/v1/raw", json=body, headers=headers)
        table = pa.ipc.open_stream(answer.content).read_all()
        assert table["value"].to_pylist() == [2500.0, 2.5]
        facts = json.loads(table.schema.metadata[b"historian"])["tags"]
        assert [one["eng_unit"] for one in facts] == ["m", "m"]

    house.run(work)


def test_a_unit_is_a_short_text_and_an_integral_has_one_zero(house):
    """Empty and endless units are refused by the door, totals over other zeros by the question."""

    async def work(client, historian):
        await _plant(client)
        for unit in ("", "m" * 65):
            answer = await client.get("/v1/raw", params={**WINDOW, "tag": "oven", "eng_unit": unit})
            assert (answer.status_code, answer.json()["error"]["where"]) == (400, "query eng_unit")
        asked = {**WINDOW, "tag": "oven", "aggregate": "Total2", "eng_unit": "K"}
        error = (await client.get("/v1/aggregates", params=asked)).json()["error"]
        assert error["got"] == "Total2 of 'degC' as 'K', which have different zeros"
        asked |= {"tag": "power", "aggregate": ["Integral", "Total2"], "eng_unit": "W"}
        told = (await client.get("/v1/aggregates", params=asked)).json()
        assert told["eng_units"] == {"Integral": "Wh", "Total2": "W·s"}
        assert told["Integral"][0] * 3600 == pytest.approx(told["Total2"][0])

    house.run(work)


def test_joins_take_a_unit_for_each_tag(house):
    """The band is in that unit, too."""

    async def work(client, historian):
        await _plant(client)
        tags = [
            {"tag": "oven", "eng_unit": "°F", "low": 59, "high": 68},
            {"tag": "power", "eng_unit": "W"},
            {"tag": "line"},
        ]
        edges = {"start": [WINDOW["start"]], "end": ["2026-01-01T00:00:10Z"]}
        windows = await client.post("/v1/joins/windows", json={"tags": tags, **edges})
        oven, power, line = windows.json()["tags"]
        assert [one["eng_unit"] for one in (oven, power, line)] == ["°F", "W", "°C"]
        assert (oven["mean"], oven["in_band_ns"]) == ([pytest.approx(59.0)], [5 * S])
        assert oven["integral"] == [pytest.approx(590.0)]
        assert (power["mean"], line["mean"]) == ([15_000.0], [10.0])
        plain = [{k: v for k, v in tag.items() if k in ("tag", "eng_unit")} for tag in tags]
        times = {"at": ["2026-01-01T00:00:03Z"]}
        as_of = (await client.post("/v1/joins/as-of", json={"tags": plain, **times})).json()["tags"]
        assert [one["value"] for one in as_of] == [[50.0], [10_000.0], [10]]
        wrong = {"tags": [{"tag": "oven", "eng_unit": "bar"}], **times}
        error = (await client.post("/v1/joins/as-of", json=wrong)).json()["error"]
        assert (error["got"], error["where"]) == ("'degC' as 'bar'", "tag 'oven'")

    house.run(work)


def test_a_unit_that_is_not_known_is_kept_and_said(house):
    """When a tag is made, changed, told, listed and imported; a known one is said nothing of."""

    async def work(client, historian):
        made = (await client.post("/v1/tags", json={"name": "a", "eng_unit": "pcs"})).json()
        assert made["eng_unit"] == "pcs"
        assert [(w["where"], w["got"]) for w in made["warnings"]] == [("eng_unit", "pcs")]
        again = (await client.patch("/v1/tags/a", json={"eng_unit": "NTU"})).json()
        assert [w["got"] for w in again["warnings"]] == ["NTU"]
        assert (await client.get("/v1/tags/a")).json()["warnings"] == again["warnings"]
        assert (await client.get("/v1/tags")).json()["tags"][0]["warnings"] == again["warnings"]
        changes = {"changes": [{"tag": "a", "eng_unit": "m³/h"}]}
        assert (await client.patch("/v1/tags", json=changes)).json()["tags"][0]["warnings"] == []
        file = "name,eng_unit\na,rH%\nb,pH\nc,bar\nd,\n"
        told = (await client.post("/v1/tags/csv", content=file.encode(), headers=CSV)).json()
        assert told["applied"]
        said = [[w["got"] for w in row.get("warnings", [])] for row in told["rows"]]
        assert said == [["rH%"], ["pH"], [], []]
        again = (await client.post("/v1/tags/csv", content=file.encode(), headers=CSV)).json()
        assert not any("warnings" in row for row in again["rows"])

    house.run(work)


def test_the_command_line_asks_in_a_unit(tmp_path):
    """Latest, aggregates and an import with a unit that nobody knows; spans have no values."""
    with ServerProcess(tmp_path / "data") as server:
        runner, options = CliRunner(), ["--config", str(server.config)]
        file = tmp_path / "tags.csv"
        file.write_text("name,eng_unit\np,bar\nq,pcs\n")
        done = runner.invoke(app, ["tags", "import", str(file), *options])
        assert done.exit_code == 0, done.output
        assert "warning: eng_unit 'pcs'" in " ".join(done.output.split())
        with server.client() as client:
            series = [{"tag": "p", "time": ["2026-01-01T00:00:00Z"], "value": [1.5]}]
            assert client.post("/v1/samples", json={"series": series}).json()["stored"] == 1
        latest = runner.invoke(app, ["query", "latest", "p", "--eng-unit", "kPa", *options])
        assert ("150 " in latest.output, "kPa" in latest.output) == (True, True), latest.output
        span = ["--start", WINDOW["start"], "--end", WINDOW["end"]]
        raw = runner.invoke(app, ["query", "raw", "p", "--eng-unit", "mbar", *span, *options])
        assert ("1500" in raw.output, "[mbar]" in raw.output) == (True, True), raw.output
        wrong = runner.invoke(app, ["query", "latest", "p", "--eng-unit", "kW", *options])
        assert (wrong.exit_code, "units of one dimension" in wrong.output) == (1, True)
        spans = ["query", "spans", "--where", "{p} > 1", "--eng-unit", "kPa", *options]
        assert runner.invoke(app, spans).exit_code == 2
