"""MQTT publisher with QoS 1 and a bounded window. The one file that knows paho's sending side.

``aiomqtt`` waits for each acknowledgement in turn (about 2,000 messages a second); paho's own
thread pipelines them, and the window below keeps what is not yet acknowledged bounded.
"""

import asyncio
from typing import Any

from paho.mqtt.client import Client, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from connectors.connector import SourceUnavailable

WINDOW_MESSAGES = 1_000
_KEEPALIVE_S = 30
_CONNECT_TIMEOUT_S = 10.0


class Publisher:
    """A connection that publishes; reconnects by itself and sends again what was not acknowledged.

    Parameters
    ----------
    port : int
        Broker on 127.0.0.1 unless ``host`` says otherwise.
    client_id : str
        Fixed, so that a reconnect takes over.
    """

    def __init__(self, port: int, client_id: str, *, host: str = "127.0.0.1") -> None:
        self._host, self._port = host, port
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=True)
        self._client.max_inflight_messages_set(WINDOW_MESSAGES)
        self._client.max_queued_messages_set(WINDOW_MESSAGES * 2)
        self._client.reconnect_delay_set(1, 30)
        self._client.on_publish = self._on_publish
        self._client.on_connect = self._on_connect
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connected = asyncio.Event()
        self._room = asyncio.Event()
        self._in_flight = 0
        self.sent = 0
        self.acknowledged = 0

    async def start(self) -> None:
        """Connect. Raises SourceUnavailable when the broker does not answer."""
        self._loop = asyncio.get_running_loop()
        try:
            await asyncio.to_thread(self._client.connect, self._host, self._port, _KEEPALIVE_S)
            self._client.loop_start()
            await asyncio.wait_for(self._connected.wait(), _CONNECT_TIMEOUT_S)
        except OSError as error:
            msg = f"cannot connect to broker: got {error}, want it at {self._host}:{self._port}"
            raise SourceUnavailable(msg) from error

    def _on_connect(self, *_: Any) -> None:
        self._post(self._connected.set)

    def _on_publish(self, *_: Any) -> None:
        self._post(self._on_acknowledged)

    def _post(self, callback: Any) -> None:
        """From paho's thread into ours."""
        assert self._loop is not None
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(callback)

    def _on_acknowledged(self) -> None:
        self._in_flight -= 1
        self.acknowledged += 1
        self._room.set()

    async def publish(self, topic: str, payload: bytes) -> None:
        """Send one message; waits while the window is full. Order of calls is kept."""
        while self._in_flight >= WINDOW_MESSAGES:
            await self._moved()
        info: MQTTMessageInfo = self._client.publish(topic, payload, qos=1)
        if info.rc not in (MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_NO_CONN):
            msg = f"cannot publish: got {info.rc.name}, want it queued, at {topic}"
            raise SourceUnavailable(msg)
        self._in_flight += 1
        self.sent += 1

    async def drained(self) -> None:
        """Return when the broker has acknowledged every message."""
        while self._in_flight:
            await self._moved()

    async def _moved(self) -> None:
        self._room.clear()
        await self._room.wait()

    async def stop(self) -> None:
        """Disconnect; what is not acknowledged is lost, so call :meth:`drained` first."""
        await asyncio.to_thread(self._disconnect)

    def _disconnect(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


async def provision_session(port: int, client_id: str, topic: str) -> None:
    """Make the broker keep messages for a client that has not come yet.

    Connects once in its name with a durable session, subscribes with QoS 1 and leaves: what is
    published from now on waits for it.

    Parameters
    ----------
    port : int
        Broker on 127.0.0.1.
    client_id : str
        The client's fixed id.
    topic : str
        Topic filter that it will subscribe to.

    Raises
    ------
    SourceUnavailable
        When the broker does not answer in time.
    """
    loop = asyncio.get_running_loop()
    subscribed = asyncio.Event()
    client = Client(CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=False)
    client.manual_ack_set(True)  # what is already waiting must go on waiting

    def on_connect(*_: Any) -> None:
        client.subscribe(topic, 1)

    def on_subscribe(*_: Any) -> None:
        loop.call_soon_threadsafe(subscribed.set)

    client.on_connect = on_connect
    client.on_subscribe = on_subscribe
    try:
        await asyncio.to_thread(client.connect, "127.0.0.1", port, _KEEPALIVE_S)
        client.loop_start()
        await asyncio.wait_for(subscribed.wait(), _CONNECT_TIMEOUT_S)
    except OSError as error:
        msg = f"cannot provision {client_id!r}: got {error}, want a broker at port {port}"
        raise SourceUnavailable(msg) from error
    finally:
        client.disconnect()
        await asyncio.to_thread(client.loop_stop)
