"""Import past the log: against the plain model, by the rules of revisions and tombstones."""

import sys
import threading
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from bulk_story import ALL, CONFIG, EVENT_COLUMNS, Store, history, parts_of

from storage_engine.bulk import BulkRows
from storage_engine.changes import Change, Verb
from storage_engine.engine import Engine
from storage_engine.errors import InvalidArgument
from storage_engine.recording import RecordingFileSystem
from storage_engine.sample import EVENT_ID_DTYPE, Column, ColumnData, ValueType
from storage_engine.testing import DAY_NS, EventRow, SampleRow, plain_samples


@pytest.fixture
def store():
    return Store(RecordingFileSystem())


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


def test_a_settled_lsn_waits_for_a_commit_under_way(store):
    """An import that has its lsn and not its commit would change what is known at it."""
    asked, found = threading.Event(), []

    def ask():
        asked.set()
        found.append(store.engine.settled_lsn())

    asker = threading.Thread(target=ask)

    def pace(size):
        if not asked.is_set():
            asker.start()
            asked.wait()
            asker.join(0.05)
            assert found == []

    lsn = store.engine.bulk_import("job", 1, parts_of([(1, 5, 0, 1.0)]), pace=pace)
    asker.join()

    assert found == [lsn]
