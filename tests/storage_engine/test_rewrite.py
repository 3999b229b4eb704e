"""rewrite.py and merging.py: rows merged in key order, only what may go is gone, memory bounded."""

import dataclasses
import errno
import math
import struct
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage_engine.columns import bits_of
from storage_engine.errors import CorruptData, DiskError, EngineClosed
from storage_engine.sample import ValueType
from storage_engine.segment.writer import SegmentWriter
from storage_engine.testing import DAY_NS, SECOND_NS, bits
from storage_engine.tombstones import Tombstone

sys.path.insert(0, str(Path(__file__).parent))
from segment_bench import GROWN, NOW, STREAMS, Bench, add_events, add_series

TODAY = NOW // DAY_NS * DAY_NS
NAN = struct.unpack("<d", struct.pack("<Q", 0x7FF8_0000_0000_0123))[0]
VALUES = {
    ValueType.FLOAT64: [0.0, -0.0, math.nan, NAN, None],
    ValueType.INT64: [0, -1, None],
    ValueType.SYMBOL: ["RUN", "", None],
}
TYPES = list(VALUES)

# Few streams, times and values, so that rewrites, redeliveries and ties are the rule.
series_row = st.tuples(
    st.sampled_from([1, 2, 3, 4]),
    st.sampled_from([TODAY + k * SECOND_NS for k in range(4)] + [TODAY - 40 * DAY_NS]),
    st.integers(2, 21),
    st.sampled_from([0, 0, 0x8000_0000]),
    st.integers(0, 4),
).map(lambda r: (*r[:4], pick(STREAMS[r[0]].value_type, r[4])))
event_row = st.tuples(
    st.sampled_from([5, 6]),
    st.sampled_from([TODAY, TODAY + 1, TODAY - 40 * DAY_NS]),
    st.sampled_from([b"a" * 16, b"b" * 16, b"\xff" * 16]),
    st.integers(2, 21),
    st.tuples(st.sampled_from(["u1", None]), st.sampled_from([1.0, NAN, None])),
)
erasures = st.lists(
    st.builds(
        Tombstone,
        lsn=st.integers(1, 11),
        stream_id=st.integers(1, 6),
        start_ns=st.sampled_from([TODAY - 41 * DAY_NS, TODAY, TODAY + SECOND_NS]),
        end_ns=st.sampled_from([TODAY + 1, TODAY + 2 * SECOND_NS]),
        erase=st.booleans(),
    ),
    max_size=3,
)


def pick(value_type, number):
    return VALUES[value_type][number % len(VALUES[value_type])]


def gone(row, stamp, tombstones):
    """Whether an erasure covers a row."""
    return any(
        t.erase and t.stream_id == row[0] and t.start_ns <= row[1] < t.end_ns and stamp < 2 * t.lsn
        for t in tombstones
    )


def expected_series(rows, tombstones):
    """Order of (type, stream, time, stamp); redeliveries of the row before dropped."""
    rows = [row for row in rows if not gone(row, row[2], tombstones)]
    rows.sort(key=lambda row: (STREAMS[row[0]].value_type, *row[:3]))
    found, before = [], None
    for stream, time, stamp, quality, value in rows:
        facts = (stream, time, quality, bits(value))
        if not (stamp & 1 and facts == before):
            found.append((stream, time, stamp, quality, (bits(value),)))
        before = facts
    return found


def expected_events(rows, tombstones):
    """Each content of a key once, the first by stamp."""
    rows = [row for row in rows if not gone(row, row[3], tombstones)]
    rows.sort(key=lambda row: row[:4])
    found, seen = [], set()
    for stream, time, event_id, stamp, values in rows:
        facts = (stream, time, event_id, tuple(map(bits, values)))
        if facts not in seen:
            found.append((stream, time, stamp, event_id, facts[3]))
        seen.add(facts)
    return found


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(series_row, max_size=60),
    events=st.lists(event_row, max_size=30),
    tombstones=erasures,
    split=st.lists(st.integers(0, 3), min_size=22, max_size=22),
    small=st.booleans(),
)
def test_any_split_into_segments_merges_into_the_same_rows(rows, events, tombstones, split, small):
    """Rows of one record lie in one segment; everything else may lie anywhere."""
    bench = Bench(**({"segment_bytes_max": 1} if small else {}))
    infos = [
        bench.write(mine, others)
        for place in range(4)
        if (mine := [row for row in rows if split[row[2]] == place])
        + (others := [row for row in events if split[row[3]] == place])
    ]

    outputs = bench.rewrite(infos, tombstones)

    for partition, name, wanted in (
        ("2025-06-15", "default", lambda row: row[1] >= TODAY and row[0] != 3),
        ("2025-05", "default", lambda row: row[1] < TODAY and row[0] != 3),
        ("2025-06-15", "long", lambda row: row[1] >= TODAY and row[0] == 3),
        ("2025-05", "long", lambda row: row[1] < TODAY and row[0] == 3),
    ):
        mine = [o for o in outputs if (o.partition, o.retention_class) == (partition, name)]
        want = expected_series(rows, tombstones) + expected_events(events, tombstones)
        found = [row for info in mine for row in bench.rows(info)]
        assert [row for row in want if wanted(row)] == found
        # Equal stamps have no order but the one within a file.
        times = [{row[:2] for row in bench.rows(info)} for info in mine]
        assert sum(map(len, times)) == len(set().union(*times))
    assert all(info.rows == len(bench.rows(info)) for info in outputs)


def test_columns_that_a_schema_grew_read_as_null():
    """Rows of before and after lie in one segment; equal contents are still equal."""
    bench = Bench()
    old = bench.write(events=[(5, 1, b"a" * 16, 2, ("u",))], grown=False)
    new = bench.write(events=[(5, 1, b"a" * 16, 4, ("u", None)), (5, 2, b"a" * 16, 6, ("u", 1.0))])

    (info,) = bench.rewrite([new, old], now_ns=0)

    assert [(1, 2, ("u", None)), (2, 6, ("u", bits(1.0)))] == [
        (row[1], row[2], row[4]) for row in bench.rows(info)
    ]


def test_a_kept_mask_decides_what_is_written():
    """Retention and restore leave rows out by a rule of their own."""
    bench = Bench()
    infos = [bench.write([(2, t, 2, 0, float(t)), (4, t, 2, 0, t)]) for t in range(6)]

    outputs = bench.rewrite(
        infos,
        keep=lambda stream, rows: rows.timestamp_ns >= 4 if stream == 2 else None,
    )

    found = [row[:2] for info in outputs for row in bench.rows(info)]
    assert sorted([(2, 4), (2, 5)] + [(4, t) for t in range(6)]) == sorted(found)
    assert () == bench.rewrite(infos, keep=lambda _, rows: np.zeros(len(rows), np.bool_))


def test_blocks_in_memory_do_not_grow_with_the_segments():
    """One decoded block per input whose ranges overlap, and what is on its way out."""
    bench = Bench(block_rows=16)
    infos = [
        bench.write(
            [(2, 7 * k + i, 2 * i, 0, float(k)) for k in range(400)], partition="1970-01-01"
        )
        for i in range(5)
    ]
    alive, most = set(), [0]
    load = bench.reader.load_block

    def counted(directory, number, first=None):
        rows = load(directory, number, first)
        token = object()
        alive.add(token)
        weakref.finalize(rows.timestamp_ns, alive.discard, token)
        most[0] = max(most[0], len(alive))
        return rows

    bench.reader.load_block = counted
    (info,) = bench.rewrite(infos, now_ns=0)

    assert 2000 == info.rows
    assert most[0] <= len(infos) + 2
    # Segments that follow each other in time are read one after the other.
    chain = [bench.write([(2, 1000 * i + k, 2, 0, 0.0) for k in range(64)]) for i in range(9)]
    most[0] = 0
    bench.rewrite(chain, now_ns=0)
    assert most[0] <= 4


def test_blocks_of_another_writer_in_any_order_are_merged():
    """Every chain of blocks that follow each other is read by itself."""
    bench = Bench()
    writer = SegmentWriter(bench.fs, bytes(16), bench.live.allocate(), "1970-01-01", "default")
    for start in (8, 0, 4):
        add_series(
            writer, ValueType.FLOAT64, [(2, start + k, 2, 0, float(start)) for k in range(4)]
        )
    info = writer.finish(bench.streams)

    (merged,) = bench.rewrite([info], now_ns=0)

    assert list(range(12)) == [row[1] for row in bench.rows(merged)]


@pytest.mark.parametrize("block", [0, 2])
def test_damage_is_named_and_nothing_is_left_behind(block):
    """A checksum that does not hold ends the rewrite; its outputs are gone, its ids free."""
    bench = Bench(segment_bytes_max=1)
    good = bench.write([(2, t, 2, 0, 1.0) for t in range(20)])
    bad = bench.write([(2, t, 4, 0, 2.0) for t in range(20)])
    before = bench.files()
    offset = int(bench.reader.load_directory(bad).table["block_offset"][block])
    file = bench.fs.open_write(bad.path)
    byte = file.read_at(offset + 40, 1)
    file.write_at(offset + 40, bytes([byte[0] ^ 1]))

    with pytest.raises(CorruptData, match=f"block {block}") as caught:
        bench.rewrite([good, bad])

    assert (bad.path, block) == (caught.value.facts["path"], caught.value.facts["block"])
    assert before == bench.files()
    assert not any(bench.live.held(number) for number in range(3, bench.live.next_id))


def test_a_damaged_directory_is_named():
    """Its segment cannot take part."""
    bench = Bench()
    bad = bench.write([(2, 1, 2, 0, 1.0)])
    bench.fs.open_write(bad.path).write_at(bad.size - 1, b"\x00\x01"[:1])

    with pytest.raises(CorruptData) as caught:
        bench.rewrite([bad])

    assert bad.path == caught.value.facts["path"]


def test_a_full_disk_leaves_nothing_behind():
    """Whatever call the medium refuses."""
    for refused in range(1, 60):
        bench = Bench(segment_bytes_max=1)
        infos = [bench.write([(2, t, 2 * k, 0, 1.0) for t in range(20)]) for k in (1, 2)]
        before, calls = bench.files(), [0]

        def fault(what, path, refused=refused, calls=calls):
            if what in {"write", "create", "sync", "rename"}:
                calls[0] += 1
                return errno.ENOSPC if calls[0] == refused else None
            return None

        bench.fs.fault = fault
        try:
            bench.rewrite(infos)
        except DiskError:
            assert before == bench.files(), refused
            continue
        assert calls[0] < refused
        return
    pytest.fail("no run came through")


def test_pace_hears_of_every_byte_and_may_cancel():
    """What is read and written is told; EngineClosed from there ends the job."""
    bench = Bench()
    infos = [bench.write([(2, 9 * t + k, 2, 0, float(t)) for t in range(50)]) for k in range(3)]
    told = []
    (info,) = bench.rewrite(infos, now_ns=0, pace=told.append)
    blocks = sum(int(bench.reader.load_directory(i).table["block_length"].sum()) for i in infos)

    assert sum(told) >= blocks + info.size - 64
    assert max(told) <= 8192

    before, left = bench.files(), [10]

    def cancel(size_bytes):
        left[0] -= 1
        if left[0] == 0:
            raise EngineClosed("cannot compact: got a closed engine, want an open one")

    with pytest.raises(EngineClosed):
        bench.rewrite(infos, now_ns=0, pace=cancel)
    assert before == bench.files()


def test_outputs_say_what_they_are():
    """Late only when all inputs were; erased up to the newest erasure."""
    bench = Bench()
    (info,) = bench.rewrite([bench.write([(2, 1, 2, 0, 1.0)])], now_ns=0)
    assert (False, 0) == (info.late, info.erased_lsn)

    stone = Tombstone(9, 4, 0, 1, erase=True)
    (info,) = bench.rewrite([info], [stone], now_ns=0)
    assert 9 == info.erased_lsn
    (info,) = bench.rewrite([info], now_ns=0)
    assert 9 == info.erased_lsn
    assert 9 == bench.reader.load_directory(info).info.erased_lsn


def test_floats_are_compared_by_their_bits():
    """-0.0 is no redelivery of 0.0, nor one NaN of another."""
    bench = Bench()
    values = [0.0, -0.0, math.nan, NAN]
    infos = [bench.write([(2, 1, 2 * k + 3, 0, value)]) for k, value in enumerate(values)]

    (info,) = bench.rewrite(infos, now_ns=0)

    found = [row[4][0] for row in bench.rows(info)]
    assert bits_of(np.array(values)).tobytes() == b"".join(found)


def test_what_cannot_be_merged_is_named_and_not_guessed():
    """Blocks of mixed streams of events, ties in the wrong order, rows of nobody, missing runs."""
    bench = Bench()
    writer = SegmentWriter(bench.fs, bytes(16), bench.live.allocate(), "1970-01-01", "default")
    add_events(writer, [(5, 1, b"a" * 16, 2, ("u", 1.0)), (6, 1, b"a" * 16, 2, ("u", 1.0))], GROWN)
    mixed = writer.finish(bench.streams)
    writer = SegmentWriter(bench.fs, bytes(16), bench.live.allocate(), "1970-01-01", "default")
    for stamp in (8, 4):
        add_series(writer, ValueType.FLOAT64, [(2, 1, stamp, 0, 1.0)])
    tied = writer.finish(bench.streams)

    with pytest.raises(CorruptData, match="several column sets"):
        bench.rewrite([mixed])
    with pytest.raises(CorruptData, match="key order") as caught:
        bench.rewrite([tied])
    assert (tied.path, 1) == (caught.value.facts["path"], caught.value.facts["block"])

    good = bench.write([(2, 1, 2, 0, 1.0), (3, 1, 2, 0, 1.0)])
    bench.streams = {2: STREAMS[2]}
    with pytest.raises(CorruptData, match="stream 3"):
        bench.rewrite([good])
    bench.streams = STREAMS
    directory = bench.reader.directory(good)
    short = {name: a[:1] if name.startswith("run_") else a for name, a in directory.table.items()}
    bench.reader.directory = lambda info: dataclasses.replace(directory, table=short)
    with pytest.raises(CorruptData, match="runs that are not"):
        bench.rewrite([good])
