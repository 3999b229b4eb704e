"""Delays between attempts, as a pure sequence; the only retry in the house."""

import random
from collections.abc import Iterator

from connectors.connector import Clock, SinkFull
from connectors.sink import Receipt, Sink
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


async def put_patiently(
    sink: Sink, batch: SampleBatch | EventBatch, clock: Clock, rng: random.Random
) -> Receipt:
    """Put a batch; while the spool is full, wait and offer it again.

    The source is not acknowledged meanwhile, so it holds back by its own means.
    """
    for delay in delays_s(rng, first_s=0.1, most_s=5.0):
        try:
            return await sink.put(batch)
        except SinkFull:
            await clock.sleep(delay)
    raise AssertionError("delays end")
