"""kill -9 of server and collector in the middle of a replay: nothing lost, nothing twice."""

import asyncio
import os
import random
import signal
import threading
from pathlib import Path

import pytest

from historian.clock import SystemClock
from historian.replay import Replay, ReplayRequest
from historian.testing import ServerProcess

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("HISTORIAN_DATA", ROOT / "../shared/data")).resolve()
pytestmark = [
    pytest.mark.recording,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]


class Killer:
    """Watches a replay; at random counts of samples it kills the collector or the server."""

    def __init__(self, server: ServerProcess, kills: int, samples: int, seed: int) -> None:
        rng = random.Random(seed)
        self._server = server
        at = sorted(rng.sample(range(samples // 50, samples * 9 // 10), kills))
        self._plan = [(count, rng.choice(("server", "server", "collector"))) for count in at]
        self._sent = 0
        self._playing = False
        self._status = None
        self._busy: threading.Thread | None = None
        self.killed = {"server": 0, "collector": 0}

    def stage(self, text, total):
        """Only the play itself is under fire."""
        self._wait()
        self._playing = text.endswith("playing")

    def advance(self, count):
        """Count, and kill when it is time; what flows on meanwhile is the point."""
        if not self._playing:
            return
        self._sent += count
        if self._plan and self._sent >= self._plan[0][0]:
            self._wait()
            _, who = self._plan.pop(0)
            if who == "collector" and self._status.pid:
                self._kill_collector()
            else:
                self._busy = threading.Thread(target=self._kill_server)
                self._busy.start()

    def _wait(self):
        if self._busy is not None:
            self._busy.join()

    def collector(self, status):
        """Remember whom to kill."""
        self._status = status

    def _kill_server(self):
        self.killed["server"] += 1
        self._server.kill()
        self._server.start()

    def _kill_collector(self):
        self.killed["collector"] += 1
        os.kill(self._status.pid, signal.SIGKILL)
        self._status.pid = None  # its supervisor sets the next one


def replay_under_fire(home, recording, samples, kills, seed):
    """Play, kill, compare; then play again in peace, which changes nothing."""
    with ServerProcess(home / "server") as server:
        request = ReplayRequest(
            data=DATA,
            recordings=(recording,),
            server_url=server.url,
            token_file=server.token_file,
            verify=True,
            work=home,
        )
        killer = Killer(server, kills, samples, seed)
        (first,) = asyncio.run(Replay(request, SystemClock(), killer).run())
        peace = Killer(server, 0, samples, seed)
        (second,) = asyncio.run(Replay(request, SystemClock(), peace).run())
    assert () == first.differences
    assert () == second.differences
    assert second.unchanged
    return killer.killed


def test_kills_during_a_replay_lose_and_repeat_nothing(tmp_path):
    """A few kills of each kind."""
    killed = replay_under_fire(tmp_path, "nist_smstestbed/GFAgie01-201611", 147_578, 6, seed=3)

    assert killed["server"] >= 1
    assert killed["collector"] >= 1


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_fifty_kills_during_a_replay(tmp_path):
    """The acceptance line; GFAgie01-201610 has 8,971 rewrites with another value."""
    killed = replay_under_fire(tmp_path, "nist_smstestbed/GFAgie01-201610", 350_973, 56, seed=4)

    assert sum(killed.values()) >= 50
