"""Settings of the server itself: the store, the door, the limits of ingest."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from historian.config_toml import INLINE
from storage_engine.config import EngineConfig

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """``[store]``: where everything lies and how much of the machine it may take.

    Attributes
    ----------
    path : Path
        Folder of this historian: ``engine/``, ``catalog.sqlite``, and by default token and spools.
    compaction_bytes_per_s : int
        Bytes that compaction may read and write in a second.
    engine : EngineConfig
        Limits of the engine; its keys stand in ``[store]`` too.
    """

    path: Path = Path("data")
    compaction_bytes_per_s: int = 8 * MIB
    engine: EngineConfig = field(default_factory=EngineConfig, metadata=INLINE)

    def __post_init__(self) -> None:
        if self.compaction_bytes_per_s < 1:
            message = f"got compaction_bytes_per_s {self.compaction_bytes_per_s}, want >= 1"
            raise ValueError(message)

    @property
    def engine_path(self) -> Path:
        """Folder of the engine's files."""
        return self.path / "engine"

    @property
    def catalog_path(self) -> Path:
        """File of the catalog."""
        return self.path / "catalog.sqlite"


@dataclass(frozen=True, slots=True)
class HttpConfig:
    """``[http]``: the server's door.

    Attributes
    ----------
    host : str
        Address to listen on; loopback unless changed.
    port : int
        TCP port; 0 takes a free one.
    token_file : Path
        Where the administrator's token is written at the first start (mode 0600).
        Unset: ``admin.token`` in the store's folder.
    body_bytes_max : int
        Largest request body.
    """

    host: str = "127.0.0.1"
    port: int = 8650
    token_file: Path = Path("data/admin.token")
    body_bytes_max: int = 16 * MIB


@dataclass(frozen=True, slots=True)
class IngestConfig:
    """``[ingest]``: what a row must fulfil, and how much may wait.

    Attributes
    ----------
    time_min : str
        Oldest time accepted, RFC 3339; older rows are rejected into quarantine.
    time_ahead_max_s : float
        How far ahead of the server's clock a row may lie.
    rows_per_request_max : int
        Rows of one frame or one HTTP write.
    in_flight_bytes_max : int
        Bytes of requests being written at one time; beyond it callers are asked to come back.
    rejects_listed_max : int
        Rejected rows that a receipt lists one by one; the count is always complete.
    quarantine_rows_per_hour_max : int
        Rejected rows and messages kept per source and hour; the rest are counted only.
    quarantine_rows_per_request_max : int
        Of these, rows kept of one frame or write.
    quarantine_payload_bytes_max : int
        Bytes kept of a rejected payload.
    sources_counted_max : int
        Sources with counters of their own; further ones are counted together as ``other``.
    producers_max : int
        Producers whose slots are held in memory; the least recently heard is forgotten first.
    slots_per_producer_max : int
        Slots (addresses and event kinds) of one producer.
    tags_max : int
        Tags that the catalog holds; beyond it rules make no new ones.
    descriptions_waiting_max : int
        Descriptions by sources kept until their tags exist.
    events_per_request_max : int
        Events of one HTTP write.
    """

    time_min: str = "1990-01-01T00:00:00Z"
    time_ahead_max_s: float = 86_400.0
    rows_per_request_max: int = 1_000_000
    in_flight_bytes_max: int = 64 * MIB
    rejects_listed_max: int = 100
    quarantine_rows_per_hour_max: int = 10_000
    quarantine_rows_per_request_max: int = 1_000
    quarantine_payload_bytes_max: int = 65_536
    sources_counted_max: int = 1_000
    producers_max: int = 1_024
    slots_per_producer_max: int = 100_000
    tags_max: int = 200_000
    descriptions_waiting_max: int = 20_000
    events_per_request_max: int = 100_000

    def __post_init__(self) -> None:
        if datetime.fromisoformat(self.time_min).tzinfo is None:
            message = f"got time_min {self.time_min!r}, want a time with an offset such as Z"
            raise ValueError(message)

    @property
    def time_min_ns(self) -> int:
        """``time_min`` as nanoseconds since 1970, UTC."""
        moment = datetime.fromisoformat(self.time_min)
        return int(moment.astimezone(UTC).timestamp()) * 1_000_000_000

    @property
    def time_ahead_max_ns(self) -> int:
        """``time_ahead_max_s`` in nanoseconds."""
        return int(self.time_ahead_max_s * 1e9)
