"""A million tags, one sample each a minute: memory, declaring, flushing, newest values, opening."""

import hashlib
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson

from benchmarks import harness
from benchmarks.system.bench_open import called
from historian.clock import SystemClock
from storage_engine.config import EngineConfig
from storage_engine.engine import Engine
from storage_engine.filesystem import RealFileSystem
from storage_engine.findings import Findings
from storage_engine.frame import FLAG_OBSERVED, SampleSection, SlotKind, decode_frame, encode_frame
from storage_engine.manifest import load_manifest, store_manifest
from storage_engine.sample import Column, ColumnData, ValueType

PRODUCER = hashlib.blake2b(b"tags", digest_size=16).digest()
VALUE = (Column("value", ValueType.FLOAT64),)
BATCH = 10_000
MINUTE_NS = 60_000_000_000
LATEST = 100_000


def resident_bytes() -> int:
    """VmRSS of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


class Plant:
    """An engine and the one producer of all its tags."""

    def __init__(self, home: Path, tags: int) -> None:
        self.engine = Engine.open(RealFileSystem(home), EngineConfig(), SystemClock())
        self.tags, self.sequence, self.previous = tags, 0, 0
        self.chance = np.random.default_rng(1)
        self.value = np.round(self.chance.random(tags) * 100, 2)

    def declare(self) -> float:
        """Streams per second, durable, in one call."""
        uuids = [
            hashlib.blake2b(number.to_bytes(4, "little"), digest_size=16).digest()
            for number in range(self.tags)
        ]
        start = time.perf_counter()
        ids = self.engine.create_streams(uuids, SlotKind.SERIES, VALUE)
        seconds = time.perf_counter() - start
        self.engine.bind(PRODUCER, 1, dict(enumerate(ids)))
        return self.tags / seconds

    def frame(self, first: int, at_ns: int) -> bytes:
        """A batch of one minute: every tag at its own time, a random walk."""
        rows = min(BATCH, self.tags - first)
        part = slice(first, first + rows)
        self.value[part] = np.round(self.value[part] + self.chance.normal(0, 0.2, rows), 2)
        section = SampleSection(
            np.arange(first, first + rows, dtype=np.uint32),
            at_ns + self.chance.integers(0, 1000, rows) * 1_000_000,
            np.zeros(rows, np.uint32),
            ColumnData(ValueType.FLOAT64, self.value[part]),
        )
        self.sequence += 1
        raw = encode_frame(
            incarnation=bytes(16),
            producer_id=PRODUCER,
            epoch=1,
            sequence=self.sequence,
            previous_crc=self.previous,
            flags=FLAG_OBSERVED,
            declarations=(),
            samples=(section,),
            events=(),
            notices=(),
        )
        self.previous = decode_frame(raw).envelope.crc
        return raw

    def minute(self, at_ns: int) -> float:
        """Seconds to take a minute's frames, durable."""
        raws = [self.frame(first, at_ns) for first in range(0, self.tags, BATCH)]
        start = time.perf_counter()
        lsn = 0
        for raw in raws:
            lsn = self.engine.append(decode_frame(raw)).lsn
        self.engine.wait_durable(lsn)
        return time.perf_counter() - start


def plant(home: Path, tags: int, minutes: int) -> None:
    """Write for so many minutes, and say what it cost."""
    told = Plant(home, tags)
    begin_ns = time.time_ns() - minutes * MINUTE_NS
    facts: dict[str, list[float]] = {"declared": [told.declare()]}
    taking, flushing, resident = [], [], []
    for minute in range(minutes):
        taking.append(told.minute(begin_ns + minute * MINUTE_NS))
        before, start = told.engine.stats().segment_rows, time.perf_counter()
        told.engine.maintain()
        rows = told.engine.stats().segment_rows - before
        if rows:
            flushing.append(rows / (time.perf_counter() - start))
        resident.append(resident_bytes())
    told.engine.flush()
    resident.append(resident_bytes())
    stats = told.engine.stats()
    ids = np.random.default_rng(2).permutation(tags)[:LATEST] + 1
    latest = []
    for _ in range(6):
        start = time.perf_counter()
        found = told.engine.latest(ids)
        latest.append(1000 * (time.perf_counter() - start))
        assert found.present.all(), "every tag has a newest sample"
    told.engine.close()
    manifest = max(path.stat().st_size for path in (home / "manifest").iterdir())
    facts |= {
        "taken": [tags / seconds for seconds in taking],
        "flushed": flushing,
        "resident": [max(resident) / 1e6],
        "latest": latest[1:],
        "sample_bytes": [stats.segment_bytes / stats.segment_rows],
        "manifest": [manifest / 1e6],
    }
    sys.stdout.write(orjson.dumps(facts).decode())


def grow(home: Path, segments: int) -> None:
    """Let the newest manifest name so many segments; opening a store touches none of them."""
    fs = RealFileSystem(home)
    manifest = load_manifest(fs, Findings(10))
    assert manifest is not None, "the plant was closed"
    info = manifest.segments[0]
    more = tuple(replace(info, id=10**6 + number) for number in range(segments))
    grown = replace(manifest, generation=manifest.generation + 1, segments=more)
    store_manifest(fs, grown)


def opened(home: Path) -> None:
    """Say how many seconds opening takes."""
    start = time.perf_counter()
    engine = Engine.open(RealFileSystem(home), EngineConfig(), SystemClock())
    seconds = time.perf_counter() - start
    assert not engine.findings(), engine.findings()
    assert engine.stats().segments >= 1, "segments are named"
    engine.close()
    sys.stdout.write(f"{seconds}\n")


def run(small: bool) -> list[harness.Figure]:
    """Measure, each store in a process of its own."""
    tags, minutes, segments, runs = (2000, 3, 50, 1) if small else (1_000_000, 40, 10_000, 5)
    home = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        (home / "store").mkdir()
        store = f"Path({str(home / 'store')!r})"
        module = "benchmarks.system.bench_tags"
        done = called(f"plant({store}, {tags}, {minutes})", module)
        assert done.returncode == 0, done.stdout
        facts: dict[str, list[float]] = orjson.loads(done.stdout)
        grow(home / "store", segments)
        opens = []
        for _ in range(runs):
            done = called(f"opened({store})", module)
            assert done.returncode == 0, done.stdout
            opens.append(1000 * float(done.stdout))
    finally:
        shutil.rmtree(home)
    conditions = {
        "boundary": "one engine in a process of its own",
        "data": f"{tags} tags x {minutes} minutes, one sample each a minute, frames of {BATCH}",
        "durability": "each minute is on disk before the next; flushes count",
        "cores": "all",
    }
    told = (
        ("a million tags: declared", "streams/s", facts["declared"], "report"),
        ("a million tags: taken", "samples/s", facts["taken"], "report"),
        ("a million tags: flushed", "samples/s", facts["flushed"], "report"),
        ("a million tags: resident", "MB", facts["resident"], "< 3,000"),
        ("a million tags: segments", "mB/sample", facts["sample_bytes"], "report"),
        ("a million tags: manifest", "MB", facts["manifest"], "report"),
        ("latest of 100,000 of a million tags", "ms", facts["latest"], "< 20"),
        (f"open, {segments:,} segments, warm", "ms", opens, "< 3,000"),
    )
    return [
        harness.Figure(
            name,
            unit,
            [1000 * value for value in values] if unit == "mB/sample" else values,
            "",
            [],
            target,
            conditions,
            less_is_better=unit not in {"streams/s", "samples/s"},
        )
        for name, unit, values, target in told
        if values
    ]
