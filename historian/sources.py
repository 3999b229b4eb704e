"""What is known of each source: heard when, collected until when, and when it was not collected.

A heartbeat lies in the spool behind everything that its collector had taken before, so the server
has all of that when it reads the heartbeat. Lines that came and went are events (``source_state``)
and outlive a restart; counters and the last heartbeat come anew with the next one.
"""

import bisect
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from storage_engine.clock import Clock
from storage_engine.sample import EventBatch, EventColumns

KIND = "source_state"
COLLECTED = "connected"  # the one state of a line in which nothing is missed
NOT_COLLECTED = "not_collected"
SILENT_INTERVALS = 3.0
INTERVAL_S = 10.0  # of a collector that does not say
_INTERVAL_MAX_S = 3_600.0
_STATES_MAX = 4_096  # per source; older ones are forgotten, and the answer says from when it knows
_NUMBERS_MAX = 64
_NOT_NUMBERS = frozenset({"time_ns", "interval_s", "last_timestamp_ns", "clock_offset_ns"})


@dataclass(frozen=True, slots=True)
class Hole:
    """A time in which a source was not collected, start <= time < end."""

    start_ns: int
    end_ns: int
    link: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Coverage:
    """Holes in a window; of the time before ``known_from_ns`` nothing is said."""

    holes: tuple[Hole, ...]
    known_from_ns: int | None


@dataclass(slots=True)
class SourceStatus:
    """A source as it stands now.

    Attributes
    ----------
    link, detail, since_ns
        Of the line, as the collector told it last, and since when.
    heard_ns : int or None
        When the last heartbeat came, by this server's clock; None since the server started.
    beat_ns : int or None
        When it was made, by the collector's clock.
    collected_until_ns : int or None
        Up to here the source had nothing else to say: older values have not changed since.
    silent : bool
        No heartbeat for three intervals.
    numbers : dict
        Counters and sizes of the heartbeat.
    """

    source: str
    collector: str = ""
    link: str = ""
    detail: str = ""
    since_ns: int | None = None
    heard_ns: int | None = None
    beat_ns: int | None = None
    interval_s: float = INTERVAL_S
    collected_until_ns: int | None = None
    last_timestamp_ns: int | None = None
    clock_offset_ns: int | None = None
    silent: bool = False
    numbers: dict[str, float] = field(default_factory=dict)

    @property
    def collected(self) -> bool:
        """Whether values come now, as far as anybody knows."""
        return self.link == COLLECTED and not self.silent

    @property
    def state(self) -> str:
        """``not_collected`` while its collector is silent, else the state of the line."""
        return NOT_COLLECTED if self.silent else self.link


@dataclass(slots=True)
class _Source:
    status: SourceStatus
    waits_from_ns: int  # silence counts from here until the first heartbeat
    states: list[tuple[int, str, str]] = field(default_factory=list)  # time, link, detail
    known_from_ns: int | None = None
    searched: bool = False


class Sources:
    """Status and history of the lines to all sources. Safe from any thread.

    Parameters
    ----------
    clock : Clock
    sources_max : int
        Sources kept; further ones have no status.
    newest_ns : callable
        Source -> time of the newest value of its tags, None without; asked once for a source
        that was silent since the server started.
    """

    def __init__(
        self, clock: Clock, sources_max: int, newest_ns: Callable[[str], int | None]
    ) -> None:
        self._clock = clock
        self._sources_max = sources_max
        self._newest_ns = newest_ns
        self._lock = threading.Lock()
        self._sources: dict[str, _Source] = {}

    def rebuild(self, events: EventColumns) -> None:
        """Take the history of all lines as it is stored; heartbeats heard before still count."""
        columns = {name: column.objects() for name, column in events.data.items()}
        with self._lock:
            for source in self._sources.values():
                source.states.clear()
            self._states(events.timestamp_ns.tolist(), columns)

    def apply(self, kind: str, batch: EventBatch, lsn: int) -> None:
        """Listen to ingest: lines that changed."""
        if kind == KIND:
            pairs = zip(batch.columns, batch.data, strict=True)
            columns = {column.name: data.objects() for column, data in pairs}
            with self._lock:
                self._states(batch.timestamp_ns.tolist(), columns)

    def _states(self, times: list[int], columns: Mapping[str, list[object]]) -> None:
        fields = ("source", "collector", "link", "detail", "clock_offset_ns")
        rows = zip(times, *(columns[name] for name in fields), strict=True)
        for time_ns, name, collector, link, detail, offset_ns in rows:
            source = self._source(str(name)) if name and link else None
            if source is None:
                continue
            bisect.insort(source.states, (time_ns, str(link), str(detail or "")))
            if len(source.states) > _STATES_MAX:
                del source.states[0]
                source.known_from_ns = source.states[0][0]
            status = source.status
            last_ns, last_link, last_detail = source.states[-1]
            if last_ns == time_ns:
                if COLLECTED in {last_link, status.link}:
                    self._collected(status, time_ns)
                status.link, status.detail, status.since_ns = last_link, last_detail, last_ns
                status.collector = str(collector or status.collector)
                if isinstance(offset_ns, int):
                    status.clock_offset_ns = offset_ns

    def heard(self, beats: Iterable[Mapping[str, object]]) -> None:
        """Take heartbeats; what stood before them in the spool is durable here."""
        now_ns = self._clock.now_ns()
        with self._lock:
            for facts in beats:
                name, time_ns = facts.get("source"), facts.get("time_ns")
                known = self._source(str(name)) if name and type(time_ns) is int else None
                if known is not None and isinstance(time_ns, int):
                    self._heard(known.status, facts, time_ns, now_ns)

    def _heard(
        self, status: SourceStatus, facts: Mapping[str, object], time_ns: int, now_ns: int
    ) -> None:
        status.heard_ns = now_ns
        if status.beat_ns is not None and time_ns < status.beat_ns:
            return  # sent again
        status.beat_ns = time_ns
        link = str(facts.get("link", ""))
        if link != status.link:
            status.link, status.detail, status.since_ns = link, "", time_ns
        status.detail = str(facts.get("detail") or status.detail)
        if link == COLLECTED:
            self._collected(status, min(time_ns, now_ns))
        status.collector = str(facts.get("collector", ""))
        interval_s = _number(facts.get("interval_s"))
        if interval_s is not None and 0 < interval_s <= _INTERVAL_MAX_S:
            status.interval_s = interval_s
        newest, offset = facts.get("last_timestamp_ns"), _number(facts.get("clock_offset_ns"))
        status.last_timestamp_ns = newest if isinstance(newest, int) and newest else None
        status.clock_offset_ns = status.clock_offset_ns if offset is None else int(offset)
        numbers = ((str(key), _number(value)) for key, value in facts.items())
        held = [(k, v) for k, v in numbers if v is not None and k not in _NOT_NUMBERS]
        status.numbers = dict(held[:_NUMBERS_MAX])

    @staticmethod
    def _collected(status: SourceStatus, until_ns: int) -> None:
        before_ns = status.collected_until_ns
        status.collected_until_ns = until_ns if before_ns is None else max(before_ns, until_ns)

    def _source(self, name: str) -> _Source | None:
        found = self._sources.get(name)
        if found is None and len(self._sources) < self._sources_max:
            found = self._sources[name] = _Source(SourceStatus(name), self._clock.now_ns())
        return found

    # Reading

    def every(self) -> list[SourceStatus]:
        """Status of all sources, by name."""
        with self._lock:
            return [self._now(self._sources[name]) for name in sorted(self._sources)]

    def find(self, source: str) -> SourceStatus | None:
        """Status of one source, None when nothing was ever heard of it."""
        with self._lock:
            found = self._sources.get(source)
            return None if found is None else self._now(found)

    def _now(self, source: _Source) -> SourceStatus:
        """Bring silence up to date; a copy, but for the numbers, which are only ever replaced."""
        held = source.status
        last_ns = source.waits_from_ns if held.heard_ns is None else held.heard_ns
        quiet_s = (self._clock.now_ns() - last_ns) / 1e9
        held.silent = quiet_s > SILENT_INTERVALS * held.interval_s
        if held.silent and held.beat_ns is None and not source.searched:
            # Nothing was heard since the start: the stored values say how far it got.
            source.searched = True
            newest_ns = self._newest_ns(held.source)
            if newest_ns is not None:
                self._collected(held, min(newest_ns, last_ns))
        return SourceStatus(*(getattr(held, name) for name in SourceStatus.__slots__))

    def coverage(self, source: str, start_ns: int, end_ns: int) -> Coverage | None:
        """When a source was not collected within a window; None when nothing is known of it.

        Nothing is said of the time before its line was first told of, nor of the future.
        """
        with self._lock:
            found = self._sources.get(source)
            if found is None:
                return None
            status = self._now(found)
            states = list(found.states)
            known_ns = found.known_from_ns
        now_ns = self._clock.now_ns()
        ends_ns = [state[0] for state in states[1:]] + [now_ns]
        holes: list[Hole] = []
        for (time_ns, link, detail), until_ns in zip(states, ends_ns, strict=True):
            if link != COLLECTED:
                _add(holes, Hole(time_ns, until_ns, link, detail))
        last_ns = status.collected_until_ns
        if status.silent and last_ns is not None and (not states or states[-1][1] == COLLECTED):
            _add(holes, Hole(last_ns, now_ns, NOT_COLLECTED, "the collector is silent"))
        within = (
            Hole(max(h.start_ns, start_ns), min(h.end_ns, end_ns), h.link, h.detail) for h in holes
        )
        whole = tuple(hole for hole in within if hole.start_ns < hole.end_ns)
        return Coverage(whole, None if known_ns is None or known_ns <= start_ns else known_ns)


def _add(holes: list[Hole], hole: Hole) -> None:
    """Join what follows at once: a line that is being made again is one hole, not many."""
    last = holes[-1] if holes else None
    if last is not None and last.end_ns == hole.start_ns:
        detail = last.detail or hole.detail
        holes[-1] = Hole(last.start_ns, hole.end_ns, last.link, detail)
    elif hole.end_ns > hole.start_ns:
        holes.append(hole)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1 << 63 else None
