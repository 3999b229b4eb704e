"""What goes into the state machine of a node, and what comes out."""

import enum
from dataclasses import dataclass, field

from connectors.sink import Gap, Reject, SourceItem
from connectors.sparkplug import decode
from connectors.sparkplug.decode import Payload
from connectors.sparkplug.samples import Samples
from connectors.sparkplug.table import Counts

_MILLION = 1_000_000
_TIME_MS_MAX = 1 << 43  # the year 2248


@dataclass(frozen=True, slots=True)
class Rules:
    """How a host treats its nodes; times in seconds."""

    reorder_s: float = 5.0
    birth_hold_s: float = 5.0
    rebirth: bool = True
    arrays: str = "text"


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a node or one of its devices, and when it came."""

    kind: str
    device: str
    payload: Payload
    now_ns: int
    now_s: float

    @property
    def time_ms(self) -> int:
        """Of the payload, else when it came."""
        time_ms = self.payload.time_ms
        return self.now_ns // _MILLION if time_ms == decode.NO_TIME else time_ms

    @property
    def time_ns(self) -> int:
        """As ``time_ms``; a time that no clock has is that of arrival."""
        time_ms = self.time_ms
        return time_ms * _MILLION if 0 <= time_ms < _TIME_MS_MAX else self.now_ns


class Rebirth(enum.Enum):
    """How much a rebirth is wanted: a host that comes back wants one of everybody."""

    NO = 0
    SOON = 1
    SPREAD = 2


@dataclass(slots=True)
class Told:
    """What comes of messages, for whoever carries it on."""

    samples: Samples = field(default_factory=Samples)
    counts: Counts = field(default_factory=Counts)
    rejects: list[Reject] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    items: list[SourceItem] = field(default_factory=list)


def bd_seq_of(payload: Payload) -> int | None:
    """Number of the session, which pairs a death with its birth."""
    for k in range(payload.count):
        try:
            name = payload.name(k)
        except ValueError:
            continue
        if name == "bdSeq" and int(payload.columns[decode.INFO, k]) >> 8 & 255 in {10, 11}:
            return int(payload.columns[decode.BITS, k])
    return None
