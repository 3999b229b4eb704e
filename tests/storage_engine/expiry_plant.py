"""An engine with rows of many days and the model of what it holds, for tests of expiry."""

from storage_engine.changes import Change
from storage_engine.config import EngineConfig
from storage_engine.engine import Engine
from storage_engine.frame import FLAG_OBSERVED, SlotKind
from storage_engine.recording import RecordingFileSystem
from storage_engine.sample import Column, ValueType
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

CONFIG = EngineConfig(
    head_bytes_max=1 << 16,
    wal_file_bytes=8192,
    wal_pending_bytes_max=1 << 20,
    block_rows=8,
    free_bytes_min=0,
    block_cache_bytes=2048,
    record_time_step_ms=0,
)
EVERYTHING = (-(2**63), 2**63 - 1)
COLUMNS = (Column("unit", ValueType.TEXT),)
A, B, EVENTS = 0, 1, 2
NOW = SetClock().time_ns // DAY_NS * DAY_NS
HOUR_NS = 3600 * SECOND_NS
YEAR_NS = 365 * DAY_NS


class Plant:
    """An engine with two series and a kind of event, and the model of what it holds."""

    def __init__(self, fs=None):
        self.fs = fs or RecordingFileSystem()
        self.clock = SetClock(NOW)
        self.model = Model()
        self.producer = Producer(b"p" * 16)
        self.engine = Engine.open(self.fs, CONFIG, self.clock)
        self.slots = {
            A: self.engine.create_stream(b"a" * 16, SlotKind.SERIES, (_value(),)),
            B: self.engine.create_stream(b"b" * 16, SlotKind.SERIES, (_value(),)),
            EVENTS: self.engine.create_stream(b"e" * 16, SlotKind.EVENTS, COLUMNS),
        }
        self.engine.bind(b"p" * 16, 1, self.slots)
        self.uptime_ns = 0

    def write(self, samples=(), events=(), *, observed=True):
        """One durable frame."""
        flags = FLAG_OBSERVED if observed else 0
        frame = self.producer.frame(samples, events, COLUMNS, flags=flags)
        lsn = self.engine.append(frame).lsn
        self.engine.wait_durable(lsn)
        self.model.append(lsn, samples, events, slots=self.slots, observed=observed)

    def change(self, verb, slot, start_ns, end_ns):
        """Delete or erase a window, durable."""
        one = Change(verb, self.slots[slot], start_ns, end_ns, "ann", "wrong")
        lsn = self.engine.change(one)
        self.engine.wait_durable(lsn)
        self.model.change(lsn, one, self.engine.changes_stream())

    def write_days(self, days, *, rows=10):
        """So many days back from now, flushed day by day."""
        for day in range(days - 1, -1, -1):
            at = NOW - day * DAY_NS
            samples = [
                SampleRow(slot, ValueType.FLOAT64, at + k * SECOND_NS, float(day * 100 + k))
                for slot in (A, B)
                for k in range(rows)
            ]
            self.write(samples, [EventRow(EVENTS, at, bytes([day % 256]) * 16, (f"U{day}",))])
            self.engine.flush()

    def expire(self, rules, pins=(), **options):
        """Run, and take from the model what the report says is gone."""
        options = {"now_ns": NOW, "uptime_ns": self.uptime_ns, "force": True, **options}
        report = self.engine.expire(rules, pins, **options)
        if not report.dry_run:
            self.forget(report, pins)
        return report

    def forget(self, report, pins):
        """Rows of a class before its cut are gone from the model, pinned ones apart."""
        cuts = {c.retention_class: c.cut_ns for c in report.classes if c.cut_ns is not None}
        for stored in (self.model.samples, self.model.events):
            for stream_id, rows in stored.items():
                cut = cuts.get(self.engine.streams()[stream_id].retention_class)
                if cut is not None:
                    stored[stream_id] = [
                        row for row in rows if row[0] >= cut or _pinned(pins, stream_id, row[0])
                    ]

    def check(self, engine=None):
        """The engine holds what the model holds, revisions included."""
        engine = engine or self.engine
        for slot in (A, B):
            stream = self.slots[slot]
            expected = self.model.read(stream, *EVERYTHING, engine.durable_lsn, every=True)
            found = engine.read(stream, *EVERYTHING, all_revisions=True)
            assert expected == plain_samples(found)
            for known_at in (engine.durable_lsn, engine.durable_lsn // 2):
                plain = self.model.read(stream, *EVERYTHING, known_at)
                found = engine.read(stream, *EVERYTHING, known_at_lsn=known_at)
                assert plain == plain_samples(found)
        stream = self.slots[EVENTS]
        expected = self.model.read_events(stream, *EVERYTHING, engine.durable_lsn)
        assert expected == plain_events(engine.read_events(stream, *EVERYTHING))

    def times(self, slot=A, engine=None):
        """Times that a series has samples at."""
        return (engine or self.engine).read(self.slots[slot], *EVERYTHING).timestamp_ns.tolist()

    def reopen(self):
        """Close and open again."""
        self.engine.close()
        self.engine = Engine.open(self.fs, CONFIG, self.clock)


def _value():
    return Column("value", ValueType.FLOAT64)


def _pinned(pins, stream_id, time_ns):
    return any(
        pin.start_ns <= time_ns < pin.end_ns and (pin.streams is None or stream_id in pin.streams)
        for pin in pins
    )
