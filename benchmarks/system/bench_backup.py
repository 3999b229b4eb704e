"""A full backup of a store that takes frames meanwhile: how fast it is, and what ingest loses."""

import itertools
import shutil
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks import harness
from benchmarks.system.bench_ingest import ROWS, VALUE, Producer, maintain
from historian.clock import SystemClock
from storage_engine.backup import remove_backup
from storage_engine.backup_facts import BackupFacts, read_facts
from storage_engine.backup_verify import verify_backup
from storage_engine.bulk import BulkRows
from storage_engine.config import EngineConfig
from storage_engine.engine import Engine
from storage_engine.filesystem import RealFileSystem
from storage_engine.frame import SlotKind
from storage_engine.sample import ColumnData, ValueType

CHUNK = 1_000_000
PRODUCERS = 2
TAGS = 50
MIB = 1 << 20


class Store:
    """A store with history, and a repository beside it."""

    def __init__(self, rows: int) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="bench-"))
        (self.home / "store").mkdir()
        self.repository = RealFileSystem(self.home / "backups")
        fs = RealFileSystem(self.home / "store")
        self.engine = Engine.open(fs, EngineConfig(), SystemClock())
        self._numbers = itertools.count(1)
        self._names = itertools.count(1)
        self.last: BackupFacts | None = None
        stream = self.engine.create_stream(b"history-of-years", SlotKind.SERIES, VALUE)
        chance = np.random.default_rng(1)
        for first in range(0, rows, CHUNK):
            count = min(CHUNK, rows - first)
            at = 1_600_000_000_000_000_000 + (first + np.arange(count, dtype=np.int64)) * 1_000_000
            value = ColumnData(ValueType.FLOAT64, chance.random(count))
            part = BulkRows(stream, at, np.zeros(count, np.uint32), None, (value,))
            self.engine.bulk_import("history", first, [part])
        self.ended = threading.Event()
        self._keeper = threading.Thread(target=maintain, args=(self.engine, self.ended))
        self._keeper.start()

    def close(self) -> None:
        """End, and remove everything."""
        self.ended.set()
        self._keeper.join()
        self.engine.close()
        shutil.rmtree(self.home)

    def ingest(self, frames: int) -> float:
        """Samples per second of producers that each wait for their fsync."""
        producers = [Producer(next(self._numbers), frames, TAGS) for _ in range(PRODUCERS)]
        for producer in producers:
            producer.bind(self.engine)
        start = time.perf_counter()
        with ThreadPoolExecutor(PRODUCERS) as pool:
            for sent in [pool.submit(one.send, self.engine) for one in producers]:
                sent.result()
        return PRODUCERS * frames * ROWS / (time.perf_counter() - start)

    def backup(self) -> float:
        """One full backup, removed again but for the last; MiB per second."""
        if self.last is not None:
            remove_backup(self.repository, self.last.name)
        start = time.perf_counter()
        self.last = self.engine.backup(self.repository, f"b{next(self._names)}")
        return self.last.bytes / MIB / (time.perf_counter() - start)

    def ingest_beside_backups(self, frames: int, rates: list[float]) -> float:
        """As :meth:`ingest`, with one backup after the other meanwhile."""
        ended = threading.Event()

        def back_up() -> None:
            while not ended.is_set():
                rates.append(self.backup())

        thread = threading.Thread(target=back_up)
        thread.start()
        try:
            return self.ingest(frames)
        finally:
            ended.set()
            thread.join()

    def copy(self) -> float:
        """What the machine can: the segments copied file by file and synced; MiB per second."""
        target = self.home / "copy"
        start, size = time.perf_counter(), 0
        for path in (self.home / "store/segments").rglob("*.segment"):
            copy = target / path.name
            target.mkdir(exist_ok=True)
            with path.open("rb") as source, copy.open("wb") as file:
                shutil.copyfileobj(source, file, MIB)
                file.flush()
                size += file.tell()
            RealFileSystem(target).open_write(path.name).sync()
        seconds = time.perf_counter() - start
        shutil.rmtree(target)
        return size / MIB / seconds


def run(small: bool) -> list[harness.Figure]:
    """Backup alone beside a plain copy; ingest beside backups and alone."""
    rows, frames, runs = (200_000, 20, 1) if small else (32_000_000, 2_000, 3)
    store = Store(rows)
    try:
        alone, copied = harness.in_turn(store.backup, store.copy, runs)
        rates: list[float] = []
        beside, without = harness.in_turn(
            lambda: store.ingest_beside_backups(frames, rates), lambda: store.ingest(frames), runs
        )
        store.backup()
        assert store.last is not None, "one was made"
        facts = read_facts(store.repository, store.last.name)
        checked = verify_backup(store.repository, facts.name, EngineConfig(), SystemClock())
        assert checked.whole, checked
    finally:
        store.close()
    conditions = {
        "boundary": "in process, repository on the same disk, as fast as the disk",
        "data": f"{rows:,} random doubles in segments; frames of {ROWS} samples beside",
        "bytes": f"{facts.bytes:,}",
        "cores": harness.machine()["cores"],
        "backups beside ingest": f"{len(rates)}, median {np.median(rates):,.0f} MiB/s",
    }
    return [
        harness.Figure("full backup", "MiB/s", alone, "copy", copied, ">= 0.5x", conditions),
        harness.Figure(
            "ingest beside backups", "samples/s", beside, "alone", without, ">= 0.9x", conditions
        ),
    ]
