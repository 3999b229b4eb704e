"""Reels at slots: what is loaded where, when it runs out, and which board saw which reel."""

from collections.abc import Generator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from connectors.simulator.config import LINE
from connectors.simulator.discrete import EventLoop, Places, Process
from connectors.simulator.output import Journal


@dataclass(frozen=True, slots=True)
class SlotSpec:
    """A slot of a station: which part it feeds, how much a board takes, how much a reel holds."""

    slot: str
    part: str
    per_board: int
    reel: int


@dataclass(slots=True)
class Reel:
    """A lot: one reel, jar or bin with what is left of it."""

    lot: str
    part: str
    supplier_lot: str
    quantity: int


@dataclass(slots=True)
class _Load:
    reel: Reel
    start_ns: int
    end_ns: int | None = None


@dataclass(slots=True)
class _Slot:
    spec: SlotSpec
    loads: list[_Load] = field(default_factory=list)

    @property
    def reel(self) -> Reel:
        return self.loads[-1].reel


class Store:
    """The shelf: new lots without end, and partly used reels that came back."""

    def __init__(self, random: Random, run: str) -> None:
        self._random = random
        self._run = run
        self._count = 0
        self._partial: dict[str, list[Reel]] = {}

    def fetch(self, part: str, quantity: int) -> Reel:
        """Take a reel of a part; one time in three a partly used one, when there is one."""
        partial = self._partial.get(part)
        if partial and self._random.random() < 0.34:
            return partial.pop(0)
        self._count += 1
        delivery = self._count // 12
        lot = f"L{self._run}-{self._count:05d}"
        return Reel(lot, part, f"S-{part}-{delivery:03d}", quantity)

    def put_back(self, reel: Reel) -> None:
        """Return a reel; an empty one is thrown away."""
        if reel.quantity > 0:
            self._partial.setdefault(reel.part, []).append(reel)


class Feeder:
    """The slots of one station.

    Parameters
    ----------
    exact : bool
        Whether the station reports each consumption; else only loads are known, and what a board
        saw follows from the time.
    change_ns : int
        How long a change takes.
    """

    def __init__(
        self,
        station: str,
        specs: tuple[SlotSpec, ...],
        *,
        exact: bool,
        change_ns: int,
        loop: EventLoop,
        journal: Journal,
        store: Store,
        random: Random,
        topic: str,
    ) -> None:
        self.station = station
        self.exact = exact
        self.changing = False
        self._slots = tuple(_Slot(spec) for spec in specs)
        self._change_ns = change_ns
        self._loop = loop
        self._journal = journal
        self._store = store
        self._random = random
        self._topic = topic
        self._hands = Places(loop, 1)  # one board is fed at a time

    def _event(self, kind: str, **columns: object) -> None:
        source = f"{LINE}/{self.station}/feeder"
        self._journal.event(source, self._topic, kind, station=self.station, **columns)

    def fill(self) -> None:
        """Load every slot."""
        for slot in self._slots:
            self._load(slot)

    def _load(self, slot: _Slot) -> None:
        spec = slot.spec
        reel = self._store.fetch(spec.part, spec.reel)
        slot.loads.append(_Load(reel, self._loop.now_ns))
        del slot.loads[:-8]  # older loads cannot overlap a visit any more
        self._event(
            "material_loaded",
            lot=reel.lot,
            part=reel.part,
            supplier_lot=reel.supplier_lot,
            slot=spec.slot,
            quantity=float(reel.quantity),
        )

    def _unload(self, slot: _Slot) -> None:
        load = slot.loads[-1]
        load.end_ns = self._loop.now_ns
        reel = load.reel
        self._event(
            "material_unloaded", lot=reel.lot, slot=slot.spec.slot, quantity=float(reel.quantity)
        )
        self._journal.truth(
            "load",
            lot=reel.lot,
            part=reel.part,
            station=self.station,
            slot=slot.spec.slot,
            start_ns=load.start_ns,
            end_ns=load.end_ns,
        )
        self._store.put_back(reel)

    def _change(self, slot: _Slot) -> Process:
        self.changing = True
        self._unload(slot)
        yield self._change_ns
        self._load(slot)
        self.changing = False

    def prepare(self, boards: int, *, always: bool) -> Process:
        """Change reels that will not last, while the station is empty.

        Without ``always`` half of them are overlooked and run out in the middle of a unit.
        """
        for slot in self._slots:
            short = slot.reel.quantity < slot.spec.per_board * boards
            if short and (always or self._random.random() < 0.5):
                yield from self._change(slot)

    def feed(self, unit: str, position: int | None) -> Generator[Any, Any, list[dict[str, Any]]]:
        """Feed one board; changes reels that run out. Returns (slot, part, lot, quantity) used."""
        used: list[dict[str, Any]] = []
        hand = yield self._hands
        for slot in self._slots:
            wanted = slot.spec.per_board
            while wanted:
                if not slot.reel.quantity:
                    yield from self._change(slot)
                count = min(wanted, slot.reel.quantity)
                slot.reel.quantity -= count
                wanted -= count
                used.append(self._consumed(slot, unit, position, count))
        self._hands.release(hand)
        return used

    def pick(self, part: str, unit: str) -> dict[str, Any]:
        """Use one piece of a part for a repair."""
        slot = next(slot for slot in self._slots if slot.spec.part == part)
        slot.reel.quantity -= 1
        return self._consumed(slot, unit, None, 1)

    def _consumed(self, slot: _Slot, unit: str, position: int | None, count: int) -> dict[str, Any]:
        fact: dict[str, Any] = {
            "lot": slot.reel.lot,
            "part": slot.spec.part,
            "slot": slot.spec.slot,
            "quantity": float(count),
            "position": position,
        }
        if self.exact:
            self._event("material_consumed", unit=unit, **fact)
        return {**fact, "station": self.station, "time_ns": self._loop.now_ns}

    def loaded_during(self, start_ns: int, end_ns: int) -> dict[str, list[str]]:
        """Lots at each slot while [start, end) lasted, in order."""
        return {
            slot.spec.slot: [
                load.reel.lot
                for load in slot.loads
                if load.start_ns < end_ns and (load.end_ns is None or load.end_ns > start_ns)
            ]
            for slot in self._slots
        }
