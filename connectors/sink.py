"""Where a connector puts what it receives. The collector fulfils it; a connector knows no more.

``put`` returns when the batch is durable in the collector's spool: only then may a connector
acknowledge to its source. ``stored`` tells later when the server has it.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from storage_engine.sample import EventBatch, SampleBatch


class Link(enum.Enum):
    """State of the line to the source."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    STALE = "stale"
    DISCONNECTED = "disconnected"
    FAILED = "failed"  # a configuration error; a person is needed


@dataclass(frozen=True, slots=True)
class SourceState:
    """What a connector knows of its source now."""

    link: Link
    detail: str = ""
    clock_offset_ns: int | None = None  # source clock minus ours, where the protocol tells


@dataclass(frozen=True, slots=True)
class SourceItem:
    """Metadata of an address, as the source describes it."""

    address: str
    name: str = ""
    description: str = ""
    eng_unit: str = ""
    low: float | None = None
    high: float | None = None
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reject:
    """Something a source sent that cannot become a sample or an event.

    ``payload`` is cut to 64 KiB by the sink; ``reason`` says what, got, want. ``size_bytes`` is the
    whole length where ``payload`` is the beginning of it only.
    """

    address: str
    reason: str
    payload: bytes = b""
    timestamp_ns: int | None = None
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """Time for which a source had something to say and we do not have it.

    ``address`` is empty where the whole source is meant; ``count`` is None where nobody knows how
    many values are gone.
    """

    start_ns: int
    end_ns: int
    reason: str
    address: str = ""
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that a batch is in the spool: the frame that carries it."""

    epoch: int
    sequence: int


class Sink(Protocol):
    """One source's way into the historian."""

    async def put(self, batch: SampleBatch | EventBatch) -> Receipt:
        """Return when the batch is durable in the spool. Raises SinkFull when it refuses."""
        ...

    async def stored(self, receipt: Receipt) -> None:
        """Return when the server has acknowledged the frame of this receipt."""
        ...

    async def state(self, state: SourceState) -> None:
        """Report the line to the source; kept as history."""
        ...

    async def describe(self, items: tuple[SourceItem, ...]) -> None:
        """Report metadata of addresses."""
        ...

    async def reject(self, rejects: tuple[Reject, ...]) -> None:
        """Report what could not be mapped; quarantined and counted, durable like a batch."""
        ...

    async def gap(self, gaps: tuple[Gap, ...]) -> None:
        """Name losses at the source, durable like a batch."""
        ...

    async def keep(self, key: str, note: bytes) -> None:
        """Keep a note for this source's next start, in place of the last one under the key.

        Durable when it returns. A note helps to go on where the last process ended; a connector
        works without it, so a disk that refuses it is logged and no more.
        """
        ...

    async def kept(self, key: str) -> bytes:
        """Note under a key; empty when there is none."""
        ...
