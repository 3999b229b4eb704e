"""The real clock: the one place of the product that reads the time and sleeps.

It fulfils ``storage_engine.clock.Clock`` and ``connectors.connector.Clock``; tests hand in
their own.
"""

import asyncio
import time


class SystemClock:
    """Wall time, monotonic time and sleep of this machine."""

    def now_ns(self) -> int:
        """Nanoseconds since 1970, UTC."""
        return time.time_ns()

    def monotonic_s(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait without holding the event loop.

        Parameters
        ----------
        seconds : float
            Zero or less only yields.
        """
        await asyncio.sleep(max(seconds, 0.0))
