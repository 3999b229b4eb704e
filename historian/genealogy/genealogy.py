"""Units, their visits and materials, derived from event streams; nothing here is a source.

How it is made and fed (the runtime's part)::

    genealogy = Genealogy(reader)          # reader: EventReader, over Engine.read_events
    genealogy.rebuild()                    # at start, before ingest is open
    ingest.add_listener(genealogy.apply)   # (kind, batch, lsn), after durable, any thread
    genealogy.settle()                     # each second, in a thread; questions do it themselves

Deleting it is always legal: ``rebuild`` gives the same state from the streams. The state depends on
the set of events only, never on their order or on repetition. Kinds it does not know are ignored.
"""

import heapq
import threading
from collections.abc import Iterable

from historian.genealogy.facts import PRODUCTION
from historian.genealogy.index import KINDS, EntityIndex
from historian.genealogy.lineage import Fact, Lineage
from historian.genealogy.materials import Materials
from historian.genealogy.reader import TIME_MAX_NS, TIME_MIN_NS, EventReader
from historian.genealogy.records import (
    AmbiguousUnit,
    CarrierSession,
    MaterialUse,
    Move,
    TestResult,
    Unit,
    UnitKey,
    UnitUse,
    UnknownLot,
    UnknownUnit,
    VisionEvent,
    Visit,
    WhereUsed,
)
from historian.genealogy.results import Results
from historian.genealogy.stations import Stations, Stays
from historian.genealogy.units import UnitBuilder, UnitView
from storage_engine.sample import EventBatch

OPEN_VISIT_NS_MAX = 4 * 3_600_000_000_000
_SETTLE_UNITS = 32  # worked out again in one go, so that who waits for the lock soon gets it


class Genealogy:
    """What was made when, where, and of what. Safe from any thread.

    Parameters
    ----------
    reader : EventReader
        Event streams by kind.
    modes : frozenset of str
        Modes of events that count; test and simulated ones do not unless named here.
    open_visit_ns_max : int
        How far an inferred or missing bound of a visit is believed when lots, energy and results
        are matched to it.
    """

    def __init__(
        self,
        reader: EventReader,
        *,
        modes: frozenset[str] = frozenset({PRODUCTION}),
        open_visit_ns_max: int = OPEN_VISIT_NS_MAX,
    ) -> None:
        self._reader = reader
        self._modes = modes
        self._open_visit_ns_max = open_visit_ns_max
        self._lock = threading.RLock()
        self._watermark_lsn = 0
        self._clear()

    def _clear(self) -> None:
        self._index = EntityIndex(self._modes)
        self._lineage = Lineage(self._index)
        self._builder = UnitBuilder(self._index.facts, self._lineage, self._open_visit_ns_max)
        self._materials = Materials(self._index)
        self._stations = Stations(self._open_visit_ns_max)
        self._results = Results(self._index, self._stations)
        self._views: dict[int, tuple[UnitView, ...]] = {}
        self._waiting: set[int] = set()  # units to derive again
        self._watermark_lsn = 0

    # -- feeding -------------------------------------------------------------------------------

    @property
    def watermark_lsn(self) -> int:
        """Everything written up to this lsn is in the answers."""
        return self._watermark_lsn

    def rebuild(self) -> None:
        """Forget everything and derive it again from the streams."""
        with self._lock:
            self._clear()
            for kind in KINDS:
                events = self._reader.read_events(kind, TIME_MIN_NS, TIME_MAX_NS)
                lsn = events.lsn.tolist()
                self._index.facts.add(kind, events.timestamp_ns, events.event_id, events.data, lsn)
                self._watermark_lsn = max(self._watermark_lsn, max(lsn, default=0))
            self._settle()

    def apply(self, kind: str, batch: EventBatch, lsn: int) -> None:
        """Take events that just became durable. Known events change nothing.

        Parameters
        ----------
        kind : str
            Kind of the events; one that is not about units changes the watermark alone.
        batch : EventBatch
        lsn : int
            The log sequence number that wrote them.
        """
        with self._lock:
            if kind in self._index.facts.number:
                data = dict(zip((c.name for c in batch.columns), batch.data, strict=True))
                self._index.facts.add(
                    kind, batch.timestamp_ns, batch.event_id, data, [lsn] * len(batch)
                )
            self._watermark_lsn = max(self._watermark_lsn, lsn)

    def settle(self) -> None:
        """Derive again what depends on facts that changed, so that no question has to wait for it.

        The lock is let go every few units: events keep coming in meanwhile.
        """
        while self._settle(_SETTLE_UNITS):
            pass

    def _settle(self, units_max: int | None = None) -> bool:
        """Derive again what depends on changed facts, of so many units; tell whether more waits."""
        with self._lock:
            return self._settle_locked(units_max)

    def _settle_locked(self, units_max: int | None) -> bool:
        index = self._index
        if index.changed:
            self._lineage.forget()
            for carrier in index.dirty_carriers:
                index.dirty_units |= self._lineage.refresh_carrier(carrier)
            index.dirty_carriers.clear()
            index.spread()
            self._materials.refresh()
            # Spread once: a panel that waits its turn must not bring its boards back each time.
            self._waiting |= index.dirty_units
            index.dirty_units.clear()
        elif not self._waiting:
            return False
        count = len(self._waiting)
        for _ in range(count if units_max is None else min(count, units_max)):
            unit = self._waiting.pop()
            views = self._views[unit] = self._builder.views(unit)
            self._stations.put(unit, views)
        if not self._waiting:
            self._lineage.forget()
        return bool(self._waiting)

    # -- units ---------------------------------------------------------------------------------

    def units(self, search: str = "", limit: int = 100, *, kind: str | None = None) -> list[Unit]:
        """Units whose serial contains ``search``, those with the newest event first."""
        self.settle()
        with self._lock:
            self._settle()
            found = (
                view.unit
                for views in self._views.values()
                for view in views
                if search in view.unit.key.serial and kind in (None, view.unit.kind)
            )
            return heapq.nsmallest(limit, found, key=_newest_first)

    def unit_count(self) -> int:
        """How many units are known, panels and boards alike."""
        self.settle()
        with self._lock:
            self._settle()
            return sum(len(views) for views in self._views.values())

    def resolve(self, serial: str) -> tuple[UnitKey, ...]:
        """Units that bear the serial, one per product; empty when none does."""
        self.settle()
        with self._lock:
            self._settle()
            return tuple(v.unit.key for v in self._views.get(self._code(serial), ()))

    def unit(self, serial: str, product: str | None = None) -> Unit:
        """One unit. Raises UnknownUnit, or AmbiguousUnit when several bear the serial."""
        return self.view(serial, product).unit

    def view(self, serial: str, product: str | None = None) -> UnitView:
        """All that is derived of one unit. Raises UnknownUnit or AmbiguousUnit."""
        self.settle()
        with self._lock:
            self._settle()
            views = self._views.get(self._code(serial), ())
            if product is not None:
                views = tuple(v for v in views if v.unit.key.product == product)
            if not views:
                raise UnknownUnit(serial, product)
            if len(views) > 1:
                raise AmbiguousUnit(serial, tuple(v.unit.key.product for v in views))
            return views[0]

    def visits(self, serial: str, product: str | None = None) -> tuple[Visit, ...]:
        """Visits of a unit in order of arrival, those made on its panel included."""
        return self.view(serial, product).visits

    def attempts(self, serial: str, station: str, product: str | None = None) -> tuple[Visit, ...]:
        """Visits of a unit to one station: more than one means rework."""
        return tuple(v for v in self.visits(serial, product) if v.station == station)

    def carriers(self, serial: str, product: str | None = None) -> tuple[CarrierSession, ...]:
        """Carriers a unit was in, with their load sessions."""
        return self.view(serial, product).carriers

    def moves(self, serial: str, product: str | None = None) -> tuple[Move, ...]:
        """Moves of carts with the unit."""
        return self.view(serial, product).moves

    def parents(self, serial: str) -> tuple[str, ...]:
        """Panel of a unit, panel of that panel, and so on."""
        self.settle()
        with self._lock:
            self._settle()
            found = []
            code = self._lineage.parent(self._code(serial))
            while code:
                found.append(self._index.facts.names.name(code) or "")
                code = self._lineage.parent(code)
            return tuple(found)

    def children(self, serial: str) -> tuple[str, ...]:
        """Boards of a panel, by name."""
        self.settle()
        with self._lock:
            self._settle()
            names = self._index.facts.names
            found = self._lineage.children(self._code(serial))
            return tuple(sorted(names.name(c) or "" for c in found))

    # -- what went in, what came out -----------------------------------------------------------

    def materials(self, serial: str, product: str | None = None) -> list[MaterialUse]:
        """Every lot that went, or may have gone, into a unit, in order of time."""
        self.settle()
        with self._lock:
            return self._materials.uses(self.view(serial, product))

    def where_used(self, lot: str) -> WhereUsed:
        """Every unit that a lot can have touched: the inverse of :meth:`materials`.

        Parameters
        ----------
        lot : str
            A lot, or a supplier's lot: then all lots that came from it.

        Raises
        ------
        UnknownLot
            When no event names it.
        """
        self.settle()
        with self._lock:
            self._settle()
            code = self._code(lot)
            index = self._index
            if not (code in index.lots or code in index.loads or code in index.supplier_lots):
                raise UnknownLot(lot)
            lots = self._materials.lots_of(code)
            wanted = self._materials.wanted(lots)
            found: list[UnitUse] = []
            for unit in self._touched_by(lots):
                for view in self._views.get(unit, ()):
                    key, kind = view.unit.key, view.unit.kind
                    uses = self._materials.uses(view, wanted)
                    found.extend(UnitUse(key, kind, use) for use in uses)
            found.sort(key=lambda u: (u.use.first_ns, u.key.serial, u.key.product or ""))
            name = index.facts.names.name
            loads = [load for x in lots for load in self._materials.loads(x)]
            loads.sort(key=lambda x: (-(2**63) if x.start_ns is None else x.start_ns, x.lot))
            return WhereUsed(
                lot=lot,
                lots=tuple(sorted(name(x) or "" for x in lots)),
                uses=tuple(found),
                loads=tuple(loads),
                watermark_lsn=self._watermark_lsn,
            )

    def _touched_by(self, lots: Iterable[int]) -> set[int]:
        """Units that may hold one of the lots; a superset."""
        index = self._index
        named: set[int] = set()
        found: set[int] = set()
        for lot in lots:
            named.update(index.facts.code(ref, "unit") for ref in index.lots.get(lot, ()))
            for station, slot, start_ns, end_ns in self._materials.windows_of(lot):
                found.update(self._stations.working(station, start_ns, end_ns))
                named |= index.unnamed.get((station, slot), set())
        return found | index.with_boards(named)

    def lots(self, search: str = "", limit: int = 100) -> list[str]:
        """Lots whose name contains ``search``, by name."""
        with self._lock:
            names = self._index.facts.names
            known = {
                names.name(x) or "" for x in self._index.loads.keys() | self._index.lots.keys()
            }
            return heapq.nsmallest(limit, (n for n in known if n and search in n))

    # -- results and places --------------------------------------------------------------------

    def tests(self, serial: str, product: str | None = None) -> list[TestResult]:
        """Test results of a unit; those that name no unit by its time at the station."""
        self.settle()
        with self._lock:
            view = self.view(serial, product)
            return self._results.tests(view, self._story(view))

    def vision(self, serial: str, product: str | None = None) -> list[VisionEvent]:
        """Vision events of a unit; those that name no unit by its time at the station."""
        self.settle()
        with self._lock:
            view = self.view(serial, product)
            return self._results.vision(view, self._story(view))

    def losses(self, start_ns: int, end_ns: int, known_until_ns: int) -> list[dict[str, object]]:
        """Gaps that collectors reported and that overlap ``[start, end)``, in order of report.

        Parameters
        ----------
        start_ns, end_ns : int
            The time of interest.
        known_until_ns : int
            A report that came later than this is not looked for.
        """
        events = self._reader.read_events("gap", start_ns, known_until_ns)
        columns = {name: column.objects() for name, column in events.data.items()}
        names = ("collector", "address", "start_ns", "end_ns", "count", "reason")
        found = []
        for i, time_ns in enumerate(events.timestamp_ns.tolist()):
            row = {name: columns[name][i] if name in columns else None for name in names}
            first, last = row["start_ns"], row["end_ns"]
            begun = time_ns if not isinstance(first, int) else first
            ended = time_ns + 1 if not isinstance(last, int) else max(last, begun + 1)
            if begun < end_ns and ended > start_ns:
                found.append(row)
        return found

    def stays(self, station: str) -> Stays:
        """Time that units spent at a station, for shares of what the station used."""
        self.settle()
        with self._lock:
            self._settle()
            return self._stations.stays(self._code(station))

    def stay(self, view: UnitView, visit: int) -> tuple[int, int]:
        """Bounds of a visit for matching: an open one ends some time after it was last seen."""
        return self._stations.stay(view, visit)

    def own_stay(self, view: UnitView, visit: int) -> tuple[int, int]:
        """Part of a visit in which the unit stood there itself; may be empty."""
        return self._stations.own_stay(view, visit)

    def _story(self, view: UnitView) -> list[Fact]:
        births = self._lineage.products(view.code)
        story = self._lineage.story(view.code).facts
        return self._builder.candidate(story, view.code, view.product, births)

    def _code(self, name: str) -> int:
        return self._index.facts.names.find(name)


def _newest_first(unit: Unit) -> tuple[int, str, str]:
    return (-unit.last_ns, unit.key.serial, unit.key.product or "")
