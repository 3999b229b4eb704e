"""mqtt/session: publishing, and the will that a broker keeps; scripted, and real mosquitto."""

import asyncio
import contextlib
import shutil

import pytest

from connectors.connector import SourceUnavailable
from connectors.mqtt import packets
from connectors.mqtt.broker import Subscription, read_broker
from connectors.mqtt.packets import ProtocolError, Will
from connectors.mqtt.session import connected
from connectors.settings import Table
from historian.clock import SystemClock
from historian.testing import free_port

CONNACK = {"5": b"\x20\x03\0\0\0", "3.1.1": b"\x20\x02\0\0"}
WILL = Will("state/me", b"gone", 1, retain=True)

needs_broker = pytest.mark.skipif(shutil.which("mosquitto") is None, reason="needs a broker")


def config(port, **more):
    table = Table({"host": "127.0.0.1", "port": port, "connect_timeout_s": 5.0, **more}, "s")
    return read_broker(table, "m", (Subscription("state/#", 1),), clean=True)


def play(protocol, answers, use, will=None):
    """Run `use(session)` against a broker that gives one answer for each thing heard."""
    heard = []

    async def serve(reader, writer):
        with contextlib.suppress(ConnectionError):
            for answer in [CONNACK[protocol], *answers]:
                heard.append(await reader.read(65536))
                writer.write(answer)
            while data := await reader.read(65536):
                heard.append(data)
        writer.close()

    async def run():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, connected(config(port), protocol, SystemClock(), will) as session:
            await use(session)

    asyncio.run(run())
    return heard


async def nothing(_session):
    """Just connect."""


def test_connect_carries_the_will_by_the_text_of_mqtt_3():
    """3.1.1, 3.1.3: client identifier, will topic, will message; flags in 3.1.2.3."""
    said = play("3.1.1", [], nothing, lambda: WILL)[0]

    clean, will, qos_1, retain = 0x02, 0x04, 0x08, 0x20
    assert said[2:10] == b"\0\4MQTT\x04" + bytes([clean | will | qos_1 | retain])
    assert said[12:] == b"\0\x0clighthouse-m" + b"\0\x08state/me" + b"\0\x04gone"


def test_connect_carries_the_will_by_the_text_of_mqtt_5():
    """5, 3.1.3.2: the will's properties stand before its topic; clean start, no expiry."""
    said = play("5", [], nothing, lambda: WILL)[0]

    assert said[2:10] == b"\0\4MQTT\x05" + bytes([0x02 | 0x04 | 0x08 | 0x20])
    found, at = packets.read_properties(said[2:], 10)
    assert found[packets.SESSION_EXPIRY] == 0
    assert said[2 + at :] == b"\0\x0clighthouse-m" + b"\0" + b"\0\x08state/me" + b"\0\x04gone"


@pytest.mark.parametrize(("protocol", "none"), [("5", b"\0"), ("3.1.1", b"")])
def test_publish_of_qos_1_returns_when_the_broker_has_it(protocol, none):
    """Packet identifiers are counted; those of QoS 0 have none."""
    order = []

    async def use(session):
        await session.publish("a", b"1", qos=1, retain=True)
        order.append("acknowledged")
        await session.publish("b", b"22", qos=0)
        await session.publish("c", b"", qos=1)

    heard = play(protocol, [b"\x40\x02\0\2", b"\x40\x02\0\3"], use)

    stream = b"".join(heard[1:])
    first = bytes([0x33, 6 + len(none)]) + b"\0\1a\0\2" + none + b"1"
    second = bytes([0x30, 5 + len(none)]) + b"\0\1b" + none + b"22"
    third = bytes([0x32, 5 + len(none)]) + b"\0\1c\0\3" + none
    assert stream == first + second + third + packets.GOODBYE
    assert heard[1] == first
    assert order == ["acknowledged"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"\x40\x03\0\2\x87", "refuses a message of ours: not authorised"),
        (b"\x40\x01\0", "got PUBACK of 1 bytes"),
        (b"\xe0\x01\x8b", "shutting down"),
    ],
)
def test_a_publish_that_the_broker_does_not_take_says_why(answer, reason):
    """It is not taken for published."""

    async def use(session):
        with pytest.raises(SourceUnavailable, match=reason):
            await session.publish("a", b"1", qos=1)

    play("5", [answer], use)


def test_a_puback_nobody_waits_for_is_passed_over():
    """One that comes late, after a time-out."""

    async def use(session):
        await session.publish("a", b"1", qos=1)

    play("5", [b"\x40\x02\0\x09\x40\x02\0\2\x40\x02\0\2"], use)


def test_a_will_too_long_for_its_packet_is_refused():
    """Two bytes of length."""
    hello = packets.Hello("c", 5, will=Will("t", bytes(70_000), 0, retain=False))
    with pytest.raises(ProtocolError, match="a will of 70000 bytes"):
        packets.encode_connect(hello, five=True)


@needs_broker
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_real_broker_publishes_the_will_and_keeps_what_is_retained(protocol, tmp_path):
    """The will speaks when the line is cut, and is silent after a goodbye."""

    async def states(port, more=1):
        async with connected(config(port, client_id="eye"), protocol, SystemClock()) as session:
            await session.subscribe()
            found = []
            while len(found) < more:
                found += [(m.topic, m.payload, m.qos) for m in await session.receive()]
            return found

    async def run():
        port = free_port()
        file = tmp_path / "mosquitto.conf"
        file.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nlog_dest none\n")
        process = await asyncio.create_subprocess_exec(shutil.which("mosquitto"), "-c", str(file))
        try:
            while True:
                with contextlib.suppress(OSError):
                    (await asyncio.open_connection("127.0.0.1", port))[1].close()
                    break
                await asyncio.sleep(0.02)
            async with connected(config(port), protocol, SystemClock(), lambda: WILL) as session:
                await session.publish("state/me", b"here", qos=1, retain=True)
                alive = await states(port)
            parted = await states(port)
            with contextlib.suppress(SourceUnavailable):
                async with connected(config(port), protocol, SystemClock(), lambda: WILL) as cut:
                    cut._transport.abort()
                    await cut.receive()
            async with asyncio.timeout(20):
                while (await states(port))[0][1] != b"gone":  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            return alive, parted
        finally:
            process.terminate()
            await process.wait()

    alive, parted = asyncio.run(run())

    assert alive == parted == [("state/me", b"here", 1)]
