"""historian replay, the whole way: a real server process, a real collector, real recordings."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from historian.clock import SystemClock
from historian.collector.supervisor import ChildStatus
from historian.replay import Replay, ReplayReport, ReplayRequest
from historian.testing import ServerProcess

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("HISTORIAN_DATA", ROOT / "../shared/data")).resolve()
pytestmark = [
    pytest.mark.recording,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path) as running:
        yield running


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


async def replay(server: ServerProcess, watch: Watch, *recordings: str) -> tuple[ReplayReport, ...]:
    request = ReplayRequest(
        data=DATA,
        recordings=recordings,
        server_url=server.url,
        token_file=server.token_file,
        verify=True,
    )
    return await Replay(request, SystemClock(), watch).run()


def test_the_store_equals_the_recording_and_a_second_play_changes_nothing(
    server: ServerProcess,
) -> None:
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


def test_a_collector_killed_in_the_middle_costs_nothing(server: ServerProcess) -> None:
    """What it had not acknowledged comes again; what it had is in its spool."""
    watch = Watch(60_000, 160_000)

    (report,) = asyncio.run(replay(server, watch, "nist_smstestbed/GFAgie01-201611"))

    assert watch.kills >= 1
    assert report.differences == ()
    assert report.rejected == 0
