"""Backups of the running historian: made, checked, removed, restored from; one at a time."""

import asyncio
import dataclasses
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import structlog

from connectors.connector import Clock
from historian.backup_catalog import copy_catalog
from historian.backup_job import BackupJob, facts_of
from historian.backup_tag import TagRestore, TagRestoreRequest
from historian.catalog import Catalog
from historian.changes import Changes
from historian.config import HistorianConfig
from historian.errors import Conflict, HistorianError, NotFound
from historian.metrics import Metrics
from storage_engine.backup import remove_backup
from storage_engine.backup_facts import (
    FULL,
    INCREMENTAL,
    BackupFacts,
    backup_names,
    list_backups,
    read_facts,
)
from storage_engine.backup_verify import verify_backup
from storage_engine.engine import Engine
from storage_engine.errors import EngineClosed, StorageError
from storage_engine.filesystem import RealFileSystem

AUTO = "auto"
KINDS = (AUTO, FULL, INCREMENTAL)
PRINCIPAL = "historian"
_JOBS_KEPT = 100
_PERIOD_S = 30.0
_WAIT_S = (0.02, 1.0)  # shorter debts are not waited for; longer waits look at the end in between
_CLOSE_S = 30.0
_NS_PER_H = 3_600 * 1_000_000_000
_log = structlog.get_logger("historian.backups")


class Backups:
    """The repository of one historian.

    Parameters
    ----------
    config : HistorianConfig
    clock : Clock
    engine : callable
        The open engine; raises NotReady while there is none.
    catalog : Catalog
    changes : Changes
        Takes what is restored of a tag.
    metrics : Metrics
        Counts failures.
    """

    def __init__(
        self,
        config: HistorianConfig,
        clock: Clock,
        engine: Callable[[], Engine],
        *,
        catalog: Catalog,
        changes: Changes,
        metrics: Metrics,
    ) -> None:
        self._config = config
        self._clock = clock
        self._engine = engine
        self._catalog = catalog
        self._changes = changes
        self._metrics = metrics
        self._repository = RealFileSystem(config.backup.directory)
        self._lock = threading.Lock()
        self._jobs: list[BackupJob] = []
        self._numbers = 0
        self._thread: threading.Thread | None = None
        self._free_s = 0.0  # when all bytes so far are paid for
        self.trouble = ""

    # Looking

    def all(self) -> dict[str, Any]:
        """Every backup, oldest first, what cannot be read, and the jobs since the start."""
        backups, damage = list_backups(self._repository)
        return {
            "directory": str(self._config.backup.directory),
            "backups": [facts_of(one) for one in backups],
            "damage": [dataclasses.asdict(one) for one in damage],
            "jobs": [job.facts() for job in reversed(self._jobs)],
        }

    def find(self, name: str) -> BackupFacts:
        """Facts of one backup.

        Raises
        ------
        NotFound
        """
        if name not in backup_names(self._repository):
            raise NotFound(f"cannot find backup {name!r}", got=name, where="backup")
        return read_facts(self._repository, name)

    def job(self, number: int) -> BackupJob:
        """One job.

        Raises
        ------
        NotFound
        """
        found = next((job for job in self._jobs if job.id == number), None)
        if found is None:
            raise NotFound(f"cannot find job {number}", got=number, where="job")
        return found

    def health(self) -> dict[str, Any]:
        """State for operators."""
        running = next((job for job in self._jobs if job.state == "running"), None)
        return {"trouble": self.trouble, "running": None if running is None else running.facts()}

    # Working

    def create(self, kind: str, name: str, principal: str) -> BackupJob:
        """Begin a backup.

        Parameters
        ----------
        kind : str
            ``full``, ``incremental``, or ``auto``: as ``backup.full_every`` says.
        name : str
            Empty: from the time and the kind.
        principal : str

        Raises
        ------
        Conflict
            Another job is at work, or the name is taken.
        InvalidArgument
        """
        backups, _ = list_backups(self._repository)
        if kind == AUTO:
            kind = self._next_kind(backups)
        parent = backups[-1].name if backups and kind == INCREMENTAL else None
        made = name or self._name(FULL if parent is None else INCREMENTAL)
        if self._repository.exists(made):
            raise Conflict(f"cannot make backup: got {made!r}, want a name not taken", got=made)

        def work(job: BackupJob) -> dict[str, Any]:
            facts = self._engine().backup(
                self._repository,
                made,
                parent=parent,
                attach=lambda directory: copy_catalog(self._config, directory),
                pace=self._pace_of(job),
            )
            self._audit(principal, "make backup", made, {"lsn": facts.lsn, "kind": facts.kind})
            return facts_of(facts)

        return self._start("create", made, principal, work)

    def verify(self, name: str, principal: str) -> BackupJob:
        """Begin to read every byte and block of a backup; raises as :meth:`create` and find."""
        self.find(name)

        def work(job: BackupJob) -> dict[str, Any]:
            config = self._config.store.engine
            pace = self._pace_of(job)
            found = verify_backup(self._repository, name, config, self._clock, pace)
            return {**dataclasses.asdict(found), "whole": found.whole}

        return self._start("verify", name, principal, work)

    def delete(self, name: str, principal: str) -> BackupJob:
        """Begin to remove a backup; every other one stays whole."""
        self.find(name)

        def work(job: BackupJob) -> dict[str, Any]:
            self._remove(name, principal)
            return {"removed": name}

        return self._start("delete", name, principal, work)

    def restore_tags(self, name: str, request: TagRestoreRequest, principal: str) -> BackupJob:
        """Begin to write rows of a backup over what tags hold now; call it on the event loop.

        Raises
        ------
        NotFound
            The backup, or one of the tags in it or here.
        Conflict, RequestInvalid
        """
        facts = self.find(name)
        loop = asyncio.get_running_loop()

        def work(job: BackupJob) -> dict[str, Any]:
            restore = TagRestore(
                self._config,
                self._clock,
                facts,
                engine=self._engine(),
                catalog=self._catalog,
                pace=self._pace_of(job),
            )

            def edit(series: Any, reason: str) -> Any:
                put = self._changes.edit(series, principal, reason)
                return asyncio.run_coroutine_threadsafe(put, loop).result()

            report = restore.run(request, edit)
            about = {"backup": name, "tags": list(request.tags)}
            self._audit(principal, "restore tags", name, about)
            return report

        return self._start("restore-tag", name, principal, work)

    def abort(self) -> BackupJob | None:
        """End the job at work, within a second; gives it, or None when there is none."""
        with self._lock:
            for job in self._jobs:
                if job.state == "running":
                    job.ending.set()
                    return job
        return None

    def close(self) -> None:
        """End what is at work, and wait for that."""
        self.abort()
        self._join(_CLOSE_S)

    def _join(self, timeout_s: float | None = None) -> None:
        thread = self._thread
        if thread is not None:
            thread.join(timeout_s)

    def _start(
        self,
        verb: str,
        name: str,
        principal: str,
        work: Callable[[BackupJob], dict[str, Any]],
    ) -> BackupJob:
        with self._lock:
            busy = next((job for job in self._jobs if job.state == "running"), None)
            if busy is not None:
                message = f"cannot begin {verb}: {busy.verb} of {busy.name} is at work"
                raise Conflict(f"{message}, want it ended", got=busy.id, where="backups")
            self._numbers += 1
            job = BackupJob(self._numbers, verb, name, principal, "running", self._clock.now_ns())
            self._jobs = [*self._jobs[-_JOBS_KEPT + 1 :], job]
            self._thread = threading.Thread(
                target=self._run, args=(job, work), name=f"backup {verb}", daemon=True
            )
            self._thread.start()
        return job

    def _run(self, job: BackupJob, work: Callable[[BackupJob], dict[str, Any]]) -> None:
        state = "failed"
        try:
            job.report = work(job)
            state = "done"
            _log.info(f"backup {job.verb}", name=job.name)
        except EngineClosed as error:
            state = "aborted" if job.ending.is_set() else "failed"
            job.error = str(error)
        except (StorageError, HistorianError, OSError) as error:
            job.error = str(error)
        except BaseException as error:
            job.error = repr(error)
            raise
        finally:
            if state == "failed":
                self._metrics.failure("backup")
                _log.error(f"backup {job.verb} failed", name=job.name, reason=job.error)
            if job.verb == "create":
                self.trouble = job.error or "" if state == "failed" else ""
            job.ended_ns = self._clock.now_ns()
            job.state = state

    def _pace_of(self, job: BackupJob) -> Callable[[int], None]:
        rate = self._config.backup.bytes_per_s

        def pace(size_bytes: int) -> None:
            job.bytes_done += size_bytes
            if rate:
                now_s = self._clock.monotonic_s()
                self._free_s = max(self._free_s, now_s) + size_bytes / rate
                debt_s = self._free_s - now_s
                if debt_s > _WAIT_S[0]:
                    job.ending.wait(min(debt_s, _WAIT_S[1]))
            if job.ending.is_set():
                raise EngineClosed(f"cannot {job.verb} backup: somebody asked for its end")

        return pace

    def _audit(self, principal: str, action: str, subject: str, after: dict[str, Any]) -> None:
        database = self._catalog.database
        with database.transaction():
            database.record(principal, action, subject, None, after)

    def _remove(self, name: str, principal: str) -> None:
        remove_backup(self._repository, name)
        self._audit(principal, "remove backup", name, {})

    def _name(self, kind: str) -> str:
        moment = datetime.fromtimestamp(self._clock.now_ns() // 1_000_000_000, tz=UTC)
        return f"{moment:%Y-%m-%dT%H-%M-%SZ}-{kind}"

    def _next_kind(self, backups: list[BackupFacts]) -> str:
        """Full when there is none, or when as many since the last full one share its files."""
        since = 0
        for one in reversed(backups):
            since += 1
            if one.kind == FULL:
                break
        full = not backups or since >= self._config.backup.full_every
        return FULL if full else INCREMENTAL

    # By itself

    async def run(self) -> None:
        """Make backups when they are due, for ever."""
        while True:
            await self._clock.sleep(_PERIOD_S)
            await asyncio.to_thread(self.once)

    def once(self) -> None:
        """Make a backup if one is due, and remove what is beyond ``backup.keep``."""
        config = self._config.backup
        if not config.every_h:
            return
        try:
            backups, _ = list_backups(self._repository)
            due_ns = int(config.every_h * _NS_PER_H)
            if backups and self._clock.now_ns() < backups[-1].begun_ns + due_ns:
                return
            job = self.create(AUTO, "", PRINCIPAL)
            self._join()
            if job.state != "done" or not config.keep:
                return
            backups, _ = list_backups(self._repository)
            for old in backups[: -config.keep]:
                self._remove(old.name, PRINCIPAL)
        except (StorageError, HistorianError) as error:
            self.trouble = str(error)
            self._metrics.failure("backup")
            _log.error("backup failed", reason=self.trouble)
