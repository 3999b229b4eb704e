"""Malformed MQTT messages, the whole way: counted by source, kept aside, neighbours stored."""

import asyncio
import sys
import time
from pathlib import Path

import orjson

sys.path.insert(0, str(Path(__file__).parent))
import demo_plant

from connectors.simulator.broker import start_broker
from connectors.simulator.publisher import Publisher, provision_session
from historian.clock import SystemClock

CLIENT_ID = "lighthouse-line1"
TOPIC = "plant/line1/st1/event"
SOURCE = "line1-mqtt"


def arrival(number, **more):
    """A good message, unless ``more`` spoils it."""
    message = {
        "kind": "unit_arrived",
        "ts": f"2026-06-01T08:00:{number:02d}.000000000Z",
        "source": "st1",
        "seq": number,
        "unit": f"SN{number}",
        "station": "st1",
    }
    return orjson.dumps({k: v for k, v in (message | more).items() if v is not ...})


GOOD = [arrival(1), arrival(2), arrival(3)]
BAD = [
    b"",
    b"{",
    b"\xff\xfe\x00",
    b"[1, 2, 3]",
    arrival(4, kind="unit_teleported"),
    arrival(5, kind=...),
    arrival(6, ts="yesterday"),
    arrival(7, ts=...),
    arrival(8, unit={"serial": "SN8"}),
    b'{"kind": "unit_arrived", "ts": NaN}',
]


async def publish(port):
    """Good and bad in turn."""
    publisher = Publisher(port, "vandal")
    await publisher.start()
    for good, bad in zip([*GOOD, *[b""] * (len(BAD) - len(GOOD))], BAD, strict=True):
        await publisher.publish(TOPIC, bad)
        if good:
            await publisher.publish(TOPIC, good)
    await publisher.drained()
    await publisher.stop()


def rejected(client):
    """What the server counts as rejected of the source."""
    return sum(
        int(float(line.rsplit(" ", 1)[1]))
        for line in client.get("/metrics").text.splitlines()
        if line.startswith("historian_rejected_rows_total{") and SOURCE in line
    )


def check(server):
    """Good ones stored, bad ones counted and kept."""
    window = {"start": "2020-01-01T00:00:00Z", "end": "now+1h"}
    with server.client() as client:
        deadline = time.monotonic() + 30
        while rejected(client) < len(BAD) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert len(BAD) == rejected(client)
        stored = client.get("/v1/events/unit_arrived", params=window).json()
        assert {"SN1", "SN2", "SN3"} == set(stored["unit"])
        kept = client.get("/v1/quarantine", params=window).json()
        assert len(BAD) == len(kept["reason"])
        assert all(kept["reason"])
        assert any("unit_teleported" in (payload or "") for payload in kept["payload"])
        assert 200 == client.get("/ready").status_code


def test_malformed_messages_are_counted_kept_and_harm_nobody(tmp_path):
    """Each gets its clear reason; the broker does not send it again."""

    async def whole():
        broker = await start_broker(SystemClock())
        try:
            await provision_session(broker.port, CLIENT_ID, "plant/#")
            server = demo_plant.demo_server(tmp_path, simulator=False, mqtt_port=broker.port)
            await asyncio.to_thread(server.start)
            try:
                await publish(broker.port)
                await asyncio.to_thread(check, server)
            finally:
                await asyncio.to_thread(server.interrupt)
        finally:
            await broker.stop()

    asyncio.run(whole())
