"""engine_arrays.py: what a fast read gives is what the ordinary read gives, to the bit."""

import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import invariant

from storage_engine.arrays import SampleArrays, aligned
from storage_engine.blocks import Stop
from storage_engine.bulk import BulkRows
from storage_engine.changes import Change, Verb
from storage_engine.columns import STRINGS, bits_of
from storage_engine.config import EngineConfig
from storage_engine.engine import Engine
from storage_engine.errors import EngineClosed, InvalidArgument, LimitExceeded
from storage_engine.frame import SlotKind
from storage_engine.recording import RecordingFileSystem
from storage_engine.sample import DTYPES, Column, ColumnData, SampleColumns, ValueType
from storage_engine.testing import SECOND_NS, Producer, SampleRow, SetClock

sys.path.insert(0, str(Path(__file__).parent))
from test_engine_model import NOW, TIMES, TYPES, EngineMachine

WHOLE = (-(2**63), 2**63 - 1)
NUMBERS = [value_type for value_type in TYPES if value_type not in STRINGS]


def same(found: SampleArrays, expected: SampleColumns) -> None:
    """Compare all that both have."""
    assert expected.timestamp_ns.tolist() == found.timestamp_ns.tolist()
    quality = np.zeros(len(found), np.uint32) if found.quality is None else found.quality
    assert expected.quality.tolist() == quality.tolist()
    assert found.quality is None or found.quality.any()
    assert found.valid is None or not found.valid.all()
    valid = expected.value.valid
    valid = np.ones(len(expected), np.bool_) if valid is None else valid
    mine = np.ones(len(found), np.bool_) if found.valid is None else found.valid
    assert valid.tolist() == mine.tolist()
    assert expected.value.value.dtype == found.value.dtype
    values, others = bits_of(expected.value.value), bits_of(found.value)
    assert values[valid].tolist() == others[valid].tolist()
    assert expected.damage == found.damage


class ArraysMachine(EngineMachine):
    """The engine's own machine, with every state read the fast way as well."""

    @invariant()
    def arrays_are_what_a_read_gives(self) -> None:
        durable = self.engine.durable_lsn
        for slot in range(len(TYPES)):
            stream = self.slots[slot]
            for window in (WHOLE, (TIMES[1], TIMES[3]), (NOW - 90 * 86_400 * SECOND_NS, NOW)):
                for known_at in (None, durable // 2):
                    same(
                        self.engine.read_arrays(stream, *window, known_at_lsn=known_at),
                        self.engine.read(stream, *window, known_at_lsn=known_at),
                    )


ArraysMachine.TestCase.settings = settings(
    max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
TestArraysAgainstReads = ArraysMachine.TestCase


def opened(fs=None, **config) -> tuple[Engine, dict[ValueType, int]]:
    """An engine with a series of each type of numbers."""
    settings = EngineConfig(free_bytes_min=0, **config)
    engine = Engine.open(fs or RecordingFileSystem(), settings, SetClock())
    made = {
        value_type: engine.create_stream(
            bytes([value_type]) * 16, SlotKind.SERIES, (Column("value", value_type),)
        )
        for value_type in ValueType
    }
    return engine, made


def rows_of(value_type: ValueType, stream: int, time: np.ndarray, rng) -> BulkRows:
    """Rows of a type at times: wild bits or a walk, some null, some not good."""
    n = len(time)
    dtype = DTYPES[value_type]
    if value_type is ValueType.BOOL:
        value = rng.random(n) < 0.3
    elif rng.random() < 0.5:
        value = rng.integers(0, 256, n * dtype.itemsize, np.uint8).view(dtype)
    else:
        value = (rng.integers(-3, 4, n).cumsum() % 1000).astype(dtype)
    quality = np.zeros(n, np.uint32)
    valid = None
    if rng.random() < 0.5:
        quality[rng.random(n) < 0.1] = rng.choice([0x8000_0000, 0x4000_0000, 7])
    if rng.random() < 0.5:
        valid = rng.random(n) > 0.1
    return BulkRows(stream, time, quality, None, (ColumnData(value_type, value, valid),))


@pytest.mark.parametrize("seed", range(6))
def test_large_blocks_late_data_and_deletions(seed):
    """Vectors whole and cut, blocks shared and not, runs that overlap, rows that went."""
    rng = np.random.default_rng(seed)
    engine, made = opened(block_rows=int(rng.choice([100, 1024, 3000, 8192])))
    base = SetClock().time_ns - 40 * 86_400 * SECOND_NS
    for step in range(5):
        parts = []
        for value_type in NUMBERS:
            n = int(rng.integers(1, 6000))
            begin = base + int(rng.integers(0, 20_000)) * SECOND_NS
            gaps = rng.integers(1 if rng.random() < 0.7 else 0, 3, n) * SECOND_NS
            parts.append(rows_of(value_type, made[value_type], begin + gaps.cumsum(), rng))
        engine.bulk_import("job", step, parts, authoritative=bool(rng.random() < 0.5))
        victim = made[NUMBERS[int(rng.integers(len(NUMBERS)))]]
        start = base + int(rng.integers(0, 20_000)) * SECOND_NS
        verb = Verb.DELETE if rng.random() < 0.7 else Verb.ERASE
        lsn = engine.change(
            Change(verb, victim, start, start + 500 * SECOND_NS, "ann", "because", "so")
        )
        assert engine.wait_durable(lsn)
        if step == 3:
            engine.compact(lambda size: None)
        previous = None
        for value_type in NUMBERS:
            for _ in range(6):
                a, b = sorted((base + rng.integers(-10, 30_000, 2) * SECOND_NS).tolist())
                window = WHOLE if rng.random() < 0.2 else (a, b)
                found = engine.read_arrays(made[value_type], *window, out=previous)
                same(found, engine.read(made[value_type], *window))
                assert not len(found) or found.value.__array_interface__["data"][0] % 64 == 0
                previous = found
    engine.close()


def minutes(rows: int) -> np.ndarray:
    """Times a minute apart."""
    begin = SetClock().time_ns - 50 * 86_400 * SECOND_NS
    return begin + np.arange(rows, dtype=np.int64) * 60 * SECOND_NS


def test_rows_of_the_head_join_those_of_segments():
    """Between, behind and over the runs of segments."""
    engine, made = opened()
    stream = made[ValueType.FLOAT64]
    engine.bind(b"p" * 16, 1, {0: stream})
    time = minutes(5000)
    rng = np.random.default_rng(1)
    engine.bulk_import("a", 1, [rows_of(ValueType.FLOAT64, stream, time[:2000], rng)])
    engine.bulk_import("a", 2, [rows_of(ValueType.FLOAT64, stream, time[3000:], rng)])
    rows = [
        SampleRow(0, ValueType.FLOAT64, int(t), float(k))
        for k, t in enumerate([*time[2100:2110], time[50], time[-1] + 1, time[0] - 9])
    ]
    appended = engine.append(Producer(b"p" * 16).frame(rows))
    assert engine.wait_durable(appended.lsn)

    for window in (WHOLE, (int(time[2050]), int(time[2105])), (int(time[-10]), WHOLE[1])):
        same(engine.read_arrays(stream, *window), engine.read(stream, *window))
    assert len(engine.read_arrays(stream, *WHOLE)) == 4012
    engine.close()


def test_memory_of_an_earlier_answer_is_taken_again():
    """A loop of reads that hands its answers back takes no new memory."""
    engine, made = opened()
    stream = made[ValueType.FLOAT64]
    time = minutes(9000)
    rng = np.random.default_rng(1)
    engine.bulk_import("a", 1, [rows_of(ValueType.FLOAT64, stream, time, rng)])
    first = engine.read_arrays(stream, *WHOLE)
    address = first.value.__array_interface__["data"][0]
    second = engine.read_arrays(stream, int(time[5]), int(time[4000]), out=first)
    third = engine.read_arrays(stream, *WHOLE, out=second)
    assert {address} == {a.value.__array_interface__["data"][0] for a in (second, third)}
    same(third, engine.read(stream, *WHOLE))
    strange = SampleArrays(ValueType.FLOAT64, time, np.zeros(9000))
    same(engine.read_arrays(stream, *WHOLE, out=strange), engine.read(stream, *WHOLE))
    assert not strange.value.any(), "memory that no read made is never written"
    engine.close()


def test_tags_of_one_scan_share_their_times():
    """A column that another block owns is read from there, packed; damage there is named."""
    fs = RecordingFileSystem()
    engine, made = opened(fs, block_rows=2000)
    rng = np.random.default_rng(2)
    time = minutes(5000) + rng.integers(0, 9_000_000_000, 5000)
    kinds = [ValueType.FLOAT64, ValueType.INT64, ValueType.FLOAT32]
    engine.bulk_import("a", 1, [rows_of(kind, made[kind], time, rng) for kind in kinds])
    for kind in kinds:
        same(engine.read_arrays(made[kind], *WHOLE), engine.read(made[kind], *WHOLE))
    held = [entry[0] for entry in engine._packed._runs._entries.values()]
    places = {int(one.runs["time_body"][0]) for one in held}
    assert len(places) == 2, "the owner reads its own block, the others take it from one place"
    info = max(engine._state.segments, key=lambda one: one.rows)
    table = engine._reader.directory(info).table
    at = int(table["block_offset"][0]) + 500
    file = fs.open_write(info.path)
    file.write_at(at, bytes([file.read_at(at, 1)[0] ^ 16]))
    engine.verify()
    for kind in kinds:
        found = engine.read_arrays(made[kind], *WHOLE)
        assert found.damage
        same(found, engine.read(made[kind], *WHOLE))
    engine.close()


def test_damage_is_named_and_the_rest_is_read():
    """A flipped bit in a block that was not read before."""
    fs = RecordingFileSystem()
    engine, made = opened(fs, block_rows=1000)
    stream = made[ValueType.INT64]
    rng = np.random.default_rng(1)
    engine.bulk_import("a", 1, [rows_of(ValueType.INT64, stream, minutes(5000), rng)])
    info = max(engine._state.segments, key=lambda one: one.rows)
    table = engine._reader.directory(info).table
    file = fs.open_write(info.path)
    at = int(table["block_offset"][2]) + 500
    file.write_at(at, bytes([file.read_at(at, 1)[0] ^ 16]))
    found = engine.read_arrays(stream, *WHOLE)
    assert "block 2" in found.damage[0].what
    assert len(found) < 5000
    same(found, engine.read(stream, *WHOLE))
    same(
        engine.read_arrays(stream, WHOLE[0], int(table["run_first"][2])),
        engine.read(stream, WHOLE[0], int(table["run_first"][2])),
    )
    engine.close()


def test_strings_go_the_ordinary_way():
    """They have no packed form yet that needs no Python."""
    engine, made = opened()
    stream = made[ValueType.SYMBOL]
    engine.bind(b"p" * 16, 1, {0: stream})
    rows = [SampleRow(0, ValueType.SYMBOL, k, v) for k, v in enumerate(["RUN", None, "Ä"])]
    assert engine.wait_durable(engine.append(Producer(b"p" * 16).frame(rows)).lsn)
    found = engine.read_arrays(stream, *WHOLE)
    assert found.value.tolist()[::2] == ["RUN", "Ä"]
    assert found.valid.tolist() == [True, False, True]
    engine.close()


def test_a_read_ends_when_it_is_told_to():
    engine, made = opened(block_rows=100)
    stream = made[ValueType.INT64]
    rng = np.random.default_rng(1)
    engine.bulk_import("a", 1, [rows_of(ValueType.INT64, stream, minutes(5000), rng)])
    stop = Stop()
    assert len(engine.read_arrays(stream, *WHOLE, stop=stop)) == 5000
    stop.set()
    with pytest.raises(LimitExceeded, match="told to stop"):
        engine.read_arrays(stream, *WHOLE, stop=stop)
    engine.close()


def test_calls_that_are_wrong():
    engine, made = opened()
    with pytest.raises(InvalidArgument):
        engine.read_arrays(99, 0, 1)
    assert len(engine.read_arrays(made[ValueType.BOOL], 5, 5)) == 0
    assert len(engine.read_arrays(made[ValueType.BOOL], 5, 3)) == 0
    engine.close()
    with pytest.raises(EngineClosed):
        engine.read_arrays(made[ValueType.BOOL], 0, 1)


def test_blocks_kept_are_bounded():
    """A bound far below what is read: answers stay, memory does not grow."""
    engine, made = opened(block_rows=100, packed_cache_bytes=20_000)
    rng = np.random.default_rng(1)
    for value_type in NUMBERS:
        part = rows_of(value_type, made[value_type], minutes(5000), rng)
        engine.bulk_import("a", 1, [part])
    for _ in range(2):
        for value_type in NUMBERS:
            same(
                engine.read_arrays(made[value_type], *WHOLE), engine.read(made[value_type], *WHOLE)
            )
            assert engine._packed._runs.size_bytes <= 20_000
    engine.close()


def test_two_readers_and_a_writer_go_on_together():
    """Each answer is a state that was: rows 0 to k, none missing, none twice."""
    engine, made = opened(block_rows=200, head_bytes_max=1 << 16)
    stream = made[ValueType.INT64]
    engine.bind(b"p" * 16, 1, {0: stream})
    failures: list[object] = []
    done = threading.Event()

    def reads() -> None:
        last = 0
        out = None
        while not done.is_set():
            out = engine.read_arrays(stream, *WHOLE, out=out)
            if len(out) < last or out.value.tolist() != list(range(len(out))):
                failures.append((last, len(out), out.value[:5]))
                return
            last = len(out)

    threads = [threading.Thread(target=reads) for _ in range(2)]
    for thread in threads:
        thread.start()
    producer = Producer(b"p" * 16)
    for k in range(60):
        rows = [SampleRow(0, ValueType.INT64, i, i) for i in range(50 * k, 50 * k + 50)]
        engine.append(producer.frame(rows))
        if k % 10 == 9:
            engine.flush()
        if k % 25 == 24:
            engine.compact(lambda size: None)
    done.set()
    for thread in threads:
        thread.join()
    assert not failures
    engine.close()


def test_aligned_memory():
    for rows in (1, 1000):
        for dtype in DTYPES.values():
            array = aligned(rows, dtype)
            assert (rows, dtype) == (len(array), array.dtype)
            assert dtype.hasobject or array.__array_interface__["data"][0] % 64 == 0
