"""producers.py: exactly once in effect, loss with a number, and bindings that end."""

import numpy as np
import pytest

from storage_engine.errors import InvalidArgument
from storage_engine.frame import FLAG_ONE_SHOT, Envelope
from storage_engine.producers import (
    Arrival,
    Producers,
    ProducerState,
    judge,
    producer_columns,
)


def envelope(epoch=1, sequence=1, previous_crc=0, flags=0, producer=b"p" * 16):
    return Envelope(bytes(16), producer, epoch, sequence, previous_crc, 0, 0, 0, flags, 77)


LAST = ProducerState(epoch=3, sequence=10, crc=5, lsn=42)


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (envelope(3, 10), Arrival(True, 42, 0, False)),
        (envelope(3, 4), Arrival(True, 42, 0, False)),
        (envelope(2, 99), Arrival(True, 42, 0, False)),
        (envelope(3, 11, 5), Arrival(False, 0, 0, False)),
        (envelope(3, 11, 6), Arrival(False, 0, 0, True)),
        (envelope(3, 14, 6), Arrival(False, 0, 3, False)),
        (envelope(4, 1, 5), Arrival(False, 0, 0, False)),
        (envelope(4, 1, 0), Arrival(False, 0, 0, False)),
        (envelope(4, 1, 6), Arrival(False, 0, 0, True)),
    ],
)
def test_a_frame_is_judged_by_its_numbers_and_its_chain(frame, expected):
    """Duplicates are told by number, loss by the gap, a wrong predecessor by the chain."""
    assert expected == judge(LAST, frame)


def test_the_first_frame_of_a_producer_is_never_a_duplicate():
    """A store that was restored may meet a producer in the middle of its life."""
    assert Arrival(False, 0, 0, False) == judge(None, envelope())
    assert not judge(None, envelope(sequence=9, previous_crc=4)).duplicate


def test_one_shot_producers_are_bounded_and_the_oldest_go_first():
    """An idempotency key is remembered for long, not for ever."""
    producers = Producers(one_shot_max=2)
    keys = [bytes([n]) * 16 for n in range(3)]

    for lsn, key in enumerate(keys, 1):
        producers.note(envelope(producer=key, flags=FLAG_ONE_SHOT), lsn)

    assert keys[1:] == list(producers.states)


def test_bindings_end_with_a_newer_epoch_and_a_one_shot():
    """No later frame can use them."""
    producers = Producers(9)
    for epoch in (1, 2):
        producers.bind(b"p" * 16, epoch, {0: 7})

    producers.retire_bindings(envelope(epoch=2), 1)

    assert {} == producers.bindings(b"p" * 16, 1).items()
    assert {0: 7} == producers.bindings(b"p" * 16, 2).items()
    producers.retire_bindings(envelope(epoch=2, flags=FLAG_ONE_SHOT), 2)
    assert [] == producers.bound(9)


def test_slots_are_looked_up_in_one_go_and_unbound_ones_are_zero():
    """Small slots lie in a table, absurd ones in a map."""
    producers = Producers(9)
    producers.bind(b"p" * 16, 1, {3: 8, 500: 9})
    bindings = producers.bindings(b"p" * 16, 1)
    slots = np.array([3, 4, 500, 90_000, 4_000_000_000], np.uint32)

    assert [8, 0, 9, 0, 0] == bindings.lookup(slots).tolist()
    producers.bind(b"p" * 16, 1, {4_000_000_000: 5})
    assert [8, 0, 9, 0, 5] == bindings.lookup(slots).tolist()


def test_state_and_bindings_survive_the_manifest():
    """Dedupe and slots must work right after a restart."""
    producers = Producers(9)
    producers.note(envelope(5, 6), 7)
    producers.note(envelope(1, 1, flags=FLAG_ONE_SHOT, producer=b"o" * 16), 8)
    producers.bind(b"p" * 16, 5, {1: 2, 4_000_000_000: 3})

    again = Producers(9)
    again.load(producer_columns(producers.states, producers.bound(9)))

    assert producers.states == again.states
    assert producers.bindings(b"p" * 16, 5).items() == again.bindings(b"p" * 16, 5).items()


def test_a_bad_producer_id_is_refused():
    """Ids are 16 bytes everywhere."""
    with pytest.raises(InvalidArgument, match="cannot bind"):
        Producers(9).bind(b"short", 1, {0: 1})


def test_bindings_of_producers_long_silent_are_forgotten_but_not_of_waiting_frames():
    """Every start of a server is a producer; memory must not grow with starts."""
    producers = Producers(9)
    keys = [bytes([n]) * 16 for n in range(4)]
    for key in keys:
        producers.bind(key, 1, {0: 7})
    producers.note(envelope(producer=keys[0]), 1)

    producers.forget_bindings(2, {keys[1]})

    assert {keys[0], keys[1]} == {key for key, _ in producers.bound(9)}


def test_bindings_are_those_of_the_record_asked_for():
    """Frames behind a checkpoint are mapped anew after a crash, by what held when they came."""
    producers = Producers(9)
    producers.bind(b"p" * 16, 1, {0: 7, 4_000_000_000: 7}, 1)
    producers.bind(b"p" * 16, 1, {0: 8, 1: 9, 4_000_000_000: 8}, 3)
    producers.bind(b"p" * 16, 2, {0: 9}, 4)

    def as_of(lsn):
        return {b.epoch: b.items() for _, b in producers.bound(lsn) if b.items()}

    then = producers.bound(2)
    assert {1: {0: 7, 4_000_000_000: 7}} == as_of(2)
    assert {1: {0: 8, 1: 9, 4_000_000_000: 8}} == as_of(3)
    assert {0: 9} == as_of(4)[2]
    producers.retire_bindings(envelope(epoch=1), 3)
    assert {1} == set(as_of(3))
    producers.bind(b"p" * 16, 1, {0: 5}, 6)
    assert {0: 7, 4_000_000_000: 7} == then[0][1].items(), "nothing later shows in what was given"
