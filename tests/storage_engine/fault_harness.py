"""One call of a whole story fails, or all from there on, or the disk is full for a while."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import crash_steps
import invariants
import pytest
from crash_harness import check_states
from crash_story import Story

from storage_engine.engine import Engine
from storage_engine.errors import EngineClosed, StorageError
from storage_engine.recording import RecordingFileSystem

WRITES = frozenset(
    (
        *("write", "sync", "truncate", "preallocate"),
        *("create", "rename", "remove", "sync directory"),
    )
)
READS = frozenset(("read", "open"))
NEVER = 1 << 62


@dataclass
class FailsAt:
    """A fault of the numbered call of some kinds, once, or of all from there on."""

    number: int
    code: int
    calls: Collection[str]
    once: bool = True
    seen: int = 0

    def __call__(self, what: str, _path: str) -> int | None:
        """Fail or not."""
        if what not in self.calls:
            return None
        self.seen += 1
        number = self.seen - 1
        fails = number == self.number if self.once else number >= self.number
        return self.code if fails else None


def count_calls(steps: Sequence[crash_steps.Step], calls: Collection[str]) -> int:
    """How many calls of some kinds the story makes."""
    seen = [0]

    def note(what: str, _path: str) -> None:
        seen[0] += what in calls

    fs = RecordingFileSystem()
    fs.fault = note
    crash_steps.play(fs, [step for step in steps if step is not Story.look])
    return seen[0]


def fail_call(
    steps: Sequence[crash_steps.Step],
    number: int,
    code: int,
    *,
    calls: Collection[str],
    once: bool,
) -> int:
    """Tell the story while the numbered call fails; gives how many steps were refused.

    A step that is refused is left, and the next one tried; a log that failed acknowledges nothing
    any more, and the store is opened anew. At the end the power goes.
    """
    fs = RecordingFileSystem()
    fs.fault = FailsAt(number, code, calls, once=once)
    what = f"call {number} of {sorted(calls)} fails with {code}, once: {once}"
    story = Story(fs, lambda: fs.position, strict=False)
    refused = _go(story, steps, what)
    fs.fault = None
    if hasattr(story, "engine"):
        story.engine.close()
        story.promise()
    checked = check_states(story, fs, moments=[fs.position], limit=4)
    assert checked.disks, what
    if hasattr(story, "engine"):
        # As it stands, without a cut; then it goes on as if nothing had been.
        story.open()
        holds = invariants.check_open(story.engine, story.truth, what)
        invariants.check_promises(story.truth, holds, fs.position, what)
        if len(story.slots) == 5:
            story.lost()
            story.mixed()
            story.flush()
            check_states(story, fs, moments=[fs.position], limit=2)
        story.engine.close()
    return refused


def _go(story: Story, steps: Sequence[crash_steps.Step], what: str) -> int:
    try:
        story.open()
    except StorageError:
        return 1
    refused = 0
    for step in steps:
        if step is Story.look:
            continue
        try:
            step(story)
        except StorageError:
            refused += 1
            if len(story.slots) < 5:
                return refused
            if story.engine.failed and not story.engine._closed:
                _acknowledges_nothing(story, what)
                story.engine.close()
            if story.engine._closed and not _opened(story):
                return refused
    return refused


def _opened(story: Story) -> bool:
    try:
        story.open()
        story.promise()  # what it shows as durable has to be
        if isinstance(story.fs, RecordingFileSystem):
            check_states(story, story.fs, moments=[story.fs.position], limit=3)
        story.lost()
    except StorageError:
        return False
    return True


def _acknowledges_nothing(story: Story, what: str) -> None:
    """Reads go on; nothing is taken, and nothing that waits is promised."""
    engine = story.engine
    for stream in story.slots.values():
        if stream != story.slots[2]:
            engine.read(stream, *invariants.EVERYTHING)
    durable = engine.durable_lsn
    with pytest.raises(EngineClosed):
        story.mixed()
    if engine._wal.last_lsn > durable:
        with pytest.raises(StorageError):
            engine.wait_durable(engine._wal.last_lsn)
    with pytest.raises(StorageError):
        engine.flush()
    invariants.hold("I1", engine.durable_lsn == durable, f"durable after a failure; {what}")


def fail_every_call(
    steps: Sequence[crash_steps.Step],
    code: int,
    *,
    calls: Collection[str],
    once: bool,
    first: int = 0,
    step: int = 1,
) -> int:
    """Fail each call in turn; gives how many were failed."""
    numbers = range(first, count_calls(steps, calls), step)
    refused = 0
    for number in numbers:
        refused += fail_call(steps, number, code, calls=calls, once=once)
    assert refused > 0 or set(calls) <= READS, "no failure was felt"
    return len(numbers)


def fill_up(steps: Sequence[crash_steps.Step], at: int, length: int) -> tuple[int, int]:
    """Let the disk be full during some steps: reading goes on, then writing by itself.

    Returns
    -------
    refused, steps
        Steps that were refused, and how many the disk was full for.
    """
    fs = RecordingFileSystem()
    story = Story(fs, lambda: fs.position, strict=False)
    story.open()
    refused = full = 0
    for number, step in enumerate(steps):
        if number == at:
            fs.capacity_bytes -= fs.free_bytes()
        full += at <= number < at + length
        if number == at + length:
            fs.capacity_bytes = 1 << 40
        if step is Story.look or (step is Story.reopen and at <= number < at + length):
            continue
        try:
            step(story)
        except StorageError as error:
            refused += 1
            what = f"full at step {at}: {error!r} in step {number}"
            invariants.hold("I1", at <= number < at + length, what)
        invariants.hold("I1", story.engine.failed is None, f"{story.engine.failed} of a full disk")
        for stream in [i for i in story.truth.model.samples if i in story.engine.streams()]:
            want = story.truth.model.read(stream, *invariants.EVERYTHING, story.engine.durable_lsn)
            if not story.truth.expiries and not story.truth.imports:
                found = story.engine.read(stream, *invariants.EVERYTHING)
                invariants.hold("I1", len(found) == len(want), f"reads differ at step {number}")
    fs.capacity_bytes = 1 << 40
    story.engine.close()
    story.promise()
    check_states(story, fs, moments=[fs.position], limit=4)
    return refused, full


Fault = Callable[[str, str], int | None]
__all__ = ["NEVER", "READS", "WRITES", "Engine", "FailsAt", "fail_every_call", "fill_up"]
