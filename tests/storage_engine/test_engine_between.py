"""What may come between two steps of the engine, and once did harm."""

import threading

import numpy as np
import pytest

from storage_engine.bulk import BulkRows
from storage_engine.config import EngineConfig
from storage_engine.engine import Engine
from storage_engine.errors import EngineClosed
from storage_engine.frame import SlotKind
from storage_engine.recording import RecordingFileSystem
from storage_engine.sample import Column, ColumnData, ValueType
from storage_engine.testing import Producer, SampleRow, SetClock, plain_samples

CONFIG = EngineConfig(
    head_bytes_max=4096,
    wal_file_bytes=1 << 16,
    wal_pending_bytes_max=1 << 20,
    block_rows=16,
    free_bytes_min=0,
    record_time_step_ms=0,
)
EVERYTHING = (-(2**63), 2**63 - 1)


class Store:
    """A series, and a producer with authority."""

    def __init__(self):
        self.fs, self.clock = RecordingFileSystem(), SetClock()
        self.open()
        column = (Column("value", ValueType.FLOAT64),)
        self.stream = self.engine.create_stream(b"a" * 16, SlotKind.SERIES, column)
        self.producer = Producer(b"p" * 16, flags=0)
        self.engine.bind(b"p" * 16, 1, {0: self.stream})

    def open(self):
        self.engine = Engine.open(self.fs, CONFIG, self.clock)

    def append(self, times, value):
        rows = [SampleRow(0, ValueType.FLOAT64, time, value) for time in times]
        return self.engine.append(self.producer.frame(rows)).lsn

    def values(self):
        return self.engine.read(self.stream, *EVERYTHING).value.objects()


def test_a_frame_on_its_way_that_is_larger_than_a_head_survives_a_flush():
    """The head that a flush puts in front has room for what is acknowledged next."""
    store = Store()
    store.engine.wait_durable(store.append([1], 1.0))
    lsn = store.append(range(10, 310), 2.0)
    store.engine._flusher.flush(store.engine._wal)
    store.engine.wait_durable(lsn)

    assert len(store.values()) == 301
    store.engine.flush()
    store.engine.close()
    store.open()
    assert len(store.values()) == 301
    assert store.engine.findings() == []


def test_an_import_between_two_equal_writes_does_not_turn_them_into_one():
    """The last word was the first one again, also after a flush."""
    store = Store()
    store.engine.wait_durable(store.append([5], 1.0))
    column = ColumnData(ValueType.FLOAT64, np.array([2.0]))
    part = BulkRows(store.stream, np.array([5], np.int64), np.zeros(1, np.uint32), None, (column,))
    store.engine.bulk_import("job", 1, [part])
    store.engine.wait_durable(store.append([5], 1.0))
    before = plain_samples(store.engine.read(store.stream, *EVERYTHING, all_revisions=True))

    store.engine.flush()

    assert store.values() == [1.0]
    after = plain_samples(store.engine.read(store.stream, *EVERYTHING, all_revisions=True))
    assert before == after
    assert len(after) == 3


@pytest.mark.parametrize("work", ["flush", "commit"])
def test_what_waited_for_a_closing_engine_writes_nothing(work):
    """By then another process may hold the store."""
    store = Store()
    store.engine.wait_durable(store.append([1], 1.0))
    flusher, wal = store.engine._flusher, store.engine._wal
    raised = []

    def late():
        try:
            flusher.flush(wal) if work == "flush" else flusher.replace((), ())
        except EngineClosed as error:
            raised.append(error)

    flusher.running.acquire()
    waiting = threading.Thread(target=late)
    waiting.start()
    flusher.closed = True
    flusher.running.release()
    waiting.join(10)

    assert len(raised) == 1
    flusher.closed = False
    store.engine.close()
    with pytest.raises(EngineClosed):
        flusher.flush(wal)


def test_verify_beside_compaction_finds_nothing_wrong():
    """Files that compaction took away meanwhile are no damage."""
    store = Store()
    for number in range(6):
        store.engine.wait_durable(store.append([number], float(number)))
        store.engine.flush()

    def meanwhile(size):
        store.engine.compact(lambda _: None)
        for _ in range(2):
            store.engine.wait_durable(store.append([store.producer.sequence + 100], 0.5))
            store.engine.flush()

    assert store.engine.verify(meanwhile) == []
    assert store.engine.findings() == []
