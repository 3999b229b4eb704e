"""A store with every kind of file and row, and ways to damage one of its files."""

import random

from storage_engine.changes import Change, Verb
from storage_engine.config import EngineConfig
from storage_engine.engine import Engine
from storage_engine.frame import SlotKind
from storage_engine.recording import RecordingFileSystem
from storage_engine.sample import Column, ValueType
from storage_engine.testing import (
    DAY_NS,
    EventRow,
    Producer,
    SampleRow,
    SetClock,
    plain_events,
    plain_samples,
)
from storage_engine.tools.dump import Dump
from storage_engine.tools.plain import Filter

CONFIG = EngineConfig(
    head_bytes_max=1 << 17,
    wal_file_bytes=8192,
    wal_pending_bytes_max=1 << 20,
    block_rows=16,
    free_bytes_min=0,
    record_time_step_ms=0,
)
EVER = (-(2**63), 2**63 - 1)
SLOW = 10  # series of two rows a frame: they share blocks
TEXT, EVENTS = SLOW, SLOW + 1
EVENT_COLUMNS = (Column("unit", ValueType.TEXT), Column("weight", ValueType.FLOAT64))
KINDS = ("flip", "cut", "zeros", "swapped", "missing")


def story() -> RecordingFileSystem:
    """Two flushes and a log behind them; revisions, late rows, a deletion and an erasure."""
    fs, clock = RecordingFileSystem(), SetClock()
    engine = Engine.open(fs, CONFIG, clock)
    value = (Column("value", ValueType.FLOAT64),)
    slots = {
        slot: engine.create_stream(bytes([65 + slot]) * 16, SlotKind.SERIES, value)
        for slot in range(SLOW)
    }
    text = (Column("value", ValueType.SYMBOL),)
    slots[TEXT] = engine.create_stream(b"text" * 4, SlotKind.SERIES, text, "long")
    slots[EVENTS] = engine.create_stream(b"evnt" * 4, SlotKind.EVENTS, EVENT_COLUMNS)
    producer = Producer(b"p" * 16, flags=0)
    engine.bind(b"p" * 16, 1, slots)
    for number in range(1, 13):
        at = clock.time_ns + number * 10**9
        samples = [
            SampleRow(slot, ValueType.FLOAT64, at + k, number + slot / 8 + k)
            for slot in range(SLOW)
            for k in range(2)
        ]
        samples += [SampleRow(0, ValueType.FLOAT64, clock.time_ns, float(v)) for v in (1, 2, 1)]
        samples += [
            SampleRow(TEXT, ValueType.SYMBOL, at - k * 40 * DAY_NS, f"s{k}") for k in (0, 1)
        ]
        events = [EventRow(EVENTS, at, bytes([number]) * 16, (f"unit {number}", number / 2))]
        lsn = engine.append(producer.frame(samples, events, EVENT_COLUMNS)).lsn
        engine.wait_durable(lsn)
        if number == 3:
            for verb, slot in ((Verb.DELETE, 1), (Verb.ERASE, 2)):
                gone = Change(verb, slots[slot], at, at + 1, "anna", "wrong sensor")
                engine.wait_durable(engine.change(gone))
        if number in {4, 8}:
            engine.flush()
    engine.close()
    return fs


def copy_of(fs: RecordingFileSystem) -> RecordingFileSystem:
    """The same files, all durable, for one damage."""
    return RecordingFileSystem(list(fs.crash_states(fs.position, limit=2))[-1][1]._start)


def files_of(fs: RecordingFileSystem, directory: str = "") -> list[str]:
    """Paths of all files of a store, or below one of its directories."""
    if not directory:
        return [path for part in ("manifest", "segments", "wal") for path in files_of(fs, part)]
    found = []
    for name in fs.list(directory):
        path = f"{directory}/{name}"
        found += [path] if "." in name or directory == "manifest" else files_of(fs, path)
    return found


def damage(fs: RecordingFileSystem, path: str, kind: str, rng: random.Random) -> bool:
    """Damage a file; gives whether it is another one now."""
    before = read(fs, path)
    place = rng.randrange(len(before))
    if kind == "missing":
        fs.remove(path)
        return True
    if kind == "swapped":
        others = [p for p in files_of(fs, path.split("/", maxsplit=1)[0]) if p != path]
        other = rng.choice(others)
        changed = read(fs, other) != before
        fs.rename(path, "wal/x")
        fs.rename(other, path)
        fs.rename("wal/x", other)
        return changed
    file = fs.open_write(path)
    if kind == "flip":
        file.write_at(place, bytes([before[place] ^ 1 << rng.randrange(8)]))
    elif kind == "cut":
        file.truncate(place)
    else:
        file.write_at(place, bytes(min(rng.choice((8, 512, 4096)), len(before) - place)))
    return read(fs, path) != before


def read(fs: RecordingFileSystem, path: str) -> bytes:
    """Whole file."""
    file = fs.open_read(path)
    return file.read_at(0, file.size())


def rows_of(fs: RecordingFileSystem) -> set[tuple]:
    """What a server would answer, revisions and deleted rows too: (stream uuid, row)."""
    engine = Engine.open(fs, CONFIG, SetClock())
    found = set()
    for stream_id, info in engine.streams().items():
        for known_at in (None, 8):
            if info.kind is SlotKind.SERIES:
                columns = engine.read(stream_id, *EVER, all_revisions=True, known_at_lsn=known_at)
                found |= {(info.uuid, known_at, *row) for row in plain_samples(columns)}
            elif known_at is None:
                found |= {(info.uuid, None, *row) for row in plain_events(engine.read_events(
                    stream_id, *EVER))}  # fmt: skip
    engine.close()
    return found


def records_of(fs: RecordingFileSystem, path: str) -> list[dict]:
    """What is in a log file, marks left out."""
    return [row for row in Dump(Filter()).file(fs, path) if row["kind"] != "DURABLE"]
