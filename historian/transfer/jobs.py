"""Transfers that the server runs, one thread each: begun, watched, ended."""

import dataclasses
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from historian.config_transfer import TransferConfig
from historian.errors import Conflict, HistorianError, NotFound
from historian.transfer.export import Export, ExportRequest
from historian.transfer.importing import Import, ImportRequest
from historian.transfer.paths import below
from historian.transfer.report import export_facts, import_facts
from historian.transfer.store import Progress, TransferStore
from storage_engine.errors import StorageError

REJECTS = "rejects"
_log = structlog.get_logger("historian.transfer")


class Aborted(Exception):  # noqa: N818 - says what happened
    """Somebody asked for the end of a job; the same request goes on where it was."""


@dataclass(slots=True)
class Job:
    """One transfer of the server; fulfils ``store.Progress``.

    Attributes
    ----------
    id : str
    verb : str
        ``import`` or ``export``.
    path : str
        As the caller gave it.
    principal : str
    state : str
        ``running``, ``done``, ``failed`` or ``aborted``.
    stage : str
        What it is doing.
    total : int or None
        Units of that, where known.
    done : int
    report : dict or None
    error : str or None
    """

    id: str
    verb: str
    path: str
    principal: str
    state: str = "running"
    stage: str = "beginning"
    total: int | None = None
    done: int = 0
    report: dict[str, Any] | None = None
    error: str | None = None
    ending: threading.Event = field(default_factory=threading.Event)

    def begin(self, text: str, total: int | None) -> None:
        """Take note of a new stage."""
        self.stage, self.total, self.done = text, total, 0

    def facts(self) -> dict[str, Any]:
        """What callers see."""
        names = [f.name for f in dataclasses.fields(self) if f.name != "ending"]
        return {name: getattr(self, name) for name in names}


class _Watched:
    """Progress of a job, and where it ends when asked to."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def stage(self, text: str, total: int | None) -> None:
        """Begin something."""
        self._job.begin(text, total)
        self.advance(0)

    def advance(self, count: int) -> None:
        """Go on, or raise Aborted."""
        self._job.done += count
        if self._job.ending.is_set():
            raise Aborted


class TransferJobs:
    """All transfers of one server.

    Parameters
    ----------
    store : callable
        The parts of the historian as they are open now.
    config : TransferConfig
    """

    def __init__(self, store: Callable[[], TransferStore], config: TransferConfig) -> None:
        self._store = store
        self._config = config
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}

    def start_export(self, path: str, request: ExportRequest, principal: str) -> Job:
        """Begin to export into a folder below the transfer folder.

        Raises
        ------
        RequestInvalid
            For a path that leads elsewhere.
        Conflict
            Another job is at work on it.
        """
        folder = below(self._config.path, path)

        def work(progress: Progress) -> dict[str, Any]:
            folder.mkdir(parents=True, exist_ok=True)
            return export_facts(Export(self._store(), folder, request, progress).run())

        return self._start("export", path, principal, work)

    def start_import(self, path: str, request: ImportRequest, principal: str) -> Job:
        """Begin to import a file or folder below the transfer folder.

        Raises
        ------
        RequestInvalid
            For a path that leads elsewhere.
        Conflict
            Another job is at work on it.
        """
        source = below(self._config.path, path)

        def work(progress: Progress) -> dict[str, Any]:
            job = self._import(source, request, principal, progress)
            facts = import_facts(job.run())
            if facts["rejects"] is not None:
                facts["rejects"] = str(Path(facts["rejects"]).relative_to(self._config.path))
            return facts

        return self._start("import", path, principal, work)

    def _import(
        self, source: Path, request: ImportRequest, principal: str, progress: Progress
    ) -> Import:
        return Import(
            self._store(),
            source,
            request,
            progress,
            work=self._config.path / REJECTS,
            commit_bytes=self._config.commit_bytes,
            principal=principal,
        )

    def _start(
        self, verb: str, path: str, principal: str, work: Callable[[Progress], dict[str, Any]]
    ) -> Job:
        job = Job(uuid.uuid4().hex, verb, path, principal)
        with self._lock:
            for other in self._jobs.values():
                if other.state == "running" and other.path == path:
                    raise Conflict(
                        f"cannot begin {verb}: job {other.id} is at work on {path!r}", got=path
                    )
            ended = [one.id for one in self._jobs.values() if one.state != "running"]
            for old in ended[: max(0, len(ended) - self._config.jobs_kept_max + 1)]:
                self._jobs.pop(old)
            self._jobs[job.id] = job
        thread = threading.Thread(
            target=self._run, args=(job, work), name=f"{verb} {job.id}", daemon=True
        )
        thread.start()
        return job

    def _run(self, job: Job, work: Callable[[Progress], dict[str, Any]]) -> None:
        try:
            job.report = work(_Watched(job))
            job.state = "done"
        except Aborted:
            job.state = "aborted"
        except (HistorianError, StorageError) as error:
            job.error, job.state = str(error), "failed"
            _log.error("transfer failed", verb=job.verb, path=job.path, reason=str(error))
        except Exception:  # noqa: BLE001 - the thread's end: nobody else would hear of it
            job.error, job.state = "internal error, see the server's log", "failed"
            _log.exception("transfer failed", verb=job.verb, path=job.path)

    def list(self, verb: str) -> list[Job]:
        """Jobs of a verb, the newest last."""
        with self._lock:
            return [job for job in self._jobs.values() if job.verb == verb]

    def get(self, verb: str, job_id: str) -> Job:
        """Find one job.

        Raises
        ------
        NotFound
        """
        with self._lock:
            job = self._jobs.get(job_id)
        if job is None or job.verb != verb:
            raise NotFound(f"cannot find {verb}: got {job_id!r}, want a job", got=job_id)
        return job

    def abort(self, verb: str, job_id: str) -> Job:
        """Ask a job to end; what it committed stays, and the same request goes on behind it.

        Raises
        ------
        NotFound
        """
        job = self.get(verb, job_id)
        job.ending.set()
        return job
