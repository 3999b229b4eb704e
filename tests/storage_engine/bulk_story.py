"""A small store and its model, with rows that go past the log."""

import numpy as np

from storage_engine.bulk import BulkRows
from storage_engine.config import EngineConfig
from storage_engine.engine import Engine
from storage_engine.frame import SlotKind
from storage_engine.sample import EVENT_ID_DTYPE, Column, ValueType
from storage_engine.testing import (
    DAY_NS,
    SECOND_NS,
    Model,
    Producer,
    SetClock,
    bits,
    column_of,
    plain_events,
    plain_samples,
)

CONFIG = EngineConfig(
    head_bytes_max=4096,
    wal_file_bytes=4096,
    wal_pending_bytes_max=1 << 20,
    block_rows=16,
    free_bytes_min=0,
    record_time_step_ms=0,
)
EVENT_COLUMNS = (Column("unit", ValueType.TEXT), Column("low", ValueType.FLOAT64))
ALL = (-(2**63), 2**63 - 1)
TYPES = {1: ValueType.FLOAT64, 2: ValueType.SYMBOL, 3: None}


class Store:
    """An engine with a float, a symbol and an event stream, and the model beside it."""

    def __init__(self, fs):
        self.fs = fs
        self.clock = SetClock()
        self.model = Model()
        self.producer = Producer(b"p" * 16)
        self.engine = Engine.open(fs, CONFIG, self.clock)
        for number, type_ in TYPES.items():
            kind = SlotKind.EVENTS if type_ is None else SlotKind.SERIES
            columns = EVENT_COLUMNS if type_ is None else (Column("value", type_),)
            stream_id = self.engine.create_stream(bytes([number]) * 16, kind, columns)
            assert stream_id == number
        self.engine.bind(b"p" * 16, 1, {1: 1, 2: 2})

    def append(self, rows):
        """Rows by the usual way, durable."""
        lsn = self.engine.append(self.producer.frame(rows)).lsn
        self.engine.wait_durable(lsn)
        self.model.append(lsn, rows, [], slots={1: 1, 2: 2}, observed=True)

    def bulk(self, position, rows, events=(), *, authoritative=False):
        """Import (stream, time, quality, value) and (time, id, values)."""
        lsn = self.engine.bulk_import(
            "job", position, parts_of(rows, events), authoritative=authoritative
        )
        for stream, time, quality, value in rows:
            entry = (time, lsn, not authoritative, quality, bits(value))
            self.model.samples.setdefault(stream, []).append(entry)
        for time, event_id, values in events:
            held = self.model.events.setdefault(3, [])
            held.append((time, event_id, lsn, tuple(bits(v) for v in values)))
        return lsn

    def check(self, what=""):
        check_against(self.engine, self.model, what)


def check_against(engine, model, what="", *, lsns=True):
    """Reads, reads of every revision, and newest samples, as the model says."""

    def seen(rows):
        return rows if lsns else [row[:-1] for row in rows]

    top = 2**62
    for stream in (1, 2):
        expected = model.read(stream, *ALL, top)
        assert seen(expected) == seen(plain_samples(engine.read(stream, *ALL))), what
        every = engine.read(stream, *ALL, all_revisions=True)
        assert seen(model.read(stream, *ALL, top, every=True)) == seen(plain_samples(every)), what
        newest = engine.latest([stream])
        assert bool(expected) == newest.present[0], what
        if expected:
            found = (newest.timestamp_ns[0], newest.quality[0], bits(newest.value[0]))
            assert expected[-1][:3] == found, what
    for conflicts in (False, True):
        found = plain_events(engine.read_events(3, *ALL, conflicts=conflicts))
        assert seen(model.read_events(3, *ALL, top, conflicts=conflicts)) == seen(found), what


def parts_of(rows, events=()):
    """Columns of plain rows, in their order."""
    parts = []
    for stream in sorted({row[0] for row in rows}):
        mine = [row for row in rows if row[0] == stream]
        times = np.array([row[1] for row in mine], np.int64)
        quality = np.array([row[2] for row in mine], np.uint32)
        data = (column_of(TYPES[stream], [row[3] for row in mine]),)
        parts.append(BulkRows(stream, times, quality, None, data))
    if events:
        times = np.array([e[0] for e in events], np.int64)
        ids = np.array([e[1] for e in events], EVENT_ID_DTYPE)
        data = tuple(
            column_of(column.type, [e[2][place] for e in events])
            for place, column in enumerate(EVENT_COLUMNS)
        )
        parts.append(BulkRows(3, times, None, ids, data))
    return parts


def history(number, now_ns, count=60):
    """Rows of years, months and days before now, out of order, some times twice."""
    rows = []
    for k in range(count):
        age = [4000, 400, 90, 20, 3, 0.01][k % 6] * DAY_NS
        time = now_ns - int(age) - (k * 7919 + number) % 50 * SECOND_NS
        rows.append((1, time, k % 2, None if k % 11 == 3 else number + k / 8))
        rows.append((2, time + 1, 0, f"state {k % 3}"))
    events = [
        (now_ns - k * 40 * DAY_NS, bytes([k]) * 16, (f"unit {k % 5}", k / 4)) for k in range(10)
    ]
    return rows, events
