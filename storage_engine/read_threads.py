"""A few threads that share the series of one read among them; the kernels run without the GIL."""

import itertools
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
_SERIES_MIN = 8  # below, waking a thread costs more than it brings


class ReadThreads:
    """Threads of one engine, started when first needed.

    Parameters
    ----------
    count : int
        Threads that work on one call, the caller's own included; 0 for one per core.

    Attributes
    ----------
    count : int
        At least 1.
    """

    def __init__(self, count: int) -> None:
        self.count = count or os.cpu_count() or 1
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    def spread(
        self,
        items: int,
        begin: Callable[[], T],
        work: Callable[[int, T], None],
        *,
        least: int = _SERIES_MIN,
    ) -> None:
        """Call ``work(i, own)`` for each i below ``items``.

        Parameters
        ----------
        items : int
        begin : callable
            Makes what one thread has for itself.
        work : callable
            Its first exception ends all, and is raised here.
        least : int
            Items that are worth a thread.
        """
        turn = itertools.count()
        ended = threading.Event()

        def go_on() -> None:
            own = begin()
            try:
                while (item := next(turn)) < items and not ended.is_set():
                    work(item, own)
            except BaseException:
                ended.set()
                raise

        helpers = min(self.count, items // least) - 1
        others: list[Future[None]] = []
        if helpers > 0:
            pool = self._started()
            others = [pool.submit(go_on) for _ in range(helpers)]
        try:
            go_on()
        finally:
            for other in others:
                other.exception()
        for other in others:
            other.result()

    def _started(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self.count, "read")
            return self._pool

    def close(self) -> None:
        """End the threads."""
        with self._lock:
            if self._pool is not None:
                self._pool.shutdown(wait=False)
                self._pool = None
