"""Retention at work: classes reach the streams, rules run every hour, what they did is told.

How it is made (the runtime's part)::

    retention = Retention(config, catalog, genealogy, clock, engine, pace)
    retention.plan()                    # what a run would do now
    retention.run("anna", force=True)   # do it, whatever the day's share
"""

import dataclasses
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog

from connectors.connector import Clock
from historian.catalog import Catalog
from historian.catalog_records import event_stream_uuid
from historian.catalog_retention import RetentionCatalog
from historian.config import HistorianConfig
from historian.errors import HistorianError
from historian.events import EVENT_KINDS
from historian.genealogy.genealogy import Genealogy
from historian.retention_holds import Holds
from historian.retention_rules import DEFAULT_CLASS, EVENTS_CLASS, Assignments
from storage_engine.engine import Engine
from storage_engine.errors import StorageError
from storage_engine.expiry import ExpiryReport
from storage_engine.retention import Rule
from storage_engine.summaries import CLASS_PREFIX

PRINCIPAL = "historian"
JUMP_S = 3_600.0  # the clock may be set by so much between two runs without a word
_WRITERS = 16  # streams moved at one time, so that they share an fsync
_log = structlog.get_logger("historian.retention")


class Retention:
    """Classes, holds and runs of one historian. Safe from any thread.

    Parameters
    ----------
    config : HistorianConfig
        Its ``retention`` and stations.
    catalog : Catalog
    genealogy : Genealogy
    clock : Clock
        Time of day and uptime.
    engine : callable
        The open engine; raises NotReady while there is none.
    pace : callable, optional
        Told of bytes read and written by a run; waits, or raises EngineClosed at the end.

    Attributes
    ----------
    stored : RetentionCatalog
        What administrators intend.
    holds : Holds
    trouble : str
        What the last run failed with; empty when it went well.
    """

    def __init__(
        self,
        config: HistorianConfig,
        catalog: Catalog,
        genealogy: Genealogy,
        clock: Clock,
        engine: Callable[[], Engine],
        *,
        pace: Callable[[int], None] = lambda size_bytes: None,
    ) -> None:
        self._config = config.retention
        self._catalog = catalog
        self._clock = clock
        self._engine = engine
        self._pace = pace
        self._running = threading.Lock()
        self._applied: tuple[object, int, int] | None = None
        self._last: tuple[int, float] | None = None  # time of day and uptime of the last run
        self._begun_s = clock.monotonic_s()
        self._report: dict[str, Any] | None = None
        self._jump_s = 0.0
        self.trouble = ""
        self.stored = RetentionCatalog(catalog.database, clock, runs_kept=self._config.reports_kept)
        self.holds = Holds(
            self.stored,
            catalog,
            genealogy,
            config.stations,
            margin_ns=int(self._config.hold_margin_s * 1e9),
            event_streams=lambda: self._event_streams().values(),
        )

    # Classes to streams

    def apply(self) -> int:
        """See to it that every stream has its class; give how many changed.

        Raises
        ------
        NotReady, StorageError
        """
        engine = self._engine()
        state = (engine, self._catalog.revision, self.stored.revision)
        if state == self._applied:
            return 0
        wanted = Assignments(self.stored.assignments())
        streams = engine.streams()
        moves: dict[int, str] = {}
        for tag in self._catalog.every():
            name = wanted.class_of_tag(tag.name, tag.asset, self._catalog.meant_by(tag))
            for series in tag.series:
                moves[series.stream_id] = name
                if series.stream_id in streams:
                    companion = engine.companion(series.stream_id)
                    if companion is not None:
                        moves[companion] = CLASS_PREFIX + name
        for kind, stream_id in self._event_streams().items():
            moves[stream_id] = wanted.class_of_event(kind)
        due = [
            (stream_id, name)
            for stream_id, name in moves.items()
            if stream_id in streams and streams[stream_id].retention_class != name
        ]
        if due:
            with ThreadPoolExecutor(min(_WRITERS, len(due))) as writers:
                list(writers.map(lambda one: _move(engine, *one), due))
            _log.info("retention classes applied", streams=len(due))
        self._applied = state
        return len(due)

    def _event_streams(self) -> dict[str, int]:
        kinds = {event_stream_uuid(kind): kind for kind in EVENT_KINDS}
        streams = self._engine().streams()
        return {kinds[i.uuid]: number for number, i in streams.items() if i.uuid in kinds}

    def rules(self) -> dict[str, Rule]:
        """What the engine is to keep to, per class that has a limit, summaries among them."""
        classes = self.stored.classes()
        found = {
            c.name: Rule(c.age_ns, c.bytes_max, c.summary_ns)
            for c in classes
            if c.age_ns is not None or c.bytes_max is not None
        }
        summarised = [c for c in classes if c.summary_age_ns is not None]
        return found | {CLASS_PREFIX + c.name: Rule(c.summary_age_ns) for c in summarised}

    def members(self) -> dict[str, dict[str, int]]:
        """How many tags and kinds of events each class has."""
        wanted = Assignments(self.stored.assignments())
        found = {c.name: {"tags": 0, "events": 0} for c in self.stored.classes()}
        for tag in self._catalog.every():
            former = self._catalog.meant_by(tag)
            found[wanted.class_of_tag(tag.name, tag.asset, former)]["tags"] += 1
        for kind in EVENT_KINDS:
            found[wanted.class_of_event(kind)]["events"] += 1
        return found

    def complete_from(self, tag: str, start_ns: int) -> int | None:
        """Time from which the history of a tag is whole, if that is after ``start_ns``; else None.

        Parameters
        ----------
        tag : str
            Name of a tag.
        start_ns : int
            Start of what was asked for.
        """
        record = self._catalog.find(tag)
        if record is None:
            return None
        engine = self._engine()
        horizons, streams = engine.horizons(), engine.streams()
        shown = [record]
        for join in self._catalog.joins.chain(record.id):
            shown += [self._catalog.find_id(join.former)] if start_ns < join.from_ns else []
        names = {streams[s.stream_id].retention_class for one in shown for s in one.series}
        latest = max((horizons[name] for name in names if name in horizons), default=None)
        return None if latest is None or latest <= start_ns else latest

    # Runs

    def plan(self, *, force: bool = False) -> dict[str, Any]:
        """Say what a run would do now; nothing is changed.

        Returns
        -------
        dict
            The report of a run, ready for JSON; times under keys that end in ``_ns``.

        Raises
        ------
        NotReady, StorageError
        """
        return report_facts(self._expire(force=force, dry_run=True))

    def run(self, principal: str = PRINCIPAL, *, force: bool = False) -> dict[str, Any]:
        """Let go what the rules say, as far as the day's share lets.

        Parameters
        ----------
        principal : str
            Who asks for it.
        force : bool
            Let all go that the rules say, whatever the share.

        Returns
        -------
        dict
            The report, which is kept too.

        Raises
        ------
        NotReady, StorageError
        """
        with self._running:
            self.apply()
            self.holds.refresh(self._clock.now_ns())
            self._note_jump()
            report = report_facts(self._expire(force=force, dry_run=False))
            report["clock_jump_s"] = self._jump_s
            by_hand = principal != PRINCIPAL
            if by_hand or report["dropped"] or report["rewritten"] or report["held"]:
                self.stored.add_run(principal, report, audit=by_hand)
            self._report = {"time_ns": report["now_ns"], "principal": principal, **report}
            for held in report["held"]:
                _log.warning("retention held back", **held)
            for path in report["damaged"]:
                _log.warning("retention met damage", path=path)
            return report

    def _expire(self, *, force: bool, dry_run: bool) -> ExpiryReport:
        now_ns = self._clock.now_ns()
        uptime_s = self._clock.monotonic_s() - self._begun_s
        return self._engine().expire(
            self.rules(),
            self.holds.pins(now_ns),
            now_ns=now_ns,
            uptime_ns=int(uptime_s * 1e9),
            share=self._config.share,
            force=force,
            dry_run=dry_run,
            pace=self._pace,
        )

    def _note_jump(self) -> None:
        """Compare the time of day with the uptime since the last run."""
        now = (self._clock.now_ns(), self._clock.monotonic_s())
        if self._last is not None:
            moved = (now[0] - self._last[0]) / 1e9 - (now[1] - self._last[1])
            if abs(moved) > JUMP_S:
                self._jump_s = moved
                _log.warning("the clock jumped", seconds=moved)
        self._last = now

    def tick(self) -> None:
        """Apply what changed, and run when it is time; called about every second in a thread."""
        try:
            self.apply()
            last = self._last
            if self._config.enabled and (
                last is None or self._clock.monotonic_s() - last[1] >= self._config.period_s
            ):
                self.run()
            self.trouble = ""
        except (StorageError, HistorianError) as error:
            if str(error) != self.trouble:
                _log.error("retention failed", reason=str(error))
            self.trouble = str(error)
            if self._last is not None:  # a failed run waits for its next turn like any other
                self._last = (self._clock.now_ns(), self._clock.monotonic_s())

    def health(self) -> dict[str, Any]:
        """Return the last run and what it held back, for operators."""
        report = self._report or {}
        return {
            "trouble": self.trouble,
            "last_run_ns": report.get("time_ns"),
            "held": report.get("held", []),
            "damaged": report.get("damaged", []),
            "clock_jump_s": self._jump_s,
        }


def _move(engine: Engine, stream_id: int, name: str) -> None:
    engine.set_stream(stream_id, retention_class=name)


def report_facts(report: ExpiryReport) -> dict[str, Any]:
    """Report as plain values."""
    facts: dict[str, Any] = dataclasses.asdict(report)
    facts["rows"] = sum(c.rows for c in report.classes)
    facts["summary_rows"] = sum(c.summary_rows for c in report.classes)
    facts["size"] = sum(c.size for c in report.classes)
    return {key: list(value) if isinstance(value, tuple) else value for key, value in facts.items()}


__all__ = ["DEFAULT_CLASS", "EVENTS_CLASS", "PRINCIPAL", "Retention", "report_facts"]
