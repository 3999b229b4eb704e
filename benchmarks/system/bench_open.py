"""Opening after a kill: how long the log takes to become rows again."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import harness
from historian.clock import SystemClock
from storage_engine.checksum import crc32c
from storage_engine.config import MEBIBYTE, EngineConfig
from storage_engine.engine import Engine
from storage_engine.filesystem import RealFileSystem
from storage_engine.frame import FLAG_OBSERVED, SampleSection, SlotKind, decode_frame, encode_frame
from storage_engine.sample import Column, ColumnData, ValueType

TAGS = 500
PRODUCER = hashlib.blake2b(b"open", digest_size=16).digest()
VALUE = (Column("value", ValueType.FLOAT64),)
GIBIBYTE = 1 << 30


def fill(home: Path, rows: int, log_bytes: int) -> None:
    """Write a log without ever flushing, until this process is killed."""
    config = EngineConfig(
        head_bytes_max=16 * GIBIBYTE,
        wal_bytes_max=64 * GIBIBYTE,
        wal_pending_bytes_max=256 * MEBIBYTE,
        flush_age_s=10**6,
    )
    engine = Engine.open(RealFileSystem(home), config, SystemClock())
    streams = {
        i: engine.create_stream(
            hashlib.blake2b(b"open %d" % i, digest_size=16).digest(), SlotKind.SERIES, VALUE
        )
        for i in range(TAGS)
    }
    engine.bind(PRODUCER, 1, streams)
    chance, previous, sequence, lsn = np.random.default_rng(1), 0, 0, 0
    begin_ns = time.time_ns()
    while engine.stats().wal_bytes < log_bytes:
        for _ in range(max(1, 100_000 // rows)):
            at = begin_ns + (sequence * rows + np.arange(rows)) * 1_000_000
            section = SampleSection(
                ((sequence * rows + np.arange(rows)) % TAGS).astype(np.uint32),
                at,
                np.zeros(rows, np.uint32),
                ColumnData(ValueType.FLOAT64, np.round(chance.random(rows) * 100, 2)),
            )
            sequence += 1
            raw = encode_frame(
                incarnation=bytes(16),
                producer_id=PRODUCER,
                epoch=1,
                sequence=sequence,
                previous_crc=previous,
                flags=FLAG_OBSERVED,
                declarations=(),
                samples=(section,),
                events=(),
                notices=(),
            )
            frame = decode_frame(raw)
            previous = frame.envelope.crc
            lsn = engine.append(frame).lsn
        engine.wait_durable(lsn)
    sys.stdout.write(f"{sequence} {engine.stats().wal_bytes}\n")
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)


def filled(home: Path, rows: int, log_bytes: int) -> tuple[int, int]:
    """Frames and bytes that a killed writer left in the log."""
    done = called(f"fill(Path({str(home)!r}), {rows}, {log_bytes})")
    assert done.returncode == -signal.SIGKILL, done.returncode
    frames, size = done.stdout.split()
    return int(frames), int(size)


def opened(home: Path, frames: int, rows: int) -> None:
    """Open a store, check that every row is readable, and say how many seconds it took."""
    start = time.perf_counter()
    engine = Engine.open(RealFileSystem(home), EngineConfig(), SystemClock())
    seconds = time.perf_counter() - start
    state = engine.producer(PRODUCER)
    stats = engine.stats()
    assert state is not None, "the producer is known"
    assert state.sequence == frames, "every frame came back"
    assert stats.head_rows + stats.segment_rows == frames * rows, "every row came back"
    assert not engine.findings(), "a kill is no damage"
    engine.close()
    sys.stdout.write(f"{seconds}\n")


def opening(base: Path, frames: int, rows: int, size: int) -> float:
    """Seconds per GiB of log to open a copy in a fresh process."""
    home = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        shutil.copytree(base, home / "store")
        done = called(f"opened(Path({str(home / 'store')!r}), {frames}, {rows})")
        assert done.returncode == 0, done.stdout
        return float(done.stdout) / (size / GIBIBYTE)
    finally:
        shutil.rmtree(home)


def called(
    call: str, module: str = "benchmarks.system.bench_open"
) -> "subprocess.CompletedProcess[bytes]":
    """Run a function of a module in a process of its own."""
    code = f"from {module} import *; {call}"
    return subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=False)


def reading(base: Path, size: int) -> float:
    """Seconds per GiB to read the same files and sum their bytes, nothing else."""
    start = time.perf_counter()
    for path in sorted((base / "wal").glob("*.log")):
        crc32c(path.read_bytes())
    return (time.perf_counter() - start) / (size / GIBIBYTE)


def run(small: bool) -> list[harness.Figure]:
    """Measure."""
    figures = []
    sizes = (
        ((1000, 4 * MEBIBYTE), (1, MEBIBYTE))
        if small
        else ((1000, GIBIBYTE // 4), (1, GIBIBYTE // 16))
    )
    for rows, log_bytes in sizes:
        home = Path(tempfile.mkdtemp(prefix="bench-"))
        try:
            frames, size = filled(home, rows, log_bytes)
            ours, rival = harness.in_turn(
                lambda home=home, f=frames, r=rows, s=size: opening(home, f, r, s),
                lambda home=home, s=size: reading(home, s),
                1 if small else 5,
            )
        finally:
            shutil.rmtree(home)
        conditions = {
            "boundary": "Engine.open until it returns, a fresh process each time",
            "data": f"{frames} frames of {rows} samples, {TAGS} tags, {size} bytes of log",
            "warm or cold": "files in page cache",
            "log": "as long as wal_bytes_max lets it grow; full heads are left to the first flush",
            "cores": "all",
        }
        figures.append(
            harness.Figure(
                f"open after kill, {rows}-sample frames",
                "ms/GiB",
                [1000 * value for value in ours],
                "read and crc32c of the same bytes (less is better)",
                [1000 * value for value in rival],
                "<= 5,000" if rows == 1000 else "-",
                conditions,
            )
        )
    return figures
