"""What was missed: fetched from the server's archive, or named as a gap with its times."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from connectors.connector import Clock
from connectors.opcua.config import OpcUaConfig
from connectors.opcua.first_values import FirstValues
from connectors.opcua.history import History, Span
from connectors.opcua.items import NEVER, Registry
from connectors.opcua.monitoring import Lost
from connectors.opcua.rows import Batch, ChangeRows
from connectors.opcua.session import Session
from connectors.sink import Gap, Reject
from storage_engine.sample import Int64Array

Put = Callable[[tuple[Batch, ...], tuple[Reject, ...], tuple[Gap, ...]], Awaitable[None]]
LOST_SUBSCRIPTION = "the server has lost the subscription and has no history of the time"
LOST_MESSAGES = "notification messages are lost and the server has no history of the time"
LOST_EVENTS = "the server has lost the subscription of events"
_HISTORY_READ = 0x04  # bit of AccessLevel, OPC 10000-3, 8.57
_MARGIN_NS = 60 * 10**9  # a value may be older than the message that brings it
_LATE_S = (5.0, 20.0)  # an archive may lag behind: when to look again for its end
_BEYOND_NS = 60 * 10**9
_GAPS_MAX = 1_000
_log = logging.getLogger(__name__)


class _Since(NamedTuple):
    """An item's loss without an end: its history begins after ``after_ns``."""

    after_ns: int
    start_ns: int
    anchor_ns: int


@dataclass(frozen=True, slots=True)
class _Missed:
    """Time of an item without values: history of it begins after ``after_ns``."""

    handle: int
    after_ns: int
    until_ns: int
    start_ns: int
    end_ns: int
    reason: str
    changed: bool = False  # there is a value at until_ns
    anchor_ns: int | None = None  # None: the server ran all the time, and so did its archive


class Recovery:
    """Losses of one source, until each is mended or named.

    Parameters
    ----------
    config : OpcUaConfig
    registry : Registry
    first : FirstValues
        Tells when an item's values go on, and whether it has changed at all.
    clock : Clock

    Attributes
    ----------
    backfilled : int
        Values fetched from archives.
    """

    def __init__(
        self, config: OpcUaConfig, registry: Registry, first: FirstValues, clock: Clock
    ) -> None:
        self._config = config
        self._registry = registry
        self._first = first
        self._clock = clock
        self._since: dict[int, _Since] = {}
        self._holes: list[_Missed] = []
        self._gaps: list[Gap] = []
        self._wake = asyncio.Event()
        self.backfilled = 0

    @property
    def oldest_ns(self) -> int | None:
        """Beginning of the oldest loss that is neither mended nor named."""
        found = [each.start_ns for each in self._since.values()]
        found += [each.start_ns for each in self._holes]
        found += [each.start_ns for each in self._gaps]
        return min(found, default=None)

    def wake(self) -> None:
        """Look after first values and losses soon."""
        self._wake.set()

    def lost(self, lost: Lost) -> None:
        """Take the items of a subscription that is gone; they end with their next first value."""
        now_ns = self._clock.now_ns()
        since_ns = lost.since_ns or now_ns
        last_ns = self._registry.last_ns
        for handle in lost.handles.tolist():
            known_ns = int(last_ns[handle])
            since = _Since(known_ns, since_ns, known_ns)
            if known_ns == NEVER:
                since = _Since(since_ns - _MARGIN_NS, since_ns, since_ns)
            self._since.setdefault(handle, since)
        if lost.events and self._config.events:
            self._gaps.append(Gap(since_ns, max(since_ns, now_ns), LOST_EVENTS))
        self.wake()

    def missed(self, handles: Int64Array, start_ns: int, end_ns: int) -> None:
        """Take a time of which messages are gone, of items that are monitored still."""
        if not len(handles):  # a subscription of events alone
            self._gaps.append(Gap(start_ns, max(start_ns, end_ns), LOST_MESSAGES))
        after_ns = start_ns - round(2_000_000 * self._config.publishing_interval_ms) - 10**9
        self._holes += [
            _Missed(handle, after_ns, end_ns + 1, start_ns, max(start_ns, end_ns), LOST_MESSAGES)
            for handle in handles.tolist()
        ]
        self.wake()

    async def run(self, session: Session, put: Put) -> None:
        """Mend or name what is lost, until cancelled.

        Raises
        ------
        SourceUnavailable
            If the line is lost; what is not settled stays for the next session.
        """
        self.wake()
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._gaps:
                gaps = tuple(self._gaps)
                await put((), (), gaps)
                del self._gaps[: len(gaps)]
            await self._first_values()
            self._settle()
            if self._holes:
                await self._mend(session, put, list(self._holes))

    async def _first_values(self) -> None:
        """Wait until every item has sent its value, or has had the time for it."""
        config = self._config
        most_s = 5.0 + (3.0 * config.publishing_interval_ms + config.sampling_interval_ms) / 1000
        end_s = self._clock.monotonic_s() + most_s
        while self._first.left and self._clock.monotonic_s() < end_s:
            await self._clock.sleep(min(0.2, most_s))

    def _settle(self) -> None:
        """Find the end of losses; items that have not changed meanwhile lost nothing."""
        now_ns = self._clock.now_ns()
        for handle, since in self._since.items():
            until_ns, heard_ns = self._first.time_ns(handle), self._first.heard_ns(handle)
            if self._first.awaited(handle):
                until_ns = heard_ns = now_ns
            elif until_ns == NEVER:
                continue
            self._holes.append(
                _Missed(
                    handle,
                    since.after_ns,
                    until_ns,
                    since.start_ns,
                    max(since.start_ns, heard_ns),
                    LOST_SUBSCRIPTION,
                    changed=not self._first.awaited(handle),
                    anchor_ns=since.anchor_ns,
                )
            )
        self._since = {}
        self._first.forget()

    async def _mend(self, session: Session, put: Put, missed: list[_Missed]) -> None:
        items = self._registry.items
        addresses = [items[each.handle].address for each in missed]
        access = await session.nodes.read(addresses, "UserAccessLevel")
        spans: list[tuple[_Missed, Span]] = []
        bare: list[_Missed] = []
        for each, level in zip(missed, access, strict=True):
            readable = isinstance(level, int) and level & _HISTORY_READ
            if readable and each.after_ns < each.until_ns:  # else the source's clock was set back
                spans.append((each, self._span(each)))
            else:
                bare.append(each)
        await put((), (), self._named(bare))
        self._forget(bare)
        await self._backfill(session, put, [span for _, span in spans])
        await put((), (), self._named([left for each in spans if (left := _left(*each))]))
        self._forget([each for each, _ in spans])

    def _span(self, missed: _Missed) -> Span:
        address = self._registry.items[missed.handle].address
        anchor_ns = missed.anchor_ns
        return Span(
            missed.handle,
            address,
            missed.after_ns,
            missed.until_ns,
            NEVER if anchor_ns is None else anchor_ns,
            anchored=anchor_ns is None,
        )

    async def _backfill(self, session: Session, put: Put, spans: list[Span]) -> None:
        history = History(session, self._config.url)
        rows = ChangeRows(self._registry.past())
        for delay_s in (0.0, *_LATE_S):
            waiting = [span for span in spans if not span.reached and not span.refusal]
            if delay_s and waiting:
                await self._clock.sleep(delay_s)
            beyond_ns = _BEYOND_NS if delay_s else 0
            async for notification in history.read(waiting, beyond_ns=beyond_ns):
                rows.add(notification, self._clock.now_ns())
                self.backfilled += rows.count
                await put(*rows.take())
            for span in waiting:
                span.again()
        for reason in sorted({span.refusal for span in spans if span.refusal}):
            _log.info("no history of an item at %s: %s", self._config.url, reason)

    def _named(self, missed: list[_Missed]) -> tuple[Gap, ...]:
        """One gap where the whole source is meant or nobody knows what, else one for each item."""
        items = self._registry.items
        live = sum(item.live for item in items)
        gaps = []
        for reason in sorted({each.reason for each in missed}):
            mine = [each for each in missed if each.reason == reason]
            if reason == LOST_MESSAGES or len(mine) >= live or len(mine) > _GAPS_MAX:
                times = {(min(each.start_ns for each in mine), max(each.end_ns for each in mine))}
                if reason == LOST_MESSAGES:
                    times = {(each.start_ns, each.end_ns) for each in mine}
                gaps += [Gap(*each, reason) for each in sorted(times)]
            else:
                gaps += [
                    Gap(each.start_ns, each.end_ns, reason, items[each.handle].address)
                    for each in mine
                ]
        return tuple(gaps)

    def _forget(self, missed: list[_Missed]) -> None:
        done = set(missed)
        self._holes = [each for each in self._holes if each not in done]


def _left(missed: _Missed, span: Span) -> _Missed | None:
    """What of a loss the archive did not mend.

    An archive that does not have the value before, or the one after, may lack any between.
    """
    if span.refusal or not span.anchored:
        return missed
    if missed.changed and not span.reached:
        start_ns = max(missed.start_ns, span.read_ns)
        return replace(missed, start_ns=start_ns, end_ns=max(start_ns, missed.end_ns))
    return None
