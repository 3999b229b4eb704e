"""engine.py after a power cut: every legal disk opens, and holds what was acknowledged, once."""

import errno
from collections.abc import Callable
from dataclasses import replace

import pytest

from storage_engine.config import EngineConfig
from storage_engine.engine import Engine
from storage_engine.errors import StorageError
from storage_engine.flushing import Flusher
from storage_engine.frame import FLAG_OBSERVED, SlotKind
from storage_engine.prepare import prepare
from storage_engine.recording import RecordingFile, RecordingFileSystem
from storage_engine.sample import Column, ValueType
from storage_engine.state import Frozen, State
from storage_engine.testing import (
    DAY_NS,
    SECOND_NS,
    EventRow,
    Model,
    Producer,
    SampleRow,
    SetClock,
    plain_events,
    plain_samples,
)
from storage_engine.wal import Wal

CONFIG = EngineConfig(
    head_bytes_max=2048,
    wal_file_bytes=4096,
    wal_pending_bytes_max=1 << 20,
    block_rows=8,
    free_bytes_min=0,
    record_time_step_ms=0,
)
EVENT_COLUMNS = (Column("unit", ValueType.TEXT),)
EVERYTHING = (-(2**63), 2**63 - 1)
PRODUCER = b"p" * 16


class Story:
    """A script of writes with what was acknowledged when, told to the disk's log."""

    def __init__(self, fs: RecordingFileSystem) -> None:
        self.fs = fs
        self.clock = SetClock()
        self.model = Model()
        self.producer = Producer(PRODUCER)
        self.acknowledged: list[tuple[int, int, int]] = []  # position, lsn, sequence
        self.created: list[tuple[int, bytes, int]] = []  # position, uuid, id
        self.appended: list[tuple[int, int]] = []  # lsn, sequence
        self.engine = Engine.open(fs, CONFIG, self.clock)
        self.incarnation = (fs.position, self.engine.incarnation)
        self.slots: dict[int, int] = {}

    def create(self, slot: int, value_type: ValueType | None) -> None:
        uuid = bytes([slot + 1, len(self.created)]) * 8
        kind = SlotKind.EVENTS if value_type is None else SlotKind.SERIES
        columns = EVENT_COLUMNS if value_type is None else (Column("value", value_type),)
        self.slots[slot] = self.engine.create_stream(uuid, kind, columns)
        self.created.append((self.fs.position, uuid, self.slots[slot]))
        self.engine.bind(PRODUCER, 1, {slot: self.slots[slot]})

    def append(self, number: int, *, wait: bool = True, observed: bool = True) -> None:
        base = self.clock.time_ns + number * SECOND_NS
        late = base - 100 * DAY_NS if number % 3 == 0 else base
        samples = [SampleRow(0, ValueType.FLOAT64, base + k, number + k / 8) for k in range(6)]
        samples.append(SampleRow(0, ValueType.FLOAT64, self.clock.time_ns, float(number % 2)))
        samples.append(SampleRow(1, ValueType.SYMBOL, late, f"state {number % 2}"))
        events = [EventRow(2, base, bytes([number]) * 16, (f"unit {number}",))]
        flags = FLAG_OBSERVED if observed else 0
        frame = self.producer.frame(samples, events, EVENT_COLUMNS, flags=flags)
        lsn = self.engine.append(frame).lsn
        self.appended.append((lsn, self.producer.sequence))
        self.model.append(lsn, samples, events, slots=self.slots, observed=observed)
        if wait:
            self.engine.wait_durable(lsn)
            self.acknowledged.append((self.fs.position, lsn, self.producer.sequence))

    def reopen(self) -> None:
        self.engine.close()
        self.engine = Engine.open(self.fs, CONFIG, self.clock)


def tell(fs: RecordingFileSystem) -> Story:
    """Appends, flushes, a reopen, and frames that nobody waits for."""
    story = Story(fs)
    perform(story)
    return story


def perform(story: Story) -> None:
    """Play the script."""
    story.create(0, ValueType.FLOAT64)
    story.create(1, ValueType.SYMBOL)
    story.create(2, None)
    story.append(1)
    story.append(2, observed=False)
    story.engine.flush()
    story.append(3)
    story.append(4, wait=False)
    story.append(5)
    story.engine.flush()
    story.append(6, observed=False)
    story.reopen()
    story.append(7)
    story.engine.flush()
    story.append(8)
    story.append(9, wait=False)
    story.engine.flush()  # frame 9 is in no log yet, so it may be in no manifest either


def check(story: Story, disk: RecordingFileSystem, what: str) -> None:
    """Open a disk and hold it against the story as far as it was acknowledged by then."""
    cut = disk.crashed_at
    assert cut is not None
    engine = Engine.open(disk, CONFIG, story.clock)
    assert [] == engine.findings(), what
    if cut >= story.incarnation[0]:
        assert story.incarnation[1] == engine.incarnation, what
    for position, uuid, stream_id in story.created:
        if position <= cut:
            assert uuid == engine.streams()[stream_id].uuid, what
    state = engine.producer(PRODUCER)
    sequence = state.sequence if state else 0
    promised = max((n for position, _, n in story.acknowledged if position <= cut), default=0)
    assert sequence >= promised, what
    known = max((lsn for lsn, n in story.appended if n <= sequence), default=0)
    # All frames up to the producer's state, and nothing behind it: a prefix.
    for stream_id, info in engine.streams().items():
        if info.kind is SlotKind.SERIES:
            expected = story.model.read(stream_id, *EVERYTHING, known, every=True)
            found = engine.read(stream_id, *EVERYTHING, all_revisions=True)
            assert expected == plain_samples(found), what
            newest = engine.latest([stream_id])
            assert bool(expected) == newest.present[0], what
            assert not expected or expected[-1][0] == newest.timestamp_ns[0], what
        else:
            events = engine.read_events(stream_id, *EVERYTHING)
            assert story.model.read_events(stream_id, *EVERYTHING, known) == plain_events(events)
    engine.close()


def moments(count: int, parts: int, part: int) -> range:
    """Every ``parts``-th moment, so that the cases share the work."""
    return range(part, count + 1, parts)


def check_all(story: Story, fs: RecordingFileSystem, parts: int = 1, part: int = 0) -> int:
    states = 0
    for moment in moments(fs.position, parts, part):
        for what, disk in fs.crash_states(moment, limit=6):
            check(story, disk, what)
            states += 1
    return states


@pytest.mark.parametrize("part", range(4))
def test_every_disk_after_a_power_cut_holds_the_acknowledged_prefix(part: int) -> None:
    """I1 to I7: acknowledged rows bit-exact, nothing twice, nothing phantom, open never raises."""
    fs = RecordingFileSystem()
    story = tell(fs)

    states = check_all(story, fs, 4, part)

    assert states > 100


def unsynced_segments(patch: pytest.MonkeyPatch) -> None:
    sync = RecordingFile.sync

    def plant(file: RecordingFile) -> None:
        if not file._path.startswith("segments"):
            sync(file)

    patch.setattr(RecordingFile, "sync", plant)


def producers_ahead_of_the_log(patch: pytest.MonkeyPatch) -> None:
    freeze = State.freeze

    def plant(state: State, rows_min: int = 1) -> Frozen:
        ahead = replace(freeze(state, rows_min), states=dict(state.producers.states))
        state.frozen = (*state.frozen[:-1], ahead)
        return ahead

    patch.setattr(State, "freeze", plant)


def log_cut_before_the_manifest(patch: pytest.MonkeyPatch) -> None:
    flush = Flusher.flush

    def plant(flusher: Flusher, wal: Wal) -> None:
        wal.rotate()
        wal.drop_before(wal.last_lsn + 1)
        flush(flusher, wal)

    patch.setattr(Flusher, "flush", plant)


@pytest.mark.parametrize(
    "plant",
    [unsynced_segments, producers_ahead_of_the_log, log_cut_before_the_manifest],
)
def test_the_harness_finds_a_planted_bug(
    plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check that cannot fail proves nothing."""
    fs = RecordingFileSystem()
    plant(monkeypatch)
    story = tell(fs)
    monkeypatch.undo()

    with pytest.raises(AssertionError):
        check_all(story, fs)


def test_a_cut_while_recovering_changes_nothing() -> None:
    """Recovery writes too; a second cut during it must leave the same rows."""
    fs = RecordingFileSystem()
    story = tell(fs)
    states = 0
    for _, disk in fs.crash_states(fs.position, limit=3):
        first = disk.crashed_at
        Engine.open(disk, CONFIG, story.clock).close()
        for moment in range(0, disk.position + 1, 2):
            for what, again in disk.crash_states(moment, limit=3):
                again.crashed_at = first
                check(story, again, what)
                states += 1

    assert states > 20


def test_a_frame_delivered_again_after_a_cut_is_stored_once() -> None:
    """The producer's state and its rows live or die together."""
    fs = RecordingFileSystem()
    story = Story(fs)
    for slot, value_type in enumerate((ValueType.FLOAT64, ValueType.SYMBOL, None)):
        story.create(slot, value_type)
    story.append(1)
    before = fs.position
    producer = Producer(PRODUCER, sequence=1, previous_crc=story.producer.previous_crc)
    row = SampleRow(0, ValueType.FLOAT64, 7, 1.0)
    frame = producer.frame([row], flags=0)
    story.engine.wait_durable(story.engine.append(frame).lsn)
    story.engine.flush()

    for moment in range(before, fs.position + 1):
        for what, disk in fs.crash_states(moment, limit=4):
            engine = Engine.open(disk, CONFIG, story.clock)
            engine.bind(PRODUCER, 1, story.slots)
            engine.wait_durable(engine.append(frame).lsn)
            found = engine.read(story.slots[0], 7, 8, all_revisions=True)
            assert [1.0] == found.value.objects(), what
            assert engine.producer(PRODUCER).sequence == 2
            engine.close()


def fail_call(fs: RecordingFileSystem, number: int, code: int) -> list[str]:
    """Let the numbered call fail, and every later write and sync as well; gives calls seen."""
    seen: list[str] = []

    def fault(what: str, _path: str) -> int | None:
        seen.append(what)
        return code if len(seen) > number else None

    fs.fault = fault
    return seen


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("part", range(2))
def test_a_disk_that_refuses_from_any_call_on_costs_nothing_acknowledged(
    code: int, part: int
) -> None:
    """F7 and F8: errors come out as errors, and a reopen finds all that was acknowledged."""
    fs = RecordingFileSystem()
    calls = fail_call(fs, 10**9, code)
    tell(fs)
    refused = 0
    for number in range(part, len(calls), 4):
        fs = RecordingFileSystem()
        fail_call(fs, number, code)
        story = None
        try:
            story = Story(fs)
            perform(story)
        except StorageError:
            refused += 1
        fs.fault = None
        if story is not None:
            story.engine.close()
        fs.crashed_at = 10**9 if story is not None else 0
        if story is None:
            Engine.open(fs, CONFIG, SetClock()).close()
        else:
            check(story, fs, f"call {number}")
    assert refused > 20


def test_a_slot_bound_anew_beside_an_append_means_the_same_after_a_cut(monkeypatch) -> None:
    """A replay maps a frame by the log's order, so the append has to do so, too."""
    fs = RecordingFileSystem()
    story = Story(fs)
    story.create(0, ValueType.FLOAT64)
    old = story.slots[0]
    story.create(0, ValueType.FLOAT64)
    story.engine.bind(PRODUCER, 1, {0: old})

    def meanwhile(*arguments):
        prepared = prepare(*arguments)
        story.engine.bind(PRODUCER, 1, story.slots)
        return prepared

    monkeypatch.setattr("storage_engine.engine_writes.prepare", meanwhile)
    row = SampleRow(0, ValueType.FLOAT64, 7, 1.5)
    story.engine.wait_durable(story.engine.append(story.producer.frame([row])).lsn)
    monkeypatch.undo()
    before = [len(story.engine.read(one, *EVERYTHING)) for one in (old, story.slots[0])]
    story.reopen()

    after = [len(story.engine.read(one, *EVERYTHING)) for one in (old, story.slots[0])]
    assert 1 == sum(before)
    assert before == after
