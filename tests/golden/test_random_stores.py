"""Stores of random workloads: the model, the engine and the second reader agree row by row."""

import sys
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1]))

from golden.stories import BAD, EVENTS, NOW, TYPES, UNIT, VALUES, WIDE
from golden.story import CONFIG, Story
from golden.views import read_by_engine, read_by_second
from second_reader.store import Store

from storage_engine.changes import Verb
from storage_engine.config import EngineConfig
from storage_engine.filesystem import RealFileSystem
from storage_engine.streams import Duplicates
from storage_engine.testing import DAY_NS, SECOND_NS, EventRow, SampleRow

SMALL = EngineConfig(
    head_bytes_max=CONFIG.head_bytes_max,
    wal_file_bytes=4096,
    wal_pending_bytes_max=CONFIG.wal_pending_bytes_max,
    block_rows=8,
    free_bytes_min=0,
    record_time_step_ms=0,
    compaction_fan_in=2,
)
# Few times, so that rewrites are common; days, months and years, so that partitions are many.
TIMES = [NOW, NOW + 1, NOW + SECOND_NS, *(NOW - d * DAY_NS for d in (1, 40, 41, 900)), -1]
slots = st.integers(0, len(TYPES) - 1)
samples = st.lists(
    slots.flatmap(
        lambda slot: st.builds(
            SampleRow,
            st.just(slot),
            st.just(TYPES[slot]),
            st.sampled_from(TIMES),
            st.sampled_from(VALUES[TYPES[slot]]),
            st.sampled_from([0, 0, BAD]),
        )
    ),
    max_size=20,
)
ids = st.sampled_from([bytes(16), b"a" * 16])
cells = {column: st.sampled_from(VALUES[column.type]) for column in WIDE}
narrow = st.builds(
    EventRow, st.just(EVENTS), st.sampled_from(TIMES), ids, st.tuples(*(cells[c] for c in UNIT))
)
wide = st.builds(
    EventRow, st.just(EVENTS), st.sampled_from(TIMES), ids, st.tuples(*(cells[c] for c in WIDE))
)
steps = st.one_of(
    st.tuples(st.just("append"), samples, st.lists(narrow, max_size=3), st.booleans()),
    st.tuples(st.just("append"), samples, st.lists(narrow, max_size=3), st.booleans()),
    st.tuples(st.just("bulk"), samples, st.lists(narrow, max_size=3), st.booleans()),
    st.tuples(st.just("wide"), st.lists(wide, min_size=1, max_size=4), st.booleans()),
    st.tuples(
        st.just("change"),
        st.sampled_from([0, 1, 2, 5, EVENTS]),
        st.sampled_from(list(Verb)),
        st.tuples(st.sampled_from(TIMES), st.sampled_from(TIMES)),
    ),
    st.tuples(st.just("set"), slots, st.sampled_from(list(Duplicates)), st.sampled_from("ab")),
    st.tuples(st.sampled_from(["flush", "flush", "compact", "reopen", "again"])),
    st.tuples(st.just("wait"), st.sampled_from([1, 86_400, 40 * 86_400])),
)


def play(story: Story, step: tuple[Any, ...]) -> None:
    """One step of a workload."""
    match step:
        case ("append", rows, events, observed):
            story.append(rows, events, UNIT, observed=observed)
        case ("bulk", rows, events, authoritative):
            story.bulk(rows, events, authoritative=authoritative)
        case ("wide", events, observed):
            story.grow(EVENTS, WIDE)
            story.append(events=events, columns=WIDE, observed=observed)
        case ("change", slot, verb, bounds):
            story.change(verb, slot, min(bounds), max(bounds) + 1)
        case ("set", slot, duplicates, name):
            story.set_stream(slot, duplicates=duplicates, name=name)
        case ("wait", seconds):
            story.wait(seconds)
        case ("flush",):
            story.engine.flush()
        case ("compact",):
            story.engine.compact(lambda size_bytes: None)
        case ("reopen",):
            story.reopen()
        case ("again",) if story.last:
            story.deliver_again()


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(workload=st.lists(steps, min_size=4, max_size=16))
def test_three_ways_to_the_same_rows(workload):
    """At four lsns of the history, while the store is still open for writing."""
    with tempfile.TemporaryDirectory() as name:
        story = Story(RealFileSystem(Path(name)), SMALL)
        for slot, value_type in enumerate(TYPES):
            story.series(slot, value_type)
        story.event_stream(EVENTS, UNIT)
        for step in workload:
            play(story, step)
        last = story.engine.durable_lsn
        lsns = sorted({0, last // 3, 2 * last // 3, last})
        expected = story.expected(lsns)
        second = Store(Path(name))

        assert expected == read_by_engine(story.engine, lsns)
        assert second.findings == []
        assert expected == read_by_second(second, lsns)
        for segment in second.segments:
            segment.check_summaries()
        story.engine.close()
