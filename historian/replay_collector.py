"""The collector process of a replay: configured here, started, watched, restarted, ended."""

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog

from connectors.connector import Clock

NAME = "replay"
_RESTART_WAIT_S = 1.0
_STOP_TIMEOUT_S = 15.0

_log = structlog.get_logger(__name__)


def as_toml(value: object) -> str:
    """Write a value as TOML; tables are written inline.

    Parameters
    ----------
    value : object
        dict, list or tuple, str, bool, int, float or Path.
    """
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(k)} = {as_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(as_toml(entry) for entry in value) + "]"
    return json.dumps(str(value) if isinstance(value, Path) else value)


def collector_config(
    folder: Path, server_url: str, token_file: Path, sources: Mapping[str, tuple[str, Any]]
) -> str:
    """Write the configuration of a collector.

    Parameters
    ----------
    folder : Path
        Where its spool lies.
    server_url : str
    token_file : Path
    sources : mapping of name to (kind, settings)
    """
    document = {
        "store": {"path": folder / "store"},
        "collectors": [
            {
                "name": NAME,
                "spool_path": folder / "spool",
                "server_url": server_url,
                "token_file": token_file.resolve(),
            }
        ],
        "sources": [
            {"name": name, "kind": kind, "collector": NAME, "settings": settings}
            for name, (kind, settings) in sources.items()
        ],
    }
    return "".join(f"{key} = {as_toml(value)}\n" for key, value in document.items())


class CollectorProcess:
    """``python -m historian.collector``; when it dies it is started again with the same spool.

    Parameters
    ----------
    config_file : Path
    clock : Clock
    """

    def __init__(self, config_file: Path, clock: Clock) -> None:
        self._config_file = config_file
        self._clock = clock
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self.starts = 0

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        process = self._process
        return None if process is None or process.returncode is not None else process.pid

    async def start(self) -> None:
        """Start it and watch it from now on."""
        await self._spawn()
        self._watch = asyncio.create_task(self._keep_running())

    async def _spawn(self) -> None:
        self.starts += 1
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "historian.collector",
            "--config",
            str(self._config_file),
            "--name",
            NAME,
            stdin=asyncio.subprocess.PIPE,
        )

    async def _keep_running(self) -> None:
        while True:
            assert self._process is not None
            code = await self._process.wait()
            _log.warning("collector ended, starting it again", code=code, starts=self.starts)
            await self._clock.sleep(_RESTART_WAIT_S)
            await self._spawn()

    async def stop(self) -> None:
        """End it: close its standard input, and insist when that does not help."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        process = self._process
        if process is None or process.returncode is not None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), _STOP_TIMEOUT_S)
        except TimeoutError:
            process.terminate()
            await process.wait()
