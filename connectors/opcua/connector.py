"""OPC UA source: a pump of Publish requests that loses and reorders nothing on the way to the sink.

A notification message is acknowledged to the server after its rows are durable in the sink, so the
server's retransmission queue covers a dead collector's connection. Messages are taken in the
order of their sequence numbers; a gap is fetched with Republish, and what the server has no more
is counted and named.
"""

import asyncio
import contextlib
import random
from collections.abc import Mapping
from typing import Any

from connectors.backoff import deliver
from connectors.connector import Clock, ConnectorStatus, SourceUnavailable
from connectors.opcua.config import OpcUaConfig, read_config
from connectors.opcua.event_source import EventSource
from connectors.opcua.finding import Finder
from connectors.opcua.items import Item, Registry
from connectors.opcua.notification import Notification
from connectors.opcua.pump import Pump
from connectors.opcua.rows import ChangeRows
from connectors.opcua.session import Session, SubscriptionLost
from connectors.sink import Link, Reject, Sink, SourceState

_BAD_TIMEOUT = 0x800A_0000
_STALE_KEEPALIVES = 3.0
_REPUBLISH_MAX = 1_000


class OpcUaConnector:
    """Connector to one server.

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
        self._config: OpcUaConfig = read_config(name, settings)
        self._clock = clock
        self._rng = random.Random(name)  # noqa: S311 - jitter
        self._status = ConnectorStatus()
        self._registry = Registry()
        self._rows = ChangeRows(self._registry)
        self._events = EventSource(name, self._config, clock)
        self._finder = Finder(self._config, self._registry, clock)
        self._session: Session | None = None
        self._subscriptions: dict[int, int] = {}  # id -> sequence expected next
        self._surveyed_s = 0.0
        self._connects = 0
        self._notice = ""

    @property
    def status(self) -> ConnectorStatus:
        """Counters, live."""
        return self._status

    async def run(self, sink: Sink) -> None:
        """Serve until cancelled. A session that a lost connection left behind is taken up again.

        Raises
        ------
        SourceUnavailable
            When the server cannot be reached or the connection is lost.
        ConfigError
            When a node id or a certificate cannot be used.
        """
        try:
            await self._report(sink, Link.CONNECTING, "")
            session, detail = await self._open(sink)
            if self._connects:
                self._status.reconnects += 1
            self._connects += 1
            await self._report(sink, Link.CONNECTED, detail)
            await self._serve(sink, session)
        except SubscriptionLost as error:
            await self._close()
            await self._report(sink, Link.DISCONNECTED, str(error))
            raise
        except SourceUnavailable as error:
            await self._report(sink, Link.DISCONNECTED, str(error))
            raise
        except BaseException:
            await self._close()
            raise

    async def _open(self, sink: Sink) -> tuple[Session, str]:
        if self._session is not None:
            try:
                await self._session.resume()
            except SubscriptionLost:
                self._lose_session()
            else:
                await self._events.refresh(self._session)
                return self._session, "session resumed"
        session = Session(self._config, self._clock)
        await session.connect()
        try:
            await self._finder.find(sink, session)
            self._registry.forget_session()
            self._subscriptions = {}
            await self._monitor(sink, session, self._registry.items)
            if self._events.wanted:
                events = self._events.place(list(self._subscriptions))
                if events is None:
                    events = await session.create_subscription()
                    self._subscriptions[events] = 1
                await self._events.open(sink, session, events)
        except BaseException:
            await session.close()
            raise
        self._session = session
        detail = "new session"
        if self._connects:
            self._status.gaps += 1
            detail += "; the server has lost the old one, values between the two may be missing"
        self._notice = session.notice
        if self._notice:
            detail += f"; {self._notice}"
        live = sum(item.live for item in self._registry.items)
        return session, f"{detail}; {live} of {len(self._registry.items)} items"

    async def _monitor(self, sink: Sink, session: Session, items: list[Item]) -> None:
        """Monitor items that are not; what the server refuses is named once."""
        rejects = []
        size = self._config.items_per_subscription_max
        for start in range(0, len(items), size):
            chunk = items[start : start + size]
            subscription = await session.create_subscription()
            self._subscriptions[subscription] = 1
            rejects += await self._add_items(session, subscription, chunk)
        if rejects:
            self._status.rejected += len(rejects)
            await sink.reject(tuple(rejects))

    async def _add_items(
        self, session: Session, subscription: int, items: list[Item]
    ) -> list[Reject]:
        wanted = [(item.handle, item.address) for item in items]
        for item in items:
            item.live = True
        rejects = []
        for handle, reason in await session.monitor(subscription, wanted):
            item = self._registry.items[handle]
            item.live = False
            if not item.missing:
                item.missing = True
                rejects.append(_absent(item, reason, self._clock.now_ns()))
        for item in items:
            if item.live:
                item.missing = False
        return rejects

    async def _serve(self, sink: Sink, session: Session) -> None:
        config = self._config
        requests = config.publish_requests or min(8, max(2, 2 * len(self._subscriptions)))
        pump = Pump(session, requests, config.buffer_rows_max, self._clock)
        watch = asyncio.create_task(self._watch(sink, session, pump))
        try:
            await self._fetch_missed(sink, session, pump)
            while True:
                await self._deliver(sink, session, pump, await pump.take())
        finally:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch
            await pump.stop()

    async def _fetch_missed(self, sink: Sink, session: Session, pump: Pump) -> None:
        """After a resumed session: messages that were sent into the broken connection."""
        for subscription in list(self._subscriptions):
            while True:
                sequence = self._subscriptions[subscription]
                message = await session.republish(subscription, sequence)
                if message is None:
                    break
                await self._deliver(sink, session, pump, [message])

    async def _deliver(
        self, sink: Sink, session: Session, pump: Pump, messages: list[Notification]
    ) -> None:
        """Put the rows of messages in sequence, then let them be acknowledged."""
        received_ns = self._clock.now_ns()
        taken: list[tuple[int, int]] = []
        for message in messages:
            expected = self._subscriptions.get(message.subscription)
            if expected is None:
                continue
            if message.published_ns is not None:
                offset_ns = float(message.published_ns - received_ns)
                self._status.extra["clock_offset_ns"] = offset_ns
            if expected < message.sequence:
                missed = range(expected, message.sequence)
                await self._fetch(sink, session, message.subscription, missed, taken)
                expected = message.sequence
            if message.sequence == expected and message.data:
                self._take(message, received_ns, taken)
                expected += 1
            elif message.data:
                taken.append((message.subscription, message.sequence))  # seen before
            self._subscriptions[message.subscription] = expected
        if await self._events.settle(session, received_ns) or self._rows.gone:
            self._finder.due, self._surveyed_s, self._rows.gone = True, 0.0, False
        await self._put(sink)
        for subscription, sequence in taken:
            pump.durable(subscription, sequence)

    async def _fetch(
        self,
        sink: Sink,
        session: Session,
        subscription: int,
        sequences: range,
        taken: list[tuple[int, int]],
    ) -> None:
        """Ask for messages that did not arrive; name what the server has no more."""
        now_ns = self._clock.now_ns()
        lost = max(0, len(sequences) - _REPUBLISH_MAX)
        for sequence in sequences[lost:]:
            message = await session.republish(subscription, sequence)
            if message is None:
                lost += 1
            else:
                self._take(message, now_ns, taken)
            self._subscriptions[subscription] = sequence + 1
        if lost:
            self._status.gaps += lost
            text = f"gap: cannot fetch notification messages: got {lost} of {len(sequences)} lost"
            await sink.reject((Reject(self._config.url, text, b"", now_ns),))

    def _take(self, message: Notification, received_ns: int, taken: list[tuple[int, int]]) -> None:
        for status in message.status_changes:
            if status == _BAD_TIMEOUT:
                raise SubscriptionLost("the server ended our subscription: got BadTimeout")
            self._surveyed_s = 0.0  # asks for a look at every node
        self._rows.add(message, received_ns)
        self._events.hold(message)
        taken.append((message.subscription, message.sequence))

    async def _put(self, sink: Sink) -> None:
        self._status.received += self._rows.count + self._events.count
        self._status.last_timestamp_ns = self._rows.newest_ns
        batches, rejects, gaps = self._rows.take()
        events, event_gaps = self._events.take()
        batches, gaps = batches + events, gaps + event_gaps
        self._status.gaps += len(gaps)
        if gaps:
            await sink.gap(gaps)
        self._status.rejected += len(rejects)
        await deliver(sink, batches, rejects, self._clock, self._rng)
        self._events.durable()

    async def _watch(self, sink: Sink, session: Session, pump: Pump) -> None:
        """Notice a silent server, and nodes that come and go."""
        config = self._config
        silence_s = _STALE_KEEPALIVES * config.keepalive_s + config.request_timeout_s
        self._surveyed_s = self._clock.monotonic_s()
        try:
            while True:
                await self._clock.sleep(min(1.0, config.survey_interval_s))
                now_s = self._clock.monotonic_s()
                if pump.held_back:  # we do not ask, so the server has nothing to answer
                    pump.heard_s = now_s
                if now_s - pump.heard_s > silence_s:
                    pump.fail(SourceUnavailable(f"no keep-alive for {silence_s:g} s"))
                    return
                if now_s - self._surveyed_s >= config.survey_interval_s:
                    self._surveyed_s = now_s
                    await self._survey(sink, session)
        except SourceUnavailable as error:
            pump.fail(error)

    async def _survey(self, sink: Sink, session: Session) -> None:
        items = self._registry.items
        classes = await session.nodes.read([item.address for item in items], "NodeClass")
        rejects = []
        back = []
        for item, found in zip(items, classes, strict=True):
            if found is None and item.live:
                item.live, item.missing = False, True
                self._finder.due = True
                rejects.append(_absent(item, "the node is gone", self._clock.now_ns()))
            elif found is not None and not item.live:
                back.append(item)
        if back and self._subscriptions:
            subscription = next(reversed(self._subscriptions))
            rejects += await self._add_items(session, subscription, back)
        if rejects:
            self._status.rejected += len(rejects)
            await sink.reject(tuple(rejects))
        await self._monitor(sink, session, await self._finder.again(sink, session))
        if session.notice != self._notice:
            self._notice = session.notice
            await self._report(sink, Link.CONNECTED, self._notice)

    def _lose_session(self) -> None:
        self._session = None
        self._subscriptions = {}
        self._registry.forget_session()

    async def _close(self) -> None:
        session = self._session
        self._lose_session()
        if session is not None:
            await session.close()

    async def _report(self, sink: Sink, link: Link, detail: str) -> None:
        self._status.link, self._status.detail = link, detail
        await sink.state(SourceState(link, detail))


def _absent(item: Item, reason: str, now_ns: int) -> Reject:
    text = f"cannot monitor node: {reason}, want a node with a value"
    return Reject(item.address, text, b"", now_ns)
