"""The engine's housekeeping, every second in a thread: flush by size and age, shorten the log."""

import asyncio
from collections.abc import Callable

import structlog

from connectors.connector import Clock
from historian.metrics import Metrics
from storage_engine.engine import Engine
from storage_engine.errors import StorageError

PERIOD_S = 1.0
_log = structlog.get_logger("historian.maintenance")


class Maintenance:
    """Runs ``engine.maintain`` until cancelled.

    Parameters
    ----------
    engine : callable
        The open engine, or None while there is none.
    clock : Clock
        Paces the loop.
    metrics : Metrics
        Counts failures.
    on_failure : callable
        Told why, once the engine says that it stopped for good.

    Attributes
    ----------
    trouble : str
        What the last round failed with; empty when it went well.
    """

    def __init__(
        self,
        engine: Callable[[], Engine | None],
        clock: Clock,
        metrics: Metrics,
        on_failure: Callable[[str], None],
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._metrics = metrics
        self._on_failure = on_failure
        self.trouble = ""

    async def run(self) -> None:
        """Go on for ever."""
        while True:
            await self.once()
            await self._clock.sleep(PERIOD_S)

    async def once(self) -> None:
        """Do one round; a failure is kept, counted, and tried again by the next."""
        engine = self._engine()
        if engine is None:
            return
        try:
            if not engine.failed:
                await asyncio.to_thread(engine.maintain)
            trouble = ""
        except StorageError as error:
            trouble = str(error)
            self._metrics.failure("maintenance")
        if trouble and trouble != self.trouble:
            _log.error("maintenance failed", reason=trouble)
        self.trouble = trouble
        if engine is self._engine() and engine.failed:
            self._on_failure(engine.failed)
