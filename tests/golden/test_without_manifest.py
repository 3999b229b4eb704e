"""Both generations of the manifest lost: what was deleted or erased must not come back."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from golden.story import CONFIG, Story
from golden.views import read_by_engine, read_by_second
from second_reader.store import Store

from storage_engine.changes import Verb
from storage_engine.engine import Engine
from storage_engine.filesystem import RealFileSystem
from storage_engine.sample import ValueType
from storage_engine.testing import SampleRow, SetClock


@pytest.mark.parametrize("flushes", [0, 1, 2, 3])
@pytest.mark.parametrize("read_only", [False, True])
def test_deleted_rows_stay_deleted(tmp_path, flushes, read_only):
    """The stream of changes lies in the segments (or the log), and says what is gone."""
    story = Story(RealFileSystem(tmp_path))
    stream = story.series(0, ValueType.FLOAT64)
    rows = [SampleRow(0, ValueType.FLOAT64, k, float(k)) for k in range(6)]
    story.append(rows)
    story.engine.flush()
    before = story.engine.durable_lsn
    story.change(Verb.ERASE, 0, 0, 2)
    story.change(Verb.DELETE, 0, 2, 4)
    story.change(Verb.ANNOTATE, 0, 4, 6)
    for number in range(flushes):
        # Enough for a log file, so that after some flushes the log has forgotten the changes.
        more = [SampleRow(0, ValueType.FLOAT64, 1000 * number + 10 + k, 1.0) for k in range(400)]
        story.append(more)
        story.engine.flush()
    lsns = [before, story.engine.durable_lsn]
    expected = story.expected(lsns)
    story.engine.close()
    for path in (tmp_path / "manifest").iterdir():
        path.unlink()

    second = Store(tmp_path)
    engine = Engine.open(RealFileSystem(tmp_path), CONFIG, SetClock(), read_only=read_only)

    assert expected == read_by_second(second, lsns)
    assert expected == read_by_engine(engine, lsns)
    assert [4, 5] == engine.read(stream, -100, 10).timestamp_ns.tolist()
    assert engine.findings()
    assert second.findings
    newest = engine.latest([stream])
    assert newest.timestamp_ns.tolist() == [1000 * flushes - 591 if flushes else 5]
    engine.close()
