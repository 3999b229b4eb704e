"""engine_erasure.py: erased rows are on no medium afterwards, and what holds them is named."""

import pytest

from storage_engine.changes import Change, Verb
from storage_engine.config import EngineConfig
from storage_engine.engine import Engine
from storage_engine.frame import SlotKind
from storage_engine.recording import RecordingFileSystem
from storage_engine.sample import Column, ValueType
from storage_engine.testing import DAY_NS, Producer, SampleRow, SetClock, plain_samples

CONFIG = EngineConfig(
    head_bytes_max=1 << 16,
    wal_file_bytes=4096,
    wal_pending_bytes_max=1 << 20,
    block_rows=16,
    free_bytes_min=0,
    record_time_step_ms=0,
)
EVERYTHING = (-(2**63), 2**63 - 1)
SECRET = "operator 4711 was ill"


def files_with(fs: RecordingFileSystem, directory: str, text: bytes) -> list[str]:
    """Paths of files whose bytes hold a text."""
    found = []
    for name in fs.list(directory):
        path = name if directory == "." else f"{directory}/{name}"
        found += files_with(fs, path, text)
        is_file = "." in name or (name.isalnum() and len(name) == 16)
        if is_file and text in fs.open_read(path).read_at(0, fs.size(path)):
            found.append(path)
    return found


class Plant:
    """A series of texts with a secret among them."""

    def __init__(self) -> None:
        self.fs, self.clock = RecordingFileSystem(), SetClock()
        self.engine = Engine.open(self.fs, CONFIG, self.clock)
        column = (Column("value", ValueType.TEXT),)
        self.stream = self.engine.create_stream(b"a" * 16, SlotKind.SERIES, column)
        self.producer = Producer(b"p" * 16)
        self.engine.bind(b"p" * 16, 1, {0: self.stream})

    def write(self, time_ns: int, text: str) -> None:
        row = SampleRow(0, ValueType.TEXT, time_ns, text)
        self.engine.wait_durable(self.engine.append(self.producer.frame([row])).lsn)

    def erase(self, start_ns: int, end_ns: int) -> int:
        change = Change(Verb.ERASE, self.stream, start_ns, end_ns, "ann", "asked to")
        lsn = self.engine.change(change)
        self.engine.wait_durable(lsn)
        return lsn

    def texts(self) -> list[object]:
        return [row[2] for row in plain_samples(self.engine.read(self.stream, *EVERYTHING))]


@pytest.fixture
def plant() -> Plant:
    plant = Plant()
    now = plant.clock.time_ns
    for day in (0, 40, 900):
        plant.write(now - day * DAY_NS, SECRET)
        plant.write(now - day * DAY_NS + 1, "fine")
        plant.engine.flush()
    plant.write(now + 2, SECRET)
    return plant


def test_what_is_erased_is_read_no_more_and_then_nowhere_on_disk(plant: Plant) -> None:
    """Log, spare, old generations and segments are looked through byte by byte."""
    now = plant.clock.time_ns
    assert files_with(plant.fs, ".", SECRET.encode())
    for day in (0, 40, 900):
        plant.erase(now - day * DAY_NS, now - day * DAY_NS + 1)
    plant.erase(now + 2, now + 3)

    assert plant.texts() == ["fine"] * 3
    assert all(one.waits_for for one in plant.engine.erasures())

    left = plant.engine.finish_erasures(lambda size: None)

    assert left == ()
    assert plant.engine.erasures() == ()
    assert files_with(plant.fs, ".", SECRET.encode()) == []
    plant.engine.close()
    plant.engine = Engine.open(plant.fs, CONFIG, plant.clock)
    assert plant.texts() == ["fine"] * 3
    assert plant.engine.erasures() == ()
    assert plant.engine.findings() == []


def test_a_reader_that_holds_old_files_is_named_and_the_next_call_finishes(plant: Plant) -> None:
    """A promise is not called kept while somebody may still read the rows."""
    now = plant.clock.time_ns
    held = plant.engine._state.segments
    plant.erase(now, now + 1)

    left = plant.engine.finish_erasures(lambda size: None)

    assert len(left) == 1
    assert any(path.startswith("segments/") for path in left[0].waits_for)
    del held
    assert plant.engine.finish_erasures(lambda size: None) == ()
    assert plant.texts() == [SECRET, "fine", SECRET, "fine", "fine", SECRET]


def test_a_damaged_segment_keeps_the_erasure_open(plant: Plant) -> None:
    """Nothing is deleted in the name of repair, so it is said instead."""
    now = plant.clock.time_ns
    plant.erase(now, now + 1)
    path = next(info.path for info in plant.engine._state.segments if info.last == now + 1)
    plant.fs.open_write(path).write_at(64 + 40, b"\xff\xff")
    plant.engine._reader.forget()

    left = plant.engine.finish_erasures(lambda size: None)

    assert [path] == [one for erasure in left for one in erasure.waits_for if one == path]
    assert plant.fs.exists(path)
