"""Settings of what brings data in: sources, collectors, the simulator."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from historian.config_server import MIB
from historian.config_toml import NOT_A_KEY

LOCAL_COLLECTOR = "local"
MAX_S_MOST = 31_536_000.0


@dataclass(frozen=True, slots=True)
class ThinningConfig:
    """``[[sources.thinning]]``: values of some addresses that its collector may leave out.

    Attributes
    ----------
    address : str
        Pattern of addresses, such as ``oven/*``; the first rule that matches holds.
    kind : str
        ``exception``: what is within the deviation of the value before; ``swinging_door``: of the
        line between its neighbours; ``none``: nothing.
    deviation : float
        How far off a value that was left out may be.
    deviation_percent : float
        The same in percent of the range that the source describes, instead.
    max_s : float
        Seconds after which a value is sent in any case.
    """

    address: str
    kind: Literal["exception", "swinging_door", "none"]
    deviation: float = 0.0
    deviation_percent: float = 0.0
    max_s: float = 600.0

    def __post_init__(self) -> None:
        if self.deviation and self.deviation_percent:
            raise ValueError("got deviation and deviation_percent, want one of them")
        if not all(map(math.isfinite, (self.deviation, self.deviation_percent))):
            raise ValueError("got a deviation that is not finite, want a number")
        if not 0 < self.max_s <= MAX_S_MOST:
            raise ValueError(f"got max_s {self.max_s}, want more than 0, at most {MAX_S_MOST:.0f}")


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """``[[sources]]``: one system that a collector reads.

    Attributes
    ----------
    name : str
        Unique name; tag rules match it.
    kind : str
        Connector: ``opcua``, ``mqtt`` or ``sparkplug``.
    collector : str
        Collector that hosts it; when no collector is configured, ``local`` is made.
    settings : Mapping
        The connector's own settings; it refuses unknown ones itself.
    thinning : tuple of ThinningConfig
        ``[[sources.thinning]]``; none: every value is sent.
    """

    name: str
    kind: str
    collector: str = LOCAL_COLLECTOR
    settings: Mapping[str, Any] = field(default_factory=dict)
    thinning: tuple[ThinningConfig, ...] = ()


@dataclass(frozen=True, slots=True)
class CollectorConfig:
    """``[[collectors]]``: a process that reads sources into a spool and sends it on.

    Attributes
    ----------
    name : str
        Unique name.
    supervised : bool
        Started and watched by ``historian serve``; else run ``historian collect`` by hand.
    spool_path : Path
        Folder of its spool. Unset: ``spool/<name>`` in the store's folder.
    spool_bytes_max : int
        Bytes the spool may take on disk.
    spool_full : str
        ``refuse``: sources wait; ``drop_oldest``: the loss is written as a gap.
    server_url : str
        Where it sends. Unset: this configuration's ``[http]``.
    token_file : Path
        File of its bearer token. Unset: ``http.token_file``.
    frame_rows_max : int
        Rows at which a frame is closed; what waits by then goes with it, up to ten times as many.
    linger_ms : int
        Time after which a frame is closed with fewer rows.
    quarantine_payload_bytes_max : int
        Bytes kept of a message that could not be mapped.
    sources : tuple of SourceConfig
        Filled from ``[[sources]]``; not a key of the file.
    """

    name: str
    supervised: bool = True
    spool_path: Path = Path("data/spool")
    spool_bytes_max: int = 1_024 * MIB
    spool_full: Literal["refuse", "drop_oldest"] = "refuse"
    server_url: str = "http://127.0.0.1:8650"
    token_file: Path = Path("data/admin.token")
    frame_rows_max: int = 1_000
    linger_ms: int = 200
    quarantine_payload_bytes_max: int = 65_536
    sources: tuple[SourceConfig, ...] = field(default=(), metadata=NOT_A_KEY)


@dataclass(frozen=True, slots=True)
class SimulatorConfig:
    """``[simulator]``: the electronics line that needs no plant.

    Attributes
    ----------
    enabled : bool
        Started and watched by ``historian serve``.
    seed : int
        Same seed, same line.
    speed : float
        Simulated seconds per second.
    boards_per_hour : float
        Boards the line finishes in a simulated hour.
    opcua_port : int
        TCP port of its OPC UA server.
    mqtt_port : int
        TCP port of its MQTT broker.
    broker : str
        ``mosquitto``, ``embedded`` (in Python), or ``auto``: mosquitto where it is installed.
    truth_path : Path
        File it writes the truth to, one JSON object a line. Unset: ``truth.jsonl`` in the store's
        folder.
    """

    enabled: bool = False
    seed: int = 1
    speed: float = 1.0
    boards_per_hour: float = 2_400.0
    opcua_port: int = 48_650
    mqtt_port: int = 18_650
    broker: Literal["auto", "mosquitto", "embedded"] = "auto"
    truth_path: Path = Path("data/truth.jsonl")
