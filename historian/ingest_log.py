"""The way into the engine that frames and HTTP writes share: admit, append, wait, tell.

All appending happens on the event loop's thread, so what one call appends without an ``await`` in
between stands together in the log.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import structlog

from connectors.connector import Clock
from historian.catalog import Catalog
from historian.config_server import IngestConfig
from historian.errors import NotReady, Overloaded
from historian.events import EVENT_KINDS
from historian.ingest_checks import TimeRange
from historian.ingest_durable import DurableWaiter
from historian.ingest_events import build_events
from historian.ingest_producer import SOURCE, OwnProducer
from historian.ingest_streams import Streams
from historian.metrics import Metrics
from historian.quarantine import Quarantine, Row
from storage_engine.engine import Engine
from storage_engine.errors import DiskError, EngineClosed, StorageError
from storage_engine.frame import Declaration, EventSection, SlotKind
from storage_engine.sample import EventBatch

T = TypeVar("T")
Listener = Callable[[str, EventBatch, int], None]
Told = tuple[str, EventBatch, int]
Heartbeat = Mapping[str, object]
_log = structlog.get_logger("historian.ingest")


class Appending:
    """One open engine and what belongs to it; a new one is made when the engine is reopened.

    Parameters
    ----------
    engine : Engine
        Open for writing.
    streams : Streams
        Of that engine, with every kind of event.
    epoch : int
        Of the server's own producer: now, in nanoseconds.
    """

    def __init__(self, engine: Engine, streams: Streams, epoch: int) -> None:
        self.engine = engine
        self.streams = streams
        self.own = OwnProducer(engine, epoch)
        self.waiter = DurableWaiter(engine)


class IngestLog:
    """Admission, appending, waiting and telling; shared by all that writes.

    Parameters
    ----------
    config : IngestConfig
        Bounds.
    catalog : Catalog
        Tags.
    clock : Clock
        Now, and yielding.
    metrics : Metrics
        Counters.
    """

    def __init__(
        self, config: IngestConfig, catalog: Catalog, clock: Clock, metrics: Metrics
    ) -> None:
        self.config = config
        self.catalog = catalog
        self.clock = clock
        self.metrics = metrics
        self.quarantine = Quarantine(
            clock, config.quarantine_rows_per_hour_max, config.quarantine_payload_bytes_max
        )
        self._time_min_ns = config.time_min_ns
        self._time_ahead_max_ns = config.time_ahead_max_ns
        self._appending: Appending | None = None
        self._closed_because = "it has not started yet"
        self._listeners: list[Listener] = []
        self._settling: set[asyncio.Task[Any]] = set()
        self.in_flight_bytes = 0
        self.on_failure: Callable[[str], None] = lambda why: None
        self.on_heartbeats: Callable[[Sequence[Heartbeat]], None] = lambda beats: None

    # The engine

    def use(self, appending: Appending) -> None:
        """Open the gate onto an engine."""
        self._appending = appending
        self._closed_because = ""

    def close(self, why: str) -> None:
        """Shut the gate; who waits for durability gets NotReady."""
        appending, self._appending = self._appending, None
        self._closed_because = why
        if appending is not None:
            appending.waiter.close(why)

    @property
    def appending(self) -> Appending:
        """The open engine. Raises NotReady while there is none."""
        if self._appending is None:
            raise NotReady(f"cannot store now: {self._closed_because}", where="engine")
        return self._appending

    @property
    def is_closed(self) -> bool:
        """Whether there is no engine now."""
        return self._appending is None

    @property
    def waiting(self) -> int:
        """Callers that wait for durability now."""
        return 0 if self._appending is None else self._appending.waiter.waiting

    @contextlib.contextmanager
    def admit(self, size_bytes: int) -> Iterator[Appending]:
        """Let a request in, or say that there are too many; failures of the engine are reported.

        Raises
        ------
        Overloaded
            If ``ingest.in_flight_bytes_max`` would be passed.
        NotReady
            If there is no engine now, or it stopped meanwhile.
        """
        appending = self.appending
        if self.in_flight_bytes and (
            self.in_flight_bytes + size_bytes > self.config.in_flight_bytes_max
        ):
            message = f"cannot store now: got {self.in_flight_bytes} bytes being written already"
            raise Overloaded(
                f"{message}, want at most {self.config.in_flight_bytes_max}",
                where="ingest.in_flight_bytes_max",
            )
        self.in_flight_bytes += size_bytes
        try:
            yield appending
        except (EngineClosed, DiskError, NotReady) as error:
            if appending is self._appending and appending.engine.failed:
                self.on_failure(str(error))
            if isinstance(error, EngineClosed):  # another writer met the failure first
                why = "cannot store now: the store stopped, send the same again"
                raise NotReady(why, where="engine") from error
            raise
        finally:
            self.in_flight_bytes -= size_bytes

    def accepted_times(self) -> TimeRange:
        """Times that a row may have now."""
        return TimeRange(self._time_min_ns, self.clock.now_ns() + self._time_ahead_max_ns)

    # Events of our own

    def write_events(self, appending: Appending, kind: str, rows: Sequence[Row]) -> list[Told]:
        """Append events that the server itself reports; durable when their lsn is."""
        if not rows:
            return []
        # Base64 makes four characters of three bytes.
        most = self.config.quarantine_payload_bytes_max * 4 // 3 + 4
        return self.append_events(appending, build_events(kind, rows, most))

    def append_events(self, appending: Appending, batch: EventBatch) -> list[Told]:
        """Append events with all columns of their kind; what conflicts is not told to listeners."""
        section, declaration = own_section(appending.streams, batch)
        appended = appending.own.append([declaration], [], [section])
        told = without(batch, appended.conflicts)
        return [(batch.kind, told, appended.lsn)] if len(told) else []

    # After appending

    def add_listener(self, listener: Listener) -> None:
        """Have ``listener(kind, batch, lsn)`` called for events once they are durable."""
        self._listeners.append(listener)

    async def settle(self, appending: Appending, lsn: int, told: Sequence[Told]) -> None:
        """Wait until ``lsn`` is durable, then tell the listeners; goes on if the caller leaves."""
        if not told:
            await appending.waiter.wait(lsn)
            return
        await self._keep(self._settle(appending, max(lsn, *(t[2] for t in told)), told))

    async def _settle(self, appending: Appending, lsn: int, told: Sequence[Told]) -> None:
        await appending.waiter.wait(lsn)
        for kind, batch, at in told:
            for listener in self._listeners:
                try:
                    listener(kind, batch, at)
                except Exception:  # noqa: BLE001 - a reader's bug is not the writer's
                    self.metrics.failure("listener")
                    _log.exception("listener failed", kind=kind, lsn=at)

    async def _keep(self, work: Coroutine[Any, Any, T]) -> T:
        """Run work to its end even when the request that asked for it is cancelled."""
        task = asyncio.create_task(work)
        self._settling.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._settling.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, StorageError | NotReady):
            _log.error("settling failed", exc_info=error)


def own_section(streams: Streams, batch: EventBatch) -> tuple[EventSection, Declaration]:
    """Return a batch as the server's own producer writes it: the slot is the stream's id."""
    stream_id = streams.event_stream(batch.kind)
    assert stream_id is not None, "every kind has a stream since start"
    section = EventSection(stream_id, batch.timestamp_ns, batch.event_id, batch.data)
    columns = EVENT_KINDS[batch.kind]
    return section, Declaration(stream_id, SlotKind.EVENTS, SOURCE, batch.kind, columns)


def without(batch: EventBatch, rows: Sequence[int]) -> EventBatch:
    """Return a batch less some of its rows."""
    return batch if not rows else take(batch, [i for i in range(len(batch)) if i not in set(rows)])


def take(batch: EventBatch, rows: Sequence[int]) -> EventBatch:
    """Return some rows of a batch."""
    data = tuple(
        type(d)(d.type, d.value[rows], None if d.valid is None else d.valid[rows])
        for d in batch.data
    )
    return EventBatch(
        batch.kind, batch.timestamp_ns[rows], batch.event_id[rows], batch.columns, data
    )


def label(principal: str) -> str:
    """Return the source under which a principal's own writes are counted."""
    return f"{SOURCE}:{principal}"
