"""The contract of a connector: validate, run, status; and what its failures ask of the host."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from connectors.sink import Link, Sink


class ConnectorError(Exception):
    """Root of what a connector raises on purpose."""


class ConfigError(ConnectorError):
    """The configuration is wrong: the host stops this connector and says so."""


class SourceUnavailable(ConnectorError):  # noqa: N818 - a state of the source, not of ours
    """The source cannot be reached or went away: the host runs the connector again, later."""


class SinkFull(ConnectorError):  # noqa: N818
    """The spool refused a batch: stop reading the source until it takes more."""


class Clock(Protocol):
    """Time as a connector may use it."""

    def now_ns(self) -> int:
        """Nanoseconds since 1970, UTC."""
        ...

    def monotonic_s(self) -> float:
        """Seconds that never go back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


@dataclass(slots=True)
class ConnectorStatus:
    """Counters since start; the host publishes them as metrics and self-monitoring."""

    link: Link = Link.CONNECTING
    detail: str = ""
    received: int = 0  # samples and events taken from the source
    rejected: int = 0  # payloads or values that could not be mapped
    reconnects: int = 0
    gaps: int = 0  # named losses at the source (queue overflow, lost session)
    last_timestamp_ns: int = 0
    extra: dict[str, float] = field(default_factory=dict)


class Connector(Protocol):
    """One source. Constructed with its settings; touches the network in ``run`` only.

    A class fulfils it with ``__init__(name: str, settings: Mapping[str, Any], clock: Clock)``,
    which raises ConfigError for unknown or wrong settings.
    """

    def __init__(self, name: str, settings: Mapping[str, Any], clock: Clock) -> None: ...

    @property
    def status(self) -> ConnectorStatus:
        """Counters, live."""
        ...

    async def run(self, sink: Sink) -> None:
        """Serve until cancelled. After it returns or raises, nothing more is put."""
        ...
