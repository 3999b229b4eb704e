"""The processes that ``historian serve`` starts and watches: its collectors and the simulator."""

import dataclasses
import json
import random
import sys
from typing import Any

from connectors.connector import Clock
from historian.collector.supervisor import Child, Supervisor
from historian.config import CollectorConfig, HistorianConfig, SimulatorConfig
from historian.errors import ConfigInvalid

SIMULATOR = "simulator"


class Children:
    """Starts what the configuration asks for; each ends when our end of its stdin closes.

    Parameters
    ----------
    config : HistorianConfig
        Collectors and simulator.
    clock : Clock
        Paces restarts.

    Raises
    ------
    ConfigInvalid
        If collectors are to be supervised, but there is no file that they could read.
    """

    def __init__(self, config: HistorianConfig, clock: Clock) -> None:
        wanted = [_collector(config, c) for c in config.collectors if c.supervised]
        if config.simulator.enabled:
            wanted.insert(0, _simulator(config.simulator))
        self._supervisor = Supervisor(wanted, clock, random.Random())  # noqa: S311 - jitter

    async def start(self) -> None:
        """Start them all; returns at once."""
        await self._supervisor.start()

    async def stop(self) -> None:
        """Ask them to end, wait, and end those that do not."""
        await self._supervisor.stop()

    def health(self) -> dict[str, Any]:
        """What is known of each."""
        return {name: dataclasses.asdict(s) for name, s in self._supervisor.status.items()}

    def running(self) -> int:
        """How many run now."""
        return sum(status.pid is not None for status in self._supervisor.status.values())


def _collector(config: HistorianConfig, collector: CollectorConfig) -> Child:
    if config.file is None:
        message = "cannot start collectors: got a configuration without a file, want one to hand on"
        raise ConfigInvalid(message, where=f"collectors.{collector.name}")
    module = (sys.executable, "-m", "historian.collector", "--config", str(config.file))
    return Child(f"collector {collector.name}", (*module, "--name", collector.name, "--supervised"))


def _simulator(simulator: SimulatorConfig) -> Child:
    settings = dataclasses.asdict(simulator)
    settings.pop("enabled")
    text = json.dumps(settings, default=str)
    return Child(SIMULATOR, (sys.executable, "-m", "connectors.simulator", "--config-json", text))
