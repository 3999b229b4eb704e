"""engine.py on damaged files: it opens, says what is damaged, and serves only what was written."""

import pytest

from storage_engine.checksum import crc32c
from storage_engine.config import EngineConfig
from storage_engine.engine import Engine
from storage_engine.errors import UnsupportedFormat
from storage_engine.frame import SlotKind
from storage_engine.recording import RecordingFileSystem
from storage_engine.recording_states import Disk
from storage_engine.sample import Column, ValueType
from storage_engine.testing import (
    DAY_NS,
    EventRow,
    Model,
    Producer,
    SampleRow,
    SetClock,
    plain_events,
    plain_samples,
)

CONFIG = EngineConfig(
    head_bytes_max=1 << 16,
    wal_file_bytes=2048,
    wal_pending_bytes_max=1 << 20,
    block_rows=16,
    free_bytes_min=0,
    record_time_step_ms=0,
)
EVERYTHING = (-(2**63), 2**63 - 1)
EVENT_COLUMNS = (Column("unit", ValueType.TEXT),)
PATHS = ("manifest", "segments", "wal")


def build() -> tuple[RecordingFileSystem, Model, dict[int, int]]:
    """A store with every kind of file: two generations, day and month segments, a log behind."""
    fs, clock, model = RecordingFileSystem(), SetClock(), Model()
    engine = Engine.open(fs, CONFIG, clock)
    slots = {
        0: engine.create_stream(b"a" * 16, SlotKind.SERIES, (Column("value", ValueType.FLOAT64),)),
        1: engine.create_stream(b"b" * 16, SlotKind.SERIES, (Column("value", ValueType.SYMBOL),)),
        2: engine.create_stream(b"c" * 16, SlotKind.EVENTS, EVENT_COLUMNS),
    }
    producer = Producer(b"p" * 16)
    engine.bind(b"p" * 16, 1, slots)
    for number in range(1, 9):
        at = clock.time_ns + number * 10**9
        samples = [SampleRow(0, ValueType.FLOAT64, at + k, number + k / 4) for k in range(9)]
        samples += [SampleRow(1, ValueType.SYMBOL, at - k * 40 * DAY_NS, f"s{k}") for k in range(3)]
        events = [EventRow(2, at, bytes([number]) * 16, (f"unit {number}",))]
        lsn = engine.append(producer.frame(samples, events, EVENT_COLUMNS)).lsn
        engine.wait_durable(lsn)
        model.append(lsn, samples, events, slots=slots, observed=True)
        if number in {3, 6}:
            engine.flush()
    engine.close()
    return fs, model, slots


def disk_of(fs: RecordingFileSystem) -> Disk:
    """All of it, as durable."""
    return list(fs.crash_states(fs.position, limit=2))[-1][1]._start


def files_of(fs: RecordingFileSystem, directory: str) -> list[str]:
    """Paths of all files below a directory."""
    found = []
    for name in fs.list(directory):
        path = f"{directory}/{name}"
        found += [path] if "." in name or directory == "manifest" else files_of(fs, path)
    return found


def check(fs: RecordingFileSystem, model: Model, slots: dict[int, int], what: str) -> int:
    """Open and read all; gives the rows that miss. Nothing wrong, nothing missing unnamed."""
    engine = Engine.open(fs, CONFIG, SetClock())
    missing = 0
    for slot, stream in slots.items():
        if stream not in engine.streams():
            missing += 1
            continue
        if slot == 2:
            expected: set = set(model.read_events(stream, *EVERYTHING, 2**62))
            found: list = plain_events(engine.read_events(stream, *EVERYTHING))
        else:
            expected = set(model.read(stream, *EVERYTHING, 2**62, every=True))
            found = plain_samples(engine.read(stream, *EVERYTHING, all_revisions=True))
        assert len(found) == len(set(found)), what
        assert set(found) <= expected, what
        missing += len(expected - set(found))
    assert not missing or engine.findings(), f"{missing} rows miss without a word: {what}"
    engine.close()
    return missing


@pytest.mark.parametrize("directory", PATHS)
def test_a_flipped_bit_never_gives_a_wrong_row_and_is_named_where_rows_miss(
    directory: str,
) -> None:
    """F5: detected or harmless."""
    original, model, slots = build()
    disk = disk_of(original)
    flips = 0
    for path in files_of(original, directory):
        size = original.size(path)
        for offset in range(flips % 7, size, max(size // 50, 1)):
            fs = RecordingFileSystem(disk)
            file = fs.open_write(path)
            byte = file.read_at(offset, 1)[0]
            file.write_at(offset, bytes([byte ^ (1 << offset % 8)]))
            check(fs, model, slots, f"{path} byte {offset}")
            flips += 1
    assert flips > 90


@pytest.mark.parametrize("directory", ["manifest", "segments"])
def test_a_cut_or_emptied_file_never_gives_a_wrong_row(directory: str) -> None:
    """F6: truncation and zero tails; the log may end torn by right, so test_wal has its cases."""
    original, model, slots = build()
    disk = disk_of(original)
    for path in files_of(original, directory):
        size = original.size(path)
        for keep in (0, 1, 63, 64, size // 2, size - 1):
            for zeros in (False, True):
                fs = RecordingFileSystem(disk)
                file = fs.open_write(path)
                file.truncate(min(keep, size))
                if zeros:
                    file.truncate(size)
                check(fs, model, slots, f"{path} cut to {keep}, zeros {zeros}")


def test_one_damaged_block_costs_that_block_alone() -> None:
    """Damage is local: the other blocks of the segment are served."""
    fs, model, slots = build()
    path = next(p for p in files_of(fs, "segments") if "2025-06" in p)
    file = fs.open_write(path)
    file.write_at(64 + 40, b"\xff\xff")

    engine = Engine.open(fs, CONFIG, SetClock())
    found = plain_samples(engine.read(slots[0], *EVERYTHING))

    expected = model.read(slots[0], *EVERYTHING, 2**62)
    assert 0 < len(expected) - len(found) <= CONFIG.block_rows
    assert [path] == [finding.path for finding in engine.findings()]
    assert 64 == engine.findings()[0].offset


@pytest.mark.parametrize("place", ["header", "trailer", "directory"])
def test_what_only_helps_to_find_blocks_costs_no_row(place: str) -> None:
    """Blocks and their run lists say all that a directory says."""
    fs, model, slots = build()
    for path in files_of(fs, "segments"):
        size = fs.size(path)
        offset = {"header": 20, "trailer": size - 20, "directory": size - 100}[place]
        fs.open_write(path).write_at(offset, b"\xff\x00\xff")

    engine = Engine.open(fs, CONFIG, SetClock())

    for slot in (0, 1):
        found = engine.read(slots[slot], *EVERYTHING, all_revisions=True)
        expected = model.read(slots[slot], *EVERYTHING, 2**62, every=True)
        assert expected == plain_samples(found)
        assert found.damage == ()
    events = engine.read_events(slots[2], *EVERYTHING)
    assert model.read_events(slots[2], *EVERYTHING, 2**62) == plain_events(events)
    named = {finding.path for finding in engine.findings()}
    assert named == set(files_of(fs, "segments"))
    engine.compact(lambda size: None)
    assert set(files_of(fs, "segments")) >= named
    engine.close()


def test_a_cut_segment_gives_what_is_left_and_says_how_much_misses() -> None:
    """Loss is what the file lost, no more, and every answer it touches tells."""
    fs, model, slots = build()
    path = max(files_of(fs, "segments"), key=fs.size)
    fs.open_write(path).truncate(fs.size(path) // 4)

    engine = Engine.open(fs, CONFIG, SetClock())
    found = engine.read(slots[0], *EVERYTHING, all_revisions=True)

    expected = model.read(slots[0], *EVERYTHING, 2**62, every=True)
    rows = plain_samples(found)
    assert set(rows) <= set(expected)
    lost = [
        finding.what for finding in engine.findings() if "are read all the same" in finding.what
    ]
    assert len(lost) == 1
    assert [path] == [one.path for one in found.damage]
    assert "rows miss" in found.damage[0].what


def test_a_missing_segment_is_named_and_the_rest_is_served() -> None:
    """A file that somebody removed is damage like any other."""
    fs, model, slots = build()
    path = files_of(fs, "segments")[0]
    fs.remove(path)

    missing = check(fs, model, slots, path)

    assert missing > 0


def test_segments_that_changed_places_are_not_believed() -> None:
    """Identity is under the checksum: a good file under another's name is damage."""
    fs, model, slots = build()
    first, second = [p for p in files_of(fs, "segments") if "2025-06" in p][:2]
    fs.rename(first, "segments/x")
    fs.rename(second, first)
    fs.rename("segments/x", second)

    assert check(fs, model, slots, "swapped") > 0


def test_a_lost_newest_manifest_loses_nothing() -> None:
    """The log is kept back to the older generation."""
    fs, model, slots = build()
    newest = files_of(fs, "manifest")[-1]
    fs.open_write(newest).write_at(100, b"\x00\x01\x02\x03")

    assert 0 == check(fs, model, slots, newest)


def test_without_any_manifest_segments_are_adopted_from_their_footers() -> None:
    """Open never refuses, and what segments and log hold is served."""
    fs, model, slots = build()
    for path in files_of(fs, "manifest"):
        fs.open_write(path).write_at(100, b"\x00\x01\x02\x03")

    engine = Engine.open(fs, CONFIG, SetClock())

    for slot in (0, 1):
        expected = model.read(slots[slot], *EVERYTHING, 2**62)
        found = plain_samples(engine.read(slots[slot], *EVERYTHING))
        assert [row for row in expected if row in found] == found
        assert len(found) >= 6
        newest = engine.latest([slots[slot]])
        assert found[-1][0] == newest.timestamp_ns[0]
    assert any("adopted" in finding.what for finding in engine.findings())
    fresh = engine.create_stream(b"n" * 16, SlotKind.SERIES, (Column("value", ValueType.INT64),))
    assert fresh not in slots.values()


def test_a_newer_format_is_refused_without_a_change() -> None:
    """The one reason to refuse: a newer version knows more than this one may touch."""
    fs, _, _ = build()
    newest = files_of(fs, "manifest")[-1]
    file = fs.open_write(newest)
    head = bytearray(file.read_at(0, 64))
    head[8] = 2
    head[60:] = crc32c(bytes(head[:60])).to_bytes(4, "little")
    file.write_at(0, bytes(head))
    before = fs.position

    with pytest.raises(UnsupportedFormat, match="got version 2, want 1"):
        Engine.open(fs, CONFIG, SetClock())

    assert before == fs.position
    fs.lock("lock").release()


def test_without_manifests_and_log_new_rows_still_come_behind_the_old_ones() -> None:
    """The numbers of the log go on behind those in the segments, or a rewrite would lose."""
    fs, _, slots = build()
    for path in (*files_of(fs, "manifest"), *files_of(fs, "wal")):
        fs.remove(path)
    engine = Engine.open(fs, CONFIG, SetClock())
    before = engine.read(slots[0], *EVERYTHING)
    time = int(before.timestamp_ns[0])

    engine.bind(b"n" * 16, 1, {0: slots[0]})
    row = SampleRow(0, ValueType.FLOAT64, time, -1.0)
    engine.wait_durable(engine.append(Producer(b"n" * 16, flags=0).frame([row])).lsn)

    assert len(before) >= 9
    assert [-1.0] == engine.read(slots[0], time, time + 1).value.objects()
    engine.close()


def test_what_readers_share_cannot_be_written() -> None:
    """A caller that changes its answer must not change the next one."""
    fs, _, slots = build()
    engine = Engine.open(fs, CONFIG, SetClock())
    for _ in range(2):
        column = engine.read(slots[0], *EVERYTHING, max_count=3).timestamp_ns
        if column.flags.writeable:
            column[:] = 0
    assert (engine.read(slots[0], *EVERYTHING).timestamp_ns > 0).all()
    engine.close()
