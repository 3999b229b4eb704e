"""Chunks of vector summaries: they come back to the bit, and no damage passes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage_engine.checksum import crc32c
from storage_engine.columns import Rows
from storage_engine.config import EngineConfig
from storage_engine.errors import CorruptData, InvalidArgument
from storage_engine.findings import Findings
from storage_engine.fold import FoldColumns
from storage_engine.fold_state import CODE, EVERY_SUM, STATE, SUMS
from storage_engine.frame import SlotKind
from storage_engine.recording import RecordingFileSystem
from storage_engine.sample import Column, ColumnData, ValueType
from storage_engine.segment.pyramid import Pyramid, same_states
from storage_engine.segment.pyramid_chunk import PyramidIdentity, decode_pyramid, encode_pyramid
from storage_engine.segment.reader import SegmentReader
from storage_engine.segment.summary import run_states
from storage_engine.segment.writer import SegmentWriter
from storage_engine.streams import StreamInfo
from storage_engine.tools.bytes_of import read_piece
from storage_engine.tools.segment_check import check_segment

IDENTITY = PyramidIdentity(b"i" * 16, 7, 3)
DTYPES = (np.float64, np.float32, np.int64, np.uint64, np.uint8, np.uint64)
ODD = [0.0, -0.0, 1e300, -1e-300, 5e-324, np.inf, -np.inf, np.nan, 0.1, 3.4e38]


def folded(kind, time, value, quality=None, valid=None, *, step=1024):
    n = len(time)
    places = np.append(np.arange(0, n, step), n).astype(np.int64)
    wanted = np.full(len(places) - 1, EVERY_SUM, np.uint8)
    return FoldColumns.fold(kind, time, value, quality, valid, places, wanted=wanted)


def plant(kind=0, n=5000, seed=1):
    rng = np.random.default_rng(seed)
    time = 10**18 + np.arange(n) * 10**9 + rng.integers(0, 4, n) * 10**6
    value = np.round(np.cumsum(rng.normal(0, 0.02, n)) + 70, 2) * (1 if kind < 2 else 100)
    value = value > 7001 if kind == 4 else value
    return kind, time, value.astype(DTYPES[kind])


def equal(found, expected, unknown_may=0):
    """Every field, but for sums that were left out."""
    a, b = found.table.copy(), expected.table.copy()
    for k, name in enumerate(SUMS):
        gone = (found.known >> k & 1) == 0
        assert unknown_may or not (gone & (expected.known >> k & 1 == 1)).any()
        b[name][gone] = 0
        if name == "increase" and found.kind < CODE:
            b["resets"][gone] = b["transitions"][gone] = 0
    for name in set(STATE.names) - {"wide", "rest", "exact"}:
        assert a[name].tobytes() == b[name].tobytes(), name
    assert ((found.known & ~expected.known) == 0).all()


@pytest.mark.parametrize("kind", range(6))
def test_a_chunk_comes_back_to_the_bit(kind):
    columns = folded(*plant(kind))

    found = decode_pyramid(encode_pyramid(columns, IDENTITY), IDENTITY, at="x")

    equal(found, columns)
    assert (found.known == columns.known).all()


def test_strings_have_counts_and_times_alone():
    time = np.arange(3000, dtype=np.int64)
    columns = folded(6, time, None)

    equal(decode_pyramid(encode_pyramid(columns, IDENTITY), IDENTITY, at="x"), columns)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([0, 1, 2, 3]),
    st.lists(st.sampled_from(ODD) | st.floats(-1e6, 1e6), min_size=1, max_size=60),
    st.lists(st.sampled_from([0, 0, 0, 2**30, 2**31]), min_size=60, max_size=60),
    st.lists(st.integers(0, 2**40), min_size=60, max_size=60),
    st.integers(1, 20),
)
def test_odd_values_come_back_or_are_left_out(kind, values, quality, steps, step):
    """What words cannot hold is not known; it is never wrong."""
    n = len(values)
    with np.errstate(all="ignore"):
        value = np.array(values).astype(DTYPES[kind])
    time = np.cumsum(steps[:n])
    columns = folded(
        kind, time, value, np.array(quality[:n], np.uint32), (np.arange(n) % 7 > 0), step=step
    )

    found = decode_pyramid(encode_pyramid(columns, IDENTITY), IDENTITY, at="x")

    equal(found, columns, unknown_may=1)
    again = FoldColumns(kind, columns.table)
    for k, name in enumerate(SUMS):
        kept = (found.known >> k & 1).astype(bool) & (columns.table["exact"] >> k & 1 == 1)
        assert (again.result(name)[kept] == found.result(name)[kept]).all()


def test_one_wild_vector_does_not_cost_the_others_their_sums():
    kind, time, value = plant()
    value[3000] = 1e300
    value[4000] = 1e-300

    found = decode_pyramid(encode_pyramid(folded(kind, time, value), IDENTITY), IDENTITY, at="x")

    assert found.known.tolist() == [31, 31, found.known[2], found.known[3], 31]
    assert 31 not in found.known[2:4].tolist()


def test_every_flip_and_every_cut_is_found():
    data = encode_pyramid(folded(*plant(n=1500)), IDENTITY)
    for bit in range(8 * len(data)):
        bad = bytearray(data)
        bad[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CorruptData):
            decode_pyramid(bytes(bad), IDENTITY, at="x")
    for size in range(len(data)):
        with pytest.raises(CorruptData):
            decode_pyramid(data[:size], IDENTITY, at="x")


@pytest.mark.parametrize("number", range(3))
def test_the_chunk_of_another_is_found(number):
    data = encode_pyramid(folded(*plant(n=1500)), IDENTITY)
    other = [b"j" * 16, 8, 4][number]
    facts = [IDENTITY.incarnation, IDENTITY.segment_id, IDENTITY.stream]
    facts[number] = other

    with pytest.raises(CorruptData):
        decode_pyramid(data, PyramidIdentity(*facts), at="x")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_lies_under_a_sound_checksum_never_crash(data):
    """Whoever can forge a checksum gets an error or other numbers, no more."""
    body = bytearray(
        encode_pyramid(folded(*plant(n=2100, kind=data.draw(st.integers(0, 5)))), IDENTITY)
    )
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(8, len(body) - 1))] = data.draw(st.integers(0, 255))
    body[4:8] = crc32c(bytes(body[8:]), IDENTITY.seed()).to_bytes(4, "little")
    try:
        found = decode_pyramid(bytes(body), IDENTITY, at="x")
    except CorruptData:
        return
    assert len(found) == int.from_bytes(body[8:12], "little")
    found.merge(np.zeros(1, np.int64)).result("variance")


def written(counts):
    """A segment of one block a stream and count, and a reader of it."""
    fs = RecordingFileSystem()
    writer = SegmentWriter(fs, b"i" * 16, 7, "2001-09-09", "default")
    streams, expected = {}, {}
    for number, n in enumerate(counts, 1):
        columns = (Column("value", ValueType.FLOAT64),)
        streams[number] = StreamInfo(number, bytes([number]) * 16, SlotKind.SERIES, columns, "d")
        _, time, value = plant(n=n, seed=number)
        rows = Rows(
            time,
            np.arange(n, dtype=np.uint64) * np.uint64(2),
            np.zeros(n, np.uint32),
            None,
            (ColumnData(ValueType.FLOAT64, value, None),),
        )
        for first in range(0, n, 5000):
            part = rows.take(slice(first, first + 5000))
            writer.add(np.full(len(part), number, np.uint32), part)
        expected[number] = (time, value)
    info = writer.finish(streams)
    findings = Findings(100)
    return fs, info, SegmentReader(fs, EngineConfig(), findings), findings, expected


def test_a_segment_keeps_the_vectors_of_its_deep_streams():
    """Of a stream with a run of more than 1,024 rows: all vectors, all runs; of others none."""
    fs, info, reader, findings, expected = written([1024, 12_345, 30])
    directory = reader.directory(info)

    assert reader.vectors(directory, 1) is None
    assert reader.vectors(directory, 3) is None
    found = reader.vectors(directory, 2).levels[0]
    assert found.table["rows"].tolist() == ([1024] * 4 + [904]) * 2 + [1024, 1024, 297]
    time, value = expected[2]
    edges = np.array([0, 2**62], np.int64)
    whole = FoldColumns.fold(0, time, value, None, None, edges)
    assert same_states(found.merge(np.zeros(1, np.int64)), whole)
    runs = FoldColumns(0, run_states(directory.table, directory.runs_of(2)))
    assert same_states(runs.merge(np.zeros(1, np.int64)), whole)
    assert findings.list() == []
    assert check_segment(fs, info.path).findings == []


def test_a_damaged_chunk_is_named_and_the_rows_are_read():
    fs, info, reader, findings, _ = written([3000])
    directory = reader.directory(info)
    offset = int(directory.table["stream_pyramid_offset"][0])
    data = bytearray(read_piece(fs, info.path, 0, info.size))
    data[offset + 100] ^= 4
    fs.remove(info.path)
    fs.create(info.path).append(bytes(data))
    reader.forget()
    directory = reader.directory(info)

    assert reader.vectors(directory, 1) is None
    assert len(reader.block(directory, 0)) == 3000
    assert ["pyramid" in finding.what for finding in findings.list()] == [True]
    assert check_segment(fs, info.path).findings


def test_any_range_of_vectors_is_folded_through_the_tree():
    """To the bytes of a fold over the rows, with a few summaries merged."""
    kind, time, value = plant(n=40_000)
    value[17_000:17_040] = np.nan
    tree = Pyramid(folded(kind, time, value, step=16))
    rng = np.random.default_rng(5)
    first = np.concatenate([[0, 0, 7, 31, 32, 2500], rng.integers(0, 2500, 200)])
    behind = np.concatenate([[0, 2500, 7, 33, 1024, 2500], rng.integers(0, 2501, 200)])
    first, behind = np.minimum(first, behind), np.maximum(first, behind)

    found = tree.fold(first, behind)

    assert len(tree.levels) == 3
    for k, (low, high) in enumerate(zip(first.tolist(), behind.tolist(), strict=True)):
        rows = slice(16 * low, 16 * high)
        edges = np.array([0, 2**62], np.int64)
        want = FoldColumns.fold(kind, time[rows], value[rows], None, None, edges)
        assert found.table[k]["exact"] == want.table[0]["exact"]
        assert same_states(FoldColumns(kind, found.table[k : k + 1]), want)
    for low, high in ((-1, 2), (0, 2501), (3, 2)):
        with pytest.raises(InvalidArgument):
            tree.fold(np.array([low]), np.array([high]))
