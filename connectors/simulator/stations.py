"""The stations of the line: what stands where, how long it works, what it is fed with."""

from dataclasses import dataclass
from random import Random

from connectors.simulator.discrete import EventLoop, Places
from connectors.simulator.materials import Feeder, SlotSpec


@dataclass(frozen=True, slots=True)
class StationSpec:
    """A station as planned.

    Attributes
    ----------
    name, kind : str
        Name in events; kind of machine, which decides its process tags.
    nests : int
        Units that it works on at a time.
    work_takts : float
        Time of work per unit, in takts.
    idle_w, work_w : float
        Power drawn, idle and per unit being worked on.
    exact : bool
        Whether it reports each consumption.
    slots : tuple of SlotSpec
    """

    name: str
    kind: str
    nests: int
    work_takts: float
    idle_w: float
    work_w: float
    exact: bool = False
    slots: tuple[SlotSpec, ...] = ()


def _slots(*rows: tuple[str, str, int, int]) -> tuple[SlotSpec, ...]:
    return tuple(SlotSpec(*row) for row in rows)


_SECOND_PLACEMENT = _slots(
    ("1", "U-MCU32", 1, 90),
    ("2", "Q-FET40V", 2, 240),
    ("3", "J-USBC", 1, 75),
    ("4", "Y-8MHZ", 1, 130),
    ("5", "D-LEDGRN", 2, 210),
    ("6", "L-22UH", 1, 110),
)

STATIONS: tuple[StationSpec, ...] = (
    StationSpec("st1", "printer", 1, 0.55, 400, 1_100, False, _slots(("jar", "PASTE-T4", 1, 150))),
    StationSpec(
        "st2",
        "placement",
        1,
        0.60,
        600,
        1_900,
        True,
        _slots(
            ("1", "R-10K", 6, 900),
            ("2", "R-4K7", 4, 560),
            ("3", "C-100N", 8, 1_000),
            ("4", "C-10U", 2, 330),
            ("5", "D-SCHOTTKY", 1, 170),
            ("6", "U-LDO33", 1, 95),
            ("7", "Q-NPN", 2, 410),
            ("8", "L-2U2", 1, 140),
        ),
    ),
    StationSpec("st3a", "placement", 1, 1.20, 600, 2_100, False, _SECOND_PLACEMENT),
    StationSpec("st3b", "placement", 1, 1.20, 600, 2_100, False, _SECOND_PLACEMENT),
    StationSpec("st4", "oven", 4, 2.40, 12_000, 2_400),
    StationSpec("st5", "splitter", 1, 0.50, 300, 900),
    StationSpec(
        "st6",
        "tester",
        4,
        0.55,
        500,
        150,
        True,
        _slots(("label", "LABEL-40", 1, 260), ("housing", "HOUSING-A", 1, 64)),
    ),
    StationSpec(
        "rework",
        "bench",
        1,
        0.80,
        100,
        450,
        True,
        _slots(
            ("bin-r", "R-10K", 1, 20),
            ("bin-c", "C-100N", 1, 20),
            ("bin-u", "U-LDO33", 1, 12),
        ),
    ),
)
PLACED_TWICE = ("st3a", "st3b")
_MW_NS_PER_WH = 3_600 * 10**12


class Station:
    """A station at work: its nests, what it does now, how much energy it has used.

    Energy is counted in whole mW ns, so that it does not depend on how often it is read.
    """

    def __init__(self, spec: StationSpec, loop: EventLoop, takt_ns: int, feeder: Feeder) -> None:
        self.spec = spec
        self.name = spec.name
        self.feeder = feeder
        self.nests = Places(loop, spec.nests)
        self.work_ns = round(spec.work_takts * takt_ns)
        self.units: dict[int, str] = {}  # nest -> unit being worked on
        self.state = "idle"
        self.recipe = ""
        self.started_ns = loop.now_ns
        self.last_cycle_ns = 0
        self.cycle_count = 0
        self.good_count = 0
        self.reject_count = 0
        self.load_factor = 1.0
        self._loop = loop
        self._since_ns = loop.now_ns
        self._energy_mw_ns = 0

    @property
    def power_w(self) -> float:
        """Power drawn now."""
        return self.spec.idle_w + self.spec.work_w * len(self.units) * self.load_factor

    @property
    def doing(self) -> str:
        """idle, working or changeover."""
        return "changeover" if self.feeder.changing else self.state

    def settle(self) -> None:
        """Count the energy up to now; call before anything changes the power."""
        now_ns = self._loop.now_ns
        self._energy_mw_ns += round(self.power_w * 1_000) * (now_ns - self._since_ns)
        self._since_ns = now_ns

    def energy_wh(self) -> int:
        """Energy since the start, in whole watt-hours."""
        self.settle()
        return self._energy_mw_ns // _MW_NS_PER_WH

    def begin(self, nest: int, unit: str, recipe: str, random: Random) -> None:
        """Work on a unit starts."""
        self.settle()
        self.units[nest] = unit
        self.state = "working"
        self.recipe = recipe
        self.started_ns = self._loop.now_ns
        self.load_factor = random.uniform(0.9, 1.1)

    def end(self, nest: int, *, good: bool) -> None:
        """Work on a unit ends."""
        self.settle()
        del self.units[nest]
        self.cycle_count += 1
        self.good_count += int(good)
        self.reject_count += int(not good)
        self.last_cycle_ns = self._loop.now_ns - self.started_ns
        if not self.units:
            self.state = "idle"
