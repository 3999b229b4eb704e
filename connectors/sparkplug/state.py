"""STATE messages: whether a host application is there."""

import json
from dataclasses import dataclass

_ONLINE, _TIMESTAMP = "online", "timestamp"


@dataclass(frozen=True, slots=True)
class HostState:
    """What a STATE message says."""

    online: bool
    timestamp_ms: int

    def encode(self) -> bytes:
        """UTF-8 JSON."""
        return json.dumps({_ONLINE: self.online, _TIMESTAMP: self.timestamp_ms}).encode()


def decode_state(payload: bytes) -> HostState | None:
    """Read a STATE message; None where it is none of version 3."""
    try:
        said = json.loads(payload)
    except ValueError:
        return None
    if not isinstance(said, dict):
        return None
    online, timestamp = said.get(_ONLINE), said.get(_TIMESTAMP)
    if not isinstance(online, bool) or type(timestamp) is not int:
        return None
    return HostState(online, timestamp)
