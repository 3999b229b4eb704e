"""arrays.py to Arrow: pyarrow takes over what was read, with no copy of times and numbers."""

import gc
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from storage_engine.arrays import SampleArrays, aligned
from storage_engine.sample import DTYPES, ValueType

sys.path.insert(0, str(Path(__file__).parent))
from test_engine_arrays import NUMBERS, WHOLE, minutes, opened, rows_of

ARROW = {
    ValueType.FLOAT64: pa.float64(),
    ValueType.FLOAT32: pa.float32(),
    ValueType.INT64: pa.int64(),
    ValueType.UINT64: pa.uint64(),
    ValueType.BOOL: pa.bool_(),
    ValueType.SYMBOL: pa.large_string(),
    ValueType.TEXT: pa.large_string(),
    ValueType.BYTES: pa.large_binary(),
}


def held(value_type: ValueType, values: list, quality: list | None = None) -> SampleArrays:
    """Arrays of plain values, None where null."""
    n = len(values)
    blank = {ValueType.BYTES: b"", ValueType.SYMBOL: "", ValueType.TEXT: ""}.get(value_type, 0)
    value = aligned(n, DTYPES[value_type])
    for row, one in enumerate(values):
        value[row] = blank if one is None else one
    valid = np.array([one is not None for one in values], np.bool_)
    return SampleArrays(
        value_type,
        np.arange(n, dtype=np.int64) * 1_000_000_001,
        value,
        None if quality is None else np.array(quality, np.uint32),
        None if valid.all() else valid,
    )


@pytest.mark.parametrize("value_type", list(ValueType))
@pytest.mark.parametrize("rows", [0, 1, 7, 8, 9, 1000])
@pytest.mark.parametrize("nulls", [False, True])
def test_what_arrow_takes_over_is_what_was_read(value_type, rows, nulls):
    """Every type, with and without nulls, over whole and cut bytes of bits."""
    texts = {ValueType.BYTES: [b"", b"\x00\xff"], ValueType.BOOL: [True, False, True]}
    some = texts.get(value_type, [0, 1, 2])
    if value_type in {ValueType.SYMBOL, ValueType.TEXT}:
        some = ["RUN", "", "Ä\x00"]
    values = [None if nulls and k % 3 == 1 else some[k % len(some)] for k in range(rows)]
    quality = [0x8000_0000 if k % 5 == 2 else 0 for k in range(rows)] if nulls else None
    arrays = held(value_type, values, quality)

    for taken in (pa.record_batch(arrays), pa.table(arrays).combine_chunks()):
        taken.validate(full=True)
        assert taken.schema.field("time").type == pa.timestamp("ns", "UTC")
        assert taken.schema.field("value").type == ARROW[value_type]
        assert taken.schema.field("quality").type == pa.uint32()
        assert taken.schema == pa.schema(arrays)
        assert taken.column("time").cast(pa.int64()).to_pylist() == arrays.timestamp_ns.tolist()
        assert taken.column("value").to_pylist() == values
        assert taken.column("quality").to_pylist() == (quality or [0] * rows)


def test_times_and_numbers_are_not_copied_and_outlive_what_gave_them():
    """The consumer's buffers are ours, and are kept until the consumer lets go."""
    arrays = held(ValueType.FLOAT64, [float(k) for k in range(1000)])
    address = arrays.value.__array_interface__["data"][0]
    batch = pa.record_batch(arrays)
    assert batch.column("value").buffers()[1].address == address
    assert (
        batch.column("time").buffers()[1].address
        == (arrays.timestamp_ns.__array_interface__["data"][0])
    )
    count = sys.getrefcount(arrays.value)
    column = batch.column("value")
    del arrays, batch
    gc.collect()
    assert column.to_pylist() == [float(k) for k in range(1000)]
    assert count > 2


def test_capsules_that_nobody_takes_give_all_back():
    """Exports that are dropped, taken in part or taken twice leave no reference behind."""
    arrays = held(ValueType.INT64, list(range(100)))
    before = sys.getrefcount(arrays.value)
    for _ in range(10):
        arrays.__arrow_c_schema__()
        arrays.__arrow_c_array__()
        arrays.__arrow_c_stream__()
        pa.table(arrays)
        pa.record_batch(arrays).column("value")
    gc.collect()
    after = sys.getrefcount(arrays.value)
    assert before == after
    reader = pa.RecordBatchReader.from_stream(arrays)
    assert [len(batch) for batch in reader] == [100]


def test_a_read_goes_to_arrow():
    """From packed blocks through arrays into a table."""
    engine, made = opened()
    rng = np.random.default_rng(5)
    for value_type in NUMBERS:
        part = rows_of(value_type, made[value_type], minutes(3000), rng)
        engine.bulk_import("a", 1, [part])
        table = pa.table(engine.read_arrays(made[value_type], *WHOLE))
        table.validate(full=True)
        expected = engine.read(made[value_type], *WHOLE)
        nulls = [v is None for v in table.column("value").to_pylist()]
        assert nulls == [v is None for v in expected.value.objects()]
        assert table.column("quality").to_pylist() == expected.quality.tolist()
    engine.close()
