"""Settings of the simulated plant: a pure value; the same settings give the same plant."""

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from connectors.connector import ConfigError

BOARDS_PER_PANEL = 4
LINE = "line1"


@dataclass(frozen=True, slots=True)
class PlantConfig:
    """The plant itself.

    Attributes
    ----------
    seed : int
        Same seed, same plant.
    start_ns : int
        Time of the first event, UTC. Serials and lots carry it, so that two runs never share one.
    boards_per_hour : float
        Rate of the line; all cycle times follow from it.
    boards : int or None
        Stop launching panels after this many boards; None runs for ever.
    sample_period_s : float or None
        How often process tags are sampled; None: no samples.
    meter_period_s : float
        How often energy meters are read.
    """

    seed: int = 1
    start_ns: int = 1_700_000_000_000_000_000
    boards_per_hour: float = 2_400.0
    boards: int | None = None
    sample_period_s: float | None = 1.0
    meter_period_s: float = 10.0

    @property
    def takt_ns(self) -> int:
        """Time between two panels."""
        return round(3_600e9 * BOARDS_PER_PANEL / self.boards_per_hour)

    @property
    def run(self) -> str:
        """Short text that serials and lots of this run carry."""
        return f"{self.start_ns // 1_000_000_000:x}".upper()


@dataclass(frozen=True, slots=True)
class LiveConfig:
    """The plant with its doors, paced by a clock; field names are those of ``[simulator]``.

    Attributes
    ----------
    seed, boards_per_hour
        See :class:`PlantConfig`.
    speed : float
        The line runs this many times faster; its times stay those of the clock.
    opcua_port, mqtt_port : int
        Ports on the loopback; 0 takes free ones.
    truth_path : Path or None
        Where the truth is appended as JSON lines.
    broker : str
        ``auto``, ``mosquitto`` or ``embedded``.
    """

    seed: int = 1
    speed: float = 1.0
    boards_per_hour: float = 2_400.0
    opcua_port: int = 48_650
    mqtt_port: int = 18_650
    truth_path: Path | None = None
    broker: str = "auto"


def read_live_config(text: str) -> LiveConfig:
    """Read the JSON object of ``--config-json``.

    Raises
    ------
    ConfigError
        If it is no object, a key is unknown, or a number is not positive.
    """
    try:
        table = json.loads(text)
    except json.JSONDecodeError as error:
        msg = f"cannot read simulator configuration: got {error}, want JSON"
        raise ConfigError(msg) from error
    if not isinstance(table, Mapping):
        msg = f"cannot read simulator configuration: got {table!r}, want an object"
        raise ConfigError(msg)
    settings: dict[str, Any] = {key: value for key, value in table.items() if key != "enabled"}
    known = [field.name for field in fields(LiveConfig)]
    for key in settings:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1) or known
            msg = f"cannot read simulator configuration: got {key!r}, want {near[0]!r}"
            raise ConfigError(msg)
    for key in ("speed", "boards_per_hour"):
        if key in settings and not settings[key] > 0:
            msg = f"cannot read simulator configuration: got {settings[key]}, want > 0, at {key}"
            raise ConfigError(msg)
    if settings.get("truth_path"):
        settings["truth_path"] = Path(settings["truth_path"])
    return LiveConfig(**settings)
