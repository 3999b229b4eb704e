"""A flip in every byte and a cut at every length of a store: a named loss, or the right answer.

Checked for each place: the store opens (a read never raises), every row it gives was sent and comes
once, rows that miss are named by path, and files stay where they are. How segments are damaged
below an open engine, and everything else below a new one, is told in ``damage_harness``.
"""

import multiprocessing
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from damage_harness import Damaged, Tally, build, cut, flip, places

STORE_BYTES = 256 << 10
STEP = 97
DAY = int(time.time() // 86_400)


def damage(first: int, step: int) -> Tally:
    """Flip and cut at every ``step``-th byte."""
    damaged = Damaged(*build(STORE_BYTES))
    for path, at in places(damaged, first, step):
        damaged.check(path, flip(at), f"{path} flipped at {at}")
        damaged.check(path, cut(at), f"{path} cut to {at}")
    return damaged.tally


def test_the_store_has_every_kind_of_file_and_opening_reads_no_segment():
    """Else damage below an open engine would prove nothing about opening."""
    story, disk = build(STORE_BYTES)

    damaged = Damaged(story, disk)

    assert {"manifest", "wal"} == damaged.reads_of_open()
    kinds = {path.split("/")[0] for path in damaged.paths}
    assert {"manifest", "wal", "segments", "lock"} == kinds
    assert sum(map(len, disk.contents.values())) >= STORE_BYTES
    assert sum(damaged.live(path) for path in damaged.paths) > 20


def test_damage_at_every_97th_byte_is_named_or_harmless(record_property):
    """Where it begins changes from day to day."""
    tally = damage(DAY % STEP, STEP)

    record_property("places", str(tally))
    assert tally.places > 2 * STORE_BYTES // STEP
    assert tally.named > tally.places // 2


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_damage_at_every_byte_is_named_or_harmless(record_property):
    """262,144 flips and as many cuts, by two processes."""
    total = Tally()
    context = multiprocessing.get_context("fork")
    with context.Pool(2) as pool:
        for part in pool.starmap(damage, [(0, 2), (1, 2)]):
            total.add(part)

    record_property("places", str(total))
    print(total)
    assert total.places >= 2 * STORE_BYTES
