"""engine.py against a plain model: both agree whatever the order of writes, flushes, reopens."""

import math
import struct

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from storage_engine.changes import CHANGES_UUID, Change, Verb
from storage_engine.config import EngineConfig
from storage_engine.engine import Engine
from storage_engine.errors import LimitExceeded
from storage_engine.frame import FLAG_OBSERVED, Frame, SlotKind
from storage_engine.recording import RecordingFileSystem
from storage_engine.sample import Column, ValueType
from storage_engine.streams import Duplicates
from storage_engine.testing import (
    DAY_NS,
    SECOND_NS,
    EventRow,
    Model,
    Producer,
    SampleRow,
    SetClock,
    bits,
    plain_events,
    plain_samples,
)

CONFIG = EngineConfig(
    head_bytes_max=4096,
    wal_file_bytes=8192,
    wal_pending_bytes_max=1 << 20,
    block_rows=16,
    free_bytes_min=0,
    block_cache_bytes=2048,
    directory_cache_bytes=4096,
    open_files_max=2,
    record_time_step_ms=0,
)
NAN = struct.unpack("<d", struct.pack("<Q", 0x7FF8_0000_0000_0123))[0]
VALUES: dict[ValueType, list[object]] = {
    ValueType.FLOAT64: [0.0, -0.0, 1.5, math.nan, NAN, math.inf, None],
    ValueType.FLOAT32: [0.0, -0.0, 1.5, None],
    ValueType.INT64: [0, -1, 2**63 - 1, -(2**63), None],
    ValueType.UINT64: [0, 2**64 - 1, None],
    ValueType.BOOL: [True, False, None],
    ValueType.SYMBOL: ["RUN", "STOP", "", "Ä\x00", None],
    ValueType.BYTES: [b"", b"\x00\xff", None],
}
TYPES = list(VALUES)
EVENT_COLUMNS = (Column("unit", ValueType.TEXT), Column("value", ValueType.FLOAT64))
GROWN_COLUMNS = (
    *EVENT_COLUMNS,
    Column("count", ValueType.INT64),
    Column("note", ValueType.SYMBOL),
)
NOW = SetClock().time_ns
# Days, months and years back, so that a flush makes several partitions; few distinct times, so
# that rewrites and redeliveries are common.
TIMES = [NOW + k * SECOND_NS for k in range(4)] + [
    NOW - DAY_NS,
    NOW - 90 * DAY_NS,
    NOW - 91 * DAY_NS,
    NOW - 3000 * DAY_NS,
    -5 * DAY_NS - 1,
]


@st.composite
def sample_rows(draw: st.DrawFn) -> list[SampleRow]:
    rows = []
    for _ in range(draw(st.integers(0, 12))):
        slot = draw(st.integers(0, len(TYPES) - 1))
        value = draw(st.sampled_from(VALUES[TYPES[slot]]))
        quality = draw(st.sampled_from([0, 0, 0x8000_0000]))
        rows.append(SampleRow(slot, TYPES[slot], draw(st.sampled_from(TIMES)), value, quality))
    # Sections follow the value types, so arrival order is by section.
    return sorted(rows, key=lambda row: list(dict.fromkeys(r.type for r in rows)).index(row.type))


event_rows = st.lists(
    st.builds(
        EventRow,
        slot=st.just(100),
        time_ns=st.sampled_from(TIMES),
        event_id=st.sampled_from([b"a" * 16, b"b" * 16, bytes(16)]),
        values=st.tuples(
            st.sampled_from(["u1", "u2", None]),
            st.sampled_from([1.0, None]),
            st.sampled_from([7, None]),
            st.sampled_from(["note", None]),
        ),
    ),
    max_size=4,
)


def stripped(values: tuple) -> tuple:
    """Values without the nulls at their end: a grown stream says as much as before."""
    while values and values[-1] is None:
        values = values[:-1]
    return values


class EngineMachine(RuleBasedStateMachine):
    """Appends, duplicates, late data, rewrites, flushes and reopens, against the model."""

    @initialize()
    def begin(self) -> None:
        self.fs = RecordingFileSystem()
        self.clock = SetClock()
        self.engine = Engine.open(self.fs, CONFIG, self.clock)
        self.model = Model()
        self.producer = Producer(b"p" * 16)
        self.last: Frame | None = None
        self.changes: list[tuple[int, Change]] = []
        self.expired: set[int] = set()
        self.streams()

    def streams(self) -> None:
        """Make the streams and bind them, or find them made."""
        self.slots = {
            slot: self.engine.create_stream(
                bytes([slot + 1]) * 16, SlotKind.SERIES, (Column("value", value_type),)
            )
            for slot, value_type in enumerate(TYPES)
        }
        self.slots[100] = self.engine.create_stream(b"e" * 16, SlotKind.EVENTS, EVENT_COLUMNS)
        self.engine.bind(b"p" * 16, 1, self.slots)

    @rule(samples=sample_rows(), events=event_rows, observed=st.booleans(), wait=st.booleans())
    def append(
        self, samples: list[SampleRow], events: list[EventRow], observed: bool, wait: bool
    ) -> None:
        flags = FLAG_OBSERVED if observed else 0
        columns = self.engine.streams()[self.slots[100]].columns
        width = len(columns)
        events = [EventRow(e.slot, e.time_ns, e.event_id, e.values[:width]) for e in events]
        frame = self.producer.frame(samples, events, columns, flags=flags)
        events = [EventRow(e.slot, e.time_ns, e.event_id, stripped(e.values)) for e in events]
        before = self.model.read_events(self.slots[100], -(2**63), 2**63 - 1, 2**62)
        if self.engine.stats().pending_frames > 8:
            self.engine.wait_durable(self.engine.producer(b"p" * 16).lsn)
        try:
            appended = self.engine.append(frame)
        except LimitExceeded:  # two full heads: the writer waits for the flush
            self.engine.maintain()
            appended = self.engine.append(frame)
        assert (False, 0, False) == (
            appended.duplicate,
            appended.missing_frames,
            appended.chain_broken,
        )
        self.model.append(appended.lsn, samples, events, slots=self.slots, observed=observed)
        assert self._conflicts(before, len(samples), events) == appended.conflicts
        self.last = frame
        if wait:
            assert self.engine.wait_durable(appended.lsn)

    @staticmethod
    def _conflicts(before: list[tuple], begin: int, events: list[EventRow]) -> tuple[int, ...]:
        known = {(time, event_id): values for time, event_id, values, _ in before}
        found = []
        for number, event in enumerate(events):
            values = tuple(bits(value) for value in event.values)
            if known.setdefault((event.time_ns, event.event_id), values) != values:
                found.append(begin + number)
        return tuple(found)

    @precondition(lambda self: self.last is not None)
    @rule()
    def deliver_again(self) -> None:
        assert self.last is not None
        appended = self.engine.append(self.last)
        assert appended.duplicate

    @rule(
        slot=st.sampled_from([*range(len(TYPES)), 100]),
        bounds=st.tuples(st.sampled_from(TIMES), st.sampled_from(TIMES)),
        verb=st.sampled_from(list(Verb)),
        wait=st.booleans(),
    )
    def change(self, slot: int, bounds: tuple[int, int], verb: Verb, wait: bool) -> None:
        """Delete, erase, annotate, announce an edit; only the first two change what is read."""
        stream, start, end = self.slots[slot], min(bounds), max(bounds) + 1
        one = Change(verb, stream, start, end, "ann", "because", "see there")
        if self.engine.stats().pending_frames > 8:
            self.engine.wait_durable(self.engine.producer(b"p" * 16).lsn)
        try:
            lsn = self.engine.change(one)
        except LimitExceeded:
            self.engine.maintain()
            lsn = self.engine.change(one)
        self.model.change(lsn, one, self.engine.changes_stream())
        self.changes.append((lsn, one))
        if wait or verb is Verb.ERASE:
            assert self.engine.wait_durable(lsn)

    @rule(
        steps=st.lists(
            st.one_of(
                st.tuples(st.booleans(), st.sampled_from([1.5, -0.0]), st.sampled_from(TIMES[:2])),
                st.sampled_from([Verb.DELETE, Verb.DELETE, Verb.ERASE]),
                st.just("flush"),
            ),
            min_size=2,
            max_size=6,
        )
    )
    def quarrel(self, steps: list[tuple[bool, float, int] | Verb | str]) -> None:
        """Writes, redeliveries and deletions of one value at one time, in every order."""
        for step in steps:
            if step == "flush":
                self.engine.flush()
            elif isinstance(step, tuple):
                row = SampleRow(0, TYPES[0], step[2], step[1])
                self.append([row], [], observed=step[0], wait=True)
            else:
                self.change(0, (TIMES[0], TIMES[0]), step, wait=True)

    @rule(slot=st.integers(0, len(TYPES) - 1), duplicates=st.sampled_from(list(Duplicates)))
    def set_duplicates(self, slot: int, duplicates: Duplicates) -> None:
        """A rule of reading: it holds for all history at once."""
        self.engine.set_stream(self.slots[slot], duplicates=duplicates)
        self.model.duplicates[self.slots[slot]] = duplicates

    @rule(name=st.sampled_from(["default", "short"]), slot=st.integers(0, len(TYPES) - 1))
    def set_class(self, name: str, slot: int) -> None:
        """Another retention class changes where rows lie, not what is read."""
        self.engine.set_stream(self.slots[slot], retention_class=name)

    @rule()
    def grow(self) -> None:
        """More columns at the end: rows before them read as null there."""
        columns = self.engine.streams()[self.slots[100]].columns
        more = GROWN_COLUMNS[: len(columns) + 1]
        self.engine.grow_stream(self.slots[100], more)
        assert self.engine.streams()[self.slots[100]].columns == more

    @rule()
    def flush(self) -> None:
        self.engine.flush()

    @rule(seconds=st.integers(0, 5000))
    def maintain(self, seconds: int) -> None:
        self.clock.time_ns += seconds * SECOND_NS
        self.engine.maintain()

    @rule()
    def reopen(self) -> None:
        self.engine.close()
        self.engine = Engine.open(self.fs, CONFIG, self.clock)
        assert self.engine.findings() == []

    @rule()
    def crash(self) -> None:
        """What nobody waited for may be lost; the rest is there."""
        durable = self.engine.durable_lsn
        # Power goes: nothing unsynced survives. The engine object is simply left alone.
        _, self.fs = next(iter(self.fs.crash_states(len(self.fs.log), limit=2)))
        self.engine = Engine.open(self.fs, CONFIG, self.clock)
        state = self.engine.producer(b"p" * 16)
        known = max(durable, state.lsn if state else 0)
        self.model.forget_after(known)
        self.changes = [entry for entry in self.changes if entry[0] <= known]
        self.producer = Producer(
            b"p" * 16,
            sequence=state.sequence if state else 0,
            previous_crc=state.crc if state else 0,
        )
        self.last = None
        self.engine.bind(b"p" * 16, 1, self.slots)

    @rule(
        slot=st.integers(0, len(TYPES) - 1),
        bounds=st.tuples(st.sampled_from(TIMES), st.sampled_from(TIMES)),
        every=st.booleans(),
        back=st.booleans(),
        count=st.one_of(st.none(), st.integers(0, 5)),
        share=st.floats(0, 1),
    )
    def read_a_window(
        self,
        *,
        slot: int,
        bounds: tuple[int, int],
        every: bool,
        back: bool,
        count: int | None,
        share: float,
    ) -> None:
        start, end = min(bounds), max(bounds) + 1
        known_at = int(self.engine.durable_lsn * share)
        expected = self.model.read(self.slots[slot], start, end, known_at, every=every)
        expected = (expected[::-1] if back else expected)[:count]
        found = self.engine.read(
            self.slots[slot],
            start,
            end,
            all_revisions=every,
            known_at_lsn=known_at,
            max_count=count,
            backward=back,
        )
        assert expected == plain_samples(found)

    @rule(slot=st.integers(0, len(TYPES) - 1), time=st.sampled_from(TIMES), near=st.booleans())
    def read_neighbours(self, slot: int, time: int, near: bool) -> None:
        stream = self.slots[slot]
        rows = self.model.read(stream, -(2**63), 2**63 - 1, self.engine.durable_lsn)
        before = [row for row in rows if row[0] < time or (near and row[0] == time)]
        behind = [row for row in rows if row[0] > time or (near and row[0] == time)]
        previous = self.engine.previous(stream, time, inclusive=near)
        assert before[-1:] == plain_samples(previous)
        assert behind[:1] == plain_samples(self.engine.next(stream, time, inclusive=near))

    @invariant()
    def everything_is_there_once(self) -> None:
        durable = self.engine.durable_lsn
        for slot in range(len(TYPES)):
            stream = self.slots[slot]
            expected = self.model.read(stream, -(2**63), 2**63 - 1, durable, every=True)
            found = self.engine.read(stream, -(2**63), 2**63 - 1, all_revisions=True)
            assert expected == plain_samples(found)
        stream = self.slots[100]
        for conflicts in (False, True):
            expected_events = self.model.read_events(
                stream, -(2**63), 2**63 - 1, durable, conflicts=conflicts
            )
            found_events = self.engine.read_events(stream, -(2**63), 2**63 - 1, conflicts=conflicts)
            found_rows = [(t, i, stripped(v), lsn) for t, i, v, lsn in plain_events(found_events)]
            assert expected_events == found_rows

    @invariant()
    def every_change_left_its_trail(self) -> None:
        durable = self.engine.durable_lsn
        expected = [
            (str(c.verb), c.stream_id, c.start_ns, c.end_ns, c.principal, c.reason, c.comment)
            for lsn, c in self.changes
            if lsn <= durable
        ]
        if CHANGES_UUID not in {info.uuid for info in self.engine.streams().values()}:
            assert expected == []
            return
        into = self.engine.changes_stream()
        found = plain_events(self.engine.read_events(into, -(2**63), 2**63 - 1))
        assert expected == [values for _, _, values, _ in found]
        assert [lsn for lsn, _ in self.changes if lsn <= durable] == [row[3] for row in found]

    @invariant()
    def latest_is_the_newest_by_time(self) -> None:
        durable = self.engine.durable_lsn
        streams = [self.slots[slot] for slot in range(len(TYPES))]
        found = self.engine.latest(streams)
        for place, stream in enumerate(streams):
            rows = self.model.read(stream, -(2**63), 2**63 - 1, durable)
            if stream in self.expired:
                continue  # the last known value stays when its rows have expired
            assert bool(rows) == found.present[place]
            if rows:
                time, quality, value, _ = rows[-1]
                assert (time, quality) == (found.timestamp_ns[place], found.quality[place])
                held = found.value[place]
                assert value == bits(held)

    def teardown(self) -> None:
        if hasattr(self, "engine"):
            self.engine.close()


EngineMachine.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestEngineAgainstModel = EngineMachine.TestCase
