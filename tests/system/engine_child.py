"""An engine in a process of its own that uses a real directory and says what it acknowledged.

It tells the story of ``crash_steps`` (or writes frames without end); after each promise the count
of promises goes to the parent through a pipe, which outlives a kill. The story is the same every
time, so the parent holds the store against its own telling of it.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "storage_engine"))
import crash_steps
from crash_story import CONFIG, Story
from invariants import Truth

from storage_engine.errors import StorageError
from storage_engine.filesystem import RealFileSystem
from storage_engine.frame import SlotKind
from storage_engine.recording import RecordingFileSystem
from storage_engine.sample import Column, ValueType
from storage_engine.testing import Producer, SampleRow

LOAD = b"load............"
VALUE = Column("value", ValueType.FLOAT64)
SETTINGS = replace(CONFIG, block_rows=64)
STEPS = (
    crash_steps._begin,
    crash_steps._first_frames,
    Story.flush,
    crash_steps._edit,
    Story.grow,
    Story.flush,
    crash_steps._unacknowledged,
    crash_steps._compact,
    crash_steps._import,
    Story.reopen,
    crash_steps._erase,
    crash_steps._large,
    crash_steps._expire,
    crash_steps._finish_erasures,
    crash_steps._acknowledged,
    Story.flush,
    crash_steps._acknowledged,
)
BEFORE_REOPEN = STEPS[: STEPS.index(Story.reopen)]


@dataclass
class Counted(Truth):
    """A truth whose positions count promises."""

    count: int = 0
    tell: Callable[[int], None] = field(default=lambda count: None)

    def _one_more(self) -> int:
        self.count += 1
        return self.count

    def promise(self, position: int, lsn: int) -> None:
        """Count it, note it, say it."""
        del position
        super().promise(self._one_more(), lsn)
        self.tell(self.count)

    def imported(self, position, lsn, samples, slots) -> None:
        """Likewise; one that failed is noted only."""
        if position < 1 << 62:
            position = self._one_more()
        super().imported(position, lsn, samples, slots)
        self.tell(self.count)


def story_at(home: Path | None, tell: Callable[[int], None] = lambda count: None) -> Story:
    """A story on a real directory, or in memory."""
    truth = Counted(tell=tell)
    fs = RecordingFileSystem() if home is None else RealFileSystem(home)
    return Story(fs, lambda: truth.count, SETTINGS, truth=truth)


def truth_of(steps: Sequence[crash_steps.Step]) -> Counted:
    """What a whole run promises and submits."""
    story = story_at(None)
    story.open()
    for step in steps:
        step(story)
    return story.truth


def tell_story(home: str, pipe: Connection, *, committer: bool) -> None:
    """Wait for a go, then tell the story; with ``committer`` wait again, the log's thread named."""
    story = story_at(Path(home), lambda count: pipe.send(("promised", count)))
    story.fs.make_directories(".")
    if not committer:
        pipe.recv()
    before = _threads()
    story.open()
    if committer:
        pipe.send(("thread", _threads() - before))
        pipe.recv()
    for step in BEFORE_REOPEN if committer else STEPS:
        try:
            step(story)
        except StorageError as error:
            refused(story, pipe, error)
            return
    story.engine.close()
    pipe.send(("ended", story.truth.count))


def _threads() -> set[int]:
    return {int(task.name) for task in Path("/proc/self/task").iterdir()}


def refused(story: Story, pipe: Connection, error: StorageError) -> None:
    """A failure was felt: from here on nothing may be acknowledged, while reads go on."""
    pipe.send(("refused", repr(error)))
    before = story.truth.count
    for _ in range(3):
        try:
            story.mixed()
        except StorageError:
            continue
    for stream in story.slots.values():
        info = story.engine.streams()[stream]
        if info.kind.name == "SERIES":
            story.engine.read(stream, -(2**63), 2**63 - 1)
    failed = story.engine.failed
    story.engine.close()
    pipe.send(("after", (story.truth.count - before, failed)))


def write_on(home: str, pipe: Connection, sequence: int) -> None:
    """Frames without end, with flushes and compactions; each promise is the number of a frame."""
    story = story_at(Path(home))
    story.fs.make_directories(".")
    story.open()
    engine = story.engine
    stream = engine.create_stream(LOAD, SlotKind.SERIES, (VALUE,))
    producer = Producer(b"p" * 16)
    state = engine.producer(producer.producer_id)
    if state is not None:
        producer.sequence, producer.previous_crc = state.sequence, state.crc
    assert producer.sequence >= sequence, f"frame {sequence} was acknowledged"
    engine.bind(producer.producer_id, 1, {0: stream})
    pipe.send(("open", producer.sequence))
    while True:
        number = producer.sequence + 1
        rows = [SampleRow(0, VALUE.type, *row) for row in rows_of(number)]
        lsn = engine.append(producer.frame(rows)).lsn
        if number % 3:
            engine.wait_durable(lsn)
            pipe.send(("promised", number))
        if number % 7 == 0:
            engine.flush()
        if number % 29 == 0:
            engine.compact(lambda size: None)


def rows_of(number: int) -> list[tuple[int, float]]:
    """Times and values of a numbered frame; every fifth one comes late."""
    at = 1_750_000_000_000_000_000 + number * 1_000_000_000
    at -= (number % 5 == 0) * 200 * 86_400_000_000_000
    return [(at + k, number + k / 16) for k in range(12)]
