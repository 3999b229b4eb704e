"""A store of a given size with every kind of file, damaged at one place at a time.

A segment is read, not opened: opening a store reads manifests and the log only (a test holds that
fast), so for damage in a segment one engine stays open, forgets what it had cached of that segment,
and reads every stream of it again. For damage anywhere else the store is opened anew for each
place; blocks of its sound segments come decoded from the cache of the first engine.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import crash_steps
import invariants
from crash_story import BLOBS, CONFIG, COUNTS, EVENTS, FLOATS, STATES, Story
from invariants import EVERYTHING, hold

from storage_engine.engine import Engine
from storage_engine.errors import StorageError
from storage_engine.filesystem import File
from storage_engine.findings import Findings
from storage_engine.frame import SlotKind
from storage_engine.recording import RecordingFileSystem
from storage_engine.recording_states import Disk
from storage_engine.sample import ValueType
from storage_engine.segment.layout import SegmentInfo
from storage_engine.testing import DAY_NS, EventRow, SampleRow, plain_events, plain_samples
from storage_engine.wal_record import SPARE

_STEPS = (
    crash_steps._begin,
    crash_steps._first_frames,
    Story.flush,
    crash_steps._edit,
    Story.grow,
    crash_steps._rebind,
    Story.flush,
    crash_steps._import,
)


def build(size_bytes: int) -> tuple[Story, Disk]:
    """Tell a story until the store has a size; it ends with a log that is not flushed."""
    fs = RecordingFileSystem()
    story = crash_steps.play(fs, _STEPS, replace(CONFIG, block_rows=64))
    rng = random.Random(size_bytes)
    day = 0
    # What only the older generation names goes at the end.
    while _size(fs.disk()) < size_bytes * 9 // 8:
        day += 1
        story.append(*_rows(story, rng, day))
        story.flush()
    crash_steps._erase(story)
    story.flush()
    for _ in range(3):  # log files of the large frames go
        crash_steps._edit(story)
        story.flush()
    crash_steps._acknowledged(story)
    crash_steps._import(story)  # in no log: a damaged manifest must not cost it
    story.engine.close()
    return story, fs.disk()


def _rows(story: Story, rng: random.Random, day: int) -> tuple[list[SampleRow], list[EventRow]]:
    """Rows of one day of the past, hard to compress, of every type."""
    at = story.clock.time_ns - (200 + day) * DAY_NS
    samples = [
        SampleRow(FLOATS, ValueType.FLOAT64, at + k * 10**9, rng.gauss(0, 1), k % 3 << 30)
        for k in range(1500)
    ]
    samples += [
        SampleRow(BLOBS, ValueType.BYTES, at + k * 10**9, rng.randbytes(60)) for k in range(300)
    ]
    samples += [
        SampleRow(STATES, ValueType.SYMBOL, at + k * 10**9, rng.choice(["run", "stop", None]))
        for k in range(200)
    ]
    samples += [
        SampleRow(COUNTS, ValueType.INT64, at + k * 10**9, rng.getrandbits(62)) for k in range(200)
    ]
    events = [
        EventRow(EVENTS, at + k * 10**9, rng.randbytes(16), (f"unit {rng.random()}", k / 7))
        for k in range(100)
    ]
    return samples, events


def _size(disk: Disk) -> int:
    return sum(map(len, disk.contents.values()))


@dataclass
class Tally:
    """Places that were damaged, by what came of it."""

    places: int = 0
    named: int = 0
    rows_missed: int = 0
    lost_most: int = 0

    def add(self, other: "Tally") -> None:
        """Take the counts of another process."""
        self.places += other.places
        self.named += other.named
        self.rows_missed += other.rows_missed
        self.lost_most = max(self.lost_most, other.lost_most)


@dataclass(frozen=True)
class Mutation:
    """A change of a file's bytes from ``first`` to before ``end``."""

    change: Callable[[File], None]
    first: int
    end: int


def flip(offset: int, bit: int | None = None) -> Mutation:
    """One bit of a byte; unless told which, another one at every place."""
    chosen = (offset * 5 + 3) % 8 if bit is None else bit

    def change(file: File) -> None:
        (byte,) = file.read_at(offset, 1)
        file.write_at(offset, bytes([byte ^ 1 << chosen]))

    return Mutation(change, offset, offset + 1)


def cut(size: int) -> Mutation:
    """The file ends early."""
    return Mutation(lambda file: file.truncate(size), size, 1 << 62)


@dataclass
class Damaged:
    """A sound store and its truth; each check damages a copy."""

    story: Story
    disk: Disk
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        self.paths = sorted(self.disk.names)
        self._fs = RecordingFileSystem(self.disk)
        self._engine = Engine.open(self._fs, self.story.config, self.story.clock)
        invariants.check_open(self._engine, self.story.truth, "the sound store")
        self._sound = invariants.tell(self._engine, self.story.truth)
        model = self.story.truth.model
        self._sent: dict[int, set] = {
            stream: {(time, quality, value, lsn) for time, lsn, _, quality, value in rows}
            for stream, rows in model.samples.items()
        }
        for stream, events in model.events.items():
            width = len(self._engine.streams()[stream].columns)
            self._sent[stream] = {
                (time, key, values + (None,) * (width - len(values)), lsn)
                for time, key, lsn, values in events
            }
        self._infos = {info.path: info for info in self._engine._state.segments}
        self._blocks = {path: self._blocks_of(info) for path, info in self._infos.items()}
        self._streams = {path: self._streams_of(info) for path, info in self._infos.items()}

    def size(self, path: str) -> int:
        """Bytes of a file."""
        return len(self.disk.contents[self.disk.names[path]])

    def live(self, path: str) -> bool:
        """Whether it is a segment that reads need."""
        return path in self._infos

    def _blocks_of(self, info: SegmentInfo) -> list[tuple[int, int]]:
        directory = self._engine._reader.directory(info)
        assert directory is not None
        begin, size = directory.table["block_offset"].tolist(), directory.table["block_length"]
        return list(zip(begin, (size + begin).tolist(), strict=True))

    def _streams_of(self, info: SegmentInfo) -> list[tuple[int, int, int, list]]:
        """Streams of a segment with their times and what a sound store reads there."""
        directory = self._engine._reader.directory(info)
        assert directory is not None
        table, found = directory.table, []
        for stream in sorted(set(table["run_stream"].tolist())):
            runs = directory.runs_of(stream)
            first, last = int(table["run_first"][runs].min()), int(table["run_last"][runs].max())
            found.append((stream, first, last + 1, self._read(stream, first, last + 1)[0]))
        return found

    def _read(self, stream: int, start: int, end: int) -> tuple[list, tuple]:
        if self._engine.streams()[stream].kind is SlotKind.SERIES:
            columns = self._engine.read(stream, start, end, all_revisions=True)
            return plain_samples(columns), columns.damage
        events = self._engine.read_events(stream, start, end, conflicts=True)
        return plain_events(events), events.damage

    def check(self, path: str, mutation: Mutation, what: str) -> None:
        """Damage a file; a violation is anything but the right answer or a named loss."""
        self.tally.places += 1
        if path in self._infos:
            self._check_segment(path, mutation, what)
        else:
            self._check_other(path, mutation, what)

    def _check_segment(self, path: str, mutation: Mutation, what: str) -> None:
        info, content = self._infos[path], self._fs._data[self.disk.names[path]]
        before, reader = content.held, self._engine._reader
        mutation.change(self._fs.open_write(path))
        findings = self._engine._found = reader._findings = Findings(99)
        try:
            self._forget(info, mutation)
            reader._aside.clear()
            for stream, start, end, want in self._streams[path]:
                found, damage = self._read(stream, start, end)
                if damage or found != want:
                    self._judge(stream, want, found, what)
                    hold("I8", bool(damage), f"rows of {stream} miss without a word; {what}")
                    named = {one.path for one in (*damage, *findings.list())}
                    hold("I8", named == {path}, f"{named} is named; {what}")
            self.tally.named += bool(findings.list())
        except (StorageError, ValueError, KeyError, IndexError, OverflowError) as error:
            raise invariants.Violation(f"I7: a read raises {error!r}; {what}") from error
        finally:
            content.held = before
            self._forget(info, mutation)
            reader._aside.clear()

    def _forget(self, info: SegmentInfo, mutation: Mutation) -> None:
        """Let go of the directory, which every byte may concern, and of the blocks changed."""
        reader = self._engine._reader
        reader._directories._entries.pop(info.id, None)
        for number, (begin, end) in enumerate(self._blocks[info.path]):
            if begin < mutation.end and mutation.first < end:
                reader._blocks._entries.pop((info.id, number), None)

    def _judge(self, stream: int, want: list, found: list, what: str) -> int:
        """Rows that are there were sent, and are there once; gives how many miss."""
        hold("I4", len(set(found)) == len(found), f"rows of {stream} are doubled; {what}")
        foreign = set(found) - self._sent.get(stream, set())
        hold("I2", not foreign, f"{list(foreign)[:2]} in {stream} was never sent; {what}")
        missed = len(set(want) - set(found))
        self.tally.rows_missed += missed
        self.tally.lost_most = max(self.tally.lost_most, missed)
        return missed

    def _check_other(self, path: str, mutation: Mutation, what: str) -> None:
        fs = RecordingFileSystem(self.disk)
        mutation.change(fs.open_write(path))
        try:
            engine = Engine.open(fs, self.story.config, self.story.clock)
        except Exception as error:
            raise invariants.Violation(f"I7: cannot open: {error!r}; {what}") from error
        if {info.path for info in engine._state.segments} <= set(self._infos):
            engine._reader._blocks = self._engine._reader._blocks
            engine._reader._directories = self._engine._reader._directories
        found = invariants.tell(engine, self.story.truth)
        named = engine.findings()
        torn = engine._wal.torn
        self.tally.named += bool(named)
        if found != self._sound:
            if not named:
                # A tail that no sync vouched for is nobody's loss; an acknowledged row is.
                told = "; ".join(list(invariants.differences(self._sound, found))[:3])
                raise invariants.Violation(f"I8: unnamed: {told}; torn {torn}; {what}")
            for stream, want in (*self._sound.samples.items(), *self._sound.events.items()):
                have = found.samples.get(stream, found.events.get(stream, []))
                self._judge(stream, want, have, what)
        engine.close()
        kept = {one.rsplit("/", 1)[-1] for one in fs.disk().names}  # moved to damaged/, by name
        missing = [one for one in self.paths if one.rsplit("/", 1)[-1] not in kept | {SPARE}]
        hold("I9", not missing, f"{missing} were removed; {what}")

    def reads_of_open(self) -> set[str]:
        """First parts of the paths that opening the store reads."""
        seen: set[str] = set()
        fs = RecordingFileSystem(self.disk)

        def note(what: str, path: str) -> None:
            if what in {"read", "open"}:
                seen.add(path.split("/", maxsplit=1)[0])

        fs.fault = note
        Engine.open(fs, self.story.config, self.story.clock)
        return seen


def places(damaged: Damaged, first: int, step: int) -> Iterator[tuple[str, int]]:
    """Every ``step``-th byte of all files, counted through, beginning with ``first``."""
    at = first
    for path in damaged.paths:
        size = damaged.size(path)
        while at < size:
            yield path, at
            at += step
        at -= size


__all__ = ["EVERYTHING", "Damaged", "Tally", "build", "cut", "flip", "places"]
