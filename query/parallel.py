"""The tags of one question shared among a few threads; decoding and kernels release the GIL."""

import contextvars
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_I = TypeVar("_I")
_R = TypeVar("_R")


def in_parallel(work: Callable[[_I], _R], items: Sequence[_I]) -> list[_R]:
    """Results of ``work`` in the order of the items.

    Parameters
    ----------
    work : callable
        Runs in a copy of the caller's context, so that it sees the work of the question. Its
        first exception, in that order, is raised here when all have ended.
    items : sequence
    """
    threads = min(os.cpu_count() or 1, len(items))
    if threads < 2:
        return [work(item) for item in items]
    with ThreadPoolExecutor(threads, "query") as pool:
        futures = [pool.submit(contextvars.copy_context().run, work, item) for item in items]
        return [future.result() for future in futures]
