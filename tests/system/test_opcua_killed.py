"""A collector of OPC UA is killed and started again: every value of the source is stored."""

import asyncio
import multiprocessing
import signal
import subprocess
import sys
import time

from asyncua import ua

from connectors.opcua.testing import START_NS, Plant
from historian.testing import ServerProcess, free_port

RULES = '[[tag_rules]]\nsource = "*"\naddress = "(.+)"\nname = "{source}/{1}"\n'
COLLECTOR = """
[[collectors]]
name = "line1"
supervised = false
spool_path = "spool"
server_url = "{url}"
token_file = "{token}"

[[sources]]
name = "plc"
kind = "opcua"
collector = "line1"
[sources.settings]
url = "opc.tcp://127.0.0.1:{port}"
security = "none"
nodes = ["{node}"]
publishing_interval_ms = 50.0
keepalive_s = 1.0
request_timeout_s = 2.0
"""
COUNTED = 400


def count(port, told):
    """Serve one variable; count it up, 50 a second, when told to; end when told again."""

    async def serve():
        plant = Plant(port)
        await plant.start(x=(0.0, ua.VariantType.Double))
        await plant.write("x", 0.0, ua.VariantType.Double, 0)
        told.send("serving")
        await asyncio.to_thread(told.recv)
        for number in range(1, COUNTED + 1):
            await plant.write("x", float(number), ua.VariantType.Double, number)
            await asyncio.sleep(0.02)
        told.send("counted")
        await asyncio.to_thread(told.recv)

    asyncio.run(serve())


def test_a_killed_collector_loses_no_value_of_its_server(tmp_path):
    """The next process takes the subscription over with what it held and had not acknowledged."""
    spawn = multiprocessing.get_context("spawn")
    told, far = spawn.Pipe()
    port = free_port()
    plant = spawn.Process(target=count, args=(port, far), daemon=True)
    plant.start()
    server = ServerProcess(tmp_path / "server", RULES)
    config = tmp_path / "collector.toml"
    address = Plant(port).address("x")
    config.write_text(
        COLLECTOR.format(url=server.url, token=server.token_file, port=port, node=address)
    )
    command = [sys.executable, "-m", "historian.collector", "--config", str(config), "--name"]
    with (tmp_path / "collector.log").open("a") as log:
        collectors = []
        try:
            assert told.recv() == "serving"
            server.start()
            collectors.append(subprocess.Popen([*command, "line1"], stderr=log))
            until(lambda: links(server) == ["connected"])
            until(lambda: list((tmp_path / "spool").rglob("plc.opcua.progress")))
            told.send("count")
            until(lambda: len(stored(server, address)) > COUNTED // 4)
            collectors[0].send_signal(signal.SIGKILL)
            collectors[0].wait()
            time.sleep(1.0)  # nobody listens
            collectors.append(subprocess.Popen([*command, "line1"], stderr=log))
            assert told.recv() == "counted"
            until(lambda: len(stored(server, address)) >= COUNTED + 1)
            wanted = [(START_NS + n * 10**9, float(n)) for n in range(COUNTED + 1)]
            assert stored(server, address) == wanted
            with server.client() as client:
                gaps = client.get("/v1/events/gap", params={"start": "now-1h"}).json()
            assert gaps["source"] == [], repr(gaps)
        finally:
            for process in collectors:
                process.kill()
                process.wait()
            server.kill()
            plant.kill()


def links(server):
    """State of each source's line."""
    with server.client() as client:
        return [one["link"] for one in client.get("/v1/sources").json()["sources"]]


def stored(server, address):
    """Times and values of the tag, as a reader sees them."""
    window = {"start": str(START_NS - 1), "end": str(START_NS + 10**13), "max_count": 50_000}
    with server.client() as client:
        answer = client.get("/v1/raw", params={"tag": f"plc/{address}", **window})
    if answer.status_code != 200:
        return []
    page = answer.json()
    return list(zip(map(int, page["time"]), page["value"], strict=True))


def until(done, seconds=90.0):
    """Wait for a condition."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.1)
