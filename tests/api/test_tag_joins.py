"""A tag that goes on with the history of another: every read, every refusal, a restart."""

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from api.__main__ import app
from historian.testing import ServerProcess

sys.path.insert(0, str(Path(__file__).parent))
from joined_plant import BEGIN, S, ask, declare, join, seconds, write

OLD = [(0, 1.0), (10, 3.0), (14, 2.0)]
NEW = [(20, 5.0), (30, 7.0)]
READS = {
    "raw": {"bounds": "outside"},
    "plot": {"pixels": 7},
    "at-times": {"at": [seconds(t) for t in (-5, 0, 5, 14, 17, 20, 25, 30)]},
    "interpolated": {"interval": "7s"},
    "aggregates": {
        "interval": "7s",
        "aggregate": ["TimeAverage", "TimeAverage2", "Minimum", "MaximumActualTime", "Count",
                      "Start", "End", "Delta", "DurationGood", "StandardDeviationSample",
                      "Percentile(50)", "CounterIncrease", "Interpolative", "Total2"],
    },
    "latest": {},
}  # fmt: skip
WHOLE = {"interval": "60s", "aggregate": ["Average", "Count", "Range"]}


def _said(answer):
    """What an answer says, without what is of the tag that was asked."""
    return {k: v for k, v in answer.items() if k not in ("tag", "gap_ns")}


async def _plant(client, kind="float64", old=OLD, new=NEW):
    await declare(client, ("old", kind, "bar"), ("new", kind, "bar"), ("one", kind, "bar"))
    for name, rows in (("old", old), ("new", new), ("one", old + new)):
        await write(client, name, rows)


@pytest.mark.parametrize("kind", ["float64", "int64"])
@pytest.mark.parametrize("read", READS)
def test_every_read_is_that_of_one_tag_that_holds_it_all(house, read, kind):
    """A tag into which both were written is the reference; the former tag reads as before."""

    async def work(client, historian):
        as_kind = [[(t, int(v)) for t, v in rows] for rows in (OLD, NEW)]
        await _plant(client, kind, *(as_kind if kind == "int64" else (OLD, NEW)))
        before = await ask(client, read, "old", **READS[read])
        made = await join(client, "new", "old", 18)
        assert made.status_code == 200, made.text
        joined, whole = [await ask(client, read, n, **READS[read]) for n in ("new", "one")]
        assert _said(joined) == _said(whole)
        assert await ask(client, read, "old", **READS[read]) == before

    house.run(work)


def test_joins_spans_filters_and_many_tags_show_both(house):
    """What asks for several tags at once asks for joined ones, too."""

    async def work(client, historian):
        await _plant(client)
        assert (
            (await join(client, "new", "old"))
            .json()["continues"]["from"]
            .startswith("2026-01-01T00:00:20")
        )
        edges = {"start": [BEGIN - S, BEGIN + 12 * S], "end": [BEGIN + 9 * S, BEGIN + 25 * S]}
        body = {"tags": [{"tag": "new"}, {"tag": "one"}], **edges}
        joined, whole = (await client.post("/v1/joins/windows", json=body)).json()["tags"]
        assert _said(joined) == _said(whole)
        body = {"tags": body["tags"], "at": [seconds(t) for t in (-1, 3, 17, 20, 99)]}
        joined, whole = (await client.post("/v1/joins/as-of", json=body)).json()["tags"]
        assert _said(joined) == _said(whole)
        window = {"start": seconds(0), "end": seconds(40)}
        joined, whole = [
            (await client.get("/v1/spans", params={**window, "where": f"{{{n}}} > 2"})).json()
            for n in ("new", "one")
        ]
        assert (joined["start"], joined["state"]) == (whole["start"], whole["state"])
        body = {"tag": ["new", "one"], **window, "where": "{new} > 2"}
        joined, whole = (await client.post("/v1/raw", json=body)).json()["tags"]
        assert joined["value"] == whole["value"] == [3.0, 5.0, 7.0]

    house.run(work)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.tuples(st.integers(0, 29), st.integers(-9, 9)), max_size=8, unique_by=lambda r: r[0]
    ),
    st.integers(1, 14),
    st.integers(15, 29),
)
def test_chains_of_three_are_one_tag(house, tmp_path_factory, rows, first, second):
    """Random samples over three tags, joined in either order, against one tag with all."""

    async def work(client, historian):
        cut = [rows_in(rows, 0, first), rows_in(rows, first, second), rows_in(rows, second, 99)]
        await declare(client, *((name, "int64") for name in ("a", "b", "c", "one")))
        for name, part in zip(("a", "b", "c", "one"), [*cut, rows], strict=True):
            if part:
                await write(client, name, sorted(part))
        later, earlier = ("c", "b", second), ("b", "a", first)
        for one in (later, earlier) if first % 2 else (earlier, later):
            made = await join(client, *one)
            assert made.status_code == 200, made.text
        for read in ("raw", "latest", "interpolated"):
            found = [await ask(client, read, n, **READS[read]) for n in ("c", "one")]
            assert _said(found[0]) == _said(found[1])
        found = [await ask(client, "aggregates", n, **WHOLE) for n in ("c", "one")]
        assert _said(found[0]) == _said(found[1])

    type(house)(tmp_path_factory.mktemp("chain")).run(work)


def rows_in(rows, low, high):
    return [row for row in rows if low <= row[0] < high]


def test_types_that_differ_are_joined_as_those_of_one_tag(house):
    """Numbers as doubles, a text and a number as texts, as after a change of type."""

    async def work(client, historian):
        await declare(client, ("i", "int64"), ("f", "float64"), ("s", "symbol"))
        await write(client, "i", [(0, 1), (5, 2)])
        await write(client, "f", [(20, 2.5)])
        await write(client, "s", [(-5, "off")])
        assert (await join(client, "f", "i", 10)).status_code == 200
        assert (await ask(client, "raw", "f"))["value"] == [1.0, 2.0, 2.5]
        assert (await join(client, "i", "s", -1)).status_code == 200
        assert (await ask(client, "raw", "f"))["value"] == ["off", "1", "2", "2.5"]
        found = await ask(client, "aggregates", "f", **WHOLE)
        assert (found["Count"], found["Range"]) == ([3], [1.5])

    house.run(work)


def test_a_join_lives_through_a_restart_and_is_told_and_taken_back(house):
    """In the tag, in the audit, by name after a rename; a new time replaces the old one."""

    async def first(client, historian):
        await _plant(client)
        assert (await join(client, "new", "old", 18)).status_code == 200
        renamed = await client.patch("/v1/tags/old", json={"name": "older"})
        assert renamed.status_code == 200

    async def second(client, historian):
        assert (await ask(client, "raw", "new"))["value"] == [1.0, 3.0, 2.0, 5.0, 7.0]
        new, old = [(await client.get(f"/v1/tags/{n}")).json() for n in ("new", "older")]
        assert (new["continues"]["tag"], new["continued_by"]) == ("older", None)
        assert (old["continued_by"]["tag"], old["continues"]) == ("new", None)
        assert new["continues"]["from"] == "2026-01-01T00:00:18.000000000Z"
        again = await join(client, "new", "older", 16)
        assert again.json()["continues"]["from"] == "2026-01-01T00:00:16.000000000Z"
        audit = [e for e in historian.catalog.database.audit() if e.action == "join tag"]
        assert [(e.subject, e.after["from_ns"]) for e in audit] == [
            ("new", BEGIN + 16 * S), ("new", BEGIN + 18 * S),
        ]  # fmt: skip
        assert (await join(client, "new", "older", 16)).status_code == 200  # no change, no audit
        assert [e for e in historian.catalog.database.audit() if e.action == "join tag"] == audit
        gone = await client.delete("/v1/tags/new/join")
        assert (gone.status_code, gone.json()["continues"]) == (200, None)
        assert (await ask(client, "raw", "new"))["value"] == [5.0, 7.0]
        assert historian.catalog.database.audit()[0].action == "part tag"
        twice = await client.delete("/v1/tags/new/join")
        assert (twice.status_code, twice.json()["error"]["code"]) == (404, "not_found")

    house.run(first)
    house.run(second)


@pytest.mark.parametrize(
    "case",
    [
        ("new", "old", 25, 409, "at or before"),  # its own samples would be hidden
        ("new", "old", 14, 409, "nobody writes any more"),  # samples of the former one would be
        ("new", "new", 18, 409, "does not itself go on"),
        ("new", "empty", None, 200, None),
        ("empty", "old", None, 409, "no samples yet"),
        ("new", "nobody", 18, 404, None),
        ("nobody", "old", 18, 404, None),
        ("new", "warm", 18, 409, "'bar'"),
    ],
)
def test_what_cannot_be_decided_is_refused(house, case):
    """409 with what would be hidden, and nothing is joined."""
    name, former, at, status, want = case

    async def work(client, historian):
        await _plant(client)
        await declare(client, ("empty", "float64", "bar"), ("warm", "float64", "degC"))
        answer = await join(client, name, former, at)
        assert answer.status_code == status, answer.text
        if want is not None:
            error = answer.json()["error"]
            assert (error["code"], want in error["want"]) == ("conflict", True), error
            assert bool(error["got"] and error["where"])
            assert historian.catalog.joins.chain(historian.catalog.find(name).id) == []

    house.run(work)


def test_circles_forks_and_times_out_of_order_are_refused(house):
    """A goes on with B, B with C: C does not go on with A, D not with B, and times keep order."""

    async def work(client, historian):
        await declare(client, *((name, "int64", "") for name in "abcd"))
        assert (await join(client, "b", "a", 10)).status_code == 200
        assert (await join(client, "c", "b", 20)).status_code == 200
        for name, former, at, want in (
            ("a", "c", 30, "does not itself go on"),
            ("d", "a", 30, "no other goes on"),
            ("b", "a", 20, "a time before"),
            ("c", "b", 10, "a time after"),
        ):
            error = (await join(client, name, former, at)).json()["error"]
            assert (error["code"], want in error["want"]) == ("conflict", True), error

    house.run(work)


def test_bodies_that_are_none_are_refused_and_readers_may_not_join(house):
    """400 with the key; 403 without the scope."""

    async def work(client, historian):
        await _plant(client)
        for body, where in (
            ({}, "continues"),
            ({"continues": 5}, "continues"),
            ({"continues": "old", "at": 5}, "at"),
            ({"continues": "old", "at": "soon"}, "at"),
        ):
            answer = await client.post("/v1/tags/new/join", json=body)
            assert answer.status_code == 400
            assert answer.json()["error"]["where"] == where
        unknown = await client.post("/v1/tags/new/join", json={"continues": "old", "from": "now"})
        assert unknown.status_code == 400
        made = await client.post("/v1/tokens", json={"principal": "r", "scope": "write"})
        async with house.client(historian, made.json()["token"]) as reader:
            assert (await join(reader, "new", "old", 18)).status_code == 403
            assert (await reader.delete("/v1/tags/new/join")).status_code == 403

    house.run(work)


def test_samples_of_the_former_tag_are_not_changed_under_the_new_name(house):
    """A deletion that would be done where nobody looks is refused, and says where to ask."""

    async def work(client, historian):
        await _plant(client)
        await join(client, "new", "old", 18)
        change = {"verb": "delete", "tag": "new", "reason": "wrong", "end": seconds(40)}
        refused = await client.post("/v1/changes", json={**change, "start": seconds(5)})
        assert refused.status_code == 400
        assert "'old'" in refused.json()["error"]["want"]
        done = await client.post("/v1/changes", json={**change, "start": seconds(18)})
        assert done.status_code == 200, done.text
        assert (await ask(client, "raw", "new"))["value"] == [1.0, 3.0, 2.0]
        change |= {"tag": "old", "start": seconds(9), "end": seconds(11)}
        assert (await client.post("/v1/changes", json=change)).status_code == 200
        assert (await ask(client, "raw", "new"))["value"] == [1.0, 2.0]
        told = await ask(client, "aggregates", "new", **WHOLE)
        assert told["edited"] == [True]

    house.run(work)


def test_what_is_written_past_the_join_is_not_lost(house):
    """It stands in the tag that it was written to, and shows again when the join is taken back."""

    async def work(client, historian):
        await _plant(client)
        await join(client, "new", "old", 18)
        await write(client, "old", [(19, 9.0), (33, 9.5)])
        await write(client, "new", [(17, 8.0)])
        assert (await ask(client, "raw", "new"))["value"] == [1.0, 3.0, 2.0, 5.0, 7.0]
        assert (await ask(client, "latest", "new"))["value"] == [7.0]
        assert (await ask(client, "raw", "old"))["value"] == [1.0, 3.0, 2.0, 9.0, 9.5]
        await client.delete("/v1/tags/new/join")
        assert (await ask(client, "raw", "new"))["value"] == [8.0, 5.0, 7.0]

    house.run(work)


def test_the_command_line_joins_and_parts(tmp_path):
    """With and without a time; wrong words are one line and exit code 1."""
    with ServerProcess(tmp_path / "data") as server:
        options = ["--config", str(server.config)]

        def call(*words, code=0):
            done = CliRunner().invoke(app, ["tags", *words, *options])
            assert done.exit_code == code, (done.output, done.exception)
            return " ".join((done.output + done.stderr).split())

        with server.client() as client:
            for name in ("hall/old", "hall/new"):
                assert client.post("/v1/tags", json={"name": name}).status_code == 201
        told = call("join", "hall/new", "hall/old", "--at", "2026-01-01T00:00:00Z")
        assert "hall/new goes on with hall/old from 2026-01-01T00:00:00.000000000Z" in told
        assert "goes on with none" in call("part", "hall/new")
        assert "no samples yet" in call("join", "hall/new", "hall/old", code=1)
        assert "want TAG FORMER" in call("join", "hall/new", code=1)
        assert "--at is for join" in call("part", "hall/new", "--at", "now", code=1)
