"""The whole engine against the plain model: whatever changes rows, whatever changes files.

Everything of test_engine_model, and compaction, expiry, imports, backup and restore to a moment.
"""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from storage_engine.bulk import BulkRows
from storage_engine.engine import Engine
from storage_engine.recording_tree import RecordingTree
from storage_engine.restore import restore_backup
from storage_engine.retention import Rule
from storage_engine.sample import EVENT_ID_DTYPE
from storage_engine.subtree import Below
from storage_engine.testing import (
    DAY_NS,
    EventRow,
    Producer,
    SampleRow,
    column_of,
    plain_samples,
)

sys.path.insert(0, str(Path(__file__).parent))

from test_engine_model import (
    CONFIG,
    EVENT_COLUMNS,
    TIMES,
    TYPES,
    VALUES,
    EngineMachine,
)

EVERYTHING = (-(2**63), 2**63 - 1)
AGE_NS = 60 * DAY_NS


def no_pace(size: int) -> None:
    """Go on."""


class WholeMachine(EngineMachine):
    """Files are merged, dropped, brought in from outside, copied away and brought back."""

    @initialize()
    def begin(self) -> None:
        super().begin()
        self.engine.close()
        self.fs = RecordingTree()
        self.engine = Engine.open(self.fs, CONFIG, self.clock)
        super().streams()
        self.repository = RecordingTree()
        self.imported = 0
        self.backups = 0

    @rule()
    def compact(self) -> None:
        """Nothing that is read changes."""
        self.engine.compact(no_pace)
        assert self.engine.findings() == []

    @rule()
    def finish_erasures(self) -> None:
        """Nothing that is read changes, and nothing is left to do."""
        assert self.engine.finish_erasures(no_pace) == ()

    @rule(
        slot=st.integers(0, len(TYPES) - 1),
        places=st.lists(st.sampled_from(TIMES), min_size=1, max_size=5),
        data=st.data(),
        authoritative=st.booleans(),
    )
    def bring_in(
        self, slot: int, places: list[int], data: st.DataObject, authoritative: bool
    ) -> None:
        """Rows past the log are rows like others, with the lsn of their import."""
        value = st.sampled_from(VALUES[TYPES[slot]])
        rows = [SampleRow(slot, TYPES[slot], time, data.draw(value)) for time in places]
        times = np.array(places, np.int64)
        column = column_of(TYPES[slot], [row.value for row in rows])
        stream = self.slots[slot]
        part = BulkRows(stream, times, np.zeros(len(rows), np.uint32), None, (column,))
        self.imported += 1
        lsn = self.engine.bulk_import("job", self.imported, [part], authoritative=authoritative)
        self.model.append(lsn, rows, [], slots=self.slots, observed=not authoritative)

    @rule(
        time=st.sampled_from(TIMES),
        event_id=st.sampled_from([b"a" * 16, b"c" * 16]),
        unit=st.sampled_from(["u1", "u2", None]),
    )
    def bring_in_an_event(self, time: int, event_id: bytes, unit: str | None) -> None:
        """Events past the log follow the rule of events."""
        event = EventRow(100, time, event_id, (unit, 1.0))
        columns = tuple(
            column_of(column.type, [value])
            for column, value in zip(EVENT_COLUMNS, event.values, strict=True)
        )
        ids = np.array([event_id], EVENT_ID_DTYPE)
        part = BulkRows(self.slots[100], np.array([time], np.int64), None, ids, columns)
        self.imported += 1
        lsn = self.engine.bulk_import("job", self.imported, [part])
        self.model.append(lsn, [], [event], slots=self.slots, observed=True)

    @rule()
    def expire(self) -> None:
        """Only rows of the class and older than its age may go, and a time goes as a whole."""
        state = self.engine.producer(b"p" * 16)
        if state is not None:  # so that a time goes as a whole
            self.engine.wait_durable(state.lsn)
        self.engine.flush()
        classes = {s: self.engine.streams()[s].retention_class for s in self.slots.values()}
        now = self.clock.time_ns
        self.engine.expire(
            {"short": Rule(age_ns=AGE_NS)}, now_ns=now, uptime_ns=2 * DAY_NS, force=True
        )
        for slot in range(len(TYPES)):
            stream = self.slots[slot]
            durable = self.engine.durable_lsn
            expected = self.model.read(stream, *EVERYTHING, durable, every=True)
            read = self.engine.read(stream, *EVERYTHING, all_revisions=True)
            found = set(plain_samples(read))
            gone = {row[0] for row in expected if row not in found}
            kept = {row[0] for row in expected if row in found}
            assert not gone & kept
            assert all(time < now - AGE_NS for time in gone)
            assert not gone or classes[stream] == "short"
            # What a deletion hides may have gone with the rest: the file went as a whole.
            if classes[stream] == "short":
                self._forget_hidden(stream, now - AGE_NS)
            rows = self.model.samples.get(stream, [])
            self.model.samples[stream] = [row for row in rows if row[0] not in gone]
            if gone:
                self.expired.add(stream)

    def _forget_hidden(self, stream: int, before_ns: int) -> None:
        """Rows that no read shows now are asked for as known when they were all there."""
        durable = self.engine.durable_lsn
        for lsn in sorted({row[1] for row in self.model.samples.get(stream, [])}):
            if lsn > durable:
                break
            expected = self.model.read(stream, *EVERYTHING, lsn, every=True)
            read = self.engine.read(stream, *EVERYTHING, all_revisions=True, known_at_lsn=lsn)
            found = set(plain_samples(read))
            gone = {row[0] for row in expected if row not in found}
            assert all(time < before_ns for time in gone)
            rows = self.model.samples.get(stream, [])
            self.model.samples[stream] = [row for row in rows if row[0] not in gone]
            if gone:
                self.expired.add(stream)

    @precondition(lambda self: self.backups < 4)
    @rule(share=st.floats(0, 1), whole=st.booleans())
    def back_up_and_restore(self, share: float, whole: bool) -> None:
        """The restored store is the store as it was known at the moment; work goes on in it."""
        self.backups += 1
        name = f"b{self.backups}"
        self.engine.backup(self.repository, name)
        durable = self.engine.durable_lsn
        erased = max((e[0] for e in self.model.removed if e[4]), default=0)
        lsn = durable if whole else max(int(durable * share), erased)
        before = self.engine.incarnation
        target = RecordingTree()
        restore_backup(
            self.repository,
            name,
            target,
            "data",
            config=CONFIG,
            clock=self.clock,
            to_lsn=lsn,
        )
        self.engine.close()
        self.fs = self._alone(target)
        self.engine = Engine.open(self.fs, CONFIG, self.clock)
        assert self.engine.findings() == []
        assert self.engine.incarnation != before
        self.model.forget_after(lsn)
        self.changes = [entry for entry in self.changes if entry[0] <= lsn]
        state = self.engine.producer(b"p" * 16)
        self.producer = Producer(
            b"p" * 16,
            epoch=state.epoch if state else 1,
            sequence=state.sequence if state else 0,
            previous_crc=state.crc if state else 0,
        )
        self.last = None
        self._recreate()

    @staticmethod
    def _alone(target: RecordingTree) -> RecordingTree:
        """The engine's folder of the restored one as a disk of its own, so that it can crash."""
        below, fs = Below(target, "data/engine"), RecordingTree()

        def copy(directory: str) -> None:
            for name in below.list(directory):
                path = name if directory == "." else f"{directory}/{name}"
                if below.is_directory(path):
                    fs.make_directories(path)
                    copy(path)
                else:
                    source = below.open_read(path)
                    file = fs.create(path)
                    file.append(source.read_at(0, source.size()))
                    file.sync()
            fs.sync_directory(directory)

        copy(".")
        return fs

    def _recreate(self) -> None:
        """Streams made behind the moment are made again."""
        self.streams()
        for slot, stream in self.slots.items():
            if slot != 100:
                rule_ = self.engine.streams()[stream].duplicates
                self.model.duplicates[stream] = rule_


WholeMachine.TestCase.settings = settings(
    max_examples=20,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestWholeEngineAgainstModel = WholeMachine.TestCase


class LongMachine(WholeMachine):
    """The same for long."""


LongMachine.TestCase.settings = settings(
    max_examples=400,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.slow
class TestTwentyThousandSteps(LongMachine.TestCase):
    """20,000 steps without a difference."""
