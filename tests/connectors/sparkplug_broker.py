"""A broker that writes down what a host says, packet by packet, by the text of MQTT."""

import asyncio
import contextlib
from dataclasses import dataclass, field

from connectors.sparkplug.connector import SparkplugConnector
from connectors.testing import RecordingSink
from historian.clock import SystemClock

HOST_ID = "plant host"
STATE = f"spBv1.0/STATE/{HOST_ID}"


class StepClock(SystemClock):
    """Each look at it is a millisecond later."""

    def __init__(self):
        self.now = 1_795_348_376_000_000_000

    def now_ns(self):
        self.now += 1_000_000
        return self.now


@dataclass
class Packet:
    """Of what the host sent; a will is in CONNECT."""

    kind: str
    topic: str = ""
    payload: bytes = b""
    qos: int = 0
    retain: bool = False
    will: "Packet | None" = None
    clean: bool = False
    expiry_s: int | None = None
    filters: tuple = ()
    sent_ms: int = 0  # of the host's clock, as it was received


@dataclass
class Broker:
    """Answers as it has to; `say` publishes to the host."""

    five: bool
    clock: StepClock = field(default_factory=StepClock)
    packets: list = field(default_factory=list)
    port: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _writer: asyncio.StreamWriter | None = None

    @contextlib.asynccontextmanager
    async def listening(self):
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self

    def say(self, topic, payload, *, retain=False):
        body = _text(topic) + (b"\0" if self.five else b"") + payload
        self._writer.write(bytes([0x30 | retain]) + _length(len(body)) + body)

    def hang_up(self):
        self._writer.transport.abort()

    async def until(self, done):
        async with asyncio.timeout(20):
            while not done(self.packets):
                self._changed.clear()
                await self._changed.wait()

    def published(self):
        return [packet for packet in self.packets if packet.kind == "PUBLISH"]

    async def _serve(self, reader, writer):
        self._writer = writer
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                first = (await reader.readexactly(1))[0]
                size = shift = 0
                while True:
                    byte = (await reader.readexactly(1))[0]
                    size |= (byte & 127) << shift
                    shift += 7
                    if byte < 128:
                        break
                self._take(first, await reader.readexactly(size), writer)
                self._changed.set()
        writer.close()

    def _take(self, first, body, writer):
        kind, packet = first >> 4, None
        if kind == 1:
            packet = self._connect(body)
            writer.write(b"\x20\x03\0\0\0" if self.five else b"\x20\x02\0\0")
        elif kind == 8:
            packet = self._subscribe(body)
            codes = bytes(qos for _, qos in packet.filters)
            answer = body[:2] + (b"\0" if self.five else b"") + codes
            writer.write(b"\x90" + _length(len(answer)) + answer)
        elif kind == 3:
            packet = self._publish(first, body, writer)
        elif kind == 14:
            packet = Packet("DISCONNECT")
        if packet is not None:
            packet.sent_ms = self.clock.now // 1_000_000
            self.packets.append(packet)

    def _connect(self, body):
        assert body[:6] == b"\0\4MQTT"
        flags, at, expiry = body[7], 10, None
        if self.five:
            size, at = body[10], 11
            found = body[at : at + size]
            assert found[0] == 0x11
            expiry, at = int.from_bytes(found[1:5], "big"), at + size
        _, at = _string(body, at)
        will = None
        if flags & 4:
            if self.five:
                at += 1 + body[at]
            topic, at = _string(body, at)
            payload, at = _string(body, at)
            will = Packet("WILL", topic.decode(), payload, flags >> 3 & 3, bool(flags & 0x20))
        return Packet("CONNECT", will=will, clean=bool(flags & 2), expiry_s=expiry)

    def _subscribe(self, body):
        at, found = 3 if self.five else 2, []
        while at < len(body):
            topic, at = _string(body, at)
            found.append((topic.decode(), body[at] & 3))
            at += 1
        return Packet("SUBSCRIBE", filters=tuple(found))

    def _publish(self, first, body, writer):
        topic, at = _string(body, 0)
        qos = first >> 1 & 3
        if qos:
            writer.write(b"\x40\x02" + body[at : at + 2])
            at += 2
        payload = body[at + (1 if self.five else 0) :]
        return Packet("PUBLISH", topic.decode(), payload, qos, bool(first & 1))


def _string(body, at):
    end = at + 2 + int.from_bytes(body[at : at + 2], "big")
    return body[at + 2 : end], end


def _text(text):
    return len(text.encode()).to_bytes(2, "big") + text.encode()


def _length(number):
    out = []
    while True:
        number, low = divmod(number, 128)
        out.append(low | (128 if number else 0))
        if not number:
            return bytes(out)


@contextlib.asynccontextmanager
async def hosting(broker, **more):
    """A host on a broker, once it has told that it is online; gives connector, sink and task."""
    settings = {
        "host": "127.0.0.1",
        "port": broker.port,
        "host_id": HOST_ID,
        "protocol": "5" if broker.five else "3.1.1",
        "connect_timeout_s": 5.0,
        **more,
    }
    connector = SparkplugConnector("s", settings, broker.clock)
    sink = RecordingSink()
    task = asyncio.create_task(connector.run(sink))
    try:
        await broker.until(lambda packets: any(p.kind == "PUBLISH" for p in packets))
        yield connector, sink, task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
