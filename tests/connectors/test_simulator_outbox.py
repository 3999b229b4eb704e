"""outbox.py: live loses the oldest and says so; kept loses nothing and repeats what is owed."""

from connectors.simulator.node import Row
from connectors.simulator.outbox import OVERFLOW, UNACKNOWLEDGED_FACTOR, Monitor, Outbox, Source


def rows(count: int, node: int = 0, start: int = 0) -> list[Row]:
    return [(node, start + i, 0, float(i)) for i in range(count)]


def attach(source: Source, *nodes: int, every_time: bool = True) -> Outbox:
    outbox = Outbox(source)
    for node in nodes:
        source.attach(node, Monitor(outbox, 100 + node, every_time))
    return outbox


def test_live_outbox_drops_the_oldest_and_flags_the_next() -> None:
    """OPC 10000-4, 7.39: the overflow bit stands on the value behind the hole."""
    source = Source(1, keep=False, rows_max=3)
    outbox = attach(source, 0)
    source.offer(rows(5))

    taken = outbox.take(1, 10)

    assert [2, 3, 4] == [row[1] for _, row in taken]
    assert [OVERFLOW, 0, 0] == [row[2] for _, row in taken]
    assert source.overflowed == 2


def test_live_source_without_client_keeps_the_newest_only() -> None:
    """A client that comes later gets the current value, as from any server."""
    source = Source(1, keep=False, rows_max=3)
    source.offer(rows(5))

    assert [(100, (0, 4, 0, 4.0))] == attach(source, 0).take(1, 10)


def test_kept_rows_wait_for_a_client_that_is_not_there() -> None:
    """A play may begin before the collector is up."""
    source = Source(1, keep=True, rows_max=100)
    source.offer(rows(5))

    assert [0, 1, 2, 3, 4] == [row[1] for _, row in attach(source, 0).take(1, 10)]


def test_kept_source_is_full_while_rows_wait() -> None:
    """Flow control: whoever offers waits, so that nothing is dropped."""
    source = Source(1, keep=True, rows_max=4)
    outbox = attach(source, 0)
    source.offer(rows(4))
    assert source.full

    outbox.take(1, 1)

    assert not source.full


def test_kept_source_is_full_when_a_client_never_acknowledges() -> None:
    """What is sent must be kept until then, and memory has a bound."""
    source = Source(1, keep=True, rows_max=4)
    outbox = attach(source, 0)
    for sequence in range(UNACKNOWLEDGED_FACTOR):
        assert not source.full
        source.offer(rows(4))
        outbox.take(sequence, 4)
    assert source.full

    outbox.acknowledge(0)

    assert not source.full
    assert source.held == 4 * (UNACKNOWLEDGED_FACTOR - 1)
    assert source.acknowledged == 4


def test_what_a_lost_subscription_did_not_acknowledge_goes_to_the_next_in_order() -> None:
    """A collector killed between receipt and acknowledgement gets everything again."""
    source = Source(2, keep=True, rows_max=100)
    lost = attach(source, 0, 1)
    source.offer(rows(3) + rows(3, node=1))
    lost.take(1, 2)
    lost.take(2, 2)
    lost.acknowledge(1)

    following = attach(source, 0, 1)
    source.offer(rows(1, start=50))

    taken = [row[:2] for _, row in following.take(1, 10)]
    assert [(0, 2), (1, 0), (1, 1), (1, 2), (0, 50)] == taken
    assert source.held == 5


def test_late_acknowledgement_of_a_lost_subscription_counts_nothing_twice() -> None:
    """Its rows are with somebody else by then."""
    source = Source(1, keep=True, rows_max=100)
    lost = attach(source, 0)
    source.offer(rows(3))
    lost.take(1, 10)
    following = attach(source, 0)

    lost.acknowledge(1)
    following.take(1, 10)
    following.acknowledge(1)

    assert source.held == 0
    assert source.acknowledged == 3


def test_equal_values_are_reported_only_to_who_asked_for_every_time() -> None:
    """OPC 10000-4, DataChangeTrigger: status and value by default."""
    source = Source(1, keep=False, rows_max=100)
    patient, eager = attach(source, 0, every_time=False), attach(source, 0)
    source.offer([(0, 1, 0, 5.0), (0, 2, 0, 5.0), (0, 3, 1 << 31, None)])

    assert [1, 3] == [row[1] for _, row in patient.take(1, 10)]
    assert [1, 2, 3] == [row[1] for _, row in eager.take(1, 10)]
