"""From notification messages to the sink, in their order; acknowledged when they are durable."""

import asyncio
import random
from functools import partial

from connectors.backoff import deliver
from connectors.connector import Clock, ConnectorStatus
from connectors.opcua.config import OpcUaConfig
from connectors.opcua.event_source import EventSource
from connectors.opcua.monitoring import Monitoring
from connectors.opcua.notification import Notification
from connectors.opcua.pump import Pump
from connectors.opcua.recovery import Recovery
from connectors.opcua.rows import Batch, ChangeRows
from connectors.opcua.session import Session, SubscriptionLost
from connectors.opcua.subscriptions import UNKNOWN, Subscription
from connectors.sink import Gap, Reject, Sink

_BAD_TIMEOUT, _TRANSFERRED = 0x800A_0000, 0x002D_0000
_REPUBLISH_MAX = 1_000
_AT_ONCE = 8
_NUMBERS = (1 << 32) - 1  # sequence numbers run from 1 to it, then from 1 again


def following(sequence: int, steps: int = 1) -> int:
    """Sequence number so many messages later (OPC 10000-4, 7.8: 0 is never used)."""
    return (sequence - 1 + steps) % _NUMBERS + 1


def behind(expected: int, sequence: int) -> int:
    """How many messages come before ``sequence``, from ``expected`` on; negative when older."""
    steps = (sequence - expected) % _NUMBERS
    return steps if steps < _NUMBERS // 2 else steps - _NUMBERS


class Delivery:
    """The way of messages through one source's connector.

    Parameters
    ----------
    name : str
    config : OpcUaConfig
    status : ConnectorStatus
    clock : Clock
    monitoring : Monitoring
    rows : ChangeRows
    events : EventSource
    recovery : Recovery
        Takes what is lost.

    Attributes
    ----------
    changed : bool
        The server's nodes have changed or should be looked at; whoever acts on it clears it.
    """

    def __init__(
        self,
        name: str,
        config: OpcUaConfig,
        status: ConnectorStatus,
        clock: Clock,
        *,
        monitoring: Monitoring,
        rows: ChangeRows,
        events: EventSource,
        recovery: Recovery,
    ) -> None:
        self._config = config
        self._monitoring = monitoring
        self._rows = rows
        self._events = events
        self._recovery = recovery
        self._status = status
        self._clock = clock
        self._rng = random.Random(name)  # noqa: S311 - jitter
        self._one = asyncio.Lock()  # batches of one type keep their order
        self.changed = False

    async def take(
        self, sink: Sink, session: Session, pump: Pump, messages: list[Notification]
    ) -> None:
        """Put the rows of messages in sequence, then let them be acknowledged.

        Raises
        ------
        SubscriptionLost
            If the server says so, or another client has it.
        SourceUnavailable
            If the line is lost.
        """
        received_ns = self._clock.now_ns()
        taken: list[tuple[int, int]] = []
        ended: list[int] = []
        for message in messages:
            subscription = self._monitoring.table.get(message.subscription)
            if subscription is None:
                continue
            if subscription.expected == UNKNOWN:
                await self._fetch_back(session, subscription, message.sequence, taken)
                subscription.expected = message.sequence
            missed = behind(subscription.expected, message.sequence)
            if missed > 0:
                await self._fetch(session, subscription, missed, message, taken)
            if message.data and missed >= 0:
                ended += self._add(message, received_ns, taken)
                subscription.expected = following(message.sequence)
            elif message.data:
                taken.append((message.subscription, message.sequence))  # seen before
            told_ns = received_ns  # where the server does not say when
            if message.published_ns is not None:
                told_ns = message.published_ns
                self._status.extra["clock_offset_ns"] = float(told_ns - received_ns)
            subscription.published_ns = max(subscription.published_ns, told_ns)
        if await self._events.settle(session, received_ns) or self._rows.gone:
            self.changed, self._rows.gone = True, False
        await self._put_rows(sink)
        for number in taken:
            pump.durable(*number)
        if ended:
            raise SubscriptionLost("the server ended a subscription of ours", tuple(ended))

    async def catch_up(self, sink: Sink, session: Session, pump: Pump) -> None:
        """Fetch messages that were sent into a broken connection or to another process."""
        for subscription in list(self._monitoring.table.values()):
            first = subscription.expected or subscription.floor
            known = sorted(subscription.available, key=partial(behind, first))
            if first != UNKNOWN:
                for number in (n for n in known if behind(first, n) < 0):
                    pump.durable(subscription.id, number)
                known = [n for n in known if behind(first, n) >= 0]
            probing = not subscription.available and not subscription.fresh
            subscription.available, subscription.fresh = [], False
            start, count = subscription.expected, 1
            while known or (probing and start != UNKNOWN):
                numbers = known[:_AT_ONCE] or [following(start, n) for n in range(count)]
                known, start, count = known[_AT_ONCE:], following(start, count), _AT_ONCE
                found = await self._republish(session, subscription.id, numbers)
                there = [message for message in found if message is not None]
                if there:
                    await self.take(sink, session, pump, there)
                probing = probing and len(there) == len(found)

    async def put(
        self,
        sink: Sink,
        batches: tuple[Batch, ...],
        rejects: tuple[Reject, ...],
        gaps: tuple[Gap, ...],
    ) -> None:
        """Put what is told beside the messages, in turn with them."""
        async with self._one:
            self._status.gaps += len(gaps)
            self._status.rejected += len(rejects)
            if gaps:
                await sink.gap(gaps)
            await deliver(sink, batches, rejects, self._clock, self._rng)

    async def _republish(
        self, session: Session, subscription: int, numbers: list[int]
    ) -> list[Notification | None]:
        waiting = [session.republish(subscription, number) for number in numbers]
        found = await asyncio.gather(*waiting, return_exceptions=True)
        for each in found:
            if isinstance(each, BaseException):
                raise each
        return [each for each in found if not isinstance(each, BaseException)]

    async def _fetch(
        self,
        session: Session,
        subscription: Subscription,
        missed: int,
        following_one: Notification,
        taken: list[tuple[int, int]],
    ) -> None:
        """Ask for messages that did not arrive; what the server has no more is a loss."""
        lost = max(0, missed - _REPUBLISH_MAX)
        numbers = [following(subscription.expected, n) for n in range(lost, missed)]
        subscription.expected = numbers[0]
        now_ns = self._clock.now_ns()
        try:
            for place in range(0, len(numbers), _AT_ONCE):
                part = numbers[place : place + _AT_ONCE]
                for message in await self._republish(session, subscription.id, part):
                    if message is None:
                        lost += 1
                    else:
                        self._add(message, now_ns, taken)
                subscription.expected = following(part[-1])
        finally:  # also what is known when the line breaks
            if lost:
                end_ns = following_one.published_ns or now_ns
                start_ns = subscription.published_ns or end_ns
                handles = self._monitoring.handles([subscription.id])
                self._recovery.missed(handles, start_ns, end_ns)

    async def _fetch_back(
        self,
        session: Session,
        subscription: Subscription,
        sequence: int,
        taken: list[tuple[int, int]],
    ) -> None:
        """Ask for the messages before one, back to what was acknowledged by another process."""
        found: list[Notification] = []
        number = following(sequence, -1)
        floor = subscription.floor
        while len(found) < _REPUBLISH_MAX and not (floor and behind(floor, number) < 0):
            message = await session.republish(subscription.id, number)
            if message is None:
                break
            found.append(message)
            number = following(number, -1)
        now_ns = self._clock.now_ns()
        for message in reversed(found):
            self._add(message, now_ns, taken)

    def _add(
        self, message: Notification, received_ns: int, taken: list[tuple[int, int]]
    ) -> list[int]:
        """Hold the rows of a message; ids of subscriptions that it ends."""
        self._rows.add(message, received_ns)
        self._events.hold(message)
        taken.append((message.subscription, message.sequence))
        ends = {_BAD_TIMEOUT, _TRANSFERRED}
        self.changed = self.changed or bool(set(message.status_changes) - ends)
        return [message.subscription for each in message.status_changes if each in ends]

    async def _put_rows(self, sink: Sink) -> None:
        self._status.received += self._rows.count + self._events.count
        self._status.last_timestamp_ns = self._rows.newest_ns
        batches, rejects, gaps = self._rows.take()
        events, event_gaps = self._events.take()
        await self.put(sink, batches + events, rejects, gaps + event_gaps)
        self._events.durable()
