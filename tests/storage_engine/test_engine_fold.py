"""engine.fold: to the bit the fold over what a read gives, whatever was folded before on disk."""

import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import invariant

from storage_engine.blocks import Stop
from storage_engine.brief_reads import BriefColumns
from storage_engine.changes import Change, Verb
from storage_engine.errors import InvalidArgument, LimitExceeded
from storage_engine.fold import FoldColumns
from storage_engine.fold_reads import Folded
from storage_engine.fold_state import FOLD_TYPES, RESULTS, SUMS
from storage_engine.frame import SlotKind
from storage_engine.recording import RecordingFileSystem
from storage_engine.sample import Column, SampleColumns, ValueType
from storage_engine.segment.summary import fold_cells
from storage_engine.testing import DAY_NS, SECOND_NS, Producer, SampleRow, SetClock

sys.path.insert(0, str(Path(__file__).parent))
from test_engine_arrays import NUMBERS, minutes, opened, rows_of
from test_engine_model import NOW, TYPES, EngineMachine


def plain(
    rows: SampleColumns, value_type: ValueType, edges: np.ndarray, brief=False
) -> FoldColumns:
    """The fold over the rows of a read."""
    values = fold_cells(rows.value)
    valid = rows.value.valid
    return FoldColumns.fold(
        FOLD_TYPES[value_type],
        np.ascontiguousarray(rows.timestamp_ns),
        values,
        np.ascontiguousarray(rows.quality),
        None if valid is None else np.ascontiguousarray(valid),
        edges,
        brief,
    )


def same(found: Folded, series: int, expected: FoldColumns, *, brief=False) -> None:
    """Every field of every state, and every result, to the bit."""
    table, other = found.table(series), expected.table
    for name in table.dtype.names:
        if name not in {"wide", "rest"}:
            assert table[name].tobytes() == other[name].tobytes(), name
    assert ((table["wide"] != 0) == (other["wide"] != 0)).all()
    for name in ("mean",) if brief else RESULTS:
        mine = found.result(name)[series]
        assert mine.tobytes() == expected.result(name).tobytes(), name


def same_columns(found: BriefColumns, states: Folded) -> None:
    """The digits of the states in plain columns."""
    assert found.damage == states.damage
    for series in range(len(found.types)):
        table = states.table(series)
        for k, name in enumerate(("rows", "good")):
            assert found.counts[k, series].tolist() == table[name].tolist(), name
        for k, name in enumerate(("minimum", "maximum", "first_good", "last_good")):
            assert found.cells[k, series].tolist() == table[name].tolist(), name
    for k, name in enumerate(("sum", "mean")):
        assert found.sums[k].tobytes() == states.result(name).tobytes(), name


class FoldMachine(EngineMachine):
    """The engine's own machine, with every state folded as well."""

    @invariant()
    def folds_are_those_of_a_read(self) -> None:
        durable = self.engine.durable_lsn
        series = [self.slots[slot] for slot in range(len(TYPES))]
        for edges in (
            np.array([-(2**63), NOW - 80 * DAY_NS, NOW, NOW + SECOND_NS + 1, 2**63 - 1]),
            NOW + SECOND_NS * np.arange(4),
        ):
            for known_at in (None, durable // 2):
                found = self.engine.fold(series, edges, known_at_lsn=known_at)
                for place, value_type in enumerate(TYPES):
                    rows = self.engine.read(
                        series[place], int(edges[0]), int(edges[-1]), known_at_lsn=known_at
                    )
                    same(found, place, plain(rows, value_type, edges))
            for summaries in (True, False):
                columns = self.engine.fold_brief(series, edges, summaries=summaries)
                same_columns(columns, self.engine.fold(series, edges, brief=True))


FoldMachine.TestCase.settings = settings(
    max_examples=20, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
TestFoldAgainstReads = FoldMachine.TestCase


@pytest.mark.parametrize("seed", range(6))
def test_large_blocks_late_data_and_deletions(seed):
    """Windows narrower and wider than vectors, blocks and segments, over rows that went or came."""
    rng = np.random.default_rng(seed)
    engine, made = opened(block_rows=int(rng.choice([100, 1024, 3000, 8192])))
    base = SetClock().time_ns - 40 * DAY_NS
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
        change = Change(verb, victim, start, start + 500 * SECOND_NS, "ann", "because", "so")
        assert engine.wait_durable(engine.change(change))
        if step == 3:
            engine.compact(lambda size: None)
        series = [made[value_type] for value_type in NUMBERS]
        for windows in (1, 3, 500):
            a, b = sorted((base + rng.integers(-10, 40_000, 2) * SECOND_NS).tolist())
            edges = np.unique(np.linspace(a, b + 1, windows + 1).astype(np.int64))
            found = engine.fold(series, edges)
            short = engine.fold(series, edges, brief=True)
            for summaries in (True, False):
                same_columns(engine.fold_brief(series, edges, summaries=summaries), short)
            for place, value_type in enumerate(NUMBERS):
                rows = engine.read(series[place], int(edges[0]), int(edges[-1]))
                same(found, place, plain(rows, value_type, edges))
                alone = engine.fold([series[place]], edges)  # in pieces, when there are many
                same(alone, 0, plain(rows, value_type, edges))
                same(short, place, plain(rows, value_type, edges, brief=True), brief=True)
    engine.close()


def test_rows_of_the_head_join_those_of_segments():
    engine, made = opened()
    stream = made[ValueType.FLOAT64]
    engine.bind(b"p" * 16, 1, {0: stream})
    time = minutes(5000)
    rng = np.random.default_rng(1)
    engine.bulk_import("a", 1, [rows_of(ValueType.FLOAT64, stream, time[:2000], rng)])
    engine.bulk_import("a", 2, [rows_of(ValueType.FLOAT64, stream, time[3000:], rng)])
    late = [*time[2100:2110], time[50], time[-1] + 1, time[0] - 9]
    rows = [SampleRow(0, ValueType.FLOAT64, int(t), float(k)) for k, t in enumerate(late)]
    assert engine.wait_durable(engine.append(Producer(b"p" * 16).frame(rows)).lsn)

    edges = np.array([time[0] - 10, time[40], time[2105], time[2108], time[-1] + 2])
    rows_read = engine.read(stream, int(edges[0]), int(edges[-1]))
    same(engine.fold([stream], edges), 0, plain(rows_read, ValueType.FLOAT64, edges))
    same(
        engine.fold([stream], (int(time[0]), 3600 * SECOND_NS, 90)),
        0,
        plain(
            engine.read(stream, int(time[0]), int(time[0]) + 90 * 3600 * SECOND_NS),
            ValueType.FLOAT64,
            time[0] + 3600 * SECOND_NS * np.arange(91),
        ),
    )
    engine.close()


def test_only_the_sums_that_are_wanted():
    """Each alone has the digits that it has among all; none leave counts and extremes."""
    engine, made = opened()
    stream = made[ValueType.FLOAT64]
    rng = np.random.default_rng(9)
    engine.bulk_import("a", 1, [rows_of(ValueType.FLOAT64, stream, minutes(20_000), rng)])
    edges = minutes(20_000)[::1777] + 5
    every = engine.fold([stream], edges)
    for names in ((), ("stepped",), ("increase", "squares")):
        found = engine.fold([stream], edges, sums=names)
        for name in SUMS:
            got, want = found.result(name), every.result(name)
            assert got.tobytes() == want.tobytes() if name in names else np.isnan(got).all()
        for name in ("rows", "good", "minimum", "maximum_time", "first", "last_good"):
            assert found.table(0)[name].tobytes() == every.table(0)[name].tobytes()
    with pytest.raises(InvalidArgument, match="want some of"):
        engine.fold([stream], edges, sums=("mean",))
    engine.close()


def test_many_series_on_several_threads():
    """The same states as on one thread, in the order asked for, one series twice."""
    engine, _ = opened(read_threads=4)
    rng = np.random.default_rng(3)
    kinds = [NUMBERS[k % len(NUMBERS)] for k in range(40)]
    series = [
        engine.create_stream(k.to_bytes(16, "little"), SlotKind.SERIES, (Column("value", kind),))
        for k, kind in enumerate(kinds, 1000)
    ]
    parts = [
        rows_of(kind, one, minutes(3000), rng) for kind, one in zip(kinds, series, strict=True)
    ]
    engine.bulk_import("a", 1, parts)
    asked, asked_kinds = [*series, series[3]], [*kinds, kinds[3]]
    edges = minutes(3000)[::77] + 5
    found = engine.fold(asked, edges)
    for place, (one, kind) in enumerate(zip(asked, asked_kinds, strict=True)):
        rows = engine.read(one, int(edges[0]), int(edges[-1]))
        same(found, place, plain(rows, kind, edges))
    engine.close()


def test_damage_is_named_and_the_rest_is_folded():
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
    edges = minutes(5000)[::100].copy()
    found = engine.fold([stream], edges)
    assert "block 2" in found.damage[0].what
    rows = engine.read(stream, int(edges[0]), int(edges[-1]))
    same(found, 0, plain(rows, ValueType.INT64, edges))
    engine.close()


def test_folds_beside_a_writer():
    """Each answer is a state that was: rows 0 to k, all in one window."""
    engine, made = opened(block_rows=200, head_bytes_max=1 << 16)
    stream = made[ValueType.INT64]
    engine.bind(b"p" * 16, 1, {0: stream})
    failures: list[object] = []
    done = threading.Event()

    def folds() -> None:
        last = 0
        while not done.is_set():
            table = engine.fold([stream], np.array([-5, 10**9])).table(0)
            rows = int(table["rows"][0])
            if rows < last or table["sum"][0][0] != rows * (rows - 1) // 2:
                failures.append((last, rows))
                return
            last = rows

    threads = [threading.Thread(target=folds) for _ in range(2)]
    for thread in threads:
        thread.start()
    producer = Producer(b"p" * 16)
    for k in range(60):
        rows = [SampleRow(0, ValueType.INT64, i, i) for i in range(50 * k, 50 * k + 50)]
        engine.append(producer.frame(rows))
        if k % 10 == 9:
            engine.flush()
    done.set()
    for thread in threads:
        thread.join()
    assert not failures
    engine.close()


def test_calls_that_are_wrong():
    engine, made = opened()
    stream = made[ValueType.FLOAT64]
    for edges in ([5, 4], [5], []):
        with pytest.raises(InvalidArgument):
            engine.fold([stream], np.array(edges, np.int64))
    with pytest.raises(InvalidArgument):
        engine.fold([99], (0, 1, 1))
    with pytest.raises(LimitExceeded):
        engine.fold([stream], (0, 1, 1 << 23))
    assert engine.fold([], (0, 1, 3)).place == ()
    assert engine.fold([stream], (0, 1, 3)).table(0)["rows"].tolist() == [0, 0, 0]
    rng = np.random.default_rng(1)
    engine.bulk_import("a", 1, [rows_of(ValueType.FLOAT64, stream, minutes(5000), rng)])
    stop = Stop()
    stop.set()
    with pytest.raises(LimitExceeded, match="told to stop"):
        engine.fold([stream], (int(minutes(1)[0]), DAY_NS, 3), stop=stop)
    engine.close()
