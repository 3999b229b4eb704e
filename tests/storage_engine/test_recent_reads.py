"""recent_reads.py: many series at once answer as each of them alone, or leave it to that."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from storage_engine.config import EngineConfig
from storage_engine.engine import Engine
from storage_engine.frame import SlotKind
from storage_engine.recording import RecordingFileSystem
from storage_engine.sample import Column, ValueType
from storage_engine.testing import Producer, SampleRow, SetClock

CONFIG = EngineConfig(free_bytes_min=0, wal_file_bytes=1 << 16, record_time_step_ms=0)
TYPES = (
    ValueType.FLOAT64, ValueType.INT64, ValueType.BOOL, ValueType.FLOAT32, ValueType.SYMBOL,
    ValueType.UINT64,
)  # fmt: skip
VALUES = {
    ValueType.FLOAT64: [1.5, None, float("nan"), -2.0],
    ValueType.INT64: [3, -(2**62), None],
    ValueType.BOOL: [True, False, None],
    ValueType.FLOAT32: [0.25, None],
    ValueType.SYMBOL: ["a", "b", ""],
    ValueType.UINT64: [2**63, 1, None],
}


class _Store:
    def __init__(self):
        self.engine = Engine.open(RecordingFileSystem(), CONFIG, SetClock())
        self.ids = [
            self.engine.create_stream(bytes([k]) * 16, SlotKind.SERIES, (Column("value", type_),))
            for k, type_ in enumerate(TYPES)
        ]
        self.producer = Producer(b"p" * 16)
        self.engine.bind(b"p" * 16, 1, dict(enumerate(self.ids)))

    def put(self, rows):
        lsn = self.engine.append(self.producer.frame([SampleRow(*row) for row in rows])).lsn
        self.engine.wait_durable(lsn)


ROWS = st.lists(
    st.tuples(
        st.integers(0, 5), st.integers(0, 40), st.integers(0, 3), st.sampled_from([0, 2**31])
    ),
    min_size=1,
    max_size=25,
)
STEPS = st.lists(st.one_of(ROWS, st.just("flush")), min_size=1, max_size=5)


def _alike(one, other):
    assert one.timestamp_ns.tolist() == other.timestamp_ns.tolist()
    assert one.quality.tolist() == other.quality.tolist()
    assert one.lsn.tolist() == other.lsn.tolist()
    assert one.value.type is other.value.type
    assert list(map(repr, one.value.objects())) == list(map(repr, other.value.objects()))


@settings(max_examples=150, deadline=None)
@given(STEPS, st.integers(-5, 40), st.integers(1, 45), st.booleans())
def test_many_series_answer_as_each_alone(steps, start, length, in_order):
    """Late, repeated and flushed rows, several types, nulls; None only where something is so."""
    store = _Store()
    flushed, times = False, {slot: [] for slot in range(6)}
    for step in steps:
        if step == "flush":
            store.engine.flush()
            flushed = True
            continue
        rows = sorted(step, key=lambda row: row[1]) if in_order else step
        put = []
        for slot, time, value, quality in rows:
            type_ = TYPES[slot]
            values = VALUES[type_]
            put.append((slot, type_, time, values[value % len(values)], quality))
            times[slot].append(time)
        store.put(put)
    window = (start, start + length)

    found = store.engine.read_recent(store.ids, *window)

    for slot, one in enumerate(found):
        inside = [time for time in times[slot] if window[0] <= time < window[1]]
        if one is not None:
            _alike(one, store.engine.read(store.ids[slot], *window))
        else:
            rising = all(a < b for a, b in pairwise(inside))
            assert flushed or not rising or TYPES[slot] is ValueType.SYMBOL
    store.engine.close()


def test_rows_in_a_segment_outside_the_window_do_not_matter():
    store = _Store()
    store.put([(0, ValueType.FLOAT64, time, 1.0, 0) for time in range(10)])
    store.engine.flush()
    store.put([(0, ValueType.FLOAT64, time, 2.0, 0) for time in range(20, 30)])
    inside, cut = (store.engine.read_recent(store.ids[:1], a, 30)[0] for a in (20, 5))
    assert inside.value.value.tolist() == [2.0] * 10
    assert cut is None
    store.engine.close()


def test_the_same_series_twice_and_none_at_all():
    store = _Store()
    store.put([(0, ValueType.FLOAT64, 1, 1.0, 0)])
    twice = store.engine.read_recent([store.ids[0], store.ids[1], store.ids[0]], 0, 9)
    assert [len(one) for one in twice] == [1, 0, 1]
    assert store.engine.read_recent([], 0, 9) == []
    assert np.shares_memory(twice[0].timestamp_ns, twice[2].timestamp_ns) is False
    store.engine.close()
