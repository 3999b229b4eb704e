"""Events in, units, lots, meters and passports out, through the doors of a real historian."""

AT = "2026-01-01T00:00:"
WINDOW = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T00:10:00Z"}


async def event(client, kind, second, **columns):
    body = {
        "time": [f"{AT}{second:02d}Z"],
        "source": "plc",
        "columns": {name: [value] for name, value in columns.items()},
    }
    answer = await client.post(f"/v1/events/{kind}", json=body)
    assert 200 == answer.status_code, answer.text
    return answer.json()


async def make_a_unit(client):
    """One visit with material, test, vision and energy."""
    await client.post("/v1/tags", json={"name": "st10/force", "type": "float64", "eng_unit": "N"})
    samples = {"tag": "st10/force", "time": [f"{AT}11Z", f"{AT}15Z"], "value": [5.0, 7.0]}
    await client.post("/v1/samples", json={"series": [samples]})
    await event(client, "meter_read", 5, meter="M1", register=990.0)
    await event(client, "material_loaded", 6, lot="L/1", part="R10", station="ST10", slot="1")
    await event(client, "unit_created", 9, unit="SN/1", product="P", unit_kind="board")
    await event(client, "unit_arrived", 10, unit="SN/1", station="ST10")
    await event(client, "work_started", 11, unit="SN/1", station="ST10")
    await event(client, "material_consumed", 12, unit="SN/1", lot="L/1", part="R10", station="ST10")
    await event(
        client, "vision_event", 13, camera="c1", station="ST10", unit="SN/1", event="step",
        confidence=0.5, clip="clips/1.mp4",
    )  # fmt: skip
    await event(client, "test_result", 14, unit="SN/1", station="ST10", test="t", verdict="PASS")
    await event(client, "work_completed", 15, unit="SN/1", station="ST10", verdict="PASS")
    await event(client, "unit_departed", 16, unit="SN/1", station="ST10", verdict="PASS")
    await event(client, "meter_read", 20, meter="M1", register=5.0)


def test_a_passport_tells_all_that_was_sent(house):
    """Everything that was measured, seen, consumed and tested while the unit was made."""

    async def work(client, _):
        await make_a_unit(client)
        answer = await client.get("/v1/units/SN%2F1", params={"time": "iso"})
        assert 200 == answer.status_code, answer.text
        return answer.json()

    passport = house.run(work)
    [visit] = passport["visits"]

    assert ("SN/1", "P") == (passport["serial"], passport["product"])
    assert ("ST10", "PASS") == (visit["station"], visit["verdict"])
    assert (f"{AT}10.000000000Z", f"{AT}16.000000000Z") == (visit["in"], visit["out"])
    assert ["st10/force"] == visit["tags"]
    assert ("L/1", "EXACT") == tuple(passport["materials"][0][k] for k in ("lot", "evidence"))
    assert [0.5] == [seen["confidence"] for seen in visit["vision"]]
    assert ["t"] == [done["test"] for done in visit["tests"]]
    assert ["M1"] == [share["meter"] for share in visit["energy"]]


def test_a_lot_names_its_units_and_a_list_the_finished_ones(house):
    """Forward and back, and names with slashes."""

    async def work(client, _):
        await make_a_unit(client)
        await event(client, "unit_arrived", 30, unit="SN/2", station="ST10")
        used = (await client.get("/v1/lots/L%2F1/where-used")).json()
        lists = [
            (await client.get("/v1/units", params=p)).json()["units"]
            for p in ({}, {"finished": "true"}, {"finished": "false"}, {"search": "/2"})
        ]
        return used, [[u["unit"] for u in units] for units in lists]

    used, (every, finished, unfinished, searched) = house.run(work)

    # The second unit stands where the lot is still loaded: it may have got some of it.
    uses = [(u["unit"], u["evidence"]) for u in used["units"]]
    assert [("SN/1", "EXACT"), ("SN/2", "WINDOW")] == uses
    assert ["SN/2", "SN/1"] == every
    assert (["SN/1"], ["SN/2"], ["SN/2"]) == (finished, unfinished, searched)


def test_energy_knows_the_wrap_and_says_what_it_does_not_know(house):
    """990 to 1000, then 0 to 5: 15 Wh; before the first read nothing is known."""

    async def work(client, _):
        await make_a_unit(client)
        window = {"start": f"{AT}05Z", "end": f"{AT}20Z"}
        known = (await client.get("/v1/meters/M1/energy", params=window)).json()
        split = (
            await client.get("/v1/meters/M1/energy", params={**WINDOW, "interval": "1m"})
        ).json()
        meters = (await client.get("/v1/meters")).json()["meters"]
        table = await client.get("/v1/meters/M1/energy", params={**window, "form": "csv"})
        return known, split, meters, table.text.split("\r\n")

    known, split, meters, lines = house.run(work)

    assert ([15.0], "Wh") == (known["energy"], known["eng_unit"])
    assert "start,end,energy [Wh],estimated,reason" == lines[0]
    assert "15.0" == lines[1].split(",")[2]
    assert 10 == split["count"] == len(split["energy"])
    assert split["energy"][5] is None
    assert split["reason"][5]
    assert [{"id": "M1", "eng_unit": "Wh"}] == meters


def test_an_event_sent_again_changes_nothing_and_another_of_its_name_is_a_conflict(house):
    """Same time and id: same content is a no-op, other content is kept apart."""

    async def work(client, _):
        body = {
            "time": [f"{AT}10Z"],
            "source": "plc",
            "sequence": [1],
            "columns": {"unit": ["A"], "station": ["ST10"]},
        }
        first = (await client.post("/v1/events/unit_arrived", json=body)).json()
        again = (await client.post("/v1/events/unit_arrived", json=body)).json()
        body["columns"]["unit"] = ["B"]
        other = (await client.post("/v1/events/unit_arrived", json=body)).json()
        found = (await client.get("/v1/events/unit_arrived", params=WINDOW)).json()
        return first, again, other, found

    first, again, other, found = house.run(work)

    assert (1, 0) == (first["stored"], first["rejected"])
    assert 0 == again["rejected"]
    assert 1 == other["rejected"], other
    assert (["A"], ["plc"], 32) == (found["unit"], found["source"], len(found["id"][0]))


def test_the_newest_events_of_a_window_are_kept_by_a_limit(house):
    """And the answer says how many it left out."""

    async def work(client, _):
        for second in range(5):
            await event(client, "station_state", second, station="ST10", state=f"s{second}")
        asked = {**WINDOW, "limit": 2}
        return (await client.get("/v1/events/station_state", params=asked)).json()

    answer = house.run(work)

    assert (["s3", "s4"], 3) == (answer["state"], answer["left_out"])


def test_a_rejected_row_can_be_seen_in_quarantine(house):
    """With its tag, its reason and what it was."""

    async def work(client, _):
        samples = {"tag": "nowhere", "time": [f"{AT}01Z"], "value": [42.5]}
        answer = await client.post("/v1/samples", json={"series": [samples]})
        assert 1 == answer.json()["rejected"]
        asked = {"start": "now-1h", "end": "now+1m"}
        return (await client.get("/v1/quarantine", params=asked)).json()

    answer = house.run(work)

    assert 1 == answer["count"]
    assert "nowhere" in str(answer["address"]) + str(answer["payload"])


def test_unknown_units_lots_and_meters_are_404(house):
    """Each with its own code."""

    async def work(client, _):
        codes = []
        for path in ("/v1/units/none", "/v1/lots/none/where-used"):
            answer = await client.get(path)
            codes.append((answer.status_code, answer.json()["error"]["code"]))
        answer = await client.get("/v1/meters/none/energy", params=WINDOW)
        codes.append((answer.status_code, answer.json()["error"]["code"]))
        return codes

    assert [(404, "unknown_unit"), (404, "unknown_lot"), (404, "not_found")] == house.run(work)


def test_every_kind_is_listed_with_its_columns(house):
    """What a writer may send."""

    async def work(client, _):
        return (await client.get("/v1/event-kinds")).json()["event_kinds"]

    kinds = house.run(work)

    assert "float64" == kinds["meter_read"]["columns"]["register"]
    assert (True, False) == (kinds["meter_read"]["writable"], kinds["gap"]["writable"])
