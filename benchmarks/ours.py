"""Our stores, made by the real paths and kept, and the questions that rivals are asked as well."""

import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks import places
from benchmarks.datasets.columns import DataSet
from benchmarks.rivals.base import Buckets, Floats, Ints, Latest
from storage_engine.bulk import BulkRows
from storage_engine.config import EngineConfig
from storage_engine.engine import Engine
from storage_engine.filesystem import RealFileSystem
from storage_engine.frame import FLAG_OBSERVED, SampleSection, SlotKind, decode_frame, encode_frame
from storage_engine.sample import Column, ColumnData, ValueType
from storage_engine.testing import DAY_NS, SetClock

PRODUCER = b"benchmark-plant!"
VALUE = (Column("value", ValueType.FLOAT64),)
FRAME_ROWS = 1000
BULK_ROWS = 2_500_000
COLD_DAYS = 90
WARM = EngineConfig(cold_age_days=36_500)
LOG = ("wal",)


def unhurried(size_bytes: int) -> None:
    """No pace."""


def settle(engine: Engine) -> None:
    """Two more generations, so that no kept one names the files that a compaction replaced."""
    for generation in range(2):
        engine.bulk_import("settle", generation, [])


def sources() -> list[Path]:
    """Files that decide what a store looks like."""
    engine = places.REPOSITORY / "storage_engine"
    return [p for p in engine.rglob("*") if p.suffix in {".py", ".pyx", ".h"}]


class Store:
    """One store of ours with one data set.

    Parameters
    ----------
    data : DataSet
    way : str
        "ingest": frames of about 1,000 samples of mixed tags through the log and the head, flushed
        by the engine's own rule, compacted to quiescence. "bulk": past the log, compacted.
    cold : bool
        Compacted once more with the clock `COLD_DAYS` on, so that cold codecs are used; without it
        none are, however old the data are.
    read_threads : int
        Of one call; 0 for one per core.
    """

    def __init__(
        self, data: DataSet, way: str, *, cold: bool = False, read_threads: int = 0
    ) -> None:
        self.data = data
        self._way = way
        key = places.digest(sources(), way, data.key)
        made = places.kept(f"ours-{way}-{data.name}", key, self._make)
        self.facts: dict[str, float] = json.loads((made / "facts.json").read_text())
        self.folder = made / ("cold" if cold else "warm")
        self._clock = SetClock(data.end_ns)
        self.engine = Engine.open(
            RealFileSystem(self.folder),
            EngineConfig(read_threads=read_threads),
            self._clock,
        )
        by_uuid = {info.uuid: info.id for info in self.engine.streams().values()}
        self.ids = [by_uuid[uuid_of(tag)] for tag in range(data.tags)]

    def _make(self, folder: Path) -> None:
        home = folder / "warm"
        home.mkdir()
        clock = SetClock(self.data.start_ns)
        start = time.perf_counter()
        engine = Engine.open(RealFileSystem(home), WARM, clock)
        ids = [
            engine.create_stream(uuid_of(tag), SlotKind.SERIES, VALUE)
            for tag in range(self.data.tags)
        ]
        (self._ingest if self._way == "ingest" else self._bulk)(engine, clock, ids)
        facts = {"load_s": time.perf_counter() - start}
        clock.time_ns = self.data.end_ns
        facts["flushed"] = float(places.size_of(home, without=LOG))
        engine.compact(unhurried)
        settle(engine)
        facts["segments"] = float(engine.stats().segments)
        engine.close()
        facts["warm"] = float(places.size_of(home, without=LOG))
        facts["warm_log"] = float(places.size_of(home / "wal"))
        facts |= self._cool(home, folder / "cold")
        (folder / "facts.json").write_text(json.dumps(facts))

    def _cool(self, warm: Path, cold: Path) -> dict[str, float]:
        """A copy of the store, a season later."""
        shutil.copytree(warm, cold)
        clock = SetClock(self.data.end_ns + COLD_DAYS * DAY_NS)
        engine = Engine.open(RealFileSystem(cold), EngineConfig(), clock)
        start = time.perf_counter()
        engine.compact(unhurried)
        seconds = time.perf_counter() - start
        settle(engine)
        engine.close()
        return {"cold": float(places.size_of(cold, without=LOG)), "cold_s": seconds}

    def _bulk(self, engine: Engine, clock: SetClock, ids: Sequence[int]) -> None:
        clock.time_ns = self.data.end_ns
        parts: list[BulkRows] = []
        for tag, (times, values) in enumerate(self.data.columns()):
            for begin in range(0, len(times), BULK_ROWS):
                part = slice(begin, begin + BULK_ROWS)
                value = (ColumnData(ValueType.FLOAT64, values[part]),)
                quality = np.zeros(len(times[part]), np.uint32)
                parts.append(BulkRows(ids[tag], times[part], quality, None, value))
                if sum(map(len, parts)) >= BULK_ROWS or tag == self.data.tags - 1:
                    engine.bulk_import("bench", [tag, begin], parts)
                    parts = []

    def _ingest(self, engine: Engine, clock: SetClock, ids: Sequence[int]) -> None:
        engine.bind(PRODUCER, 1, dict(enumerate(ids)))
        times, values = self.data.tables()
        scans = max(1, FRAME_ROWS // self.data.tags)
        stretch = scans * max(1, 3600 // scans)  # turned from tags to scans an hour at a time
        previous, sequence, lsn, waiting = 0, 0, 0, 0
        for begin in range(0, self.data.rows, stretch):
            at = np.ascontiguousarray(times[:, begin : begin + stretch].T)
            held = np.ascontiguousarray(values[:, begin : begin + stretch].T)
            for first in range(0, len(at), scans):
                part = at[first : first + scans].reshape(-1)
                flat = held[first : first + scans].reshape(-1)
                slots = np.tile(
                    np.arange(self.data.tags, dtype=np.uint32), len(part) // self.data.tags
                )
                for k in range(0, len(part), 50_000):  # a scan of very many tags: some frames
                    row = slice(k, k + 50_000)
                    sequence += 1
                    raw = frame_of(sequence, previous, slots[row], part[row], flat[row])
                    frame = decode_frame(raw)
                    previous = frame.envelope.crc
                    lsn = engine.append(frame).lsn
                    waiting += len(frame.samples[0].slot)
                if waiting >= 500_000:
                    waiting = 0
                    engine.wait_durable(lsn)
                    clock.time_ns = int(part[-1])
                    engine.maintain()
        engine.wait_durable(lsn)
        clock.time_ns = self.data.end_ns
        engine.flush()

    def close(self) -> None:
        """Let go of the store."""
        self.engine.close()

    def raw(self, tag: int, start_ns: int, end_ns: int) -> tuple[Ints, Floats]:
        """Times and values, as :meth:`benchmarks.rivals.base.Rival.raw`."""
        series = self.ids[tag]
        if fast_reads():
            arrays = self.engine.read_arrays(series, start_ns, end_ns)
            return arrays.timestamp_ns, arrays.value
        rows = self.engine.read(series, start_ns, end_ns)
        return rows.timestamp_ns, rows.value.value

    def buckets(self, tags: Sequence[int], start_ns: int, end_ns: int, step_ns: int) -> Buckets:
        """Windows of tags, as :meth:`benchmarks.rivals.base.Rival.buckets`."""
        count = -(-(end_ns - start_ns) // step_ns)
        if fast_folds():
            return self._folded(tags, start_ns, step_ns, count)
        edges = start_ns + step_ns * np.arange(count + 1)
        parts = [numpy_buckets(tag, *self.raw(tag, start_ns, end_ns), edges) for tag in tags]
        return Buckets(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def _folded(self, tags: Sequence[int], start_ns: int, step_ns: int, count: int) -> Buckets:
        asked = (start_ns, step_ns, count)
        found = self.engine.fold_brief([self.ids[tag] for tag in tags], asked)
        assert not found.damage, "a read was not whole"
        tag, start = np.repeat(np.asarray(tags, np.int64), count), found.edges[:-1]
        start = start if len(tags) == 1 else np.tile(start, len(tags))
        columns = (found.floats("minimum"), found.floats("maximum"), found.mean)
        everything = Buckets(tag, start, *(column.reshape(-1) for column in columns))
        if found.good.all():
            return everything
        held = np.flatnonzero(found.good)
        return Buckets(*(column[held] for column in everything))

    def scan(self) -> Buckets:
        """Minimum, maximum, mean of each tag, every value decoded for it."""
        data = self.data
        asked = np.array([data.start_ns, data.end_ns])
        found = self.engine.fold_brief(self.ids, asked, summaries=False)
        assert not found.damage, "a read was not whole"
        assert int(found.good.sum()) == data.samples, "rows are missing"
        low, high, mean = found.floats("minimum"), found.floats("maximum"), found.mean
        start = np.full(data.tags, data.start_ns)
        return Buckets(np.arange(data.tags), start, low[:, 0], high[:, 0], mean[:, 0])

    def latest(self) -> Latest:
        """Newest samples of all tags."""
        found = self.engine.latest(self.ids)
        return Latest(found.timestamp_ns, np.asarray(found.value, np.float64))

    def weighted(self, tag: int, start_ns: int, end_ns: int) -> float:
        """Time-weighted mean of a window."""
        if fast_folds():
            found = self.engine.fold([self.ids[tag]], (start_ns, end_ns - start_ns, 1))
            return float(found.result("stepped_mean")[0, 0])
        return numpy_weighted(*self.raw(tag, start_ns, end_ns))


def fast_reads() -> bool:
    """Whether the engine decodes straight into arrays."""
    return hasattr(Engine, "read_arrays")


def fast_folds() -> bool:
    """Whether the engine folds windows itself."""
    return hasattr(Engine, "fold_brief")


def way_of(*calls: str) -> str:
    """How the questions were asked of this engine, for the conditions of a figure."""
    have = {"read_arrays": fast_reads(), "fold": fast_folds(), "fold_brief": fast_folds()}
    return ", ".join(f"engine.{call}" if have[call] else "engine.read and numpy" for call in calls)


def uuid_of(tag: int) -> bytes:
    """Name of a tag's stream."""
    return tag.to_bytes(16, "little")


def frame_of(
    sequence: int, previous: int, slot: npt.NDArray[np.uint32], time_ns: Ints, value: Floats
) -> bytes:
    """One frame of observed samples, all good."""
    section = SampleSection(
        slot, time_ns, np.zeros(len(slot), np.uint32), ColumnData(ValueType.FLOAT64, value)
    )
    return encode_frame(
        incarnation=bytes(16),
        producer_id=PRODUCER,
        epoch=1,
        sequence=sequence,
        previous_crc=previous,
        flags=FLAG_OBSERVED,
        samples=(section,),
    )


def numpy_buckets(tag: int, time_ns: Ints, value: Floats, edges: Ints) -> Buckets:
    """The plain fold of rows: what any answer must equal."""
    first = np.searchsorted(time_ns, edges)
    held = np.flatnonzero(np.diff(first))
    begin = first[:-1][held]
    rows = value[: first[-1]]
    if not len(held):
        nothing = np.empty(0, np.float64)
        return Buckets(held, held, nothing, nothing, nothing)
    low, high = np.minimum.reduceat(rows, begin), np.maximum.reduceat(rows, begin)
    mean = np.add.reduceat(rows, begin) / np.diff(first)[held]
    return Buckets(np.full(len(held), tag), edges[:-1][held], low, high, mean)


def numpy_weighted(time_ns: Ints, value: Floats) -> float:
    """Each value until the next sample."""
    return float(np.average(value[:-1], weights=np.diff(time_ns)))


def same(ours: Buckets, theirs: Buckets, *, exact: bool, tolerance: float = 1e-9) -> None:
    """Answers are equal: windows, minima and maxima bit for bit, means to within a tolerance.

    A rival that does not keep every digit is compared within ``tolerance`` throughout.
    """
    assert np.array_equal(ours.tag, theirs.tag), "tags differ"
    assert np.array_equal(ours.start_ns, theirs.start_ns), "windows differ"
    for name in ("minimum", "maximum", "mean"):
        left, right = getattr(ours, name), getattr(theirs, name)
        equal = np.array_equal(left, right)
        close = np.allclose(left, right, rtol=tolerance, atol=0)
        assert equal or (close and not (exact and name != "mean")), f"{name} differs"
