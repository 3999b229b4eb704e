"""historian replay, the whole way: a real server process, a real collector, real recordings."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from historian.clock import SystemClock
from historian.collector.supervisor import ChildStatus
from historian.replay import Replay, ReplayReport, ReplayRequest

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("HISTORIAN_DATA", ROOT / "../shared/data")).resolve()
pytestmark = [
    pytest.mark.recording,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]


class Server:
    """``historian serve`` on a store of its own."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.token_file = folder / "store" / "admin.token"
        config = folder / "historian.toml"
        config.write_text(f'[store]\npath = "{folder / "store"}"\n[http]\nport = {port}\n')
        self._process = subprocess.Popen(
            [sys.executable, "-m", "api", "serve", "--config", str(config)],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
        )

    async def ready(self) -> None:
        """Return when it takes writes."""
        async with httpx.AsyncClient(base_url=self.url, trust_env=False) as client:
            for _ in range(300):
                assert self._process.poll() is None
                try:
                    if (await client.get("/ready")).is_success:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.1)
        raise AssertionError("the server did not become ready")

    def stop(self) -> None:
        """End it as Ctrl-C does."""
        self._process.send_signal(signal.SIGINT)
        assert self._process.wait(30) == 0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = Server(tmp_path)
    yield running
    running.stop()


class Watch:
    """Watches a replay, and kills its collector when so many samples are sent."""

    def __init__(self, *kill_at: int) -> None:
        self._kill_at = list(kill_at)
        self._sent = 0
        self._status: ChildStatus | None = None
        self.kills = 0

    def stage(self, text: str, total: int) -> None:
        """Nothing to show."""

    def advance(self, count: int) -> None:
        """Count, and kill."""
        self._sent += count
        status = self._status
        if status and status.pid and self._kill_at and self._sent >= self._kill_at[0]:
            self._kill_at.pop(0)
            self.kills += 1
            os.kill(status.pid, signal.SIGKILL)

    def collector(self, status: ChildStatus) -> None:
        """Remember whom to kill."""
        self._status = status


async def replay(server: Server, watch: Watch, *recordings: str) -> tuple[ReplayReport, ...]:
    await server.ready()
    request = ReplayRequest(
        data=DATA,
        recordings=recordings,
        server_url=server.url,
        token_file=server.token_file,
        verify=True,
    )
    return await Replay(request, SystemClock(), watch).run()


def test_the_store_equals_the_recording_and_a_second_play_changes_nothing(server: Server) -> None:
    """Hurco has times of 100 ns, a clock that falls back to 2002, and 510 re-sent samples."""
    names = ("nist_smstestbed/Hurco01-201705", "skab/valve1_0")
    first = asyncio.run(replay(server, Watch(), *names))
    second = asyncio.run(replay(server, Watch(), *names))

    assert [report.differences for report in (*first, *second)] == [()] * 4
    assert [report.unchanged for report in second] == [True, True]
    assert [report.rejected for report in (*first, *second)] == [0] * 4
    assert [(r.read, r.sent, r.stored, r.duplicates) for r in first] == [
        (7_920, 7_920, 7_410, 510),
        (11_470, 11_470, 11_470, 0),
    ]
    assert [r.duplicates for r in second] == [7_920, 11_470]


def test_a_collector_killed_in_the_middle_costs_nothing(server: Server) -> None:
    """What it had not acknowledged comes again; what it had is in its spool."""
    watch = Watch(60_000, 160_000)

    (report,) = asyncio.run(replay(server, watch, "nist_smstestbed/GFAgie01-201611"))

    assert watch.kills >= 1
    assert report.differences == ()
    assert report.rejected == 0
