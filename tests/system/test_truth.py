"""Two thousand boards through a real broker, collector and server, held to the truth."""

import asyncio
import sys
import time
from collections import defaultdict
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import demo_plant

from connectors.simulator.broker import start_broker
from connectors.simulator.config import PlantConfig
from connectors.simulator.output import PlantEvent, Truth
from connectors.simulator.plant import Plant
from connectors.simulator.publisher import Publisher, provision_session
from historian.clock import SystemClock

BOARDS = 2000
STORED_WITHIN_S = 240
CLIENT_ID = "lighthouse-line1"


def run_plant():
    """Events in order, and the truth by kind."""
    events, truth = [], defaultdict(list)
    for item in Plant(PlantConfig(seed=21, boards=BOARDS, sample_period_s=None)).run():
        if isinstance(item, Truth):
            truth[item.facts["kind"]].append(item.facts)
        elif isinstance(item, PlantEvent):
            events.append(item)
    return events, truth


async def publish(port, events):
    """Everything to the broker, as fast as it takes it."""
    publisher = Publisher(port, "plant")
    await publisher.start()
    for event in events:
        await publisher.publish(event.topic, event.body())
    await publisher.drained()
    await publisher.stop()


def stored_events(client):
    """Events that the server has stored of the MQTT source."""
    for line in client.get("/metrics").text.splitlines():
        if line.startswith("historian_rows_total{") and "line1-mqtt" in line:
            return int(float(line.rsplit(" ", 1)[1]))
    return 0


@pytest.fixture(scope="module")
def plant(tmp_path_factory):
    """(client, truth) of a server that has stored the whole run."""
    events, truth = run_plant()

    async def whole():
        broker = await start_broker(SystemClock())
        try:
            await provision_session(broker.port, CLIENT_ID, "plant/#")
            server = demo_plant.demo_server(
                tmp_path_factory.mktemp("truth"), simulator=False, mqtt_port=broker.port
            )
            await asyncio.to_thread(server.start)
            await publish(broker.port, events)
            with server.client() as client:
                await asyncio.to_thread(wait_for, client, len(events))
            return broker, server
        except BaseException:
            await broker.stop()
            raise

    with asyncio.Runner() as runner:
        broker, server = runner.run(whole())
        try:
            with server.client() as client:
                yield client, truth
        finally:
            server.interrupt()
            runner.run(broker.stop())


def wait_for(client, count):
    """Until so many are stored."""
    deadline = time.monotonic() + STORED_WITHIN_S
    while (found := stored_events(client)) < count:
        assert time.monotonic() < deadline, f"{found} of {count} stored"
        time.sleep(0.5)
    assert count == found


def get(client, path, **query):
    """A JSON answer."""
    answer = client.get(path, params=query)
    assert httpx.codes.OK == answer.status_code, answer.text
    return answer.json()


def boards(truth):
    """Serials."""
    return [u["unit"] for u in truth["unit"] if u["unit_kind"] == "board"]


def test_where_used_of_each_reel_is_the_truth(plant):
    """Every lot, every board, with the class of evidence."""
    client, truth = plant
    expected = defaultdict(set)
    for saw in truth["saw"]:
        place = (saw["station"], saw["slot"], saw["evidence"])
        expected[saw["lot"]].add((saw["unit"], *place))
    known = set(boards(truth))
    assert BOARDS == len(known)

    for lot, uses in expected.items():
        body = get(client, f"/v1/lots/{lot}/where-used")
        found = {
            (u["unit"], u["station"], u["slot"], u["evidence"])
            for u in body["units"]
            if u["unit"] in known
        }
        assert uses == found, lot


def test_the_passport_of_each_board_is_the_truth(plant):
    """Visits, materials, tests; what it did on its panel is inherited."""
    client, truth = plant
    saw, visits, tests = defaultdict(set), defaultdict(list), defaultdict(set)
    for fact in truth["saw"]:
        place = (fact["station"], fact["slot"], fact["evidence"])
        saw[fact["unit"]].add((fact["lot"], *place))
    for fact in truth["visit"]:
        visits[fact["unit"]].append((fact["station"], fact["in_ns"], fact["out_ns"]))
    for fact in truth["test"]:
        tests[fact["unit"]].add((fact["station"], fact["test"], fact["value"]))
    parents = {u["unit"]: u.get("parent") for u in truth["unit"]}

    for board in boards(truth):
        passport = get(client, f"/v1/units/{board}", time="ns")
        own = sorted(
            (v["station"], int(v["in"]), int(v["out"]))
            for v in passport["visits"]
            if v["inherited_from"] is None
        )
        inherited = sorted(
            (v["station"], int(v["in"]), int(v["out"]))
            for v in passport["visits"]
            if v["inherited_from"] is not None
        )
        found = {(m["lot"], m["station"], m["slot"], m["evidence"]) for m in passport["materials"]}
        assert sorted(visits[board]) == own, board
        assert sorted(visits[parents[board]]) == inherited, board
        assert saw[board] == found, board
        results = [t for v in passport["visits"] for t in v["tests"]]
        results += passport["unplaced"]["tests"]
        assert tests[board] <= {(t["station"], t["test"], t["value"]) for t in results}, board


def test_energy_of_every_meter_is_the_truth(plant):
    """Between the first and the last reading, across wrap and replacement."""
    client, truth = plant
    readings = defaultdict(list)
    for fact in truth["energy"]:
        readings[fact["meter"]].append((fact["time_ns"], fact["total_wh"]))
    assert truth["meter_declared"]
    for meter, known in readings.items():
        (start, first), (end, last) = min(known), max(known)
        body = get(client, f"/v1/meters/{meter}/energy", start=str(start), end=str(end))
        assert pytest.approx(last - first, abs=1e-6) == body["energy"][0], (meter, body)
