"""Process tags of a station over time: they react to what the station does and to which unit."""

import math
from collections.abc import Callable
from zlib import crc32

from connectors.simulator.chance import seeded
from connectors.simulator.config import LINE, PlantConfig
from connectors.simulator.discrete import EventLoop, Process
from connectors.simulator.node import Node, Row, Value
from connectors.simulator.output import Journal
from connectors.simulator.stations import STATIONS, Station
from connectors.simulator.tags import COMMON, OWN, TagSpec
from storage_engine.sample import ValueType

BAD_SENSOR_FAILURE = 0x808C_0000
_FAILURE_CHANCE = 2e-5  # per sample
_FAILURE_SAMPLES = 15

STATIONS_WITH_TAGS = tuple(spec for spec in STATIONS if spec.kind in OWN)


def plant_nodes() -> tuple[Node, ...]:
    """All process tags, in the order of their row numbers: stations in line order, 30 each."""
    nodes: list[Node] = []
    for spec in STATIONS_WITH_TAGS:
        path = (LINE, spec.name)
        nodes += [Node(path, name, type_, text, eng_unit) for name, type_, eng_unit, text in COMMON]
        for tag in OWN[spec.kind]:
            text = f"{tag.name.replace('_', ' ')} of {spec.name}"
            low, high = tag.span
            nodes.append(
                Node(path, tag.name, ValueType.FLOAT64, text, tag.eng_unit, low=low, high=high)
            )
    return tuple(nodes)


class StationProcess:
    """Samples the tags of one station.

    Parameters
    ----------
    station : Station
    first_node : int
        Row number of its first tag.
    """

    def __init__(self, station: Station, first_node: int, loop: EventLoop, seed: int) -> None:
        self._station = station
        self._first = first_node
        self._loop = loop
        self._random = seeded(seed, station.name, "process")
        self._own = OWN[station.spec.kind]
        self._level = [tag.idle for tag in self._own]
        self._failed = [0] * len(self._own)
        self._last: list[Value] = [None] * len(COMMON)
        self._since_ns = loop.now_ns

    def sample(self) -> list[Row]:
        """Rows of now: all numbers, and those states and counters that changed."""
        now_ns = self._loop.now_ns
        elapsed_s = (now_ns - self._since_ns) / 1e9
        self._since_ns = now_ns
        rows: list[Row] = []
        for index, value in enumerate(self._common()):
            if value != self._last[index]:
                self._last[index] = value
                rows.append((self._first + index, now_ns, 0, value))
        node = self._first + len(COMMON)
        for index, tag in enumerate(self._own):
            rows.append(self._row(node + index, index, tag, elapsed_s, now_ns))
        return rows

    def _common(self) -> list[Value]:
        station = self._station
        unit = next(iter(station.units.values()), "")
        return [
            station.doing,
            station.recipe,
            unit,
            station.cycle_count,
            station.good_count,
            station.reject_count,
            round(station.last_cycle_ns / 1e9, 3),
            round(station.power_w, 1),
            station.energy_wh(),
            not station.feeder.changing,
        ]

    def _row(self, node: int, index: int, tag: TagSpec, elapsed_s: float, now_ns: int) -> Row:
        random = self._random
        noise = random.gauss(0.0, tag.noise)
        if self._failed[index]:
            self._failed[index] -= 1
            return (node, now_ns, BAD_SENSOR_FAILURE, None)
        if random.random() < _FAILURE_CHANCE:
            self._failed[index] = _FAILURE_SAMPLES
        target = self._target(index, tag)
        if tag.tau_s:
            gain = 1.0 - math.exp(-elapsed_s / tag.tau_s)
            self._level[index] += (target - self._level[index]) * gain
        else:
            self._level[index] = target
        return (node, now_ns, 0, round(self._level[index] + noise, 4))

    def _target(self, index: int, tag: TagSpec) -> float:
        station = self._station
        if not station.units:
            return tag.idle
        unit = next(iter(station.units.values()))
        # Each unit pulls each tag a little its own way: up to 3 % of the stroke.
        pull = crc32(f"{unit}/{index}".encode()) % 601 / 10_000 - 0.03
        stroke = (tag.work - tag.idle) * (1.0 + pull)
        if station.recipe.endswith("B"):
            stroke *= 0.97
        if tag.tau_s:
            return tag.idle + stroke
        done = (self._loop.now_ns - station.started_ns) / max(1, station.work_ns)
        return tag.idle + stroke * math.sin(math.pi * min(1.0, max(0.0, done)))


def sampling(
    config: PlantConfig,
    stations: dict[str, Station],
    loop: EventLoop,
    journal: Journal,
    running: Callable[[], bool],
) -> list[Process]:
    """Processes that sample all stations, spread evenly over the period."""
    if config.sample_period_s is None:
        return []
    period_ns = round(config.sample_period_s * 1e9)
    per_station = len(COMMON) + len(OWN["printer"])

    def run(process: StationProcess, delay_ns: int) -> Process:
        yield delay_ns
        while running():
            journal.rows(process.sample())
            yield period_ns

    return [
        run(
            StationProcess(stations[spec.name], order * per_station, loop, config.seed),
            order * period_ns // len(STATIONS_WITH_TAGS) // 1_000 * 1_000,
        )
        for order, spec in enumerate(STATIONS_WITH_TAGS)
    ]
