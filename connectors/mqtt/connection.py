"""One connection to a broker: messages are acknowledged when we say so, never before.

The only file that imports aiomqtt. Its message iterator would acknowledge on arrival and its queue
has no bound, so the paho client inside is told to wait (before CONNECT: a resumed session delivers
at once) and hands messages to us.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from connectors.connector import SourceUnavailable
from connectors.mqtt.config import MqttConfig

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
