"""From a plant to an answer: the main job, as a user sees it."""

import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import demo_plant

FINISHED_WITHIN_S = 120
ENDED_WITHIN_S = 30


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The demo, running; ended by Ctrl-C."""
    server = demo_plant.demo_server(tmp_path_factory.mktemp("demo"))
    with server:
        yield server


@pytest.fixture(scope="module")
def client(server):
    """A client of it."""
    with server.client() as client:
        yield client


def until(question, within_s=FINISHED_WITHIN_S):
    """Ask until the answer is truthy."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if answer := question():
            return answer
        time.sleep(0.5)
    raise AssertionError(f"not seen within {within_s} s")


def finished(client):
    """Serials of units that have left the line."""
    answer = client.get("/v1/units", params={"finished": "true", "limit": "50"})
    assert 200 == answer.status_code, answer.text
    return [u["unit"] for u in answer.json()["units"]]


def test_tags_of_every_station_move(client):
    """Thirty a station, through a real OPC UA server."""
    names = until(lambda: all_tags(client))
    stations = {n.split("/")[1] for n in names}
    assert {"st1", "st2", "st3a", "st3b", "st4", "st5", "st6"} <= stations
    for station in stations:
        assert 30 <= sum(n.split("/")[1] == station for n in names), station
    tag = next(n for n in names if n.endswith("_temperature"))

    def time_of():
        return client.get("/v1/latest", params={"tag": tag}).json()["time"]

    first = until(time_of)
    until(lambda: time_of() != first, within_s=20)
    until(lambda: told(client, tag)["facts"].get("data_type") == "Double", within_s=20)


def told(client, tag):
    """What the OPC UA server says of a tag, from the catalog."""
    return client.get(f"/v1/tags/{tag}").json()["told_by_source"]


def all_tags(client):
    """Names of all tags, once there are enough."""
    names, after = [], None
    while True:
        query = {"limit": "500"} | ({"after": after} if after else {})
        body = client.get("/v1/tags", params=query).json()
        names += [t["name"] for t in body["tags"]]
        after = body["next"]
        if after is None:
            return names if len(names) >= 210 else None


def test_finished_units_have_passports(client):
    """Within two minutes of the start, with visits, materials, vision events and energy."""
    serial = until(lambda: finished(client))[0]

    passport = client.get(f"/v1/units/{serial}").json()

    assert 5 <= len(passport["visits"]), passport
    assert passport["materials"]
    text = client.get(f"/v1/units/{serial}").text
    assert "vision" in text
    assert "energy" in text


def test_a_reel_names_its_units(client):
    """Where-used is the passport read backwards."""
    serial = until(lambda: finished(client))[0]
    materials = client.get(f"/v1/units/{serial}").json()["materials"]
    lot = materials[0]["lot"]

    answer = client.get(f"/v1/lots/{lot}/where-used")

    assert 200 == answer.status_code, answer.text
    assert serial in {u["unit"] for u in answer.json()["units"]}


def test_metrics_and_readiness(client):
    """What an administrator's monitoring asks."""
    assert 200 == client.get("/ready").status_code
    text = client.get("/metrics").text
    assert "historian_" in text
    assert "line1-opcua" in text


def test_ctrl_c_ends_every_child(tmp_path):
    """Nobody is left behind, neither by Ctrl-C nor by kill -9."""
    for end in ("interrupt", "kill"):
        server = demo_plant.demo_server(tmp_path / end).start()
        session = server.pid
        until(lambda session=session: len(demo_plant.processes_of_session(session)) >= 3, 30)

        getattr(server, end)()

        deadline = time.monotonic() + ENDED_WITHIN_S
        while (left := demo_plant.processes_of_session(session)) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert [] == left, end
