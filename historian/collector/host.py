"""A collector: connectors, each under supervision, one spool, one sender."""

import asyncio
import contextlib
import logging
import random
import threading
from collections.abc import Mapping

from connectors.backoff import delays_s
from connectors.connector import (
    Clock,
    ConfigError,
    Connector,
    ConnectorStatus,
    SinkFull,
    SourceUnavailable,
)
from connectors.registry import CONNECTORS
from connectors.sink import Link, SourceState
from historian.collector.frames import Part
from historian.collector.intake import Intake
from historian.collector.notes import Notes
from historian.collector.sender import Sender
from historian.collector.source_sink import SourceSink
from historian.collector.spool import Spool
from historian.collector.spool_files import read_alive, write_alive
from historian.config import CollectorConfig, SourceConfig
from storage_engine.errors import DiskError
from storage_engine.filesystem import FileSystem, RealFileSystem
from storage_engine.frame import Notice

HEARTBEAT_S = 10.0
_SETTLED_S = 60.0  # a run this long starts the back-off anew
_FLUSH_S = 5.0

_log = logging.getLogger(__name__)


class Collector:
    """Everything one collector process does.

    Parameters
    ----------
    config : CollectorConfig
    clock : Clock
    kinds : mapping of str to Connector class, optional
        For tests.
    fs : FileSystem, optional
        Of the spool; the configured directory unless given.
    """

    def __init__(
        self,
        config: CollectorConfig,
        clock: Clock,
        kinds: Mapping[str, type[Connector]] = CONNECTORS,
        fs: FileSystem | None = None,
    ) -> None:
        self._config = config
        self._clock = clock
        self._kinds = kinds
        self._rng = random.Random(config.name)  # noqa: S311 - jitter
        self._fs = fs or RealFileSystem(config.spool_path)
        self._notes = Notes(self._fs)
        self._spool = Spool(
            self._fs,
            config.spool_bytes_max,
            drop_oldest=config.spool_full == "drop_oldest",
        )
        self._intake = Intake(self._spool, clock, config.frame_rows_max, config.linger_ms / 1000.0)
        self._sender = Sender(
            self._spool,
            self._intake,
            config.server_url,
            config.token_file,
            clock=clock,
            rng=self._rng,
        )
        self._sinks: dict[str, SourceSink] = {}
        self._alive_lock = threading.Lock()
        self._statuses: dict[str, ConnectorStatus] = {}

    async def _alive(self) -> None:
        """Leave on disk that we live now; a full disk costs the next start exactness only."""
        await asyncio.to_thread(self._write_alive)

    def _write_alive(self) -> None:
        with self._alive_lock, contextlib.suppress(DiskError):
            write_alive(self._fs, self._clock.now_ns())

    def _say_when_down(self) -> None:
        """Tell of every source that nobody collected it since we were last alive."""
        last_ns = read_alive(self._fs)
        if last_ns is None:
            return
        for source in self._config.sources:
            facts: dict[str, object] = {
                "collector": self._config.name,
                "source": source.name,
                "time_ns": last_ns,
                "link": "not_collected",
                "detail": "the collector did not run",
            }
            self._intake.tell(Part(source.name, notices=(Notice("source_state", facts),)))

    def status(self) -> dict[str, ConnectorStatus]:
        """Counters per source."""
        return dict(self._statuses)

    async def run(self, stop: asyncio.Event) -> None:
        """Collect until ``stop`` is set; what was taken is spooled before the return.

        Raises
        ------
        DiskError
            If the spool's disk failed.
        """
        self._say_when_down()
        await self._alive()
        intake = asyncio.create_task(self._intake.run())
        sender = asyncio.create_task(self._sender.run())
        heartbeat = asyncio.create_task(self._heartbeat())
        sources = [asyncio.create_task(self._source(each)) for each in self._config.sources]
        stopped = asyncio.create_task(stop.wait())
        try:
            essential = {intake, sender, stopped}
            done, _ = await asyncio.wait(essential, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopped}:
                task.result()  # a failed disk ends the process; a restart reads what is there
        finally:
            await _end(*sources, heartbeat, stopped)
            if not intake.done():
                releasing = asyncio.create_task(self._release(forget=True))
                await asyncio.wait({releasing}, timeout=_FLUSH_S)
                await _end(releasing)
            self._intake.close()
            if not intake.done():
                await asyncio.wait({intake}, timeout=_FLUSH_S)
            await _end(sender, intake)
            await self._alive()
            self._spool.close()

    async def _source(self, source: SourceConfig) -> None:
        """Run one connector again and again; one that fails costs the others nothing."""
        sink = SourceSink(
            self._config.name,
            source.name,
            self._intake,
            self._clock,
            self._notes,
            alive=self._alive,
            thinning=source.thinning,
            payload_bytes_max=self._config.quarantine_payload_bytes_max,
        )
        self._sinks[source.name] = sink
        status = self._statuses[source.name] = ConnectorStatus()
        try:
            kind = self._kinds.get(source.kind)
            if kind is None:
                known = ", ".join(sorted(self._kinds))
                raise ConfigError(
                    f"cannot start source {source.name}: got kind {source.kind!r}, want {known}"
                )
            connector = kind(source.name, source.settings, self._clock)
            status = self._statuses[source.name] = connector.status
            sink.begin()
            await self._repeat(source.name, connector, sink)
        except ConfigError as error:
            _log.error("source %s stops: %s", source.name, error)
            status.link, status.detail = Link.FAILED, str(error)
            await sink.state(SourceState(Link.FAILED, str(error)))

    async def _repeat(self, name: str, connector: Connector, sink: SourceSink) -> None:
        delays = delays_s(self._rng)
        while True:
            began_s = self._clock.monotonic_s()
            try:
                await connector.run(sink)
            except (SourceUnavailable, SinkFull) as error:
                _log.warning("source %s: %s", name, error)
            except ConfigError:
                raise
            except Exception:  # noqa: BLE001 - logged whole; its neighbours must live on
                _log.exception("source %s broke", name)
                detail = "a fault in the connector; see the collector's log"
                connector.status.link, connector.status.detail = Link.DISCONNECTED, detail
                await sink.state(SourceState(Link.DISCONNECTED, detail))
            await sink.release(forget=True)
            if self._clock.monotonic_s() - began_s > _SETTLED_S:
                delays = delays_s(self._rng)
            await self._clock.sleep(next(delays))

    async def _release(self, *, forget: bool = False) -> None:
        """Put what thinning held back; a spool that is full keeps it waiting."""
        for sink in self._sinks.values():
            await sink.release(forget=forget)

    async def _heartbeat(self) -> None:
        releasing: asyncio.Task[None] | None = None
        while True:
            await self._clock.sleep(HEARTBEAT_S)
            if releasing is None or releasing.done():  # it waits where the spool does
                releasing = asyncio.create_task(self._release())
            await self._alive()
            for name, status in self._statuses.items():  # each behind what its source has put
                self._intake.tell(Part(name, notices=(self._beat(name, status),)))

    def _beat(self, name: str, status: ConnectorStatus) -> Notice:
        facts: dict[str, object] = {
            "collector": self._config.name,
            "source": name,
            "time_ns": self._clock.now_ns(),
            "interval_s": HEARTBEAT_S,
            "link": status.link.value,
            "detail": status.detail,
            "received": status.received,
            "rejected": status.rejected,
            "reconnects": status.reconnects,
            "gaps": status.gaps,
            "last_timestamp_ns": status.last_timestamp_ns,
            "waiting_rows": self._intake.waiting_rows,
            "waiting_bytes": self._intake.waiting_bytes,
            "refused_parts": self._intake.refused_parts,
            "spool_bytes": self._spool.size_bytes,
            "spool_bytes_max": self._config.spool_bytes_max,
            "unsent_bytes": self._spool.unsent_bytes,
            "dropped_frames": self._spool.dropped_frames,
            "damaged_bytes": self._spool.damaged_bytes,
            "set_aside_frames": self._sender.frames_set_aside,
            "thinned": self._sinks[name].thinned,
            **status.extra,
        }
        return Notice("heartbeat", facts)


async def _end(*tasks: "asyncio.Task[None] | asyncio.Task[bool]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
