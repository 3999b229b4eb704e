"""aside.py: damaged files are kept by name, findings outlive a restart for as long as they hold."""

import sys
from pathlib import Path

from storage_engine.aside import LEDGER
from storage_engine.engine import Engine
from storage_engine.frame import SlotKind
from storage_engine.sample import Column, ValueType
from storage_engine.testing import SetClock
from storage_engine.tools.log_file import open_log_file
from storage_engine.tools.verify import verify_store

sys.path.insert(0, str(Path(__file__).parent))
from tools_story import CONFIG, EVER, copy_of, files_of, read, story

STORE = story()


def opened(fs, *, read_only=False):
    return Engine.open(fs, CONFIG, SetClock(), read_only=read_only)


def paths(engine):
    return {finding.path for finding in engine.findings()}


def spoil(fs, path, offset):
    fs.open_write(path).write_at(offset, b"\xff\x00\xff\x00\xff")
    return read(fs, path)


def test_a_damaged_block_is_named_after_a_restart_until_it_is_sound_again():
    """Found by a read, named by the next open before anybody reads."""
    fs = copy_of(STORE)
    path = files_of(fs, "segments")[0]
    sound = read(fs, path)
    spoil(fs, path, 84)
    engine = opened(fs)
    assert path not in paths(engine)
    for stream_id, info in engine.streams().items():
        (engine.read if info.kind == 0 else engine.read_events)(stream_id, *EVER)
    assert path in paths(engine)
    engine.close()

    for read_only in (False, True):
        engine = opened(fs, read_only=read_only)
        assert path in paths(engine)
        engine.close()
    fs.open_write(path).write_at(0, sound)
    engine = opened(fs)
    assert path not in paths(engine)
    engine.close()


def test_a_broken_manifest_is_moved_and_never_removed():
    """Later generations clean up behind them; the broken one stays, byte for byte."""
    fs = copy_of(STORE)
    path = files_of(fs, "manifest")[-1]
    broken = spoil(fs, path, 80)

    engine = opened(fs)
    for number in range(3):
        engine.create_stream(bytes([7 + number]) * 16, *_series())
        engine.flush()
    engine.close()

    assert broken == read(fs, f"damaged/{path}")
    again = opened(fs)
    assert f"damaged/{path}" in paths(again)
    again.close()
    assert [f"damaged/{path}: set aside"] == [
        note for note in verify_store(fs).notes if path in note
    ]


def _series():
    return SlotKind.SERIES, (Column("value", ValueType.INT64),)


def test_a_segment_that_cannot_be_adopted_survives_garbage_collection():
    """No manifest is left and a directory is broken: its blocks are still worth a rescue."""
    fs = copy_of(STORE)
    for path in files_of(fs, "manifest"):
        fs.remove(path)
    path = files_of(fs, "segments")[0]
    file = fs.open_write(path)
    file.truncate(file.size() - 65)
    broken = read(fs, path)

    engine = opened(fs)
    for number in range(3):
        engine.create_stream(bytes([7 + number]) * 16, *_series())
        engine.flush()
    engine.close()

    assert broken == read(fs, f"damaged/{path}")


def test_lost_records_are_named_when_their_log_file_is_gone():
    """A loss is not forgotten because a flush cut the log."""
    fs = copy_of(STORE)
    path = [one for one in files_of(fs, "wal") if "spare" not in one][-1]
    frame = open_log_file(fs, path).lsns()[-2]
    spoil(fs, path, frame.body + 20)
    engine = opened(fs)
    named = [finding for finding in engine.findings() if finding.path.startswith("wal")]
    assert named
    for number in range(4):
        engine.create_stream(bytes([7 + number]) * 16, *_series())
        engine.flush()
    engine.close()

    again = opened(fs)
    assert {finding.what for finding in named} <= {finding.what for finding in again.findings()}
    again.close()


def test_a_sound_store_has_no_list_and_a_broken_list_is_no_reason_to_stay_closed():
    """The list itself may rot."""
    fs = copy_of(STORE)
    opened(fs).close()
    assert not fs.exists(LEDGER)
    fs.make_directories("damaged")
    fs.create(LEDGER).append(b"[{")

    engine = opened(fs)
    assert {LEDGER} == paths(engine)
    engine.close()
