"""How long values were held: the same however rows are cut, kept with vectors, by the engine."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage_engine.blocks import LOADED
from storage_engine.bulk import BulkRows
from storage_engine.changes import Change, Verb
from storage_engine.checksum import crc32c
from storage_engine.errors import CorruptData, InvalidArgument
from storage_engine.fold import FoldColumns
from storage_engine.fold_codes import HELD, held, hold
from storage_engine.fold_state import DURATIONS, EVERY_SUM, FEW, FOLD_TYPES, STATE
from storage_engine.frame import SlotKind
from storage_engine.sample import ColumnData, SampleColumns, ValueType
from storage_engine.segment.pyramid import Pyramid, same_states
from storage_engine.segment.pyramid_chunk import PyramidIdentity, decode_pyramid, encode_pyramid
from storage_engine.segment.summary import fold_cells, symbol_code
from storage_engine.testing import DAY_NS, SECOND_NS, SetClock

sys.path.insert(0, str(Path(__file__).parent))
from test_engine_arrays import NUMBERS, opened, rows_of

IDENTITY = PyramidIdentity(b"i" * 16, 7, 3)
DTYPES = (np.float64, np.float32, np.int64, np.uint64, np.uint8, np.uint64)
EVERY = EVERY_SUM | DURATIONS


def reference(kind, times, values, qualities, valids):
    """Time from each good row to the next row, where that is good, by the bits of the value."""
    found, before = {}, None
    for time, value, quality, valid in zip(times, values, qualities, valids, strict=True):
        sound = valid and quality >> 30 == 0 and not np.isnan(value)
        if before is not None and sound and time > before[0]:
            found[before[1]] = found.get(before[1], 0) + time - before[0]
        plain = value + 0 if kind > 1 or value != 0 else abs(value)
        code = int.from_bytes(plain.tobytes().ljust(8, b"\0"), "little")
        before = (time, code) if sound else None
    return found


def told(columns, k=0):
    """What a state tells, None for nothing."""
    starts, values = held(columns)
    if not columns.known[k] & DURATIONS:
        assert starts[k] == starts[k + 1]
        return None
    part = values[starts[k] : starts[k + 1]]
    assert (part["code"][1:] > part["code"][:-1]).all()
    return dict(zip(part["code"].tolist(), part["ns"].tolist(), strict=True))


def folded(kind, columns, places, bits=EVERY):
    wanted = np.full(len(places) - 1, bits, np.uint8)
    return FoldColumns.fold(kind, *columns, np.array(places, np.int64), wanted=wanted)


@st.composite
def states(draw):
    kind = draw(st.integers(0, 5))
    n = draw(st.integers(0, 60) | st.integers(200, 1500))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    pool = [0.0, -0.0, 1.0, np.nan, 0.5, np.inf] if kind < 2 else [0, 1, 2, 2**62]
    pool = [0, 1] if kind == 4 else pool
    spread = draw(st.sampled_from([0, 40, 5000]))  # so many more values
    value = np.array(pool, DTYPES[kind])[rng.integers(0, len(pool), n)]
    if spread and kind != 4:
        value = np.where(rng.random(n) < 0.5, rng.integers(0, spread, n), value)
    value = np.repeat(value, draw(st.sampled_from([1, 3, 40])))[:n].astype(DTYPES[kind])
    time = np.cumsum(rng.integers(0, draw(st.sampled_from([2, 10**10])), n))
    odd = draw(st.sampled_from([0, 0.02, 0.5]))
    quality = np.where(rng.random(n) < odd, rng.choice([2**30, 2**31], n), 0).astype(np.uint32)
    valid = (rng.random(n) >= odd).astype(np.uint8)
    return kind, [time, value, quality, valid]


@settings(max_examples=200, deadline=None)
@given(states(), st.data())
def test_any_cut_of_the_rows_tells_what_python_counts(given_rows, data):
    kind, columns = given_rows
    n = len(columns[0])
    want = reference(kind, columns[0].tolist(), columns[1], *(x.tolist() for x in columns[2:]))
    want = want if len(want) <= 256 else None
    cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=6)))

    whole = folded(kind, columns, [0, n])
    pieces = folded(kind, columns, [0, *cuts, n])
    merged = pieces.merge(np.zeros(1, np.int64))

    assert told(whole) == want
    assert told(merged) == want
    assert want is None or sum(want.values()) == whole.table["covered_ns"][0]
    middle = data.draw(st.integers(0, len(pieces)))
    halves = pieces.merge(np.array([0, middle], np.int64))
    if whole.known[0] == halves.known[0]:  # an empty group knows no durations
        assert told(halves.merge(np.zeros(1, np.int64))) == want
    few = folded(kind, columns, [0, n], DURATIONS | FEW)
    assert told(few) == (want if want is not None and len(want) <= 16 else None)
    assert (folded(kind, columns, [0, n], EVERY_SUM).table["codes"] == 0).all()


def chunk_of(kind, value, *, step=1024, bits=EVERY):
    n = len(value)
    time = np.arange(n, dtype=np.int64) * 10**9
    value = np.ascontiguousarray(value.astype(DTYPES[kind]))
    columns = folded(kind, [time, value, None, None], [*range(0, n, step), n], bits)
    return columns, encode_pyramid(columns, IDENTITY)


@pytest.mark.parametrize("kind", range(6))
def test_a_chunk_tells_what_its_vectors_do(kind):
    value = np.repeat(np.random.default_rng(kind).integers(0, 2 if kind == 4 else 9, 80), 50)
    columns, data = chunk_of(kind, value)

    found = decode_pyramid(data, IDENTITY, at="x")

    assert [told(found, k) for k in range(4)] == [told(columns, k) for k in range(4)]
    assert same_states(found, columns)
    tree = Pyramid(found)
    whole = tree.fold(np.zeros(1, np.int64), np.full(1, 4))
    time = np.arange(4000, dtype=np.int64) * 10**9
    rows = [time, value.astype(DTYPES[kind]), None, None]
    assert told(whole) == told(folded(kind, rows, [0, 4000]))
    wrong = FoldColumns(kind, columns.table)
    hold(wrong, np.ones(4, np.bool_), np.array([0, 1, 1, 1, 1]), np.array([(0, 7)], HELD))
    assert not same_states(found, wrong)


def test_streams_without_states_pay_nothing():
    noise = np.random.default_rng(1).normal(0, 1, 5000)
    for kind, value in ((0, noise), (2, np.arange(5000) // 300)):
        _, with_them = chunk_of(kind, value, bits=EVERY | FEW)
        _, without = chunk_of(kind, value, bits=EVERY_SUM)
        assert with_them == without
    _, constant = chunk_of(4, np.ones(5000))
    _, without = chunk_of(4, np.ones(5000), bits=EVERY_SUM)
    assert len(constant) == len(without) + 10


def test_of_many_symbols_the_longest_held_are_kept_and_the_rest_is_one_number():
    value = np.repeat(np.arange(2048) % 40, 1 + np.arange(2048) % 3)[:2048]
    columns, data = chunk_of(5, value)
    assert len(told(columns)) == 40

    found = decode_pyramid(data, IDENTITY, at="x")

    assert told(found, 0) is None
    assert same_states(found, columns)
    only = [found.table["covered_ns"][0], *sorted(told(columns).values())[-16:]]
    codes = np.array(sorted(told(columns)), "<u8")
    assert sum(code.tobytes() in data for code in codes[1:]) >= 16
    assert only[0] > sum(only[1:])


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_lies_under_a_sound_checksum_never_crash(data):
    value = np.repeat(np.arange(60) % data.draw(st.sampled_from([2, 5, 30])), 40)
    _, sound = chunk_of(data.draw(st.sampled_from([2, 5])), value)
    body = bytearray(sound)
    for _ in range(data.draw(st.integers(1, 4))):
        body[-data.draw(st.integers(1, min(300, len(body) - 8)))] = data.draw(st.integers(0, 255))
    body[4:8] = crc32c(bytes(body[8:]), IDENTITY.seed()).to_bytes(4, "little")
    try:
        found = decode_pyramid(bytes(body), IDENTITY, at="x")
    except CorruptData:
        return
    starts, values = held(found)
    assert (values["ns"] > 0).all()
    assert len(starts) == len(found) + 1


def test_what_cannot_be_held_is_refused():
    columns = FoldColumns(2, np.zeros(2, STATE))
    for known, starts in (
        ([1], [0, 0, 1]),
        ([1, 1], [0, 1]),
        ([1, 1], [0, 2, 1]),
        ([1, 1], [0] * 3),
    ):
        with pytest.raises(InvalidArgument):
            hold(columns, np.array(known), np.array(starts), np.zeros(1, HELD))
    with pytest.raises(InvalidArgument):
        held(columns, 1, 3)


def of_read(rows: SampleColumns, value_type, edges):
    """The fold over the rows of a read."""
    valid = rows.value.valid
    columns = [
        np.ascontiguousarray(rows.timestamp_ns),
        np.ascontiguousarray(fold_cells(rows.value)),
        np.ascontiguousarray(rows.quality),
        None if valid is None else np.ascontiguousarray(valid),
    ]
    return folded(FOLD_TYPES[value_type], columns, np.searchsorted(columns[0], edges).tolist())


def states_of(value_type, stream, time, rng):
    """Rows of a type that hold a few values, some of them null or not good."""
    rows = rows_of(value_type, stream, time, rng)
    value = rows.data[0].value
    few = np.repeat(rng.integers(0, rng.choice([2, 10, 30]), 200), 30)[: len(time)]
    value[:] = few % 2 if value_type is ValueType.BOOL else few
    return rows


@pytest.mark.parametrize("seed", range(4))
def test_the_engine_tells_what_a_read_does(seed):
    """From summaries, from packed vectors and from rows that went or came late."""
    rng = np.random.default_rng(seed)
    engine, made = opened(block_rows=int(rng.choice([1024, 3000, 8192])))
    base = SetClock().time_ns - 40 * DAY_NS
    for step in range(4):
        parts = []
        for value_type in NUMBERS:
            begin = base + (step * 5900 + int(rng.integers(0, 200))) * SECOND_NS
            time = begin + np.arange(int(rng.integers(3000, 6000))) * SECOND_NS
            parts.append(states_of(value_type, made[value_type], time, rng))
        engine.bulk_import("job", step, parts, authoritative=True)
    victim = made[NUMBERS[seed % len(NUMBERS)]]
    start = base + 9000 * SECOND_NS
    change = Change(Verb.DELETE, victim, start, start + 500 * SECOND_NS, "ann", "because", "so")
    assert engine.wait_durable(engine.change(change))
    series = [made[value_type] for value_type in NUMBERS]
    for windows in (1, 7, 300):
        a, b = sorted((base + rng.integers(-10, 25_000, 2) * SECOND_NS).tolist())
        edges = np.unique(np.linspace(a, b + 1, windows + 1).astype(np.int64))
        found = engine.fold(series, edges, sums=(), durations=True)
        for place, value_type in enumerate(NUMBERS):
            rows = engine.read(series[place], int(edges[0]), int(edges[-1]))
            want = of_read(rows, value_type, edges)
            mine = found.durations(place)
            assert mine.value.dtype == rows.value.value.dtype
            assert mine.known.tolist() == [bool(known & DURATIONS) for known in want.known]
            starts, _ = held(want)
            for k in range(len(edges) - 1):
                here = mine.window == k
                code = mine.value[here].tolist()
                assert dict(zip(code, mine.ns[here].tolist(), strict=True)) == {
                    _number(value_type, code): ns for code, ns in (told(want, k) or {}).items()
                }
                assert sorted(mine.ns[here].tolist(), reverse=True) == mine.ns[here].tolist()
                assert here.sum() == starts[k + 1] - starts[k]
    with pytest.raises(InvalidArgument):
        engine.fold(series, edges, sums=("durations",))
    engine.close()


def _number(value_type, code):
    dtype = np.zeros(0, DTYPES[FOLD_TYPES[value_type]]).dtype
    return np.frombuffer(code.to_bytes(8, "little")[: dtype.itemsize], dtype)[0].item()


def test_symbols_are_told_by_their_codes():
    engine, made = opened()
    stream = made[ValueType.SYMBOL]
    time = SetClock().time_ns - DAY_NS + np.arange(6) * SECOND_NS
    texts = np.array(["run", "run", "stop", "run", "run", "run"], object)
    quality = np.array([0, 0, 0, 0, 2**31, 0], np.uint32)
    column = ColumnData(ValueType.SYMBOL, texts, None)
    engine.bulk_import("job", 0, [BulkRows(stream, time, quality, None, (column,))])

    found = engine.fold([stream], np.array([time[0], time[-1] + 1]), durations=True).durations(0)

    assert found.value.tolist() == [symbol_code("run"), symbol_code("stop")]
    assert found.ns.tolist() == [2 * SECOND_NS, SECOND_NS]
    engine.close()


def test_whole_runs_are_told_without_a_row():
    """Of a segment with vectors, nothing but summaries is read."""
    engine, made = opened()
    stream = made[ValueType.INT64]
    time = SetClock().time_ns - 40 * DAY_NS + np.arange(40_000) * SECOND_NS
    column = ColumnData(ValueType.INT64, np.arange(40_000) // 300 % 5, None)
    rows = BulkRows(stream, time, np.zeros(40_000, np.uint32), None, (column,))
    engine.bulk_import("job", 0, [rows], authoritative=True)

    found = engine.fold([stream], np.array([time[0], time[-1] + 1]), durations=True)

    assert sum(found.durations(0).ns.tolist()) == 39_999 * SECOND_NS
    runs = _runs(engine, stream)
    assert sum(map(len, runs)) >= 4
    assert not any((one["flags"] & LOADED).any() for one in runs)
    engine.close()


def _runs(engine, stream):
    with engine._lock:
        infos = engine._view(stream, SlotKind.SERIES).segments.infos
    return [engine._packed.runs(info, stream).runs for info in infos]
