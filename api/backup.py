"""Work on backups from the command line: by the server that holds the store, else on the files."""

import asyncio
import sys
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import structlog

from api.client import ANSWER_S, CONNECT_S, answer, reachable, token_of
from api.console import CommandFailed, err, say
from historian.backup_job import BackupJob
from historian.backups import Backups
from historian.clock import SystemClock
from historian.config import HistorianConfig
from historian.runtime import Historian
from storage_engine.errors import StoreLocked

_POLL_S = 0.2


def run_job(
    config: HistorianConfig,
    url: str | None,
    here: Callable[[Backups], BackupJob] | None,
    request: tuple[str, Mapping[str, Any]],
    *,
    alone: str = "",
) -> dict[str, Any]:
    """Do one job and wait for its end.

    Parameters
    ----------
    config : HistorianConfig
    url : str, optional
        A server; then the files are not tried.
    here : callable
        Begins it on the files, when no server holds them; None when only a server can do it.
    request : tuple
        Path and body that ask a server for the same.
    alone : str
        An option that only holds for a store that no server has open.

    Returns
    -------
    dict
        The job's report.

    Raises
    ------
    CommandFailed
        It was refused, or failed.
    """
    clock = SystemClock()
    # The answer goes to stdout, alone.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    if url is None and here is not None:
        try:
            historian = Historian.open(config, clock)
        except StoreLocked:
            if alone:
                message = f"cannot use {alone}: got a store that a server holds, want its own"
                raise CommandFailed(f"{message} [backup] directory") from None
            say("a server holds the store: it is asked to do it")
        else:
            try:
                return _report(asyncio.run(_here(historian, here, clock)))
            finally:
                historian.close()
    address = url or f"http://{reachable(config.http.host)}:{config.http.port}"
    with httpx.Client(
        base_url=address,
        headers={"authorization": f"Bearer {token_of(config)}"},
        timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S),
        trust_env=False,
    ) as http:
        try:
            path, body = request
            job = answer(http.post(path, json=dict(body)))
            return _report(_watch(http, job, clock))
        except httpx.TransportError as error:
            raise CommandFailed(f"cannot reach server: {error}, at {address}") from None


async def _here(
    historian: Historian, begin: Callable[[Backups], BackupJob], clock: SystemClock
) -> dict[str, Any]:
    job = begin(historian.backups)
    with err.status(f"{job.verb} {job.name}"):
        while job.state == "running":
            await clock.sleep(_POLL_S)
    return job.facts()


def _watch(http: httpx.Client, job: Any, clock: SystemClock) -> dict[str, Any]:
    with err.status(f"{job['verb']} {job['name']}"):
        while job["state"] == "running":
            asyncio.run(clock.sleep(_POLL_S))
            job = answer(http.get(f"/v1/backup-jobs/{job['id']}"))
    return dict(job)


def _report(job: Mapping[str, Any]) -> dict[str, Any]:
    if job["state"] != "done":
        raise CommandFailed(f"{job['verb']} of {job['name']} {job['state']}: {job['error']}")
    return dict(job["report"])
