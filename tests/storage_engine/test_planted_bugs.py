"""A check that cannot fail proves nothing: bugs that stores have had, planted one at a time.

Each must be found by the harness named beside it; the same harness without a plant is clean.
"""

import errno
import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from storage_engine.recording import RecordingFileSystem

sys.path.insert(0, str(Path(__file__).parent))
import crash_steps
import planted_bugs as bugs
from crash_harness import check_states
from crash_steps import STEPS
from damage_harness import Damaged, build, flip
from fault_harness import fail_every_call
from invariants import Violation

Patch = pytest.MonkeyPatch
Plant = Callable[[Patch], None]
DISKS = 700
SHORT = STEPS[:12]


def cuts(patch: Patch, plant: Plant, steps: Sequence[crash_steps.Step]) -> None:
    """Tell the story with the bug, cut it at many moments, and open the disks without it."""
    with patch.context() as planted:
        plant(planted)
        fs = RecordingFileSystem()
        story = crash_steps.play(fs, steps)
    _open_disks(story, fs)


def recoveries(patch: Patch, plant: Plant, steps: Sequence[crash_steps.Step]) -> None:
    """Tell the story without the bug; disks are opened with it."""
    fs = RecordingFileSystem()
    story = crash_steps.play(fs, steps)
    with patch.context() as planted:
        plant(planted)
        _open_disks(story, fs)


def _open_disks(story: crash_steps.Story, fs: RecordingFileSystem) -> None:
    moments = list(range(fs.position + 1))
    random.Random(1).shuffle(moments)
    checked = None
    for moment in moments:
        checked = check_states(story, fs, moments=[moment], limit=7, checked=checked)
        if len(checked.disks) >= DISKS:
            break


def log_flips(patch: Patch, plant: Plant, steps: Sequence[crash_steps.Step]) -> None:
    """Flip bytes of the log of a store that is written and read with the bug."""
    del steps
    with patch.context() as planted:
        plant(planted)
        damaged = Damaged(*build(16_000))
        for path in [one for one in damaged.paths if one.startswith("wal")][-4:]:
            for at in range(0, min(damaged.size(path), 320), 3):
                damaged.check(path, flip(at), f"{path} flipped at {at}")


def segment_flips(patch: Patch, plant: Plant, steps: Sequence[crash_steps.Step]) -> None:
    """Flip every bit where the first blocks of some segments lie."""
    del steps
    with patch.context() as planted:
        plant(planted)
        damaged = Damaged(*build(16_000))
        paths = [one for one in damaged.paths if one.startswith("segments")]
        for path in [*paths[:2], *paths[-2:]]:
            for at in range(64, min(damaged.size(path), 160)):
                for bit in range(8):
                    damaged.check(path, flip(at, bit), f"{path} flipped at {at}, bit {bit}")


def sync_faults(patch: Patch, plant: Plant, steps: Sequence[crash_steps.Step]) -> None:
    """Let every sync fail once, open anew where need be, go on, and cut the power."""
    with patch.context() as planted:
        plant(planted)
        fail_every_call(steps, errno.EIO, calls={"sync"}, once=True)


def write_faults(patch: Patch, plant: Plant, steps: Sequence[crash_steps.Step]) -> None:
    """Let every third write fail once likewise."""
    with patch.context() as planted:
        plant(planted)
        fail_every_call(steps, errno.EIO, calls={"write"}, once=True, step=3)


PLANTS: list[tuple[Plant, Callable[..., None], Sequence[crash_steps.Step]]] = [
    (bugs.acknowledged_before_the_sync, cuts, SHORT),
    (bugs.manifest_renamed_unsynced, cuts, SHORT),
    (bugs.segment_renamed_unsynced, cuts, SHORT),
    (bugs.log_file_renamed_unsynced, cuts, SHORT),
    (bugs.log_directory_unsynced, cuts, STEPS),
    (bugs.manifest_directory_unsynced, cuts, STEPS),
    (bugs.segment_directory_unsynced, cuts, SHORT),
    (bugs.record_header_without_sum, log_flips, ()),
    (bugs.block_header_without_sum, segment_flips, ()),
    (bugs.retried_after_a_failed_sync, sync_faults, SHORT),
    (bugs.lost_write_acknowledged, write_faults, SHORT),
    (bugs.lost_tombstone, cuts, STEPS),
    (bugs.change_not_replayed, recoveries, STEPS),
    (bugs.stale_binding, recoveries, STEPS),
    (bugs.binding_of_the_future, cuts, STEPS),
    (bugs.applied_twice, recoveries, STEPS),
    (bugs.redelivery_not_known, recoveries, STEPS),
    (bugs.producers_ahead_of_the_log, cuts, STEPS),
    (bugs.log_cut_before_the_manifest, cuts, STEPS),
    (bugs.garbage_that_is_alive, cuts, STEPS),
    (bugs.revision_dropped_by_compaction, cuts, STEPS),
    (bugs.erased_rows_written_anew, cuts, STEPS),
    (bugs.recycled_content_believed, recoveries, STEPS),
    (bugs.mark_before_the_sync, cuts, SHORT),
    (bugs.unproven_tail_not_copied, sync_faults, SHORT),
]


def nothing(patch: Patch) -> None:
    """No bug."""


@pytest.mark.parametrize(
    ("plant", "hunt", "steps"), PLANTS, ids=lambda one: getattr(one, "__name__", "")
)
def test_a_planted_bug_is_found(plant, hunt, steps, monkeypatch):
    """By a broken invariant, not by chance."""
    with pytest.raises((Violation, AssertionError)):
        hunt(monkeypatch, plant, steps)


@pytest.mark.parametrize(
    "hunt", [cuts, recoveries, log_flips, segment_flips, sync_faults, write_faults]
)
def test_without_a_bug_the_same_harness_is_clean(hunt, monkeypatch):
    """Else it would find bugs everywhere."""
    hunt(monkeypatch, nothing, SHORT if hunt in {sync_faults, write_faults} else STEPS)
