"""The engine's only notion of now: whoever opens it hands in a clock."""

from typing import Protocol


class Clock(Protocol):
    """Wall time as a source that tests can set."""

    def now_ns(self) -> int:
        """Nanoseconds since 1970, UTC."""
        ...
