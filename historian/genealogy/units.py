"""What is derived of each unit: its visits, what was reported to go in and to come out again.

Kept per unit until one of its facts changes; what a slot held is looked up when asked.
"""

from bisect import bisect_right
from dataclasses import dataclass
from typing import NamedTuple

from historian.genealogy.facts import FactStore
from historian.genealogy.lineage import SHARED_SERIAL, Fact, Lineage, Story, attribute
from historian.genealogy.records import CarrierSession, Move, Unit, UnitKey, Visit
from historian.genealogy.visits import Step, derive_visits, work_window

_STEPS = {"unit_arrived", "work_started", "work_completed", "unit_departed"}


class Consumption(NamedTuple):
    """A lot reported to go into the unit (or, ``removed``, to come out) at a known visit."""

    time_ns: int
    lot: int
    part: int
    station: int
    slot: int
    position: int | None
    quantity: float | None
    visit: int | None
    inherited_from: str | None
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UnitView:
    """A unit with all that follows from its own story.

    Attributes
    ----------
    windows : tuple of (int, int)
        Per visit, when material may have gone in.
    reported : frozenset of int
        Visits in which the machine named slots, for this unit or another on its panel.
    scanned : dict of int to set of lots
        Lots reported without a slot, per visit.
    ended_ns : int or None
        When a panel was split.
    stations : tuple of int
        Per visit, the code of its station.
    """

    unit: Unit
    code: int
    product: int
    visits: tuple[Visit, ...]
    windows: tuple[tuple[int, int], ...]
    stations: tuple[int, ...]
    consumed: tuple[Consumption, ...]
    removed: tuple[Consumption, ...]
    reported: frozenset[int]
    scanned: dict[int, set[int]]
    ended_ns: int | None
    carriers: tuple[CarrierSession, ...]
    moves: tuple[Move, ...]


class UnitBuilder:
    """Derives views from stories.

    Parameters
    ----------
    facts : FactStore
    lineage : Lineage
    open_visit_ns_max : int
        How far an inferred bound of a visit is believed when lots are matched to it.
    """

    def __init__(self, facts: FactStore, lineage: Lineage, open_visit_ns_max: int) -> None:
        self._facts = facts
        self._lineage = lineage
        self._limit_ns = open_visit_ns_max

    def views(self, unit: int) -> tuple[UnitView, ...]:
        """One view per product that bears the serial, by name; none when nothing names it."""
        story = self._lineage.story(unit)
        if not story.facts:
            return ()
        births = self._lineage.products(unit)
        name = self._facts.names.name
        return tuple(
            self._view(unit, product, story._replace(facts=facts))
            for product in sorted(births, key=lambda p: name(p) or "")
            if (facts := self.candidate(story.facts, unit, product, births))
        )

    def candidate(
        self, story: list[Fact], unit: int, product: int, births: dict[int, int]
    ) -> list[Fact]:
        """Facts that are, or may be, of the unit of this product.

        A fact that names the product is its own. One that does not belongs to whoever was
        created by then; when several were, to each of them, flagged ``shared_serial``.
        """
        if len(births) == 1:
            return story
        facts = self._facts
        created = facts.number["unit_created"]
        chosen = []
        for fact in story:
            if fact.owner != unit:
                chosen.append(fact)
                continue
            if fact.rank == created:
                said = facts.code(fact.ref, "product")
            else:
                named = attribute(facts.text(fact.ref, "attributes"), "product")
                said = facts.names.find(named) if isinstance(named, str) else 0
            if said in births:
                if said == product:
                    chosen.append(fact)
                continue
            born = [p for p, birth_ns in births.items() if birth_ns <= fact.time_ns]
            if born == [product]:
                chosen.append(fact)
            elif product in born or not born:
                chosen.append(fact._replace(flags=(*fact.flags, SHARED_SERIAL)))
        return chosen

    def _view(self, unit: int, product: int, story: Story) -> UnitView:
        facts = self._facts
        kinds = facts.kinds
        origin = self._lineage.origin(unit)
        births = [f.time_ns for f in story.facts if kinds[f.rank] == "unit_created"]
        birth_ns = min(births, default=None)
        if story.facts[0].owner != unit:
            birth_ns = None  # the panel's visits came before the board was named
        elif origin.split_ns is not None:
            birth_ns = origin.split_ns if birth_ns is None else min(birth_ns, origin.split_ns)
        steps = [self._step(f, unit) for f in story.facts if kinds[f.rank] in _STEPS]
        placed = [s for s in steps if s.station]
        splits = [self._lineage.origin(c).split_ns for c in self._lineage.children(unit)]
        ended_ns = max((s for s in splits if s is not None), default=None)
        visits = derive_visits(placed, birth_ns=birth_ns, ended_ns=ended_ns, left=story.left)
        stations = tuple(facts.names.find(v.station) for v in visits)
        consumed, removed = [], []
        for fact in story.facts:
            if kinds[fact.rank] == "material_consumed":
                consumed.append(self._consumption(fact, unit, visits, stations))
            elif kinds[fact.rank] == "material_removed":
                removed.append(self._consumption(fact, unit, visits, stations))
        elsewhere = [self._consumption(f, unit, visits, stations) for f in story.elsewhere]
        told = [u for u in (*consumed, *elsewhere) if u.visit is not None]
        scanned: dict[int, set[int]] = {}
        for use in told:
            if use.visit is not None and not use.slot:
                scanned.setdefault(use.visit, set()).add(use.lot)
        return UnitView(
            unit=self._unit(unit, product, story, visits),
            code=unit,
            product=product,
            visits=visits,
            windows=tuple(work_window(v, self._limit_ns) for v in visits),
            stations=stations,
            consumed=tuple(consumed),
            removed=tuple(removed),
            reported=frozenset(u.visit for u in told if u.slot and u.visit is not None),
            scanned=scanned,
            ended_ns=ended_ns,
            carriers=tuple(story.sessions),
            moves=tuple(self._move(f) for f in story.facts if kinds[f.rank] == "cart_moved"),
        )

    def _unit(self, unit: int, product: int, story: Story, visits: tuple[Visit, ...]) -> Unit:
        facts, lineage = self._facts, self._lineage
        text, names = facts.text, facts.names.name
        created = facts.number["unit_created"]
        births = [f.ref for f in story.facts if f.rank == created and f.owner == unit]
        origin = lineage.origin(unit)
        times = [f.time_ns for f in story.facts if f.owner == unit] or [story.facts[0].time_ns]
        parent = lineage.parent(unit)
        last = visits[-1] if visits else None
        return Unit(
            key=UnitKey(names(unit) or "", names(product)),
            kind=next((k for r in births if (k := text(r, "unit_kind"))), None),
            order=next((o for r in births if (o := text(r, "order"))), None),
            created_ns=facts.time_ns(births[0]) if births else None,
            parent=names(parent),
            position=origin.position,
            split_ns=origin.split_ns if parent else None,
            first_ns=times[0],
            last_ns=times[-1],
            visit_count=len(visits),
            last_station=last.station if last else None,
            open_station=last.station if last and last.out_ns is None else None,
            last_verdict=next((v.verdict for v in reversed(visits) if v.verdict), None),
            children=tuple(sorted(names(c) or "" for c in lineage.children(unit))),
        )

    def _step(self, fact: Fact, unit: int) -> Step:
        facts, ref = self._facts, fact.ref
        kind = facts.kinds[fact.rank]
        moves = kind in {"unit_arrived", "unit_departed"}
        ends = kind in {"work_completed", "unit_departed"}
        return Step(
            time_ns=fact.time_ns,
            kind=kind,
            station=facts.text(ref, "station") or "",
            nest=facts.text(ref, "nest"),
            carrier=facts.text(ref, "carrier") if moves else None,
            verdict=facts.text(ref, "verdict") if ends else None,
            recipe=facts.text(ref, "recipe") if kind == "work_started" else None,
            inherited_from=facts.names.name(fact.owner) if fact.owner != unit else None,
            flags=fact.flags,
        )

    def _move(self, fact: Fact) -> Move:
        facts, ref = self._facts, fact.ref
        return Move(
            facts.text(ref, "cart"),
            fact.time_ns,
            facts.text(ref, "from_location"),
            facts.text(ref, "to_location"),
        )

    def _consumption(
        self, fact: Fact, unit: int, visits: tuple[Visit, ...], stations: tuple[int, ...]
    ) -> Consumption:
        facts, ref = self._facts, fact.ref
        station = facts.code(ref, "station")
        removed = facts.kinds[fact.rank] == "material_removed"
        return Consumption(
            time_ns=fact.time_ns,
            lot=facts.code(ref, "lot"),
            part=facts.code(ref, "part"),
            station=station,
            slot=0 if removed else facts.code(ref, "slot"),
            position=facts.integer(ref, "position"),
            quantity=facts.real(ref, "quantity"),
            visit=visit_at(visits, stations, station, fact.time_ns),
            inherited_from=facts.names.name(fact.owner) if fact.owner != unit else None,
            flags=fact.flags,
        )


def visit_at(
    visits: tuple[Visit, ...], stations: tuple[int, ...], station: int, time_ns: int
) -> int | None:
    """Visit that a report belongs to: the newest one begun there by then, else the first there.

    Results come late more often than early, so a report between two visits goes to the one
    before it. Without a station, the visit must contain the time.
    """
    begun = bisect_right(visits, time_ns, key=lambda v: v.in_ns)
    if not station:
        if not begun:
            return None
        out_ns = visits[begun - 1].out_ns
        return begun - 1 if out_ns is None or time_ns <= out_ns else None
    for i in range(begun - 1, -1, -1):
        if stations[i] == station:
            return i
    return next((i for i in range(begun, len(visits)) if stations[i] == station), None)
