"""Delays between attempts, as a pure sequence; the only retry in the house."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial

from connectors.connector import Clock, SinkFull
from connectors.sink import Gap, Receipt, Reject, Sink
from storage_engine.sample import EventBatch, SampleBatch


def delays_s(rng: random.Random, first_s: float = 1.0, most_s: float = 30.0) -> Iterator[float]:
    """Yield 1, 2, 4 .. 30 s, each shortened by up to a quarter so that many do not come at once.

    Parameters
    ----------
    rng : random.Random
        Source of the jitter; a test seeds it.
    first_s, most_s : float
        First and longest delay.

    Yields
    ------
    float
        Seconds, without end.
    """
    delay = first_s
    while True:
        yield delay * (1.0 - 0.25 * rng.random())
        delay = min(delay * 2.0, most_s)


async def deliver(
    sink: Sink,
    batches: Sequence[SampleBatch | EventBatch],
    rejects: tuple[Reject, ...],
    clock: Clock,
    rng: random.Random,
    *,
    gaps: tuple[Gap, ...] = (),
) -> None:
    """Return when everything is durable; while the spool is full, wait and offer it again.

    The source is not acknowledged meanwhile, so it holds back by its own means. Batches are put
    side by side: they must differ in value type or kind, so that no order between them matters.
    """
    waiting = [_patiently(partial(sink.put, batch), clock, rng) for batch in batches]
    if rejects:
        waiting.append(_patiently(partial(sink.reject, rejects), clock, rng))
    if gaps:
        waiting.append(_patiently(partial(sink.gap, gaps), clock, rng))
    for answer in await asyncio.gather(*waiting, return_exceptions=True):
        if isinstance(answer, BaseException):
            raise answer


async def _patiently(
    attempt: Callable[[], Awaitable[Receipt | None]], clock: Clock, rng: random.Random
) -> None:
    for delay in delays_s(rng, first_s=0.1, most_s=5.0):
        try:
            await attempt()
        except SinkFull:
            await clock.sleep(delay)
        else:
            return
