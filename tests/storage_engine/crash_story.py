"""An engine in use: every call is told to the truth. What is called in which order: crash_steps."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import invariants
import numpy as np

from storage_engine.bulk import BulkRows
from storage_engine.changes import CHANGES_UUID, Change, Verb
from storage_engine.config import EngineConfig
from storage_engine.engine import Engine
from storage_engine.filesystem import FileSystem
from storage_engine.frame import FLAG_OBSERVED, FLAG_ONE_SHOT, Frame, SlotKind
from storage_engine.pins import Pin
from storage_engine.retention import Rule
from storage_engine.sample import Column, ValueType
from storage_engine.streams import Duplicates
from storage_engine.testing import (
    DAY_NS,
    SECOND_NS,
    EventRow,
    Producer,
    SampleRow,
    SetClock,
    column_of,
)

CONFIG = EngineConfig(
    head_bytes_max=1 << 16,
    wal_file_bytes=4096,
    wal_pending_bytes_max=1 << 20,
    block_rows=8,
    free_bytes_min=0,
    record_time_step_ms=0,
    record_times_max=4096,
)
UNIT = Column("unit", ValueType.TEXT)
FORCE = Column("force", ValueType.FLOAT64)
PRODUCER, OTHER = b"p" * 16, b"q" * 16
FLOATS, STATES, EVENTS, COUNTS, BLOBS = range(5)  # slots
_TICK_NS = 1_000_000


@dataclass
class Story:
    """An engine in use, and the truth about it.

    Parameters
    ----------
    fs : FileSystem
    position : callable
        Where the disk stands now.
    """

    fs: FileSystem
    position: Callable[[], int]
    config: EngineConfig = CONFIG
    strict: bool = True
    clock: SetClock = field(default_factory=SetClock)
    truth: invariants.Truth = field(default_factory=invariants.Truth)
    producer: Producer = field(default_factory=lambda: Producer(PRODUCER))
    slots: dict[int, int] = field(default_factory=dict)
    sent: list[Frame] = field(default_factory=list)
    columns: tuple[Column, ...] = (UNIT,)
    number: int = 0
    engine: Engine = field(init=False)

    def open(self) -> None:
        """Open the store."""
        self.engine = Engine.open(self.fs, self.config, self.clock)
        self.truth.incarnations.append((self.position(), self.engine.incarnation))

    @contextlib.contextmanager
    def logging(self) -> Iterator[list[int]]:
        """Give the lsns that a call used, and note that it began."""
        self.clock.time_ns += _TICK_NS
        before, position = self.engine._wal.last_lsn, self.position()
        used: list[int] = []
        try:
            yield used
        finally:
            used += range(before + 1, self.engine._wal.last_lsn + 1)
            if used:
                self.truth.submit(position, used[-1])

    def promise(self) -> None:
        """Everything so far is acknowledged."""
        self.truth.promise(self.position(), self.engine.durable_lsn)

    @contextlib.contextmanager
    def setting(self, *streams: int) -> Iterator[None]:
        """Note what streams are after a call that creates or alters them."""
        known = {stream: facts for _, stream, facts in self.truth.streams}
        with self.logging():
            try:
                yield
                self.promise()
            finally:
                for stream in streams:
                    info = self.engine.streams().get(stream)
                    if info is not None and known.get(stream) != invariants.facts_of(info):
                        self.truth.stream(self.engine._stream_lsn, info)

    @property
    def next_stream(self) -> int:
        """Id that the next new stream gets."""
        return max((one for _, one, _ in self.truth.streams), default=0) + 1

    def create(self, slot: int, value_type: ValueType | None, retention: str = "default") -> None:
        """Create a stream and bind a slot to it."""
        stream = self.next_stream
        name = f"stream {stream}".encode().ljust(16, b".")
        kind = SlotKind.EVENTS if value_type is None else SlotKind.SERIES
        columns = self.columns if value_type is None else (Column("value", value_type),)
        with self.setting(stream):
            self.engine.create_stream(name, kind, columns, retention)
        self.slots = {**self.slots, slot: stream}
        self.bind({slot: stream})

    def grow(self) -> None:
        """Give the event stream one more column."""
        with self.setting(self.slots[EVENTS]):
            self.engine.grow_stream(self.slots[EVENTS], (UNIT, FORCE))
        self.columns = (UNIT, FORCE)

    def set(self, slot: int, retention: str, duplicates: Duplicates) -> None:
        """Set what a stream is kept under, and its rule of duplicates."""
        with self.setting(self.slots[slot]):
            stream = self.slots[slot]
            self.engine.set_stream(stream, retention_class=retention, duplicates=duplicates)

    def change(
        self, verb: Verb, slot: int, start_ns: int, end_ns: int, *, wait: bool = True
    ) -> None:
        """Change history."""
        known = self.engine._state.streams.by_uuid.get(CHANGES_UUID)
        if known is None:
            with self.setting(self.next_stream):
                self.engine.changes_stream()
        change = Change(verb, self.slots[slot], start_ns, end_ns, "anna", f"reason {self.number}")
        with self.logging() as used:
            self.engine.change(change)
        into = self.engine.changes_stream()
        self.truth.change(used[-1], into, change, self.clock.time_ns)
        if wait:
            self.wait(used[-1])

    def bind(self, slots: dict[int, int]) -> None:
        """Bind slots of the producer's epoch."""
        self._bind(self.producer, slots)

    def _bind(self, producer: Producer, slots: dict[int, int]) -> None:
        with self.logging() as used:
            self.engine.bind(producer.producer_id, producer.epoch, slots)
        for lsn in used:
            self.truth.bind(lsn, producer.producer_id, producer.epoch, slots)

    def append(
        self,
        samples: Sequence[SampleRow],
        events: Sequence[EventRow] = (),
        *,
        wait: bool = True,
        observed: bool = True,
        rejected: Sequence[int] = (),
    ) -> None:
        """Send a frame; ``rejected`` are numbers of samples to be left out."""
        flags = FLAG_OBSERVED if observed else 0
        before = (self.producer.sequence, self.producer.previous_crc)
        frame = self.producer.frame(samples, events, self.columns, flags=flags)
        mask = None
        if rejected:
            mask = np.zeros(len(samples) + len(events), np.bool_)
            mask[list(rejected)] = True
        kept = [row for place, row in enumerate(samples) if place not in rejected]
        with self.logging() as used:
            try:
                self.engine.append(frame, mask)
            except BaseException:
                self.producer.sequence, self.producer.previous_crc = before
                raise
        self._took(self.producer, frame, used[-1], (kept, events), observed=observed)
        if wait:
            self.wait(used[-1])

    def _took(
        self,
        producer: Producer,
        frame: Frame,
        lsn: int,
        rows: tuple[Sequence[SampleRow], Sequence[EventRow]],
        *,
        observed: bool,
        one_shot: bool = False,
    ) -> None:
        self.sent.append(frame)
        state = (producer.epoch, producer.sequence, frame.envelope.crc)
        self.truth.frame(
            lsn,
            producer.producer_id,
            state,
            *rows,
            slots=self.slots,
            observed=observed,
            one_shot=one_shot,
        )
        self.truth.times.append((lsn, self.clock.time_ns))

    def once(self, samples: Sequence[SampleRow]) -> None:
        """Send a frame of a producer that sends just this one."""
        producer = Producer(OTHER[:15] + bytes([len(self.sent)]))
        self._bind(producer, {slot: self.slots[slot] for slot in {row.slot for row in samples}})
        frame = producer.frame(samples, flags=FLAG_ONE_SHOT)
        with self.logging() as used:
            self.engine.append(frame)
        self._took(producer, frame, used[-1], (samples, ()), observed=False, one_shot=True)
        self.wait(used[-1])

    def wait(self, lsn: int) -> None:
        """Wait for a record, and promise it."""
        self.engine.wait_durable(lsn)
        self.truth.promise(self.position(), lsn)

    def mixed(self, **how: bool) -> None:
        """Send a frame with a bit of everything: new, late, equal times, strings, events."""
        self.number += 1
        number, now = self.number, self.clock.time_ns
        late = now - (100 * DAY_NS if number % 3 == 0 else 0)
        samples = [
            SampleRow(FLOATS, ValueType.FLOAT64, now + k, number + k / 8, k % 2 << 31)
            for k in range(6)
        ]
        again = SetClock().time_ns  # rewritten by every frame
        samples.append(SampleRow(FLOATS, ValueType.FLOAT64, again, float(number % 2)))
        samples.append(SampleRow(STATES, ValueType.SYMBOL, late, f"state {number % 2}"))
        samples.append(SampleRow(COUNTS, ValueType.INT64, late - number, number << 40))
        samples.append(SampleRow(BLOBS, ValueType.BYTES, now, bytes([number]) * 3))
        samples.append(SampleRow(BLOBS, ValueType.BYTES, now + 1, None))
        values = (f"unit {number}", number / 3)[: len(self.columns)]
        key = bytes([number // 2]) * 16  # every second one is told again, with other content
        event = EventRow(EVENTS, now - number % 2 * SECOND_NS, key, values)
        self.append(samples, [event], **how)

    def reopen(self) -> None:
        """Close and open; what a failing disk kept the close from writing was never promised."""
        self.engine.close()
        failed = self.engine.failed
        self.promise()
        self.open()
        if failed:
            self.lost()

    def lost(self) -> None:
        """The store was opened after a failure: what nobody waited for may be gone for good."""
        self.truth.forget_after(self.engine._wal.last_lsn)
        state = self.engine.producer(PRODUCER)
        self.sent = [f for f in self.sent if f.envelope.crc in self.truth.crcs()]
        self.producer.epoch = state.epoch if state else 1
        self.producer.sequence = state.sequence if state else 0
        self.producer.previous_crc = state.crc if state else 0
        self.bind(self.slots)

    def flush(self) -> None:
        """Flush; what it brought to segments is durable."""
        self.clock.time_ns += _TICK_NS
        self.engine.flush()

    def bring(self, samples: Sequence[SampleRow]) -> None:
        """Import rows of one slot past the log."""
        slot, value_type = samples[0].slot, samples[0].type
        part = BulkRows(
            self.slots[slot],
            np.array([row.time_ns for row in samples], np.int64),
            np.array([row.quality for row in samples], np.uint32),
            None,
            (column_of(value_type, [row.value for row in samples]),),
        )
        place = len(self.truth.imports) + 1
        done = 1 << 62  # of a commit that failed: it may have reached the disk
        with self.logging() as used:
            try:
                self.engine.bulk_import(invariants.IMPORT, place, [part])
                done = self.position()
            finally:
                last = self.engine._wal.last_lsn
                if last > (self.truth.begun[-1][1] if self.truth.begun else 0):
                    self.truth.imported(done, last, samples, self.slots)
                    self.truth.times.append((last, self.clock.time_ns))
        assert used

    def expire(self, retention_class: str, age_ns: int) -> None:
        """Let old rows of a class go, but for a pinned window."""
        self.flush()
        now = self.clock.time_ns
        stream = self.slots[COUNTS]
        pinned = (stream, now - 101 * DAY_NS, now - 99 * DAY_NS)
        expiry = invariants.Expiry(
            self.position(), retention_class, now - age_ns, self.engine.durable_lsn, pinned
        )
        self.truth.expiries.append(expiry)
        pin = Pin(frozenset((stream,)), *pinned[1:])
        rules = {retention_class: Rule(age_ns=age_ns)}
        report = self.engine.expire(rules, [pin], now_ns=now, uptime_ns=now, share=1)
        assert report.dropped or report.rewritten or not self.strict, "there are rows to let go"
        if not report.damaged and not self.engine.findings():  # else left alone, and said so
            self.promise()
            expiry.done = self.position()

    def look(self) -> None:
        """Open read-only beside the writer: it changes nothing, and shows the same."""
        beside = Engine.open(self.fs, self.config, self.clock, read_only=True)
        try:
            invariants.check_open(beside, self.truth, "read-only, beside the writer")
        finally:
            beside.close()
