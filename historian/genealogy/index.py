"""Which facts speak of which unit, lot, slot, carrier: lists of refs, and what changed since."""

from array import array
from collections.abc import Callable, Iterable
from typing import TypeVar

from historian.genealogy.facts import FactStore

KINDS = (
    "unit_created",
    "panel_split",
    "carrier_loaded",
    "unit_arrived",
    "work_started",
    "material_consumed",
    "material_removed",
    "test_result",
    "vision_event",
    "work_completed",
    "unit_departed",
    "carrier_unloaded",
    "cart_moved",
    "material_loaded",
    "material_unloaded",
)
"""What genealogy is derived from, in the order in which events of one instant are taken."""

_Key = TypeVar("_Key")


class EntityIndex:
    """Refs of facts by the codes of what they name. Lists may hold a ref twice or in vain.

    Whoever reads a list must check that the fact still names what it was listed under (a fact is
    overwritten when an earlier one with its key turns up) and that it holds.
    """

    def __init__(self, modes: frozenset[str]) -> None:
        self.facts = FactStore(KINDS, modes, self._touched)
        self.units: dict[int, array[int]] = {}  # unit -> its facts
        self.children: dict[int, set[int]] = {}  # panel -> boards that ever named it
        self.panels: dict[int, set[int]] = {}  # board -> panels that it ever named
        self.lots: dict[int, array[int]] = {}  # lot -> consumed and removed
        self.loads: dict[int, array[int]] = {}  # lot -> loaded and unloaded
        self.supplier_lots: dict[int, set[int]] = {}  # supplier's lot -> lots
        self.slots: dict[tuple[int, int], array[int]] = {}  # (station, slot) -> loaded, unloaded
        self.station_slots: dict[int, set[int]] = {}  # station -> slots
        self.carriers: dict[int, array[int]] = {}  # carrier -> loads, and arrivals without a unit
        self.loose: dict[int, array[int]] = {}  # station -> results that name no unit
        self.unnamed: dict[tuple[int, int], set[int]] = {}  # slot -> units that used no named lot
        self.reports: dict[tuple[int, int], array[int]] = {}  # slot -> consumptions that name it
        self.first_report_ns: dict[tuple[int, int], int] = {}  # of those that hold
        self.dirty_units: set[int] = set()
        self.dirty_origins: set[int] = set()  # units whose panel may be another one now
        self.dirty_slots: set[tuple[int, int]] = set()
        self.dirty_lots: set[int] = set()
        self.dirty_reports: set[tuple[int, int]] = set()
        self.dirty_carriers: set[int] = set()
        code = self.facts.number
        self._by_kind: dict[int, Callable[[int, bool], None]] = {
            code["unit_created"]: self._created,
            code["panel_split"]: self._split,
            code["carrier_loaded"]: self._carried,
            code["carrier_unloaded"]: self._carried,
            code["unit_arrived"]: self._at_station,
            code["unit_departed"]: self._at_station,
            code["work_started"]: self._unit,
            code["work_completed"]: self._unit,
            code["material_consumed"]: self._consumed,
            code["material_removed"]: self._consumed,
            code["material_loaded"]: self._loaded,
            code["material_unloaded"]: self._loaded,
            code["test_result"]: self._result,
            code["vision_event"]: self._result,
            code["cart_moved"]: self._moved,
        }

    @property
    def changed(self) -> bool:
        """Whether anything derived is out of date."""
        return bool(
            self.dirty_units
            or self.dirty_origins
            or self.dirty_carriers
            or self.dirty_slots
            or self.dirty_lots
            or self.dirty_reports
        )

    def _touched(self, ref: int, new: bool) -> None:
        self._by_kind[self.facts.kind_number(ref)](ref, new)

    def _unit(self, ref: int, new: bool) -> None:
        unit = self.facts.code(ref, "unit")
        if not unit:
            return
        self.dirty_units.add(unit)
        if new:
            _append(self.units, unit, ref)

    def _created(self, ref: int, new: bool) -> None:
        self._unit(ref, new)
        self._child(self.facts.code(ref, "parent"), self.facts.code(ref, "unit"), new)

    def _split(self, ref: int, new: bool) -> None:
        self._unit(ref, new)
        self._child(self.facts.code(ref, "panel"), self.facts.code(ref, "unit"), new)

    def _child(self, parent: int, unit: int, new: bool) -> None:
        if unit:
            self.dirty_origins.add(unit)
        if new and unit and parent and parent != unit:
            self.children.setdefault(parent, set()).add(unit)
            self.panels.setdefault(unit, set()).add(parent)

    def spread(self) -> None:
        """Add to the dirty units those whose story or boards depend on a dirty one."""
        self.dirty_origins = self.with_boards(self.dirty_origins)
        self.dirty_units = self.with_boards(self.dirty_units)
        for unit in self.dirty_origins:
            self.dirty_units |= self.panels.get(unit, set())
        self.dirty_origins.clear()

    def with_boards(self, units: Iterable[int]) -> set[int]:
        """Give units with all boards that ever named them as their panel, at any depth."""
        found = set(units)
        todo = list(found)
        while todo:
            boards = self.children.get(todo.pop(), set()) - found
            found |= boards
            todo.extend(boards)
        return found

    def _carried(self, ref: int, new: bool) -> None:
        self._unit(ref, new)
        carrier = self.facts.code(ref, "carrier")
        if carrier:
            self.dirty_carriers.add(carrier)
            if new:
                _append(self.carriers, carrier, ref)

    def _at_station(self, ref: int, new: bool) -> None:
        if self.facts.code(ref, "unit"):
            self._unit(ref, new)
        else:
            self._in_carrier(self.facts.code(ref, "carrier"), ref, new)

    def _moved(self, ref: int, new: bool) -> None:
        if self.facts.code(ref, "unit"):
            self._unit(ref, new)
        else:
            self._in_carrier(self.facts.code(ref, "cart"), ref, new)

    def _in_carrier(self, carrier: int, ref: int, new: bool) -> None:
        if carrier:
            self.dirty_carriers.add(carrier)
            if new:
                _append(self.carriers, carrier, ref)

    def _consumed(self, ref: int, new: bool) -> None:
        self._unit(ref, new)
        facts = self.facts
        lot = facts.code(ref, "lot")
        if lot and new:
            _append(self.lots, lot, ref)
        if facts.kinds[facts.kind_number(ref)] != "material_consumed":
            return
        slot = (facts.code(ref, "station"), facts.code(ref, "slot"))
        if new and not lot:
            self.unnamed.setdefault(slot, set()).add(facts.code(ref, "unit"))
        if slot[1]:
            first_ns = self.first_report_ns.get(slot)
            if not new or first_ns is None or facts.time_ns(ref) < first_ns:
                self.dirty_reports.add(slot)
            if new:
                _append(self.reports, slot, ref)

    def _loaded(self, ref: int, new: bool) -> None:
        facts = self.facts
        slot = (facts.code(ref, "station"), facts.code(ref, "slot"))
        lot = facts.code(ref, "lot")
        self.dirty_slots.add(slot)
        self.dirty_lots.add(lot)
        if not new:
            return
        _append(self.slots, slot, ref)
        self.station_slots.setdefault(slot[0], set()).add(slot[1])
        if lot:
            _append(self.loads, lot, ref)
            if facts.kinds[facts.kind_number(ref)] == "material_loaded":
                supplier = facts.code(ref, "supplier_lot")
                if supplier:
                    self.supplier_lots.setdefault(supplier, set()).add(lot)

    def _result(self, ref: int, new: bool) -> None:
        if self.facts.code(ref, "unit"):
            self._unit(ref, new)
        elif new:
            _append(self.loose, self.facts.code(ref, "station"), ref)


def _append(lists: "dict[_Key, array[int]]", key: _Key, ref: int) -> None:
    refs = lists.get(key)
    if refs is None:
        refs = lists[key] = array("q")
    refs.append(ref)
