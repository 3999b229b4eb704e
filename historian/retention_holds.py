"""Holds into pins: the windows of a held unit's visits, for the tags of the stations it was at."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Protocol

from historian.catalog import Catalog
from historian.catalog_retention import Hold, RetentionCatalog
from historian.errors import NotFound
from historian.genealogy.genealogy import Genealogy
from historian.genealogy.records import AmbiguousUnit, UnknownUnit
from historian.genealogy.units import UnitView
from storage_engine.pins import Pin

Window = tuple[str, int, int]  # station, start, end
UNPLACED = ""  # the station of a window that all events of the plant are kept in
TIME_MIN_NS, TIME_MAX_NS = -(2**63), 2**63 - 1


class Station(Protocol):
    """What must be declared of a station; ``historian.config`` fulfils it."""

    @property
    def name(self) -> str:
        """Name in station events."""
        ...

    @property
    def tags(self) -> tuple[str, ...]:
        """Names of its tags as shell patterns."""
        ...


class Holds:
    """Derives windows and makes pins of them.

    Parameters
    ----------
    stored : RetentionCatalog
    catalog : Catalog
    genealogy : Genealogy
    stations : sequence of Station
    margin_ns : int
        Kept before and behind every visit of a held unit.
    event_streams : callable
        Streams of all kinds of events.
    """

    def __init__(
        self,
        stored: RetentionCatalog,
        catalog: Catalog,
        genealogy: Genealogy,
        stations: Sequence[Station],
        *,
        margin_ns: int,
        event_streams: Callable[[], Iterable[int]],
    ) -> None:
        self._stored = stored
        self._catalog = catalog
        self._genealogy = genealogy
        self._patterns = {station.name: station.tags for station in stations}
        self._margin_ns = margin_ns
        self._event_streams = event_streams

    def hold_unit(
        self, unit: str, product: str, *, until_ns: int | None, reason: str, principal: str
    ) -> Hold:
        """Keep what was measured and seen while a unit was made.

        Raises
        ------
        UnknownUnit, AmbiguousUnit
        RequestInvalid
        """
        windows = self._windows(unit, product)
        return self._stored.add_hold(
            unit=unit,
            product=product,
            tags=(),
            windows=windows,
            until_ns=until_ns,
            reason=reason,
            principal=principal,
        )

    def hold_window(
        self,
        tags: Sequence[str],
        start_ns: int,
        end_ns: int,
        *,
        until_ns: int | None,
        reason: str,
        principal: str,
    ) -> Hold:
        """Keep a window of tags, named or by shell pattern.

        Raises
        ------
        NotFound
            A name or pattern that no tag has.
        RequestInvalid
        """
        held = self._streams({"": tuple(tags)})
        for pattern in tags:
            if not self._streams({"": (pattern,)})[""]:
                message = f"cannot hold: got tag {pattern!r}, want one of the catalog"
                raise NotFound(message, got=pattern, where="tags")
        assert held[""], "every pattern has tags"
        return self._stored.add_hold(
            unit="",
            product="",
            tags=tags,
            windows=[(UNPLACED, start_ns, end_ns)],
            until_ns=until_ns,
            reason=reason,
            principal=principal,
        )

    def refresh(self, now_ns: int) -> None:
        """Follow held units that moved on; what was known once is not forgotten again."""
        for hold in self._stored.holds(active_at_ns=now_ns):
            if not hold.unit:
                continue
            try:
                found = self._windows(hold.unit, hold.product)
            except (UnknownUnit, AmbiguousUnit):  # its events went; its windows are known
                continue
            joined = _joined([*hold.windows, *found])
            if joined != list(hold.windows):
                self._stored.derive(hold.id, joined)

    def pins(self, now_ns: int) -> list[Pin]:
        """Windows that nothing may delete now."""
        holds = self._stored.holds(active_at_ns=now_ns)
        by_hand = {str(hold.id): hold.tags for hold in holds if not hold.unit}
        streams = self._streams({f"@{k}": tags for k, tags in by_hand.items()} | self._patterns)
        events = frozenset(self._event_streams())
        found = []
        for hold in holds:
            for station, start_ns, end_ns in hold.windows:
                if not hold.unit:
                    pinned = streams[f"@{hold.id}"]
                elif station == UNPLACED:
                    pinned = events
                else:
                    pinned = streams.get(station, frozenset())
                if pinned:
                    found.append(Pin(pinned, start_ns, end_ns))
        return found

    def _windows(self, unit: str, product: str) -> list[Window]:
        view = self._genealogy.view(unit, product or None)
        return _joined(unit_windows(view, self._genealogy.stay, self._margin_ns))

    def _streams(self, patterns: Mapping[str, Sequence[str]]) -> dict[str, frozenset[int]]:
        """Streams of the tags that fit one of the patterns by a name they ever had, per name."""
        found: dict[str, set[int]] = {name: set() for name in patterns}
        plain = {p: name for name, listed in patterns.items() for p in listed if not _wild(p)}
        for name, listed in patterns.items():
            for pattern in listed:
                tag = self._catalog.find(pattern)
                if tag is not None:
                    found[name].update(s.stream_id for s in tag.series)
        wild = {n: [p for p in listed if p not in plain] for n, listed in patterns.items()}
        if any(wild.values()):
            for tag in self._catalog.every():
                for name, listed in wild.items():
                    if any(fnmatchcase(n, p) for n in self._catalog.names_of(tag) for p in listed):
                        found[name].update(s.stream_id for s in tag.series)
        return {name: frozenset(streams) for name, streams in found.items()}


def _wild(pattern: str) -> bool:
    return any(character in pattern for character in "*?[")


def unit_windows(
    view: UnitView, stay: Callable[[UnitView, int], tuple[int, int]], margin_ns: int
) -> list[Window]:
    """Windows of a unit's visits with a margin, and one over all of them for events.

    Parameters
    ----------
    view : UnitView
    stay : callable
        Bounds of a visit, of an open one as far as it is believed.
    margin_ns : int

    Returns
    -------
    list of (str, int, int)
        Station, start, end; the station is empty for events.
    """
    found: list[Window] = []
    first_ns, last_ns = view.unit.first_ns, view.unit.last_ns
    for number, visit in enumerate(view.visits):
        in_ns, out_ns = stay(view, number)
        start_ns = min([in_ns, *(t for t in (visit.start_ns,) if t is not None)])
        end_ns = max([out_ns, *(t for t in (visit.end_ns,) if t is not None)]) + 1
        found.append((visit.station, *_widened(start_ns, end_ns, margin_ns)))
        first_ns, last_ns = min(first_ns, start_ns), max(last_ns, end_ns)
    found.append((UNPLACED, *_widened(first_ns, last_ns + 1, margin_ns)))
    return found


def _widened(start_ns: int, end_ns: int, margin_ns: int) -> tuple[int, int]:
    return max(TIME_MIN_NS, start_ns - margin_ns), min(TIME_MAX_NS, end_ns + margin_ns)


def _joined(windows: Iterable[Window]) -> list[Window]:
    """Windows of each station that overlap, as one."""
    found: list[Window] = []
    for station, start_ns, end_ns in sorted(windows):
        if found and found[-1][0] == station and start_ns <= found[-1][2]:
            found[-1] = (station, found[-1][1], max(found[-1][2], end_ns))
        else:
            found.append((station, start_ns, end_ns))
    return found
