"""The engine after a power cut: every legal disk of a whole story holds what was acknowledged."""

import sys
import time
from pathlib import Path

import pytest

from storage_engine.recording import RecordingFileSystem

sys.path.insert(0, str(Path(__file__).parent))
import crash_steps
from crash_harness import (
    Checked,
    check_states,
    check_with_two_processes,
    recovers_from_cuts_in_recovery,
)
from crash_story import Story

ORDINARY_DISKS = 1_200  # some 1,500, by the day
SLOW_DISKS = 20_000
DAY = int(time.time() // 86_400)


def told() -> tuple[Story, RecordingFileSystem]:
    """The story on a disk of its own."""
    fs = RecordingFileSystem()
    return crash_steps.play(fs), fs


def test_disks_drawn_from_every_moment_hold_what_was_acknowledged(record_property):
    """I1 to I7: nothing lost, invented, altered, doubled or torn; the store opens and goes on."""
    story, fs = told()

    # Every third moment; which third changes from day to day.
    checked = check_states(story, fs, moments=range(DAY % 3, fs.position + 1, 3), limit=5)

    record_property("states", checked.told())
    assert len(checked.disks) >= ORDINARY_DISKS, checked.told()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_twenty_thousand_disks_hold_what_was_acknowledged(record_property):
    """All moments, all plans."""
    story, fs = told()

    checked = check_with_two_processes(story, fs, range(1))

    record_property("states", checked.told())
    print(checked.told())
    assert len(checked.disks) >= SLOW_DISKS, checked.told()


def cuts_in_recovery(parts: int, limit: int, depth: int) -> Checked:
    """Cut a sample of the disks again while they are opened."""
    story, fs = told()
    checked = Checked()
    for moment in range(DAY % parts, fs.position + 1, parts):
        for what, disk in fs.crash_states(moment, limit=limit, seed=moment):
            recovers_from_cuts_in_recovery(
                story, disk, what, depth=depth, limit=limit, checked=checked
            )
    return checked


def test_a_cut_while_recovering_changes_nothing():
    """Recovery writes, too."""
    checked = cuts_in_recovery(parts=73, limit=3, depth=1)

    assert len(checked.disks) > 40, checked.told()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_three_cuts_while_recovering_change_nothing(record_property):
    """A cut while recovering from a cut while recovering from a cut."""
    checked = cuts_in_recovery(parts=13, limit=3, depth=3)

    record_property("states", checked.told())
    print(checked.told())
    assert len(checked.disks) > 2_000, checked.told()
