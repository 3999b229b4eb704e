"""kill -9 of an engine under load: what it acknowledged is there, once, in order."""

import multiprocessing
import random
import shutil
import sys
import time
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "storage_engine")]
import engine_child

from storage_engine.engine import Engine
from storage_engine.filesystem import RealFileSystem
from storage_engine.testing import SetClock

EVERYTHING = (-(2**63), 2**63 - 1)
LIVES = 25  # kills of one store, before the next one is begun


def live_and_die(context, home: Path, acknowledged: int, seconds: float) -> int:
    """Let a child write and kill it; gives the last frame that it acknowledged."""
    ours, theirs = context.Pipe()
    target = engine_child.write_on
    child = context.Process(target=target, args=(str(home), theirs, acknowledged))
    child.start()
    theirs.close()
    if ours.poll(30):
        time.sleep(seconds)  # also while it opens: some die in recovery
    child.kill()
    child.join()
    assert child.exitcode == -9, "the child ended by itself"
    while True:
        try:
            name, number = ours.recv()
        except EOFError:
            break
        acknowledged = max(acknowledged, number)
        assert name in {"open", "promised"}
    ours.close()
    return acknowledged


def check(home: Path, acknowledged: int) -> None:
    """Every frame up to some number is there, whole and once; all acknowledged ones are."""
    engine = Engine.open(RealFileSystem(home), engine_child.SETTINGS, SetClock())
    assert [] == engine.findings()
    state = engine.producer(b"p" * 16)
    last = state.sequence if state else 0
    assert last >= acknowledged
    stream = engine.create_stream(
        engine_child.LOAD, engine_child.SlotKind.SERIES, (engine_child.VALUE,)
    )
    found = engine.read(stream, *EVERYTHING, all_revisions=True)
    want = sorted(row for number in range(1, last + 1) for row in engine_child.rows_of(number))
    assert want == list(zip(found.timestamp_ns.tolist(), found.value.value.tolist(), strict=True))
    engine.close()


def kill_again_and_again(tmp_path: Path, kills: int, seed: int) -> int:
    """Kill engines at random moments; gives the frames acknowledged in all."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["engine_child"])
    rng = random.Random(seed)
    total = 0
    for life in range(0, kills, LIVES):
        home, acknowledged = tmp_path / f"store {life}", 0
        for _ in range(min(LIVES, kills - life)):
            seconds = rng.choice((0, rng.uniform(0, 0.05), rng.uniform(0, 0.4)))
            acknowledged = live_and_die(context, home, acknowledged, seconds)
            if rng.random() < 0.4:  # else the next child is the first to recover
                check(home, acknowledged)
        check(home, acknowledged)
        shutil.rmtree(home)
        total += acknowledged
    return total


def test_an_engine_that_is_killed_loses_nothing_acknowledged(tmp_path):
    """A few kills in every run."""
    assert kill_again_and_again(tmp_path, kills=12, seed=3) > 0


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_five_hundred_kills(tmp_path):
    """The acceptance line."""
    frames = kill_again_and_again(tmp_path, kills=500, seed=4)
    print(f"500 kills, {frames} frames acknowledged")
    assert frames > 500
