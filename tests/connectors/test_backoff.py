"""backoff.py: delays grow to their bound, and a full sink is waited for, not skipped."""

import asyncio
import random
from itertools import islice

import pytest

from connectors.backoff import delays_s, deliver
from connectors.connector import ConfigError
from connectors.sink import Reject
from connectors.testing import RecordingSink


class TestClock:
    """Sleeps at once and remembers."""

    __test__ = False

    def __init__(self):
        self.slept = []

    def now_ns(self):
        return 0

    def monotonic_s(self):
        return 0.0

    async def sleep(self, seconds):
        self.slept.append(seconds)
        await asyncio.sleep(0)


def test_delays_double_to_the_bound_with_jitter():
    """1, 2, 4 .. 30 s, never longer, each up to a quarter shorter."""
    found = list(islice(delays_s(random.Random(1)), 8))

    for delay, most in zip(found, [1, 2, 4, 8, 16, 30, 30, 30], strict=True):
        assert 0.75 * most <= delay <= most
    assert found != list(islice(delays_s(random.Random(2)), 8))


def test_refused_puts_are_offered_again_until_taken():
    """Nothing is skipped while the spool is full."""
    sink, clock = RecordingSink(), TestClock()
    sink.refuse = 5

    asyncio.run(deliver(sink, [object(), object()], (Reject("a", "b"),), clock, random.Random(1)))

    assert len(sink.batches) == 2
    assert len(sink.rejects) == 1
    assert len(clock.slept) == 5


def test_other_failures_are_raised():
    """Only a full spool is waited for."""

    class Broken(RecordingSink):
        async def put(self, batch):
            raise ConfigError("no")

    with pytest.raises(ConfigError):
        asyncio.run(deliver(Broken(), [object()], (), TestClock(), random.Random(1)))
