"""What late data costs: bytes written into segments per byte of user data, compaction included."""

import hashlib
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import harness
from benchmarks.datasets import plant
from storage_engine.config import EngineConfig
from storage_engine.engine import Engine
from storage_engine.filesystem import RealFileSystem
from storage_engine.frame import FLAG_OBSERVED, SampleSection, SlotKind, decode_frame, encode_frame
from storage_engine.sample import Column, ColumnData, ValueType
from storage_engine.testing import DAY_NS, SetClock

PRODUCER = b"late-data-bench!"
VALUE = (Column("value", ValueType.FLOAT64),)
ROW_BYTES = 20  # time, value, quality
FRAME_SCANS = 50
DAYS = 14
BACK_DAYS = 7


class Load:
    """The same samples for every run; a share of them comes with a time of up to a week ago.

    Parameters
    ----------
    tags, scans : int
    """

    def __init__(self, tags: int, scans: int) -> None:
        self.tags = tags
        self.scans = scans
        self.values = plant.scan(tags, scans)
        self.times = plant.times(scans, 1, DAYS * DAY_NS // scans)

    @property
    def rows(self) -> int:
        """Samples."""
        return self.tags * self.scans

    def frame(self, number: int, sequence: int, previous: int, share: float) -> bytes:
        """Encode one frame: some scans, and what came late with them."""
        part = slice(number * FRAME_SCANS, (number + 1) * FRAME_SCANS)
        values = self.values[part].reshape(-1)
        at = np.repeat(self.times[part], self.tags)
        slot = np.tile(np.arange(self.tags, dtype=np.uint32), len(self.times[part]))
        draw = np.random.default_rng(number)
        late = draw.random(len(at)) < share
        back_ms = draw.integers(1, BACK_DAYS * DAY_NS // 1_000_000, len(at))
        at = np.where(late, at - back_ms * 1_000_000, at)
        section = SampleSection(
            slot, at, np.zeros(len(at), np.uint32), ColumnData(ValueType.FLOAT64, values)
        )
        return encode_frame(
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


@dataclass(frozen=True)
class Outcome:
    """Bytes written into segments, and what is there in the end."""

    flushed: int
    compacted: int
    live: int
    segments: int
    jobs: int
    seconds: float
    digest: str

    @property
    def written(self) -> int:
        """Bytes written into segments."""
        return self.flushed + self.compacted

    def told(self, load: Load) -> str:
        """One condition of the figure."""
        return (
            f"flushed {self.flushed:,} B, compacted {self.compacted:,} B in {self.jobs} jobs, "
            f"live {self.live:,} B in {self.segments} segments, "
            f"user data {load.rows * ROW_BYTES:,} B, {self.seconds:.0f} s"
        )


def run_once(load: Load, share: float) -> Outcome:
    """Write everything, flushing once an hour of the data's time, compacting whatever is due."""
    home = Path(tempfile.mkdtemp(prefix="bench-"))
    begin = time.perf_counter()
    try:
        clock = SetClock(int(load.times[0]))
        engine = Engine.open(RealFileSystem(home), EngineConfig(), clock)
        ids = {
            slot: engine.create_stream(slot.to_bytes(16, "little"), SlotKind.SERIES, VALUE)
            for slot in range(load.tags)
        }
        engine.bind(PRODUCER, 1, ids)
        previous = 0
        for number in range(load.scans // FRAME_SCANS):
            frame = decode_frame(load.frame(number, number + 1, previous, share))
            previous = frame.envelope.crc
            clock.time_ns = int(load.times[number * FRAME_SCANS + FRAME_SCANS - 1])
            engine.wait_durable(engine.append(frame).lsn)
            engine.maintain()
            if engine.compaction_due():
                engine.compact(unhurried)
        engine.flush()
        engine.compact(unhurried)
        stats = engine.stats()
        digest = _digest(engine, list(ids.values()), load.rows)
        engine.close()
        return Outcome(
            stats.flushed_bytes,
            stats.compacted_bytes,
            stats.segment_bytes,
            stats.segments,
            stats.compaction_jobs,
            time.perf_counter() - begin,
            digest,
        )
    finally:
        shutil.rmtree(home)


def unhurried(size_bytes: int) -> None:
    """No pace: bytes are counted here, not time."""


def _digest(engine: Engine, ids: list[int], rows: int) -> str:
    """What was stored, read back; late rows may fall on one time, a handful in a million."""
    total, found = hashlib.blake2b(digest_size=8), 0
    for stream_id in ids:
        columns = engine.read(stream_id, -(2**62), 2**62)
        found += len(columns)
        total.update(columns.timestamp_ns.tobytes())
        total.update(np.ascontiguousarray(columns.value.value).tobytes())
    assert rows * 0.9999 <= found <= rows, "rows were lost"
    return total.hexdigest()


def run(small: bool) -> list[harness.Figure]:
    """Measure."""
    load = Load(tags=10, scans=4_000) if small else Load(tags=200, scans=100_000)
    outcomes = {share: run_once(load, share) for share in (0.0, 0.01, 0.2)}
    none = outcomes[0.0]
    figures = []
    for share, target in ((0.0, "report"), (0.01, "<= 1.30x"), (0.2, "report")):
        outcome = outcomes[share]
        figures.append(
            harness.Figure(
                f"late data {share:.0%}: into segments",
                "B/1,000 B",
                [1000 * outcome.written / (load.rows * ROW_BYTES)],
                "none late",
                [1000 * none.written / (load.rows * ROW_BYTES)],
                target,
                {
                    "boundary": "in process; flushes once an hour of the data's time",
                    "data": f"datasets/plant.py, {load.tags} tags x {load.scans} scans in {DAYS} "
                    f"days, late rows uniform up to {BACK_DAYS} days back",
                    "cores": "all",
                    "bytes": outcome.told(load),
                    "digest": outcome.digest,
                },
            )
        )
    return figures
