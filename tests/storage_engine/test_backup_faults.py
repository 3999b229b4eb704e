"""Refused calls and power cuts within a backup: the store is as it was, a backup whole or none."""

import errno
import sys
import time
from pathlib import Path

import pytest

from storage_engine.backup_facts import list_backups
from storage_engine.engine import Engine
from storage_engine.errors import DiskError, InvalidArgument
from storage_engine.recording_tree import RecordingTree
from storage_engine.subtree import Below
from storage_engine.testing import SetClock

sys.path.insert(0, str(Path(__file__).parent))
from backup_story import CONFIG, Story, check, open_backup, open_store, restore, told
from fault_harness import READS, WRITES, FailsAt

DAY = int(time.time() // 86_400)
TREE_WRITES = WRITES | {"link", "remove directory"}
MODES = [
    *((errno.ENOSPC, once, TREE_WRITES) for once in (True, False)),
    *((errno.EIO, once, calls) for once in (True, False) for calls in (TREE_WRITES, READS)),
]
EACH = pytest.param(1, marks=pytest.mark.slow)  # every call; else every so many, by the day


class Plant:
    """A store with a backup ``one`` of before, and what it answers now."""

    def __init__(self):
        self.story = Story(seed=2)
        self.story.go_on(30)
        first = RecordingTree()
        self.story.engine.backup(first, "one")
        self.story.go_on(15)
        self.story.engine.flush()
        self.story.append()
        self.repository = first.disk()
        self.want = told(self.story.engine)

    def is_as_it_was(self):
        """The store that was backed up: in use, opened beside, and what it says of its disk."""
        engine = self.story.engine
        assert engine.failed is None
        assert self.want == told(engine)
        beside = Engine.open(
            RecordingTree(self.story.fs.disk()), CONFIG, self.story.clock, read_only=True
        )
        assert self.want == told(beside)
        assert [] == engine.findings() == beside.findings()

    def backup(self, repository, parent):
        """Facts, or None where it is refused."""
        try:
            return self.story.engine.backup(repository, "two", parent=parent)
        except DiskError:
            return None


def is_whole(repository, name, want):
    """Verified, read, and restored."""
    assert check(repository, name).whole
    assert want == told(open_backup(repository, name))
    assert want == told(open_store(restore(repository, name)[0]))


def is_refused(repository, name):
    """What is unfinished is no backup, under either name; nothing is made of it."""
    target = RecordingTree()
    for asked in (name, f"{name}.new"):
        with pytest.raises(InvalidArgument, match=f"got '{asked}', want"):
            restore(repository, asked, target)
    assert [] == target.list(".")


def names(repository):
    """Backups that are there; none of them is damaged."""
    backups, damage = list_backups(repository)
    assert [] == damage
    return [one.name for one in backups]


@pytest.fixture(scope="module")
def plant():
    return Plant()


@pytest.mark.parametrize("step", [5, EACH])
@pytest.mark.parametrize("parent", [None, "one"])
@pytest.mark.parametrize("mode", MODES)
def test_any_call_that_the_repository_refuses(plant, mode, parent, step):
    """An error or a whole backup; the other one stays, and the next one is whole."""
    code, once, calls = mode
    step = 1 if calls is READS else step  # they are few
    number, refused, taken = DAY % step, 0, 0
    while True:
        repository = RecordingTree(plant.repository)
        repository.fault = fault = FailsAt(number, code, calls, once=once)
        facts = plant.backup(repository, parent)
        repository.fault = None
        if fault.seen <= number:
            break
        refused += facts is None
        taken += facts is not None
        plant.is_as_it_was()
        assert check(repository, "one").whole
        if facts is not None and facts.damage:  # of the copy, read back: it says so
            assert "two" in names(repository)
            assert set(facts.damage) <= set(check(repository, "two").damage)
        elif "two" in names(repository):
            is_whole(repository, "two", plant.want)
        else:
            assert facts is None
            is_refused(repository, "two")
            assert plant.backup(repository, parent) is not None
            is_whole(repository, "two", plant.want)
            assert ["lock", "one", "two"] == sorted(repository.list("."))
        number += step
    assert refused + taken > 2
    assert refused > 0 or calls is READS  # what is not read back is named, not shared but copied
    assert facts is not None


@pytest.mark.parametrize("step", [3, EACH])
@pytest.mark.parametrize("once", [True, False])
def test_any_call_that_the_store_refuses(plant, once, step):
    """What the medium did not give is named, or there is no backup; the store is as it was."""
    number, seen = DAY % step, set()
    while True:
        repository = RecordingTree(plant.repository)
        plant.story.fs.fault = fault = FailsAt(number, errno.EIO, READS | WRITES, once=once)
        facts = plant.backup(repository, "one")
        plant.story.fs.fault = None
        if fault.seen <= number:
            break
        plant.is_as_it_was()
        assert check(repository, "one").whole
        seen.add("refused" if facts is None else "damaged" if facts.damage else "whole")
        if facts is None:
            assert ["one"] == names(repository)
            is_refused(repository, "two")
        elif facts.damage:
            found = check(repository, "two")
            assert () == found.changed
            assert set(facts.damage) <= set(found.damage)
            assert set(facts.damage) <= set(restore(repository, "two")[1].damage)
        else:
            is_whole(repository, "two", plant.want)
        number += step
    assert {"damaged", "refused"} <= seen if step == 1 else "damaged" in seen
    assert facts is not None


@pytest.mark.parametrize("step", [11, EACH])
@pytest.mark.parametrize("parent", [None, "one"])
def test_a_cut_at_any_operation_while_the_store_is_written(parent, step):
    """Store and repository on one disk that loses power: what was acknowledged is there."""
    disk = RecordingTree()
    disk.make_directories("store")
    repository = Below(disk, "backups")
    story = Story(seed=5, fs=Below(disk, "store"))
    story.go_on(12)
    story.engine.backup(repository, "one")
    story.go_on(5)
    promised = [(disk.position, story.engine.durable_lsn)]

    def go_on(_size):
        (story.engine.flush if len(promised) % 5 == 0 else story.append)()
        promised.append((disk.position, story.engine.durable_lsn))

    facts = story.engine.backup(repository, "two", parent=parent, pace=go_on)
    last, seen = disk.position, set()
    want = {lsn: told(story.engine, lsn) for _, lsn in promised}
    held = told(story.engine, facts.lsn)
    for moment in sorted({*range(promised[0][0] + DAY % step, last + 1, step), last}):
        for what, state in disk.crash_states(moment, limit=4):
            engine = Engine.open(Below(state, "store"), CONFIG, SetClock())
            lsn = max(lsn for position, lsn in promised if position <= moment)
            assert [] == engine.findings(), what
            assert engine.durable_lsn >= lsn, what
            assert want[lsn] == told(engine, lsn), what
            after = Below(state, "backups")
            assert check(after, "one").whole, what
            unfinished = "two" not in names(after)
            seen.add(unfinished)
            if unfinished:
                is_refused(after, "two")
                engine.backup(after, "two", parent=parent)
                is_whole(after, "two", told(engine))
            else:
                is_whole(after, "two", held)
            engine.close()
    assert {True, False} == seen
