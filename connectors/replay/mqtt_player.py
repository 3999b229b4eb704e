"""Plays skab through a real MQTT broker: one JSON message per row, QoS 1."""

from collections.abc import Awaitable, Callable

import orjson

from connectors.connector import Clock
from connectors.replay.pace import Pace
from connectors.replay.skab import TOPIC, SkabRecording
from connectors.simulator.broker import Broker, start_broker
from connectors.simulator.publisher import Publisher, provision_session

CLIENT_ID = "lighthouse-replay"
MESSAGES_UNSTORED_MAX = 20_000
_PLAYED = "played"


def mqtt_settings(port: int) -> dict[str, object]:
    """Settings of the MQTT source that reads what is played here."""
    time = {"path": "ts", "unit": "iso"}
    return {
        "host": "127.0.0.1",
        "port": port,
        "client_id": CLIENT_ID,
        "protocol": "3.1.1",  # all that the embedded broker speaks
        "subscriptions": [{"topic": f"{TOPIC}/#", "qos": 1}],
        "mappings": [
            {
                "topic": f"{TOPIC}/+/{_PLAYED}",
                "kind": "samples",
                "time": {"path": "ts", "unit": "ns"},
                "value": "count",
                "type": "float64",  # as the samples: order is kept within a type
                "address": "{topic[1]}/" + _PLAYED,
            },
            {
                "topic": f"{TOPIC}/+/+",
                "kind": "samples",
                "time": time,
                "type": "float64",
                "address": "{topic[1]}/{key}",
            },
        ],
    }


class MqttPlayer:
    """A broker with a session for the collector, and a publisher.

    A broker holds what its subscriber has not taken, and drops what is too much. So never more
    than ``MESSAGES_UNSTORED_MAX`` messages are under way: ``played`` is published behind them,
    and the next ones follow when the server has it.

    Parameters
    ----------
    clock : Clock
    kind : str
        ``auto``, ``mosquitto`` or ``embedded``.
    """

    def __init__(self, clock: Clock, kind: str = "auto") -> None:
        self._clock = clock
        self._kind = kind
        self._broker: Broker | None = None
        self._publisher: Publisher | None = None

    @property
    def port(self) -> int:
        """Port of the running broker."""
        assert self._broker is not None
        return self._broker.port

    async def start(self) -> None:
        """Start the broker; what is published from now on waits for the collector."""
        self._broker = await start_broker(self._clock, kind=self._kind)
        await provision_session(self._broker.port, CLIENT_ID, f"{TOPIC}/#")
        self._publisher = Publisher(self._broker.port, "lighthouse-replay-publisher")
        await self._publisher.start()

    async def play(
        self,
        recording: SkabRecording,
        speed: float | None,
        sent: Callable[[int], None],
        stored: Callable[[int], Awaitable[None]],
    ) -> int:
        """Send a recording.

        Parameters
        ----------
        recording : SkabRecording
        speed : float or None
            Times as fast as recorded; None: flat out.
        sent : callable(count)
            Told of values handed over.
        stored : callable(time ns), async
            Returns when the server has ``played`` of this time.

        Returns
        -------
        int
            Values sent.
        """
        assert self._publisher is not None
        pace = Pace(self._clock, speed)
        total = 0
        for number, (timestamp_ns, topic, body) in enumerate(recording.messages(), 1):
            ahead_s = pace.ahead_s(timestamp_ns)
            if ahead_s > 0:
                await self._clock.sleep(ahead_s)
            await self._publisher.publish(topic, body)
            count = len(orjson.loads(body)) - 1
            total += count
            sent(count)
            if number % MESSAGES_UNSTORED_MAX == 0:
                await self._say_played(recording, total, stored)
        await self._say_played(recording, total, stored)
        return total

    async def _say_played(
        self, recording: SkabRecording, total: int, stored: Callable[[int], Awaitable[None]]
    ) -> None:
        assert self._publisher is not None
        now_ns = self._clock.now_ns() // 1_000 * 1_000
        body = orjson.dumps({"ts": now_ns, "count": total})
        await self._publisher.publish(f"{TOPIC}/{recording.name}/{_PLAYED}", body)
        await self._publisher.drained()
        await stored(now_ns)

    async def stop(self) -> None:
        """End publisher and broker."""
        if self._publisher is not None:
            await self._publisher.stop()
        if self._broker is not None:
            await self._broker.stop()
