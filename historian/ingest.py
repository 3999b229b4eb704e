"""Ingest: everything that is written passes here, and is answered when it is on stable storage."""

from collections.abc import Callable, Sequence

from connectors.connector import Clock
from historian.catalog import Catalog
from historian.config_server import IngestConfig
from historian.ingest_frames import FrameIntake
from historian.ingest_log import Appending, Heartbeat, IngestLog, Listener
from historian.ingest_receipts import (
    FrameReceipt,
    FramesReceipt,
    RowReject,
    SeriesInput,
    WriteReceipt,
)
from historian.ingest_streams import Streams
from historian.ingest_writes import Writes
from historian.metrics import Metrics
from storage_engine.engine import Engine
from storage_engine.sample import EventBatch

__all__ = [
    "FrameReceipt",
    "FramesReceipt",
    "Ingest",
    "RowReject",
    "SeriesInput",
    "WriteReceipt",
]


class Ingest:
    """Checks rows, appends them and waits; lives on one event loop.

    Parameters
    ----------
    config : IngestConfig
        Bounds and rules.
    catalog : Catalog
        Tags; makes new ones by rule.
    clock : Clock
        Now.
    metrics : Metrics
        Counters.
    """

    def __init__(
        self, config: IngestConfig, catalog: Catalog, clock: Clock, metrics: Metrics
    ) -> None:
        self._clock = clock
        self._log = IngestLog(config, catalog, clock, metrics)
        self._frames = FrameIntake(self._log)
        self._writes = Writes(self._log)

    def open(self, engine: Engine, streams: Streams) -> None:
        """Take an engine and let requests in; call it on the event loop.

        Parameters
        ----------
        engine : Engine
            Open for writing.
        streams : Streams
            Of that engine, with every kind of event.
        """
        self._frames.forget()
        self._log.use(Appending(engine, streams, self._clock.now_ns()))

    def close(self, why: str) -> None:
        """Let nothing in any more; who waits for durability gets NotReady with ``why``."""
        self._log.close(why)

    @property
    def closed(self) -> bool:
        """Whether nothing can be stored now."""
        return self._log.is_closed

    def on_failure(self, call: Callable[[str], None]) -> None:
        """Have ``call(why)`` called when the engine stopped for good."""
        self._log.on_failure = call

    def on_heartbeats(self, call: Callable[[Sequence[Heartbeat]], None]) -> None:
        """Have ``call(facts)`` called with heartbeats once what stood before them is durable."""
        self._log.on_heartbeats = call

    def add_listener(self, listener: Listener) -> None:
        """Have ``listener(kind, batch, lsn)`` called for events once they are durable.

        Called on the event loop, in no promised order, once per row at most. The batch has every
        column of its kind and none of the rows that were rejected or conflict.
        """
        self._log.add_listener(listener)

    def gauges(self) -> dict[str, float]:
        """Numbers of the moment, for the metrics."""
        return {
            "ingest_in_flight_bytes": self._log.in_flight_bytes,
            "ingest_waiting_callers": self._log.waiting,
            "quarantine_not_kept_rows": self._log.quarantine.dropped,
        }

    async def put_frames(self, body: bytes, principal: str) -> FramesReceipt:
        """Store concatenated frames and return when they are durable.

        Parameters
        ----------
        body : bytes
            One or more frames, one behind the other.
        principal : str
            In whose name tags are made by rule.

        Returns
        -------
        FramesReceipt
            One receipt per frame that could be found, in order. Rejected rows are named in it and
            kept in quarantine; a broken frame is refused, and its neighbours are stored.

        Raises
        ------
        NotReady, Overloaded
            Nothing is acknowledged; send the same again. What was stored will be a duplicate.
        LowDisk, LimitExceeded
            As above, from the engine.
        """
        return await self._frames.put(body, principal)

    async def put_samples(
        self,
        series: Sequence[SeriesInput],
        principal: str,
        idempotency_key: str | None = None,
    ) -> WriteReceipt:
        """Store samples of many tags as an authoritative write and return when it is durable.

        Parameters
        ----------
        series : sequence of SeriesInput
            Columns per tag; a tag may come more than once.
        principal : str
            Who writes; rejected rows are counted under it.
        idempotency_key : str, optional
            The same key with the same content is stored once, however often it is sent.

        Returns
        -------
        WriteReceipt

        Raises
        ------
        RequestInvalid
            If columns differ in length, or there are too many rows.
        Conflict
            If the key was used for other content.
        NotReady, Overloaded, LowDisk, LimitExceeded
            As of :meth:`put_frames`.
        """
        return await self._writes.put_samples(series, principal, idempotency_key)

    async def put_events(
        self, batch: EventBatch, principal: str, idempotency_key: str | None = None
    ) -> WriteReceipt:
        """Store events of one kind and return when they are durable.

        Parameters
        ----------
        batch : EventBatch
            Columns in any order; those left out are null.
        principal, idempotency_key
            As of :meth:`put_samples`.

        Raises
        ------
        RequestInvalid
            For an unknown kind or column, or a type that does not fit.
        Conflict, NotReady, Overloaded, LowDisk, LimitExceeded
            As of :meth:`put_samples`.
        """
        return await self._writes.put_events(batch, principal, idempotency_key)
