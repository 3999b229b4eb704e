"""The line: panels are printed, placed, soldered, split; boards are tested, repaired, finished."""

from collections.abc import Callable
from typing import Any

from connectors.simulator import cameras
from connectors.simulator.chance import seeded
from connectors.simulator.config import BOARDS_PER_PANEL, LINE, PlantConfig
from connectors.simulator.discrete import EventLoop, Places, Process
from connectors.simulator.materials import Feeder, Store
from connectors.simulator.output import Journal
from connectors.simulator.stations import PLACED_TWICE, STATIONS, Station

_PANELS_PER_ORDER = 20
_PRODUCTS = ("CTRL-A", "CTRL-B")
_CARRIERS = 24
_TRAY_PLACES = 20
_REPRINTS_MAX = 2
_REPAIRS_MAX = 2
_REPAIR_PARTS = ("R-10K", "C-100N", "U-LDO33")


class Line:
    """All stations and the life of what runs through them.

    Parameters
    ----------
    config : PlantConfig
    loop : EventLoop
    journal : Journal
        Receives events and truth.
    """

    def __init__(self, config: PlantConfig, loop: EventLoop, journal: Journal) -> None:
        self.config = config
        self._loop = loop
        self._journal = journal
        self._takt_ns = config.takt_ns
        self._random = seeded(config.seed, "line")
        store = Store(seeded(config.seed, "store"), config.run)
        self.stations: dict[str, Station] = {}
        for spec in STATIONS:
            feeder = Feeder(
                spec.name,
                spec.slots,
                exact=spec.exact,
                change_ns=round(0.12 * self._takt_ns),
                loop=loop,
                journal=journal,
                store=store,
                random=seeded(config.seed, spec.name, "feeder"),
                topic=self._topic(spec.name, "event"),
            )
            self.stations[spec.name] = Station(spec, loop, self._takt_ns, feeder)
        self._carriers = Places(loop, _CARRIERS)
        self._tray: list[str] = []
        self._tray_count = 0
        self._cart_count = 0
        self.boards_running = 0
        self.launching = True

    @staticmethod
    def _topic(name: str, what: str) -> str:
        return f"plant/{LINE}/{name}/{what}"

    def _event(self, place: str, kind: str, /, **columns: object) -> None:
        self._journal.event(f"{LINE}/{place}", self._topic(place, "event"), kind, **columns)

    def _takts(self, count: float) -> int:
        return round(count * self._takt_ns)

    def launch(self) -> Process:
        """Load all slots, then send a panel down the line each takt."""
        for station in self.stations.values():
            station.feeder.fill()
        yield self._takts(0.05)
        limit = self.config.boards
        number = 0
        while limit is None or number * BOARDS_PER_PANEL < limit:
            number += 1
            self.boards_running += BOARDS_PER_PANEL
            self._loop.start(self._panel(number))
            yield self._takt_ns
        self.launching = False

    def _panel(self, number: int) -> Process:
        run = self.config.run
        panel = f"P{run}-{number:05d}"
        order = f"WO{run}-{(number - 1) // _PANELS_PER_ORDER + 1:03d}"
        product = _PRODUCTS[((number - 1) // _PANELS_PER_ORDER) % len(_PRODUCTS)]
        place = yield self._carriers
        carrier = f"C-{place:02d}"
        self._event(
            "st1", "unit_created", unit=panel, product=product, unit_kind="panel", order=order
        )
        self._event("st1", "carrier_loaded", carrier=carrier, unit=panel, nest="1", station="st1")
        self._journal.truth("unit", unit=panel, unit_kind="panel", product=product, order=order)
        seen: list[dict[str, Any]] = []
        for attempt in range(_REPRINTS_MAX + 1):
            last = attempt == _REPRINTS_MAX
            printed = yield from self._visit(
                "st1", panel, product, self._print(panel, last=last), seen=seen, carrier=carrier
            )
            if printed == "PASS":
                break
            yield self._takts(0.6)  # washed, and back to the printer
        yield from self._place(panel, product, seen, "st2", carrier)
        second = min(PLACED_TWICE, key=lambda name: (self.stations[name].nests.load, name))
        yield from self._place(panel, product, seen, second, carrier)
        yield from self._visit("st4", panel, product, self._work("st4"), carrier=carrier)
        yield self._takts(0.1)
        boards: list[tuple[str, dict[str, str]]] = []
        split = self._split(panel, product, order, seen, boards)
        yield from self._visit("st5", panel, product, split, carrier=carrier)
        self._event("st5", "carrier_unloaded", carrier=carrier, unit=panel, nest="1", station="st5")
        self._carriers.release(place)
        for board, placed in boards:
            self._loop.start(self._board(board, placed, product))

    def _visit(
        self,
        name: str,
        unit: str,
        product: str,
        work: Process,
        *,
        seen: list[dict[str, Any]] | None = None,
        carrier: str | None = None,
    ) -> Process:
        """One stay at a station; ``work`` is done between start and end and gives the verdict."""
        station = self.stations[name]
        place = yield station.nests
        nest = str(place) if station.spec.nests > 1 else None
        if station.spec.nests == 1:
            boards = 1 if name == "rework" else BOARDS_PER_PANEL
            yield from station.feeder.prepare(boards, always=name == "rework")
        yield self._takts(0.02)
        where = {"unit": unit, "station": name, "nest": nest}
        in_ns = self._loop.now_ns
        self._event(name, "unit_arrived", carrier=carrier, **where)
        yield self._takts(0.04)
        start_ns = self._loop.now_ns
        recipe = f"{station.spec.kind}-{product}"
        station.begin(place, unit, recipe, self._random)
        self._event(name, "work_started", recipe=recipe, **where)
        verdict: str = yield from work
        end_ns = self._loop.now_ns
        station.end(place, good=verdict == "PASS")
        self._event(name, "work_completed", verdict=verdict, **where)
        if seen is not None and not station.spec.exact:
            seen += self._seen_by_time(station, start_ns, end_ns)
        yield self._takts(0.04)
        self._event(name, "unit_departed", verdict=verdict, carrier=carrier, **where)
        self._journal.truth(
            "visit",
            unit=unit,
            station=name,
            nest=nest,
            in_ns=in_ns,
            start_ns=start_ns,
            end_ns=end_ns,
            out_ns=self._loop.now_ns,
            verdict=verdict,
        )
        yield self._takts(0.02)
        station.nests.release(place)
        return verdict

    def _seen_by_time(self, station: Station, start_ns: int, end_ns: int) -> list[dict[str, Any]]:
        return [
            {
                "lot": lot,
                "station": station.name,
                "slot": slot,
                "position": None,
                "evidence": "WINDOW" if len(lots) == 1 else "AMBIGUOUS",
            }
            for slot, lots in station.feeder.loaded_during(start_ns, end_ns).items()
            for lot in dict.fromkeys(lots)
        ]

    def _work(self, name: str) -> Process:
        station = self.stations[name]
        yield round(station.work_ns * self._random.uniform(0.95, 1.05))
        return "PASS"

    def _print(self, panel: str, *, last: bool) -> Process:
        yield from self._fed_work("st1", panel)
        good = last or self._random.random() > 0.04
        volume = self._random.gauss(101.0, 2.0) if good else self._random.uniform(55.0, 78.0)
        self._test("st1", panel, "paste_volume", volume, ("%", 80.0, 120.0))
        return "PASS" if good else "FAIL"

    def _fed_work(self, name: str, unit: str) -> Process:
        """Work that feeds the four boards of a panel one after the other."""
        station = self.stations[name]
        used: list[dict[str, Any]] = []
        for position in range(1, BOARDS_PER_PANEL + 1):
            used += yield from station.feeder.feed(unit, position)
            yield round(station.work_ns / BOARDS_PER_PANEL * self._random.uniform(0.95, 1.05))
        return used

    def _place(
        self, panel: str, product: str, seen: list[dict[str, Any]], name: str, carrier: str
    ) -> Process:
        used: list[dict[str, Any]] = []

        def work() -> Process:
            used.extend((yield from self._fed_work(name, panel)))
            return "PASS"

        yield from self._visit(name, panel, product, work(), seen=seen, carrier=carrier)
        if self.stations[name].spec.exact:
            seen += [{**use, "evidence": "EXACT"} for use in used]
        yield self._takts(0.1)

    def _split(
        self,
        panel: str,
        product: str,
        order: str,
        seen: list[dict[str, Any]],
        boards: list[tuple[str, dict[str, str]]],
    ) -> Process:
        yield from self._work("st5")
        for position in range(1, BOARDS_PER_PANEL + 1):
            board = f"B{panel[1:]}-{position}"
            born = {"unit": board, "position": position}
            self._event(
                "st5",
                "unit_created",
                product=product,
                unit_kind="board",
                order=order,
                parent=panel,
                **born,
            )
            self._event("st5", "panel_split", panel=panel, station="st5", **born)
            self._journal.truth(
                "unit", unit_kind="board", product=product, order=order, parent=panel, **born
            )
            mine = [use for use in seen if use["position"] in {None, position}]
            for use in mine:
                self._saw(board, use)
            placed = {use["part"]: use["lot"] for use in mine if use["evidence"] == "EXACT"}
            boards.append((board, placed))
        for board, _ in boards:
            begin_ns = self._loop.now_ns
            yield self._takts(0.03)
            now_ns = self._loop.now_ns
            cameras.inspect(self._camera("cam5"), self._random, begin_ns, now_ns, board)
        return "PASS"

    def _saw(self, board: str, use: dict[str, Any]) -> None:
        facts = {key: use[key] for key in ("lot", "station", "slot", "evidence")}
        self._journal.truth("saw", unit=board, **facts)

    def _board(self, board: str, placed: dict[str, str], product: str) -> Process:
        yield self._takts(0.1)
        verdict = "FAIL"
        for repairs in range(_REPAIRS_MAX + 1):
            bad = 0.06 if repairs == 0 else 0.25
            work = self._check(board, good=self._random.random() > bad, first=repairs == 0)
            verdict = yield from self._visit("st6", board, product, work)
            if verdict == "PASS" or repairs == _REPAIRS_MAX:
                break
            cart = self._move(board, "st6", "rework")
            yield self._takts(0.3)
            yield from self._visit("rework", board, product, self._repair(board, placed))
            self._move(board, "rework", "st6", cart)
            yield self._takts(0.3)
        self._finish(board, verdict)

    def _camera(self, camera: str) -> Callable[..., None]:
        def publish(**columns: object) -> None:
            topic = self._topic(camera, "vision")
            self._journal.event(f"{LINE}/{camera}", topic, "vision_event", camera=camera, **columns)

        return publish

    def _check(self, board: str, *, good: bool, first: bool) -> Process:
        station = self.stations["st6"]
        if first:  # a repaired board keeps its label and housing
            used = yield from station.feeder.feed(board, None)
            for use in used:
                self._saw(board, {**use, "evidence": "EXACT"})
        begin_ns = self._loop.now_ns
        yield round(station.work_ns * self._random.uniform(0.95, 1.05))
        cameras.watch_assembly(
            self._camera("cam6"), self._random, begin_ns, self._loop.now_ns, board
        )
        random = self._random
        self._test("st6", board, "supply_voltage", random.gauss(3.30, 0.01), ("V", 3.2, 3.4))
        current = random.gauss(42.0, 1.5) if good else random.uniform(61.0, 90.0)
        self._test("st6", board, "supply_current", current, ("mA", 30.0, 55.0))
        self._test("st6", board, "rf_power", random.gauss(4.0, 0.3), ("dBm", 2.0, 6.0))
        return "PASS" if good else "FAIL"

    def _test(
        self, station: str, unit: str, test: str, value: float, limits: tuple[str, float, float]
    ) -> None:
        eng_unit, low, high = limits
        verdict = "PASS" if low <= value <= high else "FAIL"
        facts: dict[str, Any] = {"unit": unit, "station": station, "test": test}
        facts |= {"verdict": verdict, "value": round(value, 4), "eng_unit": eng_unit}
        self._event(station, "test_result", low=low, high=high, **facts)
        self._journal.truth("test", **facts)

    def _repair(self, board: str, placed: dict[str, str]) -> Process:
        """Take one component off and put another on; ``placed`` knows the lot of each part."""
        station = self.stations["rework"]
        yield round(station.work_ns * self._random.uniform(0.6, 1.4))
        part = self._random.choice(_REPAIR_PARTS)
        removed = {"unit": board, "lot": placed[part], "part": part, "station": "rework"}
        self._event("rework", "material_removed", quantity=1.0, **removed)
        self._journal.truth("removed", **removed)
        yield self._takts(0.05)
        use = station.feeder.pick(part, board)
        self._saw(board, {**use, "evidence": "EXACT"})
        placed[part] = use["lot"]
        return "PASS"

    def _move(self, board: str, origin: str, target: str, cart: str = "") -> str:
        if not cart:
            self._cart_count += 1
            cart = f"CART-{self._cart_count % 4 + 1}"
        self._event(
            origin, "cart_moved", cart=cart, from_location=origin, to_location=target, unit=board
        )
        return cart

    def _finish(self, board: str, verdict: str) -> None:
        self.boards_running -= 1
        self._journal.truth("finished", unit=board, verdict=verdict, time_ns=self._loop.now_ns)
        if verdict != "PASS":
            return
        tray = f"TRAY{self.config.run}-{self._tray_count + 1:04d}"
        self._tray.append(board)
        nest = str(len(self._tray))
        self._event("st6", "carrier_loaded", carrier=tray, unit=board, nest=nest, station="st6")
        if len(self._tray) == _TRAY_PLACES:
            self._tray.clear()
            self._tray_count += 1
            self._event(
                "st6", "cart_moved", cart=tray, from_location="st6", to_location="warehouse"
            )
