"""Columns shared within a segment: equal reads, and every loss by a damaged owner is named."""

import numpy as np
import pytest

from storage_engine.block import BlockIdentity, block_columns, decode_block, encode_block
from storage_engine.changes import Change, Verb
from storage_engine.checksum import crc32c
from storage_engine.columns import Rows
from storage_engine.config import EngineConfig
from storage_engine.engine import Engine
from storage_engine.errors import CorruptData
from storage_engine.frame import SlotKind
from storage_engine.recording import RecordingFileSystem
from storage_engine.sample import Column, ColumnData, ValueType
from storage_engine.shared_columns import SHARED, ColumnPlace, ColumnSharing
from storage_engine.testing import (
    Model,
    Producer,
    SampleRow,
    SetClock,
    plain_samples,
)
from storage_engine.tools.bytes_of import read_piece
from storage_engine.tools.salvage import salvage
from storage_engine.tools.segment_check import check_segment
from storage_engine.tools.segment_file import open_segment
from storage_engine.tools.survey import Source

TAGS, SCANS, ROWS = 4, 1100, 512
CONFIG = EngineConfig(
    head_bytes_max=1 << 22, block_rows=ROWS, free_bytes_min=0, record_time_step_ms=0
)
EVER = (-(2**63), 2**63 - 1)
IDENTITY = BlockIdentity(b"i" * 16, 1, 0, 1)


class Plant:
    """Tags of one scan with jitter, gaps and bad stretches in common, and what reads must give."""

    def __init__(self):
        self.fs, self.clock, self.model = RecordingFileSystem(), SetClock(), Model()
        self.engine = Engine.open(self.fs, CONFIG, self.clock)
        value = (Column("value", ValueType.FLOAT64),)
        self.slots = {
            slot: self.engine.create_stream(bytes([slot + 1]) * 16, SlotKind.SERIES, value)
            for slot in range(TAGS)
        }
        self.producer = Producer(b"p" * 16)
        self.engine.bind(b"p" * 16, 1, self.slots)
        self.rng = np.random.default_rng(1)
        self.begin = self.clock.time_ns

    def scans(self, first, count, shift=0.0):
        """Some scans, each a frame; every one has a time and a gap of its own."""
        last = 0
        for number in range(first, first + count):
            rng = np.random.default_rng(number)
            at = self.begin + number * 10**9 + int(rng.integers(0, 10**8))
            quality = 0x80000000 if rng.random() < 0.3 else int(rng.integers(0, 3))
            gap = rng.random() < 0.3
            rows = [
                SampleRow(
                    slot,
                    ValueType.FLOAT64,
                    at,
                    None if gap else number + slot / 8 + shift,
                    quality,
                )
                for slot in range(TAGS)
            ]
            last = self.engine.append(self.producer.frame(rows)).lsn
            self.model.append(last, rows, (), slots=self.slots, observed=True)
        assert self.engine.wait_durable(last)
        return last

    def check(self, engine, known_at=None):
        lsn = 2**62 if known_at is None else known_at
        for stream in self.slots.values():
            for every in (False, True):
                found = engine.read(stream, *EVER, known_at_lsn=known_at, all_revisions=every)
                assert plain_samples(found) == self.model.read(stream, *EVER, lsn, every=every)

    @property
    def paths(self):
        folders = self.fs.list("segments")
        return [f"segments/{a}/{n}" for a in folders for n in self.fs.list(f"segments/{a}")]


def columns_of(fs, path):
    """Column table of every block of a segment: block -> (offset, entries)."""
    segment = open_segment(fs, path)
    assert segment.findings == []
    return {
        place.number: (
            place.offset,
            block_columns(read_piece(fs, path, place.offset, place.length), at="")[1],
        )
        for place in segment.places()
    }


@pytest.fixture
def plant():
    one = Plant()
    one.scans(0, SCANS)
    one.engine.flush()
    return one


def shared(entries):
    """(role, part) of the columns of a block that are references."""
    data = {(entry.role, "data") for entry in entries if entry.codec == SHARED}
    return data | {(entry.role, "validity") for entry in entries if entry.mask == SHARED}


def test_tags_of_one_scan_share_times_stamps_qualities_and_gaps(plant):
    """The first tag owns them; reads of all are what was written, as known at any lsn."""
    (path,) = plant.paths
    blocks = columns_of(plant.fs, path)

    assert len(blocks) == TAGS * 3
    assert all(shared(blocks[number][1]) == set() for number in range(3))
    found = [shared(blocks[number][1]) for number in range(3, TAGS * 3)]
    # What is small already stays as it is.
    assert all((0, "data") in one for one in found)
    assert {(0, "data"), (2, "data"), (4, "validity")} <= set.union(*found)
    plant.check(plant.engine)
    plant.check(plant.engine, known_at=SCANS // 2)
    assert plant.engine.verify() == []
    assert check_segment(plant.fs, path).findings == []


def test_a_damaged_owner_is_named_for_each_block_that_needs_it(plant):
    """Its own rows and theirs are lost, each loss at its own place; all other blocks are read."""
    (path,) = plant.paths
    blocks = columns_of(plant.fs, path)
    plant.engine.close()
    plant.fs.open_write(path).write_at(blocks[1][0] + 20, b"\xff\x00\xff")

    engine = Engine.open(plant.fs, CONFIG, plant.clock)
    for stream in plant.slots.values():
        found = engine.read(stream, *EVER)
        expected = plant.model.read(stream, *EVER, 2**62)
        assert plain_samples(found) == expected[:ROWS] + expected[2 * ROWS :]
        assert found.damage
    needing = [offset for number, (offset, _) in blocks.items() if number % 3 == 1]
    assert sorted(finding.offset for finding in engine.findings()) == needing
    told = [finding.what for finding in engine.findings()]
    assert all("block 1" in what for what in told)
    engine.compact(lambda size: None)
    assert path in plant.paths
    engine.close()
    named = check_segment(plant.fs, path).findings
    assert {finding.offset for finding in named} == set(needing)


@pytest.mark.parametrize("place", ["header", "trailer", "directory"])
def test_owners_are_found_without_a_directory(plant, place):
    """They lie before the blocks that need them."""
    (path,) = plant.paths
    plant.engine.close()
    size = plant.fs.size(path)
    offset = {"header": 20, "trailer": size - 20, "directory": size - 100}[place]
    plant.fs.open_write(path).write_at(offset, b"\xff\x00\xff")

    engine = Engine.open(plant.fs, CONFIG, plant.clock)
    plant.check(engine)
    engine.close()
    target = RecordingFileSystem()
    report = salvage([Source("one", plant.fs)], target, CONFIG, plant.clock)
    assert ([], []) == (report["lost"], report["remaining"])
    engine = Engine.open(target, CONFIG, plant.clock)
    plant.check(engine)
    engine.close()


def test_salvage_of_a_damaged_owner_loses_its_rows_alone(plant):
    """Other blocks come into new segments, and share there anew."""
    (path,) = plant.paths
    blocks = columns_of(plant.fs, path)
    plant.engine.close()
    for log in plant.fs.list("wal"):
        plant.fs.remove(f"wal/{log}")
    plant.fs.open_write(path).write_at(blocks[0][0] + 20, b"\xff\x00\xff")
    target = RecordingFileSystem()

    report = salvage([Source("one", plant.fs)], target, CONFIG, plant.clock)

    assert (TAGS * ROWS, []) == (
        sum(e["missing"] or 0 for e in report["lost"]),
        report["remaining"],
    )
    engine = Engine.open(target, CONFIG, plant.clock)
    for stream in plant.slots.values():
        expected = plant.model.read(stream, *EVER, 2**62)[ROWS:]
        assert plain_samples(engine.read(stream, *EVER)) == expected
    engine.close()


def test_compaction_over_shared_columns_keeps_every_revision(plant):
    """Revised rows, a deletion and an erasure: reads before and after are the same."""
    lsn = plant.scans(20, 60, shift=0.5)
    plant.engine.flush()
    for verb, slot, first in ((Verb.DELETE, 1, 30), (Verb.ERASE, 2, 100)):
        start = plant.begin + first * 10**9
        change = Change(verb, plant.slots[slot], start, start + 25 * 10**9, "ann", "why")
        one = plant.engine.change(change)
        plant.engine.wait_durable(one)
        plant.model.change(one, change, plant.engine.changes_stream())
    plant.scans(SCANS, 90)
    plant.engine.flush()

    plant.check(plant.engine)
    plant.clock.time_ns += 40 * 86_400 * 10**9
    before = {info.id for info in plant.engine._state.segments}
    report = plant.engine.compact(lambda size: None)
    assert report.jobs["cold"] >= 1
    live = plant.engine._state.segments
    assert not before & live.ids
    assert all(info.cold for info in live)
    for known_at in (None, lsn, lsn - 30, SCANS // 2):
        plant.check(plant.engine, known_at)
    assert plant.engine.verify() == []
    assert any(shared(e) for path in plant.paths for _, e in columns_of(plant.fs, path).values())
    plant.engine.close()


def rows_of(time):
    n = len(time)
    value = ColumnData(ValueType.INT64, np.arange(n))
    stamp = np.ones(n, np.uint64)
    return Rows(np.asarray(time, np.int64), stamp, np.zeros(n, np.uint32), None, (value,))


def owner_and_user():
    """Two blocks of one time column, the second by reference, and the times."""
    time = np.sort(np.random.default_rng(2).integers(0, 10**12, 300))
    sharing = ColumnSharing()
    encode_block(rows_of(time), IDENTITY, sharing=sharing)
    second = BlockIdentity(b"i" * 16, 1, 1, 2)
    return time, second, encode_block(rows_of(time), second, sharing=sharing)


def test_a_reference_holds_only_for_the_values_it_was_made_of():
    """Other values, another length, another width and nobody to ask are damage, not an answer."""
    time, second, data = owner_and_user()
    asked = []

    def give(values):
        def resolve(place):
            asked.append(place)
            return values

        return resolve

    assert (decode_block(data, second, at="x", resolve=give(time)).timestamp_ns == time).all()
    assert asked == [ColumnPlace(0, 0, 0, mask=False)]
    other = time.copy()
    other[7] += 1
    for resolve in (None, give(other), give(time[:-1]), give(time.astype(np.int32))):
        with pytest.raises(CorruptData):
            decode_block(data, second, at="x", resolve=resolve)


def test_nobody_shares_with_himself_or_a_later_block():
    """A circle of references could not be resolved."""
    _, _, data = owner_and_user()
    first = BlockIdentity(b"i" * 16, 1, 0, 2)
    moved = crc32c(data[4:], first.seed()).to_bytes(4, "little") + data[4:]
    with pytest.raises(CorruptData, match="owner"):
        decode_block(moved, first, at="x", resolve=lambda place: pytest.fail("nobody is asked"))


def test_an_owner_serves_a_bounded_number_of_blocks():
    """One bad block must not take a whole plant along."""
    time, _, _ = owner_and_user()
    sharing, owners = ColumnSharing(), 0
    for number in range(600):
        place = ColumnPlace(number, 0, 0, mask=False)
        body = sharing.reference(place, time)
        if body is None:
            owners += 1
            sharing.keep(place, time, 1, time.tobytes())
        else:
            assert int.from_bytes(body[:4], "little") in {0, 256, 512}
    assert owners == 3


def test_what_a_writer_remembers_is_bounded():
    """The column used longest ago goes first."""
    sharing = ColumnSharing(known_max=2)
    columns = [np.arange(100) * k for k in (3, 5, 7)]
    places = [ColumnPlace(k, 0, 0, mask=False) for k in range(4)]
    for place, column in zip(places, columns[:2], strict=False):
        sharing.keep(place, column, 1, column.tobytes())
    assert sharing.reference(places[3], columns[0]) is not None
    sharing.keep(places[2], columns[2], 1, columns[2].tobytes())

    assert sharing.reference(places[3], columns[0]) is not None
    assert sharing.reference(places[3], columns[1]) is None
    assert sharing.reference(places[3], columns[2]) is not None
