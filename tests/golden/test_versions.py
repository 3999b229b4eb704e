"""What stores of older versions and old rows become: other bytes, the same history."""

import random
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from golden.facts import load
from golden.stories import CONFIGS, STORIES
from golden.story import CONFIG, Story
from golden.views import read_by_engine, read_by_second
from second_reader.store import Store

from storage_engine.bulk import BulkRows
from storage_engine.engine import Engine
from storage_engine.filesystem import RealFileSystem
from storage_engine.frame import SlotKind
from storage_engine.recording import RecordingFileSystem
from storage_engine.sample import ValueType
from storage_engine.testing import DAY_NS, SetClock, column_of

OLD = sorted(path.parent for path in Path(__file__).parent.glob("store-1/*/store"))
LATER_NS = 40 * DAY_NS


def unhurried(size_bytes):
    """The pace of somebody with time."""


def live(engine):
    return engine._state.segments


def versions(root, infos):
    """Version in the header of each segment."""
    return {int.from_bytes((root / info.path).read_bytes()[8:12], "little") for info in infos}


@pytest.mark.parametrize("golden", OLD, ids=lambda path: path.name)
def test_a_store_of_version_1_is_read_written_to_and_becomes_version_2(golden, tmp_path):
    """Rows of both versions at first, then all anew; every read of before gives what it gave."""
    root = tmp_path / "store"
    shutil.copytree(golden / "store", root)
    expected = load(golden)
    clock = SetClock()
    engine = Engine.open(RealFileSystem(root), CONFIG, clock)
    assert versions(root, live(engine)) == {1}
    series = [i for i in engine.streams().values() if i.kind is SlotKind.SERIES]
    parts = []
    for info in series:
        like = {ValueType.SYMBOL: "new", ValueType.TEXT: "new", ValueType.BYTES: b"new"}
        column = column_of(info.value_type, [like.get(info.value_type, 1)] * 70)
        times = clock.time_ns - 50 * DAY_NS + np.arange(70) * 10**9
        parts.append(BulkRows(info.id, times, np.zeros(70, np.uint32), None, (column,)))
    engine.bulk_import("more", 1, parts)
    assert versions(root, live(engine)) == {1, 2}
    lsns = [*expected["lsns"], engine.durable_lsn]
    before = read_by_engine(engine, lsns)
    assert expected["streams"] == read_by_engine(engine, expected["lsns"])

    clock.time_ns += LATER_NS
    engine.compact(unhurried)

    assert all(info.cold for info in live(engine))
    assert versions(root, live(engine)) == {2}
    assert (before, []) == (read_by_engine(engine, lsns), engine.verify())
    engine.close()
    second = Store(root)
    assert (before, []) == (read_by_second(second, lsns), second.findings)
    for segment in second.segments:
        segment.check_summaries()


@pytest.mark.parametrize("name", STORIES)
def test_old_rows_are_made_small_once_and_read_as_before(name):
    """All types, strings and events, revisions and deletions; by power cuts at any moment, too."""
    fs = RecordingFileSystem()
    story = Story(fs, CONFIGS.get(name, CONFIG))
    STORIES[name](story)
    story.engine.flush()
    lsns = story.lsns[:: max(len(story.lsns) // 3, 1)]
    before = read_by_engine(story.engine, lsns)
    story.clock.time_ns += LATER_NS
    begin = len(fs.log)

    report = story.engine.compact(unhurried)

    assert report.jobs.get("cold", 0) >= 1
    assert all(info.cold for info in live(story.engine))
    assert before == read_by_engine(story.engine, lsns) == story.expected(lsns)
    assert not story.engine.compaction_due()
    end = len(fs.log)
    draw = random.Random(name)
    for moment in draw.sample(range(begin, end + 1), 12 if name != "fast" else 3):
        states = list(fs.crash_states(moment, limit=6))
        _, state = draw.choice(states)
        engine = Engine.open(state, CONFIG, SetClock(story.clock.time_ns))
        assert ([], before) == (engine.findings(), read_by_engine(engine, lsns))
        engine.compact(unhurried)
        assert all(info.cold for info in live(engine))
        assert before == read_by_engine(engine, lsns)
        engine.close()
    story.engine.close()


def test_summaries_of_long_runs_hold_against_their_rows(tmp_path):
    """The second reader adds them up in whole fractions, runs and vectors alike."""
    (tmp_path / "store").mkdir()
    story = Story(RealFileSystem(tmp_path / "store"), CONFIGS["fast"])
    STORIES["fast"](story)
    assert {False, True} == {info.cold for info in live(story.engine)}
    story.engine.close()

    store = Store(tmp_path / "store")

    assert store.findings == []
    for segment in store.segments:
        segment.check_summaries()
    assert any(segment.table["stream_pyramid_length"].any() for segment in store.segments)
