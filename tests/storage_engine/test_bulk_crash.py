"""Import past the log through power cuts and a disk that refuses: whole commits, gone on with."""

import errno
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from bulk_story import ALL, CONFIG, Store, check_against, history, parts_of

from storage_engine.engine import Engine
from storage_engine.errors import DiskError
from storage_engine.recording import RecordingFileSystem
from storage_engine.sample import ValueType
from storage_engine.testing import DAY_NS, Model, SampleRow, bits

COMMITS = 4


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
        for what, disk in store.fs.crash_states(moment, limit=4, seed=moment):
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
