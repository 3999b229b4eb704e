"""Children of ``historian serve``: started, watched, started again, and never left behind.

A child holds the reading end of a pipe as its stdin. When the parent ends, however it ends, the
pipe closes and the child stops by itself.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass

from connectors.backoff import delays_s
from connectors.connector import Clock

_SETTLED_S = 60.0
_GRACE_S = 10.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Child:
    """A process to keep alive."""

    name: str
    argv: tuple[str, ...]


@dataclass(slots=True)
class ChildStatus:
    """What is known of a child."""

    pid: int | None = None
    starts: int = 0
    exit_code: int | None = None


class Supervisor:
    """Keeps children alive.

    Parameters
    ----------
    children : sequence of Child
    clock : Clock
    rng : random.Random
        Jitter of the back-off.
    """

    def __init__(self, children: Sequence[Child], clock: Clock, rng: random.Random) -> None:
        self._children = tuple(children)
        self._clock = clock
        self._rng = rng
        self._tasks: list[asyncio.Task[None]] = []
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._stopping = False
        self.status = {child.name: ChildStatus() for child in self._children}

    async def start(self) -> None:
        """Start every child; returns at once."""
        self._stopping = False
        self._tasks = [asyncio.create_task(self._keep(child)) for child in self._children]

    async def stop(self) -> None:
        """Ask all children to end, wait, and end those that do not."""
        self._stopping = True
        for process in self._processes.values():
            if process.stdin is not None:
                process.stdin.close()
        waiting = [asyncio.create_task(p.wait()) for p in self._processes.values()]
        if waiting:
            await asyncio.wait(waiting, timeout=_GRACE_S)
        for process in self._processes.values():
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, *waiting, return_exceptions=True)
        self._tasks = []

    async def _keep(self, child: Child) -> None:
        delays = delays_s(self._rng)
        status = self.status[child.name]
        while not self._stopping:
            began_s = self._clock.monotonic_s()
            process = await asyncio.create_subprocess_exec(
                *child.argv, stdin=asyncio.subprocess.PIPE
            )
            self._processes[child.name] = process
            status.pid, status.starts = process.pid, status.starts + 1
            status.exit_code = await process.wait()
            status.pid = None
            if self._stopping:
                return
            _log.warning("child %s ended with code %s", child.name, status.exit_code)
            if self._clock.monotonic_s() - began_s > _SETTLED_S:
                delays = delays_s(self._rng)
            await self._clock.sleep(next(delays))


async def stdin_closed() -> None:
    """Return when the parent's end of our stdin is closed: the child's side of the bargain."""
    import sys

    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.read(4_096):
        pass
