"""The engine's housekeeping: flushes every second, and compaction at its own slow pace."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog

from connectors.connector import Clock
from historian.metrics import Metrics
from storage_engine.engine import Engine
from storage_engine.errors import EngineClosed, StorageError

PERIOD_S = 1.0
_COMPACTION_PERIOD_S = 5.0
_ERASURE_AGAIN_S = 600.0  # until an erasure that waits for somebody is tried again
_WAIT_S = (0.05, 0.5)  # one wait at least (shorter ones add up) and at most (then look up)
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


class Compaction:
    """Runs compactions and erasures until cancelled, in a thread of its own.

    Parameters
    ----------
    engine : callable
        The open engine, or None while there is none.
    clock : Clock
        Measures the pace.
    metrics : Metrics
        Counts failures.
    bytes_per_s : int
        Read and written together.

    Attributes
    ----------
    trouble : str
        What the last round failed with; empty when it went well.
    left_alone : tuple of str
        Damaged segments that it does not touch, since the store was opened.
    """

    def __init__(
        self,
        engine: Callable[[], Engine | None],
        clock: Clock,
        metrics: Metrics,
        bytes_per_s: int,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._metrics = metrics
        self._bytes_per_s = bytes_per_s
        self._stop = threading.Event()
        self._free_s = 0.0  # when all bytes so far are paid for
        self._erasures: tuple[tuple[int, ...], float] = ((), 0.0)
        self._seen: Engine | None = None
        self.trouble = ""
        self.left_alone: tuple[str, ...] = ()

    async def run(self) -> None:
        """Go on for ever; cancelled, what is at work ends within a second."""
        thread = ThreadPoolExecutor(1, thread_name_prefix="compaction")
        loop = asyncio.get_running_loop()
        try:
            while True:
                await loop.run_in_executor(thread, self.once)
                await self._clock.sleep(_COMPACTION_PERIOD_S)
        finally:
            self._stop.set()
            thread.shutdown(wait=False)

    def once(self) -> None:
        """Do what is due now; a failure is kept, counted, and tried again by the next round."""
        engine = self._engine()
        if engine is None or engine.failed:
            return
        if engine is not self._seen:
            self._seen, self.left_alone = engine, ()
        trouble = ""
        try:
            self._work(engine)
        except EngineClosed:
            return  # the server ends, or opens the engine again
        except StorageError as error:
            trouble = str(error)
            self._metrics.failure("compaction")
        if trouble and trouble != self.trouble:
            _log.error("compaction failed", reason=trouble)
        self.trouble = trouble

    def _work(self, engine: Engine) -> None:
        now_s = self._clock.monotonic_s()
        pending = tuple(one.tombstone.lsn for one in engine.erasures())
        before, tried_s = self._erasures
        if pending and (pending != before or now_s - tried_s >= _ERASURE_AGAIN_S):
            left = engine.finish_erasures(self.pace)
            self._erasures = tuple(one.tombstone.lsn for one in left), now_s
        if engine.compaction_due():
            report = engine.compact(self.pace)
            self.left_alone += report.left_alone
            _log.info(
                "compacted", jobs=report.jobs, read=report.bytes_read, written=report.bytes_written
            )

    def pace(self, size_bytes: int) -> None:
        """Wait until bytes just moved are paid for.

        Raises
        ------
        EngineClosed
            The server is ending.
        """
        now_s = self._clock.monotonic_s()
        self._free_s = max(self._free_s, now_s) + size_bytes / self._bytes_per_s
        debt_s = self._free_s - now_s
        if debt_s > _WAIT_S[0]:
            self._stop.wait(min(debt_s, _WAIT_S[1]))
        if self._stop.is_set():
            raise EngineClosed("cannot compact: the server is ending")

    def health(self) -> dict[str, Any]:
        """State for operators."""
        return {
            "trouble": self.trouble,
            "left_alone": list(self.left_alone),
            "erasures_waiting": len(self._erasures[0]),
        }
