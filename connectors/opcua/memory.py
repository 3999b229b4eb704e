"""What a source keeps over restarts of its collector, so that another process goes on from there.

Two notes: which subscriptions there are and what they hold, written when that changes; and up to
which message everything is durable, written every few seconds.
"""

import hashlib
import json
import zlib
from dataclasses import dataclass, fields

from connectors.connector import Clock
from connectors.opcua.config import OpcUaConfig
from connectors.opcua.event_source import EventSource
from connectors.opcua.items import Registry
from connectors.opcua.monitoring import Monitoring
from connectors.opcua.subscriptions import UNKNOWN, Subscription
from connectors.sink import Sink

SUBSCRIPTIONS, PROGRESS = "opcua.subscriptions", "opcua.progress"
_INTERVAL_S = 5.0
_SECRET = {"security", "user"}  # and of no account to what is monitored


@dataclass(slots=True)
class Former:
    """What the last process of this source left.

    Attributes
    ----------
    started : str
        Since when its server had been running.
    same : bool
        Whether its settings were ours.
    addresses : list of str
        What it monitored, in the order of its handles.
    complete_ns : int
        The server's time up to which everything came, 0 where nobody knows.
    unsettled_ns : int or None
        Beginning of a loss that was neither mended nor named.
    """

    started: str
    same: bool
    addresses: list[str]
    complete_ns: int
    unsettled_ns: int | None


class Memory:
    """Notes of one source.

    Parameters
    ----------
    config : OpcUaConfig
    registry : Registry
    monitoring : Monitoring
    events : EventSource
    clock : Clock
    """

    def __init__(
        self,
        config: OpcUaConfig,
        registry: Registry,
        monitoring: Monitoring,
        events: EventSource,
        clock: Clock,
    ) -> None:
        self._events = events
        self._registry = registry
        self._monitoring = monitoring
        self._clock = clock
        told = [(f.name, getattr(config, f.name)) for f in fields(config) if f.name not in _SECRET]
        self._settings = hashlib.sha256(repr(told).encode()).hexdigest()
        self._kept_s = float("-inf")

    async def keep_subscriptions(self, sink: Sink, started: str) -> None:
        """Write which subscriptions there are, and what they hold."""
        monitoring = self._monitoring
        note = {
            "settings": self._settings,
            "started": started,
            "events": monitoring.events,
            "notifiers": self._events.notifiers(),
            "subscriptions": {
                each.id: [each.keepalive_s, each.lifetime_s] for each in monitoring.table.values()
            },
            "items": [[item.address, item.subscription] for item in self._registry.items],
        }
        await sink.keep(SUBSCRIPTIONS, zlib.compress(json.dumps(note).encode(), 1))
        self._kept_s = float("-inf")

    async def keep_progress(self, sink: Sink, oldest_ns: int | None, *, now: bool = False) -> None:
        """Write how far everything is durable, if that was not done lately.

        Parameters
        ----------
        sink : Sink
        oldest_ns : int or None
            Beginning of the oldest loss that is not settled.
        now : bool
            Write it in any case.
        """
        now_s = self._clock.monotonic_s()
        if not now and now_s - self._kept_s < _INTERVAL_S:
            return
        self._kept_s = now_s
        table = self._monitoring.table.values()
        note = {
            "expected": {each.id: [each.expected, each.published_ns] for each in table},
            "oldest_ns": oldest_ns,
        }
        await sink.keep(PROGRESS, json.dumps(note).encode())

    async def recall(self, sink: Sink) -> Former | None:
        """What the last process left, its subscriptions in the table; None for a first start.

        With other settings than ours its items are not taken into the registry.
        """
        try:
            note = json.loads(zlib.decompress(await sink.kept(SUBSCRIPTIONS)))
            progress = json.loads(await sink.kept(PROGRESS) or b"{}")
            return self._recall(note, progress)
        except (zlib.error, ValueError, LookupError, TypeError, AttributeError):
            self._monitoring.table = {}
            for item in self._registry.items:
                item.live, item.subscription = False, 0
            return None

    def _recall(self, note: dict[str, object], progress: dict[str, object]) -> Former:
        known = _table(progress.get("expected", {}))
        unsettled_ns = progress.get("oldest_ns")
        if not isinstance(unsettled_ns, int):
            unsettled_ns = None
        times = [int(published_ns) for _, published_ns in known.values() if published_ns]
        times += [] if unsettled_ns is None else [unsettled_ns]
        for text, (keepalive_s, lifetime_s) in _table(note["subscriptions"]).items():
            expected, published_ns = known.get(text, (UNKNOWN, min(times, default=0)))
            self._monitoring.table[int(text)] = Subscription(
                int(text),
                float(keepalive_s),
                float(lifetime_s),
                expected=UNKNOWN,
                fresh=False,
                floor=int(expected),
                published_ns=int(published_ns),
            )
        items = note["items"]
        same = note["settings"] == self._settings
        if same:
            self._monitoring.events = int(str(note["events"]))
            self._events.recall(self._monitoring.events, note["notifiers"])
        if not isinstance(items, list):
            raise ValueError("got no list of items")
        found = [(str(address), int(subscription)) for address, subscription in items]
        if same and not self._registry.items:
            for address, subscription in found:
                item = self._registry.add(address)
                if subscription in self._monitoring.table:
                    item.live, item.subscription = True, subscription
        monitored = [address for address, subscription in found if subscription]
        return Former(str(note["started"]), same, monitored, min(times, default=0), unsettled_ns)


def _table(found: object) -> dict[str, list[float]]:
    if not isinstance(found, dict):
        raise ValueError(f"got {found!r}, want a table")
    return found
