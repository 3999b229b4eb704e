"""Every disk that a cut may leave, opened and held against the truth; equal ones only once."""

import multiprocessing
from collections.abc import Iterable
from dataclasses import dataclass, field

import invariants
from crash_story import Story

from storage_engine.engine import Engine
from storage_engine.frame import SlotKind
from storage_engine.recording import RecordingFileSystem
from storage_engine.testing import Producer, SampleRow, ValueType

LATER_NS = 1_900_000_000_000_000_000
_DEEPER = 16  # of so many distinct disks one is written to and opened again


@dataclass
class Checked:
    """What was checked: states with their moments, and distinct disks with what they hold."""

    states: int = 0
    disks: dict[bytes, invariants.Holds] = field(default_factory=dict)
    deeper: int = 0

    def add(self, other: "Checked") -> None:
        """Take what another process checked."""
        self.states += other.states
        self.deeper += other.deeper
        self.disks.update(other.disks)

    def told(self) -> str:
        """Counts as words."""
        return f"{self.states} states, {len(self.disks)} distinct, {self.deeper} written to"


def check_disk(
    story: Story, disk: RecordingFileSystem, what: str, position: int
) -> invariants.Holds:
    """Open a disk and check all; gives how much of history it holds."""
    try:
        engine = Engine.open(disk, story.config, story.clock)
    except Exception as error:
        raise invariants.Violation(f"I7: cannot open: {error!r}; {what}") from error
    try:
        holds = invariants.check_open(engine, story.truth, what)
        invariants.check_incarnation(story.truth, engine, position, what)
    finally:
        engine.close()
    return holds


def check_states(
    story: Story,
    fs: RecordingFileSystem,
    *,
    moments: Iterable[int] | None = None,
    limit: int | None = None,
    seed: int = 0,
    checked: Checked | None = None,
) -> Checked:
    """Check the disks of some moments, by default of all.

    Raises
    ------
    Violation
        With what was lost and the moment; ``seed`` draws it again.
    """
    result = Checked() if checked is None else checked
    for moment in range(fs.position + 1) if moments is None else moments:
        for what, disk in fs.crash_states(moment, limit=limit, seed=seed):
            digest = disk.digest()
            holds = result.disks.get(digest)
            if holds is None:
                holds = check_disk(story, disk, what, moment)
                result.disks[digest] = holds
                if len(result.disks) % _DEEPER == 0:
                    goes_on(story, disk, what)
                    result.deeper += 1
            invariants.check_promises(story.truth, holds, moment, what)
            result.states += 1
    return result


def check_with_two_processes(
    story: Story, fs: RecordingFileSystem, seeds: Iterable[int]
) -> Checked:
    """Check all moments without a limit, half of them in each of two processes."""
    result = Checked()
    middle = fs.position * 11 // 20  # later disks are larger
    halves = (range(middle), range(middle, fs.position + 1))
    context = multiprocessing.get_context("fork")
    with context.Pool(2, _take, (story, fs)) as pool:
        for part in pool.imap_unordered(_check_half, [(half, tuple(seeds)) for half in halves]):
            result.add(part)
    return result


_taken: tuple[Story, RecordingFileSystem]


def _take(story: Story, fs: RecordingFileSystem) -> None:
    global _taken  # noqa: PLW0603 - what a forked worker was given
    _taken = (story, fs)


def _check_half(work: tuple[range, tuple[int, ...]]) -> Checked:
    moments, seeds = work
    result = Checked()
    for seed in seeds:
        check_states(*_taken, moments=moments, seed=seed, checked=result)
    return result


def goes_on(story: Story, disk: RecordingFileSystem, what: str) -> None:
    """A store after a cut works: redeliveries are known, a new row stays, the rest is as before."""
    engine = Engine.open(disk, story.config, story.clock)
    known = invariants.tell(engine, story.truth)
    for frame in story.sent:
        envelope = frame.envelope
        epoch, sequence, _ = known.producers.get(envelope.producer_id, (0, 0, 0))
        if (envelope.epoch, envelope.sequence) <= (epoch, sequence):
            again = engine.append(frame).duplicate
            invariants.hold("I4", again, f"a frame is taken twice; {what}")
    series = [i for i, info in engine.streams().items() if info.kind is SlotKind.SERIES]
    target = next((i for i in series if engine.streams()[i].value_type is ValueType.FLOAT64), None)
    if target is not None:
        producer = Producer(b"after the cut...", flags=0)
        engine.bind(producer.producer_id, 1, {0: target})
        row = SampleRow(0, ValueType.FLOAT64, LATER_NS, 0.5)
        lsn = engine.append(producer.frame([row])).lsn
        engine.wait_durable(lsn)
        added = invariants.tell(engine, story.truth)
        expected = [*known.samples[target], *added.samples[target][-1:]]
        invariants.hold("I1", added.samples[target] == expected, f"a new row is not there; {what}")
        invariants.hold("I1", added.samples[target][-1][3] == lsn, f"not the new row; {what}")
        engine.flush()
        engine.close()
        engine = Engine.open(disk, story.config, story.clock)
        found = invariants.tell(engine, story.truth)
        invariants.hold("I8", not engine.findings(), f"damage after going on; {what}")
        for name in ("samples", "events", "streams", "producers"):
            one, other = getattr(added, name), getattr(found, name)
            invariants.hold("I1", one == other, f"{name} differ after going on; {what}")
    engine.close()


def recovers_from_cuts_in_recovery(
    story: Story,
    disk: RecordingFileSystem,
    what: str,
    *,
    depth: int,
    limit: int,
    checked: Checked,
) -> None:
    """Cut the power while a disk is opened, and again while that is opened, ``depth`` times."""
    before = disk.crashed_at
    assert before is not None
    digest = disk.digest()  # before recovery writes to it
    holds = checked.disks[digest] = check_disk(story, disk, what, before)
    invariants.check_promises(story.truth, holds, before, what)
    if not depth:
        return
    for inner, again in disk.crash_states(limit=limit, seed=depth):
        checked.states += 1
        if again.digest() in checked.disks:
            same = checked.disks[again.digest()]
            invariants.hold("I1", same == holds, f"{what}; then {inner}")
            continue
        again.crashed_at = before
        told = f"{what}; then {inner}"
        recovers_from_cuts_in_recovery(
            story, again, told, depth=depth - 1, limit=limit, checked=checked
        )
