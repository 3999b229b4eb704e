"""Tests and vision events of a unit: those that name it, and those of its time at the station."""

from bisect import bisect_left
from typing import NamedTuple

from historian.genealogy.index import EntityIndex
from historian.genealogy.lineage import POSITION_UNKNOWN, SHARED_SERIAL, Fact
from historian.genealogy.records import Evidence, TestResult, VisionEvent
from historian.genealogy.stations import Stations
from historian.genealogy.units import UnitView, visit_at

_DOUBTS = {SHARED_SERIAL, POSITION_UNKNOWN}


class _Row(NamedTuple):
    """A result of a unit; ``visit`` None where it is to be found by time."""

    ref: int
    evidence: Evidence
    panel: str | None
    visit: int | None


class Results:
    """Reads results; holds nothing but an order of those that name no unit."""

    def __init__(self, index: EntityIndex, stations: Stations) -> None:
        self._facts = index.facts
        self._index = index
        self._stations = stations
        self._loose: dict[int, tuple[int, list[tuple[int, int]]]] = {}  # station -> count, order

    def tests(self, view: UnitView, story: list[Fact]) -> list[TestResult]:
        """Test results in order of time."""
        return [self._test(view, *row) for row in self._rows(view, story, "test_result")]

    def vision(self, view: UnitView, story: list[Fact]) -> list[VisionEvent]:
        """Vision events in order of time."""
        return [self._seen(view, *row) for row in self._rows(view, story, "vision_event")]

    def _rows(self, view: UnitView, story: list[Fact], kind: str) -> list[_Row]:
        facts = self._facts
        number = facts.number[kind]
        rows = [
            _Row(fact.ref, self._evidence(fact), self._panel(view, fact), None)
            for fact in story
            if fact.rank == number
        ]
        rows += self._by_time(view, kind)
        return sorted(rows, key=lambda r: (facts.time_ns(r.ref), facts.event_id(r.ref)))

    def _evidence(self, fact: Fact) -> Evidence:
        return Evidence.AMBIGUOUS if _DOUBTS & set(fact.flags) else Evidence.EXACT

    def _panel(self, view: UnitView, fact: Fact) -> str | None:
        return None if fact.owner == view.code else self._facts.names.name(fact.owner)

    def _by_time(self, view: UnitView, kind: str) -> list[_Row]:
        """Results without a unit that fall into a visit: WINDOW, or AMBIGUOUS with others there."""
        facts = self._facts
        number = facts.number[kind]
        rows = []
        for visit, station in enumerate(view.stations):
            order = self._ordered(station)
            start_ns, end_ns = self._stations.stay(view, visit)
            first = bisect_left(order, (start_ns, -1))
            last = bisect_left(order, (end_ns, -1))
            for time_ns, ref in order[first:last]:
                loose = facts.code(ref, "station") == station and not facts.code(ref, "unit")
                if loose and facts.kind_number(ref) == number and facts.holds(ref):
                    alone = self._stations.units_at(station, time_ns) <= 1
                    evidence = Evidence.WINDOW if alone else Evidence.AMBIGUOUS
                    rows.append(_Row(ref, evidence, None, visit))
        return rows

    def _ordered(self, station: int) -> list[tuple[int, int]]:
        """Results at a station that named no unit when they came: (time, ref), ascending."""
        refs = self._index.loose.get(station)
        if refs is None:
            return []
        count, order = self._loose.get(station, (0, []))
        if count != len(refs):
            order = sorted((self._facts.time_ns(ref), ref) for ref in set(refs))
            self._loose[station] = (len(refs), order)
        return order

    def _test(
        self, view: UnitView, ref: int, evidence: Evidence, panel: str | None, visit: int | None
    ) -> TestResult:
        facts = self._facts
        time_ns = facts.time_ns(ref)
        value, low, high = (facts.real(ref, c) for c in ("value", "low", "high"))
        if visit is None:
            visit = visit_at(view.visits, view.stations, facts.code(ref, "station"), time_ns)
        return TestResult(
            time_ns=time_ns,
            station=facts.text(ref, "station"),
            test=facts.text(ref, "test"),
            verdict=facts.text(ref, "verdict"),
            recomputed=_recomputed(value, low, high),
            value=value,
            eng_unit=facts.text(ref, "eng_unit"),
            low=low,
            high=high,
            visit=visit,
            evidence=evidence,
            attributes=facts.text(ref, "attributes"),
            inherited_from=panel,
        )

    def _seen(
        self, view: UnitView, ref: int, evidence: Evidence, panel: str | None, visit: int | None
    ) -> VisionEvent:
        facts = self._facts
        text = facts.text
        start_ns = facts.integer(ref, "start_ns")
        time_ns = facts.time_ns(ref)
        if visit is None:
            at_ns = time_ns if start_ns is None else start_ns
            visit = visit_at(view.visits, view.stations, facts.code(ref, "station"), at_ns)
        return VisionEvent(
            time_ns=time_ns,
            start_ns=start_ns,
            end_ns=facts.integer(ref, "end_ns"),
            camera=text(ref, "camera"),
            station=text(ref, "station"),
            event=text(ref, "event"),
            step=text(ref, "step"),
            label=text(ref, "label"),
            confidence=facts.real(ref, "confidence"),
            verdict=text(ref, "verdict"),
            model=text(ref, "model"),
            model_version=text(ref, "model_version"),
            clip=text(ref, "clip"),
            visit=visit,
            evidence=evidence,
            attributes=text(ref, "attributes"),
            inherited_from=panel,
        )


def _recomputed(value: float | None, low: float | None, high: float | None) -> str | None:
    """Verdict from the value and its own limits; None without them."""
    if value is None or (low is None and high is None):
        return None
    inside = (low is None or value >= low) and (high is None or value <= high)
    return "PASS" if inside else "FAIL"
