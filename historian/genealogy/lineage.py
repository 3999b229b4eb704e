"""What happened to a unit: its own facts, those of carriers it was in, those of its panel.

A board's story is one list: the panel's facts before the split (what went to another position left
out), then its own. Everything else is derived from such lists.
"""

import json
from array import array
from bisect import bisect_left
from typing import NamedTuple

from historian.genealogy.index import EntityIndex
from historian.genealogy.records import CarrierSession
from historian.genealogy.sessions import CarrierEvent, UnitSession, carrier_sessions
from historian.genealogy.visits import Left

DEPTH_MAX = 10  # panels within panels; deeper is a circle or an error
SHARED_SERIAL = "shared_serial"
POSITION_UNKNOWN = "position_unknown"
_STAY = {"unit_arrived", "work_started", "work_completed", "unit_departed"}
_NOT_INHERITED = {"unit_created", "panel_split"}
_BY_POSITION = {"material_consumed", "material_removed", "test_result", "vision_event"}


class Fact(NamedTuple):
    """One event of a unit's story; sorts by time, then by the order of kinds, then by id."""

    time_ns: int
    rank: int
    event_id: bytes
    ref: int
    owner: int  # code of the unit that the event is about: the unit itself or its panel
    flags: tuple[str, ...] = ()


class Origin(NamedTuple):
    """How a unit came to be: its creations, and the panel it is or was part of (0: none).

    ``split_ns`` is None while it is still on the panel.
    """

    created: tuple[int, ...]
    panel: int
    position: int | None
    split_ns: int | None


class Story(NamedTuple):
    """All facts of a unit in order.

    ``elsewhere`` are consumptions of the panel for other positions: they say that the slot's
    machine reports. ``left`` is how the panel's stay ended at the station where it was split.
    """

    facts: list[Fact]
    elsewhere: list[Fact]
    left: dict[str, Left]
    sessions: list[CarrierSession]


class _Carrier(NamedTuple):
    sessions: dict[int, tuple[UnitSession, ...]]
    facts: list[tuple[int, int]]  # (time, ref) of arrivals and moves that name no unit


class Lineage:
    """Stories of units, from the index. ``forget`` after the facts changed."""

    def __init__(self, index: EntityIndex) -> None:
        self._index = index
        self._facts = index.facts
        self._carriers: dict[int, _Carrier] = {}
        self._unit_carriers: dict[int, set[int]] = {}
        self._stories: dict[int, Story] = {}
        self._origins: dict[int, Origin] = {}

    def forget(self) -> None:
        """Drop what was composed; carriers stay until they are refreshed."""
        self._stories.clear()
        self._origins.clear()

    # -- identity ------------------------------------------------------------------------------

    def own_refs(self, unit: int) -> list[int]:
        """Facts that name the unit and hold, each once, in no order."""
        facts = self._facts
        return [
            ref
            for ref in set(self._index.units.get(unit, ()))
            if facts.code(ref, "unit") == unit and facts.holds(ref)
        ]

    def origin(self, unit: int) -> Origin:
        """Where the unit comes from, as its creation and its split say."""
        known = self._origins.get(unit)
        if known is None:
            known = self._origins[unit] = self._originate(unit)
        return known

    def _originate(self, unit: int) -> Origin:
        facts = self._facts
        created: list[tuple[int, bytes, int]] = []
        split: list[tuple[int, bytes, int]] = []
        for ref in self.own_refs(unit):
            kind = facts.kinds[facts.kind_number(ref)]
            if kind in _NOT_INHERITED:
                found = created if kind == "unit_created" else split
                found.append((facts.time_ns(ref), facts.event_id(ref), ref))
        panel, position, split_ns = 0, None, None
        for time_ns, _, ref in sorted(split):
            if facts.code(ref, "panel") == unit:
                continue
            panel = panel or facts.code(ref, "panel")
            split_ns = time_ns if split_ns is None and panel else split_ns
            position = facts.integer(ref, "position") if position is None else position
        births = sorted(created)
        for _, _, ref in births:
            above = facts.code(ref, "parent")
            panel = panel or (above if above != unit else 0)
            position = facts.integer(ref, "position") if position is None else position
        return Origin(tuple(ref for _, _, ref in births), panel, position, split_ns)

    def parent(self, unit: int) -> int:
        """Panel that the unit was split from, or is still part of; 0 when there is none.

        Panels within panels deeper than ``DEPTH_MAX`` are a circle or an error: no parent.
        """
        panel = self.origin(unit).panel
        above, depth = panel, 0
        while above and depth <= DEPTH_MAX:
            above, depth = self.origin(above).panel, depth + 1
        return 0 if above else panel

    def products(self, unit: int) -> dict[int, int]:
        """Products that units of this serial were created as -> earliest time; 0 when unnamed."""
        births: dict[int, int] = {}
        for ref in self.origin(unit).created:
            births.setdefault(self._facts.code(ref, "product"), self._facts.time_ns(ref))
        if len(births) > 1:
            births.pop(0, None)
        return births or {0: -(2**63)}

    def children(self, unit: int) -> list[int]:
        """Boards whose panel this is, in no order."""
        return [b for b in self._index.children.get(unit, ()) if self.parent(b) == unit]

    # -- stories -------------------------------------------------------------------------------

    def story(self, unit: int) -> Story:
        """All facts of the serial in order, whatever product bears it."""
        known = self._stories.get(unit)
        if known is None:
            known = self._stories[unit] = self._compose(unit)
        return known

    def _compose(self, unit: int) -> Story:
        own = [self._fact(ref, unit) for ref in self.own_refs(unit)]
        sessions = self._sessions(unit)
        for carrier, session in sessions:
            own.extend(self._fact(ref, unit) for ref in self._within(carrier, session))
        shown = [_shown(self._facts.names.name(c) or "", s) for c, s in sessions]
        parent = self.parent(unit)
        if not parent:
            return Story(sorted(set(own)), [], {}, shown)
        story = self.story(parent)
        split_ns = self.origin(unit).split_ns
        end_ns = 2**63 if split_ns is None else split_ns
        before = [f for f in story.facts if f.time_ns < end_ns]
        inherited, elsewhere = self._inherited(before, parent, self.origin(unit).position)
        elsewhere += [f for f in story.elsewhere if f.time_ns < end_ns]
        left = self._left(story.facts[len(before) :])
        shown = [*_clipped(story.sessions, end_ns), *shown]
        return Story(sorted({*own, *inherited}), elsewhere, left, shown)

    def _inherited(
        self, before: list[Fact], panel: int, position: int | None
    ) -> tuple[list[Fact], list[Fact]]:
        """Facts of the panel that are the board's too, and consumptions for other positions."""
        inherited, elsewhere = [], []
        for fact in before:
            kind = self._facts.kinds[fact.rank]
            if kind in _NOT_INHERITED:
                continue
            for_position = self._for_position(fact, kind) if fact.owner == panel else None
            if for_position is None or for_position == position:
                inherited.append(fact)
            elif position is None:
                inherited.append(fact._replace(flags=_with(fact.flags, POSITION_UNKNOWN)))
            elif kind == "material_consumed":
                elsewhere.append(fact)
        return inherited, elsewhere

    def _left(self, after: list[Fact]) -> dict[str, Left]:
        """How the panel's stays ended that were open at the split: the next end and departure."""
        facts = self._facts
        left: dict[str, Left] = {}
        arrived: set[str] = set()
        for fact in after:
            kind = facts.kinds[fact.rank]
            if kind not in _STAY:
                continue
            station = facts.text(fact.ref, "station") or ""
            stay = left.get(station, Left(None, None, None))
            if kind in {"unit_arrived", "work_started"} or stay.out_ns is not None:
                arrived.add(station)
            elif station not in arrived:
                verdict = facts.text(fact.ref, "verdict") or stay.verdict
                if kind == "work_completed":
                    left[station] = Left(fact.time_ns, verdict, None)
                else:
                    left[station] = Left(stay.end_ns, verdict, fact.time_ns)
        return left

    def _fact(self, ref: int, owner: int) -> Fact:
        facts = self._facts
        return Fact(facts.time_ns(ref), facts.kind_number(ref), facts.event_id(ref), ref, owner)

    def _for_position(self, fact: Fact, kind: str) -> int | None:
        """Position on the panel that a fact is about; None when about all of it."""
        if kind not in _BY_POSITION:
            return None
        if kind.startswith("material"):
            return self._facts.integer(fact.ref, "position")
        position = attribute(self._facts.text(fact.ref, "attributes"), "position")
        return position if isinstance(position, int) else None

    # -- carriers ------------------------------------------------------------------------------

    def refresh_carrier(self, carrier: int) -> set[int]:
        """Work out one carrier again and tell the units whose story that changes."""
        facts = self._facts
        loads: list[tuple[int, int, bytes, CarrierEvent]] = []
        loose: list[tuple[int, int]] = []
        loaded = facts.number["carrier_loaded"]
        unloaded = facts.number["carrier_unloaded"]
        for ref in set(self._index.carriers.get(carrier, array("q"))):
            kind = facts.kind_number(ref)
            if not facts.holds(ref):
                continue
            if kind not in {loaded, unloaded}:
                column = "cart" if facts.kinds[kind] == "cart_moved" else "carrier"
                if facts.code(ref, column) == carrier and not facts.code(ref, "unit"):
                    loose.append((facts.time_ns(ref), ref))
            elif facts.code(ref, "carrier") == carrier:
                time_ns, unit = facts.time_ns(ref), facts.code(ref, "unit")
                event = CarrierEvent(time_ns, kind == loaded, unit, facts.text(ref, "nest"))
                # What leaves makes room for what comes at the same instant.
                loads.append((time_ns, 1 if kind == loaded else 0, facts.event_id(ref), event))
        loads.sort(key=lambda load: load[:3])
        old = self._carriers.get(carrier, _Carrier({}, []))
        new = _Carrier(carrier_sessions(load[3] for load in loads), sorted(loose))
        self._carriers[carrier] = new
        changed = {
            unit
            for unit in old.sessions.keys() | new.sessions.keys()
            if old.sessions.get(unit) != new.sessions.get(unit)
        }
        for unit in new.sessions:
            self._unit_carriers.setdefault(unit, set()).add(carrier)
        for time_ns, _ in set(old.facts) ^ set(new.facts):
            changed.update(
                u for u, s in new.sessions.items() if any(_covers(x, time_ns) for x in s)
            )
        return changed

    def _sessions(self, unit: int) -> list[tuple[int, UnitSession]]:
        """Sessions of a unit in all carriers, ascending; the next load ends an open one."""
        found = [
            (carrier, session)
            for carrier in self._unit_carriers.get(unit, ())
            for session in self._carriers[carrier].sessions.get(unit, ())
        ]
        name = self._facts.names.name
        found.sort(key=lambda cs: (_begin(cs[1]), cs[1].end_ns or 2**63, name(cs[0]) or ""))
        trimmed = []
        for i, (carrier, session) in enumerate(found):
            following = found[i + 1][1].start_ns if i + 1 < len(found) else None
            if session.end_ns is None and following is not None:
                trim = session._replace(end_ns=following, flags=(*session.flags, "unload_inferred"))
                trimmed.append((carrier, trim))
            else:
                trimmed.append((carrier, session))
        return trimmed

    def _within(self, carrier: int, session: UnitSession) -> list[int]:
        if session.start_ns is None:
            return []
        loose = self._carriers[carrier].facts
        first = bisect_left(loose, (session.start_ns, -1))
        last = len(loose) if session.end_ns is None else bisect_left(loose, (session.end_ns, -1))
        return [ref for _, ref in loose[first:last]]


def attribute(text: str | None, name: str) -> object:
    """One value of the JSON object that a source sent along; None where there is none."""
    if text is None or name not in text:
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return None
    value: object = found.get(name) if isinstance(found, dict) else None
    return value


def _with(flags: tuple[str, ...], flag: str) -> tuple[str, ...]:
    return flags if flag in flags else (*flags, flag)


def _begin(session: UnitSession) -> int:
    if session.start_ns is not None:
        return session.start_ns
    return -(2**63) if session.end_ns is None else session.end_ns


def _covers(session: UnitSession, time_ns: int) -> bool:
    if session.start_ns is None:
        return False
    return session.start_ns <= time_ns and (session.end_ns is None or time_ns < session.end_ns)


def _shown(carrier: str, session: UnitSession) -> CarrierSession:
    return CarrierSession(carrier, session.nest, session.start_ns, session.end_ns, session.flags)


def _clipped(sessions: list[CarrierSession], end_ns: int) -> list[CarrierSession]:
    """Sessions of a panel as far as its boards shared them."""
    clipped = []
    for s in sessions:
        start_ns = s.start_ns if s.start_ns is not None else s.end_ns
        if start_ns is None or start_ns >= end_ns:
            continue
        if end_ns < 2**63 and (s.end_ns is None or s.end_ns > end_ns):
            flags = (*s.flags, "unload_inferred")
            clipped.append(CarrierSession(s.carrier, s.nest, s.start_ns, end_ns, flags))
        else:
            clipped.append(s)
    return clipped
