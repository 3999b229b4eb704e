"""Historian: opens, joins, starts and stops everything below the doors."""

import asyncio
import contextlib
import dataclasses
from collections.abc import Mapping
from typing import Any

import structlog

from connectors.connector import Clock
from historian.backups import Backups
from historian.catalog import Catalog
from historian.catalog_plant import apply_config
from historian.catalog_reconcile import reconcile
from historian.catalog_rules import TagRules
from historian.changes import Changes
from historian.config import HistorianConfig
from historian.energy import Energy
from historian.errors import HistorianError, NotReady
from historian.genealogy.genealogy import Genealogy
from historian.ingest import Ingest
from historian.ingest_streams import Streams
from historian.joined_reader import JoinedReader
from historian.joining import Joining
from historian.maintenance import PERIOD_S, Compaction, Maintenance
from historian.metrics import Metrics
from historian.passport import PassportBuilder
from historian.quarantine_messages import QuarantineMessages
from historian.retention import Retention
from historian.runtime_children import Children
from historian.runtime_tags import PlantTags
from historian.runtime_telling import Telling
from historian.sources import KIND as SOURCE_STATE
from historian.sources import Sources
from historian.tokens import Tokens
from query.engine import Query
from storage_engine.engine import Engine
from storage_engine.errors import DiskError, StorageError
from storage_engine.filesystem import FileSystem, RealFileSystem

_REOPEN_S = (0.2, 1.0, 2.0, 5.0, 10.0, 30.0)  # waits between attempts; the last repeats
_EVER = (-(2**63), 2**63 - 1)
_log = structlog.get_logger("historian")


class Historian(Telling):
    """One historian on one folder. Made by :meth:`open`; joined here and nowhere else.

    Attributes
    ----------
    config : HistorianConfig
    clock : Clock
    catalog : Catalog
        Tags, assets, state sets, audit.
    tokens : Tokens
        Who may do what.
    ingest : Ingest
        Everything that writes.
    query : Query
        Questions about samples.
    genealogy : Genealogy
        Units, lots, visits.
    energy : Energy
        Meters.
    sources : Sources
        Lines to what collectors read.
    passport : PassportBuilder
        Everything about one unit.
    changes : Changes
        Edits, deletions, erasures, annotations, and their trail.
    quarantine : QuarantineMessages
        Messages that no mapping took: found, mapped anew, replayed.
    retention : Retention
        How long what is kept.
    backups : Backups
        Of this store: made, checked, restored from.
    metrics : Metrics
        Counters of the process.
    """

    def __init__(
        self,
        config: HistorianConfig,
        clock: Clock,
        *,
        read_only: bool = False,
        filesystem: FileSystem | None = None,
    ) -> None:
        self.config = config
        self.clock = clock
        self.read_only = read_only
        self.metrics = Metrics(config.ingest.sources_counted_max)
        if not read_only:
            config.store.engine_path.mkdir(parents=True, exist_ok=True)
        self._filesystem = filesystem or RealFileSystem(config.store.engine_path)
        self._reader = JoinedReader()
        self._engine: Engine | None = None
        self._streams: Streams | None = None
        self._found: Mapping[str, Any] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._reopening = False
        self._stopping = False
        self._children = Children(config, clock)
        self._maintenance = Maintenance(
            lambda: self._engine, clock, self.metrics, self._engine_failed
        )
        self._compaction = Compaction(
            lambda: self._engine, clock, self.metrics, config.store.compaction_bytes_per_s
        )
        self._open_engine()
        try:
            self._open_rest()
        except BaseException:
            self.close()
            raise

    @classmethod
    def open(
        cls,
        config: HistorianConfig,
        clock: Clock,
        *,
        read_only: bool = False,
        filesystem: FileSystem | None = None,
    ) -> "Historian":
        """Open the store and everything over it; nothing is started yet.

        Parameters
        ----------
        config : HistorianConfig
            Whole configuration.
        clock : Clock
            Time of the process.
        read_only : bool
            Read the files without the right to write; :meth:`start` is then refused.
        filesystem : FileSystem, optional
            Where the engine's files lie; ``engine/`` in the store's folder unless given.

        Raises
        ------
        StoreLocked
            If another process writes this store.
        StorageError, ConfigInvalid
            If it cannot be opened.
        """
        return cls(config, clock, read_only=read_only, filesystem=filesystem)

    # Opening

    def _open_engine(self) -> None:
        engine = Engine.open(
            self._filesystem,
            self.config.store.engine,
            self.clock,
            read_only=self.read_only,
        )
        self._engine = engine
        streams = Streams(engine)
        if not self.read_only:
            try:
                streams.create_event_streams()
            except DiskError as error:  # a full disk: serve what is there, take writes later
                _log.error("cannot make event streams yet", reason=str(error))
        self._streams = streams
        self._reader.use(engine, streams)

    def _open_rest(self) -> None:
        config = self.config
        assert self._streams is not None
        rules = TagRules(config.tag_rules)
        self.catalog = Catalog.open(
            config.store.catalog_path,
            self._streams.create_series,
            self.clock,
            rules,
            tags_max=config.ingest.tags_max,
            read_only=self.read_only,
        )
        self.tokens = Tokens(self.catalog.database, self.clock)
        if not self.read_only:
            self._reconcile()
            apply_config(self.catalog, config)
            self.tokens.ensure_admin(config.http.token_file)
        self.sources = Sources(self.clock, config.ingest.sources_counted_max, self._newest_ns)
        calendars = {each.name: each.calendar() for each in config.shift_calendars}
        limits = config.query.limits()
        self.energy = Energy(self._reader, config.meters)
        tags = PlantTags(self.catalog, self._reader, self.sources, self.energy)
        self.joining = Joining(self.catalog, self._reader)
        self.query = Query(self._reader, tags, self.clock.now_ns, limits, calendars)
        self.genealogy = Genealogy(self._reader)
        self.passport = PassportBuilder(
            self.genealogy, self.energy, self.query, self.catalog, config
        )
        self.retention = Retention(
            config,
            self.catalog,
            self.genealogy,
            self.clock,
            lambda: self.engine,
            pace=self._compaction.pace,
        )
        self.ingest = Ingest(config.ingest, self.catalog, self.clock, self.metrics)
        self.ingest.on_failure(self._engine_failed)
        self.ingest.add_listener(self.genealogy.apply)
        self.ingest.add_listener(self.energy.apply)
        self.ingest.add_listener(self.sources.apply)
        self.ingest.on_heartbeats(self.sources.heard)
        self.changes = Changes(self._store, self.catalog, self.ingest, self._rebuild)
        self.quarantine = QuarantineMessages(
            self.ingest, self.read_events, lambda id_: self.engine.producer(id_) is not None
        )
        self.backups = Backups(
            config,
            self.clock,
            lambda: self.engine,
            catalog=self.catalog,
            changes=self.changes,
            metrics=self.metrics,
        )
        self.metrics.watch(self._gauges)
        self.metrics.watch_sources(self._source_figures)
        self._rebuild()

    def _store(self) -> tuple[Engine, Streams]:
        if self._streams is None:
            raise NotReady("cannot use the engine: the store is closed or being opened")
        return self.engine, self._streams

    def _reconcile(self) -> None:
        """Bring catalog and engine into line; what was found stays visible in health."""
        assert self._streams is not None
        streams = self._streams
        try:
            found = reconcile(
                self.catalog, streams.stored_series(), streams.has_rows, streams.create_series
            )
        except (DiskError, NotReady) as error:  # a full disk: serve what is there
            self._found = {"findings": [f"not reconciled: {error}"]}
            _log.error("cannot reconcile catalog yet", reason=str(error))
            return
        self._found = dataclasses.asdict(found)
        for finding in found.findings:
            _log.warning("catalog reconciled", finding=finding)

    def _rebuild(self) -> None:
        """Derive again what is not stored."""
        self.genealogy.rebuild()
        self.energy.rebuild()
        self.sources.rebuild(self._reader.read_events(SOURCE_STATE, *_EVER))

    # Running

    async def start(self) -> None:
        """Let writes in, then start maintenance and the children. Call it on the event loop.

        Raises
        ------
        NotReady
            If the store was opened read-only.
        """
        if self.read_only:
            raise NotReady("cannot start: the store was opened read-only")
        self._spawn(self._maintenance.run(), "maintenance")
        self._spawn(self._compaction.run(), "compaction")
        self._spawn(self._keep_settled(), "genealogy")
        self._spawn(self._keep_retained(), "retention")
        self._spawn(self.backups.run(), "backups")
        await self._open_ingest()
        await self._children.start()

    async def _keep_settled(self) -> None:
        """Derive the genealogy as events come, so that no question waits for a busy spell."""
        while True:
            await asyncio.to_thread(self.genealogy.settle)
            await self.clock.sleep(PERIOD_S)

    async def _keep_retained(self) -> None:
        """Give streams their retention classes as tags come, and let the rules run."""
        while True:
            await asyncio.to_thread(self.retention.tick)
            await self.clock.sleep(PERIOD_S)

    async def _open_ingest(self) -> None:
        """Let writes in; while the disk is too full for the streams of events, try again later."""
        assert self._engine is not None
        assert self._streams is not None
        if self._streams.complete:
            self.ingest.open(self._engine, self._streams)
        else:
            self._spawn(self._open_ingest_later(), "open ingest")

    async def _open_ingest_later(self) -> None:
        while True:
            await self.clock.sleep(_REOPEN_S[1])
            engine, streams = self._engine, self._streams
            if engine is None or streams is None or self._reopening:
                return  # reopening comes back here by itself
            with contextlib.suppress(StorageError):
                await asyncio.to_thread(streams.create_event_streams)
                if engine is self._engine and not self._reopening:
                    self.ingest.open(engine, streams)
                return

    async def stop(self) -> None:
        """End the children, then writes, then the store; safe to call twice."""
        self._stopping = True
        await asyncio.to_thread(self.backups.close)
        await self._children.stop()
        self.ingest.close("the server is ending")
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(self.close)

    def close(self) -> None:
        """Close the files; for a store that was opened and not started, or after :meth:`stop`."""
        self._reader.close()
        engine, self._engine = self._engine, None
        if engine is not None:
            with contextlib.suppress(StorageError):  # it may have stopped already
                engine.close()
        if hasattr(self, "catalog"):
            self.catalog.close()

    def _spawn(self, work: Any, name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _engine_failed(self, why: str) -> None:
        """Stop acknowledging at once, and open the engine again from its log."""
        if self._reopening or self._stopping:
            return
        self._reopening = True
        self.metrics.failure("engine")
        _log.error("engine stopped, reopening", reason=why)
        self.ingest.close(f"the engine stopped: {why}")
        self._spawn(self._reopen(), "reopen")

    async def _reopen(self) -> None:
        """Close the failed engine and rebuild from the log, until it works."""
        attempt = 0
        while True:
            try:
                await asyncio.to_thread(self._reopen_once)
                break
            except (StorageError, HistorianError) as error:
                _log.error("reopening failed", reason=str(error), attempt=attempt)
                await self.clock.sleep(_REOPEN_S[min(attempt, len(_REOPEN_S) - 1)])
                attempt += 1
        self._reopening = False
        await self._open_ingest()
        _log.info("engine reopened")

    def _reopen_once(self) -> None:
        self._reader.close()
        engine, self._engine = self._engine, None
        if engine is not None:
            with contextlib.suppress(StorageError):
                engine.close()
        self._open_engine()
        assert self._streams is not None
        self.catalog.use(self._streams.create_series)
        self._reconcile()
        self._rebuild()
