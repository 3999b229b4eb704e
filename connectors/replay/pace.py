"""Recorded time against the clock: as recorded, faster by a factor, or flat out."""

from connectors.connector import Clock

_GAP_MAX_NS = 60 * 1_000_000_000


class Pace:
    """Waits so that recorded time passes ``speed`` times as fast as the clock.

    Time that falls back costs nothing, and a hole of the recording counts as one minute.

    Parameters
    ----------
    clock : Clock
    speed : float or None
        None: flat out.
    """

    def __init__(self, clock: Clock, speed: float | None) -> None:
        self._clock = clock
        self._speed = speed
        self._last_ns: int | None = None
        self._due_s = clock.monotonic_s()

    def ahead_s(self, timestamp_ns: int) -> float:
        """Seconds to wait before a sample of this time is due; 0 or less: it is due."""
        if self._speed is None:
            return 0.0
        if self._last_ns is not None and timestamp_ns > self._last_ns:
            step_ns = min(timestamp_ns - self._last_ns, _GAP_MAX_NS)
            self._due_s += step_ns / 1e9 / self._speed
        if (
            self._last_ns is None
            or timestamp_ns > self._last_ns
            or (self._last_ns - timestamp_ns > _GAP_MAX_NS)
        ):
            self._last_ns = timestamp_ns
        return self._due_s - self._clock.monotonic_s()
