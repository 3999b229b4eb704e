"""Which lots went into a unit, and which units a lot went into: one rule, read in both directions.

A reported consumption is EXACT. Where the machine does not report, the lots that a slot held during
the work are candidates: one is WINDOW, several are AMBIGUOUS. A machine reports when it named the
slot in any report so far, or any slot in this visit: it knows its slots, so its silence is a fact.
A report without a slot (a scanned part) speaks only for the slots that held this lot.
"""

from bisect import bisect_left
from collections.abc import Collection
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import NamedTuple

from historian.genealogy.index import EntityIndex
from historian.genealogy.lineage import POSITION_UNKNOWN, SHARED_SERIAL
from historian.genealogy.records import Evidence, Load, MaterialUse
from historian.genealogy.sessions import SlotEvent, SlotSession, slot_sessions
from historian.genealogy.units import Consumption, UnitView

_SHARED = (SHARED_SERIAL,)
_DOUBTS = {SHARED_SERIAL, POSITION_UNKNOWN}
_PAST, _FUTURE = -(2**63), 2**63


@dataclass(frozen=True, slots=True)
class _Slot:
    """Sessions of one slot, ascending in start, with the latest end up to each of them."""

    sessions: tuple[SlotSession, ...]
    lots: tuple[int, ...]
    starts: tuple[int, ...]
    ends_so_far: tuple[int, ...]

    def during(self, start_ns: int, end_ns: int) -> list[int]:
        """Positions of sessions that overlap ``[start, end)``, ascending."""
        found = []
        for i in range(bisect_left(self.starts, end_ns) - 1, -1, -1):
            if self.ends_so_far[i] <= start_ns:
                break
            session_end = self.sessions[i].end_ns
            if session_end is None or session_end > start_ns:
                found.append(i)
        return found[::-1]


class _Need(NamedTuple):
    """Material that went in from a slot, lot not reported: where, when, and what is known of it."""

    part: str | None
    station: str | None
    slot: str | None
    position: int | None
    visit: int | None
    quantity: float | None
    start_ns: int
    end_ns: int
    flags: tuple[str, ...]
    inherited_from: str | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Lots asked for, by code, and the slots per station that ever held one of them."""

    lots: frozenset[int]
    slots: dict[int, tuple[int, ...]]


class Materials:
    """Lots at slots, and the uses that follow. ``refresh`` after the facts changed."""

    def __init__(self, index: EntityIndex) -> None:
        self._index = index
        self._facts = index.facts
        self._slots: dict[tuple[int, int], _Slot] = {}
        self._lots: dict[int, tuple[int, int]] = {}  # lot -> part, supplier's lot

    def refresh(self) -> None:
        """Work out again what changed: slots, and what is known of lots."""
        index = self._index
        for slot in index.dirty_slots:
            self._slots[slot] = self._sessions(slot)
        for lot in index.dirty_lots:
            self._lots[lot] = self._describe(lot)
        for slot in index.dirty_reports:
            self._find_first_report(slot)
        index.dirty_reports.clear()
        index.dirty_slots.clear()
        index.dirty_lots.clear()

    def _sessions(self, slot: tuple[int, int]) -> _Slot:
        facts = self._facts
        loaded = facts.number["material_loaded"]
        found = []
        for ref in set(self._index.slots.get(slot, ())):
            if facts.holds(ref) and slot == (facts.code(ref, "station"), facts.code(ref, "slot")):
                load = facts.kind_number(ref) == loaded
                lot = facts.text(ref, "lot")
                part = facts.text(ref, "part") if load else None
                event = SlotEvent(facts.time_ns(ref), load, lot, part)
                # What leaves makes room for what comes at the same instant.
                found.append((event.time_ns, load, facts.event_id(ref), event))
        found.sort(key=lambda f: f[:3])
        sessions = tuple(slot_sessions((f[3] for f in found), single=slot[1] != 0))
        ends = [_FUTURE if s.end_ns is None else s.end_ns for s in sessions]
        return _Slot(
            sessions=sessions,
            lots=tuple(facts.names.find(s.lot) for s in sessions),
            starts=tuple(_PAST if s.start_ns is None else s.start_ns for s in sessions),
            ends_so_far=tuple(accumulate(ends, max)),
        )

    def _find_first_report(self, slot: tuple[int, int]) -> None:
        facts = self._facts
        times = [
            facts.time_ns(ref)
            for ref in self._index.reports.get(slot, ())
            if facts.holds(ref) and slot == (facts.code(ref, "station"), facts.code(ref, "slot"))
        ]
        self._index.first_report_ns.pop(slot, None)
        if times:
            self._index.first_report_ns[slot] = min(times)

    def _describe(self, lot: int) -> tuple[int, int]:
        facts = self._facts
        part = supplier = 0
        refs = [r for r in set(self._index.loads.get(lot, ())) if facts.code(r, "lot") == lot]
        for ref in sorted(refs, key=lambda r: (facts.time_ns(r), facts.event_id(r))):
            if facts.holds(ref) and facts.kinds[facts.kind_number(ref)] == "material_loaded":
                part = part or facts.code(ref, "part")
                supplier = supplier or facts.code(ref, "supplier_lot")
        return part, supplier

    # -- lots ----------------------------------------------------------------------------------

    def lots_of(self, lot: int) -> set[int]:
        """The lot itself, and the lots that came from it when it is a supplier's."""
        found = {x for x in self._index.supplier_lots.get(lot, ()) if self._lots[x][1] == lot}
        return found | {lot}

    def loads(self, lot: int) -> list[Load]:
        """Sessions of a lot at all slots, ascending in start."""
        name = self._facts.names.name
        found = []
        for station, slot in self._slots_of(lot):
            held = self._slots[(station, slot)]
            for code, s in zip(held.lots, held.sessions, strict=True):
                if code == lot:
                    part = name(self._lots[lot][0])
                    where = (name(station), name(slot))
                    found.append(Load(s.lot, part, *where, s.start_ns, s.end_ns, s.flags))
        return sorted(
            found,
            key=lambda x: (
                _PAST if x.start_ns is None else x.start_ns,
                x.station or "",
                x.slot or "",
            ),
        )

    def _slots_of(self, lot: int) -> set[tuple[int, int]]:
        facts = self._facts
        return {
            (facts.code(ref, "station"), facts.code(ref, "slot"))
            for ref in self._index.loads.get(lot, ())
        } & self._slots.keys()

    def windows_of(self, lot: int) -> list[tuple[int, int, int, int]]:
        """Where a lot was loaded: (station, slot, start, end)."""
        found = []
        for slot in self._slots_of(lot):
            held = self._slots[slot]
            for code, session in zip(held.lots, held.sessions, strict=True):
                if code == lot:
                    start_ns = _PAST if session.start_ns is None else session.start_ns
                    end_ns = _FUTURE if session.end_ns is None else session.end_ns
                    found.append((*slot, start_ns, end_ns))
        return found

    # -- uses ----------------------------------------------------------------------------------

    def wanted(self, lots: Collection[int]) -> Wanted:
        """Prepare a question about some lots, to be put to many units."""
        slots: dict[int, list[int]] = {}
        for station, slot in sorted({s for lot in lots for s in self._slots_of(lot)}):
            slots.setdefault(station, []).append(slot)
        return Wanted(frozenset(lots), {k: tuple(v) for k, v in slots.items()})

    def uses(self, view: UnitView, wanted: Wanted | None = None) -> list[MaterialUse]:
        """Every lot that went, or may have gone, into a unit, in order of time.

        With ``wanted`` only those lots; the answer for each is the same as without.
        """
        if wanted is not None and any(not r.lot for r in view.removed):
            # A removal that names a part alone may take any lot: ask for all, then choose.
            find = self._facts.names.find
            every = self._uses(view, None)
            return [u for u in every if u.lot is not None and find(u.lot) in wanted.lots]
        return self._uses(view, wanted)

    def _uses(self, view: UnitView, wanted: Wanted | None) -> list[MaterialUse]:
        found: list[MaterialUse] = []
        lots = None if wanted is None else wanted.lots
        for consumption in view.consumed:
            if not consumption.lot:
                found.extend(self._unnamed(consumption, lots))
            elif lots is None or consumption.lot in lots:
                found.append(self._exact(consumption))
        slots = self._index.station_slots if wanted is None else wanted.slots
        for visit, station in enumerate(view.stations):
            for slot in slots.get(station, ()):
                found.extend(self._held(view, visit, (station, slot), lots))
        found.sort(key=_order)
        for removal in view.removed:
            if lots is None or not removal.lot or removal.lot in lots:
                self._remove(found, removal)
        found.sort(key=_order)
        return found

    def _exact(self, c: Consumption) -> MaterialUse:
        name = self._facts.names.name
        part, supplier = self._lots.get(c.lot, (0, 0))
        lot = name(c.lot)
        return MaterialUse(
            lot=lot,
            part=name(c.part or part),
            supplier_lot=name(supplier),
            station=name(c.station),
            slot=name(c.slot),
            position=c.position,
            visit=c.visit,
            quantity=c.quantity,
            first_ns=c.time_ns,
            last_ns=c.time_ns,
            evidence=Evidence.AMBIGUOUS if _DOUBTS & set(c.flags) else Evidence.EXACT,
            alternatives=(lot,) if lot else (),
            flags=c.flags,
            inherited_from=c.inherited_from,
        )

    def _unnamed(self, c: Consumption, lots: Collection[int] | None) -> list[MaterialUse]:
        """Consumption from a slot without a lot's name: whatever the slot held at that time."""
        name = self._facts.names.name
        held = self._slots.get((c.station, c.slot))
        at = held.during(c.time_ns, c.time_ns + 1) if held is not None and c.slot else []
        if held is None or not at:
            return [self._exact(c)] if lots is None else []
        need = _Need(
            name(c.part),
            name(c.station),
            name(c.slot),
            c.position,
            c.visit,
            c.quantity,
            c.time_ns,
            c.time_ns,
            c.flags,
            c.inherited_from,
        )
        return self._candidates(held, at, need, lots)

    def _held(
        self, view: UnitView, visit: int, where: tuple[int, int], lots: Collection[int] | None
    ) -> list[MaterialUse]:
        """Uses of a visit that follow from what a slot held during the work."""
        slot = where[1]
        start_ns, end_ns = view.windows[visit]
        if visit in view.reported or self._index.first_report_ns.get(where, _FUTURE) < end_ns:
            return []
        held = self._slots[where]
        at = held.during(start_ns, end_ns)
        scanned = view.scanned.get(visit, ())
        if not at or any(held.lots[i] in scanned for i in at):
            return []
        v = view.visits[visit]
        need = _Need(
            None,
            v.station,
            self._facts.names.name(slot),
            None,
            visit,
            None,
            start_ns,
            end_ns,
            _SHARED if SHARED_SERIAL in v.flags else (),
            v.inherited_from,
        )
        if slot:
            return self._candidates(held, at, need, lots)
        # A station without named slots holds one lot of each part: each part is a slot.
        groups: dict[object, list[int]] = {}
        for i in at:
            lot = held.lots[i]
            groups.setdefault(self._lots[lot][0] or ("lot", lot), []).append(i)
        return [u for group in groups.values() for u in self._candidates(held, group, need, lots)]

    def _candidates(
        self, held: _Slot, at: list[int], need: _Need, lots: Collection[int] | None
    ) -> list[MaterialUse]:
        """One use per lot among the sessions, each naming all of them."""
        name = self._facts.names.name
        by_lot: dict[int, list[SlotSession]] = {}
        for i in at:
            by_lot.setdefault(held.lots[i], []).append(held.sessions[i])
        alternatives = tuple(sorted([name(lot) or "" for lot in by_lot]))
        doubtful = len(by_lot) > 1 or not _DOUBTS.isdisjoint(need.flags)
        evidence = Evidence.AMBIGUOUS if doubtful else Evidence.WINDOW
        found = []
        for lot, sessions in by_lot.items():
            if lots is not None and lot not in lots:
                continue
            part, supplier = self._lots[lot]
            first_ns, last_ns, flags = _span(need, sessions)
            use = MaterialUse(
                name(lot),
                need.part or name(part),
                name(supplier),
                need.station,
                need.slot,
                need.position,
                need.visit,
                need.quantity,
                first_ns,
                last_ns,
                evidence,
                alternatives,
                None,
                0.0,
                flags,
                need.inherited_from,
            )
            found.append(use)
        return found

    def _remove(self, uses: list[MaterialUse], r: Consumption) -> None:
        """Mark what came out: the newest matching use still in, reported ones first."""
        name = self._facts.names.name
        lot, part = name(r.lot), name(r.part)
        left = r.quantity
        matches = [
            i
            for i, u in enumerate(uses)
            if u.removed_ns is None
            and u.first_ns <= r.time_ns
            and (u.lot == lot if lot else u.part == part)
            and (r.position is None or u.position is None or u.position == r.position)
        ]
        matches.sort(key=lambda i: (uses[i].evidence is Evidence.EXACT, uses[i].first_ns, i))
        if not matches:
            flags = (*r.flags, "installation_unknown")
            gone = replace(self._exact(r), removed_ns=r.time_ns, flags=flags)
            uses.append(replace(gone, removed_quantity=r.quantity or 0.0))
            return
        while matches:
            i = matches.pop()
            use = uses[i]
            inside = None if use.quantity is None else use.quantity - use.removed_quantity
            if left is None or inside is None or left >= inside:
                out = left or 0.0 if inside is None else inside
                removed = use.removed_quantity + out
                uses[i] = replace(use, removed_ns=r.time_ns, removed_quantity=removed)
                if left is None or inside is None or left <= inside:
                    return
                left -= inside
            else:
                flags = tuple(dict.fromkeys((*use.flags, "partly_removed")))
                uses[i] = replace(use, removed_quantity=use.removed_quantity + left, flags=flags)
                return


def _span(need: _Need, sessions: list[SlotSession]) -> tuple[int, int, tuple[str, ...]]:
    """When a lot that was loaded in these sessions may have been taken, and what is inferred."""
    first_ns, last_ns, flags = _FUTURE, _PAST, dict.fromkeys(need.flags)
    for session in sessions:
        first_ns = min(first_ns, _PAST if session.start_ns is None else session.start_ns)
        last_ns = max(last_ns, _FUTURE if session.end_ns is None else session.end_ns)
        flags.update(dict.fromkeys(session.flags))
    return max(need.start_ns, first_ns), min(need.end_ns, last_ns), tuple(flags)


def _order(use: MaterialUse) -> tuple[object, ...]:
    return (
        use.first_ns,
        use.station or "",
        use.slot or "",
        use.lot or "",
        -1 if use.position is None else use.position,
        use.quantity or 0.0,
        use.last_ns,
    )
