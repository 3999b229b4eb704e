"""What a historian says of itself: readiness, health, sizes, metrics; no state of its own."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.connector import Clock
from historian.backups import Backups
from historian.catalog import Catalog
from historian.config import HistorianConfig
from historian.errors import NotReady
from historian.genealogy.genealogy import Genealogy
from historian.ingest import Ingest
from historian.joined_reader import JoinedReader
from historian.maintenance import Compaction, Maintenance
from historian.metrics import Figure, Metrics
from historian.retention import Retention
from historian.runtime_children import Children
from historian.source_figures import figures
from historian.sources import Sources
from storage_engine.engine import Engine
from storage_engine.errors import StorageError
from storage_engine.filesystem import FileSystem
from storage_engine.sample import EventColumns

_SERIES_PER_READ = 10_000
_DAMAGE_MAX = 100  # places that health names; the count is among the figures


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether writes are taken now, and if not, why."""

    ok: bool
    reasons: tuple[str, ...] = ()


class Telling:
    """The part of :class:`historian.runtime.Historian` that answers for all others."""

    config: HistorianConfig
    clock: Clock
    read_only: bool
    catalog: Catalog
    backups: Backups
    genealogy: Genealogy
    ingest: Ingest
    retention: Retention
    metrics: Metrics
    sources: Sources
    _filesystem: FileSystem
    _reader: JoinedReader
    _engine: Engine | None
    _found: Mapping[str, Any]
    _reopening: bool
    _children: Children
    _maintenance: Maintenance
    _compaction: Compaction

    @property
    def engine(self) -> Engine:
        """The open engine, for tests and offline tools; raises NotReady while there is none."""
        if self._engine is None:
            raise NotReady("cannot use the engine: the store is closed or being opened")
        return self._engine

    def lsn_at(self, record_time_ns: int) -> int:
        """Last lsn recorded at or before a time; what *as known at* a moment stands for."""
        return self._reader.lsn_at(record_time_ns)

    def read_events(
        self, kind: str, start_ns: int, end_ns: int, known_at_lsn: int | None = None
    ) -> EventColumns:
        """Events of a kind with start <= time < end, in (time, id) order.

        Raises
        ------
        NotFound
            For an unknown kind.
        """
        return self._reader.read_events(kind, start_ns, end_ns, known_at_lsn)

    def ready(self) -> Readiness:
        """Whether writes are taken now."""
        reasons = []
        if self.read_only:
            reasons.append("the store is opened read-only")
        elif self._engine is None or self._reopening:
            reasons.append("the store is being opened")
        elif self._engine.failed:
            reasons.append(f"the engine stopped: {self._engine.failed}")
        elif self._free_bytes() < self.config.store.engine.free_bytes_min:
            least = self.config.store.engine.free_bytes_min
            reasons.append(f"{self._free_bytes()} bytes are free on disk, want at least {least}")
        elif self.ingest.closed:
            reasons.append("the server has not started, or is ending")
        return Readiness(not reasons, tuple(reasons))

    def _free_bytes(self) -> int:
        return self._filesystem.free_bytes()

    def health(self) -> dict[str, Any]:
        """State of every part, for operators."""
        readiness = self.ready()
        engine = self._engine
        return {
            "ready": readiness.ok,
            "reasons": list(readiness.reasons),
            "store": self.store() if engine is not None else None,
            "catalog": {"tags": len(self.catalog), "reconciled": dict(self._found)},
            "genealogy": {"watermark_lsn": self.genealogy.watermark_lsn},
            "maintenance": {"trouble": self._maintenance.trouble},
            "compaction": self._compaction.health(),
            "retention": self.retention.health(),
            "backups": self.backups.health(),
            "children": self._children.health(),
        }

    def store(self) -> dict[str, Any]:
        """What this store is: its incarnation, how far it is durable, its sizes.

        Raises
        ------
        NotReady
            While it is closed.
        """
        engine = self.engine
        return {
            "incarnation": engine.incarnation.hex(),
            "durable_lsn": engine.durable_lsn,
            "stats": dataclasses.asdict(engine.stats()),
            "damage": [
                {"file": f.path, "offset": f.offset, "what": f.what}
                for f in engine.findings()[:_DAMAGE_MAX]
            ],
        }

    def metrics_text(self) -> bytes:
        """Everything counted, in Prometheus' text format."""
        return self.metrics.text()

    def _newest_ns(self, source: str) -> int | None:
        """Time of the newest value of a source's tags, None while there is none to be read."""
        tags = [tag for tag in self.catalog.every() if tag.source == source]
        series = [one.stream_id for tag in tags for one in tag.series]
        newest: list[int] = []
        for at in range(0, len(series), _SERIES_PER_READ):
            try:
                found = self._reader.latest(series[at : at + _SERIES_PER_READ])
            except (NotReady, StorageError):
                return None
            newest += found.timestamp_ns[found.present].tolist()
        return max(newest, default=None)

    def _source_figures(self) -> list[Figure]:
        return figures(self.sources.every(), self.clock.now_ns())

    def _gauges(self) -> dict[str, float]:
        gauges = {**self.ingest.gauges(), "tags": float(len(self.catalog))}
        gauges["children_running"] = float(self._children.running())
        gauges["ready"] = float(self.ready().ok)
        engine = self._engine
        if engine is not None:
            for name, value in dataclasses.asdict(engine.stats()).items():
                if isinstance(value, int | float):
                    gauges[f"engine_{name}"] = float(value)
        return gauges
