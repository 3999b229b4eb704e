"""A kit for tests: ingest over a real engine and catalog in a folder, and a clock to set."""

import asyncio
import types
from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from historian.catalog import Catalog
from historian.catalog_rules import TagRules
from historian.config import IngestConfig
from historian.events import EVENT_KINDS
from historian.ingest import Ingest
from historian.ingest_streams import Streams
from historian.metrics import Metrics
from historian.runtime_reader import StoreReader
from storage_engine.config import EngineConfig
from storage_engine.engine import Engine
from storage_engine.filesystem import RealFileSystem
from storage_engine.frame import (
    FLAG_OBSERVED,
    ZERO_ID,
    Declaration,
    EventSection,
    SampleSection,
    SlotKind,
    encode_frame,
    peek_envelope,
)
from storage_engine.sample import (
    DTYPES,
    EVENT_ID_DTYPE,
    Column,
    ColumnData,
    EventBatch,
    EventColumns,
    ValueType,
    source_event_id,
)

_END_NS = 1 << 62


@types.coroutine
def pause() -> Generator[None, None, None]:
    """Let the event loop do one round."""
    yield


class SetClock:
    """A clock that stands until it is set; its sleep only lets others run.

    Parameters
    ----------
    now_ns : int
        Where it stands.
    """

    def __init__(self, now_ns: int) -> None:
        self.ns = now_ns

    def now_ns(self) -> int:
        """Where it stands."""
        return self.ns

    def monotonic_s(self) -> float:
        """The same in seconds."""
        return self.ns / 1e9

    async def sleep(self, seconds: float) -> None:
        """Let others run."""
        await pause()


@dataclass
class OpenIngest:
    """Ingest over an open store.

    Attributes
    ----------
    told : list
        What the listeners heard: (kind, batch, lsn).
    """

    engine: Engine
    catalog: Catalog
    ingest: Ingest
    reader: StoreReader
    metrics: Metrics
    clock: SetClock
    told: list[tuple[str, EventBatch, int]] = field(default_factory=list)

    def hear(self, kind: str, batch: EventBatch, lsn: int) -> None:
        """Note what a listener is told."""
        self.told.append((kind, batch, lsn))

    def values(self, tag: str) -> list[tuple[int, Any, int]]:
        """(time, value, quality) of a tag, series by series, all revisions."""
        found: list[tuple[int, Any, int]] = []
        for series in self.catalog.resolve(tag).series:
            c = self.engine.read(series, 0, _END_NS, all_revisions=True)
            rows = zip(c.timestamp_ns.tolist(), c.value.objects(), c.quality.tolist(), strict=True)
            found += list(rows)
        return found

    def events(self, kind: str) -> EventColumns:
        """Every event of a kind."""
        return self.reader.read_events(kind, 0, _END_NS)

    def count(self, name: str, **labels: str) -> float:
        """Value of one of our metrics; 0 when nobody counted."""
        return self.metrics.registry.get_sample_value(f"historian_{name}", labels) or 0.0


def run_ingest(
    path: Path,
    work: Callable[[OpenIngest], Awaitable[None]],
    *,
    now_ns: int,
    rules: TagRules | None = None,
    **config: Any,
) -> None:
    """Open, work, close; called again on the same folder it opens the same store.

    Parameters
    ----------
    path : Path
        Folder of the store.
    work : callable
        Given the open ingest, on an event loop of its own.
    now_ns : int
        Where the clock stands.
    rules : TagRules, optional
        None match unless given.
    **config : object
        Settings of ``[ingest]``.
    """

    async def main() -> None:
        clock = SetClock(now_ns)
        (path / "engine").mkdir(parents=True, exist_ok=True)
        engine = Engine.open(RealFileSystem(path / "engine"), EngineConfig(free_bytes_min=0), clock)
        streams = Streams(engine)
        streams.create_event_streams()
        catalog = Catalog.open(
            path / "catalog.sqlite", streams.create_series, clock, rules or TagRules([])
        )
        metrics = Metrics(10)
        ingest = Ingest(IngestConfig(**config), catalog, clock, metrics)
        reader = StoreReader()
        reader.use(engine, streams)
        store = OpenIngest(engine, catalog, ingest, reader, metrics, clock)
        ingest.add_listener(store.hear)
        ingest.open(engine, streams)
        try:
            await work(store)
        finally:
            ingest.close("the kit ends")
            engine.close()
            catalog.close()

    asyncio.run(main())


class FrameProducer:
    """A collector's sending half: frames of one epoch, chained.

    Parameters
    ----------
    epoch : int
        Of all its frames.
    name : bytes
        16 bytes, its id.
    """

    def __init__(self, epoch: int = 1, name: bytes = b"p" * 16) -> None:
        self.id = name
        self.epoch = epoch
        self.sequence = 0
        self.crc = 0

    def frame(self, **body: Any) -> bytes:
        """Return the next frame of the chain."""
        self.sequence += 1
        raw = encode_frame(
            incarnation=body.pop("incarnation", ZERO_ID),
            producer_id=self.id,
            epoch=self.epoch,
            sequence=self.sequence,
            previous_crc=self.crc,
            flags=FLAG_OBSERVED,
            **body,
        )
        self.crc = peek_envelope(raw).crc
        return raw


def declare(
    slot: int, address: str, type_: ValueType = ValueType.FLOAT64, source: str = "plc"
) -> Declaration:
    """Declare a slot of samples."""
    return Declaration(slot, SlotKind.SERIES, source, address, (Column("value", type_),))


def samples(
    slots: Sequence[int],
    values: Sequence[Any],
    times: Sequence[int],
    *,
    quality: Sequence[int] | None = None,
    type_: ValueType = ValueType.FLOAT64,
    valid: Sequence[bool] | None = None,
) -> SampleSection:
    """Make a section of samples; all good and none null unless said otherwise."""
    mask = None if valid is None else np.array(valid, np.bool_)
    value = np.empty(len(values), DTYPES[type_])
    value[:] = values
    return SampleSection(
        np.array(slots, np.uint32),
        np.array(times, np.int64),
        np.array(quality or [0] * len(slots), np.uint32),
        ColumnData(type_, value, mask),
    )


def arrivals(slot: int, units: Sequence[str | None], times: Sequence[int]) -> EventSection:
    """Make a section of ``unit_arrived`` events, ids by position; only ``unit`` is filled."""
    ids = b"".join(source_event_id("s", i) for i in range(len(units)))
    data = []
    for column in EVENT_KINDS["unit_arrived"]:
        held = units if column.name == "unit" else [None] * len(units)
        value = np.array(["" if u is None else u for u in held], np.object_)
        data.append(ColumnData(column.type, value, np.array([u is not None for u in held])))
    at = np.array(times, np.int64)
    return EventSection(slot, at, np.frombuffer(ids, EVENT_ID_DTYPE), tuple(data))
