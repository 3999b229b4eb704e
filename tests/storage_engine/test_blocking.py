"""segment/blocking.py: every row once and in order, fast streams cut alike, slow ones on pages."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from storage_engine.columns import Rows, join_rows
from storage_engine.sample import ColumnData, ValueType
from storage_engine.segment.blocking import Blocking


def rows_of(counts, ties=1):
    """Streams 1, 2, ... of so many rows, ``ties`` rows to a time; values number the rows."""
    stream = np.repeat(np.arange(1, len(counts) + 1, dtype=np.uint32), counts)
    time = np.concatenate([np.arange(n) // ties for n in counts]).astype(np.int64)
    value = ColumnData(ValueType.INT64, np.arange(len(stream)))
    stamp = np.ones(len(stream), np.uint64)
    return stream, Rows(time, stamp, np.zeros(len(stream), np.uint32), None, (value,))


def blocks_of(stream, rows, cuts, size):
    """Blocks of rows that come in pieces."""
    found = []
    blocks = Blocking(lambda *block: found.append(block), size)
    edges = sorted({0, *(cut % (len(stream) + 1) for cut in cuts), len(stream)})
    for begin, end in pairwise(edges):
        blocks.add(stream[begin:end], rows.take(slice(begin, end)))
    blocks.end()
    return found


COUNTS = st.lists(st.integers(1, 70), min_size=1, max_size=25)


@settings(max_examples=300, deadline=None)
@given(COUNTS, st.lists(st.integers(0, 3000), max_size=12), st.integers(1, 20), st.integers(1, 5))
def test_every_row_is_in_one_block_and_in_order(counts, cuts, size, ties):
    """However the rows come, the blocks are the same; no block is too large."""
    stream, rows = rows_of(counts, ties)

    found = blocks_of(stream, rows, cuts, size)

    assert all(0 < len(block) <= size and len(one) == len(block) for one, block in found)
    joined = np.concatenate([one for one, _ in found])
    values = join_rows([block for _, block in found]).data[0].value
    assert sorted(values.tolist()) == list(range(len(stream)))
    assert (stream[values] == joined).all()
    assert all((np.diff(block.data[0].value) > 0).all() for _, block in found)
    whole = [(one.tolist(), block.data[0].value.tolist()) for one, block in found]
    again = blocks_of(stream, rows, (), size)
    assert whole == [(one.tolist(), block.data[0].value.tolist()) for one, block in again]
    # Of one stream, rows of equal times and stamps keep their order by lying in one sequence.
    for number in range(1, len(counts) + 1):
        mine = [block.take(one == number) for one, block in found if number in one]
        times = [(int(part.timestamp_ns[0]), int(part.timestamp_ns[-1])) for part in mine]
        assert all(a[1] <= b[0] for a, b in pairwise(times))
        held = np.concatenate([part.data[0].value for part in mine])
        assert (np.diff(held) == 1).all()


def test_tags_of_one_scan_are_cut_at_the_same_rows():
    """Whatever lies between them; what is left of each is too little for a block."""
    stream, rows = rows_of([2100, 3, 2100, 900, 2100])

    found = blocks_of(stream, rows, (), 1000)

    cuts = {
        number: [len(block) for one, block in found if set(one.tolist()) == {number}]
        for number in (1, 3, 4, 5)
    }
    assert cuts == {1: [1000, 1000], 3: [1000, 1000], 4: [900], 5: [1000, 1000]}
    (page,) = [one for one, _ in found if len(set(one.tolist())) > 1]
    assert [1] * 100 + [2] * 3 + [3] * 100 + [5] * 100 == page.tolist()


def test_slow_streams_fill_pages_whole():
    """Few pages, and a stream in one of them."""
    counts = [7] * 1000
    stream, rows = rows_of(counts)

    found = blocks_of(stream, rows, range(0, 7000, 990), 100)

    assert len(found) == -(-1000 // (100 // 7))
    assert all((np.unique(one, return_counts=True)[1] == 7).all() for one, _ in found)
