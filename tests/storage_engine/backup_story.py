"""A store with a history of every kind, and all that can be asked of it as known at an lsn."""

import random
from dataclasses import dataclass, field
from typing import Any

from storage_engine.backup_verify import BackupCheck, verify_backup
from storage_engine.changes import CHANGES_UUID, Change, Verb
from storage_engine.config import EngineConfig
from storage_engine.engine import Engine
from storage_engine.errors import LimitExceeded
from storage_engine.filesystem import FileSystem
from storage_engine.frame import FLAG_OBSERVED, SlotKind
from storage_engine.recording_tree import RecordingTree
from storage_engine.restore import Restored, restore_backup
from storage_engine.sample import Column, ValueType
from storage_engine.subtree import Below, TreeFileSystem, no_pace
from storage_engine.testing import (
    DAY_NS,
    SECOND_NS,
    EventRow,
    Producer,
    SampleRow,
    SetClock,
    plain_events,
    plain_samples,
)

CONFIG = EngineConfig(
    head_bytes_max=8192,
    wal_file_bytes=4096,
    wal_bytes_max=1 << 20,
    wal_pending_bytes_max=1 << 20,
    block_rows=16,
    free_bytes_min=0,
    open_files_max=4,
    record_time_step_ms=0,
)
TYPES = [ValueType.FLOAT64, ValueType.INT64, ValueType.SYMBOL, ValueType.BOOL]
VALUES = {
    ValueType.FLOAT64: [0.0, -0.0, 1.5, None],
    ValueType.INT64: [0, -1, 2**63 - 1, None],
    ValueType.SYMBOL: ["RUN", "STOP", None],
    ValueType.BOOL: [True, False, None],
}
EVENT_COLUMNS = (Column("unit", ValueType.TEXT), Column("value", ValueType.FLOAT64))
EVENTS_SLOT = 100
NOW = SetClock().time_ns
TIMES = [NOW + k * SECOND_NS for k in range(8)] + [NOW - DAY_NS, NOW - 90 * DAY_NS]
EVER = (-(2**63), 2**63 - 1)


@dataclass
class Story:
    """Random writes of every kind, by a seed; everything it does is durable when it returns."""

    seed: int = 0
    fs: FileSystem = field(default_factory=RecordingTree)
    clock: SetClock = field(default_factory=SetClock)
    times: dict[int, int] = field(default_factory=dict)  # lsn -> record time

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.engine = Engine.open(self.fs, CONFIG, self.clock)
        self.producer = Producer(b"p" * 16)
        self.slots = {
            slot: self.engine.create_stream(
                bytes([slot + 1]) * 16, SlotKind.SERIES, (Column("value", value_type),)
            )
            for slot, value_type in enumerate(TYPES)
        }
        self.slots[EVENTS_SLOT] = self.engine.create_stream(
            b"e" * 16, SlotKind.EVENTS, EVENT_COLUMNS
        )
        self.engine.bind(b"p" * 16, 1, self.slots)

    def append(self) -> int:
        """Append a frame of random rows."""
        chance = self.chance
        self.clock.time_ns += chance.choice([0, 1, SECOND_NS])
        rows = []
        for slot in sorted(chance.choices(range(len(TYPES)), k=chance.randint(0, 8))):
            value = chance.choice(VALUES[TYPES[slot]])
            quality = chance.choice([0, 0, 0x8000_0000])
            rows.append(SampleRow(slot, TYPES[slot], chance.choice(TIMES), value, quality))
        events = [
            EventRow(
                EVENTS_SLOT,
                chance.choice(TIMES),
                chance.choice([b"a" * 16, b"b" * 16]),
                (chance.choice(["u1", "u2", None]), chance.choice([1.0, None])),
            )
            for _ in range(chance.randint(0, 2))
        ]
        flags = chance.choice([0, FLAG_OBSERVED])
        frame = self.producer.frame(rows, events, EVENT_COLUMNS, flags=flags)
        try:
            appended = self.engine.append(frame)
        except LimitExceeded:
            self.engine.maintain()
            appended = self.engine.append(frame)
        self.engine.wait_durable(appended.lsn)
        return self._noted(appended.lsn)

    def change(self, *, erase: bool = True) -> int:
        """Delete, erase or annotate a random range."""
        chance = self.chance
        verb = chance.choice([Verb.DELETE, Verb.DELETE, Verb.ANNOTATE, Verb.EDIT, Verb.ERASE])
        if verb is Verb.ERASE and not erase:
            verb = Verb.DELETE
        start, end = sorted(chance.sample(TIMES, 2))
        stream = chance.choice(list(self.slots.values()))
        lsn = self.engine.change(Change(verb, stream, start, end, "anna", "wrong sensor"))
        self.engine.wait_durable(lsn)
        return self._noted(lsn)

    def _noted(self, lsn: int) -> int:
        self.times[lsn] = self.clock.time_ns
        return lsn

    def go_on(self, steps: int) -> None:
        """So many random steps, flushes and compactions among them."""
        for _ in range(steps):
            step = self.chance.random()
            if step < 0.7:
                self.append()
            elif step < 0.85:
                self.change()
            elif step < 0.97:
                self.engine.flush()
            else:
                compact(self.engine)


def compact(engine: Engine) -> None:
    """Compact what there is to compact."""
    engine.flush()
    engine.compact(no_pace)


def told(engine: Engine, lsn: int | None = None) -> dict[str, object]:
    """Everything that reads answer as known at an lsn (None: without asking for one)."""
    answers: dict[str, object] = {}
    for stream_id, info in sorted(engine.streams().items()):
        key = info.uuid.hex()
        if info.uuid == CHANGES_UUID:
            found = engine.read_events(stream_id, *EVER, known_at_lsn=lsn)
            answers[key] = plain_events(found)
        elif info.kind is SlotKind.EVENTS:
            for conflicts in (False, True):
                found = engine.read_events(stream_id, *EVER, known_at_lsn=lsn, conflicts=conflicts)
                answers[f"{key} {conflicts}"] = plain_events(found)
        else:
            for every in (False, True):
                rows = engine.read(stream_id, *EVER, known_at_lsn=lsn, all_revisions=every)
                answers[f"{key} {every}"] = plain_samples(rows)
    return {key: rows for key, rows in answers.items() if rows}


def newest(engine: Engine, slots: dict[int, int]) -> list[object]:
    """What ``latest`` answers for the series, as (time, quality, value) or None."""
    ids = [stream_id for slot, stream_id in slots.items() if slot != EVENTS_SLOT]
    found = engine.latest(ids)
    facts = zip(
        found.present.tolist(),
        found.timestamp_ns.tolist(),
        found.quality.tolist(),
        found.value,
        strict=True,
    )
    return [(time, quality, repr(value)) if ok else None for ok, time, quality, value in facts]


def open_backup(repository: TreeFileSystem, name: str) -> Engine:
    """The store that a backup is."""
    fs = Below(repository, f"{name}/engine")
    return Engine.open(fs, CONFIG, SetClock(), read_only=True)


def check(repository: TreeFileSystem, name: str) -> BackupCheck:
    """What a verification finds."""
    return verify_backup(repository, name, CONFIG, SetClock())


def restore(
    repository: TreeFileSystem,
    name: str,
    target: RecordingTree | None = None,
    directory: str = "plant",
    **how: Any,
) -> tuple[RecordingTree, Restored]:
    """Restore; the target's tree and what was told."""
    target = target or RecordingTree()
    clock = SetClock()
    restored = restore_backup(
        repository, name, target, directory, config=CONFIG, clock=clock, **how
    )
    return target, restored


def open_store(
    target: TreeFileSystem, directory: str = "plant", clock: SetClock | None = None
) -> Engine:
    """The store that a restore made."""
    return Engine.open(Below(target, f"{directory}/engine"), CONFIG, clock or SetClock())
