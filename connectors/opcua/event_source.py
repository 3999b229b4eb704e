"""A source's events: a subscription of their own, conditions asked for after every connection."""

import logging
from typing import Any

from connectors.connector import Clock
from connectors.opcua.alarms import MODEL_CHANGES, refresh, watch_events
from connectors.opcua.config import OpcUaConfig
from connectors.opcua.events import Clause, EventRows, Notifier
from connectors.opcua.notification import Notification
from connectors.opcua.session import Session
from connectors.opcua.variants import Tree
from connectors.sink import Gap, Reject, Sink
from storage_engine.sample import EventBatch, SampleBatch, ValueType

_log = logging.getLogger(__name__)


class EventSource:
    """Events of one source over all its sessions.

    Parameters
    ----------
    name : str
    config : OpcUaConfig
    clock : Clock
    """

    def __init__(self, name: str, config: OpcUaConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._rows = EventRows(name)
        self._held: list[tuple[int, list[Tree]]] = []
        self._subscription: int | None = None
        self._refused: set[str] = set()

    @property
    def wanted(self) -> bool:
        """Whether events are asked for: changes of nodes are events, too."""
        return bool(self._config.events or self._config.browse)

    def notifiers(self) -> list[list[object]]:
        """Monitored notifiers, as JSON has it: for ``recall`` in another process."""
        rules = list(self._config.events)
        return [
            [
                handle,
                rules.index(each.rule) if each.rule in rules else -1,
                each.address,
                [[c.declared, c.path, c.column, int(c.type)] for c in each.clauses],
            ]
            for handle, each in self._rows.notifiers.items()
        ]

    def recall(self, subscription: int, notifiers: Any) -> None:
        """Take up what another process monitors, from its ``notifiers``.

        Raises
        ------
        ValueError, TypeError, IndexError
            If it is something else.
        """
        self._subscription = subscription or None
        for handle, rule, address, clauses in notifiers:
            made = tuple(
                Clause(int(declared), tuple(path), str(column), ValueType(type_))
                for declared, path, column, type_ in clauses
            )
            known = MODEL_CHANGES if rule < 0 else self._config.events[rule]
            self._rows.notifiers[int(handle)] = Notifier(known, str(address), made)

    async def open(self, sink: Sink, session: Session, subscription: int) -> None:
        """Monitor notifiers in a subscription, and ask for the conditions that matter now.

        Raises
        ------
        SourceUnavailable
            If the line is lost.
        """
        config = self._config
        self._subscription = subscription
        self._rows.notifiers, refused = await watch_events(
            config.url,
            session.nodes,
            subscription,
            config.events,
            model_changes=bool(config.browse),
        )
        fresh = [each for each in refused if each[0] not in self._refused]
        self._refused = {address for address, _ in refused}
        if fresh:
            now_ns = self._clock.now_ns()
            await sink.reject(tuple(Reject(*each, b"", now_ns) for each in fresh))
        await self.refresh(session)

    async def refresh(self, session: Session) -> None:
        """Ask for the conditions that matter now: their changes may have been missed.

        Raises
        ------
        SourceUnavailable
            If the line is lost.
        """
        self._rows.refresh_required = False
        if self._subscription is None or not self._config.events:
            return
        reason = await refresh(self._config.url, session.nodes, self._subscription)
        if reason:  # a server without conditions has no such method
            _log.info("no refresh of conditions at %s: got %s", self._config.url, reason)

    def hold(self, message: Notification) -> None:
        """Take the events of a message; ``settle`` makes rows of them."""
        self._held += message.events

    async def settle(self, session: Session, received_ns: int) -> bool:
        """Make rows of what is held; whether the server's nodes have changed.

        Raises
        ------
        SourceUnavailable
            If the line is lost. What is held stays held.
        """
        if self._held:
            await self._rows.add(self._held, session.nodes, received_ns)
            self._held = []
        if self._rows.refresh_required:
            await self.refresh(session)
        changed, self._rows.model_changed = self._rows.model_changed, False
        return changed

    @property
    def count(self) -> int:
        """Rows collected and not yet taken."""
        return self._rows.count

    def take(self) -> tuple[tuple[SampleBatch | EventBatch, ...], tuple[Gap, ...]]:
        """Batches and gaps since the last time."""
        return self._rows.take()

    def durable(self) -> None:
        """What was taken last is stored."""
        self._rows.durable()
