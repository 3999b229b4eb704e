"""Death at every system call of an engine on a real directory, and errors into its true committer.

Calls are counted in one whole run; then each is the place of death once. strace does both; where it
is missing or may not trace, these tests are left out, but never in CI.
"""

import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "storage_engine")]
import engine_child
import invariants

from storage_engine.engine import Engine
from storage_engine.filesystem import RealFileSystem
from storage_engine.testing import SetClock

CALLS = (
    *("pwrite64", "fdatasync", "fsync", "rename", "unlink"),
    *("ftruncate", "fallocate", "openat", "mkdir"),
)
DAY = int(time.time() // 86_400)
STRACE = shutil.which("strace")
pytestmark = pytest.mark.skipif(
    STRACE is None and os.environ.get("CI") != "true", reason="strace is missing: install it"
)


@pytest.fixture(scope="module")
def context():
    """Children are forked from a server that has everything imported."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(["engine_child"])
    return made


@dataclass
class Run:
    """What became of one child."""

    home: Path
    told: list[tuple]
    calls: list[str]
    exit_code: int | None

    @property
    def promised(self) -> int:
        """Promises that were read from its pipe."""
        return max((what for name, what in self.told if name == "promised"), default=0)


def run(context, home: Path, *options: str, committer: bool = False) -> Run:
    """Let a child tell its story under strace, which attaches to one thread of it."""
    ours, theirs = context.Pipe()
    child = context.Process(
        target=engine_child.tell_story, args=(str(home), theirs), kwargs={"committer": committer}
    )
    child.start()
    theirs.close()
    told: list[tuple] = []
    thread = child.pid
    if committer:
        name, others = ours.recv()
        assert name == "thread"
        (thread,) = others
    with tempfile.NamedTemporaryFile("r") as log:
        command = [STRACE or "strace", "-p", str(thread), "-o", log.name, *options]
        tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert tracer.stderr is not None
        said = tracer.stderr.readline()
        if "attached" not in said:
            child.kill()
            if os.environ.get("CI") != "true":
                pytest.skip(f"strace may not trace here: {said}")
            pytest.fail(said)
        ours.send("go")
        told += _until_end(ours)
        child.join()
        tracer.wait()
        tracer.stderr.close()
        calls = [line for line in log.read().splitlines() if "(" in line]
    ours.close()
    return Run(home, told, calls, child.exitcode)


def _until_end(pipe) -> Iterator[tuple]:
    while True:
        try:
            yield pipe.recv()
        except (EOFError, ConnectionResetError):
            return


def check(done: Run, truth: engine_child.Counted, what: str) -> None:
    """Open what is left, hold it against what was acknowledged, and write on."""
    fs = RealFileSystem(done.home)
    if not done.home.exists():
        assert done.promised == 0, what
        return
    for _ in range(2):  # recovery, and what recovery left
        engine = Engine.open(fs, engine_child.SETTINGS, SetClock())
        holds = invariants.check_open(engine, truth, what)
        invariants.check_promises(truth, holds, done.promised, what)
        engine.close()
    shutil.rmtree(done.home)


def places(context, tmp_path: Path) -> list[tuple[str, int]]:
    """Every call that changes the disk, as (name, how many of that name before and with it)."""
    done = run(context, tmp_path / "counted", "-e", "trace=" + ",".join(CALLS))
    assert done.exit_code == 0, done.told
    assert done.told[-1][0] == "ended"
    seen: Counter[str] = Counter()
    found = []
    for line in done.calls:
        name = line.split("(")[0]
        seen[name] += 1
        if name != "openat" or "O_CREAT" in line:
            found.append((name, seen[name]))
    assert {name for name, _ in found} >= set(CALLS) - {"mkdir"}, seen
    assert any(re.search(r"segments/.*\.segment", line) for line in done.calls)
    return found


def kill_at(context, tmp_path: Path, step: int) -> int:
    """Kill at every ``step``-th call; gives how many died."""
    truth = engine_child.truth_of(engine_child.STEPS)
    every = places(context, tmp_path)
    died = 0
    for number, (name, count) in enumerate(every[DAY % step :: step]):
        home = tmp_path / f"{number}"
        inject = f"inject={name}:signal=KILL:when={count}"
        done = run(context, home, "-e", f"trace={name}", "-e", inject)
        assert done.exit_code == -9, f"{name} {count}: {done.told[-2:]}"
        died += 1
        check(done, truth, f"killed at {name} number {count}")
    return died


def test_death_at_some_calls_loses_nothing_acknowledged(context, tmp_path):
    """A sample that changes from day to day."""
    assert kill_at(context, tmp_path, 23) > 10


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_death_at_every_call_loses_nothing_acknowledged(context, tmp_path):
    """Each write, sync, name and size."""
    died = kill_at(context, tmp_path, 1)
    print(f"{died} calls, each the place of death once")
    assert died > 250


def fail_committer(context, tmp_path: Path, step: int) -> int:
    """Let calls of the log's own thread fail, once and for good; gives how many runs."""
    truth = engine_child.truth_of(engine_child.BEFORE_REOPEN)
    calls = "trace=pwrite64,fdatasync"
    whole = run(context, tmp_path / "whole", "-e", calls, committer=True)
    assert whole.told[-1][0] == "ended", whole.told
    totals = Counter(line.split("(")[0] for line in whole.calls)
    assert min(totals["pwrite64"], totals["fdatasync"]) > 10, totals
    runs = 0
    for name in ("pwrite64", "fdatasync"):
        for number in range(1 + DAY % step, totals[name], step):
            for error, more in (("EIO", ""), ("EIO", "+"), ("ENOSPC", ""), ("ENOSPC", "+")):
                what = f"{error} at {name} number {number}{more}"
                inject = f"inject={name}:error={error}:when={number}{more}"
                home = tmp_path / f"{runs}"
                done = run(context, home, "-e", calls, "-e", inject, committer=True)
                facts = dict(done.told)
                if "refused" in facts:
                    acknowledged, failed = facts["after"]
                    assert failed, what
                    assert acknowledged == 0, what
                check(done, truth, what)
                runs += 1
    return runs


def test_some_errors_in_the_committer_stop_all_acknowledgements(context, tmp_path):
    """One failed call of the true thread in C, and nothing more is promised."""
    assert fail_committer(context, tmp_path, 29) > 4


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_an_error_at_every_call_of_the_committer_stops_all_acknowledgements(context, tmp_path):
    """All of them: EIO and ENOSPC, once and for good."""
    runs = fail_committer(context, tmp_path, 1)
    print(f"{runs} runs with an error in the committer")
    assert runs > 100
