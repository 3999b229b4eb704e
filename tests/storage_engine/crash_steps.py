"""One story that uses everything the engine can do, as a list of steps."""

from collections.abc import Callable, Sequence

import invariants
from crash_story import BLOBS, CONFIG, COUNTS, EVENTS, FLOATS, STATES, Story

from storage_engine.backup_verify import verify_backup
from storage_engine.changes import Verb
from storage_engine.config import EngineConfig
from storage_engine.engine import Engine
from storage_engine.recording import RecordingFileSystem
from storage_engine.recording_tree import RecordingTree
from storage_engine.sample import ValueType
from storage_engine.streams import Duplicates
from storage_engine.subtree import Below
from storage_engine.testing import DAY_NS, SECOND_NS, SampleRow, SetClock


def _begin(story: Story) -> None:
    story.create(FLOATS, ValueType.FLOAT64)
    story.create(STATES, ValueType.SYMBOL)
    story.create(EVENTS, None)
    story.create(COUNTS, ValueType.INT64, "short")
    story.create(BLOBS, ValueType.BYTES)


def _first_frames(story: Story) -> None:
    story.mixed()
    story.mixed(observed=False)


def _unacknowledged(story: Story) -> None:
    story.mixed()
    story.mixed(wait=False)
    story.mixed(wait=False, observed=False)


def _acknowledged(story: Story) -> None:
    story.mixed(observed=False)


def _rejected(story: Story) -> None:
    now = story.clock.time_ns
    rows = [SampleRow(FLOATS, ValueType.FLOAT64, now + k, k / 7) for k in range(4)]
    story.append(rows, rejected=[1, 2])


def _one_shot(story: Story) -> None:
    rows = [SampleRow(COUNTS, ValueType.INT64, 77, 7), SampleRow(FLOATS, ValueType.FLOAT64, 7, 1.0)]
    story.once(rows)


def _rebind(story: Story) -> None:
    """The tag changed: its slot means another stream, while a frame of before is on its way."""
    story.mixed(wait=False)
    story.create(FLOATS, ValueType.FLOAT64, "short")
    story.mixed(wait=False)


def _rebind_unseen(story: Story) -> None:
    """The slot changes its meaning while neither frame is durable, and then comes the flush."""
    old = story.slots[FLOATS]
    story.mixed(wait=False)
    alike = story.engine.streams()[old].columns
    infos = story.engine.streams().values()
    others = [info.id for info in infos if info.id != old and info.columns == alike]
    story.slots = {**story.slots, FLOATS: min(others, default=old)}
    story.bind({FLOATS: story.slots[FLOATS]})
    story.mixed(wait=False)


def _epoch(story: Story) -> None:
    """The producer started anew: its slots are bound again."""
    story.producer.epoch += 1
    story.producer.sequence = 0
    story.bind(dict(story.slots))
    story.mixed()


def _large(story: Story) -> None:
    """A frame larger than a log file."""
    now = story.clock.time_ns
    rows = [SampleRow(BLOBS, ValueType.BYTES, now + k, bytes([k]) * 90) for k in range(60)]
    story.append(rows)


def _edit(story: Story) -> None:
    """Say so first, then write the new values with authority; a deletion waits for nothing."""
    start = SetClock().time_ns
    story.change(Verb.EDIT, FLOATS, start, start + 1, wait=False)
    story.append([SampleRow(FLOATS, ValueType.FLOAT64, start, 99.5)], observed=False)
    story.change(Verb.DELETE, FLOATS, start, start + 1, wait=False)
    story.mixed()  # tells the deleted value again
    story.change(Verb.ANNOTATE, STATES, start, start + 1)


def _erase(story: Story) -> None:
    """Rows in segments and in memory; what comes behind it stays."""
    now = story.clock.time_ns
    story.mixed(observed=False)
    story.change(Verb.ERASE, COUNTS, now - 101 * DAY_NS, now - 99 * DAY_NS)
    story.change(Verb.ERASE, BLOBS, now, now + SECOND_NS, wait=False)
    story.mixed(wait=False)
    story.change(Verb.DELETE, EVENTS, now - 2 * SECOND_NS, now)


def _compact(story: Story) -> None:
    story.engine.compact(_no_pace)


def _finish_erasures(story: Story) -> None:
    story.engine.finish_erasures(_no_pace)


def _import(story: Story) -> None:
    """Two pieces; the second has rows that are newer than all, and one that is known."""
    start = SetClock().time_ns - 3000 * DAY_NS
    for piece in range(2):
        rows = [
            SampleRow(COUNTS, ValueType.INT64, start + (9 * piece + k) * DAY_NS, k - piece)
            for k in range(10)
        ]
        story.bring(rows)
    story.bring([SampleRow(FLOATS, ValueType.FLOAT64, story.clock.time_ns + DAY_NS, -0.0)])


def _backup(story: Story) -> None:
    """Into a repository elsewhere, which holds what the store does, or says what it does not."""
    repository = RecordingTree()
    facts = story.engine.backup(repository, "one")
    found = verify_backup(repository, "one", story.config, story.clock)
    invariants.hold("I8", found.whole or bool(facts.damage), f"a backup that is not whole: {found}")
    if story.strict:
        inside = Below(repository, "one/engine")
        held = Engine.open(inside, story.config, story.clock, read_only=True)
        invariants.check_open(held, story.truth, "in a backup")
        held.close()


def _expire(story: Story) -> None:
    story.expire("default", 50 * DAY_NS)


def _no_pace(size_bytes: int) -> None:
    """As fast as it goes."""


def _settings(story: Story) -> None:
    story.set(FLOATS, "long", Duplicates.FIRST)
    story.set(COUNTS, "default", Duplicates.ALL)


Step = Callable[[Story], None]
# Every feature of the engine is an entry; a new one belongs here, in any place where it is legal.
STEPS: tuple[Step, ...] = (
    _begin,
    _first_frames,
    Story.flush,
    _acknowledged,
    _unacknowledged,
    Story.look,
    Story.flush,
    _rejected,
    Story.grow,
    _one_shot,
    _edit,
    _rebind,
    Story.flush,
    _settings,
    _erase,
    _acknowledged,
    _compact,
    _import,
    _acknowledged,
    _backup,
    Story.reopen,
    _rebind_unseen,
    Story.flush,
    _acknowledged,
    _edit,
    Story.flush,
    _epoch,
    _large,
    _erase,
    _compact,
    _acknowledged,
    _expire,
    _acknowledged,
    _finish_erasures,
    _unacknowledged,
    _backup,
    Story.reopen,
    _acknowledged,
    Story.flush,
    _unacknowledged,
    Story.flush,  # the last frames are in no log yet, so they may be in no manifest either
    Story.look,
)


def play(
    fs: RecordingFileSystem, steps: Sequence[Step] = STEPS, config: EngineConfig = CONFIG
) -> Story:
    """Tell the story on a recording disk."""
    story = Story(fs, lambda: fs.position, config)
    story.open()
    for step in steps:
        step(story)
    return story
