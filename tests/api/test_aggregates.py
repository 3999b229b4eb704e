"""api/routes/aggregates.py: every aggregate of the registry through the door."""

import dataclasses

import pytest

from historian.config import parse_config
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


CALENDARS = [
    {
        "name": "plant",
        "zone": "Europe/Berlin",
        "closed": ["2026-01-06"],
        "shifts": [
            {"name": "day", "start": "06:00", "end": "18:00"},
            {"name": "night", "start": "18:00", "end": "06:00", "days": ["mon", "tue", "fri"]},
        ],
    }
]


def _with_calendars(config):
    calendars = parse_config({"shift_calendars": CALENDARS}, base=config.base).shift_calendars
    return dataclasses.replace(config, shift_calendars=calendars)


def test_intervals_follow_days_and_shifts_of_a_zone(house):
    """The second of January 2026 is a Friday; the first has no night shift."""

    async def work(client, historian):
        await _write(client)
        window = {"start": "2025-12-31T22:00:00Z", "end": "2026-01-03T05:00:00Z"}

        days = await _ask(client, "Count", interval="1d", zone="Europe/Berlin", **window)
        assert ["2025-12-31T22:00:00", "2025-12-31T23:00:00", "2026-01-01T23:00:00"] == [
            text[:19] for text in days["start"][:3]
        ]
        assert [None, 4, None, None] == days["Count"]
        months = await _ask(client, "Count", interval="1mo", **window)
        assert ["2025-12-31T22", "2026-01-01T00"] == [text[:13] for text in months["start"]]

        shifts = await _ask(client, "Count", interval="shift", **window)
        assert ["day", "day", "night"] == shifts["shift"]
        assert ["2026-01-01T05", "2026-01-02T05", "2026-01-02T17"] == [
            text[:13] for text in shifts["start"]
        ]
        for bad, where in (
            ({"zone": "Mars/Olympus"}, "zone"),
            ({"zone": "UTC", "interval": "1.5h"}, "interval"),
            ({"interval": "shift", "calendar": "moon"}, "calendar"),
            ({"start": "start of shift", "calendar": "moon"}, "calendar"),
            ({"start": "start of lunch"}, "start"),
        ):
            asked = {"tag": TAG, "aggregate": "Count", "interval": "1d", **window, **bad}
            answer = await client.get("/v1/aggregates", params=asked)
            assert (400, where) == (answer.status_code, answer.json()["error"]["where"]), bad

    house.config = _with_calendars(house.config)
    house.run(work)


def test_windows_are_spoken_of(house):
    """In the zone that is asked for, and by the plant's shifts."""

    async def work(client, historian):
        await client.post("/v1/tags", json={"name": TAG, "type": "float64"})
        for start, end, hours in (
            ("today", "now", {15}),  # midnight in Tokyo
            ("yesterday", "today", {15}),
            ("start of shift", "*", {4, 5, 16, 17}),  # 6 and 18 in Berlin
        ):
            asked = {"start": start, "end": end, "zone": "Asia/Tokyo"}
            found = await _ask(client, "Count", **asked)
            assert int(found["start"][0][11:13]) in hours, (start, found["start"])

    house.config = _with_calendars(house.config)
    house.run(work)


def test_energy_follows_the_calendar_too(house):
    """By the day and by the shift, as aggregates do."""

    async def work(client, historian):
        minutes = range(48 * 60)
        begin = 1_767_225_600  # 2026-01-01T00:00:00Z
        columns = {"meter": ["M1"] * len(minutes), "register": [m / 60 for m in minutes]}
        body = {"time": [begin + 60 * m for m in minutes], "time_unit": "s", "columns": columns}
        answer = await client.post("/v1/events/meter_read", json=body)
        assert answer.status_code == 200, answer.text
        window = {"start": "2026-01-01T05:00:00Z", "end": "2026-01-02T17:00:00Z", "time": "iso"}

        async def energy(**more):
            asked = {**window, **more}
            return (await client.get("/v1/meters/M1/energy", params=asked)).json()

        days = await energy(interval="1d", zone="Europe/Berlin")
        assert ["2026-01-01T05:00", "2026-01-01T23:00"] == [t[:16] for t in days["start"]]
        assert [18.0, 18.0] == pytest.approx(days["energy"])
        shifts = await energy(interval="shift")
        assert ["day", "day"] == shifts["shift"]
        assert [12.0, 12.0] == pytest.approx(shifts["energy"])
        assert [36.0] == pytest.approx((await energy())["energy"])

    house.config = _with_calendars(house.config)
    house.run(work)


def test_what_the_standard_lacks_answers_with_units_and_says_what_is_an_estimate(house):
    """Also of another tag, by a name with an argument; a wrong argument is told."""

    async def work(client, historian):
        await _write(client)
        await client.patch(f"/v1/tags/{TAG}", json={"eng_unit": "kW"})

        found = await _ask(client, "Percentile(50)", "Integral", f"ValueAtMaximum({TAG})")

        assert ([2.0], [False]) == (found["Percentile(50)"], found["Percentile(50)_estimated"])
        assert {"Integral": "kWh", f"ValueAtMaximum({TAG})": "kW"} == found["eng_units"]
        assert [4.0] == found[f"ValueAtMaximum({TAG})"]
        for wrong, status, want in (("Percentile(200)", 400, "0 to 100"), ("Mode", 400, "Average")):
            answer = await client.get(
                "/v1/aggregates", params={"tag": TAG, **WINDOW, "aggregate": wrong}
            )
            assert status == answer.status_code
            assert want in answer.json()["error"]["want"]
        lost = {"tag": TAG, **WINDOW, "aggregate": "ValueAtMaximum(gone)"}
        assert 404 == (await client.get("/v1/aggregates", params=lost)).status_code

    house.run(work)


def test_a_replaced_meter_is_declared_by_an_event(house):
    """Also under the name that the tag had then; without it the fall is not explained."""

    async def work(client, historian):
        await client.post("/v1/tags", json={"name": "meter 7", "eng_unit": "kWh"})
        times = ["2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"]
        series = {"tag": "meter 7", "time": times, "value": [90.0, 10.0]}
        await client.post("/v1/samples", json={"series": [series]})
        await client.patch("/v1/tags/meter 7", json={"name": "hall/meter"})
        asked = {"tag": "hall/meter", **WINDOW, "aggregate": "CounterIncrease"}
        before = (await client.get("/v1/aggregates", params=asked)).json()
        told = {
            "time": ["2026-01-01T00:00:30Z"],
            "columns": {
                "meter": ["meter 7"],
                "reason": ["replaced"],
                "old_register": [105.0],
                "new_register": [2.0],
            },
        }
        answer = await client.post("/v1/events/meter_declared", json=told)
        assert answer.status_code == 200, answer.text
        after = (await client.get("/v1/aggregates", params=asked)).json()
        assert ([None], [0x80D60000]) == (
            before["CounterIncrease"],
            before["CounterIncrease_status"],
        )
        assert [23.0] == after["CounterIncrease"]

    house.run(work)


def test_moving_windows_end_with_the_intervals(house):
    """The window is told; a length that is none is refused."""

    async def work(client, historian):
        await _write(client)

        found = await _ask(client, "Maximum", interval="20s", moving="30s")

        starts = [time[11:19] for time in found["start"]]
        assert ["23:59:50", "00:00:10", "00:00:30"] == starts
        assert [4.0, 3.0, 3.0] == found["Maximum"]
        for wrong in ("-5s", "soon", "0"):
            asked = {"tag": TAG, **WINDOW, "aggregate": "Maximum", "moving": wrong}
            answer = await client.get("/v1/aggregates", params=asked)
            assert 400 == answer.status_code, wrong
            assert "moving" in answer.json()["error"]["where"]

    house.run(work)
