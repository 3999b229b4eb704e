"""Import past the log: against the plain model, through power cuts, and gone on with."""

import errno

import numpy as np
import pytest

from storage_engine.bulk import BulkRows
from storage_engine.changes import Change, Verb
from storage_engine.config import EngineConfig
from storage_engine.engine import Engine
from storage_engine.errors import DiskError, InvalidArgument
from storage_engine.frame import SlotKind
from storage_engine.recording import RecordingFileSystem
from storage_engine.sample import EVENT_ID_DTYPE, Column, ColumnData, ValueType
from storage_engine.testing import (
    DAY_NS,
    SECOND_NS,
    Model,
    Producer,
    SampleRow,
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
COMMITS = 4


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


@pytest.fixture
def store():
    return Store(RecordingFileSystem())


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


def test_rows_of_all_ages_read_as_the_model_says(store):
    """Before, beside and behind rows that came the usual way; also from disk alone."""
    now = store.clock.time_ns
    store.append([SampleRow(1, ValueType.FLOAT64, now - 4000 * DAY_NS, 1.0)])
    store.append([SampleRow(2, ValueType.SYMBOL, now, "on")])
    store.bulk([1], *history(1, now))
    store.check()
    store.engine.flush()
    store.append([SampleRow(1, ValueType.FLOAT64, now + 1, 7.5)])
    store.bulk([2], *history(2, now))
    store.check()

    store.engine.close()
    store.engine = Engine.open(store.fs, CONFIG, store.clock)

    store.check()
    assert store.engine.import_position("job") == [2]
    assert store.engine.verify() == []


def test_one_segment_per_partition_and_commit(store):
    """Fifteen years are no thousand files."""
    now = store.clock.time_ns
    rows = [(1, now - k * 5 * DAY_NS, 0, float(k)) for k in range(15 * 73)]

    store.bulk(1, rows)

    partitions = [info.partition for info in store.engine._state.segments]
    assert len(partitions) == len(set(partitions))
    assert 14 + 12 <= len(partitions) <= 15 + 24 + 7
    store.check()


def test_the_same_rows_twice_fall_together(store):
    """Redeliveries, in one commit and over several."""
    rows, events = history(1, store.clock.time_ns)
    store.bulk(1, [*rows, *rows], [*events, *events])
    before = plain_samples(store.engine.read(1, *ALL, all_revisions=True))

    store.bulk(2, rows, events)

    assert plain_samples(store.engine.read(1, *ALL, all_revisions=True)) == before
    store.check()


def test_authority_makes_revisions(store):
    """A correction counts although an equal row was seen before it was rewritten."""
    store.bulk(1, [(1, 5, 0, 1.0)])
    store.bulk(2, [(1, 5, 0, 2.0)])
    store.bulk(3, [(1, 5, 0, 1.0)])
    assert store.engine.read(1, *ALL).value.value.tolist() == [2.0]

    store.bulk(4, [(1, 5, 0, 1.0)], authoritative=True)

    assert store.engine.read(1, *ALL).value.value.tolist() == [1.0]
    store.check()


def test_rows_are_known_from_their_commit_on(store):
    """Time travel sees imports as it sees everything."""
    first = store.bulk(1, [(1, 5, 0, 1.0)])
    second = store.bulk(2, [(1, 5, 0, 2.0), (1, 6, 0, 3.0)])

    assert first < second
    assert store.engine.read(1, *ALL, known_at_lsn=first).value.value.tolist() == [1.0]
    assert store.engine.read(1, *ALL, known_at_lsn=second).value.value.tolist() == [2.0, 3.0]
    assert len(store.engine.read(1, *ALL, known_at_lsn=first - 1)) == 0


def test_only_later_tombstones_hide_imported_rows(store):
    """What was deleted before can be brought back by an import with authority."""
    store.bulk(1, [(1, 5, 0, 1.0), (1, 6, 0, 2.0)])
    change = Change(Verb.DELETE, 1, 0, 10, "me", "wrong", "")
    store.engine.wait_durable(store.engine.change(change))
    assert len(store.engine.read(1, *ALL)) == 0

    store.engine.bulk_import("job", 2, parts_of([(1, 5, 0, 3.0)]))
    assert store.engine.read(1, *ALL).value.value.tolist() == [3.0]
    assert store.engine.latest([1]).value == [3.0]

    store.engine.wait_durable(store.engine.change(change))
    assert len(store.engine.read(1, *ALL)) == 0
    assert not store.engine.latest([1]).present[0]


def test_events_imported_are_seen_by_the_check_for_conflicts(store):
    """An append behind the import is told that its key is known."""
    store.engine.bind(b"p" * 16, 1, {3: 3})
    old = store.clock.time_ns - 3000 * DAY_NS
    store.bulk(1, [], [(old, b"e" * 16, ("a", 1.0))])
    store.bulk(2, [], [(store.clock.time_ns, b"f" * 16, ("a", 1.0))])
    frame = store.producer.frame(
        events=[_event(old, b"e" * 16, ("b", 1.0)), _event(old + 1, b"e" * 16, ("b", 1.0))],
        columns=EVENT_COLUMNS,
    )

    assert store.engine.append(frame).conflicts == (0,)


def _event(time, event_id, values):
    from storage_engine.testing import EventRow

    return EventRow(3, time, event_id, values)


def test_a_grown_schema_takes_rows_without_its_new_columns(store):
    """An export of last year into the store of today."""
    store.engine.grow_stream(3, (*EVENT_COLUMNS, Column("high", ValueType.FLOAT64)))

    store.bulk(1, [], [(5, b"e" * 16, ("a", 1.0))])

    assert store.engine.read_events(3, *ALL).data["high"].objects() == [None]


def test_places_are_kept_and_forgotten(store):
    """Also without rows, and through a reopen."""
    store.bulk({"file": 1}, [(1, 5, 0, 1.0)])
    assert store.engine.bulk_import("other", [7], ()) == 0
    store.engine.flush()
    store.engine.close()

    engine = Engine.open(store.fs, CONFIG, store.clock)
    assert engine.import_position("job") == {"file": 1}
    assert engine.import_position("other") == [7]
    engine.end_import("job")
    engine.end_import("never begun")
    engine.close()

    engine = Engine.open(store.fs, CONFIG, store.clock)
    assert engine.import_position("job") is None
    assert engine.import_position("other") == [7]


@pytest.mark.parametrize(
    "part",
    [
        BulkRows(9, np.zeros(1, np.int64), np.zeros(1, np.uint32), None, ()),
        BulkRows(1, np.zeros(1, np.int64), np.zeros(1, np.uint32), None, (ColumnData(
            ValueType.INT64, np.zeros(1, np.int64)),)),
        BulkRows(1, np.zeros(2, np.int64), np.zeros(1, np.uint32), None, (ColumnData(
            ValueType.FLOAT64, np.zeros(2)),)),
        BulkRows(1, np.zeros(1, np.int64), None, np.zeros(1, EVENT_ID_DTYPE), (ColumnData(
            ValueType.FLOAT64, np.zeros(1)),)),
        BulkRows(1, np.zeros(1, np.int64), np.zeros(1, np.uint32), None, (ColumnData(
            ValueType.FLOAT64, np.zeros(1, np.float32)),)),
    ],
    ids=["stream", "type", "length", "kind", "dtype"],
)  # fmt: skip
def test_rows_of_another_shape_are_refused(store, part):
    """Nothing is taken, and the place stays where it was."""
    with pytest.raises(InvalidArgument, match=r"cannot import rows|cannot find stream"):
        store.engine.bulk_import("job", 1, [part])

    assert store.engine.import_position("job") is None


def test_a_store_opened_for_reading_takes_nothing(store):
    """Another process may write it."""
    reader = Engine.open(store.fs, CONFIG, store.clock, read_only=True)

    with pytest.raises(InvalidArgument, match="read-only"):
        reader.bulk_import("job", 1, ())


def perform(store, done):
    """Commits among appends and flushes; tells where each was finished."""
    now = store.clock.time_ns
    for number in range(COMMITS):
        rows, events = history(number, now, count=9)
        store.append([SampleRow(1, ValueType.FLOAT64, now + number, float(number))])
        if number == 2:
            store.engine.flush()
        store.bulk(number + 1, rows, events[: number + 1])
        done.append((number + 1, store.fs.position))


def expected_after(commits, sequence, now):
    """Model of so many commits and frames; the lsns count their order only."""
    model = Model()
    for number in range(COMMITS):
        lsn = 10 * number
        if number < sequence:
            row = SampleRow(1, ValueType.FLOAT64, now + number, float(number))
            model.append(lsn, [row], [], slots={1: 1}, observed=True)
        if number < commits:
            rows, events = history(number, now, count=9)
            for stream, time, quality, value in rows:
                entry = (time, lsn + 1, True, quality, bits(value))
                model.samples.setdefault(stream, []).append(entry)
            for time, event_id, values in events[: number + 1]:
                held = model.events.setdefault(3, [])
                held.append((time, event_id, lsn + 1, tuple(bits(v) for v in values)))
    return model


@pytest.mark.parametrize("part", range(4))
def test_a_power_cut_leaves_whole_commits_and_the_import_goes_on(part):
    """Exactly the rows up to the place that is told; the rest afterwards, once."""
    store, done = Store(RecordingFileSystem()), []
    begin = store.fs.position
    perform(store, done)
    end = store.fs.position
    seen = set()

    for moment in range(begin + part, end + 1, 4):
        for what, disk in store.fs.crash_states(moment, limit=6, seed=moment):
            engine = Engine.open(disk, CONFIG, store.clock)
            place = engine.import_position("job") or 0
            seen.add(place)
            promised = max((number for number, at in done if at <= moment), default=0)
            assert place >= promised, what
            state = engine.producer(b"p" * 16)
            sequence = state.sequence if state else 0
            now = store.clock.time_ns
            model = expected_after(place, sequence, now)
            check_against(engine, model, what, lsns=False)
            if moment % 3 == 0:
                for number in range(place, COMMITS):
                    rows, events = history(number, now, count=9)
                    engine.bulk_import("job", number + 1, parts_of(rows, events[: number + 1]))
                model = expected_after(COMMITS, sequence, now)
                check_against(engine, model, what, lsns=False)
            engine.close()
    assert seen == set(range(COMMITS + 1))


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_a_disk_that_refuses_leaves_all_or_nothing(number):
    """Whichever call fails: no row without its place, and no file that nobody names for long."""
    for after in range(60):
        store = Store(RecordingFileSystem())
        store.bulk(1, [(1, 5, 0, 1.0)])
        calls = iter(range(10**6))
        store.fs.fault = lambda operation, path, calls=calls, after=after: (
            number if operation != "read" and next(calls) == after else None
        )
        try:
            store.engine.bulk_import("job", 2, parts_of([(1, 6, 0, 2.0), (1, 6 * DAY_NS, 0, 3.0)]))
        except DiskError:
            refused = True
        else:
            refused = False
        store.fs.fault = None
        store.engine.close()
        engine = Engine.open(store.fs, CONFIG, store.clock)
        place = engine.import_position("job")
        assert engine.read(1, *ALL).value.value.tolist() == [1.0, 2.0, 3.0][: 2 * place - 1]
        assert refused or place == 2
        if place == 1:
            engine.bulk_import("job", 2, parts_of([(1, 6, 0, 2.0), (1, 6 * DAY_NS, 0, 3.0)]))
        assert len(engine.read(1, *ALL)) == 3
        engine.close()
        if not refused and next(calls) <= after:
            return
    pytest.fail("the import has more calls than were tried")


def test_the_extent_of_a_stream_covers_head_and_segments(store):
    """Without reading a row of a segment."""
    now = store.clock.time_ns
    assert store.engine.extent(1) is None
    store.append([SampleRow(1, ValueType.FLOAT64, now, 1.0)])
    assert store.engine.extent(1) == (now, now)

    store.bulk(1, [(1, 5, 0, 1.0), (1, 9, 0, 1.0)], [(7, b"e" * 16, ("a", 1.0))])

    assert store.engine.extent(1) == (5, now)
    assert store.engine.extent(2) is None
    assert store.engine.extent(3) == (7, 7)
