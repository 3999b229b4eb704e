"""block.py and segment/: what was sealed comes back, and summaries equal a loop over the rows."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage_engine.block import BlockIdentity, decode_block, encode_block
from storage_engine.columns import Rows
from storage_engine.config import EngineConfig
from storage_engine.errors import CorruptData
from storage_engine.findings import Findings
from storage_engine.fold_state import SUMS
from storage_engine.frame import SlotKind
from storage_engine.recording import RecordingFileSystem
from storage_engine.sample import Column, ColumnData, ValueType
from storage_engine.segment.layout import read_facts
from storage_engine.segment.partition import DAY_NS, partition_codes, partition_name
from storage_engine.segment.reader import SegmentReader
from storage_engine.segment.summary import SUMMED_ROWS, run_states, summarize
from storage_engine.segment.writer import SegmentWriter
from storage_engine.streams import StreamInfo
from storage_engine.table import decode_table, encode_table
from storage_engine.testing import column_of

sys.path.insert(0, str(Path(__file__).parent))
from fold_reference import fold as reference

IDENTITY = BlockIdentity(b"i" * 16, 7, 0, 1)
VALUES = {
    ValueType.FLOAT64: [1.5, -0.0, math.nan, None],
    ValueType.FLOAT32: [1.5, -0.0, None],
    ValueType.INT64: [-(2**63), 2**63 - 1, None],
    ValueType.UINT64: [2**64 - 1, 0, None],
    ValueType.BOOL: [True, False, None],
    ValueType.SYMBOL: ["RUN", "", None],
    ValueType.TEXT: ["Ä\x00", "\ud800", "", None],
    ValueType.BYTES: [b"\x00\xff", b"", None],
}


def series(values, value_type=ValueType.FLOAT64, quality=None):
    rows = len(values)
    return Rows(
        np.arange(rows, dtype=np.int64) * 1_000_000_000,
        np.arange(rows, dtype=np.uint64) * np.uint64(2),
        np.zeros(rows, np.uint32) if quality is None else np.array(quality, np.uint32),
        None,
        (column_of(value_type, values),),
    )


@pytest.mark.parametrize("value_type", VALUES, ids=lambda value_type: value_type.name)
@pytest.mark.parametrize("times", [1, 50])
def test_a_block_comes_back_bit_for_bit(value_type, times):
    """Every type, with and without nulls."""
    for values in (VALUES[value_type] * times, VALUES[value_type][:1] * times):
        rows = series(values, value_type)

        decoded = decode_block(encode_block(rows, IDENTITY), IDENTITY, at="x")

        assert repr(rows.data[0].objects()) == repr(decoded.data[0].objects())
        assert rows.timestamp_ns.tobytes() == decoded.timestamp_ns.tobytes()
        assert rows.stamp.tobytes() == decoded.stamp.tobytes()
        assert rows.quality.tobytes() == decoded.quality.tobytes()
        assert decoded.data[0].value.dtype == rows.data[0].value.dtype


def test_event_blocks_keep_ids_and_columns():
    """Columns come back in their places."""
    ids = np.array([b"a" * 16, bytes(16)], "V16")
    columns = tuple(column_of(kind, VALUES[kind][:2]) for kind in VALUES)
    rows = Rows(np.arange(2), np.zeros(2, np.uint64), None, ids, columns)

    decoded = decode_block(encode_block(rows, IDENTITY), IDENTITY, at="x")

    assert ids.tobytes() == decoded.event_id.tobytes()
    assert [c.objects() for c in columns] == [c.objects() for c in decoded.data]


@pytest.mark.parametrize(
    "other",
    [
        BlockIdentity(b"j" * 16, 7, 0, 1),
        BlockIdentity(b"i" * 16, 8, 0, 1),
        BlockIdentity(b"i" * 16, 7, 1, 1),
        BlockIdentity(b"i" * 16, 7, 0, 2),
    ],
)
def test_a_block_in_another_place_is_not_believed(other):
    """Store, segment, number and stream are under the checksum."""
    with pytest.raises(CorruptData, match="crc32c is"):
        decode_block(encode_block(series([1.0]), IDENTITY), other, at="x")


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.0, 1.5, -2.25, math.nan, None]),
            st.sampled_from([0, 0x4000_0000, 0x8000_0000]),
        ),
        min_size=1,
        max_size=100,
    ),
    st.integers(0, 99),
)
def test_summaries_equal_a_loop_over_the_rows(facts, cut):
    """Of each run by itself: nothing leaks from one stream to the next."""
    rows = series([v for v, _ in facts], quality=[q for _, q in facts])
    starts = np.array(sorted({0, cut % len(facts)}))

    table = summarize(rows, starts)

    for run, (begin, end) in enumerate(zip(starts, [*starts[1:], len(facts)], strict=True)):
        times = [i * 10**9 for i in range(begin, end)]
        want, _ = reference(
            0,
            times,
            [v for v, _ in facts[begin:end]],
            [q for _, q in facts[begin:end]],
            [v is not None for v, _ in facts[begin:end]],
        )
        if end - begin < SUMMED_ROWS:
            for name in (*SUMS, "resets", "transitions", "exact"):
                want[name] = 0
        found = run_states(table | run_places(starts, len(facts)), slice(run, run + 1))
        assert found[0].tobytes() == want.tobytes()


def run_places(starts, rows):
    """What a directory says of runs beside their summaries."""
    return {"run_stream": starts, "run_rows": np.diff([*starts, rows])}


@pytest.mark.parametrize("value_type", [ValueType.INT64, ValueType.UINT64, ValueType.BOOL])
def test_extremes_of_integers_are_exact(value_type):
    """They are kept as bits of their own type, not as floats."""
    rows = series([v for v in VALUES[value_type] if v is not None], value_type)

    table = summarize(rows, np.array([0]))

    found = (table["run_minimum"].view("<i8" if value_type is ValueType.INT64 else "<u8")[0],)
    assert (min(rows.data[0].value),) == found


def test_partitions_widen_with_age():
    """Day, month, year; before 1970, too."""
    now = 1_750_000_000 * 10**9
    times = np.array(
        [now, now + DAY_NS, now - 31 * DAY_NS, now - 40 * DAY_NS, now - 800 * DAY_NS, -1]
    )

    names = [partition_name(code) for code in partition_codes(times, now).tolist()]

    assert ["2025-06-15", "2025-06-16", "2025-05-15", "2025-05", "2023", "1969"] == names


def stream(number, value_type=ValueType.FLOAT64):
    columns = (Column("value", value_type),)
    return StreamInfo(number, bytes([number]) * 16, SlotKind.SERIES, columns, "default")


def test_a_segment_gives_each_stream_its_runs():
    """Slow tags share a block, fast ones fill several."""
    fs, findings = RecordingFileSystem(), Findings(9)
    writer = SegmentWriter(fs, b"i" * 16, 3, "2025-06-15", "default")
    writer.add(np.array([1, 1, 2, 5], np.uint32), series([1.0, 2.0, 3.0, 4.0]))
    writer.add(np.array([5, 5], np.uint32), series([5.0, 6.0]))
    info = writer.finish({n: stream(n) for n in (1, 2, 5)})

    reader = SegmentReader(fs, EngineConfig(), findings)
    directory = reader.directory(info)

    assert directory is not None
    assert [2, 1, 0, 0, 2] == [
        directory.runs_of(n).stop - directory.runs_of(n).start + (n == 1) for n in (1, 2, 3, 4, 5)
    ]
    rows = reader.block(directory, 1)
    assert rows is not None
    assert [5.0, 6.0] == rows.data[0].objects()
    facts = read_facts(directory.table, at="x")
    assert (6, "2025-06-15") == (facts["rows"], facts["partition"])
    assert [] == findings.list()
    assert fs.size(info.path) == info.size


def test_tables_come_back_and_damage_is_a_data_error():
    """The body of manifests and directories."""
    table = {"a": np.arange(100), "b": np.zeros(0, "V16"), "c": np.array([1.5], "<f4")}
    data = encode_table(table)

    decoded = decode_table(data, at="x")

    assert {name: column.tobytes() for name, column in table.items()} == {
        name: column.tobytes() for name, column in decoded.items()
    }
    for place in range(len(data)):
        for damaged in (data[:place], data[:place] + b"\xff" + data[place + 1 :]):
            try:
                decode_table(damaged, at="x")
            except CorruptData:
                continue


def test_columns_of_nulls_cost_little_and_hide_their_values():
    """Under a null lies a zero, whatever the caller left there."""
    value = np.array([1.0, 99.0])
    rows = series([1.0, None])
    noisy = Rows(
        rows.timestamp_ns,
        rows.stamp,
        rows.quality,
        None,
        (ColumnData(ValueType.FLOAT64, value, np.array([True, False])),),
    )

    decoded = decode_block(encode_block(noisy, IDENTITY), IDENTITY, at="x")

    assert [1.0, 0.0] == decoded.data[0].value.tolist()
