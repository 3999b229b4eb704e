"""Stores of every released format: engine and second reader give what was written, row by row."""

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from golden.facts import load
from golden.story import CONFIG
from golden.views import read_by_engine, read_by_second, spool_rows
from golden.write import next_directory, write
from second_reader.spool import read_spool
from second_reader.store import Store

from historian.collector.spool import Spool
from storage_engine.engine import Engine
from storage_engine.filesystem import RealFileSystem
from storage_engine.testing import SetClock

HERE = Path(__file__).parent
STORES = sorted(path.parent for path in HERE.glob("store-*/*/store"))
SPOOLS = sorted(path.parent for path in HERE.glob("store-*/spool/spool"))
by_place = {"ids": lambda path: "-".join(path.parts[-2:])}


@pytest.fixture(params=STORES, **by_place)
def golden(request, tmp_path):
    """A copy of a golden store, and what reads of it must give."""
    shutil.copytree(request.param / "store", tmp_path / "store")
    return tmp_path / "store", load(request.param)


def test_there_are_golden_stores():
    """Without them the tests below would pass for nothing."""
    names = {"types", "history", "changes"}
    assert names <= {path.name for path in STORES if path.parent.name == "store-1"}
    assert SPOOLS


@pytest.mark.parametrize("read_only", [False, True])
def test_the_engine_gives_what_was_written(golden, read_only):
    """As known at several lsns, plain and with every revision or conflict."""
    root, expected = golden
    engine = Engine.open(RealFileSystem(root), CONFIG, SetClock(), read_only=read_only)

    assert engine.findings() == []
    assert expected["streams"] == read_by_engine(engine, expected["lsns"])
    assert engine.verify() == []
    engine.close()


def test_upkeep_changes_nothing(golden):
    """What later versions make of an old store must still be the same history."""
    root, expected = golden
    engine = Engine.open(RealFileSystem(root), CONFIG, SetClock())
    engine.flush()
    engine.compact(lambda size_bytes: None)
    found = read_by_engine(engine, expected["lsns"])
    engine.close()

    assert expected["streams"] == found
    second = Store(root)
    assert second.findings == []
    assert expected["streams"] == read_by_second(second, expected["lsns"])


def test_the_second_reader_gives_what_was_written(golden):
    """It knows the documents alone."""
    root, expected = golden
    store = Store(root)

    assert store.findings == []
    assert expected["lsns"][-1] <= store.lsn
    assert expected["streams"] == read_by_second(store, expected["lsns"])


def test_the_second_reader_checks_every_summary(golden):
    """First and last times, stamps, rows: the directory says what the blocks hold."""
    root, _ = golden
    store = Store(root)

    for segment in store.segments:
        segment.check_summaries()
    assert store.segments


@pytest.mark.parametrize("path", SPOOLS, **by_place)
def test_a_spool_gives_what_was_written(path, tmp_path):
    """Both the second reader and a collector that finds it; one frame of six was sent."""
    shutil.copytree(path / "spool", tmp_path / "spool")
    expected = load(path)["rows"]

    found = read_spool(tmp_path / "spool")

    assert expected == spool_rows(found)
    assert ([], []) == (found.findings, found.losses)
    assert [(1, 3), (2, 1), (2, 2), (2, 3)] == [(f.epoch, f.sequence) for f in found.waiting()]
    held = Spool(RealFileSystem(tmp_path / "spool"), 1 << 20)
    reading = held.read(1 << 20)
    assert reading.positions == [(1, 3)]
    held.acknowledge(reading, 1)
    assert held.read(1 << 20).positions == [(2, 1), (2, 2), (2, 3)]
    assert held.identity.epoch == 3
    held.close()


def test_a_golden_store_is_never_written_over(tmp_path):
    """The next number is taken, and a directory that is there is refused."""
    (tmp_path / "store-2").mkdir()

    assert next_directory(tmp_path) == tmp_path / "store-3"
    with pytest.raises(FileExistsError):
        write(tmp_path / "store-2")


def test_the_stories_can_still_be_told(tmp_path):
    """`make golden` works, and what it writes is right."""
    write(tmp_path / "store-1")

    for path in tmp_path.glob("*/*/store"):
        expected = load(path.parent)
        assert expected["streams"] == read_by_second(Store(path), expected["lsns"])
