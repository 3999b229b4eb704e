"""OPC UA source: a pump of Publish requests that loses and reorders nothing on the way to the sink.

A notification message is acknowledged to the server after its rows are durable in the sink, so the
server's retransmission queue covers a dead collector's connection. After a break the session is
taken up again; else its subscriptions are taken over by a new one; else they are made anew from the
registry, and what was missed comes from the server's archive or is named as a gap.
"""

import asyncio
from collections import deque
from collections.abc import Coroutine, Mapping
from functools import partial
from typing import Any

import numpy as np

from connectors.connector import Clock, ConfigError, ConnectorStatus, SourceUnavailable
from connectors.opcua.config import OpcUaConfig, read_config
from connectors.opcua.delivery import Delivery
from connectors.opcua.event_source import EventSource
from connectors.opcua.finding import Finder
from connectors.opcua.first_values import FirstValues
from connectors.opcua.items import Registry
from connectors.opcua.memory import Former, Memory
from connectors.opcua.monitoring import Lost, Monitoring, absent
from connectors.opcua.pump import Pump
from connectors.opcua.recovery import Recovery
from connectors.opcua.rows import ChangeRows
from connectors.opcua.session import Session, SessionLost, SubscriptionLost
from connectors.sink import Link, Reject, Sink, SourceState

_STALE_KEEPALIVES = 3.0
_REQUESTS_MAX = 8
_TOLD_MAX = 8
_LOOK_S = 0.25


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
        self._config: OpcUaConfig = read_config(name, settings)
        self._clock = clock
        self._status = ConnectorStatus()
        self._registry = Registry()
        config, registry = self._config, self._registry
        first = FirstValues(registry)
        self._rows = ChangeRows(registry, first)
        self._events = EventSource(name, config, clock)
        self._finder = Finder(config, registry, clock)
        self._monitoring = Monitoring(config, registry, first, clock)
        self._recovery = Recovery(config, registry, first, clock)
        self._memory = Memory(config, registry, self._monitoring, self._events, clock)
        self._delivery = Delivery(
            name,
            config,
            self._status,
            clock,
            monitoring=self._monitoring,
            rows=self._rows,
            events=self._events,
            recovery=self._recovery,
        )
        self._session: Session | None = None
        self._former: Former | None = None  # what another process left, until it is taken up
        self._durable: deque[tuple[int, int]] = deque()  # acknowledgements on their way
        self._silent: set[int] = set()  # taken over, and not heard since
        self._mine = False  # the subscriptions of the table belong to the session
        self._whole = False  # the session has been looked through and has all items
        self._started: str | None = None  # since when the server of the table runs
        self._surveyed_s = 0.0
        self._connects = 0
        self._notice = ""
        self._told: list[str] = []  # of the way to the connection

    @property
    def status(self) -> ConnectorStatus:
        """Counters, live."""
        return self._status

    async def run(self, sink: Sink) -> None:
        """Serve until cancelled. What a lost connection left behind is taken up again.

        Subscriptions outlive a cancelled run within their lifetime, for the next process.

        Raises
        ------
        SourceUnavailable
            When the server cannot be reached or the connection is lost.
        ConfigError
            When a node id or a certificate cannot be used.
        """
        try:
            await self._report(sink, Link.CONNECTING, "")
            session = await self._open(sink)
            if self._connects:
                self._status.reconnects += 1
            self._connects += 1
            detail, self._told = "; ".join(self._told), []
            await self._report(sink, Link.CONNECTED, detail)
            await self._serve(sink, session)
        except SourceUnavailable as error:
            self._told = self._told[-_TOLD_MAX:]
            if isinstance(error, SubscriptionLost):
                self._monitoring.doom(error.ids or self._monitoring.table)
                self._whole = False
            await self._report(sink, Link.DISCONNECTED, str(error))
            raise
        except BaseException as error:
            session_, self._session = self._session, None
            if session_ is not None:
                await session_.close(keep_subscriptions=not isinstance(error, ConfigError))
                await self._memory.keep_progress(sink, self._recovery.oldest_ns, now=True)
            raise

    async def _open(self, sink: Sink) -> Session:
        """Resume, take over or make anew; each step that is done stays done if the line breaks."""
        if self._started is None:
            self._former = await self._memory.recall(sink)
            self._started = self._former.started if self._former else ""
        if self._session is not None:
            try:
                await self._session.resume()
                self._told.append("session resumed")
            except SessionLost:
                self._session = None
        if self._session is None:
            session = Session(self._config, self._clock)
            await session.connect()
            self._session, self._mine, self._whole = session, False, False
            self._told.append("new session")
        session = self._session
        if not self._mine:
            await self._take_over(session)
            self._mine = True
        lost = await self._monitoring.bury(session)
        self._lose(lost)
        if self._whole and not lost:
            await self._events.refresh(session)
        else:
            await self._complete(sink, session)
        return session

    def _lose(self, lost: list[Lost]) -> None:
        if lost:
            self._told.append(f"subscriptions that the server has lost: {len(lost)}")
        for each in lost:
            self._recovery.lost(each)

    async def _take_over(self, session: Session) -> None:
        """Take over subscriptions of the session before, if its server still runs."""
        monitoring = self._monitoring
        count = len(monitoring.table)
        if self._started != session.nodes.started:
            lost = monitoring.lose(list(monitoring.table))
        else:
            lost = await monitoring.take_over(session)
        former = self._former
        if former is not None and former.same:
            self._former = None
            if former.unsettled_ns is not None:
                handles = monitoring.handles(monitoring.table)
                self._recovery.missed(handles, former.unsettled_ns, self._clock.now_ns())
        elif former is not None:
            await session.subscriptions.delete(list(monitoring.table))
            lost += monitoring.lose(list(monitoring.table))
        self._started = session.nodes.started
        self._silent = set(monitoring.table)
        if count:
            self._told.append(f"{count - len(lost)} of {count} subscriptions taken over")
        self._lose(lost)

    async def _complete(self, sink: Sink, session: Session) -> None:
        """Look at the server, monitor what is not yet."""
        monitoring, registry = self._monitoring, self._registry
        await self._finder.find(sink, session)
        if self._former is not None:
            found = [registry.find(address) for address in self._former.addresses]
            handles = np.array([item.handle for item in found if item is not None], np.int64)
            self._recovery.lost(Lost(handles, self._former.complete_ns, events=True))
            self._former = None
        await self._reject(sink, await monitoring.place(session, registry.items))
        if self._events.wanted and not monitoring.events:
            events = await monitoring.with_events(session, own=bool(self._config.events))
            await self._events.open(sink, session, events)
        else:
            await self._events.refresh(session)
        self._whole = True
        await self._memory.keep_subscriptions(sink, session.nodes.started)
        self._notice = session.notice
        live = sum(item.live for item in registry.items)
        self._told.append(f"{live} of {len(registry.items)} items")
        bridged_s, wanted_s = monitoring.bridged_s, self._config.bridge_s
        if bridged_s < wanted_s and not self._config.queue_size:
            self._told.append(f"its queues hold {bridged_s:.3g} s, bridge_s is {wanted_s:g}")
        if self._notice:
            self._told.append(self._notice)

    async def _serve(self, sink: Sink, session: Session) -> None:
        config, delivery = self._config, self._delivery
        requests = config.publish_requests or min(
            _REQUESTS_MAX, max(2, 2 * len(self._monitoring.table))
        )
        pump = Pump(
            session,
            requests,
            config.buffer_rows_max,
            self._clock,
            most=config.publish_requests or _REQUESTS_MAX,
            interval_s=config.publishing_interval_ms / 1000,
            durable=self._durable,
        )
        beside = [
            self._watch(sink, session, pump),
            self._recovery.run(session, partial(delivery.put, sink)),
        ]
        tasks = [asyncio.create_task(_beside(pump, each)) for each in beside]
        try:
            await delivery.catch_up(sink, session, pump)
            while True:
                await delivery.take(sink, session, pump, await pump.take())
                await self._memory.keep_progress(sink, self._recovery.oldest_ns)
                self._status.extra["backfilled"] = float(self._recovery.backfilled)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await pump.stop()

    async def _watch(self, sink: Sink, session: Session, pump: Pump) -> None:
        """Notice a silent server, a silent subscription, and nodes that come and go."""
        config = self._config
        self._surveyed_s = start_s = self._clock.monotonic_s()
        known_s: dict[int, float] = {}
        while True:
            await self._clock.sleep(min(_LOOK_S, config.survey_interval_s))
            now_s = self._clock.monotonic_s()
            table = self._monitoring.table
            self._check_taken(pump, now_s - start_s)
            if pump.held_back:  # we do not ask, so the server has nothing to answer
                pump.heard = dict.fromkeys(table, now_s)
            for each in table.values():
                silence_s = _STALE_KEEPALIVES * each.keepalive_s + config.request_timeout_s
                begun_s = known_s.setdefault(each.id, now_s)
                if now_s - pump.heard.get(each.id, begun_s) > silence_s:
                    told = f"no keep-alive for {silence_s:g} s"
                    if now_s - max(pump.heard.values(), default=start_s) > silence_s:
                        raise SourceUnavailable(told)
                    raise SubscriptionLost(f"{told} of one subscription", (each.id,))
            if self._delivery.changed:
                self._delivery.changed, self._finder.due, self._surveyed_s = False, True, 0.0
            if now_s - self._surveyed_s >= config.survey_interval_s:
                self._surveyed_s = now_s
                await self._survey(sink, session)

    def _check_taken(self, pump: Pump, since_s: float) -> None:
        """Connect once more where subscriptions that were taken over stay silent.

        They have to send their current values at once. asyncua's server still answers the requests
        of the session before, until ours is activated again.
        """
        self._silent -= pump.heard.keys()
        if self._silent and since_s > max(1.0, 2e-3 * self._config.publishing_interval_ms):
            self._silent = set()
            raise SourceUnavailable("no message since the subscriptions were taken over")

    async def _survey(self, sink: Sink, session: Session) -> None:
        items = self._registry.items
        classes = await session.nodes.read([item.address for item in items], "NodeClass")
        rejects = []
        wanted = []
        for item, found in zip(items, classes, strict=True):
            if found is None and item.live:
                item.live, item.missing, item.subscription = False, True, 0
                self._finder.due = True
                rejects.append(absent(item, "the node is gone", self._clock.now_ns()))
            elif found is not None and not item.live:
                item.subscription = 0
                wanted.append(item)
        wanted += await self._finder.again(sink, session)
        await self._reject(sink, rejects + await self._monitoring.place(session, wanted))
        if any(item.live for item in wanted):
            self._recovery.wake()
            await self._memory.keep_subscriptions(sink, session.nodes.started)
        if session.notice != self._notice:
            self._notice = session.notice
            await self._report(sink, Link.CONNECTED, self._notice)

    async def _reject(self, sink: Sink, rejects: list[Reject]) -> None:
        if rejects:
            self._status.rejected += len(rejects)
            await sink.reject(tuple(rejects))

    async def _report(self, sink: Sink, link: Link, detail: str) -> None:
        self._status.link, self._status.detail = link, detail
        await sink.state(SourceState(link, detail))


async def _beside(pump: Pump, work: Coroutine[Any, Any, None]) -> None:
    """Work beside the pump, which ends with it."""
    try:
        await work
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001 - raised again by take()
        pump.fail(error)
