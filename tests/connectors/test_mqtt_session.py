"""mqtt/session: brokers that refuse, go silent, hang up or speak nonsense; played by a script."""

import asyncio
import contextlib
import datetime as dt
import ipaddress
import shutil

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from connectors.connector import ConfigError, SourceUnavailable
from connectors.mqtt import packets
from connectors.mqtt.config import read_config
from connectors.mqtt.session import connected
from historian.clock import SystemClock
from historian.testing import free_port

CONNACK_5, CONNACK_4 = b"\x20\x03\0\0\0", b"\x20\x02\0\0"
SUBACK_5 = b"\x90\x04\0\1\0\1"


def config(port, **more):
    given = {
        "host": "127.0.0.1",
        "port": port,
        "connect_timeout_s": 1.0,
        "subscriptions": [{"topic": "#"}],
        "mappings": [{"topic": "#", "kind": "samples", "value": "v"}],
        **more,
    }
    return read_config("m", given).broker


@contextlib.asynccontextmanager
async def broker(script):
    """A broker that runs `script(reader, writer)` once; gives its port and what it heard."""
    heard = bytearray()

    async def serve(reader, writer):
        async def listen():
            while data := await reader.read(65536):
                heard.extend(data)

        listening = asyncio.create_task(listen())
        with contextlib.suppress(ConnectionError):
            await script(writer)
            await listening
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], heard


async def until(done):
    async with asyncio.timeout(20):
        while not done():  # noqa: ASYNC110 - what is waited for is bytes in a list
            await asyncio.sleep(0.005)


def sends(*parts):
    async def script(writer):
        for part in parts:
            writer.write(part)
            await writer.drain()

    return script


def run_session(script, use, protocol="5", **more):
    async def play():
        async with (
            broker(script) as (port, heard),
            connected(config(port, **more), protocol, SystemClock()) as session,
        ):
            return await use(session, heard)

    return asyncio.run(play())


def test_connect_asks_for_the_session_and_its_window():
    """MQTT 5, 3.1: clean start 0, session expiry, receive maximum, topic alias maximum."""

    async def use(session, heard):
        await until(lambda: len(heard) > 10)
        return bytes(heard)

    more = {"receive_maximum": 77, "session_expiry_s": 3600, "keepalive_s": 9, "client_id": "me"}
    said = run_session(sends(CONNACK_5), use, **more)

    body = said[2:]
    assert (said[0], said[1]) == (0x10, len(body))
    assert body[:10] == b"\0\4MQTT\x05\x00\0\x09"
    found, at = packets.read_properties(body, 10)
    assert found == {0x11: 3600, 0x21: 77, 0x22: 1024}
    assert body[at:] == b"\0\2me"


@pytest.mark.parametrize(("expiry", "flags"), [(60, 0), (0, 2)])
def test_mqtt_3_keeps_a_session_or_none(expiry, flags):
    """There it is a flag, not a time."""

    async def use(session, heard):
        await until(lambda: len(heard) > 10)
        return bytes(heard)

    said = run_session(sends(CONNACK_4), use, "3.1.1", session_expiry_s=expiry)

    assert said[2:10] == b"\0\4MQTT\x04" + bytes([flags])


@pytest.mark.parametrize(
    ("protocol", "answer", "reason"),
    [
        ("5", b"\x20\x03\x00\x87\x00", "not authorised"),
        ("5", b"\x20\x0b\x00\x8a\x08\x1f\x00\x05go on", "banned.*go on"),
        ("3.1.1", b"\x20\x02\x00\x05", "not authorised"),
        ("3.1.1", b"\x20\x02\x00\x63", "code 99"),
        ("5", b"\x20\x01\x00", "CONNACK"),
        ("5", b"\xff\xff\xff\xff\xff", "no MQTT"),
        ("5", b"HTTP/1.1 400 Bad Request\r\n\r\n" * 9, "no MQTT|CONNACK"),
        ("5", b"", "no CONNACK in 1 s"),
        ("5", CONNACK_5 + b"\xe0\x02\x8b\x00", "shutting down"),
        ("5", CONNACK_5 + b"\xe0\x00", "goodbye"),
        ("5", CONNACK_5 + b"\x62\x02\x00\x01", "type 6"),
    ],
)
def test_a_refusal_is_named(protocol, answer, reason):
    """What, and by whom: the administrator reads it in the state of the source."""

    async def use(session, heard):
        await session.subscribe()
        await session.receive()

    with pytest.raises(SourceUnavailable, match=f"(?s){reason}.*127.0.0.1"):
        run_session(sends(answer), use, protocol)


def test_messages_before_the_end_are_given_and_nothing_is_acknowledged_behind_it():
    """They come again, since the broker never heard of them."""
    message = b"\x32\x07\0\1t\0\5\0x"

    async def script(writer):
        writer.write(CONNACK_5 + SUBACK_5 + message)
        await writer.drain()
        writer.transport.abort()

    async def use(session, heard):
        await session.subscribe()
        messages = await session.receive()
        with pytest.raises(SourceUnavailable, match="lost"):
            await session.receive()
        session.acknowledge(messages)
        return messages, bytes(heard)

    messages, heard = run_session(script, use)

    assert [(m.topic, m.payload, m.mid) for m in messages] == [("t", b"x", 5)]
    assert b"\x40\x02" not in heard


def test_acknowledgements_go_out_when_told():
    """All of a commit in one write, in order of arrival."""
    stream = b"".join(b"\x32\x06\0\1t" + k.to_bytes(2, "big") + b"\0" for k in range(1, 300))

    async def use(session, heard):
        await session.subscribe()
        messages = []
        while len(messages) < 299:
            messages += await session.receive()
        session.acknowledge(messages)
        await until(lambda: heard.endswith(b"\x40\x02\x01\x2b"))
        return bytes(heard)

    said = run_session(sends(CONNACK_5 + SUBACK_5, stream), use)

    assert said.endswith(b"".join(b"\x40\x02" + k.to_bytes(2, "big") for k in range(1, 300)))


def test_a_full_buffer_stops_the_reading_and_loses_nothing():
    """The rest stays with the broker until someone takes what is here."""
    one = b"\x30\x84\x08\0\1t\0" + bytes(1024)
    count = 40_000  # more than the system's own buffers of a connection ever hold
    sent = 0

    async def script(writer):
        nonlocal sent
        writer.write(CONNACK_5 + SUBACK_5)
        for _ in range(count):
            writer.write(one)
            await writer.drain()
            sent += 1

    async def use(session, heard):
        await session.subscribe()
        await until(lambda: sent > 60)
        stopped = -1
        while sent != stopped:
            stopped = sent
            await asyncio.sleep(0.2)
        taken = 0
        while taken < count:
            taken += len(await session.receive())
        return stopped, taken

    stopped, taken = run_session(script, use, buffer_bytes_max=1 << 16)

    assert taken == count
    assert stopped < count


def test_a_silent_broker_is_pinged_and_then_given_up():
    """A black hole: nothing says that the line is dead but the silence."""

    async def use(session, heard):
        await session.subscribe()
        with pytest.raises(SourceUnavailable, match="nothing was heard"):
            await asyncio.wait_for(session.receive(), 20)
        return bytes(heard)

    # Server Keep Alive (MQTT 5, 3.2.2.3.14) rules over what we asked for.
    said = run_session(sends(b"\x20\x06\0\0\3\x13\0\1" + SUBACK_5), use, keepalive_s=600)

    assert packets.PINGREQ in said


def test_a_broker_that_answers_pings_is_alive():
    """Nothing to tell is no reason to connect anew."""

    async def script(writer):
        writer.write(b"\x20\x06\0\0\3\x13\0\1" + SUBACK_5)
        for _ in range(12):
            await asyncio.sleep(0.25)
            writer.write(b"\xd0\x00")
        writer.write(b"\x30\x04\0\1t\0")

    async def use(session, heard):
        await session.subscribe()
        return await asyncio.wait_for(session.receive(), 20)

    assert [m.topic for m in run_session(script, use, keepalive_s=600)] == ["t"]


def certificate(folder, name, issuer=None):
    """A certificate and its key as files, signed by `issuer` or by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    by, by_key = issuer or (subject, key)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(issuer is None, None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(by_key, hashes.SHA256())
    )
    (folder / f"{name}.pem").write_bytes(built.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return subject, key


@pytest.mark.skipif(shutil.which("mosquitto") is None, reason="needs a broker with TLS")
def test_a_broker_that_wants_a_certificate_is_shown_ours(tmp_path):
    """And who shows none, or trusts another authority, is told why it fails."""
    authority = certificate(tmp_path, "authority")
    for name in ("server", "client"):
        certificate(tmp_path, name, authority)
    certificate(tmp_path, "stranger")
    port = free_port()
    conf = tmp_path / "mosquitto.conf"
    conf.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\nlog_dest none\n"
        f"cafile {tmp_path}/authority.pem\ncertfile {tmp_path}/server.pem\n"
        f"keyfile {tmp_path}/server.key\nrequire_certificate true\n"
    )

    async def attempt(**more):
        given = config(port, tls=True, connect_timeout_s=5.0, **more)
        async with connected(given, "5", SystemClock()) as session:
            return await session.subscribe()

    async def play():
        process = await asyncio.create_subprocess_exec(shutil.which("mosquitto"), "-c", str(conf))
        try:
            async with asyncio.timeout(20):
                while True:
                    with contextlib.suppress(OSError):
                        (await asyncio.open_connection("127.0.0.1", port))[1].close()
                        break
                    await asyncio.sleep(0.02)
            trusted = {"tls_ca_file": str(tmp_path / "authority.pem")}
            ours = {
                "tls_certificate_file": str(tmp_path / "client.pem"),
                "tls_key_file": str(tmp_path / "client.key"),
            }
            assert await attempt(**trusted, **ours) == ()
            with pytest.raises(SourceUnavailable):
                await attempt(**trusted)
            with pytest.raises(SourceUnavailable, match=r"(?i)certificate"):
                await attempt(tls_ca_file=str(tmp_path / "stranger.pem"), **ours)
            with pytest.raises(ConfigError, match="certificates"):
                await attempt(tls_ca_file=str(tmp_path / "nowhere.pem"))
        finally:
            process.terminate()
            await process.wait()

    asyncio.run(play())
