"""Frames into the engine, durable: 1,000 samples each, many producers, one core."""

import functools
import hashlib
import os
import shutil
import sqlite3
import statistics
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks import harness
from benchmarks.datasets import plant
from historian.clock import SystemClock
from storage_engine.config import EngineConfig
from storage_engine.engine import Engine
from storage_engine.errors import LimitExceeded
from storage_engine.filesystem import RealFileSystem
from storage_engine.frame import (
    FLAG_OBSERVED,
    Declaration,
    Frame,
    SampleSection,
    SlotKind,
    decode_frame,
    encode_frame,
)
from storage_engine.sample import Column, ColumnData, ValueType

ROWS = 1000
VALUE = (Column("value", ValueType.FLOAT64),)
FLOOR = "write+fdatasync"


class Producer:
    """Frames of one producer, encoded beforehand: what a collector would send."""

    def __init__(self, number: int, frames: int, tags: int) -> None:
        self.id = hashlib.blake2b(b"bench%d" % number, digest_size=16).digest()
        self.tags = tags
        scans = plant.scan(tags, frames * ROWS // tags, seed=number * tags)
        time_ns = plant.times(len(scans), number)
        flat, at = scans.reshape(-1), np.repeat(time_ns, tags)
        slot = np.tile(np.arange(tags, dtype=np.uint32), len(scans))
        self.frames: list[bytes] = []
        previous = 0
        for k in range(frames):
            part = slice(k * ROWS, (k + 1) * ROWS)
            section = SampleSection(
                slot[part],
                at[part],
                np.zeros(ROWS, np.uint32),
                ColumnData(ValueType.FLOAT64, flat[part]),
            )
            raw = encode_frame(
                incarnation=bytes(16),
                producer_id=self.id,
                epoch=1,
                sequence=k + 1,
                previous_crc=previous,
                flags=FLAG_OBSERVED,
                declarations=self.declarations() if k == 0 else (),
                samples=(section,),
                events=(),
                notices=(),
            )
            previous = decode_frame(raw).envelope.crc
            self.frames.append(raw)

    def declarations(self) -> tuple[Declaration, ...]:
        """One slot per tag."""
        return tuple(
            Declaration(i, SlotKind.SERIES, "bench", f"tag{i}", VALUE) for i in range(self.tags)
        )

    def bind(self, engine: Engine) -> None:
        """Create the streams and bind the slots, as ingest does."""
        streams = {}
        for i in range(self.tags):
            uuid = hashlib.blake2b(self.id + i.to_bytes(4, "little"), digest_size=16).digest()
            streams[i] = engine.create_stream(uuid, SlotKind.SERIES, VALUE)
        engine.bind(self.id, 1, streams)

    def send(self, engine: Engine) -> None:
        """Each frame waits for its fsync before the next; a full head makes it wait as well."""
        for raw in self.frames:
            frame: Frame = decode_frame(raw)
            while True:
                try:
                    appended = engine.append(frame)
                    break
                except LimitExceeded:
                    time.sleep(0.001)
            engine.wait_durable(appended.lsn)


def engine_run(producers: list[Producer], digests: set[str], syncs: list[float]) -> float:
    """Samples per second through one engine, all producers at once."""
    home = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        engine = Engine.open(RealFileSystem(home), EngineConfig(), SystemClock())
        for producer in producers:
            producer.bind(engine)
        ended = threading.Event()
        before = engine.stats().wal_syncs
        keeper = threading.Thread(target=maintain, args=(engine, ended))
        keeper.start()
        start = time.perf_counter()
        with ThreadPoolExecutor(len(producers)) as pool:
            for sent in [pool.submit(p.send, engine) for p in producers]:
                sent.result()
        ended.set()
        keeper.join()
        engine.flush()  # what was not flushed meanwhile counts as well
        seconds = time.perf_counter() - start
        frames = sum(len(p.frames) for p in producers)
        syncs.append(frames / (engine.stats().wal_syncs - before))
        digests.add(digest(engine))
        engine.close()
        return frames * ROWS / seconds
    finally:
        shutil.rmtree(home)


def maintain(engine: Engine, ended: threading.Event) -> None:
    """Flush while the producers write, as the server does, on the same core."""
    while not ended.wait(0.02):
        engine.maintain()


def digest(engine: Engine) -> str:
    """What was stored, read back."""
    total = hashlib.blake2b(digest_size=8)
    for stream_id in sorted(engine.streams()):
        columns = engine.read(stream_id, -(2**62), 2**62)
        total.update(columns.timestamp_ns.tobytes())
        total.update(np.ascontiguousarray(columns.value.value).tobytes())
    return total.hexdigest()


def sqlite_run(producers: list[Producer]) -> float:
    """The same samples, one transaction per frame, synchronous."""
    home = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        db = sqlite3.connect(home / "rival.db", isolation_level=None)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute(
            "CREATE TABLE sample (tag INT, time INT, value REAL, quality INT, "
            "PRIMARY KEY (tag, time)) WITHOUT ROWID"
        )
        batches = []
        for number, producer in enumerate(producers):
            for raw in producer.frames:
                section = decode_frame(raw).samples[0]
                tags = (section.slot.astype(np.int64) + number * producer.tags).tolist()
                zeros = [0] * len(tags)
                columns = (tags, section.timestamp_ns.tolist(), section.value.value.tolist(), zeros)
                batches.append(list(zip(*columns, strict=True)))
        start = time.perf_counter()
        for rows in batches:
            db.execute("BEGIN")
            db.executemany("INSERT OR REPLACE INTO sample VALUES (?, ?, ?, ?)", rows)
            db.execute("COMMIT")
        seconds = time.perf_counter() - start
        db.close()
        return len(batches) * ROWS / seconds
    finally:
        shutil.rmtree(home)


def floor_run(producers: list[Producer], group: int) -> float:
    """The same bytes, written and synced, a group at a time: what the medium allows."""
    raws = [raw for batch in zip(*(p.frames for p in producers), strict=True) for raw in batch]
    with tempfile.NamedTemporaryFile(prefix="bench-") as file:
        os.posix_fallocate(file.fileno(), 0, sum(map(len, raws)))
        start = time.perf_counter()
        for k in range(0, len(raws), group):
            os.write(file.fileno(), b"".join(raws[k : k + group]))
            os.fdatasync(file.fileno())
        return len(raws) * ROWS / (time.perf_counter() - start)


def run(small: bool) -> list[harness.Figure]:
    """Measure."""
    harness.pin({0})
    count, frames, runs = (2, 20, 1) if small else (16, 250, 5)
    producers = [Producer(n, frames, tags=250) for n in range(count)]
    digests: set[str] = set()
    syncs: list[float] = []
    groups = {FLOOR: 1, f"{FLOOR}, {count} batches at once": count}
    ours, rival = harness.in_turn(
        lambda: engine_run(producers, digests, syncs), lambda: sqlite_run(producers), runs
    )
    floors = harness.rounds(
        {
            "": lambda: engine_run(producers, digests, syncs),
            **{name: functools.partial(floor_run, producers, n) for name, n in groups.items()},
        },
        runs,
    )
    again = floors.pop("")
    assert len(digests) == 1, "the runs stored different things"
    conditions = {
        "boundary": "in process, frames encoded beforehand, decoded inside",
        "data": f"datasets/plant.py, {count} producers x {frames} frames x {ROWS} rows",
        "durability": "fsync before each frame's return; all of it in segments at the end",
        "batches a sync": f"ours {statistics.median(syncs):.2f}",
        "cores": "1",
        "digest": digests.pop(),
    }
    harness.pin(set(range(os.cpu_count() or 1)))
    return [
        harness.Figure(
            "ingest durable", "samples/s", ours, "SQLite", rival, ">= 3,000,000", conditions
        ),
        harness.Figure(
            "ingest beside the medium", "samples/s", again, FLOOR, floors.pop(FLOOR),
            ">= 0.5x of a sync a batch", conditions, floors,
        ),
    ]  # fmt: skip
