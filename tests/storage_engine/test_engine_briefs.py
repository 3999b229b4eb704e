"""engine.fold_brief: the digits of a fold by states, whatever was decoded, kept or summarised."""

import hashlib
import os
import subprocess
import sys
import threading
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from storage_engine.blocks import Stop
from storage_engine.bulk import BulkRows
from storage_engine.changes import Change, Verb
from storage_engine.errors import EngineClosed, InvalidArgument, LimitExceeded
from storage_engine.frame import SlotKind
from storage_engine.recording import RecordingFileSystem
from storage_engine.sample import DTYPES, Column, ColumnData, ValueType
from storage_engine.testing import DAY_NS, SECOND_NS, Producer, SampleRow, SetClock

sys.path.insert(0, str(Path(__file__).parent))
from native import HEADERS
from test_engine_arrays import NUMBERS, minutes, opened, rows_of
from test_engine_fold import same_columns

ROWS = 9000
SHAPES = (
    "decimal", "constant", "steps", "zeros", "near_zero", "wide", "huge", "denormal", "nan",
    "infinite", "integers", "far", "binades", "below", "faint", "some_nan",
)  # fmt: skip
KINDS = ("grid", "jitter", "gaps", "early", "drift", "tall", "holes")


def shaped(shape: str, rng: np.random.Generator) -> np.ndarray:
    """Doubles that one path or another must refuse, or hold on its grid."""
    walk = rng.normal(0, 0.02, ROWS).cumsum()
    some = rng.random(ROWS) < 0.003
    if shape == "decimal":
        return np.round(70 + walk, 2)
    if shape == "constant":
        return np.full(ROWS, 0.1)
    if shape == "steps":
        held = np.maximum.accumulate(np.where(some, np.arange(ROWS), 0))
        return rng.choice([0.1, -0.0, 0.0, 1e300, 5e-324, -7.25, np.nan], ROWS)[held]
    if shape == "zeros":
        return rng.choice([0.0, -0.0, 1.0, -1.0], ROWS)
    if shape == "near_zero":
        return walk - walk.mean()
    if shape == "wide":
        return rng.normal(0, 1, ROWS) * 2.0 ** rng.integers(-60, 60, ROWS)
    if shape == "huge":
        return rng.choice([1.7e308, -1.7e308, 1e290], ROWS)
    if shape == "denormal":
        return rng.integers(-99, 99, ROWS) * 5e-324
    if shape == "nan":
        return np.where(some, np.nan, walk)
    if shape == "infinite":
        return np.where(some, rng.choice([np.inf, -np.inf], ROWS), walk)
    if shape == "integers":
        return np.rint(2.0**53 - rng.integers(0, 9, ROWS))
    if shape == "far":
        return walk * np.repeat(10.0 ** rng.integers(-30, 30, ROWS // 100), 100)
    if shape == "binades":  # stretches of one exponent, of two, and values beside a power of two
        return np.where(some, np.nextafter(64, 0), np.round(64 + 3 * walk, 3))
    if shape == "below":
        return -np.abs(70 + walk) * np.repeat([1.0, -1.0], ROWS // 2)
    if shape == "faint":  # on either side of the exponents whose bits are summed
        return (1 + rng.random(ROWS)) * np.repeat(2.0 ** rng.integers(-900, -890, 9), ROWS // 9)
    nan = np.array([0x7FF8 << 48, 0xFFF8 << 48, 0x7FF0 << 48 | 1], np.uint64).view(np.float64)
    few = np.arange(ROWS) % 64 < 4 * (rng.random(ROWS // 8).repeat(8) < 0.3)
    return np.where(few, rng.choice(nan, ROWS), np.round(70 + rng.random(ROWS), 2))


def series_of(engine, values: list[np.ndarray], time: np.ndarray) -> list[int]:
    """A series of floats for each array."""
    column = (Column("value", ValueType.FLOAT64),)
    made = [
        engine.create_stream((1000 + k).to_bytes(16, "big"), SlotKind.SERIES, column)
        for k in range(len(values))
    ]
    quality = np.zeros(len(time), np.uint32)
    parts = [
        BulkRows(one, time, quality, None, (ColumnData(ValueType.FLOAT64, value),))
        for one, value in zip(made, values, strict=True)
    ]
    engine.bulk_import("shapes", 1, parts)
    return made


def times_of(kind: str, rng: np.random.Generator) -> np.ndarray:
    start = SetClock().time_ns - 40 * DAY_NS
    grid = start + SECOND_NS * np.arange(ROWS, dtype=np.int64)
    if kind == "grid":
        return grid
    if kind == "jitter":
        return grid + rng.integers(0, 4, ROWS) * 1_000_000
    if kind == "early":
        return grid - rng.integers(0, 300, ROWS) * 1_000_000
    if kind == "drift":  # no whole number of nanoseconds apart
        return start + (SECOND_NS / 7 * np.arange(ROWS)).astype(np.int64) + rng.integers(0, 9, ROWS)
    if kind == "tall":  # residuals of more than a row, times that still rise
        return np.sort(grid + rng.permutation(ROWS) % 1_999 * 1_000_000 + np.arange(ROWS))
    if kind == "holes":
        return grid + np.arange(ROWS) // 700 * 90 * SECOND_NS + rng.integers(0, 4, ROWS) * 1_000_000
    return start + (SECOND_NS * 10 ** rng.integers(-6, 3, ROWS).astype(np.float64)).cumsum().astype(
        np.int64
    )


@pytest.mark.parametrize("kind", KINDS)
def test_digits_of_the_states(kind):
    """Windows of no row, one row, within a vector and over many, of every kind of values."""
    rng = np.random.default_rng(len(kind))
    engine, _ = opened(block_rows=4096)
    time = times_of(kind, rng)
    series = series_of(engine, [shaped(shape, rng) for shape in SHAPES], time)
    span = int(time[-1] - time[0])
    asked = [np.array([time[0], time[-1] + 1]), np.array([-(2**63), 2**63 - 1])]
    asked += [np.linspace(time[0] - 5, time[-1] + 9, n).astype(np.int64) for n in (7, 90, 2500)]
    asked += [np.unique(rng.integers(time[0] - span, time[-1] + span, 40))]
    asked += [time[100:130].copy(), np.repeat(time[1000:1010], 3), time[5000:5300:60] + 1]
    for edges in asked:
        states = engine.fold(series, edges, brief=True)
        for summaries in (True, False):
            same_columns(engine.fold_brief(series, edges, summaries=summaries), states)
    engine.close()


@pytest.mark.parametrize("kind", ["jitter", "drift", "tall"])
def test_means_are_rounded_once(kind):
    """Against whole fractions, without a fold in between."""
    rng = np.random.default_rng(4)
    engine, _ = opened()
    time = times_of(kind, rng)
    shapes = [s for s in SHAPES if s not in {"steps", "huge", "nan", "infinite", "some_nan"}]
    values = [shaped(shape, rng) for shape in shapes]
    series = series_of(engine, values, time)
    place = np.union1d(rng.choice(ROWS, 60, replace=False), np.arange(2000, 4000, 50))
    found = engine.fold_brief(series, time[place])
    for k, value in enumerate(values):
        for w, (a, b) in enumerate(pairwise(place.tolist())):
            total = sum(map(Fraction, value[a:b].tolist()))
            assert found.sum[k, w] == float(total)
            assert found.mean[k, w] == float(total / int(b - a))
            assert found.rows[k, w] == found.good[k, w] == b - a
            assert found.floats("minimum")[k, w] == value[a:b].min()
            assert found.values("last", k)[w] == value[b - 1]
    engine.close()


def digest() -> str:
    """Of what every kind of values gives."""
    rng = np.random.default_rng(8)
    engine, _ = opened()
    time = times_of("jitter", rng)
    series = series_of(engine, [shaped(shape, rng) for shape in SHAPES], time)
    out = hashlib.sha256()
    for step in (17, 60, 1100, ROWS):
        found = engine.fold_brief(series, (int(time[0]), step * SECOND_NS, ROWS // step + 1))
        for part in (found.counts, found.cells, found.sums):
            out.update(part.tobytes())
    engine.close()
    return out.hexdigest()


@pytest.mark.parametrize("target", ["scalar", "avx2", "avx512"])
def test_every_target_gives_the_same_digits(target):
    """A target that this machine has not falls back to one that it has."""
    here = Path(__file__).parent
    code = "import test_engine_briefs as t; print(t.digest())"
    root = os.pathsep.join([str(here), str(here.parents[1])])
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HISTORIAN_KERNELS": target, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == digest()


def test_one_question_again_and_again():
    """While rows come, are written to segments, joined, deleted and erased."""
    engine, made = opened(block_rows=2048)
    rng = np.random.default_rng(2)
    series = [made[kind] for kind in NUMBERS]
    time = minutes(6000)
    edges = np.concatenate((time[::500] - 7, time[-1:] + DAY_NS))
    engine.bind(b"p" * 16, 1, dict(enumerate(series)))
    producer = Producer(b"p" * 16)

    def check() -> None:
        states = engine.fold(series, edges, brief=True)
        for _ in range(2):
            same_columns(engine.fold_brief(series, edges), states)

    check()
    for step, part in enumerate((slice(3000), slice(3000, 6000), slice(2000, 4000, 3))):
        parts = [rows_of(kind, made[kind], time[part], rng) for kind in NUMBERS]
        engine.bulk_import("job", step, parts)
        check()
    row = SampleRow(0, NUMBERS[0], int(time[10]), DTYPES[NUMBERS[0]].type(1).item())
    assert engine.wait_durable(engine.append(producer.frame([row])).lsn)
    check()
    for verb, at in ((Verb.DELETE, 100), (Verb.ERASE, 4000)):
        start = int(time[at])
        change = Change(verb, series[1], start, start + 900 * SECOND_NS, "ann", "because", "so")
        assert engine.wait_durable(engine.change(change))
        check()
    engine.flush()
    check()
    engine.compact(lambda size: None)
    check()
    engine._packed.clear()
    check()
    engine.close()


def test_many_series_by_many_callers():
    """Threads that fold share what others load."""
    engine, _ = opened(read_threads=3, block_rows=1024)
    rng = np.random.default_rng(3)
    time = times_of("jitter", rng)
    series = series_of(engine, [shaped(SHAPES[k % len(SHAPES)], rng) for k in range(36)], time)
    wanted = engine.fold_brief(series, (int(time[0]), 700 * SECOND_NS, 13))
    failures: list[object] = []

    def ask(seed: int) -> None:
        mine = np.random.default_rng(seed)
        for k in range(30):
            some = mine.permutation(36)[: int(mine.integers(1, 37))]
            found = engine.fold_brief(
                [series[i] for i in some], wanted.edges, summaries=bool(k % 2)
            )
            if found.sums.tobytes() != wanted.sums[:, some].tobytes():
                failures.append(some)
            if k % 7 == 0:
                engine._packed.clear()

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    engine.close()


def test_damage_is_named_and_the_rest_is_folded():
    fs = RecordingFileSystem()
    engine, made = opened(fs, block_rows=1000)
    rng = np.random.default_rng(1)
    kinds = (ValueType.INT64, ValueType.FLOAT64)
    series = [made[kind] for kind in kinds]
    engine.bulk_import("a", 1, [rows_of(kind, made[kind], minutes(5000), rng) for kind in kinds])
    info = max(engine._state.segments, key=lambda one: one.rows)
    table = engine._reader.directory(info).table
    file = fs.open_write(info.path)
    at = int(table["block_offset"][2]) + 500
    file.write_at(at, bytes([file.read_at(at, 1)[0] ^ 16]))
    edges = minutes(5000)[::100].copy()
    found = engine.fold_brief(series, edges)
    assert "block 2" in found.damage[0].what
    same_columns(found, engine.fold(series, edges, brief=True))
    engine.close()


def test_types_without_numbers_are_counted():
    engine, made = opened()
    kinds = [ValueType.TEXT, ValueType.SYMBOL, ValueType.INT64]
    series = [made[kind] for kind in kinds]
    engine.bind(b"p" * 16, 1, dict(enumerate(series)))
    values = ("a", "on", 2**60 + 1)
    rows = [
        SampleRow(k, kind, t, value)
        for k, (kind, value) in enumerate(zip(kinds, values, strict=True))
        for t in (5, 9)
    ]
    assert engine.wait_durable(engine.append(Producer(b"p" * 16).frame(rows)).lsn)
    found = engine.fold_brief(series, np.array([0, 7, 8, 10]))
    assert found.rows.tolist() == [[1, 0, 1]] * 3
    assert found.values("minimum", 2)[[0, 2]].tolist() == [2**60 + 1] * 2
    assert np.isnan(found.mean[0]).all()
    engine.close()


def test_calls_that_are_wrong():
    engine, made = opened()
    stream = made[ValueType.FLOAT64]
    for edges in ([5, 4], [5], []):
        with pytest.raises(InvalidArgument):
            engine.fold_brief([stream], np.array(edges, np.int64))
    with pytest.raises(InvalidArgument):
        engine.fold_brief([99], (0, 1, 1))
    with pytest.raises(LimitExceeded):
        engine.fold_brief([stream], (0, 1, 1 << 23))
    assert engine.fold_brief([], (0, 1, 3)).mean.shape == (0, 3)
    assert engine.fold_brief([stream], (0, 1, 3)).rows.tolist() == [[0, 0, 0]]
    rng = np.random.default_rng(1)
    engine.bulk_import("a", 1, [rows_of(ValueType.FLOAT64, stream, minutes(5000), rng)])
    stop = Stop()
    stop.set()
    with pytest.raises(LimitExceeded, match="told to stop"):
        engine.fold_brief([stream], (int(minutes(1)[0]), DAY_NS, 3), stop=stop)
    engine.close()
    with pytest.raises(EngineClosed):
        engine.fold_brief([stream], (0, 1, 3))


@pytest.mark.parametrize(
    "sanitizer", ["address,undefined", pytest.param("thread", marks=pytest.mark.slow)]
)
def test_no_kernel_steps_out_of_bounds(tmp_path, sanitizer):
    """Bare C: columns cut and with bits turned, allocated to the byte; whole ones by threads."""
    here, program = Path(__file__).parent, tmp_path / "bodies"
    flags = ["-std=c11", "-D_GNU_SOURCE", "-g1", "-O0", "-Wall", "-Wextra", "-Wno-unused-function"]
    checks = [f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all"]
    if sanitizer != "thread":  # unaligned vectors are meant; the other three take long to compile
        checks.append("-fno-sanitize=alignment,null,object-size,pointer-overflow")
    source = [str(here / "brief_bodies.c"), "-o", str(program), "-pthread", "-lm"]
    compiler = [os.environ.get("CC", "cc"), *flags, *checks, HEADERS]
    subprocess.run([*compiler, *source], check=True)
    run = subprocess.run([str(program)], capture_output=True, text=True, check=False)
    assert run.stderr == ""
    assert run.returncode == 0, run.stdout
