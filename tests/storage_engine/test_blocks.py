"""blocks.pyx: blocks whose bytes are wrong give an error or rows, never a read beyond them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage_engine.block import BlockIdentity, encode_block
from storage_engine.blocks import LOADED, Stop, load_run, read_runs
from storage_engine.columns import Rows
from storage_engine.errors import CorruptData, InvalidArgument
from storage_engine.packed_runs import RUN
from storage_engine.sample import ColumnData, ValueType

ROWS = 1500


def block() -> bytes:
    """A block of a series with nulls and qualities."""
    rng = np.random.default_rng(1)
    time = np.cumsum(rng.integers(1, 9, ROWS)).astype(np.int64)
    column = ColumnData(
        ValueType.FLOAT64, np.round(rng.normal(size=ROWS), 2), rng.random(ROWS) > 0.1
    )
    quality = np.where(rng.random(ROWS) < 0.2, 0x8000_0000, 0).astype(np.uint32)
    stamp = np.full(ROWS, 6, np.uint64)
    rows = Rows(time, stamp, quality, None, (column,))
    return encode_block(rows, BlockIdentity(bytes(16), 1, 0, 1))


WHOLE = block()


def loaded(data: bytes, rows: int = ROWS, value_type: int = 1):
    """A run of all rows, and the columns that the kernels cannot decode."""
    runs = np.zeros(1, RUN)
    runs["rows"], runs["last"] = rows, 2**62
    undone = load_run(runs, 0, data, value_type, 8)
    runs["flags"] |= LOADED
    return runs, undone


def read(runs) -> int:
    """Decode everything there is."""
    n = int(runs["rows"][0])
    arrays = np.zeros(n, np.int64), np.zeros(8 * n, np.uint8), np.zeros(n, np.uint32)
    return read_runs(runs, 0, 1, -(2**63), 2**63 - 1, *arrays, np.zeros(n, np.uint8), 0, Stop())


def test_a_whole_block():
    runs, undone = loaded(WHOLE)
    assert undone == []
    assert read(runs) == ROWS


@given(place=st.integers(0, len(WHOLE) - 1), bit=st.integers(0, 7), cut=st.booleans())
def test_flipped_bits_and_short_bytes(place, bit, cut):
    """What a checksum would have caught before: here nobody compared it."""
    data = bytearray(WHOLE)
    data[place] ^= 1 << bit
    data = data[:place] if cut else data
    try:
        runs, undone = loaded(bytes(data))
    except CorruptData:
        return
    if not undone:
        assert read(runs) <= ROWS


def test_runs_that_are_not_of_the_block():
    with pytest.raises(CorruptData):
        loaded(WHOLE, ROWS + 1)
    with pytest.raises(CorruptData):
        loaded(WHOLE, ROWS, int(ValueType.INT64))
    with pytest.raises(CorruptData):
        loaded(b"")


def test_arrays_that_are_too_short_are_refused():
    runs, _ = loaded(WHOLE)
    time, value = np.zeros(ROWS, np.int64), np.zeros(8 * ROWS - 1, np.uint8)
    with pytest.raises(InvalidArgument):
        read_runs(runs, 0, 1, 0, 9, time, value, None, None, 0, Stop())
    value = np.zeros(8 * ROWS, np.uint8)
    with pytest.raises(InvalidArgument):
        read_runs(runs, 0, 2, 0, 9, time, value, None, None, 0, Stop())
    short = time[:5], np.zeros(40, np.uint8)
    assert read_runs(runs, 0, 1, -9, 2**62, *short, None, None, 0, Stop()) < 0
