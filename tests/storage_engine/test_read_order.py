"""reads.py: several values of one frame at one time, over the edges of blocks, from both sides."""

import pytest

from storage_engine.config import EngineConfig
from storage_engine.engine import Engine
from storage_engine.frame import SlotKind
from storage_engine.recording import RecordingFileSystem
from storage_engine.sample import Column, ValueType
from storage_engine.testing import Model, Producer, SampleRow, SetClock, plain_samples

WHOLE = (-(2**63), 2**63 - 1)


@pytest.mark.parametrize("per_time", [1, 3, 6, 20])
@pytest.mark.parametrize("every", [False, True])
def test_both_sides_give_the_same_revisions(per_time, every):
    """Six rows of one time in blocks of eight: the newest is the last of the frame either way."""
    config = EngineConfig(block_rows=8, free_bytes_min=0)
    engine = Engine.open(RecordingFileSystem(), config, SetClock())
    value = (Column("value", ValueType.FLOAT64),)
    stream = engine.create_stream(b"s" * 16, SlotKind.SERIES, value)
    engine.bind(b"p" * 16, 1, {0: stream})
    rows = [SampleRow(0, ValueType.FLOAT64, k // per_time, float(k)) for k in range(40)]
    appended = engine.append(Producer(b"p" * 16, flags=0).frame(rows))
    assert engine.wait_durable(appended.lsn)
    model = Model()
    model.append(appended.lsn, rows, (), slots={0: stream}, observed=False)
    engine.flush()

    expected = model.read(stream, *WHOLE, appended.lsn, every=every)
    for count in (None, 1, 5):
        ahead = engine.read(stream, *WHOLE, all_revisions=every, max_count=count)
        back = engine.read(stream, *WHOLE, all_revisions=every, max_count=count, backward=True)
        assert expected[:count] == plain_samples(ahead)
        assert expected[::-1][:count] == plain_samples(back)
    for time in range(40 // per_time):
        kept = [row for row in expected if row[0] < time][-1:]
        assert every or kept == plain_samples(engine.previous(stream, time))
    engine.close()
