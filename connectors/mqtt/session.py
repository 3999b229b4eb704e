"""One connection to a broker: reads a buffer at a time, acknowledges when told to.

Nothing is acknowledged on arrival, and what waits is bounded: beyond it the socket is not read, so
that the broker keeps the rest.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from connectors.connector import Clock, ConfigError, SourceUnavailable
from connectors.mqtt import packets
from connectors.mqtt.broker import BrokerConfig
from connectors.mqtt.packets import ProtocolError, Welcome, Will
from connectors.mqtt.wire import Message, Scanner, acknowledgements

_ALIASES_MAX = 1_024
_BUFFER_BYTES = 1 << 18
_MESSAGE_OVERHEAD_BYTES = 200
_SUBSCRIBE_MID = 1
_SILENCE = 1.5  # of the keep alive: then the other side is gone (MQTT 5, 3.1.2.10)

_T = TypeVar("_T")


class Session(asyncio.BufferedProtocol):
    """A subscriber's side of one connection.

    Parameters
    ----------
    config : BrokerConfig
    clock : Clock
    five : bool
        MQTT 5, not 3.1.1.
    will : callable, optional
        Gives what the broker is to say when we vanish; asked as CONNECT is sent.

    Attributes
    ----------
    session_present : bool
        The broker goes on with what it kept for us.
    """

    def __init__(
        self,
        config: BrokerConfig,
        clock: Clock,
        *,
        five: bool,
        will: Callable[[], Will] | None = None,
    ) -> None:
        self._will = will
        self._mid = _SUBSCRIBE_MID
        self._published: dict[int, asyncio.Future[None]] = {}
        self._config = config
        self._clock = clock
        self._five = five
        loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._scanner = Scanner(five, config.message_bytes_max, _ALIASES_MAX if five else 0)
        self._buffer = bytearray(_BUFFER_BYTES)
        self._begin = self._end = 0
        self._wake = asyncio.Event()
        self._welcome: asyncio.Future[Welcome] = loop.create_future()
        self._granted: asyncio.Future[bytes] = loop.create_future()
        self._closed: asyncio.Future[None] = loop.create_future()
        self._paused = False
        self._failure: str | None = None
        self._heard_s = self._sent_s = self._clock.monotonic_s()
        self.session_present = False

    async def open(self) -> None:
        """Introduce ourselves.

        Raises
        ------
        SourceUnavailable
            The broker refuses, or does not answer in time.
        """
        config = self._config
        hello = packets.Hello(
            config.client_id,
            config.keepalive_s,
            config.username,
            config.password,
            config.session_expiry_s,
            config.receive_maximum,
            _ALIASES_MAX,
            config.clean,
            self._will() if self._will is not None else None,
        )
        self._send(packets.encode_connect(hello, five=self._five))
        welcome = await self._answer(self._welcome, "CONNACK")
        if welcome.refusal:
            raise SourceUnavailable(f"broker refuses us: {welcome.refusal}")
        self.session_present = welcome.session_present
        self._keepalive_s = welcome.keepalive_s or config.keepalive_s

    async def subscribe(self) -> tuple[tuple[str, str], ...]:
        """Subscribe to the configured topics.

        Returns
        -------
        tuple of (topic, reason)
            Those that the broker refused.

        Raises
        ------
        SourceUnavailable
            The connection is lost.
        """
        wanted = self._config.subscriptions
        topics = tuple((one.topic, one.qos) for one in wanted)
        self._send(packets.encode_subscribe(_SUBSCRIBE_MID, topics, five=self._five))
        codes = await self._answer(self._granted, "SUBACK")
        if len(codes) != len(topics):
            raise SourceUnavailable(
                f"broker answered {len(codes)} of {len(topics)} subscriptions, want all"
            )
        pairs = zip(topics, codes, strict=True)
        return tuple((topic, packets.reason_of(code)) for (topic, _), code in pairs if code >= 0x80)

    async def receive(self) -> list[Message]:
        """Return all messages that arrived since the last call, at least one.

        Raises
        ------
        SourceUnavailable
            When the connection is gone; messages not acknowledged will come again.
        """
        scanner = self._scanner
        while not scanner.messages:
            if self._failure is not None:
                raise SourceUnavailable(f"broker connection lost: {self._failure}")
            self._wake.clear()
            await self._wake.wait()
        messages, scanner.messages, scanner.size_bytes = scanner.messages, [], 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._heard_s = self._clock.monotonic_s()  # an answer may lie in what was not read
            self._transport.resume_reading()
        return messages

    async def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool = False) -> None:
        """Publish; of QoS 1, return when the broker has it.

        Raises
        ------
        SourceUnavailable
            The connection is lost, or the broker refuses the message or does not answer in time.
        """
        if self._failure is not None:
            raise SourceUnavailable(f"broker connection lost: {self._failure}")
        mid = 0
        if qos:
            self._mid = mid = self._mid % 0xFFFF + 1
            self._published[mid] = asyncio.get_running_loop().create_future()
        self._send(packets.encode_publish(topic, payload, mid, retain=retain, five=self._five))
        if qos:
            try:
                await self._answer(self._published[mid], "PUBACK")
            finally:
                del self._published[mid]

    def acknowledge(self, messages: list[Message]) -> None:
        """Tell the broker that these are ours now; after a lost connection nothing is told."""
        if self._failure is None:
            self._send(acknowledgements(messages))

    async def keep_alive(self) -> None:
        """Ping while nothing else is sent, and notice a silent end; runs until cancelled."""
        while self._failure is None:
            now = self._clock.monotonic_s()
            heard, sent = now - self._heard_s, now - self._sent_s
            if heard > _SILENCE * self._keepalive_s and not self._paused:
                self._fail(f"nothing was heard for {heard:.0f} s")
                return
            if min(heard, sent) >= self._keepalive_s / 2:
                self._send(packets.PINGREQ)
            await self._clock.sleep(self._keepalive_s / 4)

    async def close(self) -> None:
        """Say goodbye and hang up; the broker keeps the session."""
        transport = self._transport
        if transport is None:
            return
        if self._failure is None:
            self._send(packets.GOODBYE)
        transport.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._closed), 1.0)
        transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; what is sent waits in it."""
        assert isinstance(transport, asyncio.Transport), "a stream"
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        """Room for what comes next, behind what is not understood yet."""
        if self._begin == self._end:
            self._begin = self._end = 0
            if len(self._buffer) > _BUFFER_BYTES:  # grown for a large message
                self._buffer = bytearray(_BUFFER_BYTES)
        free = len(self._buffer) - self._end
        if free < _BUFFER_BYTES // 2:
            held = self._buffer[self._begin : self._end]
            # A new one: a view of the old may still be out.
            self._buffer = bytearray(max(2 * len(held), _BUFFER_BYTES))
            self._buffer[: len(held)] = held
            self._begin, self._end = 0, len(held)
        return memoryview(self._buffer)[self._end :]

    def buffer_updated(self, count: int) -> None:
        """Understand what came; pause when too much of it waits."""
        self._end += count
        self._heard_s = self._clock.monotonic_s()
        scanner = self._scanner
        try:
            self._begin += scanner.feed(memoryview(self._buffer)[self._begin : self._end])
            controls, scanner.controls = scanner.controls, []
            for first, body in controls:
                self._control(first >> 4, body)
        except ProtocolError as error:
            self._fail(f"the broker speaks no MQTT: {error}")
        if scanner.messages:
            self._wake.set()
            waiting = scanner.size_bytes + _MESSAGE_OVERHEAD_BYTES * len(scanner.messages)
            if waiting > self._config.buffer_bytes_max and self._transport is not None:
                self._paused = True
                self._transport.pause_reading()

    def eof_received(self) -> None:
        """Let the transport close."""

    def connection_lost(self, error: Exception | None) -> None:
        """Nothing more comes."""
        self._fail("the broker hung up" if error is None else str(error))
        if not self._closed.done():
            self._closed.set_result(None)

    def _control(self, kind: int, body: bytes) -> None:
        if kind == packets.CONNACK and not self._welcome.done():
            self._welcome.set_result(packets.decode_connack(body, five=self._five))
        elif kind == packets.SUBACK:
            mid, codes = packets.decode_suback(body, five=self._five)
            if mid == _SUBSCRIBE_MID and not self._granted.done():
                self._granted.set_result(codes)
        elif kind == packets.PUBACK:
            self._taken(*packets.decode_puback(body))
        elif kind == packets.DISCONNECT and self._five:
            self._fail(packets.decode_disconnect(body))
        elif kind != packets.PINGRESP:
            raise ProtocolError(f"got a packet of type {kind}, want one that a broker sends")

    def _taken(self, mid: int, code: int) -> None:
        answer = self._published.get(mid)
        if answer is None or answer.done():
            return
        if code < 0x80:
            answer.set_result(None)
        else:
            refusal = f"broker refuses a message of ours: {packets.reason_of(code)}"
            answer.set_exception(SourceUnavailable(refusal))

    def _send(self, data: bytes) -> None:
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)
            self._sent_s = self._clock.monotonic_s()

    def _fail(self, reason: str) -> None:
        if self._failure is not None:
            return
        self._failure = reason
        answers: list[asyncio.Future[Any]] = [self._welcome, self._granted]
        for answer in (*answers, *self._published.values()):
            if not answer.done():
                answer.set_exception(SourceUnavailable(f"broker connection lost: {reason}"))
                answer.exception()  # seen: nobody may be waiting for it
        if self._transport is not None:
            self._transport.abort()
        self._wake.set()

    async def _answer(self, answer: "asyncio.Future[_T]", name: str) -> _T:
        try:
            return await asyncio.wait_for(asyncio.shield(answer), self._config.connect_timeout_s)
        except TimeoutError as error:
            raise SourceUnavailable(
                f"broker sent no {name} in {self._config.connect_timeout_s:g} s"
            ) from error


@contextlib.asynccontextmanager
async def connected(
    config: BrokerConfig,
    protocol: str,
    clock: Clock,
    will: Callable[[], Will] | None = None,
) -> AsyncIterator[Session]:
    """Connect to the broker; says goodbye at the end.

    Parameters
    ----------
    config : BrokerConfig
    protocol : str
        "5" or "3.1.1".
    clock : Clock
    will : callable, optional
        Gives what the broker is to say when we vanish; asked as CONNECT is sent.

    Raises
    ------
    ConfigError
        Certificates cannot be read.
    SourceUnavailable
        If the broker cannot be reached or refuses.
    """
    session = Session(config, clock, five=protocol == "5", will=will)
    where = f"{config.host}:{config.port}"
    try:
        async with asyncio.timeout(config.connect_timeout_s):
            await asyncio.get_running_loop().create_connection(
                lambda: session, config.host, config.port, ssl=_security(config)
            )
    except (OSError, TimeoutError) as error:
        reason = str(error) or "no answer in time"
        raise SourceUnavailable(f"cannot connect to broker {where}: {reason}") from error
    alive: asyncio.Task[None] | None = None
    try:
        await session.open()
        alive = asyncio.create_task(session.keep_alive())
        yield session
    except SourceUnavailable as error:
        raise SourceUnavailable(f"{error} (broker {where})") from error
    finally:
        if alive is not None:
            alive.cancel()
            await asyncio.gather(alive, return_exceptions=True)
        await session.close()


def _security(config: BrokerConfig) -> ssl.SSLContext | None:
    if not config.tls:
        return None
    try:
        context = ssl.create_default_context(cafile=config.tls_ca_file or None)
        if config.tls_certificate_file:
            context.load_cert_chain(config.tls_certificate_file, config.tls_key_file or None)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(f"cannot read TLS certificates: {error}") from error
    return context
