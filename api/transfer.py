"""Transfers from the command line: in the files when no server holds them, else by the server."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from api.client import ANSWER_S, CONNECT_S, answer, reachable, token_of
from api.console import CommandFailed, err, say
from historian.clock import SystemClock
from historian.config import HistorianConfig
from historian.runtime import Historian
from historian.transfer.store import TransferStore, store_of
from storage_engine.errors import StoreLocked

_POLL_S = 0.3


class Bar:
    """Progress of a transfer on stderr; fulfils ``historian.transfer.store.Progress``."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None

    def stage(self, text: str, total: int | None) -> None:
        """Begin a new bar."""
        self._task = self._progress.add_task(text, total=total)

    def advance(self, count: int) -> None:
        """Move it on."""
        if self._task is not None:
            self._progress.advance(self._task, count)

    def set(self, done: int) -> None:
        """Move it to a place."""
        if self._task is not None:
            self._progress.update(self._task, completed=done)


@contextmanager
def bar() -> Iterator[Bar]:
    """A bar while a transfer runs."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err) as progress:
        yield Bar(progress)


def transfer(
    config: HistorianConfig,
    url: str | None,
    *,
    here: Callable[[TransferStore, Bar], dict[str, Any]],
    verb: str,
    path: Path,
    body: Mapping[str, Any],
) -> dict[str, Any]:
    """Do it with the store's lock in hand; when a server holds it, ask the server.

    Parameters
    ----------
    config : HistorianConfig
    url : str, optional
        A server; then the files are not tried.
    here : callable
        The work on the files; gives its report.
    verb : str
        ``imports`` or ``exports``.
    path : Path
        As the caller gave it.
    body : mapping
        The request to the server, without its path.

    Returns
    -------
    dict
        The report.

    Raises
    ------
    CommandFailed
        The server refused, or the job failed.
    """
    if url is None:
        try:
            historian = Historian.open(config, SystemClock())
        except StoreLocked:
            say("a server holds the store: it is asked to do it")
        else:
            try:
                with bar() as progress:
                    return here(store_of(historian), progress)
            finally:
                historian.close()
    address = url or f"http://{reachable(config.http.host)}:{config.http.port}"
    name = _below(config, path, elsewhere=url is not None)
    with httpx.Client(
        base_url=address,
        headers={"authorization": f"Bearer {token_of(config)}"},
        timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S),
        trust_env=False,
    ) as http:
        try:
            return _watch(http, verb, {**body, "path": name})
        except httpx.TransportError as error:
            raise CommandFailed(f"cannot reach server: {error}, at {address}") from None


def _below(config: HistorianConfig, path: Path, *, elsewhere: bool) -> str:
    """The path as the server takes it: relative to its transfer folder."""
    root = config.transfer.path.resolve()
    full = path.resolve()
    if full.is_relative_to(root) and full != root:
        return full.relative_to(root).as_posix()
    if elsewhere and not path.is_absolute():
        return path.as_posix()
    raise CommandFailed(
        f"cannot use path: got {path}, want one below {root} (transfer.path), because a server "
        "holds the store"
    )


def _watch(http: httpx.Client, verb: str, body: Mapping[str, Any]) -> dict[str, Any]:
    job = answer(http.post(f"/v1/{verb}", json=body))
    pause = threading.Event()
    with bar() as progress:
        shown = ""
        try:
            while job["state"] == "running":
                if job["stage"] != shown:
                    shown = job["stage"]
                    progress.stage(shown, job["total"])
                progress.set(job["done"])
                pause.wait(_POLL_S)
                job = answer(http.get(f"/v1/{verb}/{job['id']}"))
        except KeyboardInterrupt:
            http.delete(f"/v1/{verb}/{job['id']}")
            raise
    if job["state"] != "done":
        raise CommandFailed(job["error"] or f"the job was {job['state']}")
    report: dict[str, Any] = job["report"]
    return report
