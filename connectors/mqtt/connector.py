"""MQTT source: messages are mapped, put, and only then acknowledged to the broker.

The only client file that imports aiomqtt. Its message iterator would acknowledge on arrival and
its queue has no bound, so the paho client inside is told to wait (before CONNECT: a resumed
session delivers at once) and hands messages to us.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from connectors.backoff import deliver
from connectors.connector import Clock, ConnectorStatus, SourceUnavailable
from connectors.mqtt.config import MqttConfig, read_config
from connectors.payload.mapping import Mapper
from connectors.sink import Link, Reject, Sink, SourceState

_READS_PER_WAKE = 32
_MESSAGE_OVERHEAD_BYTES = 200

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it came; ``mid`` and ``qos`` are what an acknowledgement needs."""

    topic: str
    payload: bytes
    mid: int
    qos: int
    retained: bool


class Connection:
    """Messages in order of arrival, bounded in bytes, with manual acknowledgement."""

    def __init__(self, config: MqttConfig, protocol: str) -> None:
        self._config = config
        self._client = _client(config, protocol)
        self._paho: Any = self._client._client  # noqa: SLF001 - aiomqtt has no public manual ack
        self._paho.manual_ack_set(True)
        self._paho.on_message = self._on_message
        self._connected: Any = self._paho.on_connect
        self._paho.on_connect = self._on_connect
        self._messages: list[Message] = []
        self._bytes = 0
        self._wake = asyncio.Event()
        self._paused = False
        self._failure: str | None = None
        self.session_present = False

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator["Connection"]:
        """Connect, subscribe and watch; disconnects at the end.

        Raises
        ------
        SourceUnavailable
            If the broker cannot be reached or refuses.
        """
        try:
            await self._client.__aenter__()
        except aiomqtt.MqttError as error:
            where = f"{self._config.host}:{self._config.port}"
            raise SourceUnavailable(f"cannot connect to broker {where}: {error}") from error
        watch = asyncio.create_task(self._watch())
        try:
            self._take_reader()
            yield self
        finally:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch
            with contextlib.suppress(aiomqtt.MqttError):
                await self._client.__aexit__(None, None, None)

    async def subscribe(self) -> tuple[tuple[str, str], ...]:
        """Subscribe to the configured topics.

        Returns
        -------
        tuple of (topic, reason)
            Those that the broker refused.
        """
        refused = []
        for wanted in self._config.subscriptions:
            try:
                codes = await self._client.subscribe(wanted.topic, wanted.qos)
            except aiomqtt.MqttError as error:
                raise SourceUnavailable(f"cannot subscribe to {wanted.topic}: {error}") from error
            code = codes[0]
            if (code if isinstance(code, int) else code.value) >= 0x80:
                refused.append((wanted.topic, str(code)))
        return tuple(refused)

    async def receive(self) -> list[Message]:
        """Return all messages that arrived since the last call, at least one.

        Raises
        ------
        SourceUnavailable
            When the connection is gone; messages not acknowledged will come again.
        """
        while not self._messages:
            if self._failure is not None:
                raise SourceUnavailable(f"broker connection lost: {self._failure}")
            self._wake.clear()
            await self._wake.wait()
        messages, self._messages, self._bytes = self._messages, [], 0
        self._resume()
        return messages

    def acknowledge(self, messages: list[Message]) -> None:
        """Tell the broker that these are ours now; after a lost connection nothing is told."""
        for message in messages:
            if message.qos and self._failure is None:
                self._paho.ack(message.mid, message.qos)

    async def _watch(self) -> None:
        try:
            async for _ in self._client.messages:
                pass
        except aiomqtt.MqttError as error:
            cause = error.__cause__
            self._fail(f"{error} ({cause})" if cause else str(error))

    def _fail(self, reason: str) -> None:
        if self._failure is None:
            self._failure = reason
        self._wake.set()

    def _on_connect(self, client: Any, userdata: Any, flags: Any, *rest: Any) -> None:
        self.session_present = bool(flags.session_present)
        self._connected(client, userdata, flags, *rest)

    def _on_message(self, _client: Any, _userdata: Any, message: Any) -> None:
        payload: bytes = message.payload
        self._messages.append(
            Message(message.topic, payload, message.mid, message.qos, bool(message.retain))
        )
        self._bytes += len(payload) + _MESSAGE_OVERHEAD_BYTES
        self._wake.set()

    def _take_reader(self) -> None:
        socket = self._paho.socket()
        if socket is not None and socket.fileno() >= 0:
            loop = asyncio.get_running_loop()
            loop.remove_reader(socket.fileno())
            loop.add_reader(socket.fileno(), self._read)

    def _read(self) -> None:
        try:
            for _ in range(_READS_PER_WAKE):
                before = len(self._messages)
                self._paho.loop_read()
                socket = self._paho.socket()
                if socket is None:
                    return
                pending = getattr(socket, "pending", None)
                if len(self._messages) == before and not (pending and pending()):
                    break
        except Exception as error:  # noqa: BLE001 - paho raises anything for a broken packet
            _log.warning("broker connection broke: %s", error)
            self._fail(repr(error))
            return
        if self._bytes > self._config.buffer_bytes_max:
            self._pause()

    def _pause(self) -> None:
        socket = self._paho.socket()
        if socket is not None and socket.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(socket.fileno())
            self._paused = True

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            self._take_reader()


def _client(config: MqttConfig, protocol: str) -> aiomqtt.Client:
    options: dict[str, Any] = {
        "hostname": config.host,
        "port": config.port,
        "identifier": config.client_id,
        "username": config.username,
        "password": config.password,
        "keepalive": config.keepalive_s,
        "timeout": config.connect_timeout_s,
        "logger": logging.getLogger("connectors.mqtt.paho"),
    }
    if config.tls:
        options["tls_params"] = aiomqtt.TLSParameters(
            ca_certs=config.tls_ca_file or None,
            certfile=config.tls_certificate_file or None,
            keyfile=config.tls_key_file or None,
        )
    if protocol == "3.1.1":
        return aiomqtt.Client(protocol=aiomqtt.ProtocolVersion.V311, clean_session=False, **options)
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = config.session_expiry_s
    properties.ReceiveMaximum = config.receive_maximum
    return aiomqtt.Client(
        protocol=aiomqtt.ProtocolVersion.V5, clean_start=False, properties=properties, **options
    )


class MqttConnector:
    """Connector to one broker.

    Parameters
    ----------
    name : str
        Name of the source.
    settings : mapping
        See ``sample.toml``.
    clock : Clock

    Raises
    ------
    ConfigError
        For unknown or wrong settings.
    """

    def __init__(self, name: str, settings: Mapping[str, Any], clock: Clock) -> None:
        self._name = name
        self._config: MqttConfig = read_config(name, settings)
        self._clock = clock
        self._rng = random.Random(name)  # noqa: S311 - jitter
        self._mapper = Mapper(self._config.mappings)
        self._status = ConnectorStatus()
        self._connects = 0
        # A broker without MQTT 5 just hangs up: "auto" takes turns until one version works.
        self._protocols = {"auto": ["5", "3.1.1"]}.get(
            self._config.protocol, [self._config.protocol]
        )

    @property
    def status(self) -> ConnectorStatus:
        """Counters, live."""
        return self._status

    async def run(self, sink: Sink) -> None:
        """Serve until cancelled.

        Raises
        ------
        SourceUnavailable
            When the broker cannot be reached or the connection is lost.
        """
        await self._report(sink, Link.CONNECTING, "")
        connection = Connection(self._config, self._protocols[0])
        connected = False
        try:
            async with connection.open():
                refused = await connection.subscribe()
                connected = True
                await self._greet(sink, connection, refused)
                while True:
                    messages = await connection.receive()
                    await self._deliver(sink, messages)
                    connection.acknowledge(messages)
        except SourceUnavailable as error:
            if not connected:
                self._protocols.append(self._protocols.pop(0))
            await self._report(sink, Link.DISCONNECTED, str(error))
            raise

    async def _greet(
        self, sink: Sink, connection: Connection, refused: tuple[tuple[str, str], ...]
    ) -> None:
        detail = f"MQTT {self._protocols[0]}"
        if self._connects:
            self._status.reconnects += 1
            if not connection.session_present:
                self._status.gaps += 1
                detail += "; the broker has lost our session, messages may be missing"
        self._connects += 1
        self._protocols = self._protocols[:1]
        await self._report(sink, Link.CONNECTED, detail)
        if refused:
            self._status.rejected += len(refused)
            reason = "cannot subscribe: got {}, want a grant"
            await sink.reject(tuple(Reject(topic, reason.format(code)) for topic, code in refused))

    async def _deliver(self, sink: Sink, messages: list[Message]) -> None:
        mapper = self._mapper
        received_ns = self._clock.now_ns()
        for message in messages:
            if message.retained and not self._takes_retained(message.topic):
                skipped = self._status.extra.get("retained_skipped", 0.0)
                self._status.extra["retained_skipped"] = skipped + 1
                continue
            mapper.add(message.topic, message.payload, received_ns)
        self._status.received += mapper.count
        self._status.last_timestamp_ns = mapper.newest_ns
        batches, rejects = mapper.take()
        self._status.rejected += len(rejects)
        await deliver(sink, batches, rejects, self._clock, self._rng)

    def _takes_retained(self, topic: str) -> bool:
        """Retained messages are state; without a time of their own they would be new each time."""
        if self._config.retained == "timed":
            return self._mapper.has_time(topic)
        return self._config.retained == "all"

    async def _report(self, sink: Sink, link: Link, detail: str) -> None:
        self._status.link, self._status.detail = link, detail
        await sink.state(SourceState(link, detail))
