"""Which subscription holds which items, over all sessions of a source."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from connectors.connector import Clock, SourceUnavailable
from connectors.opcua.config import OpcUaConfig
from connectors.opcua.first_values import FirstValues
from connectors.opcua.items import Item, Registry
from connectors.opcua.session import Session
from connectors.opcua.subscriptions import Subscription
from connectors.sink import Reject
from storage_engine.sample import Int64Array


@dataclass(frozen=True, slots=True)
class Lost:
    """Items whose subscription is gone, and the server's time up to which everything came."""

    handles: Int64Array
    since_ns: int
    events: bool  # it brought events, too


class Monitoring:
    """Subscriptions of a source and their items.

    Parameters
    ----------
    config : OpcUaConfig
    registry : Registry
    first : FirstValues
        Told which items will send their value anew.
    clock : Clock

    Attributes
    ----------
    table : dict of int to Subscription
    events : int
        Id of the subscription that brings events, 0 for none.
    bridged_s : float
        For how long the server's shortest queue holds what is sampled, as far as it told.
    """

    def __init__(
        self, config: OpcUaConfig, registry: Registry, first: FirstValues, clock: Clock
    ) -> None:
        self._config = config
        self._registry = registry
        self._first = first
        self._clock = clock
        self._doomed: set[int] = set()
        self.table: dict[int, Subscription] = {}
        self.events = 0
        self.bridged_s = float("inf")

    def handles(self, ids: Iterable[int]) -> Int64Array:
        """Handles of the items in subscriptions."""
        wanted = set(ids)
        found = [item.handle for item in self._registry.items if item.subscription in wanted]
        return np.array(found, np.int64)

    def doom(self, ids: Iterable[int]) -> None:
        """Give subscriptions up at the next opportunity: the server has, or may have, lost them."""
        self._doomed.update(ids)

    async def bury(self, session: Session) -> list[Lost]:
        """Forget what was given up, and let the server forget it."""
        ids = [each for each in self._doomed if each in self.table]
        self._doomed = set()
        if ids:
            await session.subscriptions.delete(ids)
        return self.lose(ids)

    def lose(self, ids: Sequence[int]) -> list[Lost]:
        """Forget subscriptions; what they held."""
        lost = [
            Lost(self.handles([each]), self.table[each].published_ns, each == self.events)
            for each in ids
        ]
        for each in ids:
            del self.table[each]
            self.events = 0 if each == self.events else self.events
        gone = set(ids)
        for item in self._registry.items:
            if item.subscription in gone:
                item.live, item.subscription = False, 0
        return lost

    async def take_over(self, session: Session) -> list[Lost]:
        """Take over what another session of this server had; what could not be is lost.

        Raises
        ------
        SourceUnavailable
            If the line is lost.
        """
        ids = [each for each in self.table if each not in self._doomed]
        taken = await session.subscriptions.transfer(ids) if ids else {}
        for each, available in taken.items():
            self.table[each].available = available
        self._first.expect(self.handles(taken))
        self._doomed = set()
        return self.lose([each for each in self.table if each not in taken])

    async def place(self, session: Session, items: Iterable[Item]) -> list[Reject]:
        """Give items without a subscription to one; what the server refuses is named once.

        Raises
        ------
        SourceUnavailable
            If the line is lost, or the server allows no subscription at all.
        """
        waiting = [item for item in items if not item.subscription]
        rejects: list[Reject] = []
        while waiting:
            subscription, room = await self._with_room(session)
            chunk, waiting = waiting[:room], waiting[room:]
            rejects += await self._add(session, subscription, chunk)
        return rejects

    async def with_events(self, session: Session, *, own: bool) -> int:
        """Id of a subscription for events, one of their own if wanted and possible.

        Changes of nodes are rare; a server that allows few subscriptions shall not fail by them.
        """
        if own or not self.table:
            subscription = await self._create(session)
        else:
            subscription = next(iter(self.table.values()))
        self.events = subscription.id
        return self.events

    @property
    def keepalive_s(self) -> float:
        """Longest time that the server may say nothing."""
        return max((each.keepalive_s for each in self.table.values()), default=0.0)

    async def _with_room(self, session: Session) -> tuple[Subscription, int]:
        room = session.subscriptions.room
        counts = Counter(item.subscription for item in self._registry.items)
        for subscription in self.table.values():
            own = subscription.id != self.events or not self._config.events
            if own and counts[subscription.id] < room:
                return subscription, room - counts[subscription.id]
        created = await self._create(session)
        if counts[created.id]:  # an old one: the server allows no more, so it must take the rest
            return created, len(self._registry.items)
        return created, room

    async def _create(self, session: Session) -> Subscription:
        subscription = await session.subscriptions.create()
        if subscription is None:
            if not self.table:
                told = "got BadTooManySubscriptions, want one"
                raise SourceUnavailable(f"cannot subscribe: {told}, at {self._config.url}")
            return min(self.table.values(), key=lambda each: len(self.handles([each.id])))
        self.table[subscription.id] = subscription
        return subscription

    async def _add(
        self, session: Session, subscription: Subscription, items: list[Item]
    ) -> list[Reject]:
        wanted = [(item.handle, item.address) for item in items]
        handles = np.array([item.handle for item in items], np.int64)
        self._first.expect(handles)
        for item in items:
            item.live, item.subscription = True, subscription.id
        try:
            outcome = await session.subscriptions.monitor(subscription.id, wanted)
        except SourceUnavailable:
            self.doom([subscription.id])  # nobody knows which of them it has
            raise
        self.bridged_s = min(self.bridged_s, outcome.bridged_s)
        rejects = []
        now_ns = self._clock.now_ns()
        for handle, reason in outcome.refused:
            item = self._registry.items[handle]
            item.live, item.subscription = False, 0
            if not item.missing:
                item.missing = True
                rejects.append(absent(item, reason, now_ns))
        for item in items:
            if item.live:
                item.missing = False
        return rejects


def absent(item: Item, reason: str, now_ns: int) -> Reject:
    """Report of a node that cannot be monitored."""
    text = f"cannot monitor node: {reason}, want a node with a value"
    return Reject(item.address, text, b"", now_ns)
