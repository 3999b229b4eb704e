"""When a unit counts as finished."""

from collections.abc import Iterable
from typing import Protocol

from historian.genealogy.records import Unit


class Station(Protocol):
    """What must be declared of a station."""

    @property
    def name(self) -> str:
        """Name in station events."""
        ...

    @property
    def line(self) -> str:
        """Line it stands in."""
        ...

    @property
    def tags(self) -> tuple[str, ...]:
        """Tags bound to it."""
        ...


def end_stations(stations: Iterable[Station]) -> set[str]:
    """Last station of each line that measures something; a place for rework ends no line."""
    return set({s.line: s.name for s in stations if s.tags}.values())


def is_finished(unit: Unit, ends: set[str]) -> bool:
    """Whether a unit has left the last station of its line; without lines, any station."""
    gone = unit.open_station is None and unit.visit_count > 0
    return gone and (not ends or unit.last_station in ends)
