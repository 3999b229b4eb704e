"""How long a durable acknowledgement takes while everything else goes on at once.

100,000 samples a second in frames of 1,000, 20 % of the rows up to seven days late; meanwhile the
heads are flushed, segments compacted and the whole store backed up again and again.
"""

import contextlib
import hashlib
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks import harness
from benchmarks.datasets import plant
from historian.clock import SystemClock
from storage_engine.bulk import BulkRows
from storage_engine.config import MEBIBYTE, EngineConfig
from storage_engine.engine import Engine
from storage_engine.errors import EngineClosed
from storage_engine.filesystem import RealFileSystem
from storage_engine.frame import FLAG_OBSERVED, SampleSection, SlotKind, decode_frame, encode_frame
from storage_engine.sample import Column, ColumnData, ValueType

ROWS = 1_000
FRAMES_PER_S = 100
LATE = 0.2
TAGS = 500
SENDERS = 4
DAY_NS = 86_400 * 10**9
VALUE = (Column("value", ValueType.FLOAT64),)
# Small heads, so that half a minute sees many flushes and compactions.
CONFIG = EngineConfig(head_bytes_max=8 * MEBIBYTE)


def frames_of(sender: int, count: int, begin_ns: int) -> list[bytes]:
    """Frames of one sender, a fifth of the rows late."""
    producer = hashlib.blake2b(b"ack%d" % sender, digest_size=16).digest()
    chance = np.random.default_rng(sender)
    scans = plant.scan(TAGS, count * ROWS // TAGS, seed=sender).reshape(-1)
    frames, previous = [], 0
    for k in range(count):
        step = np.arange(ROWS) // TAGS
        time_ns = begin_ns + (k * ROWS // TAGS + step) * 10**9
        late = chance.random(ROWS) < LATE
        time_ns = np.where(late, time_ns - chance.integers(1, 7 * DAY_NS, ROWS), time_ns)
        section = SampleSection(
            (np.arange(ROWS) % TAGS).astype(np.uint32),
            time_ns.astype(np.int64),
            np.zeros(ROWS, np.uint32),
            ColumnData(ValueType.FLOAT64, scans[k * ROWS : (k + 1) * ROWS]),
        )
        raw = encode_frame(
            incarnation=bytes(16),
            producer_id=producer,
            epoch=1,
            sequence=k + 1,
            previous_crc=previous,
            flags=FLAG_OBSERVED,
            declarations=(),
            samples=(section,),
            events=(),
            notices=(),
        )
        previous = decode_frame(raw).envelope.crc
        frames.append(raw)
    return frames


def prepare(home: Path, stored_mib: int) -> None:
    """A store with so much in it that a backup takes its time."""
    engine = Engine.open(RealFileSystem(home), CONFIG, SystemClock())
    streams = [
        engine.create_stream(
            hashlib.blake2b(b"ack stream %d" % i, digest_size=16).digest(), SlotKind.SERIES, VALUE
        )
        for i in range(TAGS)
    ]
    for sender in range(SENDERS):
        producer = hashlib.blake2b(b"ack%d" % sender, digest_size=16).digest()
        engine.bind(producer, 1, dict(enumerate(streams)))
    chance, piece_mib = np.random.default_rng(1), min(stored_mib, 128)
    rows = piece_mib * MEBIBYTE // 8 // TAGS
    for piece in range(stored_mib // piece_mib):
        start = time.time_ns() - (60 + 20 * piece) * DAY_NS
        parts = [
            BulkRows(
                stream,
                start + np.arange(rows, dtype=np.int64) * (20 * DAY_NS // rows),
                np.zeros(rows, np.uint32),
                None,
                (ColumnData(ValueType.FLOAT64, chance.random(rows)),),
            )
            for stream in streams
        ]
        engine.bulk_import("bench", piece, parts)
    engine.close()


class Load:
    """Senders on a schedule: each latency counts from when its frame was due.

    ``rate`` is what was acknowledged, in samples per second; it is what was offered as long as the
    senders keep up.
    """

    def __init__(self, engine: Engine, seconds: int) -> None:
        self.engine = engine
        count = seconds * FRAMES_PER_S // SENDERS
        begin_ns = time.time_ns()
        self.frames = [frames_of(sender, count, begin_ns) for sender in range(SENDERS)]
        self.latencies: list[list[float]] = [[] for _ in range(SENDERS)]
        self.rate = 0.0

    def run(self) -> list[float]:
        """Send all; gives the latencies in microseconds."""
        start = time.perf_counter() + 0.1
        threads = [
            threading.Thread(target=self._send, args=(sender, start)) for sender in range(SENDERS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        sent = sum(map(len, self.latencies)) * ROWS
        self.rate = sent / (time.perf_counter() - start)
        return [value for part in self.latencies for value in part]

    def _send(self, sender: int, start: float) -> None:
        period = SENDERS / FRAMES_PER_S
        for k, raw in enumerate(self.frames[sender]):
            due = start + (k + sender / SENDERS) * period
            wait = due - time.perf_counter()
            if wait > 0:
                time.sleep(wait)
            lsn = self.engine.append(decode_frame(raw)).lsn
            self.engine.wait_durable(lsn)
            self.latencies[sender].append((time.perf_counter() - due) * 1e6)


def again(work: Callable[[], None], ended: threading.Event, every_s: float) -> threading.Thread:
    """A thread that does it over and over, until the run has ended."""

    def loop() -> None:
        with contextlib.suppress(EngineClosed):
            while not ended.wait(every_s):
                work()

    thread = threading.Thread(target=loop)
    thread.start()
    return thread


def measured(
    base: Path, seconds: int, *, busy: bool, told: dict[str, float]
) -> tuple[list[float], float]:
    """Latencies of one run on a fresh copy of the store, and the rate it kept."""
    home = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        shutil.copytree(base, home / "store")
        os.sync()  # what the copy left to write is no part of the run
        engine = Engine.open(RealFileSystem(home / "store"), CONFIG, SystemClock())
        copies = RealFileSystem(home / "copies")
        load, ended, names = Load(engine, seconds), threading.Event(), iter(range(10**6))

        def back_up() -> None:
            facts = engine.backup(copies, f"b{next(names)}", pace=paced(64, ended))
            told["backups"] += 1
            told["backup_bytes"] += facts.bytes

        def compact() -> None:
            told["compactions"] += sum(engine.compact(paced(8, ended)).jobs.values())

        threads = [again(engine.maintain, ended, 0.02)]
        if busy:
            threads += [again(compact, ended, 0.1), again(back_up, ended, 0.1)]
        found = load.run()
        ended.set()
        for thread in threads:
            thread.join()
        engine.close()
        return found, load.rate
    finally:
        shutil.rmtree(home)


def paced(mib_per_s: int, ended: threading.Event) -> Callable[[int], None]:
    """Wait so that so many bytes a second are read or written; stop work when the run has ended."""

    def pace(size: int) -> None:
        if ended.wait(size / (mib_per_s * MEBIBYTE)):
            raise EngineClosed("cannot go on: the run has ended")

    return pace


def run(small: bool) -> list[harness.Figure]:
    """Measure."""
    sys.setswitchinterval(0.001)  # as the server does
    seconds, stored_mib, runs = (1, 4, 1) if small else (30, 1024, 5)
    home = Path(tempfile.mkdtemp(prefix="bench-"))
    told = {"backups": 0.0, "backup_bytes": 0.0, "compactions": 0.0}
    busy: list[tuple[list[float], float]] = []
    quiet: list[tuple[list[float], float]] = []
    try:
        prepare(home, stored_mib)
        for _ in range(runs):
            quiet.append(measured(home, seconds, busy=False, told=told))
            busy.append(measured(home, seconds, busy=True, told=told))
    finally:
        shutil.rmtree(home)
    conditions = {
        "boundary": "in process, 4 senders, frames decoded inside; from when a frame was due",
        "data": f"{FRAMES_PER_S} frames/s x {ROWS} rows, 20 % late up to 7 days, {seconds} s a run",
        "meanwhile": f"flush, compaction at 8 MiB/s, backups at 64 MiB/s: {told}",
        "durability": "fsync before each acknowledgement",
        "cores": "all",
    }
    rival = "the same without backup and compaction"
    figures = [
        harness.Figure(
            f"durable ack, p{share:g}",
            "us",
            [float(np.percentile(part, share)) for part, _ in busy],
            rival,
            [float(np.percentile(part, share)) for part, _ in quiet],
            target,
            conditions,
        )
        for share, target in ((50, "-"), (99, "< 10,000"), (99.9, "< 100,000"))
    ]
    rates = [rate for _, rate in busy], [rate for _, rate in quiet]
    figures.append(
        harness.Figure(
            "ingest under backup of 1 GiB",
            "samples/s",
            rates[0],
            rival,
            rates[1],
            "what is offered: 100,000",
            conditions,
        )
    )
    return figures
