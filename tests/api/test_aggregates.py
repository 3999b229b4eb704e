"""api/routes/aggregates.py: every aggregate of the registry through the door."""

from query.aggregates.registry import AGGREGATES

TAG = "line/force"
WINDOW = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T00:01:00Z"}


async def _write(client):
    await client.post("/v1/tags", json={"name": TAG, "type": "float64"})
    times = [f"2026-01-01T00:00:{second:02}Z" for second in (5, 10, 30, 50)]
    series = {"tag": TAG, "time": times, "value": [4.0, 1.0, 3.0, 1.0]}
    answer = await client.post("/v1/samples", json={"series": [series]})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def _ask(client, *names, **more):
    parameters = {"tag": TAG, **WINDOW, "aggregate": list(names), "time": "iso", **more}
    answer = await client.get("/v1/aggregates", params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_every_aggregate_answers_with_its_status(house):
    """One column and one status each; those of a moment say when."""

    async def work(client, historian):
        await _write(client)

        found = await _ask(client, *AGGREGATES)

        assert list(AGGREGATES) == found["aggregates"]
        for name in AGGREGATES:
            assert len(found[name]) == len(found[f"{name}_status"]) == 1
        assert (4, 4.0, 1.0, 3.0) == tuple(
            found[name][0] for name in ("Count", "Maximum", "End", "Range")
        )
        times = {name: value[0] for name, value in found.items() if name.endswith("_time")}
        assert {
            "MinimumActualTime_time": "2026-01-01T00:00:10Z",
            "MaximumActualTime_time": "2026-01-01T00:00:05Z",
            "MinimumActualTime2_time": "2026-01-01T00:00:10Z",
            "MaximumActualTime2_time": "2026-01-01T00:00:05Z",
            "Start_time": "2026-01-01T00:00:05Z",
            "End_time": "2026-01-01T00:00:50Z",
        } == {name: time.replace(".000000000", "") for name, time in times.items()}

    house.run(work)


def test_annotations_are_counted_where_they_begin_and_as_known(house):
    """Also twice in the same words, and not before they were made."""

    async def work(client, historian):
        before = (await _write(client))["lsn"]
        for second in (10, 40, 40):
            window = {"start": f"2026-01-01T00:00:{second}Z", "end": "2026-01-01T00:00:55Z"}
            words = {"reason": "look", "comment": "noisy"}
            document = {"verb": "annotate", "tag": TAG, **window, **words}
            answer = await client.post("/v1/changes", json=document)
            assert answer.status_code == 200, answer.text

        found = await _ask(client, "AnnotationCount", interval="20s")
        assert [1, 0, 2] == found["AnnotationCount"]
        earlier = await _ask(client, "AnnotationCount", known_at_lsn=before)
        assert [0] == earlier["AnnotationCount"]

    house.run(work)
