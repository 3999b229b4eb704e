"""compact_table.py: directories come back as they were, and damage is a data error."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage_engine.compact_table import KNOWN, decode_directory, encode_compact
from storage_engine.errors import CorruptData, UnsupportedFormat
from storage_engine.table import encode_table

DTYPES = ("<u8", "<i8", "<u4", "|u1", "<f8", "|V16", "<f4")


@st.composite
def arrays(draw):
    """Arrays as directories have them: zeros, ramps, extremes, noise; few rows and many."""
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    rows = draw(st.sampled_from([0, 1, 2, 7, 255, 256, 257, 3000]))
    kind = draw(st.sampled_from(["zeros", "ramp", "extremes", "noise"]))
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    if kind == "zeros" or dtype.kind == "V":
        return rng.integers(0, 2, rows * dtype.itemsize, np.uint8).view(dtype)
    if kind == "ramp":
        return (np.arange(rows) * 1000).astype(dtype)
    if kind == "extremes" and dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return rng.choice(np.array([limits.min, 0, limits.max], dtype), rows)
    return rng.integers(0, 256, rows * dtype.itemsize, np.uint8).view(dtype)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from([*(n for n, _ in KNOWN), "new", "other"]), arrays()))
def test_tables_come_back(table):
    """Bit for bit, in their order, whatever their names and dtypes."""
    decoded = decode_directory(encode_compact(table), at="x")

    assert list(table) == list(decoded)
    for name, column in table.items():
        assert (column.dtype, column.tobytes()) == (decoded[name].dtype, decoded[name].tobytes())
        assert not decoded[name].flags.writeable


def directory(runs):
    """Of a segment with late rows, each a run of its own."""
    zeros = np.zeros(runs, np.uint64)
    time = (1_767_225_600 + np.arange(runs) * 977) * 10**9
    table = {name: np.zeros(runs, dtype) for name, dtype in KNOWN if name.startswith("run_")}
    table |= {"run_stream": np.arange(runs, dtype=np.uint32) * 3, "run_minimum": zeros + 77}
    table |= {"run_first": time, "run_last": time, "run_maximum": zeros + 77}
    return table


def test_both_versions_are_read_and_the_compact_one_is_small():
    """Of a few late rows there is little to say."""
    table = directory(8)
    compact, plain = encode_compact(table), encode_table(table)

    assert {n: c.tolist() for n, c in decode_directory(plain, at="x").items()} == {
        n: c.tolist() for n, c in decode_directory(compact, at="x").items()
    }
    assert len(compact) < 200
    assert len(plain) > 1500


def test_damage_is_a_data_error():
    """Every prefix, and any byte changed: an error, or a table."""
    for table in (directory(3), directory(300)):
        data = encode_compact(table)
        for place in range(0, len(data), max(len(data) // 400, 1)):
            with pytest.raises(CorruptData):
                decode_directory(data[:place], at="x")
            for byte in (0, 0x7F, 0x80, 0xFF):
                damaged = data[:place] + bytes([byte]) + data[place + 1 :]
                try:
                    decode_directory(damaged, at="x")
                except (CorruptData, UnsupportedFormat):
                    continue


def test_a_few_bytes_cannot_ask_for_all_memory():
    """A constant, and the zeros after it, are as long as a number says: it must not be believed."""
    head = (2 | 1 << 31).to_bytes(4, "little")
    data = head + bytes([0x80, 16 + 2]) + b"\xff" * 8 + b"\x01\x08" + bytes([0x81, 2]) + bytes(8)

    with pytest.raises(CorruptData):
        decode_directory(data, at="x")


def test_an_array_like_an_earlier_one_says_where_it_differs():
    """Least and first values of short runs are mostly the same; damage of the mask is an error."""
    rng = np.random.default_rng(5)
    first = rng.integers(0, 2**63, 300, np.uint64)
    other = first.copy()
    other[::50] += 1
    table = {"run_minimum": first, "run_maximum": other, "run_first_value": first}

    data = encode_compact(table)

    assert len(data) < len(first.tobytes()) + 130
    decoded = decode_directory(data, at="x")
    assert all((decoded[name] == table[name]).all() for name in table)
    for at in range(4, len(data)):
        for bad in (data[:at], data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :]):
            try:
                decode_directory(bad, at="x")
            except (CorruptData, UnsupportedFormat):
                continue
