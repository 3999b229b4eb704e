"""MQTT source: messages are mapped, put, and only then acknowledged to the broker."""

import random
from collections.abc import Mapping
from typing import Any

from connectors.backoff import deliver
from connectors.connector import Clock, ConnectorStatus, SourceUnavailable
from connectors.mqtt.config import MqttConfig, read_config
from connectors.mqtt.session import Session, connected
from connectors.mqtt.wire import Message
from connectors.payload.mapping import Mapper
from connectors.sink import Link, Reject, Sink, SourceState


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
        self._mapper = Mapper(self._config.mappings, self._config.trees)
        self._status = ConnectorStatus()
        self._connects = 0
        self._protocols = self._config.broker.protocols()

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
        welcome = False
        try:
            async with connected(self._config.broker, self._protocols[0], self._clock) as session:
                refused = await session.subscribe()
                welcome = True
                await self._greet(sink, session, refused)
                while True:
                    messages = await session.receive()
                    await self._deliver(sink, messages)
                    session.acknowledge(messages)
        except SourceUnavailable as error:
            if not welcome:
                self._protocols.append(self._protocols.pop(0))
            await self._report(sink, Link.DISCONNECTED, str(error))
            raise

    async def _greet(
        self, sink: Sink, session: Session, refused: tuple[tuple[str, str], ...]
    ) -> None:
        detail = f"MQTT {self._protocols[0]}"
        if self._connects:
            self._status.reconnects += 1
            if not session.session_present:
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
        large = []
        for message in messages:
            if message.retained and not self._takes_retained(message.topic):
                skipped = self._status.extra.get("retained_skipped", 0.0)
                self._status.extra["retained_skipped"] = skipped + 1
                continue
            if message.size > len(message.payload):
                most = self._config.broker.message_bytes_max
                reason = f"cannot take message: got {message.size} bytes, want at most {most}"
                large.append(
                    Reject(message.topic, reason, message.payload, received_ns, message.size)
                )
                continue
            mapper.add(message.topic, message.payload, received_ns)
        self._status.received += mapper.count
        self._status.last_timestamp_ns = mapper.newest_ns
        batches, rejects = mapper.take()
        rejects = (*rejects, *large)
        self._status.rejected += len(rejects)
        await deliver(sink, batches, rejects, self._clock, self._rng)
        items = mapper.take_items()
        if items:
            await sink.describe(items)
        self._status.extra.update((name, float(n)) for name, n in mapper.counts.items())

    def _takes_retained(self, topic: str) -> bool:
        """Retained messages are state; without a time of their own they would be new each time."""
        if self._config.retained == "timed":
            return self._mapper.has_time(topic)
        return self._config.retained == "all"

    async def _report(self, sink: Sink, link: Link, detail: str) -> None:
        self._status.link, self._status.detail = link, detail
        await sink.state(SourceState(link, detail))
