"""tools/salvage.py: what checks out comes back, the rest is named, sources stay as they are."""

import random
import sys
from pathlib import Path

import pytest

from storage_engine.engine import Engine
from storage_engine.errors import InvalidArgument
from storage_engine.frame import SlotKind
from storage_engine.recording import RecordingFileSystem
from storage_engine.sample import Column, ValueType
from storage_engine.segment.run_list import MAGIC
from storage_engine.testing import SetClock
from storage_engine.tools.dump import Dump
from storage_engine.tools.plain import Filter
from storage_engine.tools.salvage import salvage
from storage_engine.tools.segment_file import open_segment
from storage_engine.tools.survey import Source

sys.path.insert(0, str(Path(__file__).parent))
from tools_story import CONFIG, KINDS, copy_of, damage, files_of, read, rows_of, story

STORE = story()
WHOLE = rows_of(copy_of(STORE))


def rescue(*sources):
    """Salvage; gives the new store and the report. The sources are as they were."""
    before = [{path: read(fs, path) for path in files_of(fs)} for fs in sources]
    target = RecordingFileSystem()
    origins = [Source(f"source {number}", fs) for number, fs in enumerate(sources)]
    report = salvage(origins, target, CONFIG, SetClock())
    assert before == [{path: read(fs, path) for path in files_of(fs)} for fs in sources]
    engine = Engine.open(target, CONFIG, SetClock())
    engine.verify()
    assert ([], []) == (engine.findings(), report["remaining"])
    engine.close()
    return target, report


def raw_rows(fs, paths):
    """Rows in segments with all they carry, without file and block."""
    names = ("stream", "time", "lsn", "observed", "quality", "value", "event_id")
    rows = [row for path in paths for row in Dump(Filter()).file(fs, path)]
    cells = [list(row.get("values", {}).values()) for row in rows]
    told = zip(rows, cells, strict=True)
    return sorted(repr([*(row.get(name) for name in names), more]) for row, more in told)


def test_a_sound_store_comes_back_row_for_row_and_loses_nothing():
    """Revisions, deletions, erasures and record times too."""
    target, report = rescue(copy_of(STORE))

    assert WHOLE == rows_of(target)
    assert [] == report["lost"]
    old, new = (Engine.open(fs, CONFIG, SetClock()) for fs in (copy_of(STORE), target))
    assert old.incarnation != new.incarnation
    assert old.durable_lsn == new.durable_lsn
    old.close()
    new.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("directory", ["manifest", "segments", "wal"])
def test_one_damaged_file_costs_nothing_that_another_still_has(directory, kind):
    """Never a row that was not there; where rows miss, the report says so."""
    rng = random.Random(f"{directory} {kind}")
    paths = files_of(STORE, directory)
    for number in range(16):
        fs = copy_of(STORE)
        path = paths[number % len(paths)]
        damage(fs, path, kind, rng)
        target, report = rescue(fs)
        held = rows_of(target)
        assert held <= WHOLE, (path, number)
        gone = WHOLE - held
        tail = gone and directory == "wal" and min(r[-1] for r in gone) > max(r[-1] for r in held)
        assert report["lost"] or not gone or tail, (path, number)
        if directory == "manifest":
            assert not gone


def without_log_and_manifest(fs):
    for path in (*files_of(fs, "wal"), *files_of(fs, "manifest")):
        fs.remove(path)
    return fs


def test_without_directories_every_block_comes_back_by_its_run_list():
    """No trailer, no manifest, no log: rows, times, lsns and streams of shared blocks."""
    fs = without_log_and_manifest(copy_of(STORE))
    paths = files_of(fs, "segments")
    want = raw_rows(fs, paths)
    for path in paths:
        file = fs.open_write(path)
        file.truncate(file.size() - 65)

    target, report = rescue(fs)
    found = raw_rows(target, files_of(target, "segments"))

    assert want == found
    assert len(found) == report["recovered"]["rows"]
    assert len(report["unnamed_streams"]) == 13  # ids are known, their uuids are not


@pytest.mark.parametrize("directory_too", [False, True])
def test_exactly_the_rows_of_the_damaged_block_are_lost(directory_too):
    """With the log gone, a block is the unit of loss; the others of its file come back."""
    for path in files_of(STORE, "segments"):
        rows = list(Dump(Filter()).file(STORE, path))
        for block in sorted({row["block"] for row in rows})[:3]:
            fs = copy_of(STORE)
            for log in files_of(fs, "wal"):
                fs.remove(log)
            want = raw_rows(fs, files_of(fs, "segments"))
            place = list(open_segment(fs, path).places())[block]
            file = fs.open_write(path)
            file.write_at(place.offset + 20, b"\xff\x00\xff\x00\xff")
            if directory_too:
                file.truncate(file.size() - 65)
            target, report = rescue(fs)
            found = raw_rows(target, files_of(target, "segments"))
            assert len(want) - place.rows == len(found), (path, block)
            assert not set(found) - set(want)
            assert place.rows == sum(
                loss["missing"] or 0 for loss in report["lost"] if loss["path"] != "log"
            )


def test_a_block_without_directory_and_run_list_is_found_by_its_checksum():
    """The first stream follows from the checksum; rows that can be of one stream alone are kept."""
    fs = copy_of(STORE)
    total = 0
    for path in files_of(fs, "segments"):
        data = read(fs, path)
        total += len(list(Dump(Filter()).file(fs, path)))
        data = data.replace(MAGIC, b"XXXX")
        fs.remove(path)
        fs.create(path).append(data[:-65])
    for log in files_of(fs, "wal"):
        fs.remove(log)

    target, report = rescue(fs)
    kept = report["recovered"]["rows"]

    assert 0 < kept < total
    assert rows_of(target) <= WHOLE
    assert total - kept == sum(loss["missing"] or 0 for loss in report["lost"])


def test_two_copies_with_different_damage_make_one_whole():
    """A backup has what the store lost; what was erased since stays erased."""
    one, other = copy_of(STORE), copy_of(STORE)
    paths = files_of(STORE, "segments")
    for path in paths[::2]:
        one.remove(path)
    for path in paths[1::2]:
        file = other.open_write(path)
        file.truncate(file.size() // 2)
    for path in files_of(other, "wal"):
        other.remove(path)

    target, report = rescue(one, other)

    assert WHOLE == rows_of(target)
    assert [] == report["lost"]


def test_the_log_gives_back_rows_of_a_lost_segment():
    """Files below the checkpoint, the spare one among them, are looked through."""
    fs = copy_of(STORE)
    newest = files_of(fs, "segments")[-1]
    fs.remove(newest)

    _, report = rescue(fs)

    assert report["recovered"]["rows_found_elsewhere"] > 0


def test_a_lone_log_file_and_a_lone_segment_are_worth_a_store():
    """Rows of slots that nothing binds get streams of their own, and the report says which."""
    for path in (files_of(STORE, "wal")[-2], files_of(STORE, "segments")[-1]):
        target = RecordingFileSystem()
        report = salvage([Source("lone", copy_of(STORE), path)], target, CONFIG, SetClock())
        assert report["recovered"]["rows"] > 0, path
        assert [] == report["remaining"]


def test_a_target_that_holds_a_store_and_sources_without_anything_are_refused():
    """Nothing is mixed, nothing is made of nothing."""
    with pytest.raises(InvalidArgument, match="holds a store"):
        salvage([Source("a", copy_of(STORE))], copy_of(STORE), CONFIG, SetClock())
    with pytest.raises(InvalidArgument, match="no manifest, segment or record"):
        salvage([Source("a", RecordingFileSystem())], RecordingFileSystem(), CONFIG, SetClock())


def test_the_new_store_takes_rows_and_lsns_go_on():
    """Numbers that were given once are not given again."""
    fs = copy_of(STORE)
    target, _ = rescue(fs)
    engine = Engine.open(target, CONFIG, SetClock())
    before = engine.durable_lsn
    value = (Column("value", ValueType.INT64),)
    fresh = engine.create_stream(b"n" * 16, SlotKind.SERIES, value)

    assert engine.durable_lsn == before + 1
    assert fresh == max(engine.streams())
    engine.close()
