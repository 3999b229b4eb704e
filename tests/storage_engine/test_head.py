"""head.py: rows in memory, found again by stream, in bounded space."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage_engine.config import EngineConfig
from storage_engine.errors import InvalidArgument
from storage_engine.head import ROW_BYTES, Head, SampleRows
from storage_engine.head_memory import Region
from storage_engine.head_rows import RowLog
from storage_engine.head_spread import Spread
from storage_engine.newest import Newest
from storage_engine.sample import ColumnData, ValueType
from storage_engine.state import State

STREAMS = 6
TYPES = np.array([0, 1, 1, 1, 1, 1, 1], np.uint8)

batches = st.lists(
    st.lists(
        st.tuples(st.integers(1, STREAMS), st.integers(0, 20), st.integers(0, 3)),
        min_size=1,
        max_size=10,
    ),
    max_size=8,
)


def fill(head, newest, entries):
    for lsn, batch in enumerate(entries, 1):
        part = SampleRows(
            ValueType.FLOAT64,
            np.array([row[0] for row in batch], np.uint32),
            np.array([row[1] for row in batch], np.int64),
            np.array([row[2] for row in batch], np.uint32),
            ColumnData(ValueType.FLOAT64, np.array([float(lsn)] * len(batch))),
        )
        head.append_samples(part, lsn * 2, newest, STREAMS + 1)


@given(batches)
def test_each_stream_gets_its_rows_in_order(entries):
    """By chain for a read, by one pass for a flush: the same rows."""
    head = Head(10_000, 1, 1)
    fill(head, Newest.empty(STREAMS + 1), entries)
    flat = [(s, t, lsn * 2, q) for lsn, batch in enumerate(entries, 1) for s, t, q in batch]

    for stream in range(1, STREAMS + 1):
        expected = sorted([row[1:] for row in flat if row[0] == stream], key=lambda r: r[:2])
        rows = head.samples(head.capture(stream), ValueType.FLOAT64)
        found = (
            []
            if rows is None
            else list(
                zip(
                    rows.timestamp_ns.tolist(),
                    rows.stamp.tolist(),
                    rows.quality.tolist(),
                    strict=True,
                )
            )
        )
        assert expected == found
    pieces = list(head.series_pieces(TYPES, 7))
    found = [
        (s, t, stamp, q)
        for stream, rows in pieces
        for s, t, stamp, q in zip(
            stream.tolist(),
            rows.timestamp_ns.tolist(),
            rows.stamp.tolist(),
            rows.quality.tolist(),
            strict=True,
        )
    ]
    assert sorted(flat, key=lambda row: row[:3]) == found


@given(batches)
def test_the_newest_sample_is_kept_in_the_same_pass(entries):
    """Older times never move it; the last row of the newest time does."""
    newest = Newest.empty(STREAMS + 1)
    fill(Head(10_000, 1, 1), newest, entries)
    flat = [(s, t, lsn) for lsn, batch in enumerate(entries, 1) for s, t, _ in batch]

    for stream in range(1, STREAMS + 1):
        times = [t for s, t, _ in flat if s == stream]
        assert bool(times) == bool(newest.flags[stream] & 1)
        if times:
            assert max(times) == newest.time[stream]
            last = [lsn for s, t, lsn in flat if s == stream and t == max(times)][-1]
            assert float(last) == newest.cell[stream : stream + 1].view(np.float64)[0]


def test_what_was_captured_does_not_change():
    """A reader goes on while appends do."""
    head, newest = Head(10_000, 1, 1), Newest.empty(STREAMS + 1)
    fill(head, newest, [[(1, 5, 0)]])
    captured = head.capture(1)
    fill(head, newest, [[(1, 6, 0)] * 9])

    rows = head.samples(captured, ValueType.FLOAT64)

    assert [5] == rows.timestamp_ns.tolist()


def test_memory_grows_with_rows_and_is_bounded():
    """Not with tags."""
    head, newest = Head(ROW_BYTES * 10, 1, 1), Newest.empty(STREAMS + 1)
    assert 0 == head.size_bytes
    fill(head, newest, [[(1, 5, 0)] * 4])

    assert 4 * ROW_BYTES == head.size_bytes
    assert head.has_room(6, 0)
    assert not head.has_room(7, 0)
    assert not head.has_room(6, 1)


def test_strings_are_held_once():
    """States repeat; their characters do not."""
    head, newest = Head(1 << 20, 1, 1), Newest.empty(9)
    texts = np.array(["RUN", "STOP", "RUN"] * 100, object)
    part = SampleRows(
        ValueType.SYMBOL,
        np.ones(300, np.uint32),
        np.arange(300),
        np.zeros(300, np.uint32),
        ColumnData(ValueType.SYMBOL, texts),
    )
    head.append_samples(part, 2, newest, 2)

    assert ["", "RUN", "STOP"] == head.texts
    rows = head.samples(head.capture(1), ValueType.SYMBOL)
    assert texts.tolist() == rows.data[0].value.tolist()


def test_the_row_log_checks_every_bound():
    """The kernel trusts its door."""
    log, newest = RowLog(4, 2), Newest.empty(4)
    columns = (np.zeros(3, np.int64), np.zeros(3, np.uint64), np.zeros(3, np.uint32))
    valid = np.ones(3, np.uint8)
    good = np.array([0, 1, 3], np.uint32)

    with pytest.raises(InvalidArgument, match="beyond the table"):
        log.append(good, *columns, valid, 2, newest, 3)
    with pytest.raises(InvalidArgument, match="differ in length"):
        log.append(good[:2], *columns, valid, 2, newest, 4)
    log.append(good, *columns, valid, 2, newest, 4)
    with pytest.raises(InvalidArgument, match="got 3 rows, want <= 1"):
        log.append(good, *columns, valid, 2, newest, 4)
    with pytest.raises(InvalidArgument, match="beyond the table"):
        log.order(log.last, log.count, np.array([9], np.uint32))
    with pytest.raises(InvalidArgument, match="too short"):
        Spread(log, np.zeros(1, np.uint32), np.zeros(3, np.uint32))
    with pytest.raises(InvalidArgument, match="other than 1"):
        Spread(log, np.arange(len(log.count), dtype=np.uint32), np.zeros(1, np.uint32))
    with pytest.raises(InvalidArgument, match="want 1 to"):
        RowLog(0, 1)


def test_a_head_is_as_large_as_its_streams_ask_for():
    """Segments with a few rows per stream cost as much for the directory as for the rows."""
    most = 100 * 16 * ROW_BYTES
    config = EngineConfig(head_bytes_max=1000, head_rows_per_stream=16, head_bytes_most=most)
    state = State(config)
    for streams, expected in ((2, 1000), (20, 20 * 16 * ROW_BYTES), (500, most)):
        state.streams.next_id = streams
        state.freeze()

        assert expected == state.front.bytes_max
        assert state.front.has_room(expected // ROW_BYTES, 0)


def test_memory_of_a_head_is_taken_once():
    """A region is made by one call, and bytes stay while an array lies in them."""
    region = Region(10_000, 8192)
    with pytest.raises(MemoryError, match="once"):
        region.__init__(10_000, 0)
    with pytest.raises(MemoryError, match="want > 0"):
        Region(0, 0)
    held = np.frombuffer(region, np.uint8)
    held[:] = 7
    del region

    assert held.all()
    assert not np.frombuffer(Region(10_000, 8192), np.uint8)[8192:].any()
