"""Waiting for durability without a thread per caller: one descriptor wakes all that are covered."""

import asyncio
import contextlib
import heapq
import itertools
import os

from historian.errors import NotReady
from storage_engine.engine import Engine
from storage_engine.errors import StorageError

_POLL_S = 1.0  # the fallback thread looks this often whether it is still wanted


class DurableWaiter:
    """Wakes coroutines when the engine's durable lsn reaches theirs.

    Parameters
    ----------
    engine : Engine
        One open engine; make a new waiter when it is opened again.

    Notes
    -----
    Uses ``engine.notify_fd`` with the event loop; where the engine has none, one thread waits in
    ``engine.wait_durable`` for the lowest lsn asked for.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._loop = asyncio.get_running_loop()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._thread: asyncio.Task[None] | None = None
        self._fd = engine.notify_fd
        if self._fd is not None:
            self._loop.add_reader(self._fd, self._wake)

    @property
    def waiting(self) -> int:
        """Callers that wait now."""
        return len(self._waiting)

    async def wait(self, lsn: int) -> None:
        """Return when everything up to ``lsn`` is on stable storage.

        Raises
        ------
        NotReady
            If the engine stopped first: whether the rows are stored is decided at reopening, so
            the same request must be sent again.
        """
        if self._engine.durable_lsn >= lsn:
            return
        future: asyncio.Future[None] = self._loop.create_future()
        heapq.heappush(self._waiting, (lsn, next(self._order), future))
        if self._fd is None and self._thread is None:
            self._thread = asyncio.create_task(self._wait_in_thread())
        self._release()  # it may have moved between the look and the push
        await future

    def close(self, why: str) -> None:
        """Let everyone go who still waits, as NotReady, and leave the descriptor alone."""
        if self._fd is not None:
            self._loop.remove_reader(self._fd)
            self._fd = None
        if self._thread is not None:
            self._thread.cancel()
        self._fail(why)

    def _wake(self) -> None:
        """Empty the descriptor, then look; in this order no move is missed."""
        assert self._fd is not None
        with contextlib.suppress(BlockingIOError, InterruptedError):
            os.read(self._fd, 8)
        self._release()

    def _release(self) -> None:
        durable = self._engine.durable_lsn
        while self._waiting and self._waiting[0][0] <= durable:
            future = heapq.heappop(self._waiting)[2]
            if not future.done():
                future.set_result(None)
        failed = self._engine.failed
        if failed:
            self._fail(failed)

    def _fail(self, why: str) -> None:
        waiting, self._waiting = self._waiting, []
        for _, _, future in waiting:
            if not future.done():
                message = f"cannot acknowledge: the store stopped ({why}), send the same again"
                future.set_exception(NotReady(message))

    async def _wait_in_thread(self) -> None:
        try:
            while self._waiting:
                lsn = self._waiting[0][0]
                await asyncio.to_thread(self._engine.wait_durable, lsn, _POLL_S)
                self._release()
        except StorageError as error:
            self._fail(str(error))
        finally:
            self._thread = None
