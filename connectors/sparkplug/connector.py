"""Sparkplug B host application: tells that it is there, listens, asks for births."""

import asyncio
import contextlib
import random
from collections.abc import Mapping
from typing import Any

from connectors.backoff import deliver
from connectors.connector import Clock, ConnectorStatus, SourceUnavailable
from connectors.mqtt.packets import Will
from connectors.mqtt.session import Session, connected
from connectors.mqtt.wire import Message
from connectors.sink import Link, Reject, Sink, SourceState
from connectors.sparkplug.commands import rebirth
from connectors.sparkplug.config import SparkplugConfig, read_config
from connectors.sparkplug.fleet import Fleet, Rebirths
from connectors.sparkplug.state import HostState, decode_state
from connectors.sparkplug.topics import state_topic

_MILLION = 1_000_000


class SparkplugConnector:
    """Host of the nodes of one broker.

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
        self._config: SparkplugConfig = read_config(name, settings)
        self._clock = clock
        self._rng = random.Random(name)  # noqa: S311 - jitter
        self._status = ConnectorStatus()
        self._connects = 0
        self._protocols = self._config.broker.protocols()
        rebirths = Rebirths(
            self._config.rebirth_interval_s, self._config.rebirth_spread_s, self._rng
        )
        self._fleet = Fleet(self._config.rules, rebirths)
        self._state_topic = state_topic(self._config.host_id)
        self._since_ms = 0  # time of this session's will and birth
        self._stranger = 0  # time of another host's birth under our id

    @property
    def status(self) -> ConnectorStatus:
        """Counters, live."""
        return self._status

    async def run(self, sink: Sink) -> None:
        """Serve until cancelled; then tell the nodes that we go.

        Raises
        ------
        SourceUnavailable
            When the broker cannot be reached or the connection is lost.
        """
        await self._report(sink, Link.CONNECTING, "")
        broker, welcome = self._config.broker, False
        try:
            async with connected(broker, self._protocols[0], self._clock, self._will) as session:
                refused = await session.subscribe()
                try:
                    await self._say(session, HostState(online=True, timestamp_ms=self._since_ms))
                    welcome = True
                    self._fleet.line_up(self._clock.monotonic_s())
                    await self._greet(sink, refused)
                    await self._serve(sink, session)
                finally:
                    await self._part(session)
        except SourceUnavailable as error:
            if not welcome:
                self._protocols.append(self._protocols.pop(0))
            await self._report(sink, Link.DISCONNECTED, str(error))
            raise
        finally:
            self._fleet.line_lost()

    def _will(self) -> Will:
        self._since_ms = self._clock.now_ns() // _MILLION
        gone = HostState(online=False, timestamp_ms=self._since_ms)
        return Will(self._state_topic, gone.encode(), 1, retain=True)

    async def _say(self, session: Session, state: HostState) -> None:
        await session.publish(self._state_topic, state.encode(), qos=1, retain=True)

    async def _part(self, session: Session) -> None:
        """Die in an orderly way: the broker keeps its will to itself after a goodbye."""
        now_ms = self._clock.now_ns() // _MILLION
        with contextlib.suppress(SourceUnavailable):  # then the broker speaks the will
            await self._say(session, HostState(online=False, timestamp_ms=now_ms))

    async def _greet(self, sink: Sink, refused: tuple[tuple[str, str], ...]) -> None:
        self._status.reconnects += self._connects > 0
        self._connects += 1
        self._protocols = self._protocols[:1]
        await self._report(sink, Link.CONNECTED, f"MQTT {self._protocols[0]}")
        if refused:
            self._status.rejected += len(refused)
            reason = "cannot subscribe: got {}, want a grant"
            await sink.reject(tuple(Reject(topic, reason.format(code)) for topic, code in refused))

    async def _serve(self, sink: Sink, session: Session) -> None:
        fleet, clock = self._fleet, self._clock
        coming: asyncio.Task[list[Message]] = asyncio.create_task(session.receive())
        try:
            while True:
                await self._until_due(coming)
                messages = coming.result() if coming.done() else []
                now_ns, now_s = clock.now_ns(), clock.monotonic_s()
                for message in messages:
                    await self._take(sink, session, message, now_ns, now_s)
                fleet.tick(now_ns, now_s)
                await self._carry_on(sink)
                session.acknowledge(messages)
                if coming.done():  # not before these are durable: what waits is bounded
                    coming = asyncio.create_task(session.receive())
                for group, node in fleet.rebirths.take(now_s):
                    wish = rebirth(group, node, now_ns // _MILLION)
                    await session.publish(wish.topic, wish.payload, qos=wish.qos, retain=False)
                    self._count("rebirths", 1)
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)

    async def _until_due(self, coming: "asyncio.Task[list[Message]]") -> None:
        """Return when a message is there, or a timer of the fleet has run out."""
        due_s = self._fleet.deadline_s()
        if due_s is None:
            await asyncio.wait({coming})
            return
        left_s = max(0.0, due_s - self._clock.monotonic_s())
        timer = asyncio.create_task(self._clock.sleep(left_s))
        try:
            await asyncio.wait({coming, timer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            await asyncio.gather(timer, return_exceptions=True)

    async def _take(
        self, sink: Sink, session: Session, message: Message, now_ns: int, now_s: float
    ) -> None:
        if message.topic == self._state_topic:
            await self._own_state(sink, session, message)
        elif message.retained:
            # Neither births nor data are retained: an old one would be taken for a new one.
            self._count("retained_skipped", 1)
        elif message.size > len(message.payload):
            most = self._config.broker.message_bytes_max
            reason = f"cannot take message: got {message.size} bytes, want at most {most}"
            self._fleet.told.rejects.append(Reject(message.topic, reason, message.payload, now_ns))
        else:
            self._fleet.receive(message.topic, message.payload, now_ns, now_s)

    async def _own_state(self, sink: Sink, session: Session, message: Message) -> None:
        """Somebody speaks for us: a will of an older session, or another host with our id."""
        said = decode_state(message.payload)
        if message.retained or said is None:
            return
        if not said.online:
            self._count("state_repaired", 1)
            await self._say(session, HostState(online=True, timestamp_ms=self._since_ms))
        elif said.timestamp_ms not in {self._since_ms, self._stranger}:
            self._stranger = said.timestamp_ms
            self._count("foreign_hosts", 1)
            detail = f"another host is online as {self._config.host_id!r}, want a name of our own"
            await self._report(sink, Link.CONNECTED, detail)

    async def _carry_on(self, sink: Sink) -> None:
        """Make durable what came of the messages."""
        told, status = self._fleet.told, self._status
        status.received += told.samples.count
        status.last_timestamp_ns = max(status.last_timestamp_ns, told.samples.newest_ns)
        rejects, told.rejects = tuple(told.rejects), []
        gaps, told.gaps = tuple(told.gaps), []
        items, told.items = tuple(told.items), []
        status.rejected += len(rejects)
        status.gaps += len(gaps)
        status.extra["nodes_online"] = float(self._fleet.online())
        status.extra["historical"] = float(told.counts.historical)
        status.extra["transient"] = float(told.counts.transient)
        status.extra["unknown"] = float(told.counts.unknown)
        if items:
            await sink.describe(items)
        await deliver(sink, told.samples.take(), rejects, self._clock, self._rng, gaps=gaps)

    def _count(self, what: str, more: int) -> None:
        self._status.extra[what] = self._status.extra.get(what, 0.0) + more

    async def _report(self, sink: Sink, link: Link, detail: str) -> None:
        self._status.link, self._status.detail = link, detail
        await sink.state(SourceState(link, detail))
